//! The sandboxes of a lab's nodes: where they are, and what each looks like.

use super::{agents, home, hosts};
use crate::kernel::sandbox::{Clients, Paths, Spec};
use crate::name::LabName;
use crate::plan::NodeId;
use crate::topology::Topology;

/// Where the sandboxes of a lab are.
pub fn paths(lab: &LabName) -> Paths {
    Paths { lab: home::lab(lab) }
}

/// What a node's sandbox looks like, with a private root or the machine's own; a host whose clients cannot be given their directories
/// goes without.
pub fn spec(lab: &LabName, node: &NodeId, described: &Topology, real_root: bool) -> Spec {
    Spec {
        lab: lab.to_string(),
        node: node.to_string(),
        hostname: node.name().to_string(),
        hosts: hosts::file(described),
        is_host: matches!(node, NodeId::Host(_)),
        real_root,
        clients: clients(lab, node, real_root),
    }
}

fn clients(lab: &LabName, node: &NodeId, real_root: bool) -> Option<Clients> {
    let NodeId::Host(host) = node else { return None };
    agents::clients(lab, host, real_root).ok().map(|(clients, _)| clients)
}
