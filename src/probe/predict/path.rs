//! The least wrong way of frames between two interfaces, and what is in its way.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};

use ipnet::IpNet;

use super::map::{At, Map};
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

impl Map<'_> {
    /// Interfaces that a frame could come to next, and what that costs.
    fn next(&self, at: At) -> Vec<(At, u32)> {
        let mut next = Vec::new();
        let down = |at: At| if self.link(at).up { STEP } else { OFF };
        if let Some(peer) = self.peer(at) {
            next.push((peer, down(at).max(down(peer))));
        }
        let closed = |port: At| if self.forwards(port) { STEP } else { OFF };
        if let Some(bridge) = self.bridge(at) {
            next.push((bridge, down(bridge).max(closed(at))));
        } else if self.is_bridge(at) {
            next.extend(self.ports(at).iter().map(|port| (*port, down(at).max(closed(*port)))));
        }
        if self.kind(at.place) == Kind::Host {
            next.extend(self.patches(at).into_iter().map(|other| (other, UNPLUGGED)));
        }
        next
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
        let (cost, _) = *best.get(&to)?;
        let mut steps = vec![to];
        while let Some((_, Some(before))) = steps.last().and_then(|last| best.get(last)) {
            steps.push(*before);
        }
        steps.reverse();
        Some(Path { steps, cost })
    }

    /// How many other nodes' interfaces on the interface's segment are in the subnet.
    pub(in crate::probe) fn companions(&self, at: At, net: IpNet) -> usize {
        let segment = self.open_to(at).into_iter().filter(|other| other.place != at.place);
        segment.filter(|other| self.nets(*other).any(|other| other.trunc() == net.trunc())).count()
    }

    /// Every interface that frames from there come to as things are.
    pub(in crate::probe) fn open_to(&self, from: At) -> Vec<At> {
        let mut all: Vec<At> = self.spread(from, None, OFF).into_keys().collect();
        all.sort_unstable();
        all
    }

    /// From an interface outwards (Dijkstra): what it costs to come to each other one, and from where one comes to it; until
    /// `to` is reached, and no further than costs below `limit` go.
    fn spread(&self, from: At, to: Option<At>, limit: u32) -> HashMap<At, (u32, Option<At>)> {
        let mut best: HashMap<At, (u32, Option<At>)> = HashMap::from([(from, (0, None))]);
        let mut queue = BinaryHeap::from([Reverse((0, from))]);
        while let Some(Reverse((cost, at))) = queue.pop() {
            if Some(at) == to {
                break;
            }
            if best.get(&at).is_some_and(|(known, _)| *known < cost) {
                continue;
            }
            // A frame that comes to a bridge's own interface, or begins at a port, stays within the bridge.
            for (next, step) in self.next(at) {
                let cost = cost.saturating_add(step);
                if cost < limit && best.get(&next).is_none_or(|(known, _)| cost < *known) {
                    best.insert(next, (cost, Some(at)));
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
            if self.peer(at) == Some(next) {
                if !self.link(at).up {
                    return Some(self.down(at, None));
                }
                if !self.link(next).up {
                    return Some(self.down(at, Some(next)));
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

    fn down(&self, at: At, peer: Option<At>) -> Cause {
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
        let (mut places, mut seen, mut queue) = (BTreeSet::new(), BTreeSet::from([from]), vec![from]);
        while let Some(at) = queue.pop() {
            let mut next: Vec<At> = self.next(at).into_iter().filter(|(_, cost)| *cost < UNPLUGGED).map(|(at, _)| at).collect();
            if at.place != from.place && places.insert(at.place) {
                next.extend(self.interfaces(at.place));
            }
            let within =
                |next: &At| next.place != from.place || self.bridge(from) == Some(*next) || self.bridge(*next) == Some(from);
            queue.extend(next.into_iter().filter(within).filter(|next| seen.insert(*next)));
        }
        places
    }
}
