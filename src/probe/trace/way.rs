//! From what was seen to the way that it was seen to go.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use super::sighting::Sighting;
use crate::probe::view::View;
use crate::report::node::Link;
use crate::report::trace::Leg;

/// What was seen of a packet in one node, from where it comes in to where it leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop<'a> {
    /// The node.
    pub node: &'a str,
    /// In order.
    pub seen: Vec<&'a Sighting>,
}

impl Stop<'_> {
    /// Its frame as it leaves by that interface.
    pub fn leaving(&self, interface: &str) -> Option<&Sighting> {
        self.seen.iter().rfind(|seen| seen.outgoing && seen.interface == interface).copied()
    }

    /// Its frame as it leaves the node at last.
    pub fn left(&self) -> Option<&Sighting> {
        self.seen.last().filter(|seen| seen.outgoing).copied()
    }

    /// Where it comes in first.
    pub fn entered(&self) -> Option<&Sighting> {
        self.seen.first().filter(|seen| !seen.outgoing).copied()
    }
}

/// The longest way that the packet was seen to go; where it was flooded, the copies that end sooner are left out.
/// Of several that are as long, one through interfaces that are `expected` is taken.
pub fn way<'a>(view: &View, sightings: &'a [Sighting], leg: Leg, expected: &dyn Fn(&Sighting) -> bool) -> Vec<Stop<'a>> {
    let graph = Graph::new(view, sightings, leg, expected);
    let mut stops: Vec<Stop<'a>> = Vec::new();
    for seen in graph.longest() {
        match stops.last_mut() {
            // A packet that comes in again has been elsewhere, even where nobody watched.
            Some(stop) if stop.node == seen.node && (seen.outgoing || !stop.seen.iter().any(|seen| seen.outgoing)) => {
                stop.seen.push(seen);
            }
            _ => stops.push(Stop { node: &seen.node, seen: vec![seen] }),
        }
    }
    stops
}

/// Where a sighting is: node, interface, direction, time to live.
type Spot<'a> = (&'a str, &'a str, bool, u8);

struct Graph<'a, 'v> {
    view: &'v View,
    sightings: &'a [Sighting],
    leg: Leg,
    spots: HashMap<Spot<'a>, Vec<usize>>,
    by_node: HashMap<(&'a str, u8), Vec<usize>>,
    expected: &'v dyn Fn(&Sighting) -> bool,
}

/// The best way on from a sighting.
#[derive(Debug, Clone, Copy)]
enum Best {
    Unknown,
    Underway,
    Found { length: usize, next: Option<usize> },
}

impl<'a, 'v> Graph<'a, 'v> {
    fn new(view: &'v View, sightings: &'a [Sighting], leg: Leg, expected: &'v dyn Fn(&Sighting) -> bool) -> Self {
        let mut graph = Self { view, sightings, leg, spots: HashMap::new(), by_node: HashMap::new(), expected };
        for (at, seen) in sightings.iter().enumerate() {
            let Some((its, ttl)) = seen.packet().filter(|(its, _)| *its == leg) else { continue };
            debug_assert_eq!(its, leg);
            graph.spots.entry((&seen.node, &seen.interface, seen.outgoing, ttl)).or_default().push(at);
            if seen.outgoing {
                graph.by_node.entry((&seen.node, ttl)).or_default().push(at);
            }
        }
        graph
    }

    fn longest(&self) -> Vec<&'a Sighting> {
        let mut best = vec![Best::Unknown; self.sightings.len()];
        let starts = self.starts();
        for start in &starts {
            self.explore(*start, &mut best);
        }
        let length = |start: &usize| match best[*start] {
            Best::Found { length, .. } => length,
            Best::Unknown | Best::Underway => 0,
        };
        let Some(start) = starts.into_iter().max_by_key(|start| (length(start), Reverse(*start))) else { return Vec::new() };
        let (mut way, mut here) = (Vec::new(), Some(start));
        while let Some(at) = here {
            way.push(&self.sightings[at]);
            here = match best[at] {
                Best::Found { next, .. } => next,
                Best::Unknown | Best::Underway => None,
            };
        }
        way
    }

