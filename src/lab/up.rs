//! `up`: the difference between what is and what is described, applied; undone if it fails.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use ipnet::IpNet;
use nix::errno::Errno;

use super::borrow::{self, Loan, Terms};
use super::journal::{Journal, Phase};
use super::lock::Lock;
use super::role::{Casting, cast};
use super::{Step, agents, by_hand, change, down, home, index, system};
use crate::error::{Error, Result};
use crate::kernel::{Backend, Kernel, Pins, Scope, fault, interrupted, observe, sandbox, space, sys};
use crate::name::{LabName, NodeName};
use crate::plan::{Key, NodeId, Ns, Op, Plan, Port, State, Value, compile, diff};
use crate::report::lab::Outcome;
use crate::topology::{Instance, Run, Topology};

/// What `up` found and did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Up {
    /// How it went.
    pub outcome: Outcome,
    /// Operations carried out.
    pub operations: usize,
    /// Hosts of the lab on this machine.
    pub hosts: usize,
    /// Containers of the lab on this machine.
    pub containers: usize,
    /// Routes that stand in for the lab's default routes, since the machine keeps its own.
    pub instead: Vec<IpNet>,
    /// What was launched, stopped or configured since the file was brought up, and stays so.
    pub kept: Kept,
    /// Seconds within which somebody must confirm a change of the machine's NICs.
    pub confirm_within: Option<u64>,
}

/// What was done to a lab's instances since its file was brought up, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kept {
    /// Containers that were launched.
    pub launched: usize,
    /// Containers that are stopped.
    pub stopped: usize,
    /// Containers of the file with a configuration or devices of their own.
    pub configured: usize,
}

impl Kept {
    /// What a topology has beyond its file.
    pub(super) fn of(topology: &Topology, origin: Option<&Topology>) -> Self {
        let of = |is: &dyn Fn(&Instance) -> bool| topology.instances().filter(|(_, each)| is(&each.instance)).count();
        if origin.is_none() {
            return Self::default();
        }
        Self {
            launched: of(&|instance| instance.launched),
            stopped: of(&|instance| instance.run == Run::Stopped),
            configured: of(&|instance| !(instance.launched || instance.config.is_empty() && instance.devices.is_empty())),
        }
    }

    /// There is something to tell.
    pub fn any(self) -> bool {
        self != Self::default()
    }
}

/// What there is, and what to do.
pub(super) struct Prospect {
    /// It is no `up` but a change of a lab that is there.
    edited: bool,
    before: Option<Journal>,
    topology: Topology,
    /// What the file describes, where something was launched, stopped or configured since.
    origin: Option<Topology>,
    /// What `topology` is a part of, where the machine plays one host of it.
    whole: Option<Topology>,
    /// What the machine's own facts were before nslab touched them.
    baseline: State,
    plan: Plan,
    /// Nodes whose entry in `/run/netns` is gone.
    unlisted: Vec<NodeId>,
    /// Hosts whose agent is to be started.
    asleep: Vec<NodeName>,
}

/// Brings a lab up, or to what is described now; `topology.name` is its name.
pub fn up(topology: &Topology, tell: &mut dyn FnMut(Step)) -> Result<Up> {
    up_on(topology, &Casting::default(), &Terms::default(), tell)
}

/// As [`up`], with a role only that host's part, on the machine itself and with terms for borrowing its NICs; a lab that has
/// a role keeps it.
pub fn up_on(topology: &Topology, casting: &Casting, terms: &Terms, tell: &mut dyn FnMut(Step)) -> Result<Up> {
    let name = topology.name.clone();
    let lock = guarded(|| super::hold(&name)).inspect_err(|_| give_up(&name, None))?;
    let making = || begin(prospect(topology, casting)?);
    let begun = guarded(|| {
        let prospect = making()?;
        borrow::check(&name, &compile(&prospect.topology), terms)?;
        Ok(prospect)
    });
    match begun {
        Ok(prospect) => converge(&prospect, &making, lock, terms, tell),
        Err(error) => {
            give_up(&name, Some(lock));
            Err(error)
        }
    }
}

