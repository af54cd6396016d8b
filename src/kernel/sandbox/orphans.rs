//! The shim of a sandbox is left to process 1, which in many a Docker container reaps nobody: there nslab waits for it itself.

use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::prctl::{get_child_subreaper, set_child_subreaper};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// How long a sandbox may take to end after its last command. One that goes on, for a daemon in it, is left.
const PATIENCE: Duration = Duration::from_millis(200);

/// Orphans of this process are its own children again, and reaped at the end of this.
#[derive(Debug)]
pub(super) struct Orphans(());

impl Orphans {
    /// Takes them over where process 1 would leave them as zombies.
    pub(super) fn adopt() -> Option<Self> {
        let adopts = !is_reaper(&std::fs::read_to_string("/proc/1/status").ok()?)
            && !get_child_subreaper().unwrap_or(true)
            && set_child_subreaper(true).is_ok();
        adopts.then_some(Self(()))
    }
}

impl Drop for Orphans {
    fn drop(&mut self) {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            match waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) => std::thread::sleep(Duration::from_millis(1)),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(_) => break,
            }
        }
        let _ = set_child_subreaper(false);
    }
}

/// Whether a process, by its `/proc/PID/status`, does anything about children that end: SIGCHLD is ignored, caught or, for
/// signalfd(2), blocked.
fn is_reaper(status: &str) -> bool {
    let masks = status.lines().filter(|line| ["SigIgn:", "SigCgt:", "SigBlk:"].iter().any(|name| line.starts_with(name)));
    let mask = |line: &str| u64::from_str_radix(line.split_whitespace().nth(1)?, 16).ok();
    masks.filter_map(mask).any(|mask| mask & (1 << (libc::SIGCHLD - 1)) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_nothing_about_children_is_no_reaper() {
        let status = |mask: &str| {
            format!("Name:\tx\nSigQ:\t0/96\nSigBlk:\t0000000000000000\nSigIgn:\t{mask}\nSigCgt:\t0000000000000000\n")
        };
        assert!(!is_reaper(&status("0000000000001000")));
        assert!(is_reaper(&status("0000000000010000")));
    }
}
