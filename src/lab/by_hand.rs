//! Bridges that somebody made by hand in a host: containers can be plugged into them as into those of the lab.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::netns_path;
use crate::error::{Error, KernelError, Result};
use crate::kernel::inspect::{Pin, inspect};
use crate::name::{IfName, LabName, NodeName};
use crate::plan::NodeId;
use crate::topology::{Attach, Host, Topology};

/// The bridges that a host has just now, whoever made them; none where it is not there.
///
/// # Errors
/// When it cannot be looked at: what is not known is not taken for absent.
pub fn bridges(lab: &LabName, host: &NodeName) -> Result<BTreeSet<IfName>> {
    let node = NodeId::Host(host.clone());
    let links = match inspect(&Pin { node: node.to_string(), path: netns_path(lab, &node) }, &[]) {
        Ok(seen) => seen.links,
        // No pin, or, after a kill, the file without its namespace.
        Err(Error::Kernel(KernelError { errno: libc::ENOENT | libc::EINVAL, tried, .. })) if is_entering(&tried) => Vec::new(),
        Err(error) => return Err(error),
    };
    Ok(links.into_iter().filter(|link| link.kind == "bridge").map(|link| IfName::observed(&link.name)).collect())
}

fn is_entering(tried: &str) -> bool {
    tried.starts_with("open ") || tried.starts_with("setns ")
}

fn is_foreign(host: &Host, attach: &Attach) -> bool {
    matches!(attach, Attach::Host(end) if end.bridge.as_ref().is_some_and(|name| host.bridges.iter().all(|own| own.name != *name)))
}

/// The topology with every cable unplugged that leads to a bridge made by hand which is gone: what was plugged in there waits.
///
/// # Errors
/// As [`bridges`].
pub(super) fn present(topology: &Topology) -> Result<Cow<'_, Topology>> {
    let foreign = |host: &Host| host.containers.iter().flat_map(|own| &own.nics).any(|nic| is_foreign(host, &nic.attach));
    if !topology.hosts.iter().any(foreign) {
        return Ok(Cow::Borrowed(topology));
    }
    let mut topology = topology.clone();
    let lab = topology.name.clone();
    for host in topology.hosts.iter_mut().filter(|host| foreign(host)) {
        let mut there = bridges(&lab, &host.name)?;
        there.extend(host.bridges.iter().map(|bridge| bridge.name.clone()));
        for nic in host.containers.iter_mut().flat_map(|own| &mut own.nics) {
            if let Attach::Host(end) = &mut nic.attach {
                end.bridge = end.bridge.take().filter(|name| there.contains(name));
            }
        }
    }
    Ok(Cow::Owned(topology))
}
