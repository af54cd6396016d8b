//! The addresses of many namespaces at once, without what else is in them.

use std::collections::HashMap;
use std::path::PathBuf;

use ipnet::IpNet;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{LinkAttribute, LinkFlags};
use nix::errno::Errno;

use super::socket::Netlink;
use super::space::{self, Space};
use super::thread::thread;
use crate::error::Result;
use crate::plan::NodeId;

/// The interfaces of a namespace by name and index, and their addresses; the loopback is left out.
pub type Addresses = (Vec<(String, u32)>, Vec<(String, IpNet)>);

/// What each of these namespaces has.
///
/// # Errors
/// When one cannot be entered.
pub fn all(pins: &[(NodeId, PathBuf)]) -> Result<Vec<Addresses>> {
    thread(|| {
        let each = pins.iter().map(|(node, pin)| {
            let mut space = Space::open(pin, node)?;
            list(&mut space.socket).map_err(|errno| space::error(node, "ip address show", errno))
        });
        each.collect()
    })?
}

fn list(socket: &mut Netlink) -> std::result::Result<Addresses, Errno> {
    let (mut links, mut names) = (Vec::new(), HashMap::new());
    for answer in socket.dump(&space::all_links())? {
        let RouteNetlinkMessage::NewLink(link) = answer else { continue };
        let loopback = link.header.flags.contains(LinkFlags::Loopback);
        let name = link.attributes.into_iter().find_map(|attribute| match attribute {
            LinkAttribute::IfName(name) => Some(name),
            _ => None,
        });
        if let Some(name) = name.filter(|_| !loopback) {
            links.push((name.clone(), link.header.index));
            names.insert(link.header.index, name);
        }
    }
    let mut found = Vec::new();
    for answer in socket.dump(&RouteNetlinkMessage::GetAddress(AddressMessage::default()))? {
        let RouteNetlinkMessage::NewAddress(message) = answer else { continue };
        let (Some(name), Some(net)) = (names.get(&message.header.index), net(&message)) else { continue };
        found.push((name.clone(), net));
    }
    Ok((links, found))
}

/// Of a point-to-point address `Local` is this end's; else both are the same or `Local` is absent.
fn net(message: &AddressMessage) -> Option<IpNet> {
    let attributes = || message.attributes.iter();
    let own = attributes().find_map(|attribute| if let AddressAttribute::Local(own) = attribute { Some(*own) } else { None });
    let any = attributes().find_map(|attribute| if let AddressAttribute::Address(any) = attribute { Some(*any) } else { None });
    IpNet::new(own.or(any)?, message.header.prefix_len).ok()
}
