//! The least wrong way of frames between two interfaces, and what is in its way.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};

use ipnet::IpNet;

use super::map::{At, Map};
use crate::kernel::tables::{Filtering, Stack};
use crate::probe::is_link_local;
use crate::report::machine::Kind;
use crate::report::trace::Cause;

/// A step that works, one that is switched off, one that nobody has made: the least wrong way is taken.
const STEP: u32 = 1;
const OFF: u32 = 1_000;
const UNPLUGGED: u32 = 1_000_000;

/// The least wrong way between two interfaces.
#[derive(Debug, Clone)]
pub(in crate::probe) struct Path {
    pub steps: Vec<At>,
    /// The tag of the frame at each of them; within a bridge that sorts by VLAN its VLAN.
    pub tags: Vec<u16>,
    cost: u32,
}

impl Path {
    pub(in crate::probe) fn cost(&self) -> u32 {
        self.cost
    }

    /// All of it is plugged in.
    pub(in crate::probe) fn is_plugged(&self) -> bool {
        self.cost < UNPLUGGED
    }
}

/// Where a frame is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Spot {
    at: At,
    tag: u16,
    heading: Heading,
}

/// Where it goes from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Heading {
    /// It begins there.
    Any,
    /// Out, from a link above or from a bridge.
    Out,
    /// In, from a cable or a link below.
    In,
    /// It has left the bridge's ports for its own interface.
    Own,
}

