//! How a plan falls into parts that do not wait for each other.

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::{Fact, Link, NodeId, Ns, Op, Port};

/// The operations that make one new container, by their place in the plan.
#[derive(Debug)]
pub struct Unit {
    /// The container.
    pub node: NodeId,
    /// The namespaces that the other ends of its links are in: its host's.
    pub far: BTreeSet<Ns>,
    /// Places in the plan, ascending.
    pub ops: Vec<usize>,
}

/// A plan in parts.
#[derive(Debug, Default)]
pub struct Parts {
    /// Deletions, in order.
    pub dels: Vec<usize>,
    /// Hosts, switches, and what changes in containers that are there already; in order.
    pub head: Vec<usize>,
    /// New containers, each by itself.
    pub units: Vec<Unit>,
    /// Routes of hosts, which may lead through links of containers.
    pub tail: Vec<usize>,
}

/// Divides a plan.
pub fn divide(plan: &[Op]) -> Parts {
    let mut parts = Parts::default();
    let mut new: BTreeMap<NodeId, Unit> = BTreeMap::new();
    for op in plan {
        if let Op::Add(Fact::Netns(Ns::Node(node @ NodeId::Container(..)))) = op {
            new.insert(node.clone(), Unit { node: node.clone(), far: BTreeSet::new(), ops: Vec::new() });
        }
    }
    let outer = outer_ends(plan, &new.keys().cloned().collect());
    for (port, node) in &outer {
        if let Some(unit) = new.get_mut(node) {
            unit.far.insert(port.ns.clone());
        }
    }
    for (place, op) in plan.iter().enumerate() {
        if matches!(op, Op::Del(..)) {
            parts.dels.push(place);
        } else if let Some(unit) = owner(op, &outer).and_then(|node| new.get_mut(&node)) {
            unit.ops.push(place);
        } else if matches!(op.fact(), Fact::Route(..)) {
            parts.tail.push(place);
        } else {
            parts.head.push(place);
        }
    }
    parts.units = new.into_values().collect();
    parts
}

/// The host's end of each link of a new container.
fn outer_ends(plan: &[Op], new: &BTreeSet<NodeId>) -> BTreeMap<Port, NodeId> {
    let mut ends = BTreeMap::new();
    for op in plan {
        if let Op::Add(Fact::Link(port, Link::Veth { peer })) = op
            && let Ns::Node(node @ NodeId::Container(..)) = &peer.ns
            && matches!(&port.ns, Ns::Root | Ns::Node(NodeId::Host(_)))
            && new.contains(node)
        {
            ends.insert(port.clone(), node.clone());
        }
    }
    ends
}

fn owner(op: &Op, outer: &BTreeMap<Port, NodeId>) -> Option<NodeId> {
    match op.fact().ns() {
        Ns::Node(node @ NodeId::Container(..)) => Some(node.clone()),
        _ => op.fact().port().and_then(|port| outer.get(port)).cloned(),
    }
}
