//! The way of a frame over cables, bridges and stacked links.

use std::collections::{HashMap, HashSet, VecDeque};

use super::map::{At, Map};
use crate::kernel::tables::{Fdb, Stack};
use crate::name::Mac;

/// Every station.
pub(super) const BROADCAST: Mac = Mac([0xff; 6]);
/// A group that is asked for a neighbour's address in IPv6 (RFC 4291 section 2.7.1).
pub(super) const SOLICITED: Mac = Mac([0x33, 0x33, 0xff, 0, 0, 0]);
/// More steps than this are a storm: bridges in a circle without a spanning tree.
const STORM: usize = 20_000;
/// Links upon each other within a node, as deep as they are followed.
const DEEPEST: u8 = 24;
/// A forwarding device lets frames pass that are longer by a VLAN tag (`is_skb_forwardable`, `net/core/dev.c`).
const SLACK: u32 = 4;

/// A frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ether {
    pub source: Mac,
    pub destination: Mac,
    /// Bytes of payload.
    pub size: u32,
}

/// A bridge that a frame passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Passage {
    pub bridge: At,
    /// The port that it came in by; none from the bridge's own interface.
    pub enters: Option<At>,
    pub leaves: At,
    pub floods: bool,
}

/// An interface whose node takes the frame.
#[derive(Debug, Clone)]
pub(super) struct Landing {
    pub at: At,
    pub way: Vec<Passage>,
}

/// Where a frame ended that nobody took.
#[derive(Debug, Clone)]
pub(super) struct Stop {
    pub at: At,
    /// The interface by which it came into the node; none where it was on its way out.
    pub entered: Option<At>,
    pub why: Why,
    pub way: Vec<Passage>,
}

/// Why a frame goes no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// The interface is down, or its cable is.
    Down,
    /// The cable leads to no node of the lab.
    Outside,
    /// The port is not forwarding, or isolated from the one that it came in by.
    Closed,
    /// The port is locked, and the forwarding table does not have the sender there.
    Locked,
    /// It came to an interface with another MAC address.
    Foreign,
    /// It came with the tag of a VLAN that the interface is not in.
    Tagged(u16),
    /// The port is not in the VLAN, or in none that takes frames without a tag (0).
    Sorted(u16),
    /// The link throws away what is sent there.
    Dummy,
    /// The link is of a kind, or set in a way, that is not followed.
    NotFollowed,
    /// It is longer than the interface's MTU.
    TooBig(u32),
    /// No port takes frames for addresses that the bridge does not know.
    Unflooded,
    /// The bridge thinks that the address is where the frame came from.
    SamePort,
}

/// What became of a frame.
#[derive(Debug, Clone, Default)]
pub(super) struct Delivery {
    pub landings: Vec<Landing>,
    pub stops: Vec<Stop>,
    /// Tunnels that took it.
    pub packed: Vec<(At, Trip)>,
}

impl Delivery {
    /// What became of another copy.
    pub(super) fn add(&mut self, other: Self) {
        self.landings.extend(other.landings);
        self.stops.extend(other.stops);
        self.packed.extend(other.packed);
    }

    /// A link on the way that is not followed.
    pub(super) fn not_followed(&self) -> Option<At> {
        self.stops.iter().find(|stop| stop.why == Why::NotFollowed).map(|stop| stop.at)
    }
}

/// What a frame has behind it, and on it.
#[derive(Debug, Clone, Default)]
pub(super) struct Trip {
    pub way: Vec<Passage>,
    /// The VLAN of its tag; 0 without one.
    pub tag: u16,
    /// It came in by an interface with the MAC address that it is for.
    taken: bool,
    /// How many links upon each other it has passed.
    depth: u8,
}

/// The cables and bridges of a lab, with what the bridges learn while frames pass.
#[derive(Debug)]
pub(super) struct Fabric<'a> {
    pub map: &'a Map<'a>,
    learned: HashMap<(At, Mac, u16), At>,
    /// A bridge believes the first copy of a frame that comes back to it, else the last: which is so, is a matter of time.
    first: bool,
    /// There was such a frame.
    pub raced: bool,
}

