//! The end of every process of a lab, asked first and killed after a while; and how processes are stopped and go on.

use std::cell::LazyCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::processes::{self, Process, Seen, Spaces};
use super::spec::{Paths, Tried, error, short};
use crate::error::Result;
use crate::kernel::sys::process;

/// What SIGKILL may take, for hundreds of processes on a slow machine: one that does not die of it hangs in the kernel.
const KILLED: Duration = Duration::from_secs(10);

/// How long shims may take to notice the end of their inits.
const SHIM: Duration = Duration::from_millis(100);

/// How many processes are ended at a time: each needs a descriptor.
const BATCH: usize = 256;

/// How many such groups are ended at most.
const ROUNDS: usize = 256;

/// A process to end, by a handle that never names another one.
struct Target {
    seen: Seen,
    handle: OwnedFd,
    /// Nothing for one of those that appear while others are killed: a chain of forks is no news.
    process: Option<Process>,
}

/// Ends every process in the namespaces of some nodes (of all, where none is named), however it got there: SIGTERM, and SIGKILL
/// after the grace. Never this process nor one that it descends from.
///
/// Returns the processes that ended and those that could not be.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn end(paths: &Paths, nodes: &[String], grace: Duration) -> Result<(Vec<Process>, Vec<Process>)> {
    let shims = shims(paths, nodes);
    let ended = Ending::new(paths, nodes).and_then(|ending| ending.all(grace)).map_err(|failure| error("", failure))?;
    if ended.1.is_empty() {
        // Each ends with its init, unless that waits for a zombie that process 1 of the machine does not reap, or there is none.
        let until = Instant::now() + SHIM;
        for (shim, owner) in &shims {
            if *owner == Owner::Machine || !process::wait_end_until(shim, until) {
                let _ = process::send(shim, libc::SIGKILL);
            }
        }
    }
    Ok(ended)
}

struct Ending {
    spaces: Spaces,
    proc: File,
    /// Looked up where there is anybody to end.
    spared: LazyCell<HashSet<i32>>,
    targets: BTreeMap<i32, Target>,
    ended: Vec<Process>,
    killing: bool,
}

impl Ending {
    fn new(paths: &Paths, nodes: &[String]) -> Tried<Self> {
        let (spaces, proc, spared) =
            (Spaces::for_nodes(paths, nodes), processes::proc()?, LazyCell::new(processes::ancestors as fn() -> _));
        Ok(Self { spaces, proc, spared, targets: BTreeMap::new(), ended: Vec::new(), killing: false })
    }

    fn all(mut self, grace: Duration) -> Tried<(Vec<Process>, Vec<Process>)> {
        // Once, unless there are more processes than descriptors.
        for _ in 0..ROUNDS {
            if self.find()? == 0 {
                break;
            }
            self.ask();
            if !self.wait(grace) || self.find()? > 0 {
                self.kill()?;
            }
            if self.targets.values().any(alive) {
                break;
            }
        }
        self.settle();
        let left = self.targets.into_values().filter_map(|target| target.process.or_else(|| processes::describe(&target.seen)));
        Ok((self.ended, left.collect()))
    }

    /// Gives up the handles of those that are gone.
    fn settle(&mut self) {
        let (left, gone) = std::mem::take(&mut self.targets).into_iter().partition(|(_, target)| alive(target));
        self.targets = left;
        let gone: BTreeMap<i32, Target> = gone;
        // Nobody started an init.
        self.ended.extend(gone.into_values().filter(|target| !target.seen.is_init).filter_map(|target| target.process));
    }

    /// Takes a handle of every process that is new, as far as descriptors go; tells how many are.
    fn find(&mut self) -> Tried<usize> {
        self.settle();
        let mut new = 0;
        for seen in self.spaces.look(|pid| self.spared.contains(&pid))? {
            if self.targets.len() >= BATCH {
                break;
            }
            if self.targets.contains_key(&seen.pid) {
                continue;
            }
            let handle = match process::handle(seen.pid) {
                Ok(handle) => handle,
                Err(errno @ (Errno::EMFILE | Errno::ENFILE)) => {
                    // The next look needs some descriptors, too.
                    let spare = (0..4).filter_map(|_| self.targets.pop_last()).count();
                    new -= spare.min(new);
                    if self.targets.is_empty() {
                        return Err(("pidfd_open".to_owned(), errno));
                    }
                    break;
                }
                Err(_) => continue,
            };
            // The number may have been given to a stranger since.
            if self.spaces.node(&self.proc, seen.pid) != Some(seen.node.as_str()) || process::wait_end(&handle, 0) {
                continue;
            }
            let process = if self.killing { None } else { processes::describe(&seen) };
            self.targets.insert(seen.pid, Target { seen, handle, process });
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
            processes::wait_gone(target.seen.pid, &target.handle, rest)
        })
    }

    /// An init takes its whole sandbox along. Other processes are stopped before they are killed, so that none forks
    /// faster than it is found.
    fn kill(&mut self) -> Tried<()> {
        let began = Instant::now();
        self.killing = true;
        for target in self.targets.values().filter(|target| target.seen.is_init) {
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
                self.killing = false;
                return Ok(());
            }
        }
    }

    fn send(&self, signal: i32) {
        for target in self.targets.values().filter(|target| !target.seen.is_init) {
            let _ = process::send(&target.handle, signal);
        }
    }
}

