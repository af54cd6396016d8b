//! From what there is of a lab to what it is to be: looked at, planned, carried out, and undone if that fails.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::borrow::NicPolicy;
use super::borrow::change::{NicChange, adopt, attend};
use super::journal::{self, Journal, Phase};
use super::paths::{self, system};
use super::role::{Casting, cast};
use super::rundir::{self, Lock};
use super::{agents, down, facts};
use crate::error::{Error, Limit, Result};
use crate::kernel::{Backend, Kernel, Pins, fault, interrupted, netns, sandbox, sys};
use crate::name::{LabName, NodeName};
use crate::plan::{Fact, NodeId, Ns, Op, Plan, State, diff};
use crate::report::lab::{Outcome, Progress};
use crate::topology::{Host, Topology};

/// What a lab is to be.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// The part that this machine plays, or all of it, with every number given out.
    pub(super) topology: Topology,
    /// What `topology` is a part of, where the machine plays one host of it.
    pub(super) whole: Option<Topology>,
    /// What the file describes, where something was launched, stopped or configured since.
    pub(super) origin: Option<Topology>,
    /// Its facts.
    pub(super) state: State,
}

impl Wanted {
    /// The lab as this machine plays it; the described topology has its numbers.
    pub(super) fn cast(
        described: &Topology,
        origin: Option<Topology>,
        casting: &Casting,
        before: Option<&Journal>,
    ) -> Result<Self> {
        let (mut topology, whole) = cast(described, casting, before)?;
        adopt(&mut topology)?;
        let state = facts::of_topology(&topology)?;
        Ok(Self { topology, whole, origin, state })
    }

    fn is_described_in(&self, journal: &Journal) -> bool {
        journal.topology == self.topology && journal.whole == self.whole && journal.origin == self.origin
    }
}

/// What makes the lab another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// A file: everything becomes as it says.
    File,
    /// An edit of the lab's topology: what is not edited stays as it is, whatever somebody has done to it.
    Edit,
}

/// The way from what there is of a lab to what it is to be.
pub(super) struct Transition {
    by: By,
    before: Option<Journal>,
    pub(super) wanted: Wanted,
    /// Every fact of the lab so far; none where it stays what it is.
    owned: State,
    /// What the machine's own facts were before nslab touched them.
    baseline: State,
    pub(super) plan: Plan,
    /// Nodes whose entry in `/run/netns` is gone.
    unlisted: Vec<NodeId>,
    /// Hosts whose agent is to be started.
    asleep: Vec<NodeName>,
}

impl Transition {
    /// Looks at what there is, and compares.
    pub(super) fn observe(wanted: Wanted, before: Option<Journal>, by: By) -> Result<Self> {
        let pins = paths::pins(&wanted.topology.name);
        let same = before.as_ref().is_some_and(|before| before.previous.is_none() && wanted.is_described_in(before));
        let was = match &before {
            Some(before) if !same || by == By::Edit => facts::of_topology(&before.topology)?,
            _ => State::new(),
        };
        let mut owned = if same { State::new() } else { was.clone() };
        if let Some(previous) = before.as_ref().and_then(|before| before.previous.as_ref()) {
            owned.extend(facts::of_topology(previous)?);
        }
        let mut baseline = before.as_ref().map(|before| before.baseline.clone()).unwrap_or_default();
        let mut expected = owned.clone();
        expected.extend(wanted.state.clone());
        expected.extend(baseline.clone());
        let mut scope = facts::scope(expected);
        if !paths::is_reachable(Path::new(paths::RUN)) {
            // A lab of that name may be there, but it is somebody else's.
            scope.spaces.retain(|ns| *ns == Ns::Root);
        }
        let seen = Kernel::new(pins.clone()).observe(&scope)?;
        if !same {
            facts::clash(&seen, &owned, &wanted.state)?;
        }
        let alone = match &before {
            Some(before) if by == By::Edit => facts::untouched(before, &was, &seen, &wanted.state)?,
            _ => State::new(),
        };
        let from: State = seen.into_iter().filter(|fact| scope.expected.has(fact.slot())).chain(alone).collect();
        if !same {
            baseline.extend(facts::found(&from, &owned));
        }
        let (plan, unlisted) = {
            let target = facts::over(&baseline, &wanted.state);
            (diff(&from, &target), facts::unlisted(&pins, &from, &target))
        };
        let asleep = match by {
            By::File => agents::asleep(&wanted.topology),
            By::Edit => Vec::new(),
        };
        Ok(Self { by, before, wanted, owned, baseline, plan, unlisted, asleep })
    }

    /// Every name that the plan needs outside the lab must be free, or nslab's own.
    pub(super) fn check_names(&self) -> Result<()> {
        let pins = paths::pins(&self.wanted.topology.name);
        for op in &self.plan {
            let Op::Add(Fact::Netns(Ns::Node(node))) = op else { continue };
            let (link, pin) = (pins.link(node), pins.pin(node));
            let taken = |path: &Path| Err(Error::Conflict { what: path.display().to_string(), own: paths::is_own(path) });
            match std::fs::read_link(&link) {
                Ok(target) if target != pin => return taken(&link),
                Err(_) if std::fs::symlink_metadata(&link).is_ok() => return taken(&link),
                _ => {}
            }
            if std::fs::symlink_metadata(&pin).is_ok_and(|meta| !meta.is_file()) {
                return taken(&pin);
            }
        }
        Ok(())
    }