impl Map<'_> {
    /// Where a frame could come to next, and what that costs.
    fn next(&self, spot: Spot) -> Vec<(Spot, u32)> {
        let Spot { at, tag, heading } = spot;
        let mut next = Vec::new();
        let mut go = |at, tag, heading, cost| next.push((Spot { at, tag, heading }, cost));
        let down = |at: At| if self.link(at).up { STEP } else { OFF };
        let closed = |port: At| if self.forwards(port) { STEP } else { OFF };
        let (rises, falls) = (heading != Heading::Out, matches!(heading, Heading::Any | Heading::Out));
        if let Some(peer) = self.peer(at).filter(|_| heading != Heading::In) {
            go(peer, tag, Heading::In, down(at).max(down(peer)));
        }
        if falls {
            self.siblings(at).into_iter().for_each(|sibling| go(sibling, tag, Heading::In, down(sibling)));
            self.below(at, tag, &mut |lower, tag| go(lower, tag, Heading::Out, down(at).max(down(lower))));
        }
        if rises && heading != Heading::Any {
            for upper in self.uppers(at) {
                let fits = match self.link(*upper).stack {
                    Stack::Vlan { id } => tag == id,
                    _ => tag == 0,
                };
                go(*upper, 0, Heading::In, if fits { down(*upper) } else { OFF });
            }
            if let Some(bond) = self.bond(at) {
                go(bond, tag, Heading::In, down(bond));
            }
        }
        if let Some(bridge) = self.bridge(at).filter(|_| rises) {
            let within = self.ingress(bridge, at, tag);
            let cost = down(bridge).max(closed(at)).max(if within.is_some() { STEP } else { OFF });
            go(bridge, within.unwrap_or(tag), Heading::In, cost);
        } else if self.is_bridge(at) && heading != Heading::Own {
            let within = if heading == Heading::In { Some(tag) } else { self.ingress(at, at, tag) };
            for port in self.ports(at) {
                let leaves = within.and_then(|tag| self.egress(at, *port, tag));
                let cost = down(at).max(closed(*port)).max(if leaves.is_some() { STEP } else { OFF });
                go(*port, leaves.unwrap_or(0), Heading::Out, cost);
            }
            if heading == Heading::In && self.link(at).filtering == Filtering::On {
                let own = self.egress(at, at, tag);
                go(at, own.unwrap_or(0), Heading::Own, if own.is_some() { STEP } else { OFF });
            }
        } else if tag != 0 && rises {
            go(at, 0, Heading::In, OFF);
        }
        if self.kind(at.place) == Kind::Host {
            self.patches(at).into_iter().for_each(|other| go(other, tag, Heading::Any, UNPLUGGED));
        }
        next
    }

    /// The macvlans that a macvlan's frames come to at once.
    fn siblings(&self, at: At) -> Vec<At> {
        let meets = |at: At| self.link(at).stack == Stack::Macvlan;
        let lower = self.lower(at).filter(|_| meets(at));
        let all = lower.map_or(&[][..], |lower| self.uppers(lower));
        all.iter().copied().filter(|other| *other != at && meets(*other)).collect()
    }

    /// The links by which a stacked link's frames leave.
    fn below(&self, at: At, tag: u16, go: &mut dyn FnMut(At, u16)) {
        match (&self.link(at).stack, self.lower(at)) {
            (Stack::Vlan { id }, Some(lower)) => go(lower, *id),
            (Stack::Macvlan, Some(lower)) => go(lower, tag),
            (Stack::Bond { .. }, _) => self.active(at).into_iter().for_each(|slave| go(slave, tag)),
            _ => {}
        }
    }

    /// Whether a frame there is one that the interface's own node takes.
    fn lands(&self, spot: Spot) -> bool {
        let sorts = self.link(spot.at).filtering == Filtering::On;
        // A port's own address is of no use, and is looked for all the same.
        let out = spot.heading == Heading::Out && self.bridge(spot.at).is_none();
        spot.tag == 0 && !out && (!sorts || spot.heading != Heading::In)
    }

    /// A cable's end that is plugged into nothing and has no address of its own.
    pub(in crate::probe) fn is_loose(&self, at: At) -> bool {
        let link = self.link(at);
        link.master.is_none()
            && self.peer(at).is_some()
            && self.kind(at.place) == Kind::Host
            && self.nets(at).all(|net| is_link_local(net.addr()))
    }

    /// What a loose end could be plugged into.
    fn patches(&self, at: At) -> Vec<At> {
        if self.is_bridge(at) {
            return self.interfaces(at.place).filter(|other| self.is_loose(*other)).collect();
        }
        if !self.is_loose(at) {
            return Vec::new();
        }
        let bridges: Vec<At> = self.interfaces(at.place).filter(|other| self.is_bridge(*other)).collect();
        if bridges.is_empty() {
            return self.interfaces(at.place).filter(|other| *other != at && self.is_loose(*other)).collect();
        }
        bridges
    }

    /// The least wrong way from one interface to another.
    pub(in crate::probe) fn path(&self, from: At, to: At) -> Option<Path> {
        let best = self.spread(from, Some(to), u32::MAX);
        let ends = best.iter().filter(|(spot, _)| spot.at == to && self.lands(**spot));
        let (end, (cost, _)) = ends.min_by_key(|(spot, (cost, _))| (*cost, **spot))?;
        let mut spots = vec![*end];
        while let Some((_, Some(before))) = spots.last().and_then(|last| best.get(last)) {
            spots.push(*before);
        }
        spots.reverse();
        let (steps, tags) = (spots.iter().map(|spot| spot.at).collect(), spots.iter().map(|spot| spot.tag).collect());
        Some(Path { steps, tags, cost: *cost })
    }

    /// How many other nodes' interfaces on the interface's segment are in the subnet.
    pub(in crate::probe) fn companions(&self, at: At, net: IpNet) -> usize {
        let segment = self.open_to(at).into_iter().filter(|other| other.place != at.place);
        segment.filter(|other| self.nets(*other).any(|other| other.trunc() == net.trunc())).count()
    }

    /// Every interface that frames from there come to as things are.
    pub(in crate::probe) fn open_to(&self, from: At) -> Vec<At> {
        let spots = self.spread(from, None, OFF).into_keys();
        let mut all: Vec<At> =
            spots.filter(|spot| spot.heading == Heading::Out || self.lands(*spot)).map(|spot| spot.at).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// From an interface outwards (Dijkstra): what it costs to come to each other one, and from where one comes to it; until
    /// `to` is reached, and no further than costs below `limit` go.
    fn spread(&self, from: At, to: Option<At>, limit: u32) -> HashMap<Spot, (u32, Option<Spot>)> {
        let start = Spot { at: from, tag: 0, heading: Heading::Any };
        let mut best: HashMap<Spot, (u32, Option<Spot>)> = HashMap::from([(start, (0, None))]);
        let mut queue = BinaryHeap::from([Reverse((0, start))]);
        while let Some(Reverse((cost, spot))) = queue.pop() {
            if Some(spot.at) == to && self.lands(spot) {
                break;
            }
            if best.get(&spot).is_some_and(|(known, _)| *known < cost) {
                continue;
            }
            for (next, step) in self.next(spot) {
                let cost = cost.saturating_add(step);
                if cost < limit && best.get(&next).is_none_or(|(known, _)| cost < *known) {
                    best.insert(next, (cost, Some(spot)));
                    queue.push(Reverse((cost, next)));
                }
            }
        }
        best
    }

    /// The first thing on the way that keeps frames from passing.
    pub(in crate::probe) fn obstacle(&self, path: &Path) -> Option<Cause> {
        for (place, pair) in path.steps.windows(2).enumerate() {
            let &[at, next] = pair else { continue };
            let (before, after) = (path.tags[place], path.tags[place + 1]);
            if let Some(at) = [at, next].into_iter().find(|at| self.link(*at).up && !self.is_followed(*at)) {
                return Some(Cause::NotFollowed { interface: self.interface(at), kind: self.link(at).kind.clone() });
            }
            let cable = self.peer(at) == Some(next);
            if cable || self.is_over(at, next) || self.is_over(next, at) || self.siblings(at).contains(&next) {
                if !self.link(at).up {
                    return Some(self.down(at, None));
                }
                if !self.link(next).up {
                    return Some(if cable { self.down(at, Some(next)) } else { self.down(next, None) });
                }
                if self.lower(next) == Some(at)
                    && let Some(cause) = self.other_vlan(path.steps[0], before, next)
                {
                    return Some(cause);
                }
                continue;
            }
            if at == next {
                if self.is_bridge(at) && self.egress(at, at, before).is_none() {
                    return Some(self.sorted_out(at, at, before));
                }
                if !self.is_bridge(at) && before != after {
                    return self.other_vlan(path.steps[0], before, at);
                }
                continue;
            }
            let (port, bridge) = if self.is_bridge(next) { (at, next) } else { (next, at) };
            if self.bridge(port) != Some(bridge) {
                return Some(self.unplugged(at, next));
            }
            if let Some(cause) = self.shut(port, bridge) {
                return Some(cause);
            }
            let passes = if bridge == next { self.ingress(bridge, port, before) } else { self.egress(bridge, port, before) };
            if passes.is_none() {
                return Some(self.sorted_out(bridge, port, before));
            }
            let before = place.checked_sub(1).and_then(|before| path.steps.get(before)).filter(|_| !self.is_bridge(next));
            let isolated = |at: &At| self.link(*at).port.unwrap_or_default().isolated;
            if isolated(&port) && before.is_some_and(isolated) {
                return Some(Cause::PortClosed { interface: self.interface(port), state: "isolated".to_owned() });
            }
        }
        None
    }

    /// Why a port passes nothing, whoever sends: its bridge, itself or its cable's other end is down, or its state is another one
    /// than forwarding.
    pub(super) fn shut(&self, port: At, bridge: At) -> Option<Cause> {
        if let Some(at) = [bridge, port].into_iter().find(|at| !self.link(*at).up) {
            return Some(self.down(at, None));
        }
        if self.forwards(port) {
            return None;
        }
        // A port whose cable's other end is down is disabled for that; that of another machine tells only by the carrier.
        if let Some(peer) = self.peer(port).filter(|peer| !self.link(*peer).up || !self.link(port).carrier) {
            return Some(self.down(port, Some(peer)));
        }
        let state = self.link(port).port.unwrap_or_default().state.word().to_owned();
        Some(Cause::PortClosed { interface: self.interface(port), state })
    }

    /// One stands on the other, or has it for a slave.
    fn is_over(&self, upper: At, lower: At) -> bool {
        self.lower(upper) == Some(lower) || self.bond(lower) == Some(upper)
    }

    /// The port, or the bridge's own interface, is not in the VLAN.
    fn sorted_out(&self, bridge: At, port: At, tag: u16) -> Cause {
        let (interface, bridge) = (self.interface(port), self.link(bridge).name.clone());
        Cause::VlanSorted { interface, bridge, vlan: Some(tag).filter(|tag| *tag != 0) }
    }

    /// Frames come with another tag than an interface takes.
    fn other_vlan(&self, from: At, tag: u16, at: At) -> Option<Cause> {
        let takes = if let Stack::Vlan { id } = self.link(at).stack { id } else { 0 };
        let vlan = |tag: u16| Some(tag).filter(|tag| *tag != 0);
        let (interface, owner) = (self.interface(from), self.interface(at));
        (takes != tag).then(|| Cause::OtherVlan { interface, vlan: vlan(tag), owner, takes: vlan(takes) })
    }

    fn down(&self, at: At, peer: Option<At>) -> Cause {
        let at = if peer.is_some() { at } else { self.lowest_down(at) };
        Cause::LinkDown { interface: self.interface(at), peer: peer.map(|peer| self.interface(peer)) }
    }

    /// The end that is plugged into nothing; of the bridges there the one on the way comes first.
    fn unplugged(&self, at: At, next: At) -> Cause {
        let (loose, wanted) = if self.is_bridge(at) { (next, at) } else { (at, next) };
        let mut bridges: Vec<At> = self.interfaces(at.place).filter(|other| self.is_bridge(*other)).collect();
        bridges.sort_by_key(|bridge| *bridge != wanted);
        let bridges = bridges.into_iter().map(|bridge| self.link(bridge).name.clone()).collect();
        Cause::NotInBridge { interface: self.interface(loose), bridges }
    }

    /// Every node that an interface leads to, over routers too, but not through its own node.
    pub(in crate::probe) fn reach(&self, from: At) -> BTreeSet<usize> {
        let start = |at| Spot { at, tag: 0, heading: Heading::Any };
        let (mut places, mut seen, mut queue) = (BTreeSet::new(), BTreeSet::from([start(from)]), vec![start(from)]);
        while let Some(spot) = queue.pop() {
            let mut next: Vec<Spot> =
                self.next(spot).into_iter().filter(|(_, cost)| *cost < UNPLUGGED).map(|(at, _)| at).collect();
            if spot.at.place != from.place && places.insert(spot.at.place) {
                next.extend(self.interfaces(spot.at.place).map(start));
            }
            let below = |at: At| self.is_over(from, at) || self.bridge(from) == Some(at) || self.bridge(at) == Some(from);
            let within = |next: &Spot| next.at.place != from.place || below(next.at);
            queue.extend(next.into_iter().filter(within).filter(|next| seen.insert(*next)));
        }
        places
    }
}
