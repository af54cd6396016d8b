//! What was seen of one probe on every segment, and the way that it was seen to go.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::time::Duration;

use nix::errno::Errno;

use super::mark::Mark;
use crate::kernel::packet::Seen;
use crate::kernel::tables::Stack;
use crate::name::Mac;
use crate::probe::frame::{Body, Frame, Packet, Payload};
use crate::probe::predict::map::{At, Map};
use crate::probe::view::View;
use crate::report::machine::Link;
use crate::report::trace::{Direction, IcmpWord};

/// What became of one probe.
#[derive(Debug, Clone, Default)]
pub struct Probed {
    /// What was seen of it, in the order of time.
    pub sightings: Vec<Sighting>,
    /// Its reply came back to the socket that sent it.
    pub answered: bool,
    /// The kernel has told that socket that it is in vain.
    pub failed: Option<Errno>,
    /// From when it was sent until it was answered or given up.
    pub took: Duration,
}

impl Probed {
    /// Adds the questions for MAC addresses of a probe before: their answers still hold.
    pub fn after(mut self, before: &Self) -> Self {
        let resolved = before.sightings.iter().filter(|seen| matches!(seen.what, What::Asks { .. } | What::Answers { .. }));
        self.sightings.splice(..0, resolved.cloned());
        self
    }

    /// From when the packet left its sender until its reply came back there, in milliseconds: by the stamps of the frames, or
    /// where the kernel did not stamp both, until the reply was read.
    pub fn milliseconds(&self) -> f64 {
        let is_of = |seen: &&Sighting, wanted| seen.packet().is_some_and(|(leg, _)| leg == wanted);
        let left = self.sightings.iter().find(|seen| is_of(seen, Direction::Request));
        let back = self.sightings.iter().rfind(|seen| is_of(seen, Direction::Reply));
        let stamped = left.zip(back).and_then(|(left, back)| back.nanoseconds.checked_sub(left.nanoseconds));
        let between = stamped.map(Duration::from_nanos).filter(|between| *between < self.took && !between.is_zero());
        between.unwrap_or(self.took).as_secs_f64() * 1000.0
    }
}

/// A frame of the probe's, at an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// The node, `host` or `host.container`.
    pub node: String,
    /// Its interface.
    pub interface: String,
    /// It leaves the node there; else it comes in.
    pub outgoing: bool,
    /// When, in nanoseconds since 1970.
    pub nanoseconds: u64,
    /// The frame's source.
    pub source: Mac,
    /// The frame's destination.
    pub destination: Mac,
    /// What it carries.
    pub what: What,
}

/// What a frame of the probe's carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The probe, or its reply.
    Packet {
        /// Which.
        leg: Direction,
        /// Its time to live.
        ttl: u8,
        /// Its source address.
        source: IpAddr,
        /// Its destination address.
        destination: IpAddr,
        /// It is a reply that says that nobody listens.
        refuses: bool,
    },
    /// An ICMP error about one of them.
    Error {
        /// About which.
        leg: Direction,
        /// Who says so.
        from: IpAddr,
        /// What.
        says: IcmpWord,
    },
    /// The question for the MAC address of an address.
    Asks {
        /// The address.
        address: IpAddr,
    },
    /// An answer to it.
    Answers {
        /// The address.
        address: IpAddr,
        /// Where it is.
        mac: Mac,
    },
}

impl Sighting {
    /// What a tap saw; none where it has nothing to do with the probe.
    pub fn from_frame(seen: &Seen<'_>, node: &str, interface: &str, mark: Mark) -> Option<Self> {
        let frame = Frame::decode(seen.bytes)?;
        Some(Self {
            node: node.to_owned(),
            interface: interface.to_owned(),
            outgoing: seen.outgoing,
            nanoseconds: seen.nanoseconds,
            source: frame.source,
            destination: frame.destination,
            what: what(&frame.payload, mark)?,
        })
    }

    /// The probe or its reply: which, and its time to live.
    pub fn packet(&self) -> Option<(Direction, u8)> {
        match self.what {
            What::Packet { leg, ttl, .. } => Some((leg, ttl)),
            _ => None,
        }
    }
}

fn what(payload: &Payload, mark: Mark) -> Option<What> {
    match payload {
        Payload::Arp { operation: 1, target_ip, .. } => Some(What::Asks { address: (*target_ip).into() }),
        Payload::Arp { operation: 2, sender_ip, sender_mac, .. } => {
            Some(What::Answers { address: (*sender_ip).into(), mac: *sender_mac })
        }
        Payload::Ip(packet) => in_packet(packet, mark),
        _ => None,
    }
}

fn in_packet(packet: &Packet, mark: Mark) -> Option<What> {
    if let Some(leg) = mark.leg(packet) {
        let Packet { ttl, source, destination, .. } = *packet;
        let refuses = leg == Direction::Reply && Mark::refuses(packet);
        return Some(What::Packet { leg, ttl, source, destination, refuses });
    }
    let about = |quoted: &Option<Box<Packet>>| quoted.as_ref().and_then(|quoted| mark.leg(quoted));
    let error = |quoted, says| Some(What::Error { leg: about(quoted)?, from: packet.source, says });
    match &packet.body {
        Body::TimeExceeded { quoted, .. } => error(quoted, IcmpWord::TimeExceeded),
        Body::TooBig { mtu, quoted } => error(quoted, IcmpWord::TooBig { mtu: *mtu }),
        Body::Unreachable { code, mtu, quoted } => {
            error(quoted, if packet.source.is_ipv4() { unreachable4(*code, *mtu) } else { unreachable6(*code) })
        }
        Body::Solicitation { target, .. } => Some(What::Asks { address: (*target).into() }),
        Body::Advertisement { target, mac } => Some(What::Answers { address: (*target).into(), mac: (*mac)? }),
        _ => None,
    }
}

