//! Netlink answers about addresses and routes, read as facts.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::neighbour::NeighbourMessage;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteNextHop, RouteProtocol, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::name::IfName;
use crate::plan::{Fact, Ns, Port, RouteTo};

/// The metric that the kernel gives an IPv6 route by itself (`IP6_RT_PRIO_USER`, `net/ip6_route.h`).
const DEFAULT_METRIC_6: u32 = 1024;

/// Asks for every address.
pub fn all_addresses() -> RouteNetlinkMessage {
    RouteNetlinkMessage::GetAddress(AddressMessage::default())
}

/// Asks for every route of both families.
pub fn all_routes() -> RouteNetlinkMessage {
    RouteNetlinkMessage::GetRoute(RouteMessage::default())
}

/// Asks for the forwarding tables of all bridges.
pub fn all_fdb() -> RouteNetlinkMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = AddressFamily::Bridge;
    RouteNetlinkMessage::GetNeighbour(message)
}

/// An address that somebody gave.
pub fn address(ns: &Ns, message: &RouteNetlinkMessage, names: &HashMap<u32, IfName>) -> Option<Fact> {
    let RouteNetlinkMessage::NewAddress(message) = message else { return None };
    let dev = names.get(&message.header.index)?.clone();
    let pick = |local: bool| {
        message.attributes.iter().find_map(move |attribute| match attribute {
            AddressAttribute::Local(address) if local => Some(*address),
            AddressAttribute::Address(address) if !local => Some(*address),
            _ => None,
        })
    };
    let address = pick(true).or_else(|| pick(false))?;
    let own = match address {
        IpAddr::V4(v4) => v4.is_loopback(),
        IpAddr::V6(v6) => v6.is_loopback(),
    };
    if own {
        return None;
    }
    let net = IpNet::new(address, message.header.prefix_len).ok()?;
    Some(Fact::Addr(Port { ns: ns.clone(), dev }, net))
}

/// A route that somebody gave.
pub fn route(ns: &Ns, message: &RouteNetlinkMessage, names: &HashMap<u32, IfName>) -> Option<Fact> {
    let RouteNetlinkMessage::NewRoute(message) = message else { return None };
    let header = &message.header;
    if matches!(header.protocol, RouteProtocol::Kernel | RouteProtocol::IcmpRedirect | RouteProtocol::Ra)
        || header.flags.contains(RouteFlags::Cloned)
    {
        return None;
    }
    let v6 = header.address_family == AddressFamily::Inet6;
    let mut to: IpAddr = if v6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
    let (mut table, mut metric) = (u32::from(header.table), 0);
    let (mut via, mut dev, mut hops) = (None, None, Vec::new());
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(address) => to = ip(address)?,
            RouteAttribute::Table(number) => table = *number,
            RouteAttribute::Priority(number) => metric = *number,
            RouteAttribute::Gateway(address) => via = ip(address),
            RouteAttribute::Oif(index) => dev = names.get(index).cloned(),
            RouteAttribute::MultiPath(all) => hops = all.iter().filter_map(|hop| next_hop(hop, names)).collect(),
            _ => {}
        }
    }
    // 255 is the local table: broadcasts and the machine's own addresses (`RT_TABLE_LOCAL`).
    if table == 255 || table == u32::from(RouteHeader::RT_TABLE_UNSPEC) {
        return None;
    }
    if v6 && metric == DEFAULT_METRIC_6 {
        metric = 0;
    }
    let hop = match (header.kind, via, dev) {
        (RouteType::BlackHole, ..) => RouteTo::Blackhole,
        (RouteType::Unreachable, ..) => RouteTo::Unreachable,
        (RouteType::Prohibit, ..) => RouteTo::Prohibit,
        (RouteType::Unicast, ..) if !hops.is_empty() => RouteTo::Many(hops),
        (RouteType::Unicast, Some(via), Some(dev)) => RouteTo::Via(via, dev),
        (RouteType::Unicast, None, Some(dev)) => RouteTo::Dev(dev),
        _ => return None,
    };
    let to = IpNet::new(to, header.destination_prefix_length).ok()?;
    Some(Fact::Route(ns.clone(), table, to, metric, hop))
}

fn next_hop(hop: &RouteNextHop, names: &HashMap<u32, IfName>) -> Option<(IpAddr, IfName)> {
    let via = hop.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Gateway(address) => ip(address),
        _ => None,
    })?;
    Some((via, names.get(&hop.interface_index)?.clone()))
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(v4) => Some((*v4).into()),
        RouteAddress::Inet6(v6) => Some((*v6).into()),
        _ => None,
    }
}
