//! The init of a sandbox: process 1 of its PID namespace, there as long as anything else lives in it.

use std::fs::File;
use std::os::fd::OwnedFd;

use nix::fcntl::{Flock, FlockArg};

use super::record;
use crate::kernel::sys::process;

/// Stays until nothing else lives in the sandbox and nobody is about to join it.
pub(super) fn stay(mut lock: File, record: &File) -> i32 {
    loop {
        if let Some(process) = another() {
            process::wait_end(&process, -1);
            continue;
        }
        // A joiner holds the lock until its process runs.
        let held = match Flock::lock(lock, FlockArg::LockExclusive) {
            Ok(held) => held,
            Err((file, _)) => {
                lock = file;
                continue;
            }
        };
        if another().is_none() {
            record::note_end(record);
            // Given back by the kernel, as late as can be.
            std::mem::forget(held);
            return 0;
        }
        match held.unlock() {
            Ok(file) => lock = file,
            Err(_) => return 1,
        }
    }
}

/// Some process of the sandbox that is alive. The kernel reaps those that end, as SIGCHLD is ignored; zombies of a
/// parent outside the sandbox do not count.
fn another() -> Option<OwnedFd> {
    let entries = std::fs::read_dir("/proc").ok()?;
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|&pid| pid != 1).filter_map(|pid| process::handle(pid).ok()).find(|process| !process::wait_end(process, 0))
}