/// RFC 792 and 1122.
fn unreachable4(code: u8, mtu: Option<u16>) -> IcmpWord {
    match code {
        0 | 6 | 11 => IcmpWord::NoRoute,
        1 | 7 | 12 => IcmpWord::HostUnreachable,
        3 => IcmpWord::PortUnreachable,
        4 => IcmpWord::TooBig { mtu: mtu.unwrap_or_default().into() },
        9 | 10 | 13 => IcmpWord::Prohibited,
        _ => IcmpWord::Other { kind: 3, code },
    }
}

/// RFC 4443.
fn unreachable6(code: u8) -> IcmpWord {
    match code {
        0 => IcmpWord::NoRoute,
        1 | 5 | 6 => IcmpWord::Prohibited,
        3 => IcmpWord::HostUnreachable,
        4 => IcmpWord::PortUnreachable,
        _ => IcmpWord::Other { kind: 1, code },
    }
}

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
pub fn way<'a>(view: &View, sightings: &'a [Sighting], leg: Direction, expected: &dyn Fn(&Sighting) -> bool) -> Vec<Stop<'a>> {
    let map = Map::new(view);
    let graph = Graph::new(view, &map, sightings, leg, expected);
    let mut stops: Vec<Stop<'a>> = Vec::new();
    for seen in within_nodes(&map, &graph.longest()) {
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

/// Without what was seen on the link below of a stacked link that is in another node: there it was only passed down, or up.
fn within_nodes<'a>(map: &Map<'_>, way: &[&'a Sighting]) -> Vec<&'a Sighting> {
    let at = |seen: &Sighting| map.named(&seen.node, &seen.interface);
    let below = |upper: &Sighting, seen: &Sighting| {
        let lower = at(upper).and_then(|upper| map.lower(upper));
        upper.outgoing == seen.outgoing && upper.node != seen.node && lower.is_some() && lower == at(seen)
    };
    let is_bridge = |seen: &Sighting| at(seen).is_some_and(|at| map.is_bridge(at));
    let mut kept: Vec<&Sighting> = Vec::new();
    for (place, seen) in way.iter().enumerate() {
        let down = seen.outgoing && place > 0 && below(way[place - 1], seen) && !is_bridge(seen);
        let up = !seen.outgoing && way.get(place + 1).is_some_and(|next| below(next, seen));
        if up {
            while kept.last().is_some_and(|last| !last.outgoing && last.node == seen.node) {
                kept.pop();
            }
        }
        if !down && !up {
            kept.push(seen);
        }
    }
    kept
}

/// Where a sighting is: node, interface, direction, time to live.
type Spot<'a> = (&'a str, &'a str, bool, u8);

struct Graph<'a, 'v> {
    view: &'v View,
    map: &'v Map<'v>,
    sightings: &'a [Sighting],
    leg: Direction,
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
    fn new(
        view: &'v View,
        map: &'v Map<'v>,
        sightings: &'a [Sighting],
        leg: Direction,
        expected: &'v dyn Fn(&Sighting) -> bool,
    ) -> Self {
        let mut graph = Self { view, map, sightings, leg, spots: HashMap::new(), by_node: HashMap::new(), expected };
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
        let begins = |seen: &Sighting| seen.outgoing || self.comes_from_elsewhere(seen);
        all.into_iter().filter(|at| begins(&self.sightings[*at]) && !later.contains(at)).collect()
    }

    /// It came in by a NIC that leads to another machine.
    fn comes_from_elsewhere(&self, seen: &Sighting) -> bool {
        let peer = self.link(&seen.node, &seen.interface).and_then(|link| link.peer.as_ref()?.node.as_ref());
        peer.is_some_and(|node| self.view.is_unseen(node))
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
        found.extend(self.stacked(seen, ttl).into_iter().filter(|next| same(&next)));
        found.extend(self.tunnelled(seen, ttl));
        found.retain(|&next| next != at);
        found
    }

    /// On the link below, and on those above.
    fn stacked(&self, seen: &Sighting, ttl: u8) -> Vec<usize> {
        let Some(at) = self.map.named(&seen.node, &seen.interface) else { return Vec::new() };
        let (mut found, lower) = (Vec::new(), self.map.lower(at));
        let mut add = |at: At, outgoing| {
            let there = self.map.interface(at);
            let spots = self.spots.iter().find(|(spot, _)| **spot == (&*there.node, &*there.interface, outgoing, ttl));
            found.extend(spots.map(|(_, all)| all).into_iter().flatten().copied());
        };
        if seen.outgoing {
            lower.into_iter().chain(self.map.active(at)).for_each(|lower| add(lower, true));
            // Others on the same link are met there.
            if let Some(lower) = lower {
                add(lower, false);
            }
        } else {
            self.map.uppers(at).iter().copied().chain(self.map.bond(at)).for_each(|upper| add(upper, false));
        }
        found
    }

    /// Out of another tunnel.
    fn tunnelled(&self, seen: &Sighting, ttl: u8) -> Vec<usize> {
        let is_tunnel = |node: &str, dev: &str| {
            let at = self.map.named(node, dev);
            at.is_some_and(|at| matches!(self.map.link(at).stack, Stack::Tunnel(_)))
        };
        if !seen.outgoing || !is_tunnel(&seen.node, &seen.interface) {
            return Vec::new();
        }
        let ends = self
            .spots
            .iter()
            .filter(|((node, dev, outgoing, its), _)| !outgoing && *its == ttl && *node != seen.node && is_tunnel(node, dev));
        ends.flat_map(|(_, all)| all).copied().collect()
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
        self.view.named(node)?.named(interface)
    }
}
