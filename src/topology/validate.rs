//! What no single value shows: rules between the parts of a topology.

mod addresses;
mod hosts;
mod interfaces;
mod macs;
mod names;
mod routes;
mod segments;

use super::Topology;
use super::findings::Findings;
use super::place::Places;
use crate::problem::Problem;
use interfaces::nodes;
use segments::Segments;

/// Most hosts, containers and networks of a lab: each costs about 0.33 MB of kernel memory.
pub(super) const MAX_NODES: usize = 16_384;

/// Most NICs or bridges of a node: their number is one byte of a MAC address.
pub(super) const MAX_INTERFACES: usize = 256;

/// Most ports of a bridge (`BR_MAX_PORTS`, `net/bridge/br_private.h`).
pub(super) const MAX_PORTS: usize = 1023;

/// Notes what is wrong with a topology whose single values are right.
pub(super) fn validate(topology: &Topology, places: &Places, findings: &mut Findings) {
    let nodes = nodes(topology);
    let segments = Segments::of(topology);
    names::check(topology, &nodes, places, findings);
    hosts::check(topology, places, findings);
    macs::check(topology, places, findings);
    segments::check_loops(topology, places, findings);
    segments::check_ports(topology, places, findings);
    for node in &nodes {
        addresses::check_values(node, places, findings);
        addresses::check_overlaps(node, places, findings);
        routes::check(node, places, findings);
    }
    addresses::check_duplicates(&nodes, &segments, places, findings);
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
