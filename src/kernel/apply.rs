//! Carrying a plan out on the kernel.
//!
//! Indices of links are chosen without a look-up in between, so that a link whose index somebody took meanwhile (a module that
//! puts devices into every namespace at once, or a hand) shows only when the kernel refuses it. What is left of the plan is then
//! carried out with other indices.

mod containers;
mod run;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::atomic::Ordering;

use run::Run;

use super::Scope;
use super::netlink::Request;
use super::netns::{Pins, Space};
use super::requests::{self, Birth};
use super::{observe, teardown};
use crate::error::Result;
use crate::plan::{Fact, Link, NodeId, Ns, Op, Plan, Port, State};

/// So often a plan is carried on; the first time the next indices are taken, then ones further and further off.
const ROUNDS: u32 = 8;

/// Carries a plan out.
pub fn carry_out(plan: &Plan, pins: &Pins, report: &mut dyn FnMut(&Op)) -> Result<()> {
    let (mut result, mut taken) = all(plan, pins, 0, report);
    let mut left = None;
    for round in 0..ROUNDS - 1 {
        if result.is_ok() || !taken {
            break;
        }
        let plan = left.as_ref().unwrap_or(plan);
        let next = rest(plan, &observe::observe(pins, &scope(plan))?);
        // What is left was told before, or is told at the end of it all.
        (result, taken) = all(&next, pins, round, &mut |_| {});
        left = Some(next);
    }
    result
}

/// Carries the whole plan out; whether an index was refused.
fn all(plan: &Plan, pins: &Pins, round: u32, report: &mut dyn FnMut(&Op)) -> (Result<()>, bool) {
    let (parts, births) = (divide(plan), Births::for_plan(plan));
    let mut run = Run::new(plan, &births, pins, round);
    let mut steps = || {
        run.open_existing(&parts)?;
        run.sequence(&parts.dels, report)?;
        teardown::namespaces(plan, &parts.dels, pins, report)?;
        containers::make(&mut run, &parts, report)?;
        run.sequence(&parts.tail, report)?;
        run.settle(&parts.head)
    };
    let result = steps();
    (result, run.taken.load(Ordering::Relaxed))
}

/// Where the plan works, and what it is about.
fn scope(plan: &Plan) -> Scope {
    let mut scope = Scope::default();
    for op in plan {
        let peer = if let Fact::Link(_, link) = op.fact() { link.peer().map(|peer| &peer.ns) } else { None };
        scope.spaces.extend(std::iter::once(op.fact().ns()).chain(peer).cloned());
    }
    scope.hands = plan.iter().any(|op| op.fact().is_by_hand());
    let (dels, news): (Vec<&Op>, Vec<&Op>) = plan.iter().partition(|op| matches!(op, Op::Del(_)));
    scope.expected.extend(dels.into_iter().chain(news).map(|op| op.fact().clone()));
    scope
}

/// What of a plan is still to be done.
fn rest(plan: &Plan, seen: &State) -> Plan {
    let todo = |op: &&Op| match op {
        Op::Add(fact) | Op::Set(fact) => !seen.holds(fact),
        Op::Del(fact) => seen.holds(fact),
    };
    plan.iter().filter(todo).cloned().collect()
}

/// The operations that make one new container, by their place in the plan.
#[derive(Debug)]
pub struct Unit {
    /// The container.
    pub node: NodeId,
    /// The namespaces that the other ends of its links are in: its host's.
    pub peers: BTreeSet<Ns>,
    /// Places in the plan, ascending.
    pub ops: Vec<usize>,
}

/// A plan in parts.
#[derive(Debug, Default)]
pub struct Parts {
    /// Deletions, in order.
    pub dels: Vec<usize>,
    /// Hosts, switches, and what changes in containers that are there already; in order.
    pub head: Vec<usize>,
    /// New containers, each by itself.
    pub units: Vec<Unit>,
    /// Routes of hosts, which may lead through links of containers.
    pub tail: Vec<usize>,
}

/// Divides a plan.
pub fn divide(plan: &[Op]) -> Parts {
    let mut parts = Parts::default();
    let mut new: BTreeMap<NodeId, Unit> = BTreeMap::new();
    for op in plan {
        if let Op::Add(Fact::Netns(Ns::Node(node @ NodeId::Container(..)))) = op {
            new.insert(node.clone(), Unit { node: node.clone(), peers: BTreeSet::new(), ops: Vec::new() });
        }
    }
    let outer = outer_ends(plan, &new.keys().cloned().collect());
    for (port, node) in &outer {
        if let Some(unit) = new.get_mut(node) {
            unit.peers.insert(port.ns.clone());
        }
    }
    for (place, op) in plan.iter().enumerate() {
        if matches!(op, Op::Del(..)) {
            parts.dels.push(place);
        } else if let Some(unit) = owner(op, &outer).and_then(|node| new.get_mut(&node)) {
            unit.ops.push(place);
        } else if matches!(op.fact(), Fact::Route(..)) {
            parts.tail.push(place);
        } else {
            parts.head.push(place);
        }
    }
    parts.units = new.into_values().collect();
    parts
}

