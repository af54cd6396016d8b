//! What the tables of a lab say about the way of a packet and of its reply.

mod barred;
mod blame;
mod cables;
mod fabric;
mod lacks;
pub(in crate::probe) mod lookup;
pub(in crate::probe) mod map;
mod neighbours;
mod packet;
mod path;
mod redirect;
mod tunnel;
mod ways;

use std::collections::HashMap;
use std::net::IpAddr;

use netlink_packet_route::neighbour::NeighbourState;
use netlink_packet_route::route::RouteType;

use fabric::Fabric;
use lookup::{Flow, Found, lookup};
use map::{At, Map};
use packet::{End, Packet};
use ways::Picks;

use super::view::{Place, View};
use crate::kernel::tables::{self, NextHop, Tables};
use crate::name::Mac;
use crate::plan::NodeId;
use crate::report::trace::{Cause, Death, Direction, Journey, Note, Route};
use crate::report::wire::Interface;

/// The time to live of packets where the node says nothing else (RFC 1700, `IPDEFTTL`).
const TTL: u8 = 64;

/// The packet that is sent.
#[derive(Debug, Clone, Copy)]
pub struct Probe {
    /// Bytes of the whole IP packet.
    pub size: u32,
    /// The time to live that it starts with.
    pub ttl: u8,
    /// Routers may cut it; of IPv6, the sender may.
    pub may_fragment: bool,
    /// The source address, where it is bound to one.
    pub source: Option<IpAddr>,
}

/// What is to happen.
#[derive(Debug, Clone)]
pub struct Prediction {
    /// The way of the packet.
    pub request: Journey,
    /// The way of its reply; none where the packet does not arrive.
    pub reply: Option<Journey>,
    /// Where and why one of them dies, as far as the tables tell; never certain.
    pub death: Option<Death>,
    /// The node where it ends, by the tables as they are.
    pub ends: Option<String>,
    /// The node that takes the packet, `host` or `host.container`.
    pub receiver: Option<String>,
    /// What is odd on the way and does not stop the packet.
    pub notes: Vec<Note>,
    /// Whether the packet is answered depends on which of the ways it goes.
    pub unsure: bool,
    /// What may happen as well: by other next hops, or where another one's answer comes first.
    pub others: Vec<Prediction>,
}

impl Prediction {
    /// All that may happen.
    pub fn ways(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(&self.others)
    }

    /// Whether it may be answered.
    pub fn may_live(&self) -> bool {
        self.ways().any(|way| way.death.is_none())
    }
}

/// A packet: its sender, its destination, and the rest.
type Order<'a> = (&'a NodeId, IpAddr, &'a Probe);

/// Follows a packet and its reply through the tables. What it dies of is told as it would be if nobody had learned anything
/// before, where that is known: a full neighbour table leads a packet past its cause, to a consequence.
pub fn predict(view: &View, from: &NodeId, to: IpAddr, probe: &Probe) -> Prediction {
    let mut first = ways::ways(view, (from, to, probe));
    first.unsure = first.others.iter().any(|other| other.death.is_some() != first.death.is_some());
    first
}

/// A prediction of death, with what it would be if nobody had learned anything before.
fn rooted(mut prediction: Prediction, unlearned: Option<Death>) -> Prediction {
    let is_vague = |cause: &Cause| matches!(cause, Cause::Unresolved { .. } | Cause::Unknown { .. });
    if let (Some(death), Some(root)) = (&mut prediction.death, unlearned.filter(|root| !is_vague(&root.cause))) {
        (death.node, death.cause) = (root.node, root.cause);
    }
    prediction
}

/// What bridges and nodes have learned is forgotten; what somebody put there stays.
pub(in crate::probe) fn forget(places: &mut [Place]) {
    let kept = |state| matches!(state, NeighbourState::Permanent | NeighbourState::Noarp);
    for place in places {
        place.tables.neighbours.retain(|entry| kept(entry.state));
        place.tables.fdb.retain(|entry| entry.fixed || entry.own);
        place.tables.exceptions.clear();
        place.tables.redirects.clear();
    }
}

/// Whether frames can come from one interface to the other without a router, once all on the way is up.
pub fn share_segment(view: &View, one: &Interface, other: &Interface) -> bool {
    let map = Map::new(view);
    let at = |interface: &Interface| {
        let place = view.places.iter().position(|place| place.node.node == interface.node)?;
        map.interfaces(place).find(|at| map.link(*at).name == interface.interface)
    };
    let ends = at(one).zip(at(other));
    ends.and_then(|(one, other)| map.path(one, other)).is_some_and(|path| path.is_plugged())
}

