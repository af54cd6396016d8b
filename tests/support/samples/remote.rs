//! What goes wrong with other machines.

use std::path::PathBuf;

use nslab::commands::remote::Outcome;
use nslab::error::RemoteFault;

use super::word;

every!(remote_faults: RemoteFault {
    RemoteFault::Unreachable { .. } => [
        RemoteFault::Unreachable { remote: word("host-b"), address: word("192.168.100.2:8443"), errno: libc::EHOSTUNREACH },
        RemoteFault::Unreachable { remote: word("local"), address: word("/run/x/unix.socket"), errno: libc::ENOENT },
    ],
    RemoteFault::Handshake { .. } => [RemoteFault::Handshake { remote: word("b"), address: word("b:80"), why: word("eof") }],
    RemoteFault::Changed { .. } => [RemoteFault::Changed { remote: word("b"), old: "ab".repeat(32), new: "cd".repeat(32) }],
    RemoteFault::Untrusted(_) => [RemoteFault::Untrusted(word("host-b"))],
    RemoteFault::Refused { .. } => [RemoteFault::Refused { remote: word("host-b"), code: 404, text: word("x y") }],
    RemoteFault::NoApi(_) => [RemoteFault::NoApi(word("host-b"))],
    RemoteFault::Cut(_) => [RemoteFault::Cut(word("host-b"))],
    RemoteFault::NoToken(_) => [RemoteFault::NoToken(word("%%%"))],
    RemoteFault::Exists(_) => [RemoteFault::Exists(word("host-b"))],
    RemoteFault::Store { .. } => [RemoteFault::Store { file: PathBuf::from("/x"), errno: libc::EACCES }],
    RemoteFault::Damaged(_) => [RemoteFault::Damaged(PathBuf::from("/root/x"))],
});

every!(outcomes: Outcome {
    Outcome::Added { .. } => [Outcome::Added { remote: word("host-b"), address: word("https://h:8443") }],
    Outcome::Declined { .. } => [Outcome::Declined { remote: word("host-b") }],
    Outcome::Removed { .. } => [Outcome::Removed { remote: word("host-b") }],
});
