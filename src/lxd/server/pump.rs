//! Bytes between a command and a client, as fast as the slower of both: nothing is kept, nothing is lost.

use std::io::ErrorKind;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use futures::{Sink, SinkExt, Stream, StreamExt};

use tokio::io::unix::AsyncFd;
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};

use crate::kernel::sys::fd::watched;

/// Bytes that are read at once.
const PART: usize = 32 << 10;
/// What the kernel can keep of a command that has ended, in bytes (`/proc/sys/fs/pipe-max-size`): who writes more then is a
/// daemon.
const LEFT: usize = 1 << 20;
/// How often a client is asked whether it is there, as LXD does.
const ASK: Duration = Duration::from_secs(10);
/// How long a client may take to close a websocket whose work is done.
const LINGER: Duration = Duration::from_secs(10);

/// Something that becomes true, once.
pub(super) type Flag = watch::Receiver<bool>;

/// Waits until a flag is set, or whoever could set it is gone.
pub(super) async fn set(flag: &mut Flag) {
    let _ = flag.wait_for(|set| *set).await;
}

/// One stream of a command, to be read to its end.
pub(super) struct Source {
    fd: AsyncFd<OwnedFd>,
    ended: Flag,
    left: usize,
    part: Vec<u8>,
}

impl Source {
    pub(super) fn new(fd: OwnedFd, ended: Flag) -> std::io::Result<Self> {
        Ok(Self { fd: watched(fd)?, ended, left: LEFT, part: vec![0; PART] })
    }

    /// The next bytes; none at the end: everybody has closed the stream, or the command has ended and the kernel has
    /// nothing of it left.
    pub(super) async fn next(&mut self) -> Option<&[u8]> {
        let length = loop {
            let ready = tokio::select! {
                biased;
                ready = self.fd.readable() => Some(ready.ok()?),
                () = set(&mut self.ended) => None,
            };
            let over = ready.is_none();
            let read = match ready {
                Some(mut ready) => match ready.try_io(|fd| Ok(nix::unistd::read(fd.as_fd(), &mut self.part)?)) {
                    Ok(read) => read,
                    Err(_) => continue,
                },
                None => nix::unistd::read(self.fd.as_fd(), &mut self.part).map_err(std::io::Error::from),
            };
            match read {
                Ok(0) => return None,
                Ok(length) => break length,
                Err(fault) if fault.kind() == ErrorKind::Interrupted => {}
                // Also the end of a terminal: EIO. Asked without waiting, the kernel first hands over what is under way.
                Err(_) if over => return None,
                Err(fault) if fault.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return None,
            }
        };
        if *self.ended.borrow() {
            self.left = self.left.checked_sub(length)?;
        }
        self.part.get(..length)
    }
}

/// Sends everything to a client, and the empty text message after the last byte; every message of the client is read
/// meanwhile, for it may close.
///
/// Returns whether the client is still there.
pub(super) async fn give<S>(mut from: Source, socket: &mut S, mut note: impl FnMut(&[u8])) -> bool
where
    S: Sink<Message, Error = Error> + Stream<Item = Result<Message, Error>> + Unpin,
{
    let mut ask = tokio::time::interval(ASK);
    loop {
        tokio::select! {
            part = from.next() => {
                let Some(part) = part else { break };
                note(part);
                if socket.send(Message::Binary(Bytes::copy_from_slice(part))).await.is_err() {
                    return false;
                }
            }
            message = socket.next() => {
                if over(message.as_ref()) {
                    return false;
                }
            }
            _ = ask.tick() => {
                if socket.send(Message::Ping(Bytes::from_static(b"keepalive"))).await.is_err() {
                    return false;
                }
            }
        }
    }
    socket.send(Message::Text("".into())).await.is_ok()
}

/// Sends everything to a client whose messages somebody else reads; as [`give`].
pub(super) async fn give_half<S>(mut from: Source, socket: &mut S, mut note: impl FnMut(&[u8])) -> bool
where
    S: Sink<Message, Error = Error> + Unpin,
{
    let mut ask = tokio::time::interval(ASK);
    loop {
        let message = tokio::select! {
            part = from.next() => {
                let Some(part) = part else { break };
                note(part);
                Message::Binary(Bytes::copy_from_slice(part))
            }
            _ = ask.tick() => Message::Ping(Bytes::from_static(b"keepalive")),
        };
        if socket.send(message).await.is_err() {
            return false;
        }
    }
    socket.send(Message::Text("".into())).await.is_ok()
}

/// The client will send nothing more.
pub(super) fn over(message: Option<&Result<Message, Error>>) -> bool {
    matches!(message, None | Some(Err(_) | Ok(Message::Close(_))))
}

/// How a client ended what it types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Typed {
    /// By the empty text message; it is still there.
    End,
    /// It is gone.
    Gone,
    /// It does not answer any more.
    Lost,
}

/// Passes what a client types on to a command, until it says that this was all or is gone. What the command does not take any
/// more is lost, as in any pipe.
pub(super) async fn take<S>(socket: &mut S, to: &AsyncFd<OwnedFd>, mut ended: Flag) -> Typed
where
    S: Stream<Item = Result<Message, Error>> + Unpin,
{
    let mut broken = false;
    loop {
        match socket.next().await {
            Some(Ok(Message::Binary(bytes))) if !broken => {
                broken = tokio::select! {
                    written = write(to, &bytes) => written.is_err(),
                    () = set(&mut ended) => true,
                };
            }
            Some(Ok(Message::Text(text))) if text.is_empty() => return Typed::End,
            Some(Err(Error::Io(fault))) if fault.kind() == ErrorKind::TimedOut => return Typed::Lost,
            message if over(message.as_ref()) => return Typed::Gone,
            _ => {}
        }
    }
}

async fn write(to: &AsyncFd<OwnedFd>, mut bytes: &[u8]) -> std::io::Result<()> {
    while !bytes.is_empty() {
        let mut ready = to.writable().await?;
        match ready.try_io(|fd| Ok(nix::unistd::write(fd.as_fd(), bytes)?)) {
            Ok(Ok(length)) => bytes = bytes.get(length..).unwrap_or_default(),
            Ok(Err(fault)) if fault.kind() == ErrorKind::Interrupted => {}
            Ok(Err(fault)) => return Err(fault),
            Err(_) => {}
        }
    }
    Ok(())
}

/// Waits until a client closes a websocket whose work is done: who closes first may cut off what is under way.
pub(super) async fn linger<S>(mut socket: S)
where
    S: Stream<Item = Result<Message, Error>> + Unpin,
{
    let closed = async { while !over(socket.next().await.as_ref()) {} };
    let _ = tokio::time::timeout(LINGER, closed).await;
}
