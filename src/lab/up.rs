//! The ways to another lab: a file is brought up, what is up is edited, the file comes back.

use std::path::Path;

use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};

use super::borrow::{NicPolicy, check, waits};
pub use super::converge::Up;
use super::converge::{By, Transition, Wanted, converge, give_up, guarded};
use super::journal::{Entry, Journal, PRIVATE, Phase, every, load};
use super::role::Casting;
use super::rundir::{self, Lock};
use super::{agents, down, facts, paths};
use crate::error::{Error, Result, Usage};
use crate::kernel::{Backend, Kernel, Scope, netfilter, netns, sandbox, sys};
use crate::name::LabName;
use crate::plan::steps::{self, Naming};
use crate::plan::{Plan, State, compile, diff};
use crate::report::lab::{Namespace, Progress, Reset};
use crate::topology::Topology;

/// Brings a lab up, or to what is described now; `topology.name` is its name.
pub fn up(topology: &Topology, report: &mut dyn FnMut(Progress)) -> Result<Up> {
    up_on(topology, &Casting::default(), &NicPolicy::default(), report)
}

/// As [`up`], with a role: only that host's part is made, on the machine itself, and its NICs are borrowed as that policy says. A lab
/// that has a role keeps it.
pub fn up_on(topology: &Topology, casting: &Casting, policy: &NicPolicy, report: &mut dyn FnMut(Progress)) -> Result<Up> {
    let name = &topology.name;
    let lock = guarded(|| rundir::hold(name)).inspect_err(|_| give_up(name, None))?;
    let begun = guarded(|| {
        let transition = transition(topology, casting)?;
        transition.check_names()?;
        check(name, &transition.wanted.state, policy)?;
        Ok(transition)
    });
    match begun {
        Ok(transition) => {
            let up = converge(transition, lock, policy, report)?;
            Ok(Up { confirm_within: waits(name), ..up })
        }
        Err(error) => {
            give_up(name, Some(lock));
            Err(error)
        }
    }
}

/// What `up` would do.
pub fn preview(topology: &Topology, casting: &Casting) -> Result<(Topology, Plan)> {
    transition(topology, casting).map(|transition| (transition.wanted.topology, transition.plan))
}

fn transition(topology: &Topology, casting: &Casting) -> Result<Transition> {
    // Of one that is stale or was taken back no more than files are left: the kernel's objects are gone.
    let before = Journal::read(&topology.name)?.filter(|before| !before.is_stale() && before.phase != Phase::RolledBack);
    let (mut topology, mut origin) = (topology.clone(), None);
    if let Some(before) = &before {
        topology.inherit(before.previous.as_ref().unwrap_or(&before.topology));
        topology.inherit(&before.topology);
        topology.inherit(before.described());
        before.origin.iter().for_each(|origin| topology.inherit(origin));
        let file = topology.clone();
        origin = topology.carry(before.described()).then_some(file);
    }
    let wanted = Wanted::cast(&topology, origin, casting, before.as_ref())?;
    Transition::observe(wanted, before, By::File)
}

/// A lab that is up, and the lock on it.
fn hold(name: &LabName) -> Result<(Lock, Journal)> {
    let not_up = || Error::Usage(Usage::NotUp(name.to_string()));
    match rundir::lock_lab(name)? {
        Some(lock) => load(name).map(|journal| (lock, journal)),
        None => load(name).and_then(|_| Err(not_up())),
    }
}

/// Edits the lab's topology and makes the lab so; one that fails is undone. Returns what the edit returned, and how many
/// operations it took.
///
/// # Errors
/// Those of the edit, before anything is touched; `Usage::NotUp` for a lab that is not up; those of `up`.
pub(super) fn change<T>(name: &LabName, edit: impl FnOnce(&mut Topology) -> Result<T>) -> Result<(T, usize)> {
    let (lock, journal) = hold(name)?;
    if !matches!(journal.phase, Phase::Up | Phase::Coming) || journal.is_stale() {
        return Err(Error::Usage(Usage::NotUp(name.to_string())));
    }
    let mut topology = journal.described().clone();
    let outcome = edit(&mut topology)?;
    let origin = origin(&journal, &topology);
    Ok((outcome, follow(&topology, origin, journal, lock)?))
}

/// Makes a lab as its file describes it: what was launched goes, with its files; what was stopped runs. Returns how many
/// operations it took.
///
/// # Errors
/// As [`change`].
fn back(name: &LabName) -> Result<usize> {
    let (lock, journal) = hold(name)?;
    let Some(mut topology) = journal.origin.clone() else { return Ok(0) };
    topology.count_on(journal.described());
    let before: Vec<_> = journal.topology.instances().map(|(host, own)| (host.name.clone(), own.name.clone())).collect();
    let operations = follow(&topology, None, journal, lock)?;
    let paths = paths::sandboxes(name);
    for (host, container) in before {
        if topology.container(host.as_str(), container.as_str()).is_none() {
            sandbox::forget(&paths, &format!("{host}.{container}"))?;
        }
    }
    Ok(operations)
}

