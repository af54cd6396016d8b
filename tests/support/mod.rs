//! What the tests on the real kernel share: a box to work in, nslab as a process, and foreign eyes on the machine.

#![allow(dead_code, unused_imports, reason = "every test file uses its own part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, clippy::missing_panics_doc, unreachable_pub)]

use std::time::Duration;

mod boxed;
pub mod capture;
pub mod foreseen;
mod json;
mod machine;
pub mod other;
mod run;
mod traced;
mod wiring;

pub use boxed::in_box;
pub use json::documented;
pub use machine::{Machine, canaries, running};
pub use run::{Ran, count_faults, fails, ifindex, nslab, nslab_at, ok, run, sh, spawn, wait_for};
pub use traced::{Case, Traced};
pub use wiring::{Wiring, inside, nodes, pings};

/// Incus's stock client, where `make test` puts it.
pub const INCUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/tools/bin/incus");

/// How often to do again what may go wrong now and then: so often, or less where the environment says that the machine is slow.
pub fn rounds(times: u32) -> u32 {
    let most = std::env::var("NSLAB_TEST_ROUNDS").ok().and_then(|text| text.parse().ok());
    most.map_or(times, |most: u32| times.min(most))
}

/// A limit of time that no quiet machine comes near; more where the environment says how many times slower this one is.
pub fn limit(milliseconds: u64) -> Duration {
    let slow = std::env::var("NSLAB_TEST_SLOW").ok().and_then(|text| text.parse().ok());
    Duration::from_millis(milliseconds * slow.unwrap_or(1))
}

/// Every topology that nslab brings along, from the files themselves.
pub fn shipped() -> Vec<String> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/topologies");
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .expect("topologies/ is there")
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    assert!(names.len() >= 8, "some shipped topologies are missing: {names:?}");
    names
}