/// Carries a prospect out, or undoes what was done; `making` makes it anew.
pub(super) fn converge(
    prospect: &Prospect,
    making: &dyn Fn() -> Result<Prospect>,
    lock: Lock,
    terms: &Terms,
    tell: &mut dyn FnMut(Step),
) -> Result<Up> {
    let name = prospect.topology.name.clone();
    let outcome = prospect.outcome();
    let operations = prospect.plan.len();
    let (hosts, containers) = (prospect.topology.hosts.len(), prospect.topology.containers());
    let instead = prospect.topology.role.as_ref().map(|role| role.instead.clone()).unwrap_or_default();
    let kept = Kept::of(&prospect.topology, prospect.origin.as_ref());
    let up = Up { outcome, operations, hosts, containers, instead, kept, confirm_within: borrow::waits(&name) };
    if up.operations == 0 && outcome == Outcome::Already {
        borrow::attend(&name)?;
        return Ok(up);
    }
    let mut loan = None;
    match persist(prospect, making, terms, &mut loan, tell) {
        Ok(()) => {
            loan.into_iter().for_each(Loan::done);
            Ok(Up { confirm_within: borrow::waits(&name), ..up })
        }
        Err(error) => Err(undo(prospect, lock, loan, error)),
    }
}

/// What `up` would do.
pub fn preview(topology: &Topology, casting: &Casting) -> Result<(Topology, Plan)> {
    prospect(topology, casting).map(|prospect| (prospect.topology, prospect.plan))
}

pub(super) fn begin(prospect: Prospect) -> Result<Prospect> {
    free(&home::pins(&prospect.topology.name), &prospect.plan)?;
    Ok(prospect)
}

fn prospect(topology: &Topology, casting: &Casting) -> Result<Prospect> {
    let mut before = Journal::read(&topology.name)?;
    if before.as_ref().is_some_and(|before| before.is_stale() || before.phase == Phase::RolledBack) {
        // The kernel's objects went with the restart, or were taken back; what is left are no more than files.
        before = None;
    }
    let (mut topology, mut origin) = (topology.clone(), None);
    if let Some(before) = &before {
        topology.inherit(before.previous.as_ref().unwrap_or(&before.topology));
        topology.inherit(&before.topology);
        topology.inherit(before.described());
        before.origin.iter().for_each(|origin| topology.inherit(origin));
        let file = topology.clone();
        origin = topology.carry(before.described()).then_some(file);
    }
    towards(&topology, origin, casting, before, false)
}

/// From what is to what is to be; `topology` has its numbers.
pub(super) fn towards(
    topology: &Topology,
    origin: Option<Topology>,
    casting: &Casting,
    before: Option<Journal>,
    edit: bool,
) -> Result<Prospect> {
    let name = &topology.name;
    let (mut topology, whole) = cast(topology, casting, before.as_ref())?;
    borrow::adopt(&mut topology)?;
    let mut wanted = compile(&*by_hand::present(&topology)?);
    let described = |before: &Journal| before.topology == topology && before.whole == whole && before.origin == origin;
    let unchanged = |before: &Journal| before.previous.is_none() && described(before);
    let same = before.as_ref().is_some_and(unchanged);
    let owned = before.as_ref().filter(|_| !same).map(Journal::owned).unwrap_or_default();
    let mut baseline = before.as_ref().map(|before| before.baseline.clone()).unwrap_or_default();
    let mut expected = owned.clone();
    expected.extend(wanted.clone());
    expected.extend(baseline.clone());
    let mut scope = Scope { pins_only: false, spaces: spaces(&expected), expected };
    if !home::is_reachable(Path::new(home::RUN)) {
        // A lab of that name may be there, but it is somebody else's.
        scope.spaces.retain(|ns| *ns == Ns::Root);
    }
    let seen = Kernel::new(home::pins(name)).observe(&scope)?;
    if !same {
        clash(&seen, &owned, &wanted)?;
    }
    let edited = before.as_ref().filter(|_| edit);
    let alone = edited.map_or(Ok(State::new()), |before| change::untouched(before, &seen, &wanted))?;
    let from: State = seen.into_iter().filter(|(key, _)| scope.expected.contains_key(key)).chain(alone).collect();
    if !same {
        baseline.extend(found(&from, &owned));
    }
    wanted = over(&baseline, wanted);
    let plan = diff(&from, &wanted);
    let unlisted = unlisted(&home::pins(name), &from, &wanted);
    let asleep = agents::asleep(&topology);
    Ok(Prospect { edited: false, before, topology, origin, whole, baseline, plan, unlisted, asleep })
}

