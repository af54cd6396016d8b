//! Neighbour tables: what is in a namespace's, and how full the machine's are, for all namespaces share one per family.

use std::net::IpAddr;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use netlink_packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState};
use netlink_packet_route::neighbour_table::NeighbourTableAttribute;
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::errno::Errno;

use super::netlink::Netlink;
use crate::report::probe::Family;

/// `gc_thresh3` where the kernel does not tell it (`net/ipv4/arp.c`, `net/ipv6/ndisc.c`).
const LIMIT: u32 = 1024;

/// How full the machine's table of a family is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Entries in it, of all namespaces.
    pub entries: u32,
    /// More are refused (`net.ipv4.neigh.default.gc_thresh3`).
    pub limit: u32,
}

/// An entry that can be forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Entry {
    /// The interface's index.
    pub interface: u32,
    /// Whose MAC address it holds or looks for.
    pub address: IpAddr,
}

fn number(family: Family) -> AddressFamily {
    match family {
        Family::Ipv4 => AddressFamily::Inet,
        Family::Ipv6 => AddressFamily::Inet6,
    }
}

/// How full the machine's table is; `/proc/sys` tells the limit in the first namespace alone, netlink in each.
pub fn room(socket: &mut Netlink, family: Family) -> Result<Room, Errno> {
    let mut room = Room { entries: 0, limit: LIMIT };
    for table in socket.neighbour_tables(number(family))? {
        for attribute in table.attributes {
            match attribute {
                NeighbourTableAttribute::Threshold3(limit) => room.limit = limit,
                NeighbourTableAttribute::Config(config) => room.entries = config.entries,
                _ => {}
            }
        }
    }
    Ok(room)
}

/// The entries of the socket's namespace that the kernel itself would forget in time: no permanent ones.
pub fn list(socket: &mut Netlink, family: Family) -> Result<Vec<Entry>, Errno> {
    Ok(socket.neighbours(number(family))?.iter().filter_map(entry_of).collect())
}

/// The entries that are known to answer (`NUD_REACHABLE`).
pub fn reachable(socket: &mut Netlink) -> Result<Vec<Entry>, Errno> {
    let all = socket.neighbours(AddressFamily::Unspec)?;
    Ok(all.iter().filter(|entry| entry.header.state == NeighbourState::Reachable).filter_map(entry_of).collect())
}

/// Makes the kernel look for these neighbours, as a packet to them would.
pub fn ask(socket: &mut Netlink, entries: &[Entry]) -> Result<(), Errno> {
    for entry in entries {
        let mut message = of_entry(entry);
        message.header.flags = NeighbourFlags::Use;
        socket.push(&(RouteNetlinkMessage::NewNeighbour(message), NLM_F_CREATE | NLM_F_REPLACE), 0)?;
    }
    socket.flush().map(drop)
}

fn of_entry(entry: &Entry) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.ifindex = entry.interface;
    message.header.family = entry.address.into();
    message.attributes.push(NeighbourAttribute::Destination(entry.address.into()));
    message
}

fn entry_of(message: &NeighbourMessage) -> Option<Entry> {
    let kept = matches!(message.header.state, NeighbourState::Permanent | NeighbourState::Noarp);
    if kept || message.header.flags.contains(NeighbourFlags::ExtLearned) {
        return None;
    }
    let address = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => Some(IpAddr::V4(*address)),
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)) => Some(IpAddr::V6(*address)),
        _ => None,
    })?;
    Some(Entry { interface: message.header.ifindex, address })
}

/// Forgets entries of the socket's namespace; one that has gone meanwhile is as good.
pub fn forget(socket: &mut Netlink, entries: &[Entry]) -> Result<(), Errno> {
    for entry in entries {
        socket.push(&(RouteNetlinkMessage::DelNeighbour(of_entry(entry)), 0), 0)?;
    }
    socket.flush().map(drop)
}
