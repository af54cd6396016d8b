//! The way of a frame over cables and bridges.

use std::collections::{HashMap, HashSet, VecDeque};

use super::map::{At, Map};
use crate::name::Mac;

/// Every station.
pub(super) const BROADCAST: Mac = Mac([0xff; 6]);
/// A group that is asked for a neighbour's address in IPv6 (RFC 4291 section 2.7.1).
pub(super) const SOLICITED: Mac = Mac([0x33, 0x33, 0xff, 0, 0, 0]);
/// More steps than this are a storm: bridges in a circle without a spanning tree.
const STORM: usize = 20_000;
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
}

/// The cables and bridges of a lab, with what the bridges learn while frames pass.
#[derive(Debug)]
pub(super) struct Fabric<'a> {
    pub map: &'a Map<'a>,
    learned: HashMap<(At, Mac), At>,
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
        let (queue, seen, learners) = (VecDeque::new(), HashSet::new(), HashMap::new());
        let mut run = Run { frame, queue, seen, learners, delivery: Delivery::default() };
        self.transmit(&mut run, from, Vec::new());
        let mut steps = 0;
        while let Some((at, way)) = run.queue.pop_front() {
            steps += 1;
            if steps > STORM {
                break;
            }
            self.receive(&mut run, at, way);
        }
        run.delivery
    }

    fn transmit(&mut self, run: &mut Run, at: At, way: Vec<Passage>) {
        let link = self.map.link(at);
        if !link.up {
            return run.stop(at, None, Why::Down, way);
        }
        if link.kind == "bridge" {
            if !link.carrier {
                return run.stop(at, None, Why::Down, way);
            }
            return self.switch(run, at, None, way);
        }
        if run.frame.size > link.mtu.saturating_add(SLACK) {
            return run.stop(at, None, Why::TooBig(link.mtu), way);
        }
        match self.map.peer(at) {
            None => run.stop(at, None, Why::Outside, way),
            Some(peer) if !self.map.link(peer).up => run.stop(at, None, Why::Down, way),
            Some(peer) => run.queue.push_back((peer, way)),
        }
    }

    fn receive(&mut self, run: &mut Run, at: At, way: Vec<Passage>) {
        let link = self.map.link(at);
        if !link.up {
            return run.stop(at, None, Why::Down, way);
        }
        if run.frame.size > link.mtu.saturating_add(SLACK) {
            // The sending end drops it (`is_skb_forwardable`): here it is not seen.
            return run.stop(at, None, Why::TooBig(link.mtu), way);
        }
        let Some(bridge) = self.map.bridge(at) else {
            let taken = is_group(run.frame.destination) || link.mac == Some(run.frame.destination);
            return if taken { run.land(at, way) } else { run.stop(at, Some(at), Why::Foreign, way) };
        };
        if !self.map.link(bridge).up || !self.map.forwards(at) {
            return run.stop(at, Some(at), Why::Closed, way);
        }
        let source = run.frame.source;
        if link.port.unwrap_or_default().locked && self.port_of(bridge, source) != Some(at) {
            return run.stop(at, Some(at), Why::Locked, way);
        }
        if link.port.unwrap_or_default().learns && !self.is_own(bridge, source) && !self.is_sticky(bridge, source) {
            self.learn(run, bridge, at);
        }
        if is_group(run.frame.destination) {
            run.land(bridge, way.clone());
        } else if self.is_own(bridge, run.frame.destination) {
            // A frame for another port's own address goes up the stack, which takes it for somebody else's.
            let taken = [link.mac, self.map.link(bridge).mac].contains(&Some(run.frame.destination));
            return if taken { run.land(bridge, way) } else { run.stop(bridge, Some(at), Why::Foreign, way) };
        }
        self.switch(run, bridge, Some(at), way);
    }

    fn learn(&mut self, run: &mut Run, bridge: At, port: At) {
        let again = run.learners.insert(bridge, port).is_some_and(|before| before != port);
        self.raced |= again;
        if !(again && self.first) {
            self.learned.insert((bridge, run.frame.source), port);
        }
    }

    /// From a port, or the bridge's own interface, to the port of the address, or to all.
    fn switch(&mut self, run: &mut Run, bridge: At, enters: Option<At>, way: Vec<Passage>) {
        if !run.seen.insert((bridge, enters)) {
            return;
        }
        let destination = run.frame.destination;
        if enters.is_none() && self.is_itself(bridge, destination) {
            return run.stop(bridge, None, Why::SamePort, way);
        }
        let known = if is_group(destination) { None } else { self.port_of(bridge, destination) };
        if let Some(leaves) = known {
            if !self.delivers(enters, leaves) {
                let why = if enters == Some(leaves) { Why::SamePort } else { Why::Closed };
                return run.stop(leaves, enters, why, way);
            }
            let passage = Passage { bridge, enters, leaves, floods: false };
            return self.transmit(run, leaves, with(way, passage));
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
                self.transmit(run, leaves, with(way.clone(), Passage { bridge, enters, leaves, floods: true }));
            } else {
                run.stop(leaves, enters, Why::Closed, way.clone());
            }
        }
        if none {
            run.stop(enters.unwrap_or(bridge), enters, Why::Unflooded, way);
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

    pub(super) fn port_of(&self, bridge: At, mac: Mac) -> Option<At> {
        if let Some(port) = self.learned.get(&(bridge, mac)) {
            return Some(*port);
        }
        let (tables, index) = (self.map.tables(bridge.place), self.map.link(bridge).index);
        let entry = tables.fdb.iter().find(|entry| entry.bridge == index && entry.mac == mac && entry.port != index)?;
        self.map.at(bridge.place, entry.port)
    }
}

/// One frame on its way.
#[derive(Debug)]
struct Run {
    frame: Ether,
    queue: VecDeque<(At, Vec<Passage>)>,
    seen: HashSet<(At, Option<At>)>,
    /// Bridges that have learned the sender's port.
    learners: HashMap<At, At>,
    delivery: Delivery,
}

impl Run {
    fn land(&mut self, at: At, way: Vec<Passage>) {
        self.delivery.landings.push(Landing { at, way });
    }

    fn stop(&mut self, at: At, entered: Option<At>, why: Why, way: Vec<Passage>) {
        self.delivery.stops.push(Stop { at, entered, why, way });
    }
}

fn with(mut way: Vec<Passage>, passage: Passage) -> Vec<Passage> {
    way.push(passage);
    way
}

/// Broadcast and multicast.
fn is_group(mac: Mac) -> bool {
    mac.0[0] & 1 == 1
}