/// The host's end of each link of a new container.
fn outer_ends(plan: &[Op], new: &BTreeSet<NodeId>) -> BTreeMap<Port, NodeId> {
    let mut ends = BTreeMap::new();
    for op in plan {
        if let Op::Add(Fact::Link(port, Link::Veth { peer })) = op
            && let Ns::Node(node @ NodeId::Container(..)) = &peer.ns
            && matches!(&port.ns, Ns::Root | Ns::Node(NodeId::Host(_)))
            && new.contains(node)
        {
            ends.insert(port.clone(), node.clone());
        }
    }
    ends
}

fn owner(op: &Op, outer: &BTreeMap<Port, NodeId>) -> Option<NodeId> {
    match op.fact().ns() {
        Ns::Node(node @ NodeId::Container(..)) => Some(node.clone()),
        _ => op.fact().port().and_then(|port| outer.get(port)).cloned(),
    }
}

/// Settings that a link is born with.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// All but the indices, which are filled in by who knows them.
    pub birth: Birth,
    /// The MTU that a bridge is given in a second request, before it has a port.
    pub mtu: Option<u32>,
    /// The operations that the request carries out as well, by their place in the plan.
    pub fused: Vec<usize>,
}

/// What is fused, for a whole plan.
#[derive(Debug, Default)]
pub struct Births {
    by_port: HashMap<Port, Settings>,
    fused: HashSet<usize>,
}

impl Births {
    /// Finds what can be fused.
    pub fn for_plan(plan: &Plan) -> Self {
        let mut births = Self::default();
        let (mut near, mut peers) = (HashSet::new(), HashSet::new());
        let mut bridges = HashSet::new();
        for op in plan {
            let Op::Add(Fact::Link(port, link)) = op else { continue };
            near.insert(port);
            match link {
                Link::Bridge => {
                    bridges.insert(port);
                }
                Link::Veth { peer } => {
                    peers.insert(peer);
                }
                Link::Other(_) => {}
            }
        }
        for (place, op) in plan.iter().enumerate() {
            let Op::Add(fact) = op else { continue };
            let Some(port) = fact.port() else { continue };
            let (near, peer) = (near.contains(port), peers.contains(port));
            match fact {
                Fact::Mtu(_, mtu) if near && bridges.contains(port) => births.unsettle(place, *mtu, port),
                _ if near || peer => births.fuse(place, fact, port, near),
                _ => {}
            }
        }
        births
    }

    /// A bridge follows the MTU of its ports until its own is changed: so it is born with another one.
    fn unsettle(&mut self, place: usize, mtu: u32, port: &Port) {
        let settings = self.by_port.entry(port.clone()).or_default();
        settings.birth.mtu = Some(mtu - 1);
        settings.mtu = Some(mtu);
        settings.fused.push(place);
        self.fused.insert(place);
    }

    fn fuse(&mut self, place: usize, fact: &Fact, port: &Port, near: bool) {
        let settings = self.by_port.entry(port.clone()).or_default();
        if settings.birth.take(fact, near) {
            settings.fused.push(place);
            self.fused.insert(place);
        }
    }

    /// Whether the operation is carried out by the request that makes its link.
    pub fn is_fused(&self, place: usize) -> bool {
        self.fused.contains(&place)
    }

    /// What a link is born with, if anything.
    pub fn settings(&self, port: &Port) -> Option<&Settings> {
        self.by_port.get(port)
    }
}

/// The request that makes a link with everything fused into it; indices are assigned here.
pub fn birth(port: &Port, link: &Link, births: &Births, space: &mut Space, peer: Option<&mut Space>) -> Option<Request> {
    let born = |port: &Port| births.settings(port).map(|settings| settings.birth.clone()).unwrap_or_default();
    let mut near = born(port);
    near.master = near.bridge.as_ref().map(|bridge| space.index(bridge));
    near.index = space.assign(&port.dev);
    Some(match link {
        Link::Bridge => requests::add_bridge(&port.dev, &near),
        Link::Veth { peer: peer_port } => {
            let mut peer_birth = born(peer_port);
            let peer_ns = if let Some(peer) = peer {
                peer_birth.index = peer.assign(&peer_port.dev);
                Some(peer.fd())
            } else {
                peer_birth.index = space.assign(&peer_port.dev);
                None
            };
            requests::add_veth(&port.dev, &near, &peer_port.dev, &peer_birth, peer_ns)
        }
        Link::Other(_) => return None,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn port(dev: &str) -> Port {
        Port { ns: Ns::Node(NodeId::Host("a".parse().unwrap())), dev: dev.parse().unwrap() }
    }

    #[test]
    fn what_is_done_is_not_done_again_and_what_another_has_made_of_it_is_no_reason_to_delete() {
        let bridge = |dev: &str| Fact::Link(port(dev), Link::Bridge);
        let other = Fact::Link(port("br0"), Link::Other("tun".to_owned()));
        let (up, mtu) = (Fact::Up(port("eth0")), |mtu| Fact::Mtu(port("eth0"), mtu));
        let plan =
            vec![Op::Del(other.clone()), Op::Del(up.clone()), Op::Add(bridge("br0")), Op::Add(bridge("br1")), Op::Set(mtu(1400))];
        let seen = State::from([bridge("br0"), up, mtu(1500)]);
        assert_eq!(rest(&plan, &seen), [plan[1].clone(), plan[3].clone(), plan[4].clone()]);
        let before = State::from([other]);
        assert_eq!(rest(&plan, &before), [plan[0].clone(), plan[2].clone(), plan[3].clone(), plan[4].clone()]);
    }
}