    /// Where the packet can have begun: it leaves a node and was not seen before. Times do not tell: a frame that the kernel
    /// had not stamped yet bears that of its reading.
    fn starts(&self) -> Vec<usize> {
        let mine = |at: &usize| self.sightings[*at].packet().is_some_and(|(leg, _)| leg == self.leg);
        let all: Vec<usize> = (0..self.sightings.len()).filter(mine).collect();
        let later: HashSet<usize> = all.iter().flat_map(|at| self.nexts(*at)).collect();
        let begins = |seen: &Sighting| seen.outgoing || self.comes_from_far(seen);
        all.into_iter().filter(|at| begins(&self.sightings[*at]) && !later.contains(at)).collect()
    }

    /// It came in by a NIC that leads to another machine.
    fn comes_from_far(&self, seen: &Sighting) -> bool {
        let far = self.link(&seen.node, &seen.interface).and_then(|link| link.peer.as_ref()?.node.as_ref());
        far.is_some_and(|far| self.view.seen(far).is_unknown())
    }

    /// Without recursion: a storm in a circle of bridges is long.
    fn explore(&self, start: usize, best: &mut [Best]) {
        let mut stack = vec![start];
        while let Some(&at) = stack.last() {
            let nexts = self.nexts(at);
            if matches!(best[at], Best::Unknown) {
                best[at] = Best::Underway;
                stack.extend(nexts.iter().filter(|&&next| matches!(best[next], Best::Unknown)));
                continue;
            }
            stack.pop();
            if matches!(best[at], Best::Found { .. }) {
                continue;
            }
            let found = nexts.iter().filter_map(|&next| match best[next] {
                Best::Found { length, .. } => Some((length, (self.expected)(&self.sightings[next]), next)),
                Best::Unknown | Best::Underway => None,
            });
            let (length, next) = found
                .max_by_key(|(length, expected, _)| (*length, *expected))
                .map_or((0, None), |(length, _, next)| (length, Some(next)));
            best[at] = Best::Found { length: length + 1, next };
        }
    }

    /// What can come after a sighting.
    fn nexts(&self, at: usize) -> Vec<usize> {
        let seen = &self.sightings[at];
        let Some((_, ttl)) = seen.packet() else { return Vec::new() };
        let Some(link) = self.link(&seen.node, &seen.interface) else { return Vec::new() };
        let same = |at: &&usize| {
            let other = &self.sightings[**at];
            (other.source, other.destination) == (seen.source, seen.destination)
        };
        let ports = |bridge: &str| -> Vec<usize> {
            let leaving = self.leaving(seen, ttl).iter().filter(same);
            leaving.copied().filter(|&next| self.is_port(next, bridge)).collect()
        };
        let mut found = Vec::new();
        match (seen.outgoing, &link.bridge) {
            (true, _) if link.kind == "bridge" => found = ports(&link.name),
            (true, _) => {
                if let Some((Some(node), Some(name))) = link.peer.as_ref().map(|peer| (&peer.node, &peer.name)) {
                    found.extend(self.spot(node, name, ttl).iter().filter(same));
                } else if link.kind == "loopback" {
                    found.extend(self.spot(&seen.node, &seen.interface, ttl));
                }
            }
            (false, Some(bridge)) => {
                found = ports(bridge);
                found.extend(self.spot(&seen.node, bridge, ttl).iter().filter(same));
            }
            (false, None) => found.extend(ttl.checked_sub(1).map_or(&[][..], |ttl| self.leaving(seen, ttl))),
        }
        found.retain(|&next| next != at);
        found
    }

    fn spot<'s>(&'s self, node: &'s str, interface: &'s str, ttl: u8) -> &'s [usize] {
        self.spots.get(&(node, interface, false, ttl)).map_or(&[], Vec::as_slice)
    }

    fn leaving<'s>(&'s self, seen: &'s Sighting, ttl: u8) -> &'s [usize] {
        self.by_node.get(&(seen.node.as_str(), ttl)).map_or(&[], Vec::as_slice)
    }

    fn is_port(&self, at: usize, bridge: &str) -> bool {
        let seen = &self.sightings[at];
        self.link(&seen.node, &seen.interface).is_some_and(|link| link.bridge.as_deref() == Some(bridge))
    }

    fn link(&self, node: &str, interface: &str) -> Option<&'v Link> {
        let place = self.view.places.iter().find(|place| place.node.node == node)?;
        place.node.links.iter().find(|link| link.name == interface)
    }
}