impl<'a> Fabric<'a> {
    pub(super) fn new(map: &'a Map<'a>, first: bool) -> Self {
        Self { map, learned: HashMap::new(), first, raced: false }
    }

    /// Sends a frame out of an interface.
    pub(super) fn send(&mut self, from: At, frame: Ether) -> Delivery {
        self.run(frame, |fabric, run| fabric.transmit(run, from, Trip::default()))
    }

    /// A frame comes out of a tunnel's end.
    pub(super) fn unpack(&mut self, at: At, frame: Ether, trip: Trip) -> Delivery {
        self.run(frame, |fabric, run| fabric.receive(run, at, trip))
    }

    fn run(&mut self, frame: Ether, begin: impl FnOnce(&mut Self, &mut Run)) -> Delivery {
        let (queue, seen, learners) = (VecDeque::new(), HashSet::new(), HashMap::new());
        let mut run = Run { frame, queue, seen, learners, delivery: Delivery::default() };
        begin(self, &mut run);
        let mut steps = 0;
        while let Some((at, trip)) = run.queue.pop_front() {
            steps += 1;
            if steps > STORM {
                break;
            }
            self.receive(&mut run, at, trip);
        }
        run.delivery
    }

    fn transmit(&mut self, run: &mut Run, at: At, mut trip: Trip) {
        let link = self.map.link(at);
        trip.depth += 1;
        if trip.depth > DEEPEST {
            return run.stop(at, None, Why::NotFollowed, trip);
        }
        if !link.up {
            return run.stop(at, None, Why::Down, trip);
        }
        if link.kind == "bridge" {
            if !link.carrier {
                return run.stop(at, None, Why::Down, trip);
            }
            return match self.map.ingress(at, at, trip.tag) {
                Some(tag) => self.switch(run, at, None, Trip { tag, ..trip }),
                None => run.stop(at, None, Why::Sorted(trip.tag), trip),
            };
        }
        if run.frame.size > link.mtu.saturating_add(SLACK) {
            return run.stop(at, None, Why::TooBig(link.mtu), trip);
        }
        let lower = self.map.lower(at);
        match (&link.stack, lower) {
            // A tag within a tag is not followed.
            (Stack::Vlan { id }, Some(lower)) if trip.tag == 0 => {
                trip.tag = *id;
                self.transmit(run, lower, trip);
            }
            (Stack::Macvlan, Some(lower)) => {
                if !self.meet_siblings(run, at, lower, &trip) {
                    self.transmit(run, lower, trip);
                }
            }
            (Stack::Bond { .. }, _) => match self.map.active(at) {
                Some(slave) => self.transmit(run, slave, trip),
                None => run.stop(at, None, Why::Down, trip),
            },
            (Stack::Dummy, _) => run.stop(at, None, Why::Dummy, trip),
            (Stack::Tunnel(_), _) => run.delivery.packed.push((at, trip)),
            (Stack::Vlan { .. } | Stack::Macvlan, _) => run.stop(at, None, Why::NotFollowed, trip),
            (Stack::Unknown, _) if !self.map.is_followed(at) => run.stop(at, None, Why::NotFollowed, trip),
            (Stack::Unknown, _) => match self.map.peer(at) {
                None => run.stop(at, None, Why::Outside, trip),
                Some(peer) if !self.map.link(peer).up => run.stop(at, None, Why::Down, trip),
                Some(peer) => run.queue.push_back((peer, Trip { depth: 0, ..trip })),
            },
        }
    }

