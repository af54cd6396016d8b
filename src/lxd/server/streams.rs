//! The websockets of a command: let in by a secret each, which works once and for one client, and carried as fast as the slower
//! of command and client.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::{Sink, SinkExt, Stream, StreamExt};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{oneshot, watch};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};

use crate::kernel::sys::fd::watched;
use crate::lxd::tls::{hex, random};

/// How long a client may take to connect the websockets of its command.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The longest message that is taken from a client, in bytes.
const LONGEST: usize = 4 << 20;
/// What waits to be sent to a client that does not read, in bytes.
const QUEUE: usize = 64 << 10;

/// What a websocket runs over.
pub trait Wire: AsyncRead + AsyncWrite + Unpin + Send + std::fmt::Debug {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + std::fmt::Debug> Wire for T {}

/// A websocket of a client.
pub type Socket = WebSocketStream<Box<dyn Wire>>;

/// The server's end of a websocket over a connection that has been upgraded to one.
pub async fn socket(wire: impl Wire + 'static) -> Socket {
    let config = WebSocketConfig::default()
        .read_buffer_size(16 << 10)
        .write_buffer_size(QUEUE)
        .max_write_buffer_size(4 * QUEUE)
        .max_message_size(Some(LONGEST))
        .max_frame_size(Some(LONGEST));
    let wire: Box<dyn Wire> = Box::new(wire);
    WebSocketStream::from_raw_socket(wire, Role::Server, Some(config)).await
}

/// Where one websocket is waited for.
#[derive(Debug)]
pub struct Place {
    name: &'static str,
    sender: oneshot::Sender<Socket>,
}

impl Place {
    /// The name of its descriptor: `0`, `1`, `2` or `control`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Hands the websocket over; nobody may be waiting any more.
    pub fn take(self, socket: Socket) {
        let _ = self.sender.send(socket);
    }
}

/// Lets the websockets of one client in, each once.
#[derive(Debug)]
pub struct Door {
    client: String,
    places: Mutex<BTreeMap<String, Place>>,
}

impl Door {
    /// A door for a client (by the fingerprint of its certificate), with the secret of each descriptor and what waits
    /// for them.
    ///
    /// # Errors
    /// Where the system has no random numbers.
    pub fn new(client: &str, names: &[&'static str]) -> std::io::Result<(Self, BTreeMap<&'static str, String>, Expected)> {
        let (mut places, mut secrets, mut expected) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for &name in names {
            let (sender, receiver) = oneshot::channel();
            let secret = hex(&random::<32>()?);
            places.insert(secret.clone(), Place { name, sender });
            secrets.insert(name, secret);
            expected.insert(name, receiver);
        }
        Ok((Self { client: client.to_owned(), places: Mutex::new(places) }, secrets, Expected(expected)))
    }

    /// The place that a secret is for; it is used up.
    pub fn enter(&self, secret: &str, client: &str) -> Option<Place> {
        if client != self.client {
            return None;
        }
        self.places.lock().unwrap_or_else(PoisonError::into_inner).remove(secret)
    }
}

/// The websockets that are on their way.
#[derive(Debug)]
pub struct Expected(BTreeMap<&'static str, oneshot::Receiver<Socket>>);

impl Expected {
    /// Waits for one of them for as long as it takes.
    pub(super) async fn one(&mut self, name: &str) -> Option<Socket> {
        self.0.get_mut(name)?.await.ok()
    }

    /// Takes one out, to be waited for elsewhere.
    pub(super) fn apart(&mut self, name: &str) -> Option<oneshot::Receiver<Socket>> {
        self.0.remove(name)
    }
}

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

/// Sends everything to a client, and the empty text message after the last byte; every message of the client is read meanwhile,
/// for it may close, where nobody else reads them.
///
/// Returns whether the client is still there.
pub(super) async fn give(
    mut from: Source,
    to: &mut (impl Sink<Message, Error = Error> + Unpin),
    incoming: &mut (impl Stream<Item = Result<Message, Error>> + Unpin),
    mut note: impl FnMut(&[u8]),
) -> bool {
    let mut ask = tokio::time::interval(ASK);
    loop {
        let message = tokio::select! {
            part = from.next() => {
                let Some(part) = part else { break };
                note(part);
                Message::Binary(Bytes::copy_from_slice(part))
            }
            message = incoming.next() => {
                if over(message.as_ref()) {
                    return false;
                }
                continue;
            }
            _ = ask.tick() => Message::Ping(Bytes::from_static(b"keepalive")),
        };
        if to.send(message).await.is_err() {
            return false;
        }
    }
    to.send(Message::Text("".into())).await.is_ok()
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
pub(super) async fn take(
    socket: &mut (impl Stream<Item = Result<Message, Error>> + Unpin),
    to: &AsyncFd<OwnedFd>,
    mut ended: Flag,
) -> Typed {
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
pub(super) async fn linger(mut socket: impl Stream<Item = Result<Message, Error>> + Unpin) {
    let closed = async { while !over(socket.next().await.as_ref()) {} };
    let _ = tokio::time::timeout(LINGER, closed).await;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_secret_works_once_and_for_one_client() {
        let (door, secrets, _expected) = Door::new("mine", &["0", "control"]).unwrap();
        assert!(secrets.values().all(|secret| secret.len() == 64));
        assert_ne!(secrets["0"], secrets["control"]);
        assert!(door.enter(&secrets["0"], "another").is_none());
        assert_eq!(door.enter(&secrets["0"], "mine").unwrap().name(), "0");
        assert!(door.enter(&secrets["0"], "mine").is_none());
        assert!(door.enter("", "mine").is_none());
    }
}