/// What is about to be taken over on the machine itself: facts that are there and were not the lab's so far.
fn found(seen: &State, owned: &State) -> State {
    let new = |key: &Key| *key.ns() == Ns::Root && !matches!(key, Key::Link(_)) && !owned.contains_key(key);
    seen.iter().filter(|(key, _)| new(key)).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// What is described, and for the rest what was before.
fn over(baseline: &State, described: State) -> State {
    let mut all = baseline.clone();
    all.extend(described);
    all
}

/// Nodes that are there and stay, but without their entry in `/run/netns`: a kill may fall between the two.
fn unlisted(pins: &Pins, from: &State, wanted: &State) -> Vec<NodeId> {
    let stays = from.keys().filter(|key| matches!(key, Key::Netns(_)) && wanted.contains_key(*key));
    let nodes = stays.filter_map(|key| if let Ns::Node(node) = key.ns() { Some(node.clone()) } else { None });
    nodes.filter(|node| !pins.is_listed(node)).collect()
}

/// The namespaces that a state speaks of.
pub(super) fn spaces(state: &State) -> BTreeSet<Ns> {
    state.keys().filter(|key| matches!(key, Key::Netns(_)) || *key.ns() == Ns::Root).map(|key| key.ns().clone()).collect()
}

/// Every interface that a state makes.
fn ports(state: &State) -> BTreeSet<&Port> {
    let links = state.iter().filter_map(|(key, value)| match (key, value) {
        (Key::Link(port), Value::Link(link)) => Some((port, link.peer())),
        _ => None,
    });
    links.flat_map(|(port, peer)| std::iter::once(port).chain(peer)).collect()
}

/// What somebody made by hand is never replaced by a new part of the lab.
fn clash(seen: &State, owned: &State, wanted: &State) -> Result<()> {
    let (own, by_hand) = (ports(owned), ports(seen));
    for port in ports(wanted) {
        if by_hand.contains(port) && !own.contains(port) {
            let what = match &port.ns {
                Ns::Root => port.dev.to_string(),
                Ns::Node(node) => format!("{node}.{}", port.dev),
            };
            return Err(Error::Conflict { what, own: true });
        }
    }
    Ok(())
}

/// Every name that the plan needs outside the lab must be free, or nslab's own.
fn free(pins: &Pins, plan: &Plan) -> Result<()> {
    for op in plan {
        let Op::Add(Key::Netns(Ns::Node(node)), _) = op else { continue };
        let (link, pin) = (pins.link(node), pins.pin(node));
        let taken = |path: &Path| Err(Error::Conflict { what: path.display().to_string(), own: home::is_own(path) });
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

impl Prospect {
    /// The same, of a lab that is there and changed without its file.
    pub(super) fn of_an_edit(self) -> Self {
        Self { edited: true, asleep: Vec::new(), ..self }
    }

    fn outcome(&self) -> Outcome {
        match &self.before {
            None => Outcome::Created,
            Some(before) if before.phase != Phase::Up => Outcome::Completed,
            Some(before) if before.topology != self.topology || before.whole != self.whole || before.origin != self.origin => {
                Outcome::Changed
            }
            Some(_) if self.plan.is_empty() && self.unlisted.is_empty() && self.asleep.is_empty() => Outcome::Already,
            Some(_) => Outcome::Repaired,
        }
    }

    /// The journal while the plan is under way: old and new are owned.
    fn coming(&self) -> Journal {
        let mut journal = Journal::new(self.topology.clone());
        journal.whole.clone_from(&self.whole);
        journal.origin.clone_from(&self.origin);
        journal.baseline.clone_from(&self.baseline);
        if let Some(before) = &self.before {
            journal.since = before.since;
            journal.previous = Some(before.topology.clone());
        }
        journal
    }
}

/// A name whose last bearer is dying with its namespace is not free for a moment, though nothing shows it any more: then
/// what is there is looked at again, and the rest is done.
fn persist(
    prospect: &Prospect,
    making: &dyn Fn() -> Result<Prospect>,
    terms: &Terms,
    loan: &mut Option<Loan>,
    tell: &mut dyn FnMut(Step),
) -> Result<()> {
    let first = guarded(|| carry_out(prospect, terms, loan, tell));
    if prospect.before.is_none() {
        return first;
    }
    patiently(first, || guarded(|| carry_out(&making()?, terms, loan, tell)))
}

/// Tries again for a second while a name is taken.
fn patiently(first: Result<()>, mut again: impl FnMut() -> Result<()>) -> Result<()> {
    let mut result = first;
    for _ in 0..20 {
        if !matches!(&result, Err(Error::Kernel(why)) if why.errno == Errno::EEXIST as i32) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
        result = again();
    }
    result
}

fn carry_out(prospect: &Prospect, terms: &Terms, loan: &mut Option<Loan>, tell: &mut dyn FnMut(Step)) -> Result<()> {
    let mut journal = prospect.coming();
    journal.write()?;
    super::machine::note(&prospect.topology.name, &journal.owned(), &journal.baseline)?;
    {
        let _all = home::open()?;
        if prospect.edited {
            index::renew(&prospect.topology, journal.whole.as_ref())?;
        } else {
            index::enter(&prospect.topology, journal.whole.as_ref(), journal.since)?;
        }
    }
    let name = &prospect.topology.name;
    let wanted = compile(&prospect.topology);
    if loan.is_none() {
        *loan = Loan::begin(name, &wanted, &prospect.plan, terms)?;
    }
    make_pins(name)?;
    if let Some(role) = &prospect.topology.role {
        let node = NodeId::Host(role.host.clone());
        home::pins(name).play(&node).map_err(|(tried, errno)| space::error(&node, &tried, errno))?;
    }
    if let Some(before) = &prospect.before {
        dismissed(&before.topology, &prospect.topology).try_for_each(|host| agents::stop(name, host).map(drop))?;
        down::end_nodes(&prospect.topology, &gone(&prospect.plan))?;
    }
    let pins = home::pins(name);
    for node in &prospect.unlisted {
        pins.list(node).map_err(|(tried, errno)| space::error(node, &tried, errno))?;
    }
    let (mut done, of) = (0, prospect.plan.len());
    let mut count = |_: &Op| {
        done += 1;
        tell(Step { done, of });
    };
    let mut kernel = Kernel::new(home::pins(name));
    kernel.apply(&prospect.plan, &mut count)?;
    if prospect.before.is_some() {
        // A link that was there before follows what is new at its other end or among its ports; observing settles that.
        kernel.observe(&Scope { pins_only: false, spaces: spaces(&wanted), expected: wanted.clone() })?;
    }
    super::status::forwarding(&prospect.topology)?;
    let paths = sandbox::Paths { lab: home::lab(name) };
    prospect.topology.hosts.iter().try_for_each(|host| sandbox::links(&paths, host.name.as_str()))?;
    loan.as_mut().map_or(Ok(()), |loan| loan.applied(&wanted))?;
    for host in &prospect.asleep {
        fault::point().map_err(|errno| system("start the agent in", &agents::directory(name, host), errno))?;
        agents::start(name, host)?;
    }
    journal.phase = Phase::Up;
    journal.previous = None;
    let owned = journal.owned();
    journal.baseline.retain(|key, _| owned.contains_key(key));
    journal.write()?;
    interrupted()
}

/// A panic is a failure like any other: what was done is undone.
fn guarded<T>(act: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(act))
        .unwrap_or_else(|_| Err(Error::Internal("a panic in the middle of an operation".to_owned())))
}

/// The nodes whose namespaces the plan ends.
fn gone(plan: &Plan) -> Vec<NodeId> {
    plan.iter()
        .filter_map(|op| match op {
            Op::Del(Key::Netns(Ns::Node(node)), _) => Some(node.clone()),
            _ => None,
        })
        .collect()
}

/// Hosts that are gone, or described without the agent that they had.
fn dismissed<'a>(before: &'a Topology, now: &'a Topology) -> impl Iterator<Item = &'a NodeName> {
    let stays = |host: &crate::topology::Host| now.host(host.name.as_str()).is_some_and(|new| new.agent || !host.agent);
    before.hosts.iter().filter(move |host| !stays(host)).map(|host| &host.name)
}

/// The directory of pins is a mount of its own, so that `down` can drop all of them at once.
fn make_pins(name: &LabName) -> Result<()> {
    let pins = home::pins(name);
    home::make_directory(&pins.directory, 0o755)?;
    if observe::is_mount(&pins.directory) {
        return Ok(());
    }
    let fail = |errno| match errno {
        Errno::ENOSPC => Error::Machine(crate::error::Limit::Sysctl("fs.mount-max")),
        errno => system("mount --bind", &pins.directory, errno),
    };
    fault::point().map_err(fail)?;
    // Not a peer of `/run/nslab`, or every pin would be mounted there once more.
    sys::process::mount_alone(&pins.directory).map_err(fail)
}

/// Takes back what was done: a new lab goes, a changed one becomes what it was.
fn undo(prospect: &Prospect, lock: Lock, loan: Option<Loan>, error: Error) -> Error {
    let _hold = sys::hold_signals();
    let name = &prospect.topology.name;
    let undone = match &prospect.before {
        None => down::dismantle(name, lock).map(|_| ()),
        Some(before) => {
            patiently(restore(prospect, before), || restore(prospect, before)).and_then(|()| loan.map_or(Ok(()), Loan::undone))
        }
    };
    match undone {
        Ok(()) => error,
        Err(Error::Left(left)) => Error::Left(left),
        Err(_) if matches!(error, Error::Signal(_)) => error,
        Err(second) => {
            if prospect.before.is_none() {
                second
            } else {
                error
            }
        }
    }
}

fn restore(prospect: &Prospect, before: &Journal) -> Result<()> {
    let name = &prospect.topology.name;
    dismissed(&prospect.topology, &before.topology).try_for_each(|host| agents::stop(name, host).map(drop))?;
    let owned = prospect.coming().owned();
    let scope = Scope { pins_only: false, spaces: spaces(&owned), expected: owned };
    let mut kernel = Kernel::new(home::pins(name));
    let seen = kernel.observe(&scope)?;
    let wanted = compile(&*by_hand::present(&before.topology)?);
    let alone = if prospect.edited { change::unchanged(&prospect.topology, &seen, &wanted)? } else { State::new() };
    let from: State = seen.into_iter().filter(|(key, _)| scope.expected.contains_key(key)).chain(alone).collect();
    let plan = diff(&from, &over(&prospect.baseline, wanted));
    kernel.apply(&plan, &mut |_| {})?;
    before.write()?;
    let _all = home::open()?;
    let whole = before.whole.as_ref();
    if prospect.edited { index::renew(&before.topology, whole) } else { index::enter(&before.topology, whole, before.since) }
}

/// A lab that could not begin leaves no directory behind.
fn give_up(name: &LabName, lock: Option<Lock>) {
    let _hold = sys::hold_signals();
    if lock.is_some() {
        let _ = std::fs::remove_dir(home::lab(name));
    }
    drop(lock);
    let _ = home::tidy();
}
