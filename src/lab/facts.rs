//! A lab's facts: which there are, which of them are the lab's, and which somebody made by hand; which are in the machine's own network
//! namespace; and what there is compared with what should be.
//!
//! What a lab with a role makes on the machine itself is recorded a second time, beside the journal and before the first operation: a
//! damaged journal does not lose it. What it has borrowed is given back by `borrow`.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use super::agents;
use super::journal::{Journal, Phase, load};
use super::paths::{self, BootRecord, OfBoot, boot_id};
use crate::error::{Error, KernelError, Result};
use crate::kernel::inspect::{Pin, inspect};
use crate::kernel::netlink::Netlink;
use crate::kernel::nic::{self, Kind};
use crate::kernel::{Backend, Kernel, Pins, Scope, interrupted, netfilter, netns, observe, sandbox};
use crate::name::{IfName, LabName, NodeName};
use crate::plan::steps::{self, Naming, Step};
use crate::plan::{Fact, NodeId, Ns, Op, Plan, Port, RouteTo, Slot, State, compile, diff};
use crate::report::lab::{Condition, Kept, Namespace, Serving, Table};
use crate::topology::{Attach, Host, Topology, numbers};

/// The facts of a topology as it can be just now: a cable to a bridge made by hand that is gone waits for it, unplugged.
///
/// # Errors
/// As [`bridges`].
pub(super) fn of_topology(topology: &Topology) -> Result<State> {
    Ok(compile(&*present(topology)?))
}

/// Where to look for facts.
pub(super) fn scope(expected: State) -> Scope {
    let relevant = expected.iter().filter(|fact| matches!(fact, Fact::Netns(_)) || *fact.ns() == Ns::Root);
    let spaces = relevant.map(|key| key.ns().clone()).collect();
    Scope { pins_only: false, hands: false, spaces, expected }
}

/// Where to look for facts, and for what hands can change beside.
pub(super) fn wide(expected: State) -> Scope {
    Scope { hands: true, ..scope(expected) }
}

/// The nodes whose namespaces are looked at.
pub(super) fn nodes(scope: &Scope) -> Vec<NodeId> {
    let node = |ns: &Ns| if let Ns::Node(node) = ns { Some(node.clone()) } else { None };
    scope.spaces.iter().filter_map(node).collect()
}

/// What is about to be taken over on the machine itself: facts that are there and were not the lab's so far.
pub(super) fn found(seen: &State, owned: &State) -> State {
    let new = |fact: &&Fact| *fact.ns() == Ns::Root && !matches!(fact, Fact::Link(..)) && !owned.has(fact.slot());
    seen.iter().filter(new).cloned().collect()
}

/// What is described, and for the rest what was before.
pub(super) fn over<'a>(baseline: &State, described: &'a State) -> Cow<'a, State> {
    if baseline.is_empty() {
        return Cow::Borrowed(described);
    }
    let mut all = baseline.clone();
    all.extend(described.clone());
    Cow::Owned(all)
}

/// Nodes that are there and stay, but without their entry in `/run/netns`: a kill may fall between the two.
pub(super) fn unlisted(pins: &Pins, from: &State, wanted: &State) -> Vec<NodeId> {
    let stays = from.iter().filter(|fact| wanted.has(fact.slot()));
    let nodes = stays.filter_map(|fact| if let Fact::Netns(Ns::Node(node)) = fact { Some(node) } else { None });
    nodes.filter(|node| !pins.is_listed(node)).cloned().collect()
}