/// What a packet, or its reply, dies of, by whichever way it goes.
pub(in crate::probe) fn forecast(view: &View, from: &NodeId, to: IpAddr, probe: &Probe) -> Option<Cause> {
    let mut ways = ways::by_routes(view, (from, to, probe));
    ways.find_map(|way| way.death).map(|death| death.cause)
}

/// Follows the way that the picks say; with all the forks on it, and whether it depends on a race that is none of them.
fn follow(view: &View, (from, to, probe): Order<'_>, picks: Picks) -> (Prediction, Picks, bool) {
    let map = Map::new(view);
    let mut world = World::new(&map, picks);
    let start = view.places.iter().position(|place| place.id == *from);
    let Probe { size, ttl, may_fragment, source } = *probe;
    let mut packet = Packet { source, destination: to, ttl, size, may_fragment, answers: false, leaves: None };
    let (visits, end) = match start {
        Some(start) => world.carry(start, &mut packet),
        None => {
            (Vec::new(), End::Died { node: from.to_string(), cause: Cause::Unknown { node: from.to_string(), interface: None } })
        }
    };
    let request = Journey { source: packet.source, destination: to, visits };
    let (mut reply, mut receiver) = (None, None);
    let swallowed = match end {
        End::Received { place } => world.swallows(place, to),
        End::Died { .. } => None,
    };
    let died = match (end, start) {
        (End::Died { node, cause }, _) => Some((Direction::Request, node, cause)),
        (End::Received { .. }, None) => None,
        (End::Received { place }, _) if swallowed.is_some() => {
            swallowed.map(|cause| (Direction::Request, map.name(place), cause))
        }
        (End::Received { place }, Some(start)) => {
            receiver = Some(map.name(place));
            if let Some(cause) = world.duplicate_on_segment(place, to) {
                world.note(cause);
            }
            if ignored(map.tables(place), to) {
                Some((Direction::Request, map.name(place), Cause::EchoIgnored { node: map.name(place) }))
            } else {
                if let Some(cause) = packet.source.and_then(|own| world.duplicate_on_segment(start, own)) {
                    world.note(cause);
                }
                let (journey, death) = answer(&mut world, (start, place), &Packet { size, ..packet }, &request);
                reply = Some(journey);
                death.map(|(node, cause)| (Direction::Reply, node, cause))
            }
        }
    };
    let death = died.map(|(leg, node, cause)| {
        let cause = world.unused(&cause).unwrap_or(cause);
        let (node, cause) = if is_known(view, &cause) { (node, cause) } else { left(view, &request, node, &cause) };
        Death { leg, node, cause, certain: false, cure: Vec::new() }
    });
    let ends = death.as_ref().map(|death| death.node.clone());
    let death = death.map(|death| match cables::gap(view, &map, (from, to), &death.cause) {
        Some((node, cause)) => Death { node, cause, ..death },
        None => death,
    });
    let notes = std::mem::take(&mut world.notes).into_iter().filter(|note| is_known(view, note));
    let notes = notes.filter(|note| death.as_ref().is_none_or(|death| death.cause != *note));
    let notes = notes.map(|cause| Note { cure: Vec::new(), cause }).collect();
    let raced = world.fabric.raced;
    let prediction = Prediction { request, reply, death, ends, receiver, notes, unsure: false, others: Vec::new() };
    (prediction, world.picks, raced)
}

/// Whether everything that a cause blames was looked at; that several have an address takes two that were. A NIC of another
/// machine has the MAC address that nodes here have learned.
fn is_known(view: &View, cause: &Cause) -> bool {
    let blamed = cause.blames();
    let unknown = blamed.iter().filter(|node| view.is_unseen(node)).count();
    match cause {
        Cause::DuplicateAddress { .. } => unknown == 0 || blamed.len() - unknown > 1,
        Cause::DuplicateMac { .. } | Cause::ClonedMac { .. } => unknown == 0 || unknown < blamed.len(),
        _ => unknown == 0,
    }
}