    fn outcome(&self) -> Outcome {
        match &self.before {
            None => Outcome::Created,
            Some(before) if before.phase != Phase::Up => Outcome::Completed,
            Some(before) if !self.wanted.is_described_in(before) => Outcome::Changed,
            Some(_) if self.plan.is_empty() && self.unlisted.is_empty() && self.asleep.is_empty() => Outcome::Already,
            Some(_) => Outcome::Repaired,
        }
    }

    /// The journal while the plan is under way: old and new are owned.
    fn coming(&self) -> Journal {
        let mut journal = Journal::new(self.wanted.topology.clone());
        journal.whole.clone_from(&self.wanted.whole);
        journal.origin.clone_from(&self.wanted.origin);
        journal.baseline.clone_from(&self.baseline);
        if let Some(before) = &self.before {
            journal.since = before.since;
            journal.previous = Some(before.topology.clone());
        }
        journal
    }

    /// Every fact of the lab so far and from now on.
    fn all_owned(&self) -> Cow<'_, State> {
        facts::over(&self.owned, &self.wanted.state)
    }

    /// Enters the lab among the others as a journal says.
    fn enter(&self, journal: &Journal) -> Result<()> {
        let _all = rundir::open()?;
        match self.by {
            By::File => journal::add_to_index(&journal.topology, journal.whole.as_ref(), journal.since),
            By::Edit => journal::renew_in_index(&journal.topology, journal.whole.as_ref()),
        }
    }
}

/// What was found and done.
#[derive(Debug)]
pub struct Up {
    /// How it went.
    pub outcome: Outcome,
    /// Operations carried out.
    pub operations: usize,
    /// The lab's journal now.
    pub journal: Journal,
    /// Seconds within which somebody must confirm a change of the machine's NICs; an edit makes none.
    pub confirm_within: Option<u64>,
}

/// Carries a transition out, or undoes what was done.
pub(super) fn converge(
    mut transition: Transition,
    lock: Lock,
    policy: &NicPolicy,
    report: &mut dyn FnMut(Progress),
) -> Result<Up> {
    let (outcome, operations) = (transition.outcome(), transition.plan.len());
    if outcome == Outcome::Already
        && operations == 0
        && let Some(journal) = transition.before.take()
    {
        attend(&transition.wanted.topology.name)?;
        return Ok(Up { outcome, operations, journal, confirm_within: None });
    }
    let mut change = None;
    match persist(&transition, policy, &mut change, report) {
        Ok(journal) => {
            change.into_iter().for_each(NicChange::done);
            Ok(Up { outcome, operations, journal, confirm_within: None })
        }
        Err(error) => Err(undo(&transition, lock, change, error)),
    }
}

/// A name whose last bearer is dying with its namespace is not free for a moment, though nothing shows it any more: then
/// what is there is looked at again, and the rest is done.
fn persist(
    transition: &Transition,
    policy: &NicPolicy,
    change: &mut Option<NicChange>,
    report: &mut dyn FnMut(Progress),
) -> Result<Journal> {
    let first = guarded(|| carry_out(transition, policy, change, report));
    if transition.before.is_none() {
        return first;
    }
    patiently(first, || {
        guarded(|| {
            let rest = Transition::observe(transition.wanted.clone(), Some(transition.coming()), transition.by)?;
            rest.check_names()?;
            carry_out(&rest, policy, change, report)
        })
    })
}