/// What somebody made by hand is never replaced by a new part of the lab.
pub(super) fn clash(seen: &State, owned: &State, wanted: &State) -> Result<()> {
    let (own, by_hand): (BTreeSet<&Port>, BTreeSet<&Port>) = (owned.ends().collect(), seen.ends().collect());
    for port in wanted.ends().collect::<BTreeSet<_>>() {
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

/// Facts that an edit leaves as they are: what somebody has changed of the lab by hand since, as its default routes, stays so
/// until `up` or `reset` is asked for. `was` are the facts of the topology before.
pub(super) fn untouched(before: &Journal, was: &State, seen: &State, wanted: &State) -> Result<State> {
    match before.phase {
        Phase::Up => Ok(unchanged(was, seen, wanted)),
        // A change that was cut short.
        Phase::Coming => {
            before.previous.as_ref().map_or(Ok(State::new()), |previous| Ok(unchanged(&of_topology(previous)?, seen, wanted)))
        }
        Phase::Going | Phase::RolledBack => Ok(State::new()),
    }
}

/// Facts that are wanted as they were, but for links and namespaces that are gone, and what goes with them.
pub(super) fn unchanged(was: &State, seen: &State, wanted: &State) -> State {
    let ports: BTreeSet<&Port> = seen.iter().filter_map(Fact::port).chain(seen.ends()).collect();
    let there = |fact: &Fact| {
        let space = matches!(fact.ns(), Ns::Root) || seen.has(Slot::Netns(fact.ns()));
        space && !matches!(fact, Fact::Netns(_) | Fact::Link(..)) && fact.port().is_none_or(|port| ports.contains(port))
    };
    was.iter().filter(|fact| wanted.holds(fact) && there(fact)).cloned().collect()
}

/// Those of facts that are not described which are somebody's work: a link made by hand brings an address and an MTU of its own
/// along.
pub(super) fn by_hand(rest: State) -> State {
    rest.into_iter().filter(|fact| !fact.is_ordinary()).collect()
}

/// What hands have changed of the machine itself is its user's business.
pub(super) fn is_the_machines(fact: &Fact) -> bool {
    *fact.ns() == Ns::Root && fact.is_by_hand()
}

/// Whether a fact counts when everything made by hand goes: of a link made by hand only the link itself has to go; of a
/// described one every setting counts.
pub(super) fn matters(fact: &Fact, wanted: &State) -> bool {
    (!fact.comes_with_a_link() || wanted.has(fact.slot())) && !is_the_machines(fact)
}

/// The bridges that a host has just now, whoever made them; none where it is not there.
///
/// # Errors
/// When it cannot be looked at: what is not known is not taken for absent.
pub fn bridges(lab: &LabName, host: &NodeName) -> Result<BTreeSet<IfName>> {
    let node = NodeId::Host(host.clone());
    let links = match inspect(&Pin { node: node.to_string(), path: paths::netns_path(lab, &node) }, &[]) {
        Ok(seen) => seen.links,
        // No pin, or, after a kill, the file without its namespace.
        Err(Error::Kernel(KernelError { errno: libc::ENOENT | libc::EINVAL, tried, .. })) if is_entering(&tried) => Vec::new(),
        Err(error) => return Err(error),
    };
    Ok(links.into_iter().filter(|link| link.kind == "bridge").map(|link| IfName::observed(&link.name)).collect())
}

fn is_entering(tried: &str) -> bool {
    tried.starts_with("open ") || tried.starts_with("setns ")
}

fn is_foreign(host: &Host, attach: &Attach) -> bool {
    matches!(attach, Attach::Host(end) if end.bridge.as_ref().is_some_and(|name| host.bridges.iter().all(|own| own.name != *name)))
}

/// The topology with every cable unplugged that leads to a bridge made by hand which is gone.
fn present(topology: &Topology) -> Result<Cow<'_, Topology>> {
    let foreign = |host: &Host| host.containers.iter().flat_map(|own| &own.nics).any(|nic| is_foreign(host, &nic.attach));
    if !topology.hosts.iter().any(foreign) {
        return Ok(Cow::Borrowed(topology));
    }
    let mut topology = topology.clone();
    let lab = topology.name.clone();
    for host in topology.hosts.iter_mut().filter(|host| foreign(host)) {
        let mut there = bridges(&lab, &host.name)?;
        there.extend(host.bridges.iter().map(|bridge| bridge.name.clone()));
        for nic in host.containers.iter_mut().flat_map(|own| &mut own.nics) {
            if let Attach::Host(end) = &mut nic.attach {
                end.bridge = end.bridge.take().filter(|name| there.contains(name));
            }
        }
    }
    Ok(Cow::Owned(topology))
}

/// Waits until no port of a bridge with the spanning tree protocol is listening or learning any more: then it forwards.
pub(super) fn wait_for_forwarding(topology: &Topology) -> Result<()> {
    let pins = paths::pins(&topology.name);
    let bridges = topology.hosts.iter().filter(|host| host.bridges.iter().any(|bridge| bridge.stp));
    for host in bridges {
        let node = NodeId::Host(host.name.clone());
        let until = Instant::now() + Duration::from_secs(35);
        while observe::is_converging(&pins, &node)? && Instant::now() < until {
            interrupted()?;
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    Ok(())
}

/// How often what goes by itself meanwhile is looked at again.
const TRIES: usize = 20;

/// What a lab makes on the machine itself.
#[derive(Debug, Serialize, Deserialize)]
struct Made {
    /// The machine's boot that it belongs to.
    boot_id: String,
    /// The facts, and the namespaces that the other ends of cables are in.
    facts: State,
}

impl OfBoot for Made {
    fn boot_id(&self) -> &str {
        &self.boot_id
    }
}

fn path(name: &LabName) -> PathBuf {
    paths::lab(name).join("made.json")
}

/// Records what of a lab's facts will be on the machine; a lab without a role has nothing there.
///
/// # Errors
/// When it cannot be written.
pub(super) fn record_made(name: &LabName, owned: &State, baseline: &State) -> Result<()> {
    let ours = |fact: &&Fact| made(fact, baseline) || matches!(fact, Fact::Netns(_));
    let facts: State = owned.iter().filter(ours).cloned().collect();
    if !facts.iter().any(|fact| *fact.ns() == Ns::Root) {
        return Ok(());
    }
    paths::write_record(&path(name), &Made { boot_id: boot_id().to_owned(), facts }, 0o600)
}

/// What was recorded in this boot.
fn recorded(name: &LabName) -> BootRecord<Made> {
    paths::record_of_boot(&path(name))
}

/// A fact that is on the machine itself and was not there before.
fn made(fact: &Fact, baseline: &State) -> bool {
    let route = matches!(fact, Fact::Route(.., RouteTo::Blackhole)) && !baseline.has(fact.slot());
    *fact.ns() == Ns::Root && (matches!(fact, Fact::Link(..)) || route)
}

/// Takes the lab's links off the machine, and its routes that lead nowhere; a lab without a role has nothing there.
///
/// # Errors
/// When the kernel refuses; the journal still knows what there is.
pub(super) fn clear_machine(name: &LabName, journal: Option<&Journal>) -> Result<()> {
    if journal.is_some_and(Journal::is_stale) {
        return Ok(());
    }
    // A lab of an older nslab has no record of its own for that.
    let owned = || journal.filter(|journal| journal.has_role()).map(Journal::owned).unwrap_or_default();
    let owned = recorded(name).known().map_or_else(owned, |made| made.facts);
    if !owned.iter().any(|fact| *fact.ns() == Ns::Root) {
        return Ok(());
    }
    let baseline = journal.map(|journal| journal.baseline.clone()).unwrap_or_default();
    let scope = scope(owned);
    let mut tried = 0;
    loop {
        match clear_once(name, &baseline, &scope) {
            // A cable whose other end has just gone went along.
            Err(Error::Kernel(why)) if tried < TRIES && is_gone(why.errno) => {
                tried += 1;
                std::thread::sleep(Duration::from_millis(20));
            }
            result => return result,
        }
    }
}

/// Whether a lab without a journal has a role, and its record of what it has made on the machine is lost, too.
pub(super) fn is_record_lost(name: &LabName) -> bool {
    paths::pins(name).has_role() && recorded(name).known().is_none()
}

/// Interfaces of the machine that bear MAC addresses as nslab gives them; that does not prove that they are a lab's.
pub(super) fn suspects() -> Vec<String> {
    let Ok(mut socket) = Netlink::open() else { return Vec::new() };
    let all = nic::survey(&mut socket).unwrap_or_default();
    let alike = |nic: &&nic::Nic| matches!(nic.kind, Kind::Software(_)) && nic.mac.is_some_and(numbers::is_mac_of_a_machine);
    all.iter().filter(alike).map(|nic| nic.name.to_string()).collect()
}

fn clear_once(name: &LabName, baseline: &State, scope: &Scope) -> Result<()> {
    let mut kernel = Kernel::new(paths::pins(name));
    let seen = kernel.observe(scope)?;
    let from: State = seen.into_iter().filter(|fact| made(fact, baseline)).collect();
    kernel.apply(&diff(&from, &State::new()), &mut |_| {})
}

fn is_gone(errno: i32) -> bool {
    [Errno::ENODEV, Errno::ENOENT, Errno::ESRCH].iter().any(|gone| *gone as i32 == errno)
}

/// The state of a lab.
#[derive(Debug, Clone)]
pub struct Status {
    /// In one word.
    pub condition: Condition,
    /// The journal.
    pub journal: Journal,
    /// What `up` would do: a described fact that is gone or changed is an operation here.
    pub missing: Plan,
    /// Facts that somebody made by hand.
    pub by_hand: State,
    /// The same of this machine itself: nslab leaves it.
    pub on_machine: State,
    /// Nodes that are there without their entry in `/run/netns`.
    pub unlisted: Vec<NodeId>,
    /// Namespaces that somebody made inside a host.
    pub namespaces: Vec<Namespace>,
    /// Packet filter tables that somebody made.
    pub tables: Vec<Table>,
    /// Tables of iptables as it was before nftables, in which somebody has put something: nslab leaves them.
    pub legacy: Vec<Table>,
    /// What was launched, stopped or configured in it.
    pub kept: Option<Kept>,
    /// Processes that run in its nodes.
    pub processes: usize,
    /// Its agents: those that run, and those that are described.
    pub agents: Vec<Serving>,
}

impl Status {
    /// What `reset` leaves of what was made by hand.
    pub fn kept(&self, naming: &Naming) -> Vec<Step> {
        let on_machine: Vec<Op> = self.on_machine.iter().cloned().map(Op::Add).collect();
        let legacy = self.legacy.iter().map(|table| steps::legacy(&table.node, &table.family, &table.table, &naming.lab));
        steps::by_hand(&on_machine, naming).into_iter().chain(legacy).collect()
    }
}

/// Compares a lab with its description.
pub fn status(name: &LabName) -> Result<Status> {
    let journal = load(name)?;
    let owned = journal.owned();
    let scope = wide(owned);
    let seen = Kernel::new(paths::pins(name)).observe(&scope)?;
    let (described, rest): (State, State) = seen.into_iter().partition(|fact| scope.expected.has(fact.slot()));
    let wanted = of_topology(&journal.topology)?;
    let pins = paths::pins(name);
    let (mut missing, mut unlisted) = (diff(&described, &wanted), unlisted(&pins, &described, &wanted));
    if journal.phase == Phase::RolledBack {
        // All of it is, and on purpose.
        missing.clear();
        unlisted.clear();
    }
    let agents = agents(&journal);
    let condition = match journal.phase {
        _ if journal.is_stale() => Condition::Stale,
        Phase::Coming | Phase::Going => Condition::Unfinished,
        Phase::RolledBack => Condition::RolledBack,
        Phase::Up if missing.is_empty() && unlisted.is_empty() && agents.iter().all(|agent| agent.running) => Condition::Up,
        Phase::Up => Condition::Drifted,
    };
    let nodes: Vec<NodeId> = nodes(&scope);
    let names: Vec<String> = nodes.iter().map(ToString::to_string).collect();
    let filters = netfilter::tables(&pins, &nodes);
    let tables = |of: Vec<(NodeId, String, String)>| {
        of.into_iter().map(|(node, family, table)| Table { node, family, table }).collect::<Vec<_>>()
    };
    let (on_machine, rest): (State, State) = rest.into_iter().partition(is_the_machines);
    Ok(Status {
        condition,
        missing,
        by_hand: by_hand(rest),
        namespaces: namespaces(&journal),
        on_machine,
        unlisted,
        tables: tables(filters.own),
        legacy: tables(filters.legacy),
        kept: journal.kept(),
        processes: sandbox::processes(&paths::sandboxes(name), &names)?.len(),
        agents,
        journal,
    })
}

fn agents(journal: &Journal) -> Vec<Serving> {
    let name = &journal.topology.name;
    let agent = |host: &Host| Serving { host: host.name.clone(), described: host.agent, running: agents::runs(name, &host.name) };
    let all = journal.topology.hosts.iter().map(agent);
    all.filter(|agent| agent.described || agent.running).collect()
}

/// The namespaces that somebody made inside the hosts of a lab.
pub(super) fn namespaces(journal: &Journal) -> Vec<Namespace> {
    let inside = |host: &NodeName| {
        let names = made_inside(&journal.topology.name, host).into_iter().filter_map(|pin| Some(pin.file_name()?.to_owned()));
        names.map(|name| Namespace { host: host.clone(), name: name.to_string_lossy().into_owned() }).collect::<Vec<_>>()
    };
    let mut found: Vec<_> = journal.topology.hosts.iter().flat_map(|host| inside(&host.name)).collect();
    found.sort();
    found
}

/// Where namespaces are pinned that `ip netns add` in a host's shell made; nslab's own entries there are links.
pub(super) fn made_inside(lab: &LabName, host: &NodeName) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(paths::host_netns(lab, host)).into_iter().flatten().flatten();
    let files = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    let mut pins: Vec<PathBuf> = files.map(|entry| entry.path()).filter(|path| netns::is_namespace(path)).collect();
    pins.sort();
    pins
}
