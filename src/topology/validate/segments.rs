//! What is connected in layer 2: bridges and the networks that their ports reach.

use std::collections::{HashMap, HashSet, VecDeque};

use super::MAX_PORTS;
use crate::problem::Problem;
use crate::topology::findings::Findings;
use crate::topology::place::{Part, Place, Places};
use crate::topology::{Attach, Host, HostEnd, Nic, Topology};

/// Where an interface is plugged in; numbers are indices of the topology's lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Spot {
    /// A network between hosts.
    Network(usize),
    /// A bridge of a host.
    Bridge(usize, usize),
    /// A veth pair of its own: host, container, NIC.
    Pair(usize, usize, usize),
}

impl Spot {
    /// A host's NIC is on its network; a bridge that it is a port of is connected there.
    pub(super) fn of_host_nic(topology: &Topology, host: usize, nic: &Nic) -> Self {
        let network = match &nic.attach {
            Attach::Network(name) => topology.networks.iter().position(|network| network.name == *name),
            Attach::Host(_) => None,
        };
        network.map_or(Self::Pair(host, usize::MAX, usize::from(nic.number)), Self::Network)
    }

    /// Both ends of a veth pair are on its bridge, or alone.
    pub(super) fn of_veth(of: &Host, host: usize, container: usize, nic: usize, end: &HostEnd) -> Self {
        let bridge = end.bridge.as_ref().and_then(|name| of.bridges.iter().position(|bridge| bridge.name == *name));
        bridge.map_or(Self::Pair(host, container, nic), |bridge| Self::Bridge(host, bridge))
    }
}

/// A port that joins a bridge with a network.
struct Edge {
    bridge: Spot,
    network: Spot,
    stp: bool,
    place: Place,
}

fn edges(topology: &Topology) -> Vec<Edge> {
    let mut edges = Vec::new();
    for (index, host) in topology.hosts.iter().enumerate() {
        let mut taken = HashSet::new();
        for (number, bridge) in host.bridges.iter().enumerate() {
            for (port, name) in bridge.ports.iter().enumerate() {
                // A port of two bridges is a finding of its own.
                let free = taken.insert(name);
                let Some(nic) = host.nics.iter().find(|nic| nic.name == *name && free) else { continue };
                edges.push(Edge {
                    bridge: Spot::Bridge(index, number),
                    network: Spot::of_host_nic(topology, index, nic),
                    stp: bridge.stp,
                    place: Place::Host(index, Part::Port(number, port)),
                });
            }
        }
    }
    edges
}

/// The L2 segments of a lab, as sets of spots.
#[derive(Default)]
pub(super) struct Segments {
    parent: HashMap<Spot, Spot>,
}

impl Segments {
    /// The segments that a topology's bridges make.
    pub(super) fn of(topology: &Topology) -> Self {
        let mut segments = Self::default();
        for edge in edges(topology) {
            segments.join(edge.bridge, edge.network);
        }
        segments
    }

    /// One spot that stands for the whole segment of this one.
    pub(super) fn root(&self, spot: Spot) -> Spot {
        let mut root = spot;
        while let Some(&parent) = self.parent.get(&root) {
            root = parent;
        }
        root
    }

    /// Joins two segments; false where they were one already.
    fn join(&mut self, a: Spot, b: Spot) -> bool {
        let (a, b) = (self.root(a), self.root(b));
        if a == b {
            return false;
        }
        self.parent.insert(a, b);
        true
    }
}

/// A circle of bridges is legal where one of them runs STP: without one, a single broadcast takes every CPU.
pub(super) fn check_loops(topology: &Topology, places: &Places, findings: &mut Findings) {
    let mut segments = Segments::default();
    let mut joined: HashMap<Spot, Vec<Spot>> = HashMap::new();
    for edge in edges(topology).into_iter().filter(|edge| !edge.stp) {
        if segments.join(edge.bridge, edge.network) {
            joined.entry(edge.bridge).or_default().push(edge.network);
            joined.entry(edge.network).or_default().push(edge.bridge);
            continue;
        }
        let circle = path(&joined, edge.bridge, edge.network);
        let names = circle.into_iter().map(|spot| name(topology, spot)).collect();
        findings.add(&places.at(edge.place), Problem::Loop(names));
    }
}

fn path(joined: &HashMap<Spot, Vec<Spot>>, from: Spot, to: Spot) -> Vec<Spot> {
    let mut before: HashMap<Spot, Spot> = HashMap::from([(from, from)]);
    let mut queue = VecDeque::from([from]);
    while let Some(spot) = queue.pop_front() {
        for &next in joined.get(&spot).map_or(&[][..], |spots| spots) {
            if before.contains_key(&next) {
                continue;
            }
            before.insert(next, spot);
            queue.push_back(next);
        }
    }
    let mut spots = vec![to];
    let mut at = to;
    while at != from {
        let Some(&previous) = before.get(&at) else { break };
        spots.push(previous);
        at = previous;
    }
    spots.reverse();
    spots
}

fn name(topology: &Topology, spot: Spot) -> String {
    match spot {
        Spot::Network(network) => topology.networks.get(network).map(|network| network.name.to_string()),
        Spot::Bridge(host, bridge) => {
            let host = topology.hosts.get(host);
            host.and_then(|host| host.bridges.get(bridge).map(|bridge| format!("{}/{}", host.name, bridge.name)))
        }
        Spot::Pair(..) => None,
    }
    .unwrap_or_default()
}

/// The kernel gives a bridge no more ports than it has port numbers.
pub(super) fn check_ports(topology: &Topology, places: &Places, findings: &mut Findings) {
    let mut refuse = |name: &str, ports: usize, place: Place| {
        if ports > MAX_PORTS {
            let problem = Problem::TooManyPorts { bridge: name.to_owned(), ports, limit: MAX_PORTS };
            findings.add(&places.at(place), problem);
        }
    };
    for (index, network) in topology.networks.iter().enumerate() {
        refuse(network.name.as_str(), topology.ends(&network.name).count(), Place::Network(index));
    }
    for (index, host) in topology.hosts.iter().enumerate() {
        let mut ports: Vec<usize> = host.bridges.iter().map(|bridge| bridge.ports.len()).collect();
        for (container, of) in host.containers.iter().enumerate() {
            for (nic, of) in of.nics.iter().enumerate() {
                let Attach::Host(end) = &of.attach else { continue };
                if let Spot::Bridge(_, bridge) = Spot::of_veth(host, index, container, nic, end) {
                    ports[bridge] += 1;
                }
            }
        }
        for (number, bridge) in host.bridges.iter().enumerate() {
            refuse(bridge.name.as_str(), ports[number], Place::Host(index, Part::Bridge(number)));
        }
    }
}
