//! Layer 2: MAC addresses, bridges and their ports, and what these connect.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use super::Found;
use crate::name::{IfName, Mac};
use crate::problem::Problem;
use crate::topology::tree::{Aspect, Part, Place, Port};
use crate::topology::{Bridge, Host, HostEnd, Nic, Topology, numbers};

/// Most ports of a bridge (`BR_MAX_PORTS`, `net/bridge/br_private.h`).
const MAX_PORTS: usize = 1023;

/// Everything that bridges, ports and MAC addresses can have wrong.
pub(super) fn check(topology: &Topology, found: &mut Found<'_>) {
    check_bridges(topology, found);
    check_macs(topology, found);
    check_loops(topology, found);
    check_ports(topology, found);
}

/// No MAC address twice in a lab, those that nslab makes among them, and none that no NIC may have.
fn check_macs(topology: &Topology, found: &mut Found<'_>) {
    let used = macs(topology);
    let mut owners: HashMap<Mac, Vec<Option<Place>>> = HashMap::with_capacity(used.len());
    for &(mac, place) in &used {
        match place {
            Some(place) if mac.0 == [0; 6] => found.add(place, Problem::ZeroMac),
            Some(place) if !mac.is_unicast() => found.add(place, Problem::MulticastMac(mac)),
            Some(_) | None => {}
        }
        owners.entry(mac).or_default().push(place);
    }
    let clashing = owners.into_iter().filter(|(mac, owners)| mac.is_unicast() && owners.len() > 1);
    for (mac, owners) in clashing {
        let given: Vec<Place> = owners.into_iter().flatten().collect();
        match given.as_slice() {
            [] => {}
            [only] => found.add(*only, Problem::DuplicateMac(mac)),
            [first, others @ ..] => others.iter().for_each(|other| found.clash(*other, *first, Problem::DuplicateMac(mac))),
        }
    }
}

/// Every address in use, and where the file gives it.
fn macs(topology: &Topology) -> Vec<(Mac, Option<Place>)> {
    let mut used = Vec::new();
    for network in 1..=topology.networks.len() {
        used.extend(u16::try_from(network).ok().map(|network| (numbers::mac_of_switch(network), None)));
    }
    for (index, host) in topology.hosts.iter().enumerate() {
        let given = |mac: Option<Mac>, container: Option<usize>, port: Port| {
            mac.map(|_| Place::Node(index, container, Part::Interface(port, Aspect::Mac)))
        };
        for (at, nic) in host.nics.iter().enumerate() {
            used.push((numbers::mac_of_nic(host.number, 0, nic), given(nic.mac, None, Port::Nic(at))));
            used.push((numbers::mac_of_switch_port(host.number, nic.number), None));
        }
        for (at, bridge) in host.bridges.iter().enumerate() {
            used.push((numbers::mac_of_bridge(host.number, bridge), given(bridge.mac, None, Port::Bridge(at))));
        }
        for (number, container) in host.containers.iter().enumerate() {
            for (at, nic) in container.nics.iter().enumerate() {
                let own = numbers::mac_of_nic(host.number, container.number, nic);
                used.push((own, given(nic.mac, Some(number), Port::Nic(at))));
                let end = nic.attach.host_end().and_then(|end| end.mac);
                let outer = numbers::mac_of_host_end(host.number, container.number, nic);
                used.push((outer, given(end, Some(number), Port::End(at))));
            }
        }
    }
    used
}

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
        let network = nic.attach.network().and_then(|name| topology.networks.iter().position(|network| network.name == *name));
        network.map_or(Self::Pair(host, usize::MAX, usize::from(nic.number)), Self::Network)
    }

    /// Both ends of a veth pair are on its bridge, or alone.
    pub(super) fn of_veth(owner: &Host, (host, container, nic): (usize, usize, usize), end: &HostEnd) -> Self {
        let bridge = end.bridge.as_ref().and_then(|name| owner.bridges.iter().position(|bridge| bridge.name == *name));
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
                    place: Place::Node(index, None, Part::Port(number, port)),
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
    pub(super) fn from_topology(topology: &Topology) -> Self {
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
fn check_loops(topology: &Topology, found: &mut Found<'_>) {
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
        found.add(edge.place, Problem::Loop(names));
    }
}

/// The only way between two spots: what joins them so far has no circle.
fn path(joined: &HashMap<Spot, Vec<Spot>>, from: Spot, to: Spot) -> Vec<Spot> {
    let mut towards: HashMap<Spot, Spot> = HashMap::from([(to, to)]);
    let mut next = vec![to];
    while let Some(spot) = next.pop() {
        for &near in joined.get(&spot).into_iter().flatten() {
            if let Entry::Vacant(unseen) = towards.entry(near) {
                unseen.insert(spot);
                next.push(near);
            }
        }
    }
    std::iter::successors(Some(from), |at| towards.get(at).copied().filter(|_| *at != to)).collect()
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
fn check_ports(topology: &Topology, found: &mut Found<'_>) {
    let mut refuse = |name: &str, ports: usize, place: Place| {
        if ports > MAX_PORTS {
            found.add(place, Problem::TooManyPorts { bridge: name.to_owned(), ports, limit: MAX_PORTS });
        }
    };
    for (index, network) in topology.networks.iter().enumerate() {
        refuse(network.name.as_str(), topology.ends(&network.name).count(), Place::Network(index));
    }
    for (index, host) in topology.hosts.iter().enumerate() {
        let mut plugged: HashMap<&IfName, usize> = HashMap::new();
        for bridge in host.ends().filter_map(|end| end.bridge.as_ref()) {
            *plugged.entry(bridge).or_default() += 1;
        }
        for (number, bridge) in host.bridges.iter().enumerate() {
            let ports = bridge.ports.len() + plugged.get(&bridge.name).copied().unwrap_or(0);
            refuse(bridge.name.as_str(), ports, Place::Node(index, None, Part::Interface(Port::Bridge(number), Aspect::Name)));
        }
    }
}

/// A port belongs to one bridge, and has no address of its own.
fn check_bridges(topology: &Topology, found: &mut Found<'_>) {
    for (index, host) in topology.hosts.iter().enumerate() {
        let mut taken: HashMap<&IfName, (&Bridge, Place)> = HashMap::new();
        for (number, bridge) in host.bridges.iter().enumerate() {
            for (port, name) in bridge.ports.iter().enumerate() {
                let place = Place::Node(index, None, Part::Port(number, port));
                if let Some((first, other)) = taken.get(name) {
                    let bridges = (first.name.to_string(), bridge.name.to_string());
                    found.clash(place, *other, Problem::PortTwice { port: name.to_string(), bridges });
                    continue;
                }
                taken.insert(name, (bridge, place));
                if let Some(nic) = host.nics.iter().position(|nic| nic.name == *name && !nic.addresses.is_empty()) {
                    let address = Place::Node(index, None, Part::Interface(Port::Nic(nic), Aspect::Address(0)));
                    let problem = Problem::AddressOnPort { port: name.to_string(), bridge: bridge.name.to_string() };
                    found.clash(address, place, problem);
                }
            }
        }
    }
}
