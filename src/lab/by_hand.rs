//! Bridges that somebody made by hand in a host: containers can be plugged into them as into those of the lab.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::netns_path;
use crate::kernel::inspect::{Pin, inspect};
use crate::name::{IfName, LabName, NodeName};
use crate::plan::NodeId;
use crate::topology::{Attach, Host, Topology};

/// The bridges that a host has just now, whoever made them; none where it is not there.
pub fn bridges(lab: &LabName, host: &NodeName) -> BTreeSet<IfName> {
    let node = NodeId::Host(host.clone());
    let seen = inspect(&Pin { node: node.to_string(), path: netns_path(lab, &node) }, &[]);
    let links = seen.map(|node| node.links).unwrap_or_default();
    links.into_iter().filter(|link| link.kind == "bridge").map(|link| IfName::observed(&link.name)).collect()
}

fn is_foreign(host: &Host, attach: &Attach) -> bool {
    matches!(attach, Attach::Host(end) if end.bridge.as_ref().is_some_and(|name| host.bridges.iter().all(|own| own.name != *name)))
}

/// The topology with every cable unplugged that leads to a bridge made by hand which is gone: what was plugged in there waits.
pub(super) fn present(topology: &Topology) -> Cow<'_, Topology> {
    let foreign = |host: &Host| host.containers.iter().flat_map(|own| &own.nics).any(|nic| is_foreign(host, &nic.attach));
    if !topology.hosts.iter().any(foreign) {
        return Cow::Borrowed(topology);
    }
    let mut topology = topology.clone();
    let lab = topology.name.clone();
    for host in topology.hosts.iter_mut().filter(|host| foreign(host)) {
        let mut there = bridges(&lab, &host.name);
        there.extend(host.bridges.iter().map(|bridge| bridge.name.clone()));
        for nic in host.containers.iter_mut().flat_map(|own| &mut own.nics) {
            if let Attach::Host(end) = &mut nic.attach {
                end.bridge = end.bridge.take().filter(|name| there.contains(name));
            }
        }
    }
    Cow::Owned(topology)
}