    /// From a macvlan to others on the same link (`macvlan_queue_xmit`); whether it goes no further.
    fn meet_siblings(&mut self, run: &mut Run, at: At, lower: At, trip: &Trip) -> bool {
        for sibling in self.map.uppers(lower).to_vec() {
            let link = self.map.link(sibling);
            let wanted = link.mac == Some(run.frame.destination);
            if sibling != at && link.stack == Stack::Unknown {
                run.stop(sibling, None, Why::NotFollowed, trip.clone());
            }
            if sibling == at || link.stack != Stack::Macvlan || !wanted && !is_group(run.frame.destination) {
                continue;
            }
            self.rise(run, lower, sibling, trip.clone());
            if wanted {
                return true;
            }
        }
        false
    }

    fn receive(&mut self, run: &mut Run, at: At, mut trip: Trip) {
        let link = self.map.link(at);
        if !link.up {
            return run.stop(at, None, Why::Down, trip);
        }
        if run.frame.size > link.mtu.saturating_add(SLACK) {
            // The sending end drops it (`is_skb_forwardable`): here it is not seen.
            return run.stop(at, None, Why::TooBig(link.mtu), trip);
        }
        trip.taken = link.mac == Some(run.frame.destination);
        self.enter(run, at, trip);
    }

    /// It comes out of a link above the one by which it came.
    fn rise(&mut self, run: &mut Run, at: At, upper: At, mut trip: Trip) {
        let link = self.map.link(upper);
        // A bond takes what its slaves get whether it is up or not.
        if !link.up && link.kind != "bond" {
            return run.stop(upper, Some(at), Why::Down, trip);
        }
        trip.taken |= link.mac == Some(run.frame.destination);
        self.enter(run, upper, trip);
    }

    /// To whom a frame goes that has come to an interface (`__netif_receive_skb_core`): to a VLAN, to what the interface is a part
    /// of, or to its own node.
    fn enter(&mut self, run: &mut Run, at: At, mut trip: Trip) {
        trip.depth += 1;
        if trip.depth > DEEPEST {
            return run.stop(at, None, Why::NotFollowed, trip);
        }
        let destination = run.frame.destination;
        let uppers = self.map.uppers(at).to_vec();
        let is_its = |upper: &At| self.map.link(*upper).stack == (Stack::Vlan { id: trip.tag });
        if let Some(vlan) = uppers.iter().find(|upper| trip.tag != 0 && is_its(upper)) {
            return self.rise(run, at, *vlan, Trip { tag: 0, ..trip });
        }
        if let Some(bond) = self.map.bond(at) {
            return match self.map.active(bond) {
                Some(active) if active == at => self.rise(run, at, bond, trip),
                _ => run.stop(bond, Some(at), Why::NotFollowed, trip),
            };
        }
        for upper in uppers {
            let link = self.map.link(upper);
            if link.stack == Stack::Unknown {
                run.stop(upper, None, Why::NotFollowed, trip.clone());
            }
            if link.stack != Stack::Macvlan {
                continue;
            }
            if link.mac == Some(destination) {
                return self.rise(run, at, upper, trip);
            }
            if is_group(destination) && link.mac != Some(run.frame.source) {
                self.rise(run, at, upper, trip.clone());
            }
        }
        match self.map.bridge(at) {
            Some(bridge) => self.bridged(run, at, bridge, trip),
            None if trip.tag != 0 => run.stop(at, Some(at), Why::Tagged(trip.tag), trip),
            None if is_group(destination) || trip.taken => run.land(at, trip),
            None => run.stop(at, Some(at), Why::Foreign, trip),
        }
    }

