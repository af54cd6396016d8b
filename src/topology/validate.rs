//! What no single value shows: rules between the parts of a topology, and a node as they see it: its interfaces, whatever they are,
//! and its routes.

mod l2;
mod l3;

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;

use self::l2::{Segments, Spot};
use super::tree::{Aspect, Findings, Part, Place, Places, Port};
use super::{Attach, Route, Topology};
use crate::name::{IfName, NodeName};
use crate::problem::Problem;

/// Most hosts, containers and networks of a lab: each costs about 0.33 MB of kernel memory.
pub(super) const MAX_NODES: usize = 16_384;

/// Most NICs or bridges of a node: their number is one byte of a MAC address.
pub(super) const MAX_INTERFACES: usize = 256;

/// Found what is wrong with a topology whose single values are right.
pub(super) fn validate(topology: &Topology, places: &Places, findings: &mut Findings) {
    let mut found = Found { places, findings };
    let nodes = nodes(topology);
    check_names(topology, &nodes, &mut found);
    l2::check(topology, &mut found);
    for node in &nodes {
        l3::check(node, &mut found);
    }
    l3::check_duplicates(&nodes, &Segments::from_topology(topology), &mut found);
}

/// What is wrong with a topology that was changed since it was read from a file.
pub fn problems(topology: &Topology) -> Vec<Problem> {
    let mut findings = Findings::default();
    let nodes = topology.networks.len() + topology.hosts.len() + topology.containers();
    if nodes > MAX_NODES {
        findings.add(&(0..0), Problem::TooManyNodes { nodes, limit: MAX_NODES });
    }
    validate(topology, &Places::default(), &mut findings);
    findings.in_order().into_iter().map(|finding| finding.problem).collect()
}

/// What is found, at the places of the parts.
struct Found<'a> {
    places: &'a Places,
    findings: &'a mut Findings,
}

impl Found<'_> {
    fn add(&mut self, place: Place, problem: Problem) {
        self.findings.add(&self.places.at(place), problem);
    }

    fn clash(&mut self, place: Place, other: Place, problem: Problem) {
        self.findings.clash(&self.places.at(place), &self.places.at(other), problem);
    }
}

/// A host or a container.
struct Node<'a> {
    host: usize,
    container: Option<usize>,
    name: &'a NodeName,
    interfaces: Vec<Interface<'a>>,
    gateways: &'a [IpAddr],
    routes: &'a [Route],
}

impl Node<'_> {
    /// Where a part of the node stands.
    fn place(&self, part: Part) -> Place {
        Place::Node(self.host, self.container, part)
    }
}

/// An interface of a node.
struct Interface<'a> {
    name: &'a IfName,
    addresses: &'a [IpNet],
    mtu: u32,
    up: bool,
    spot: Spot,
    /// The node that it is written in, and which it is there: a host's end of a veth stands with its container.
    written: (usize, Option<usize>, Port),
}

impl Interface<'_> {
    /// Where the interface, or something of it, stands.
    fn place(&self, aspect: Aspect) -> Place {
        let (host, container, port) = self.written;
        Place::Node(host, container, Part::Interface(port, aspect))
    }
}

/// All nodes in the order of the file, each host before its containers.
fn nodes(topology: &Topology) -> Vec<Node<'_>> {
    let mut nodes = Vec::new();
    for (index, host) in topology.hosts.iter().enumerate() {
        let nics = host.nics.iter().enumerate().map(|(at, nic)| Interface {
            name: &nic.name,
            addresses: &nic.addresses,
            mtu: topology.mtu_of(host, nic),
            up: nic.up,
            spot: Spot::of_host_nic(topology, index, nic),
            written: (index, None, Port::Nic(at)),
        });
        let bridges = host.bridges.iter().enumerate().map(|(at, bridge)| Interface {
            name: &bridge.name,
            addresses: &bridge.addresses,
            mtu: topology.mtu_of_bridge(host, bridge),
            up: bridge.up,
            spot: Spot::Bridge(index, at),
            written: (index, None, Port::Bridge(at)),
        });
        let mut interfaces: Vec<Interface<'_>> = nics.chain(bridges).collect();
        let mut containers = Vec::new();
        for (number, container) in host.containers.iter().enumerate() {
            let mut own = Vec::new();
            for (at, nic) in container.nics.iter().enumerate() {
                let Attach::Host(end) = &nic.attach else { continue };
                let (name, addresses, mtu) = (&nic.name, &nic.addresses, topology.mtu_of(host, nic));
                let spot = Spot::of_veth(host, (index, number, at), end);
                let written = (index, Some(number), Port::Nic(at));
                own.push(Interface { name, addresses, mtu, up: nic.up, spot, written });
                let (name, addresses, written) = (&end.name, &end.addresses, (index, Some(number), Port::End(at)));
                interfaces.push(Interface { name, addresses, mtu, up: true, spot, written });
            }
            containers.push(Node {
                host: index,
                container: Some(number),
                name: &container.name,
                interfaces: own,
                gateways: &container.gateways,
                routes: &container.routes,
            });
        }
        let (gateways, routes) = (&host.gateways, &host.routes);
        nodes.push(Node { host: index, container: None, name: &host.name, interfaces, gateways, routes });
        nodes.append(&mut containers);
    }
    nodes
}

/// Names that must differ: of hosts, networks and the lab; of a host's containers; of a node's interfaces.
fn check_names(topology: &Topology, nodes: &[Node<'_>], found: &mut Found<'_>) {
    let mut taken: HashMap<&str, Place> = HashMap::new();
    for (index, network) in topology.networks.iter().enumerate() {
        claim(&mut taken, network.name.as_str(), Place::Network(index), found);
    }
    for (index, host) in topology.hosts.iter().enumerate() {
        let place = Place::Node(index, None, Part::Name);
        if host.name.as_str() == topology.name.as_str() {
            found.clash(place, Place::Lab, Problem::HostNamedLikeLab(host.name.to_string()));
        }
        claim(&mut taken, host.name.as_str(), place, found);
        let mut here = HashMap::new();
        for (number, container) in host.containers.iter().enumerate() {
            claim(&mut here, container.name.as_str(), Place::Node(index, Some(number), Part::Name), found);
        }
    }
    for node in nodes {
        let mut taken: HashMap<&str, Place> = HashMap::new();
        for interface in &node.interfaces {
            let place = interface.place(Aspect::Name);
            let first = *taken.entry(interface.name.as_str()).or_insert(place);
            if first != place {
                let problem = Problem::DuplicateInterface { name: interface.name.to_string(), node: node.name.to_string() };
                found.clash(place, first, problem);
            }
        }
    }
}

fn claim<'a>(taken: &mut HashMap<&'a str, Place>, name: &'a str, place: Place, found: &mut Found<'_>) {
    let first = *taken.entry(name).or_insert(place);
    if first != place {
        found.clash(place, first, Problem::DuplicateName(name.to_owned()));
    }
}
