//! The user namespace that nslab runs in.

use std::fs;
use std::os::unix::fs::MetadataExt;

/// The number of the one that the machine starts with (`USER_NS_INIT_INO`, `linux/nsfs.h`).
const INITIAL: u64 = 0xEFFF_FFFD;

/// The number of the caller's; none in the machine's own, and in a kernel without others.
pub fn number() -> Option<u64> {
    of("self", "user").filter(|&number| number != INITIAL)
}

/// Whether the caller is in another one than the machine's own.
pub fn is_inside() -> bool {
    number().is_some()
}

/// Whether it is that of a whole container: process 1 is in it, with the same files, and other users are too.
pub fn is_containers() -> bool {
    let same = |kind| of("1", kind).is_some_and(|number| of("self", kind) == Some(number));
    is_inside() && same("user") && same("mnt") && has_others(&fs::read_to_string("/proc/self/uid_map").unwrap_or_default())
}

fn of(process: &str, kind: &str) -> Option<u64> {
    fs::metadata(format!("/proc/{process}/ns/{kind}")).ok().map(|meta| meta.ino())
}

/// Whether its root is another user outside, and not the only one of it.
fn has_others(map: &str) -> bool {
    let line = |line: &str| {
        let mut numbers = line.split_whitespace().map_while(|word| word.parse::<u64>().ok());
        Some((numbers.next()?, numbers.next()?, numbers.next()?))
    };
    let lines: Vec<_> = map.lines().filter_map(line).collect();
    let root_is_another = lines.iter().any(|&(inside, outside, _)| inside == 0 && outside != 0);
    root_is_another && lines.iter().map(|(_, _, many)| many).sum::<u64>() > 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_has_a_root_of_its_own_and_other_users() {
        let containers = ["0 100000 65536", "         0       1000          1\n         1     100000      65536\n"];
        assert!(containers.into_iter().all(has_others));
        let shells = ["0 1000 1", "0 0 1", "0 0 4294967295", "1000 1000 1", ""];
        assert!(!shells.into_iter().any(has_others));
    }
}
