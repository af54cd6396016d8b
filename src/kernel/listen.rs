//! Sockets that listen in a node's namespace, for a program that is not in it.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use nix::sched::{CloneFlags, setns};

use super::thread::thread;
use crate::error::Result;

/// Listens on an address of the namespace that is pinned at a path; the socket stays there, and does not block.
///
/// # Errors
/// The outer one where there can be no thread, the inner one where the address cannot be listened on.
pub fn listen(pin: &Path, at: SocketAddr) -> Result<std::io::Result<TcpListener>> {
    thread(|| {
        setns(File::open(pin)?, CloneFlags::CLONE_NEWNET)?;
        let socket = TcpListener::bind(at)?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    })
}

/// Does something on a thread in the namespace that is pinned at a path: sockets that it opens are there.
///
/// # Errors
/// The outer one where there can be no thread, the inner one where the namespace cannot be entered.
pub fn within<T: Send>(pin: &Path, job: impl FnOnce() -> T + Send) -> Result<std::io::Result<T>> {
    thread(|| {
        setns(File::open(pin)?, CloneFlags::CLONE_NEWNET)?;
        Ok(job())
    })
}
