//! The sandboxes of a lab's nodes: where they are, and what each looks like.

use super::hosts;
use crate::kernel::sandbox::{Clients, Spec};
use crate::name::LabName;
use crate::plan::NodeId;
use crate::topology::Topology;

/// What a node's sandbox looks like, with a private root or the machine's own; a host's with what [`super::agents::clients`] gives it.
pub fn spec(lab: &LabName, node: &NodeId, described: &Topology, real_root: bool, clients: Option<Clients>) -> Spec {
    Spec {
        lab: lab.to_string(),
        node: node.to_string(),
        hostname: node.name().to_string(),
        hosts: hosts::file(described),
        is_host: matches!(node, NodeId::Host(_)),
        real_root,
        clients,
    }
}
