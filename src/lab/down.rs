//! `down`: everything goes, with or without a readable journal, as often as it takes.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};

use super::borrow::restore::give_back;
use super::borrow::{self, change};
use super::journal::{self, Journal, Phase};
use super::paths::{self, system};
use super::rundir::{self, Lock};
use super::{agents, facts, index};
use crate::error::{Error, JournalFault, Left, Result, Rollback};
use crate::kernel::mounts::Mounts;
use crate::kernel::sys::process::errno;
use crate::kernel::{fault, sandbox, sys, teardown};
use crate::name::LabName;
use crate::plan::{NodeId, State};
use crate::report::lab::{Down, LeftAlone, Process, Progress};
use crate::topology::Topology;

/// How long processes have to end by themselves.
const GRACE: Duration = Duration::from_secs(2);

/// Takes a lab down; one that is not there is down already.
pub fn down(name: &LabName, tell: &mut dyn FnMut(Progress)) -> Result<Down> {
    tell(Progress { done: 0, of: 1 });
    let start = Instant::now();
    let Some(lock) = rundir::lock_lab(name)? else {
        rundir::tidy()?;
        return Ok(Down {
            lab: name.clone(),
            was_up: false,
            ended: Vec::new(),
            left_alone: Vec::new(),
            milliseconds: since(start),
        });
    };
    // Without one that can be understood everything goes that is pinned under the name.
    let (mut journal, damaged) = match Journal::read(name) {
        Ok(journal) => (journal, None),
        Err(error @ Error::Journal { why: JournalFault::Damaged, .. }) => (None, Some(error)),
        Err(Error::Journal { why: JournalFault::Newer(..), .. }) => (None, None),
        Err(error) => return Err(error),
    };
    if let Some(journal) = &mut journal {
        journal.phase = Phase::Going;
        // A full disk must not keep anything up.
        let _ = journal.write();
    }
    let _hold = sys::hold_signals();
    let down = dismantle(name, journal.as_ref(), lock, start)?;
    tell(Progress { done: 1, of: 1 });
    damaged.map_or(Ok(down), Err)
}

/// Removes everything of a lab whose lock is held, its records last; the journal is none where there is none that can be read.
pub(super) fn dismantle(name: &LabName, journal: Option<&Journal>, lock: Lock, start: Instant) -> Result<Down> {
    agents::end(name)?;
    // The way to the machine first: what follows may take its time.
    let facts = on_machine(journal);
    let lost = borrow::is_lost(name).then(|| Left::Borrowed(nics(&facts)));
    // Before what leads to them goes.
    let unknown = journal.is_none() && facts::is_record_lost(name);
    let restored = give_back(name, &facts)?;
    let ended = strip(name, journal)?;
    // It has watched until here: a kill on the way down is no reason to stay cut off.
    change::end(name);
    if !restored.left.is_empty() {
        return Err(Error::Left(restored.left));
    }
    agents::drop_unused(name);
    journal::delete(name)?;
    leave(name, lock)?;
    let suspects = if unknown { facts::suspects() } else { Vec::new() };
    let left: Vec<Left> = lost.into_iter().chain(suspects.into_iter().map(Left::Suspect)).collect();
    if left.is_empty() { Ok(gone(name, ended, restored.left_alone, start)) } else { Err(Error::Left(left)) }
}

fn gone(name: &LabName, ended: Vec<Process>, left_alone: Vec<LeftAlone>, start: Instant) -> Down {
    Down { lab: name.clone(), was_up: true, ended, left_alone, milliseconds: since(start) }
}

fn since(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1000.0
}

/// The machine's NICs in a state, for a sentence.
fn nics(facts: &State) -> String {
    let names: Vec<String> = borrow::uses(facts).into_iter().map(|used| used.nic.to_string()).collect();
    names.join(", ")
}

/// The facts of a lab that has something on the machine itself, as far as its journal tells.
fn on_machine(journal: Option<&Journal>) -> State {
    journal.filter(|journal| journal.has_role()).map(Journal::owned).unwrap_or_default()
}