/// What is said instead of a cause that rests on tables where nobody has looked: the packet left for that machine.
fn left(view: &View, request: &Journey, node: String, cause: &Cause) -> (String, Cause) {
    let unknown = |node: &str| view.is_unseen(node);
    let Some(there) = cause.blames().into_iter().find(|node| unknown(node)) else { return (node, cause.clone()) };
    let host = there.split('.').next().unwrap_or(there).to_owned();
    // The cable between the two machines, whose end here is seen.
    if let Cause::LinkDown { interface, peer: Some(_) } = cause
        && !unknown(&interface.node)
    {
        return (interface.node.clone(), Cause::OtherMachine { interface: interface.clone(), host });
    }
    let known = request.visits.iter().take_while(|visit| !unknown(&visit.node));
    let last = known.last().map(|visit| (visit.node.clone(), visit.leaves.clone()));
    match last {
        Some((node, Some(interface))) => (node.clone(), Cause::OtherMachine { interface: Interface { node, interface }, host }),
        Some((node, None)) => (node.clone(), Cause::Unknown { node, interface: None }),
        None => (node.clone(), Cause::Unknown { node, interface: None }),
    }
}

fn ignored(tables: &Tables, to: IpAddr) -> bool {
    tables.settings.as_ref().is_some_and(|settings| if to.is_ipv6() { settings.echo_ignored.1 } else { settings.echo_ignored.0 })
}

/// The way back of the answer from the node that took the packet.
fn answer(
    world: &mut World<'_>,
    (start, place): (usize, usize),
    packet: &Packet,
    request: &Journey,
) -> (Journey, Option<(String, Cause)>) {
    let back = packet.source.unwrap_or(packet.destination);
    let settings = world.map.tables(place).settings.as_ref();
    let ttl = settings.filter(|_| back.is_ipv4()).and_then(|settings| settings.ttl).unwrap_or(TTL);
    // An echo reply may be cut on its way (`icmp_sk_init`, `net/ipv4/icmp.c`).
    // To an address of one segment it goes back where it came from (`icmpv6_echo_reply`, `net/ipv6/icmp.c`).
    let enters = request.visits.last().and_then(|visit| visit.enters.as_deref()).filter(|_| super::is_link_local(back));
    let leaves = enters.and_then(|dev| world.map.tables(place).named(dev)).map(|link| link.index);
    let source = Some(packet.destination);
    let mut answer = Packet { source, destination: back, ttl, size: packet.size, may_fragment: true, answers: true, leaves };
    let (visits, end) = world.carry(place, &mut answer);
    let death = match end {
        End::Died { node, cause } => Some((node, cause)),
        End::Received { place } if place != start => Some((world.map.name(place), world.taken(place, back))),
        End::Received { .. } => None,
    };
    (Journey { source: answer.source, destination: back, visits }, death)
}

/// A route as it is told.
fn route_of(tables: &Tables, route: &tables::Route, hop: Option<&NextHop>) -> Route {
    let dev = hop.and_then(|hop| tables.link(hop.dev)).map_or_else(String::new, |link| link.name.clone());
    Route { to: route.to, via: hop.and_then(|hop| hop.via), dev }
}

/// The kind of a route as `ip route` writes it.
fn refusal(kind: RouteType) -> &'static str {
    match kind {
        RouteType::BlackHole => "blackhole",
        RouteType::Prohibit => "prohibit",
        _ => "unreachable",
    }
}

/// One prediction under way.
#[derive(Debug)]
struct World<'a> {
    pub map: &'a Map<'a>,
    pub fabric: Fabric<'a>,
    /// Neighbours that nodes met on the way.
    pub met: HashMap<(At, IpAddr), Mac>,
    pub notes: Vec<Cause>,
    picks: Picks,
    /// In how many tunnels within each other the packet is.
    depth: usize,
}

impl<'a> World<'a> {
    fn new(map: &'a Map<'a>, picks: Picks) -> Self {
        let fabric = Fabric::new(map, picks.is_last());
        Self { map, fabric, met: HashMap::new(), notes: Vec::new(), picks, depth: 0 }
    }

    /// Whether the node takes packets for the address.
    fn has(&self, place: usize, address: IpAddr) -> bool {
        matches!(lookup(self.map.tables(place), Flow { to: address, from: None, enters: None, leaves: None }), Found::Local(_))
    }

    /// Notes something odd, once.
    fn note(&mut self, cause: Cause) {
        if !self.notes.contains(&cause) {
            self.notes.push(cause);
        }
    }

    /// What is odd about the MAC address of a frame.
    fn note_mac(&mut self, mac: Mac) {
        if let Some(cause) = self.map.shared(mac) {
            self.note(cause);
        }
    }
}

#[cfg(test)]
mod tests;
