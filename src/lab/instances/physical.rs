//! Links of a host that move into a container while it runs, as LXD's `physical` devices do.

use std::collections::BTreeMap;

use super::{Site, fault};
use crate::error::{InstanceFault, Result};
use crate::kernel::{self, inspect};
use crate::lab::{home, netns_path};
use crate::lxd::devices;
use crate::name::IfName;
use crate::plan::{NodeId, Ns};
use crate::topology::{Host, Keys};

/// The links that devices ask for: the name in the host, the name inside.
fn links(own: &BTreeMap<String, Keys>) -> Vec<(IfName, IfName)> {
    let link = |(name, device): (&String, &Keys)| match devices::kind(device) {
        Ok(devices::Kind::Physical(parent)) => Some((parent, devices::interface(name, device).ok()?)),
        _ => None,
    };
    own.iter().filter_map(link).collect()
}

fn has(site: &Site, node: &NodeId, link: &IfName) -> bool {
    let pin = inspect::Pin { node: node.to_string(), path: netns_path(&site.lab, node) };
    inspect::inspect(&pin, &[]).is_ok_and(|seen| seen.links.iter().any(|one| one.name == link.as_str()))
}

/// Checks that every link that devices ask for is one that somebody made by hand, and is in the host or in the container.
///
/// # Errors
/// `NoLink` with the first that is not.
pub(super) fn check(host: &Host, site: &Site, own: &BTreeMap<String, Keys>) -> Result<()> {
    let at = NodeId::Host(site.host.clone());
    let missing =
        |(parent, inner): &(IfName, IfName)| !host.is_free(parent) || !(has(site, &at, parent) || has(site, &site.node(), inner));
    match links(own).into_iter().find(missing) {
        Some((parent, _)) => fault(InstanceFault::NoLink(site.host.to_string(), parent.to_string())),
        None => Ok(()),
    }
}

/// Brings the links that devices ask for into the container, up; what is there already stays.
///
/// # Errors
/// When the kernel refuses.
pub(super) fn enter(site: &Site, own: &BTreeMap<String, Keys>) -> Result<()> {
    let (host, inside) = (Ns::Node(NodeId::Host(site.host.clone())), Ns::Node(site.node()));
    links(own)
        .iter()
        .try_for_each(|(parent, inner)| kernel::move_link(&home::pins(&site.lab), (&host, parent), (&inside, inner)).map(drop))
}

/// Gives the links of devices back to the host, under the names that they had there.
///
/// # Errors
/// When the kernel refuses.
pub(super) fn leave(site: &Site, own: &BTreeMap<String, Keys>) -> Result<()> {
    let (host, inside) = (Ns::Node(NodeId::Host(site.host.clone())), Ns::Node(site.node()));
    links(own)
        .iter()
        .try_for_each(|(parent, inner)| kernel::move_link(&home::pins(&site.lab), (&inside, inner), (&host, parent)).map(drop))
}