/// Everything of a lab but its records.
fn strip(name: &LabName, journal: Option<&Journal>) -> Result<Vec<Process>> {
    let directory = paths::lab(name);
    let ended = end_processes(name, &[], GRACE)?;
    // What was made by hand is pinned under `run`; the private layers are a file system of their own.
    for mount in ["run", "layers"] {
        drop_tree(&directory.join(mount))?;
    }
    // Before the namespaces that the other ends of the machine's cables are in.
    facts::clear_machine(name, journal)?;
    teardown::unplug(&paths::pins(name));
    let pinned = |(path, errno): (std::path::PathBuf, Errno)| system("remove", &path, errno);
    teardown::all(&paths::pins(name), &mut |_| {}).map_err(pinned)?;
    drop_tree(&directory.join("sandbox"))?;
    Ok(ended)
}

/// Takes a lab back whose change of a NIC nobody kept: all but its records, which say why.
pub(super) fn roll_back(name: &LabName, lock: Lock, why: Rollback) -> Result<Down> {
    let start = Instant::now();
    let journal = Journal::read(name);
    let readable = journal.as_ref().ok().and_then(Option::as_ref);
    // The NICs come back whatever has become of the journal; what is wrong with it is told after that.
    let restored = give_back(name, &on_machine(readable))?;
    let ended = strip(name, readable);
    borrow::mark(name, why)?;
    if let Some(mut journal) = journal? {
        journal.phase = Phase::RolledBack;
        journal.write()?;
    }
    drop(lock);
    if !restored.left.is_empty() {
        return Err(Error::Left(restored.left));
    }
    Ok(gone(name, ended?, restored.left_alone, start))
}

/// The last steps: the index, the lab's own directory, and what all labs share.
fn leave(name: &LabName, lock: Lock) -> Result<()> {
    let all = rundir::existing()?;
    index::leave(name)?;
    let directory = paths::lab(name);
    fault::point().map_err(|errno| system("rmdir", &directory, errno))?;
    match fs::remove_dir(&directory) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) if errno(&error) == Errno::ENOTEMPTY => drop_tree(&directory)?,
        Err(error) => return Err(system("rmdir", &directory, errno(&error))),
    }
    drop(lock);
    all.map_or(Ok(()), rundir::close)
}

/// Detaches what is mounted at and under a directory, and removes it.
fn drop_tree(path: &Path) -> Result<()> {
    if fs::symlink_metadata(path).is_err() {
        return Ok(());
    }
    loop {
        fault::point().map_err(|errno| system("umount", path, errno))?;
        match umount2(path, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
            Ok(()) => {}
            Err(Errno::EINVAL | Errno::ENOENT) => break,
            Err(errno) => return Err(system("umount", path, errno)),
        }
    }
    for below in Mounts::read().iter().flat_map(|mounts| mounts.points_under(path)) {
        let _ = umount2(below, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW);
    }
    fault::point().map_err(|errno| system("rm -r", path, errno))?;
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(system("rm -r", path, errno(&error))),
        _ => Ok(()),
    }
}

/// Ends the processes of nodes that a changed topology no longer has running; one that is only stopped keeps its files.
pub(super) fn end_nodes(topology: &Topology, nodes: &[NodeId]) -> Result<()> {
    let name = &topology.name;
    if nodes.is_empty() {
        return Ok(());
    }
    end_processes(name, nodes, GRACE)?;
    let stays = |node: &&NodeId| match node {
        NodeId::Container(host, container) => topology.container(host.as_str(), container.as_str()).is_some(),
        NodeId::Host(_) | NodeId::Switch(_) => false,
    };
    let paths = paths::sandboxes(name);
    let mut gone = nodes.iter().filter(|node| !stays(node));
    gone.try_for_each(|node| sandbox::forget(&paths, &node.to_string()))
}

/// Ends every process of some nodes (of all, where none is named); those that ended.
pub(super) fn end_processes(name: &LabName, nodes: &[NodeId], grace: Duration) -> Result<Vec<Process>> {
    let names: Vec<String> = nodes.iter().map(ToString::to_string).collect();
    let (ended, left) = sandbox::end(&paths::sandboxes(name), &names, grace)?;
    if !left.is_empty() {
        return Err(Error::Left(left.into_iter().map(|process| Left::Process(process.pid, process.command)).collect()));
    }
    Ok(ended.into_iter().map(|process| Process { pid: process.pid, command: process.command }).collect())
}