/// It has neither ended nor let go of its namespaces.
fn alive(target: &Target) -> bool {
    !process::wait_end(&target.handle, 0) && processes::holds(target.seen.pid)
}

/// Who forks while it is stopped is found in the next look; a chain of forks ends before this.
const LOOKS: usize = 64;

/// Stops every process of some nodes, those included that appear meanwhile. Never this process nor one that it descends from.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn freeze(paths: &Paths, nodes: &[String]) -> Result<()> {
    signal(paths, nodes, libc::SIGSTOP).map_err(|failure| error("", failure))
}

/// Lets every stopped process of some nodes go on.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn thaw(paths: &Paths, nodes: &[String]) -> Result<()> {
    signal(paths, nodes, libc::SIGCONT).map_err(|failure| error("", failure))
}

fn signal(paths: &Paths, nodes: &[String], signal: i32) -> Tried<()> {
    let (spaces, proc, mut skip) = (Spaces::for_nodes(paths, nodes), processes::proc()?, processes::ancestors());
    for _ in 0..LOOKS {
        let new: HashSet<i32> =
            spaces.look(|pid| skip.contains(&pid))?.into_iter().filter(|seen| !seen.is_init).map(|seen| seen.pid).collect();
        if new.is_empty() {
            break;
        }
        for &pid in &new {
            let Ok(handle) = process::handle(pid) else { continue };
            // The number may have been given to a stranger since.
            if spaces.node(&proc, pid).is_some() {
                let _ = process::send(&handle, signal);
            }
        }
        skip.extend(new);
    }
    Ok(())
}

/// What a shim stands beside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// A sandbox, with whose init it ends.
    Sandbox,
    /// The machine itself, which plays the host.
    Machine,
}

/// Handles of the shims of some nodes of a lab; of all, where none is named.
pub(super) fn shims(paths: &Paths, nodes: &[String]) -> Vec<(OwnedFd, Owner)> {
    let entries = fs::read_dir(paths.lab.join("sandbox")).into_iter().flatten().flatten();
    let shim = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        let node = name.strip_suffix(".sock")?.trim_end_matches("+real");
        if !(nodes.is_empty() || nodes.iter().any(|asked| asked == node)) {
            return None;
        }
        let stream = short(&entry.path(), |path| UnixStream::connect(path)).ok()?;
        // The record of its sandbox bears the same name.
        let owner = if entry.path().with_extension("").exists() { Owner::Sandbox } else { Owner::Machine };
        Some((process::handle(process::peer(&stream)?).ok()?, owner))
    };
    entries.filter_map(shim).collect()
}

/// Ends the processes of a session and those that descend from its leader, as a terminal that closes would end them, and those that
/// do not mind by force.
pub(super) fn end_session(leader: i32, grace: Duration) {
    let mut known = HashSet::from([leader]);
    for signal in [libc::SIGHUP, libc::SIGTERM, libc::SIGKILL] {
        let handles: Vec<_> = members(leader, &mut known).into_iter().filter_map(|pid| process::handle(pid).ok()).collect();
        for handle in &handles {
            let _ = process::send(handle, signal);
            // A stopped process hears nothing.
            let _ = process::send(handle, libc::SIGCONT);
        }
        let until = Instant::now() + grace;
        if handles.iter().all(|handle| process::wait_end_until(handle, until)) {
            break;
        }
    }
}

/// The processes that live in a session, and those that descend from one that is known.
pub(super) fn members(leader: i32, known: &mut HashSet<i32>) -> Vec<i32> {
    let mut all = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        all.extend(family(pid).map(|(parent, session)| (pid, (parent, session))));
    }
    // Who is gone has given its number back.
    known.retain(|pid| *pid == leader || all.contains_key(pid));
    loop {
        let joins = |(pid, (parent, session)): (&i32, &(i32, i32))| {
            (!known.contains(pid) && (*session == leader || known.contains(parent))).then_some(*pid)
        };
        let new: Vec<i32> = all.iter().filter_map(joins).collect();
        if new.is_empty() {
            return known.iter().copied().filter(|pid| all.contains_key(pid)).collect();
        }
        known.extend(new);
    }
}

/// The parent and the session of a process that lives.
fn family(pid: i32) -> Option<(i32, i32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // proc_pid_stat(5): state, ppid, pgrp, session are fields 3 to 6.
    let mut fields = stat.rsplit(") ").next()?.split(' ');
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    let parent = fields.next()?.parse().ok()?;
    Some((parent, fields.nth(1)?.parse().ok()?))
}