    /// It has come to a bridge's port.
    fn bridged(&mut self, run: &mut Run, at: At, bridge: At, mut trip: Trip) {
        let link = self.map.link(at);
        if !self.map.link(bridge).up || !self.map.forwards(at) {
            return run.stop(at, Some(at), Why::Closed, trip);
        }
        if !self.map.is_followed(bridge) {
            return run.stop(bridge, Some(at), Why::NotFollowed, trip);
        }
        let Some(tag) = self.map.ingress(bridge, at, trip.tag) else {
            return run.stop(at, Some(at), Why::Sorted(trip.tag), trip);
        };
        trip.tag = tag;
        let (source, destination, vlan) = (run.frame.source, run.frame.destination, self.map.sorted(bridge, tag));
        if link.port.unwrap_or_default().locked && self.port_of(bridge, source, vlan) != Some(at) {
            return run.stop(at, Some(at), Why::Locked, trip);
        }
        if link.port.unwrap_or_default().learns && !self.is_own(bridge, source) && !self.is_sticky(bridge, source) {
            self.learn(run, bridge, at, vlan);
        }
        let own = self.is_own(bridge, destination);
        // With a macvlan on it a bridge takes everything (`__dev_set_rx_mode`).
        let wanted = |upper: &At| self.map.link(*upper).mac == Some(destination) && self.map.lower(*upper) == Some(bridge);
        if is_group(destination) || own || self.map.uppers(bridge).iter().any(wanted) {
            // A frame for another port's own address goes up the stack, which takes it for somebody else's.
            let taken = [link.mac, self.map.link(bridge).mac].contains(&Some(destination));
            match self.map.egress(bridge, bridge, tag) {
                Some(tag) => self.enter_bridge(run, at, bridge, Trip { tag, taken, ..trip.clone() }),
                None if own => run.stop(bridge, Some(at), Why::Sorted(tag), trip.clone()),
                None => {}
            }
        }
        if !own {
            self.switch(run, bridge, Some(at), trip);
        }
    }

    /// It goes up the stack by the bridge's own interface.
    fn enter_bridge(&mut self, run: &mut Run, port: At, bridge: At, trip: Trip) {
        let before = run.delivery.stops.len();
        self.enter(run, bridge, trip);
        for stop in &mut run.delivery.stops[before..] {
            stop.entered = stop.entered.map(|_| port);
        }
    }

    fn learn(&mut self, run: &mut Run, bridge: At, port: At, vlan: u16) {
        let again = run.learners.insert((bridge, vlan), port).is_some_and(|before| before != port);
        self.raced |= again;
        if !(again && self.first) {
            self.learned.insert((bridge, run.frame.source, vlan), port);
        }
    }

    /// From a port, or the bridge's own interface, to the port of the address, or to all.
    fn switch(&mut self, run: &mut Run, bridge: At, enters: Option<At>, trip: Trip) {
        if !run.seen.insert((bridge, enters, trip.tag)) {
            return;
        }
        let destination = run.frame.destination;
        if enters.is_none() && self.is_itself(bridge, destination) {
            return run.stop(bridge, None, Why::SamePort, trip);
        }
        let vlan = self.map.sorted(bridge, trip.tag);
        let known = if is_group(destination) { None } else { self.port_of(bridge, destination, vlan) };
        if let Some(leaves) = known {
            if !self.delivers(enters, leaves) {
                let why = if enters == Some(leaves) { Why::SamePort } else { Why::Closed };
                return run.stop(leaves, enters, why, trip);
            }
            return self.leave(run, Passage { bridge, enters, leaves, floods: false }, trip);
        }
        let mut none = true;
        for leaves in self.map.ports(bridge).to_vec() {
            let port = self.map.link(leaves).port.unwrap_or_default();
            // What the bridge itself sends to all leaves by every port (`br_flood`).
            let open = match destination {
                BROADCAST => port.broadcasts || enters.is_none(),
                group if is_group(group) => port.multicasts || enters.is_none(),
                _ => port.floods,
            };
            if !open || enters == Some(leaves) && !port.hairpin {
                continue;
            }
            none = false;
            if self.delivers(enters, leaves) {
                self.leave(run, Passage { bridge, enters, leaves, floods: true }, trip.clone());
            } else {
                run.stop(leaves, enters, Why::Closed, trip.clone());
            }
        }
        if none {
            run.stop(enters.unwrap_or(bridge), enters, Why::Unflooded, trip);
        }
    }

