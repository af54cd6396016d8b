//! nslab outside of the sandbox that the caller is in, asked for from the shim: with the caller's streams, and a terminal of its own
//! where the caller has one.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{OpenptyResult, openpty};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::MsgFlags;
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
use nix::unistd::{isatty, read, write};

use super::shim::{self, Request};
use super::spec::{Paths, Tried, at, error, short};
use crate::error::Result;
use crate::kernel::caller::Raw;
use crate::kernel::sys::{fd, process};

/// Bytes that are copied at once.
const CHUNK: usize = 32 << 10;
/// Milliseconds that what was written may be on its way through the terminal.
const LAST: i32 = 200;
/// What is watched: the size of the window, the exit code, what is written, what is typed.
const NEWS: u8 = 0;
const CODE: u8 = 1;
const SCREEN: u8 = 2;
const KEYS: u8 = 3;

/// How the two belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// What runs outside ends with the caller, and has a terminal of its own where the caller has one.
    Interactive,
    /// What runs outside ends with the caller.
    Follows,
    /// What is begun is brought to its end.
    Finishes,
}

/// Runs nslab outside of the sandbox of a node, in which the caller is; its exit code.
///
/// # Errors
/// When nobody outside listens.
pub fn send(paths: &Paths, node: &str, arguments: Vec<OsString>, manner: Manner) -> Result<u8> {
    sent(paths, node, arguments, manner).map_err(|failure| error(node, failure))
}

fn sent(paths: &Paths, node: &str, arguments: Vec<OsString>, manner: Manner) -> Tried<u8> {
    let stream = connect(paths, node)?;
    let terminal = (manner == Manner::Interactive && [0, 1].into_iter().all(is_terminal)).then(open).transpose()?;
    let request = Request {
        arguments: arguments.into_iter().map(shim::text).collect(),
        variables: std::env::vars_os().map(|(name, value)| (shim::text(name), shim::text(value))).collect(),
        directory: std::env::current_dir().map(|path| shim::text(path.into_os_string())).unwrap_or_default(),
        terminal: terminal.is_some(),
        follows: manner != Manner::Finishes,
    };
    let text = serde_json::to_vec(&request).map_err(|_| ("write the request".to_owned(), Errno::EINVAL))?;
    let length = u32::try_from(text.len()).ok().filter(|_| text.len() <= shim::LONGEST);
    let length = length.ok_or_else(|| ("write the request".to_owned(), Errno::E2BIG))?.to_ne_bytes();
    // What stands for a stream of the caller's that is the terminal.
    let slave = terminal.as_ref().map(|terminal| terminal.slave.as_raw_fd());
    let streams: Vec<RawFd> = (0..=2).map(|number| slave.filter(|_| is_terminal(number)).unwrap_or(number)).collect();
    fd::send(&stream, &length, &streams, MsgFlags::empty()).map_err(at("ask nslab outside of the sandbox"))?;
    (&stream).write_all(&text).map_err(at("ask nslab outside of the sandbox"))?;
    match terminal {
        Some(terminal) => serve(&terminal, &stream),
        None => answer(&stream),
    }
}

fn is_terminal(number: RawFd) -> bool {
    isatty(process::standard(number)).unwrap_or(false)
}

fn connect(paths: &Paths, node: &str) -> Tried<UnixStream> {
    let try_one = |real_root| {
        let path = paths.socket(node, real_root);
        short(&path, |short| UnixStream::connect(short)).map_err(at(format!("connect to {}", path.display())))
    };
    // A node may have two sandboxes; it does not matter which of them helps.
    try_one(false).or_else(|failure| try_one(true).map_err(|_| failure))
}

fn answer(mut stream: &UnixStream) -> Tried<u8> {
    let mut code = [0; 4];
    stream.read_exact(&mut code).map_err(|_| ("nslab outside of the sandbox".to_owned(), Errno::ECONNRESET))?;
    Ok(u8::try_from(i32::from_ne_bytes(code)).unwrap_or(u8::MAX))
}

/// A terminal for nslab outside, whose keys and characters are the caller's.
fn open() -> Tried<OpenptyResult> {
    let terminal = openpty(None, None).map_err(at("openpty"))?;
    for end in [&terminal.master, &terminal.slave] {
        fcntl(end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).map_err(at("fcntl"))?;
    }
    resize(&terminal.master);
    Ok(terminal)
}

fn resize(master: &OwnedFd) {
    if let Some((columns, rows)) = process::size(&process::standard(0)) {
        let _ = process::resize(master, columns, rows);
    }
}

