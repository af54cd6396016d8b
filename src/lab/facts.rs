//! A lab's facts: which there are, which of them are the lab's, and which somebody made by hand.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::journal::{Journal, Phase};
use super::paths;
use crate::error::{Error, KernelError, Result};
use crate::kernel::inspect::{Pin, inspect};
use crate::kernel::{Pins, Scope, interrupted, observe};
use crate::name::{IfName, LabName, NodeName};
use crate::plan::{Fact, NodeId, Ns, Port, Slot, State, compile};
use crate::topology::{Attach, Host, Topology};

/// The facts of a topology as it can be just now: a cable to a bridge made by hand that is gone waits for it, unplugged.
///
/// # Errors
/// As [`bridges`].
pub(super) fn of(topology: &Topology) -> Result<State> {
    Ok(compile(&*present(topology)?))
}

/// Where to look for facts.
pub(super) fn scope(expected: State) -> Scope {
    let said = expected.iter().filter(|fact| matches!(fact, Fact::Netns(_)) || *fact.ns() == Ns::Root);
    let spaces = said.map(|key| key.ns().clone()).collect();
    Scope { pins_only: false, spaces, expected }
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
            before.previous.as_ref().map_or(Ok(State::new()), |previous| Ok(unchanged(&of(previous)?, seen, wanted)))
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

/// Whether a fact counts when everything made by hand goes: of a link made by hand only the link itself has to go; of a
/// described one every setting counts.
pub(super) fn matters(fact: &Fact, wanted: &State) -> bool {
    !fact.comes_with_a_link() || wanted.has(fact.slot())
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