    /// Out of a port of its VLAN.
    fn leave(&mut self, run: &mut Run, passage: Passage, trip: Trip) {
        match self.map.egress(passage.bridge, passage.leaves, trip.tag) {
            Some(tag) => self.transmit(run, passage.leaves, Trip { tag, ..with(trip, passage) }),
            None => run.stop(passage.leaves, passage.enters, Why::Sorted(trip.tag), trip),
        }
    }

    /// `should_deliver` (`net/bridge/br_forward.c`)
    fn delivers(&self, enters: Option<At>, leaves: At) -> bool {
        let port = self.map.link(leaves).port.unwrap_or_default();
        let isolated = |at: At| self.map.link(at).port.unwrap_or_default().isolated;
        (enters != Some(leaves) || port.hairpin) && self.map.forwards(leaves) && !(port.isolated && enters.is_some_and(isolated))
    }

    /// It stays where it is (`br_fdb_update`).
    fn is_sticky(&self, bridge: At, mac: Mac) -> bool {
        let index = self.map.link(bridge).index;
        let fdb = &self.map.tables(bridge.place).fdb;
        fdb.iter().any(|entry| entry.bridge == index && entry.mac == mac && entry.sticky)
    }

    /// The bridge keeps the address as its own, not as a port's: it sends frames for it nowhere (`br_forward`).
    fn is_itself(&self, bridge: At, mac: Mac) -> bool {
        let (tables, link) = (self.map.tables(bridge.place), self.map.link(bridge));
        let entry = tables.fdb.iter().find(|entry| entry.bridge == link.index && entry.own && entry.mac == mac);
        entry.map_or(link.mac == Some(mac), |entry| entry.port == link.index)
    }

    /// Somebody gave the bridge the address of another as one of its own: frames for it go up, not on (`br_handle_frame_finish`).
    pub(super) fn keeps(&self, bridge: At, mac: Mac) -> bool {
        let index = self.map.link(bridge).index;
        self.map
            .tables(bridge.place)
            .fdb
            .iter()
            .any(|entry| entry.bridge == index && entry.mac == mac && entry.own && entry.fixed)
    }

    /// The bridge's own address, or one of its ports'.
    fn is_own(&self, bridge: At, mac: Mac) -> bool {
        let (tables, index) = (self.map.tables(bridge.place), self.map.link(bridge).index);
        self.map.link(bridge).mac == Some(mac)
            || self.map.ports(bridge).iter().any(|port| self.map.link(*port).mac == Some(mac))
            || tables.fdb.iter().any(|entry| entry.bridge == index && entry.own && entry.mac == mac)
    }

    pub(super) fn port_of(&self, bridge: At, mac: Mac, vlan: u16) -> Option<At> {
        if let Some(port) = self.learned.get(&(bridge, mac, vlan)) {
            return Some(*port);
        }
        let (tables, index) = (self.map.tables(bridge.place), self.map.link(bridge).index);
        let is_it = |entry: &&Fdb| (entry.bridge, entry.mac, entry.vlan) == (index, mac, vlan) && entry.port != index;
        let entry = tables.fdb.iter().find(is_it)?;
        self.map.at(bridge.place, entry.port)
    }
}

/// One frame on its way.
#[derive(Debug)]
struct Run {
    frame: Ether,
    queue: VecDeque<(At, Trip)>,
    seen: HashSet<(At, Option<At>, u16)>,
    /// Bridges that have learned the sender's port in a VLAN.
    learners: HashMap<(At, u16), At>,
    delivery: Delivery,
}

impl Run {
    fn land(&mut self, at: At, trip: Trip) {
        self.delivery.landings.push(Landing { at, way: trip.way });
    }

    fn stop(&mut self, at: At, entered: Option<At>, why: Why, trip: Trip) {
        self.delivery.stops.push(Stop { at, entered, why, way: trip.way });
    }
}

fn with(mut trip: Trip, passage: Passage) -> Trip {
    trip.way.push(passage);
    trip
}

/// Broadcast and multicast.
fn is_group(mac: Mac) -> bool {
    mac.0[0] & 1 == 1
}
