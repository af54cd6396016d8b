//! What has passed the interfaces of a node.

use std::collections::BTreeMap;

use super::{Pin, failed};
use crate::error::Result;
use crate::kernel::listen::within;
use nix::errno::Errno;

/// What has passed an interface in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// Bytes of whole frames.
    pub bytes: u64,
    /// Frames.
    pub packets: u64,
    /// Frames that were damaged.
    pub errors: u64,
    /// Frames that there was no room for.
    pub dropped: u64,
}

/// What has passed an interface since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Into the node.
    pub received: Count,
    /// Out of it.
    pub sent: Count,
}

/// What has passed each interface of a node, by its name.
///
/// # Errors
/// When the pin cannot be entered.
pub fn traffic(here: &Pin) -> Result<BTreeMap<String, Traffic>> {
    const FILE: &str = "/proc/thread-self/net/dev";
    let text = within(&here.path, || std::fs::read_to_string(FILE))?.and_then(|text| text);
    let text = text.map_err(|error| failed(here, FILE, Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))))?;
    Ok(text.lines().filter_map(read).collect())
}

/// A line of `/proc/net/dev`: eight numbers of what came in, then eight of what went out.
fn read(line: &str) -> Option<(String, Traffic)> {
    let (name, numbers) = line.rsplit_once(':')?;
    let numbers: Vec<u64> = numbers.split_whitespace().map_while(|number| number.parse().ok()).collect();
    let count = |at: usize| match numbers.get(at..at + 4) {
        Some(&[bytes, packets, errors, dropped]) => Some(Count { bytes, packets, errors, dropped }),
        _ => None,
    };
    Some((name.trim().to_owned(), Traffic { received: count(0)?, sent: count(8)? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_and_a_heading_is_not() {
        assert_eq!(read(" face |bytes    packets errs drop fifo frame compressed multicast|bytes"), None);
        let count = |bytes, packets, errors, dropped| Count { bytes, packets, errors, dropped };
        let seen = Traffic { received: count(606, 7, 1, 2), sent: count(1286, 15, 3, 4) };
        assert_eq!(
            read("  eth0:     606       7    1    2    0     0          0         0     1286      15    3    4    0"),
            Some(("eth0".to_owned(), seen))
        );
    }
}
