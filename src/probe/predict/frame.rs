//! The way of a frame: cables, bridges, what they learn on the way, and where it comes up.

use std::collections::{HashMap, HashSet, VecDeque};

use super::map::{At, Map};
use crate::name::Mac;

/// Every station.
pub(super) const BROADCAST: Mac = Mac([0xff; 6]);
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
}

impl<'a> Fabric<'a> {
    pub(super) fn new(map: &'a Map<'a>) -> Self {
        Self { map, learned: HashMap::new() }
    }

    /// Sends a frame out of an interface.
    pub(super) fn send(&mut self, from: At, frame: Ether) -> Delivery {
        let mut run = Run { frame, queue: VecDeque::new(), seen: HashSet::new(), delivery: Delivery::default() };
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
        match self.map.far(at) {
            None => run.stop(at, None, Why::Outside, way),
            Some(far) if !self.map.link(far).up => run.stop(at, None, Why::Down, way),
            Some(far) => run.queue.push_back((far, way)),
        }
    }

    fn receive(&mut self, run: &mut Run, at: At, way: Vec<Passage>) {
        let link = self.map.link(at);
        if !link.up {
            return run.stop(at, None, Why::Down, way);
        }
        if run.frame.size > link.mtu.saturating_add(SLACK) {
            return run.stop(at, Some(at), Why::TooBig(link.mtu), way);
        }
        let Some(bridge) = self.map.bridge(at) else {
            let taken = is_group(run.frame.destination) || link.mac == Some(run.frame.destination);
            return if taken { run.land(at, way) } else { run.stop(at, Some(at), Why::Foreign, way) };
        };
        if !self.map.link(bridge).up || !self.map.forwards(at) {
            return run.stop(at, Some(at), Why::Closed, way);
        }
        if link.port.unwrap_or_default().learns && !self.is_own(bridge, run.frame.source) {
            self.learned.insert((bridge, run.frame.source), at);
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

    /// From a port, or the bridge's own interface, to the port of the address, or to all.
    fn switch(&mut self, run: &mut Run, bridge: At, enters: Option<At>, way: Vec<Passage>) {
        if !run.seen.insert((bridge, enters)) {
            return;
        }
        let destination = run.frame.destination;
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
            let open = if is_group(destination) { port.broadcasts } else { port.floods };
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

    /// The bridge's own address, or one of its ports'.
    fn is_own(&self, bridge: At, mac: Mac) -> bool {
        let (tables, index) = (self.map.tables(bridge.place), self.map.link(bridge).index);
        self.map.link(bridge).mac == Some(mac)
            || self.map.ports(bridge).iter().any(|port| self.map.link(*port).mac == Some(mac))
            || tables.fdb.iter().any(|entry| entry.bridge == index && entry.own && !entry.fixed && entry.mac == mac)
    }

    fn port_of(&self, bridge: At, mac: Mac) -> Option<At> {
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