/// Copies keys and characters until the exit code has come and everything that was written before.
fn serve(terminal: &OpenptyResult, stream: &UnixStream) -> Tried<u8> {
    let OpenptyResult { master, slave } = terminal;
    let mut resized = SigSet::empty();
    resized.add(Signal::SIGWINCH);
    resized.thread_block().map_err(at("sigprocmask"))?;
    let news = SignalFd::with_flags(&resized, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).map_err(at("signalfd"))?;
    let raw = Raw::begin();
    let (keys, screen) = (process::standard(0), process::standard(1));
    fcntl(master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(at("fcntl"))?;
    let (mut listens, mut typed) = (true, Vec::new());
    loop {
        let ready = {
            // Who writes and reads nothing must not keep the keys from being taken, nor the other way round.
            let room = typed.len() < CHUNK;
            let out = if typed.is_empty() { PollFlags::empty() } else { PollFlags::POLLOUT };
            let mut fds = vec![
                (NEWS, news.as_fd(), PollFlags::POLLIN),
                (CODE, stream.as_fd(), PollFlags::POLLIN),
                (SCREEN, master.as_fd(), PollFlags::POLLIN | out),
            ];
            fds.extend((listens && room).then_some((KEYS, keys, PollFlags::POLLIN)));
            let mut polled: Vec<PollFd<'_>> = fds.iter().map(|(_, fd, events)| PollFd::new(*fd, *events)).collect();
            match poll(&mut polled, PollTimeout::NONE) {
                Err(Errno::EINTR) => continue,
                done => done.map_err(at("poll"))?,
            };
            let ready = fds.iter().zip(&polled).filter(|(_, fd)| fd.any().unwrap_or(false)).map(|((name, _, _), _)| *name);
            ready.collect::<Vec<u8>>()
        };
        if ready.contains(&CODE) {
            let code = answer(stream);
            let unread = own(slave).map(|slave| {
                last(master, &slave, screen);
                unread(&slave)
            });
            drop(raw);
            // For whoever reads next on the caller's terminal, as what was typed ahead of any command.
            let _ = process::type_ahead(&keys, &[unread.unwrap_or_default(), typed].concat());
            return code;
        }
        if ready.contains(&NEWS) {
            while matches!(news.read_signal(), Ok(Some(_))) {}
            resize(master);
        }
        if ready.contains(&SCREEN) {
            copy(master.as_fd(), screen);
            let written = write(master, &typed).unwrap_or(0);
            typed.drain(..written);
        }
        if ready.contains(&KEYS) {
            listens = take(keys, &mut typed);
            let written = write(master, &typed).unwrap_or(0);
            typed.drain(..written);
        }
    }
}

/// The slave once more, not to block: the flags of the one that was passed on are those of whoever has it in the background.
fn own(slave: &OwnedFd) -> std::io::Result<File> {
    let flags = libc::O_NOCTTY | libc::O_NONBLOCK | libc::O_CLOEXEC;
    let path = format!("/proc/self/fd/{}", slave.as_raw_fd());
    File::options().read(true).write(true).custom_flags(flags).open(path)
}

/// Takes what was typed; false at the end.
fn take(keys: BorrowedFd<'_>, typed: &mut Vec<u8>) -> bool {
    let mut chunk = vec![0; CHUNK];
    match read(keys, &mut chunk) {
        Ok(0) | Err(Errno::EIO) => false,
        Ok(length) => {
            typed.extend_from_slice(chunk.get(..length).unwrap_or_default());
            true
        }
        Err(_) => true,
    }
}

/// Copies everything that was written to a terminal until now: up to a mark that is written last.
fn last(master: &OwnedFd, slave: &File, screen: BorrowedFd<'_>) {
    let mark = format!("\u{1}{}\u{2}", std::process::id());
    if write(slave, mark.as_bytes()) != Ok(mark.len()) {
        // Its output is stopped, by Ctrl-S.
        return;
    }
    let mut came = Vec::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        let length = match read(master, &mut chunk) {
            Ok(length @ 1..) => length,
            // It is on its way.
            Err(Errno::EAGAIN) if process::wait_end(master, LAST) => continue,
            _ => break,
        };
        came.extend_from_slice(chunk.get(..length).unwrap_or_default());
        let end = came.windows(mark.len()).position(|window| window == mark.as_bytes());
        let whole = end.unwrap_or_else(|| came.len().saturating_sub(mark.len()));
        put(screen, came.get(..whole).unwrap_or_default());
        came.drain(..whole);
        if end.is_some() {
            return;
        }
    }
    put(screen, &came);
}

/// What was typed and nobody has read.
fn unread(slave: &File) -> Vec<u8> {
    if let Ok(mut modes) = tcgetattr(slave) {
        cfmakeraw(&mut modes);
        let _ = tcsetattr(slave, SetArg::TCSANOW, &modes);
    }
    let (mut typed, mut chunk) = (Vec::new(), vec![0; CHUNK]);
    while let Ok(length @ 1..) = read(slave, &mut chunk) {
        typed.extend_from_slice(chunk.get(..length).unwrap_or_default());
    }
    typed
}

/// Copies what is there; false at the end.
fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> bool {
    let mut chunk = vec![0; CHUNK];
    match read(from, &mut chunk) {
        Ok(0) | Err(Errno::EIO) => false,
        Ok(length) => put(to, chunk.get(..length).unwrap_or_default()),
        Err(_) => true,
    }
}

/// Writes all of it; false where nobody reads.
fn put(to: BorrowedFd<'_>, mut rest: &[u8]) -> bool {
    while !rest.is_empty() {
        match write(to, rest) {
            Ok(length) => rest = rest.get(length..).unwrap_or_default(),
            Err(Errno::EINTR) => {}
            Err(_) => return false,
        }
    }
    true
}
