//! A descriptor that a tokio runtime waits for.

use std::io::Result;
use std::os::fd::OwnedFd;

use tokio::io::unix::AsyncFd;

/// Lets the runtime of the calling task wait for a descriptor, which must not block.
///
/// # Errors
/// When the kernel cannot watch it.
pub fn watched(fd: OwnedFd) -> Result<AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd is the same open descriptor until it is dropped, and AsyncFd gives up watching it before.
    Ok(unsafe { AsyncFd::register(fd) }?)
}
