//! Packets: sent, captured, decoded and explained. Sockets are opened in a node and then run anywhere.

pub mod capture;
pub mod cure;
pub mod filter;
pub mod frame;
pub mod macs;
pub mod pcapng;
pub mod ping;
pub mod predict;
pub mod trace;
pub mod view;
pub mod watch;

use std::net::IpAddr;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Sleeps until there is something to read, for so long at most, or without an end; of each socket whether there is. A signal
/// ends the wait, too.
///
/// # Errors
/// When the kernel refuses to wait.
fn wait<'a>(sockets: impl Iterator<Item = BorrowedFd<'a>>, at_most: Option<Duration>) -> std::result::Result<Vec<bool>, Errno> {
    let mut sockets: Vec<PollFd<'a>> = sockets.map(|socket| PollFd::new(socket, PollFlags::POLLIN)).collect();
    // Rounded up: poll counts whole milliseconds, and must not spin through the last one.
    let timeout = at_most
        .map_or(PollTimeout::NONE, |time| PollTimeout::try_from(time + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX));
    match poll(&mut sockets, timeout) {
        Ok(_) => Ok(sockets.iter().map(|socket| socket.any().unwrap_or(false)).collect()),
        Err(Errno::EINTR) => Ok(vec![false; sockets.len()]),
        Err(errno) => Err(errno),
    }
}

/// Whether it is one of `fe80::/10` (RFC 4291).
pub fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(six) if six.segments()[0] & 0xffc0 == 0xfe80)
}
