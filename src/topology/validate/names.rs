//! Names that must differ from each other.

use std::collections::HashMap;

use super::interfaces::Node;
use crate::problem::Problem;
use crate::topology::Topology;
use crate::topology::findings::{Findings, Span};
use crate::topology::place::{Part, Place, Places};

/// Hosts, networks and the lab; containers of a host; interfaces of a node.
pub(super) fn check(topology: &Topology, nodes: &[Node<'_>], places: &Places, findings: &mut Findings) {
    let mut taken: HashMap<&str, Span> = HashMap::new();
    for (index, network) in topology.networks.iter().enumerate() {
        claim(&mut taken, network.name.as_str(), places.at(Place::Network(index)), findings);
    }
    for (index, host) in topology.hosts.iter().enumerate() {
        let at = places.at(Place::Host(index, Part::Name));
        if host.name.as_str() == topology.name.as_str() {
            findings.clash(&at, &places.at(Place::Lab), Problem::HostNamedLikeLab(host.name.to_string()));
        }
        claim(&mut taken, host.name.as_str(), at, findings);
        let mut here = HashMap::new();
        for (number, container) in host.containers.iter().enumerate() {
            let at = places.at(Place::Container(index, number, Part::Name));
            claim(&mut here, container.name.as_str(), at, findings);
        }
    }
    for node in nodes {
        interfaces(node, places, findings);
    }
}

fn claim<'a>(taken: &mut HashMap<&'a str, Span>, name: &'a str, at: Span, findings: &mut Findings) {
    if let Some(first) = taken.get(name) {
        findings.clash(&at, first, Problem::DuplicateName(name.to_owned()));
        return;
    }
    taken.insert(name, at);
}

fn interfaces(node: &Node<'_>, places: &Places, findings: &mut Findings) {
    let mut taken: HashMap<&str, Place> = HashMap::new();
    for interface in &node.interfaces {
        let place = node.interface_place(interface);
        if let Some(&first) = taken.get(interface.name.as_str()) {
            let problem = Problem::DuplicateInterface { name: interface.name.to_string(), node: node.name.to_string() };
            findings.clash(&places.at(place), &places.at(first), problem);
            continue;
        }
        taken.insert(interface.name.as_str(), place);
    }
}
