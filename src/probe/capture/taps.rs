//! A tap at every point.

use nix::errno::Errno;

use super::points::{Bridge, Point};
use crate::error::{Error, KernelError, Limit, Result};
use crate::kernel::packet::{self, Buffer, Spot, Tap};

/// Bytes of all rings together; a ring has 1 MiB at least.
const RINGS: usize = 64 << 20;

/// With more points than this each has a queue instead, which takes memory only when it is used.
const MOST_RINGS: usize = 64;

/// Bytes of such a queue.
const QUEUE: usize = 4 << 20;

/// Opens a tap at every point, or at none.
pub(super) fn open(points: &[Point], filter: &[libc::sock_filter]) -> Result<Vec<Tap>> {
    let queue = Buffer::Queue(QUEUE);
    let ring = Buffer::Ring((RINGS / points.len().max(1)).max(1 << 20));
    let wanted = if points.len() > MOST_RINGS { queue } else { ring };
    match open_with(points, filter, wanted) {
        // Memory for the rings could not be had in one piece.
        Err((_, tried, Errno::ENOMEM)) if tried.contains("RING") => open_with(points, filter, queue),
        other => other,
    }
    .map_err(|(point, tried, errno)| match errno {
        Errno::EMFILE => Error::Machine(Limit::OpenFiles),
        Errno::EPERM if tried.starts_with("socket") => Error::Machine(Limit::Capability("CAP_NET_RAW")),
        // The kernel keeps filters in memory of this limit.
        Errno::ENOMEM if tried.contains("FILTER") => Error::Machine(Limit::Sysctl("net.core.optmem_max")),
        Errno::ENOMEM => Error::Machine(Limit::Memory),
        errno => Error::Kernel(KernelError { node: Some(point), tried, errno: errno as i32, said: None }),
    })
}

fn open_with(
    points: &[Point],
    filter: &[libc::sock_filter],
    buffer: Buffer,
) -> std::result::Result<Vec<Tap>, (String, String, Errno)> {
    let spots: Vec<Spot<'_>> =
        points.iter().map(|point| Spot { pin: &point.pin, on: Some(point.index), filter, buffer }).collect();
    let (mut taps, mut failure) = (Vec::with_capacity(points.len()), None);
    for (point, opened) in points.iter().zip(Tap::open_all(&spots)) {
        let failed = |(tried, errno)| (point.name.clone(), tried, errno);
        let wide = |tap: &Tap| if point.bridge == Bridge::Whole { tap.promiscuous(point.index) } else { Ok(()) };
        match opened.and_then(|tap| wide(&tap).map(|()| tap).map_err(|errno| ("promiscuous mode".to_owned(), errno))) {
            Ok(tap) => taps.push(tap),
            Err(error) => failure = failure.or(Some(failed(error))),
        }
    }
    match failure {
        None => Ok(taps),
        Some(failure) => {
            packet::close(taps);
            Err(failure)
        }
    }
}
