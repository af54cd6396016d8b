//! Which node and interface is at the other end of a veth pair.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkMessage};
use netlink_packet_route::nsid::{NsidAttribute, NsidMessage};

use super::Pin;
use crate::kernel::socket::Netlink;
use crate::kernel::tables::{Far, Link, Tables};

/// The nodes by the numbers that this namespace gives theirs, as far as `among` has them.
pub(super) fn nodes<'a>(socket: &mut Netlink, links: &[Link], among: impl IntoIterator<Item = &'a Pin>) -> HashMap<i32, &'a str> {
    let far = links.iter().filter_map(|link| link.peer.as_ref());
    let wanted: HashSet<i32> = far.filter(|far| far.node.is_none()).filter_map(|far| far.namespace).collect();
    let mut found = HashMap::new();
    for pin in among {
        if found.len() == wanted.len() {
            break;
        }
        if let Some(number) = number(socket, &pin.path).filter(|number| wanted.contains(number)) {
            found.insert(number, pin.node.as_str());
        }
    }
    found
}

/// Says of every pair where its other end is, as far as it is in one of the nodes, or in this one.
pub(super) fn place(links: &mut [Link], here: &str, nodes: &HashMap<i32, &str>) {
    for far in links.iter_mut().filter_map(|link| link.peer.as_mut()) {
        match far.namespace {
            None => far.node = Some(here.to_owned()),
            Some(number) => {
                if let Some(node) = nodes.get(&number) {
                    far.node = Some((*node).to_owned());
                }
            }
        }
    }
}

/// The name of the other end, asked from this namespace.
pub(super) fn name(socket: &mut Netlink, far: &Far) -> Option<String> {
    let mut message = LinkMessage::default();
    message.header.index = far.index;
    message.attributes.extend(far.namespace.map(LinkAttribute::IfNetnsId));
    let Ok(Some(RouteNetlinkMessage::NewLink(answer))) = socket.ask(RouteNetlinkMessage::GetLink(message)) else { return None };
    answer.attributes.into_iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name),
        _ => None,
    })
}

/// The number that this namespace gives to the pinned one, if it has met it.
pub fn number(socket: &mut Netlink, pin: &Path) -> Option<i32> {
    let namespace = File::open(pin).ok()?;
    let mut message = NsidMessage::default();
    message.attributes.push(NsidAttribute::Fd(u32::try_from(namespace.as_raw_fd()).ok()?));
    let Ok(Some(RouteNetlinkMessage::NewNsId(answer))) = socket.ask(RouteNetlinkMessage::GetNsId(message)) else { return None };
    answer.attributes.iter().find_map(|attribute| match attribute {
        NsidAttribute::Id(number) if *number >= 0 => Some(*number),
        _ => None,
    })
}

/// The other ends that one side knows the other side learns: who asks about its host need not be asked about by its host.
pub(super) fn join(all: &mut [(String, Tables)]) {
    let mut known: HashMap<(String, u32), (String, u32, String)> = HashMap::new();
    let mut names: HashMap<(String, u32), String> = HashMap::new();
    for (node, tables) in &*all {
        for link in &tables.links {
            names.insert((node.clone(), link.index), link.name.clone());
            let Some(far) = &link.peer else { continue };
            if let Some(there) = &far.node {
                known.insert((there.clone(), far.index), (node.clone(), link.index, link.name.clone()));
            }
        }
    }
    for (node, tables) in all {
        for link in &mut tables.links {
            let Some(far) = &mut link.peer else { continue };
            if far.node.is_none()
                && let Some((there, index, _)) = known.get(&(node.clone(), link.index))
                && *index == far.index
            {
                far.node = Some(there.clone());
            }
            if let Some(there) = &far.node {
                far.name = names.get(&(there.clone(), far.index)).cloned();
            }
        }
    }
}
