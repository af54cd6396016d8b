//! nslab outside of the sandbox that the caller is in, asked for from the shim: with the caller's streams, and a terminal of its own
//! where the caller has one.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{OpenptyResult, openpty};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::MsgFlags;
use nix::unistd::{isatty, read, write};

use super::shim::{self, Request};
use super::{Paths, Tried, at, error};
use crate::error::Result;
use crate::kernel::sys::{passing, process};
use crate::kernel::terminal::Raw;

/// Bytes that are copied at once.
const CHUNK: usize = 32 << 10;
/// Milliseconds for what was written last, where the terminal stays open: something in the background has it.
const LAST: u8 = 20;
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
    let bytes = OsString::into_vec;
    let request = Request {
        arguments: arguments.into_iter().map(bytes).collect(),
        variables: std::env::vars_os().map(|(name, value)| (bytes(name), bytes(value))).collect(),
        directory: std::env::current_dir().map(|path| bytes(path.into_os_string())).unwrap_or_default(),
        terminal: terminal.is_some(),
        follows: manner != Manner::Finishes,
    };
    let text = serde_json::to_vec(&request).map_err(|_| ("write the request".to_owned(), Errno::EINVAL))?;
    let length = u32::try_from(text.len()).map_err(|_| ("write the request".to_owned(), Errno::E2BIG))?.to_ne_bytes();
    // What stands for a stream of the caller's that is the terminal.
    let slave = terminal.as_ref().map(|terminal| terminal.slave.as_raw_fd());
    let streams: Vec<RawFd> = (0..=2).map(|number| slave.filter(|_| is_terminal(number)).unwrap_or(number)).collect();
    passing::send(&stream, &length, &streams, MsgFlags::empty()).map_err(at("ask nslab outside of the sandbox"))?;
    (&stream).write_all(&text).map_err(at("ask nslab outside of the sandbox"))?;
    match terminal {
        // Its slave is with nslab outside alone: so the master's end is seen.
        Some(OpenptyResult { master, .. }) => serve(&master, &stream),
        None => answer(&stream),
    }
}

fn is_terminal(number: RawFd) -> bool {
    isatty(process::standard(number)).unwrap_or(false)
}

fn connect(paths: &Paths, node: &str) -> Tried<UnixStream> {
    let try_one = |real_root| {
        let path = shim::socket(paths, node, real_root);
        shim::short(&path, |short| UnixStream::connect(short)).map_err(at(format!("connect to {}", path.display())))
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

/// Copies keys and characters until the exit code comes.
fn serve(master: &OwnedFd, stream: &UnixStream) -> Tried<u8> {
    let mut resized = SigSet::empty();
    resized.add(Signal::SIGWINCH);
    resized.thread_block().map_err(at("sigprocmask"))?;
    let news = SignalFd::with_flags(&resized, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).map_err(at("signalfd"))?;
    let _raw = Raw::begin();
    let (keys, screen) = (process::standard(0), process::standard(1));
    let (mut listens, mut shows, mut ended) = (true, true, false);
    loop {
        let ready = {
            let mut fds = vec![(NEWS, PollFd::new(news.as_fd(), PollFlags::POLLIN))];
            if !ended {
                fds.push((CODE, PollFd::new(stream.as_fd(), PollFlags::POLLIN)));
            }
            if shows {
                fds.push((SCREEN, PollFd::new(master.as_fd(), PollFlags::POLLIN)));
            }
            if listens {
                fds.push((KEYS, PollFd::new(keys, PollFlags::POLLIN)));
            }
            let (names, mut fds): (Vec<u8>, Vec<PollFd<'_>>) = fds.into_iter().unzip();
            let patience = if ended { PollTimeout::from(LAST) } else { PollTimeout::NONE };
            match poll(&mut fds, patience) {
                Err(Errno::EINTR) => continue,
                done => done.map_err(at("poll"))?,
            };
            let ready = names.into_iter().zip(&fds).filter(|(_, fd)| fd.any().unwrap_or(false)).map(|(name, _)| name);
            ready.collect::<Vec<u8>>()
        };
        if ended && (!shows || !ready.contains(&SCREEN)) {
            return answer(stream);
        }
        ended |= ready.contains(&CODE);
        if ready.contains(&NEWS) {
            while matches!(news.read_signal(), Ok(Some(_))) {}
            resize(master);
        }
        if ready.contains(&SCREEN) {
            shows = copy(master.as_fd(), screen);
        }
        if ready.contains(&KEYS) {
            listens = copy(keys, master.as_fd());
        }
    }
}

/// Copies what is there; false at the end.
fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> bool {
    let mut chunk = vec![0; CHUNK];
    let mut rest = match read(from, &mut chunk) {
        Ok(0) | Err(Errno::EIO) => return false,
        Ok(length) => chunk.get(..length).unwrap_or_default(),
        Err(_) => return true,
    };
    while !rest.is_empty() {
        match write(to, rest) {
            Ok(length) => rest = rest.get(length..).unwrap_or_default(),
            Err(Errno::EINTR) => {}
            Err(_) => return false,
        }
    }
    true
}
