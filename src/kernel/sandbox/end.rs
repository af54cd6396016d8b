//! The end of every process of a lab: asked first, killed after a while.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use super::scan::{self, Process, Spaces};
use super::{Paths, Tried, error, record};
use crate::error::Result;
use crate::kernel::sys::process;

/// What SIGKILL may take: a process that does not die of it hangs in the kernel.
const KILLED: Duration = Duration::from_secs(2);

/// A process to end, by a handle that never names another one.
struct Target {
    pid: i32,
    handle: OwnedFd,
    is_init: bool,
    told: Option<Process>,
}

/// Ends every process in the lab's namespaces, however it got there: SIGTERM, and SIGKILL after the grace. Never this
/// process nor one that it descends from.
///
/// Returns the processes that ended and those that could not be.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn end_all(paths: &Paths, grace: Duration) -> Result<(Vec<Process>, Vec<Process>)> {
    end(paths, &[], grace)
}

/// Ends the processes of some nodes (of all, where none is named), as [`end_all`] does.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn end(paths: &Paths, nodes: &[String], grace: Duration) -> Result<(Vec<Process>, Vec<Process>)> {
    Ending::of(paths, nodes).and_then(|ending| ending.all(grace)).map_err(|failure| error("", failure))
}

struct Ending {
    spaces: Spaces,
    proc: File,
    spared: HashSet<i32>,
    targets: BTreeMap<i32, Target>,
}

impl Ending {
    fn of(paths: &Paths, nodes: &[String]) -> Tried<Self> {
        Ok(Self { spaces: Spaces::of(paths, nodes), proc: scan::proc()?, spared: scan::ancestors(), targets: BTreeMap::new() })
    }

    fn all(mut self, grace: Duration) -> Tried<(Vec<Process>, Vec<Process>)> {
        if self.find()? == 0 {
            return Ok((Vec::new(), Vec::new()));
        }
        self.ask();
        if !self.wait(grace) || self.find()? > 0 {
            self.kill()?;
        }
        let (mut ended, mut left) = (Vec::new(), Vec::new());
        for (_, target) in self.targets {
            let list = match (alive(&target), target.is_init) {
                (true, _) => &mut left,
                (false, false) => &mut ended,
                // Nobody started it.
                (false, true) => continue,
            };
            list.extend(target.told);
        }
        Ok((ended, left))
    }

    /// Takes a handle of every process that is new; tells how many are.
    fn find(&mut self) -> Tried<usize> {
        let mut new = 0;
        for seen in self.spaces.look(&self.spared)? {
            if self.targets.get(&seen.pid).is_some_and(alive) {
                continue;
            }
            let Ok(handle) = process::handle(seen.pid) else { continue };
            // The number may have been given to a stranger since.
            if self.spaces.node(&self.proc, seen.pid) != Some(seen.node.as_str()) || process::wait_end(&handle, 0) {
                continue;
            }
            let target = Target { pid: seen.pid, handle, is_init: seen.is_init, told: scan::describe(&seen) };
            self.targets.insert(seen.pid, target);
            new += 1;
        }
        Ok(new)
    }

    /// SIGHUP too, for interactive shells ignore SIGTERM; SIGCONT, for a stopped process hears nothing.
    fn ask(&self) {
        for signal in [libc::SIGTERM, libc::SIGHUP, libc::SIGCONT] {
            self.send(signal);
        }
    }

    /// Waits until every process has ended, at most so long.
    fn wait(&self, limit: Duration) -> bool {
        let began = Instant::now();
        self.targets.values().all(|target| {
            let rest = limit.saturating_sub(began.elapsed());
            record::wait_gone(target.pid, &target.handle, rest)
        })
    }

    /// An init takes its whole sandbox along. Other processes are stopped before they are killed, so that none forks
    /// faster than it is found.
    fn kill(&mut self) -> Tried<()> {
        let began = Instant::now();
        for target in self.targets.values().filter(|target| target.is_init) {
            let _ = process::send(&target.handle, libc::SIGKILL);
        }
        loop {
            self.send(libc::SIGSTOP);
            if self.find()? > 0 && began.elapsed() < KILLED {
                continue;
            }
            self.send(libc::SIGKILL);
            let gone = self.wait(Duration::from_millis(100));
            if (self.find()? == 0 && gone) || began.elapsed() >= KILLED {
                return Ok(());
            }
        }
    }

    fn send(&self, signal: i32) {
        for target in self.targets.values().filter(|target| !target.is_init) {
            let _ = process::send(&target.handle, signal);
        }
    }
}

/// It has neither ended nor let go of its namespaces.
fn alive(target: &Target) -> bool {
    !process::wait_end(&target.handle, 0) && record::holds(target.pid)
}