/// Tries again for a second while a name is taken.
fn patiently<T>(first: Result<T>, mut again: impl FnMut() -> Result<T>) -> Result<T> {
    let mut result = first;
    for _ in 0..20 {
        if !matches!(&result, Err(Error::Kernel(why)) if why.errno == Errno::EEXIST as i32) {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
        result = again();
    }
    result
}

fn carry_out(
    transition: &Transition,
    policy: &NicPolicy,
    change: &mut Option<NicChange>,
    report: &mut dyn FnMut(Progress),
) -> Result<Journal> {
    let Wanted { topology, state, .. } = &transition.wanted;
    let name = &topology.name;
    let pins = paths::pins(name);
    let mut journal = transition.coming();
    journal.write()?;
    if journal.has_role() {
        facts::record_made(name, &transition.all_owned(), &journal.baseline)?;
    }
    transition.enter(&journal)?;
    if change.is_none() {
        *change = NicChange::begin(name, state, &transition.plan, policy)?;
    }
    make_pins(&pins)?;
    if let Some(role) = &topology.role {
        let node = NodeId::Host(role.host.clone());
        pins.play(&node).map_err(|(tried, errno)| netns::error(&node, &tried, errno))?;
    }
    if let Some(before) = &transition.before {
        dismissed(&before.topology, topology).try_for_each(|host| agents::stop(name, host).map(drop))?;
        down::end_nodes(topology, &gone(&transition.plan))?;
    }
    for node in &transition.unlisted {
        pins.list(node).map_err(|(tried, errno)| netns::error(node, &tried, errno))?;
    }
    let (mut done, total) = (0, transition.plan.len());
    let mut count = |_: &Op| {
        done += 1;
        report(Progress { done, total });
    };
    let mut kernel = Kernel::new(pins);
    kernel.apply(&transition.plan, &mut count)?;
    if transition.before.is_some() {
        // A link that was there before follows what is new at its other end or among its ports; observing settles that.
        kernel.observe(&facts::scope(state.clone()))?;
    }
    facts::wait_for_forwarding(topology)?;
    let paths = paths::sandboxes(name);
    topology.hosts.iter().try_for_each(|host| sandbox::links(&paths, host.name.as_str()))?;
    change.as_mut().map_or(Ok(()), |change| change.applied(state))?;
    for host in &transition.asleep {
        fault::point().map_err(|errno| system("start the agent in", &agents::directory(name, host), errno))?;
        agents::start(name, host)?;
    }
    journal.phase = Phase::Up;
    journal.previous = None;
    journal.baseline.retain(|fact| state.has(fact.slot()));
    journal.write()?;
    interrupted()?;
    Ok(journal)
}

/// A panic is a failure like any other: what was done is undone.
pub(super) fn guarded<T>(act: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(act))
        .unwrap_or_else(|_| Err(Error::Internal("a panic in the middle of an operation".to_owned())))
}

/// The nodes whose namespaces the plan ends.
fn gone(plan: &Plan) -> Vec<NodeId> {
    plan.iter()
        .filter_map(|op| match op {
            Op::Del(Fact::Netns(Ns::Node(node))) => Some(node.clone()),
            _ => None,
        })
        .collect()
}

/// Hosts that are gone, or described without the agent that they had.
fn dismissed<'a>(before: &'a Topology, now: &'a Topology) -> impl Iterator<Item = &'a NodeName> {
    let stays = |host: &Host| now.host(host.name.as_str()).is_some_and(|new| new.agent || !host.agent);
    before.hosts.iter().filter(move |host| !stays(host)).map(|host| &host.name)
}

/// The directory of pins is a mount of its own, so that `down` can drop all of them at once.
fn make_pins(pins: &Pins) -> Result<()> {
    rundir::make_directory(&pins.directory, 0o755)?;
    if netns::is_mount(&pins.directory) {
        return Ok(());
    }
    let fail = |errno| match errno {
        Errno::ENOSPC => Error::Machine(Limit::Sysctl("fs.mount-max")),
        errno => system("mount --bind", &pins.directory, errno),
    };
    fault::point().map_err(fail)?;
    // Not a peer of `/run/nslab`, or every pin would be mounted there once more.
    sys::process::mount_alone(&pins.directory).map_err(fail)
}

/// Takes back what was done: a new lab goes, a changed one becomes what it was.
fn undo(transition: &Transition, lock: Lock, change: Option<NicChange>, error: Error) -> Error {
    let _hold = sys::hold_signals();
    let undone = match &transition.before {
        None => down::dismantle(&transition.wanted.topology.name, Some(&transition.coming()), lock, Instant::now()).map(drop),
        Some(before) => {
            let restored = patiently(restore(transition, before), || restore(transition, before));
            restored.and_then(|()| change.map_or(Ok(()), NicChange::undone))
        }
    };
    match undone {
        Err(Error::Left(left)) => Error::Left(left),
        Err(second) if transition.before.is_none() && !matches!(error, Error::Signal(_)) => second,
        Ok(()) | Err(_) => error,
    }
}

fn restore(transition: &Transition, before: &Journal) -> Result<()> {
    let now = &transition.wanted;
    let name = &now.topology.name;
    dismissed(&now.topology, &before.topology).try_for_each(|host| agents::stop(name, host).map(drop))?;
    let scope = facts::scope(transition.all_owned().into_owned());
    let mut kernel = Kernel::new(paths::pins(name));
    let seen = kernel.observe(&scope)?;
    let wanted = facts::of_topology(&before.topology)?;
    let alone = match transition.by {
        By::File => State::new(),
        By::Edit => facts::unchanged(&now.state, &seen, &wanted),
    };
    let from: State = seen.into_iter().filter(|fact| scope.expected.has(fact.slot())).chain(alone).collect();
    kernel.apply(&diff(&from, &facts::over(&transition.baseline, &wanted)), &mut |_| {})?;
    let pins = paths::pins(name);
    for node in facts::unlisted(&pins, &from, &wanted) {
        pins.list(&node).map_err(|(tried, errno)| netns::error(&node, &tried, errno))?;
    }
    before.write()?;
    transition.enter(before)
}

/// A lab that could not begin leaves no directory behind.
pub(super) fn give_up(name: &LabName, lock: Option<Lock>) {
    let _hold = sys::hold_signals();
    if lock.is_some() {
        let _ = std::fs::remove_dir(paths::lab(name));
    }
    drop(lock);
    let _ = rundir::tidy();
}
