//! What is between the halves of a lab.

use nslab::report::lab::{Frames, Mismatch, Way};

use super::word;

fn lost(frames: Frames, way: Way) -> Mismatch {
    Mismatch::Lost { frames, way, nic: word("enp0s8"), host: word("host-b"), mtu: 1500 }
}

every!(mismatches: Mismatch {
    Mismatch::Role { .. } => [
        Mismatch::Role { lab: word("bridged"), host: word("host-a"), hostname: word("vm"), free: vec![word("host-b")] },
        Mismatch::Role { lab: word("bridged"), host: word("host-a"), hostname: word("vm"), free: Vec::new() },
    ],
    Mismatch::Lab { .. } => [
        Mismatch::Lab { here: word("bridged"), there: word("monday"), hostname: word("vm"), host: word("host-b") },
    ],
    Mismatch::Mac { .. } => [Mismatch::Mac { nic: word("enp0s8"), mac: word("08:00:27:00:00:01"), host: word("host-b") }],
    Mismatch::Version { .. } => [Mismatch::Version { host: word("host-b"), here: word("0.1.0"), there: word("0.2.0") }],
    Mismatch::File { .. } => [Mismatch::File { lab: word("bridged"), host: word("host-b") }],
    Mismatch::Mtu { .. } => [Mismatch::Mtu { nic: word("enp0s8"), here: 1500, there: 9000, host: word("host-b") }],
    Mismatch::Lost { .. } => [
        lost(Frames::Plain, Way::In),
        lost(Frames::Plain, Way::Out),
        lost(Frames::ToGuest, Way::In),
        lost(Frames::ToGuest, Way::Out),
        lost(Frames::FromGuest, Way::In),
        lost(Frames::FromGuest, Way::Out),
        lost(Frames::Full, Way::In),
        lost(Frames::Full, Way::Out),
    ],
    Mismatch::Machine { .. } => [Mismatch::Machine { host: word("host-b") }],
    Mismatch::Hostname { .. } => [Mismatch::Hostname { hostname: word("vm"), host: word("host-b") }],
    Mismatch::Clock { .. } => [
        Mismatch::Clock { host: word("host-b"), days: 1 },
        Mismatch::Clock { host: word("host-b"), days: 400 },
    ],
});