/// Removes what was made by hand and restores what is missing.
pub fn reset(name: &LabName) -> Result<Reset> {
    let back = back(name)?;
    let Some(_lock) = rundir::lock_lab(name)? else {
        return load(name).map(|_| Reset::nothing(name));
    };
    let mut journal = load(name)?;
    let owned = journal.owned();
    let scope = facts::wide(owned);
    let (operations, left) = restore(name, &scope, &compile(&journal.topology))?;
    let own = facts::namespaces(&journal);
    for Namespace { host, name: namespace } in &own {
        unpin(&paths::host_netns(name, host).join(namespace))?;
    }
    let nodes = facts::nodes(&scope);
    let tables = netfilter::flush(&paths::pins(name), &nodes)?;
    for host in agents::asleep(&journal.topology) {
        agents::start(name, &host)?;
    }
    journal.phase = Phase::Up;
    journal.previous = None;
    journal.write()?;
    let left = steps::by_hand(&left, &Naming::from_topology(&journal.topology));
    Ok(Reset { operations: back + operations, namespaces: own.len(), tables, left, ..Reset::nothing(name) })
}

/// How often it is looked whether all is as wanted: what one operation takes along the next look finds.
const LOOKS: usize = 4;

/// Makes it as wanted; how many operations it took, and what would still be to do.
fn restore(name: &LabName, scope: &Scope, wanted: &State) -> Result<(usize, Plan)> {
    let pins = paths::pins(name);
    let mut kernel = Kernel::new(pins.clone());
    let (mut operations, mut left) = (0, Plan::new());
    for look in 1..=LOOKS {
        let seen = kernel.observe(scope)?;
        let from: State = seen.into_iter().filter(|fact| facts::matters(fact, wanted)).collect();
        left = diff(&from, wanted);
        for node in facts::unlisted(&pins, &from, wanted) {
            pins.list(&node).map_err(|(tried, errno)| netns::error(&node, &tried, errno))?;
            operations += 1;
        }
        if left.is_empty() || look == LOOKS {
            break;
        }
        match kernel.apply(&left, &mut |_| {}) {
            Ok(()) => operations += left.len(),
            // What an operation took along, the next look finds: a slave that leaves a bond is down.
            Err(_) if look + 1 < LOOKS => {}
            Err(error) => return Err(error),
        }
    }
    Ok((operations, left))
}

fn unpin(pin: &Path) -> Result<()> {
    while umount2(pin, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW).is_ok() {}
    match nix::unistd::unlink(pin) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(errno) => Err(paths::system("unlink", pin, errno)),
    }
}

/// The lab follows its topology; returns how many operations it took.
fn follow(topology: &Topology, origin: Option<Topology>, before: Journal, lock: Lock) -> Result<usize> {
    let wanted = Wanted::cast(topology, origin, &Casting::default(), Some(&before))?;
    let transition = Transition::observe(wanted, Some(before), By::Edit)?;
    transition.check_names()?;
    Ok(converge(transition, lock, &NicPolicy::default(), &mut |_| {})?.operations)
}

/// What the file describes; none while nothing differs from it.
fn origin(journal: &Journal, edited: &Topology) -> Option<Topology> {
    let mut file = journal.origin.as_ref().unwrap_or(journal.described()).clone();
    // Numbers that were given stay given.
    file.count_on(edited);
    (file != *edited).then_some(file)
}

/// A lab that goes when this does.
#[derive(Debug)]
pub struct Private {
    name: LabName,
    gone: bool,
}

impl Private {
    /// Brings a topology up under a name that no lab has.
    ///
    /// # Errors
    /// As [`up()`].
    pub fn bring_up(mut topology: Topology, report: &mut dyn FnMut(Progress)) -> Result<Self> {
        let pid = std::process::id();
        let free = |name: &LabName| !paths::lab(name).exists();
        let name = (1..u16::MAX).filter_map(|number| format!("{PRIVATE}-{pid}-{number}").parse().ok()).find(free);
        let name: LabName = name.ok_or_else(|| Error::Internal("no name is free".to_owned()))?;
        topology.rename(name.clone())?;
        up(&topology, report)?;
        Ok(Self { name, gone: false })
    }

    /// Its entry in the index.
    ///
    /// # Errors
    /// `Internal` where somebody has taken it down.
    pub fn entry(&self) -> Result<Entry> {
        let found = every().into_iter().find(|entry| entry.lab == self.name);
        found.ok_or_else(|| Error::Internal(format!("{} has gone", self.name)))
    }

    /// Takes it down; what fails once is tried again, since nobody else would.
    ///
    /// # Errors
    /// As [`down()`].
    pub fn end(mut self) -> Result<()> {
        let down = || down(&self.name, &mut |_| {}).map(drop);
        let ended = down().or_else(|_| down());
        self.gone = true;
        ended
    }
}

impl Drop for Private {
    /// On the way out of an error or a panic.
    fn drop(&mut self) {
        if !self.gone {
            let _hold = sys::hold_signals();
            let _ = down(&self.name, &mut |_| {});
        }
    }
}
