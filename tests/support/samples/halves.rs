//! What is between the halves of a lab.

use nslab::report::lab::{Discord, Frames, Way};

use super::word;

fn lost(frames: Frames, way: Way) -> Discord {
    Discord::Lost { frames, way, nic: word("enp0s8"), host: word("host-b"), mtu: 1500 }
}

every!(discords: Discord {
    Discord::Role { .. } => [
        Discord::Role { lab: word("bridged"), host: word("host-a"), hostname: word("vm"), free: vec![word("host-b")] },
        Discord::Role { lab: word("bridged"), host: word("host-a"), hostname: word("vm"), free: Vec::new() },
    ],
    Discord::Lab { .. } => [
        Discord::Lab { here: word("bridged"), there: word("monday"), hostname: word("vm"), host: word("host-b") },
    ],
    Discord::Mac { .. } => [Discord::Mac { nic: word("enp0s8"), mac: word("08:00:27:00:00:01"), host: word("host-b") }],
    Discord::Version { .. } => [Discord::Version { host: word("host-b"), here: word("0.1.0"), there: word("0.2.0") }],
    Discord::File { .. } => [Discord::File { lab: word("bridged"), host: word("host-b") }],
    Discord::Mtu { .. } => [Discord::Mtu { nic: word("enp0s8"), here: 1500, there: 9000, host: word("host-b") }],
    Discord::Lost { .. } => [
        lost(Frames::Plain, Way::In),
        lost(Frames::Plain, Way::Out),
        lost(Frames::ToGuest, Way::In),
        lost(Frames::ToGuest, Way::Out),
        lost(Frames::FromGuest, Way::In),
        lost(Frames::FromGuest, Way::Out),
        lost(Frames::Full, Way::In),
        lost(Frames::Full, Way::Out),
    ],
    Discord::Machine { .. } => [Discord::Machine { host: word("host-b") }],
    Discord::Hostname { .. } => [Discord::Hostname { hostname: word("vm"), host: word("host-b") }],
    Discord::Clock { .. } => [
        Discord::Clock { host: word("host-b"), days: 1 },
        Discord::Clock { host: word("host-b"), days: 400 },
    ],
});
