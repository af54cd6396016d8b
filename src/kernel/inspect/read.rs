//! From netlink messages to the report.

use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage, State};
use netlink_packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteType, RouteVia};

use super::Names;
use crate::report::node::{Fdb, FdbState, Link, Neighbour, Route};

/// `RT_TABLE_LOCAL` (`linux/rtnetlink.h`): a node's own addresses, which the links show already.
const LOCAL_TABLE: u32 = 255;

pub(super) fn link(message: &LinkMessage, names: &Names) -> Link {
    let mut link = Link {
        index: message.header.index,
        kind: if message.header.link_layer_type == LinkLayerType::Loopback { "loopback" } else { "device" }.to_owned(),
        up: message.header.flags.contains(LinkFlags::Up),
        ..Link::default()
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name.clone_from(name),
            LinkAttribute::Address(bytes) => link.mac = mac(bytes),
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::OperState(state) => link.state = operstate(*state),
            LinkAttribute::Controller(index) => link.bridge = names.get(index).cloned(),
            LinkAttribute::LinkInfo(infos) => {
                if let Some(kind) = infos.iter().find_map(kind) {
                    link.kind = kind;
                }
            }
            _ => {}
        }
    }
    link
}

fn kind(info: &LinkInfo) -> Option<String> {
    if let LinkInfo::Kind(kind) = info { Some(kind.to_string()) } else { None }
}

fn operstate(state: State) -> String {
    match state {
        State::Unknown => "unknown",
        State::NotPresent => "not-present",
        State::Down => "down",
        State::LowerLayerDown => "lower-layer-down",
        State::Testing => "testing",
        State::Dormant => "dormant",
        State::Up => "up",
        _ => "other",
    }
    .to_owned()
}

/// Six bytes in the usual notation; nothing for the zeros of a loopback.
fn mac(bytes: &[u8]) -> Option<String> {
    let bytes: [u8; 6] = bytes.try_into().ok()?;
    (bytes != [0; 6]).then(|| crate::name::Mac(bytes).to_string())
}

pub(super) fn addresses(messages: &[AddressMessage], links: &mut [Link]) {
    for message in messages {
        // Of a point-to-point address `Local` is this end's; else both are the same or `Local` is absent.
        let own = message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Local(address) => Some(*address),
            _ => None,
        });
        let any = message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Address(address) => Some(*address),
            _ => None,
        });
        let Some(address) = own.or(any) else { continue };
        let Ok(net) = IpNet::new(address, message.header.prefix_len) else { continue };
        if let Some(link) = links.iter_mut().find(|link| link.index == message.header.index) {
            link.addresses.push(net);
        }
    }
}

pub(super) fn route(message: &RouteMessage, names: &Names) -> Option<Route> {
    let header = &message.header;
    let unspecified: IpAddr = match header.address_family {
        AddressFamily::Inet => std::net::Ipv4Addr::UNSPECIFIED.into(),
        _ => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let (mut table, mut to) = (u32::from(header.table), unspecified);
    let (mut via, mut dev, mut source, mut metric) = (None, None, None, None);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Table(number) => table = *number,
            RouteAttribute::Destination(address) => to = ip(address)?,
            RouteAttribute::Gateway(address) => via = ip(address),
            RouteAttribute::Via(RouteVia::Inet(address)) => via = Some((*address).into()),
            RouteAttribute::Via(RouteVia::Inet6(address)) => via = Some((*address).into()),
            RouteAttribute::Oif(index) => dev = names.get(index).cloned(),
            RouteAttribute::PrefSource(address) => source = ip(address),
            RouteAttribute::Priority(number) => metric = Some(*number),
            _ => {}
        }
    }
    if table == LOCAL_TABLE || matches!(header.kind, RouteType::Multicast | RouteType::Broadcast | RouteType::Local) {
        return None;
    }
    let to = IpNet::new(to, header.destination_prefix_length).ok()?;
    let kind = route_kind(header.kind);
    Some(Route { table, to, via, dev, kind, protocol: header.protocol.to_string(), source, metric })
}

fn route_kind(kind: RouteType) -> String {
    match kind {
        RouteType::Unicast => "unicast",
        RouteType::Anycast => "anycast",
        RouteType::BlackHole => "blackhole",
        RouteType::Unreachable => "unreachable",
        RouteType::Prohibit => "prohibit",
        RouteType::Throw => "throw",
        _ => "other",
    }
    .to_owned()
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some((*address).into()),
        RouteAddress::Inet6(address) => Some((*address).into()),
        _ => None,
    }
}

fn link_layer(message: &NeighbourMessage) -> Option<String> {
    message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::LinkLayerAddress(bytes) => mac(bytes),
        _ => None,
    })
}

pub(super) fn neighbour(message: &NeighbourMessage, names: &Names) -> Option<Neighbour> {
    let address: IpAddr = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => Some((*address).into()),
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)) => Some((*address).into()),
        _ => None,
    })?;
    // The kernel keeps entries for multicast and its own addresses, which nobody resolved.
    if message.header.state == NeighbourState::Noarp {
        return None;
    }
    let dev = names.get(&message.header.ifindex)?.clone();
    let state = format!("{:?}", message.header.state).to_lowercase();
    Some(Neighbour { address, dev, mac: link_layer(message), state })
}

pub(super) fn fdb(message: &NeighbourMessage, names: &Names, links: &[Link]) -> Option<Fdb> {
    let mac = link_layer(message)?;
    let port = names.get(&message.header.ifindex)?.clone();
    // Entries without a bridge are the device's own filters (multicast), which forward nothing.
    let bridge = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Controller(index) => names.get(index).cloned(),
        _ => None,
    })?;
    let own = links.iter().any(|link| link.name == port && link.mac.as_deref() == Some(mac.as_str()));
    let state = match message.header.state {
        NeighbourState::Permanent if own => FdbState::Own,
        NeighbourState::Permanent | NeighbourState::Noarp => FdbState::Static,
        _ if message.header.flags.contains(NeighbourFlags::Sticky) => FdbState::Static,
        _ => FdbState::Learned,
    };
    Some(Fdb { bridge, mac, port, state })
}
