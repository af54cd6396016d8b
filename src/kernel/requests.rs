//! One netlink request per kind of fact: add beside delete.

use std::net::IpAddr;
use std::os::fd::RawFd;

use ipnet::IpNet;
use netlink_packet_core::{DefaultNla, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, AddressScope};
use netlink_packet_route::link::{
    AfSpecInet, AfSpecInet6, AfSpecUnspec, BridgeStpState, In6AddrGenMode, InfoBridge, InfoBridgePort, InfoData, InfoKind,
    InfoPortData, InfoPortKind, InfoVeth, LinkAttribute, LinkExtentMask, LinkFlags, LinkInfo, LinkMessage, State,
};
use netlink_packet_route::neighbour::{NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState};
use netlink_packet_route::route::{
    RouteAttribute, RouteHeader, RouteMessage, RouteNextHop, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::errno::Errno;

use super::netlink::{self, Netlink, Request};
use crate::name::{IfName, Mac};
use crate::plan::{Fact, Op, Port, RouteTo};

const NEW: u16 = NLM_F_CREATE | NLM_F_EXCL;

/// What a link is born with, fused into the request that makes it.
#[derive(Debug, Clone, Default)]
pub struct Birth {
    /// Interface index; 0 lets the kernel choose.
    pub index: u32,
    /// Ethernet address.
    pub mac: Option<Mac>,
    /// MTU in bytes.
    pub mtu: Option<u32>,
    /// The bridge that it is a port of.
    pub bridge: Option<IfName>,
    /// The index of that bridge.
    pub master: Option<u32>,
    /// Administratively up; the far end of a pair cannot be born so (ENOTCONN).
    pub up: bool,
}

impl Birth {
    /// Whether the link can be born with the fact, and now is; the near end of a pair with more than the far one.
    pub fn take(&mut self, fact: &Fact, near: bool) -> bool {
        match fact {
            Fact::Mac(_, mac) => self.mac = Some(*mac),
            Fact::Mtu(_, mtu) => self.mtu = Some(*mtu),
            Fact::Member(_, bridge) if near => self.bridge = Some(bridge.clone()),
            Fact::Up(_) if near => self.up = true,
            // A request of its own.
            Fact::Member(..)
            | Fact::Up(_)
            | Fact::Stp(_)
            | Fact::Isolated(_)
            | Fact::Fdb(..)
            | Fact::Addr(..)
            | Fact::Netns(_)
            | Fact::Sysctl(..)
            | Fact::Link(..)
            | Fact::Route(..)
            | Fact::OfPort(..)
            | Fact::OfSpace(..) => return false,
        }
        true
    }
}

/// The request for an operation on what exists already; `index` finds an interface. None where another step carries it out.
pub fn request(op: &Op, index: &dyn Fn(&IfName) -> u32) -> Option<Request> {
    let at = |port: &Port| index(&port.dev);
    // Where the index was refused to a link in the same batch, another link may have it: settings are for that name.
    let named = |port: &Port, request: Request| named(request, &port.dev);
    Some(match op {
        Op::Add(fact) | Op::Set(fact) => match fact {
            Fact::Mac(port, mac) => named(port, set_mac(0, *mac)),
            Fact::Mtu(port, mtu) => named(port, set_mtu(0, *mtu)),
            Fact::Stp(port) => named(port, set_stp(0, true)),
            Fact::Member(port, bridge) => named(port, set_master(0, index(bridge))),
            Fact::Isolated(port) => named(port, set_isolated(0, true)),
            Fact::Fdb(port, mac) => add_fdb(at(port), *mac),
            Fact::Addr(port, net) => add_address(at(port), *net),
            Fact::Up(port) => named(port, set_up(0, true)),
            Fact::Route(_, table, to, metric, hop) => {
                let route = Route { table: *table, to: *to, metric: *metric, hop };
                if matches!(op, Op::Add(..)) { add_route(&route, index) } else { replace_route(&route, index) }
            }
            // What no topology says is never made.
            Fact::Netns(_) | Fact::Sysctl(..) | Fact::Link(..) | Fact::OfPort(..) | Fact::OfSpace(..) => return None,
        },
        Op::Del(fact) => match fact {
            Fact::Mtu(port, _) => named(port, set_mtu(0, 1500)),
            Fact::Stp(port) => named(port, set_stp(0, false)),
            Fact::Member(port, _) => named(port, set_master(0, 0)),
            Fact::Isolated(port) => named(port, set_isolated(0, false)),
            Fact::Fdb(port, mac) => del_fdb(at(port), *mac),
            Fact::Addr(port, net) => del_address(at(port), *net),
            Fact::Up(port) => named(port, set_up(0, false)),
            Fact::Route(_, table, to, metric, hop) => del_route(&Route { table: *table, to: *to, metric: *metric, hop }, index),
            // These by another step; a link keeps its Ethernet address.
            Fact::Netns(_) | Fact::Sysctl(..) | Fact::Link(..) | Fact::OfPort(..) | Fact::OfSpace(..) | Fact::Mac(..) => {
                return None;
            }
        },
    })
}

fn up_flag(message: &mut LinkMessage, up: bool) {
    message.header.change_mask = LinkFlags::Up;
    if up {
        message.header.flags = LinkFlags::Up;
    }
}

fn born(name: &IfName, birth: &Birth) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = birth.index;
    if birth.up {
        up_flag(&mut message, true);
    }
    let attributes = &mut message.attributes;
    attributes.push(LinkAttribute::IfName(name.to_string()));
    attributes.extend(birth.mac.map(|mac| LinkAttribute::Address(mac.0.to_vec())));
    attributes.extend(birth.mtu.map(LinkAttribute::Mtu));
    attributes.extend(birth.master.map(LinkAttribute::Controller));
    message
}

/// A bridge that forwards at once (no listening and learning phase) and floods multicast.
pub fn add_bridge(name: &IfName, birth: &Birth) -> Request {
    let mut message = born(name, birth);
    let options = vec![InfoBridge::ForwardDelay(0), InfoBridge::MulticastSnooping(false)];
    message
        .attributes
        .push(LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Bridge), LinkInfo::Data(InfoData::Bridge(options))]));
    (RouteNetlinkMessage::NewLink(message), NEW)
}

/// A veth pair with both ends in their namespaces; one queue each saves two RCU waits.
pub fn add_veth(name: &IfName, birth: &Birth, peer: &IfName, peer_birth: &Birth, peer_ns: Option<RawFd>) -> Request {
    let queues = [LinkAttribute::NumTxQueues(1), LinkAttribute::NumRxQueues(1)];
    let mut peer_message = born(peer, peer_birth);
    peer_message.attributes.extend(queues.clone());
    peer_message.attributes.extend(peer_ns.map(LinkAttribute::NetNsFd));
    let mut near = born(name, birth);
    near.attributes.extend(queues);
    let data = InfoData::Veth(InfoVeth::Peer(peer_message));
    near.attributes.push(LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Veth), LinkInfo::Data(data)]));
    (RouteNetlinkMessage::NewLink(near), NEW)
}

/// The link and, of a pair, its other end.
pub fn del_link(index: u32) -> Request {
    (RouteNetlinkMessage::DelLink(link(index)), 0)
}

/// The group of links that are about to be deleted together.
const DOOMED: u32 = u32::from_be_bytes(*b"nsgo");

/// The link goes with the next [`del_doomed`].
pub fn doom(index: u32) -> Request {
    set(index, LinkAttribute::Group(DOOMED))
}

/// Every link that was doomed goes, with its other end: the kernel waits once for all of them, not for each.
pub fn del_doomed() -> Request {
    let mut message = link(0);
    message.attributes.push(LinkAttribute::Group(DOOMED));
    (RouteNetlinkMessage::DelLink(message), 0)
}

fn link(index: u32) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message
}

fn set(index: u32, attribute: LinkAttribute) -> Request {
    let mut message = link(index);
    message.attributes.push(attribute);
    (RouteNetlinkMessage::SetLink(message), 0)
}

/// Settings of the link's kind: the kernel takes them in the request that makes one.
fn configure(index: u32, info: Vec<LinkInfo>) -> Request {
    let mut message = link(index);
    message.attributes.push(LinkAttribute::LinkInfo(info));
    (RouteNetlinkMessage::NewLink(message), 0)
}

/// Up or down.
pub fn set_up(index: u32, up: bool) -> Request {
    let mut message = link(index);
    up_flag(&mut message, up);
    (RouteNetlinkMessage::SetLink(message), 0)
}

/// Into another namespace, under a name that it has there.
pub fn carry(index: u32, to: RawFd, name: &IfName) -> Request {
    let mut message = link(index);
    message.attributes.push(LinkAttribute::NetNsFd(to));
    message.attributes.push(LinkAttribute::IfName(name.to_string()));
    (RouteNetlinkMessage::SetLink(message), 0)
}

/// The request, to the link of that name instead of an index.
pub fn named((mut payload, flags): Request, name: &IfName) -> Request {
    if let RouteNetlinkMessage::SetLink(message) | RouteNetlinkMessage::NewLink(message) = &mut payload {
        message.header.index = 0;
        message.attributes.push(LinkAttribute::IfName(name.to_string()));
    }
    (payload, flags)
}

/// The Ethernet address.
pub fn set_mac(index: u32, mac: Mac) -> Request {
    set(index, LinkAttribute::Address(mac.0.to_vec()))
}

/// The MTU in bytes.
pub fn set_mtu(index: u32, mtu: u32) -> Request {
    set(index, LinkAttribute::Mtu(mtu))
}

/// The bridge that the link is a port of; 0: none.
pub fn set_master(index: u32, master: u32) -> Request {
    set(index, LinkAttribute::Controller(master))
}

/// The spanning tree protocol of a bridge.
pub fn set_stp(index: u32, on: bool) -> Request {
    let state = if on { BridgeStpState::KernelStp } else { BridgeStpState::Disabled };
    let data = InfoData::Bridge(vec![InfoBridge::StpState(state)]);
    configure(index, vec![LinkInfo::Kind(InfoKind::Bridge), LinkInfo::Data(data)])
}

/// A bridge's port that neither learns nor floods unicast, or does both again.
pub fn set_isolated(index: u32, isolated: bool) -> Request {
    let flags = vec![InfoBridgePort::Learning(!isolated), InfoBridgePort::UnicastFlood(!isolated)];
    configure(index, vec![LinkInfo::PortKind(InfoPortKind::Bridge), LinkInfo::PortData(InfoPortData::BridgePort(flags))])
}

/// What a new device of a container must not take over from the machine: IPv4 forwarding and reverse path filter off
/// (`IPV4_DEVCONF_FORWARDING` 1, `IPV4_DEVCONF_RP_FILTER` 8 of `linux/ip.h`), and no IPv6 address that nobody asked for.
/// Where the namespace has settings of its own, the device was born with those.
pub fn set_settings(index: u32, own: bool) -> Request {
    let mut settings = Vec::with_capacity(16);
    for kind in [1, 8] {
        netlink::push(&mut settings, kind, &0u32.to_ne_bytes());
    }
    let conf = DefaultNla::new(1 | 0x8000, settings);
    let mut spec = vec![AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(In6AddrGenMode::None)])];
    if !own {
        spec.push(AfSpecUnspec::Inet(vec![AfSpecInet::Other(conf)]));
    }
    set(index, LinkAttribute::AfSpecUnspec(spec))
}

/// Makes a link's carrier settle: the kernel's link watch is rate-limited, but a look at the link runs it (kernel 6.8).
pub fn look(index: u32) -> Request {
    let mut message = link(index);
    message.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
    (RouteNetlinkMessage::GetLink(message), 0)
}

/// Looks once more at links that are up but not in operation yet, which makes the kernel see the carrier at once: ports
/// first, then what is made of them. Whether there were any.
pub fn settle(socket: &mut Netlink, links: &[LinkMessage]) -> Result<bool, Errno> {
    let waits = |link: &&LinkMessage| {
        let operates = link.attributes.contains(&LinkAttribute::OperState(State::Up));
        link.header.flags.contains(LinkFlags::Up) && !link.header.flags.contains(LinkFlags::Loopback) && !operates
    };
    let indices: Vec<u32> = links.iter().filter(waits).map(|link| link.header.index).collect();
    for index in indices.iter().chain(&indices) {
        socket.push(&look(*index), 0)?;
    }
    socket.flush()?;
    Ok(!indices.is_empty())
}

fn address(index: u32, net: IpNet) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = net.addr().into();
    message.header.prefix_len = net.prefix_len();
    message.header.index = index;
    message.header.scope = AddressScope::Universe;
    message.attributes.push(AddressAttribute::Local(net.addr()));
    message.attributes.push(AddressAttribute::Address(net.addr()));
    if let IpNet::V4(net) = net
        && net.prefix_len() < 31
    {
        message.attributes.push(AddressAttribute::Broadcast(net.broadcast()));
    }
    message
}

/// An address, usable at once: without duplicate address detection.
pub fn add_address(index: u32, net: IpNet) -> Request {
    let mut message = address(index, net);
    if net.addr().is_ipv6() {
        message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
    }
    (RouteNetlinkMessage::NewAddress(message), NEW)
}

/// That address goes.
pub fn del_address(index: u32, net: IpNet) -> Request {
    (RouteNetlinkMessage::DelAddress(address(index, net)), 0)
}

/// A route as the kernel takes it; `index` finds an interface.
pub struct Route<'a> {
    /// Routing table.
    pub table: u32,
    /// Destination.
    pub to: IpNet,
    /// Metric, 0 for the family's default.
    pub metric: u32,
    /// Where it leads.
    pub hop: &'a RouteTo,
}

fn route(route: &Route<'_>, index: &dyn Fn(&IfName) -> u32) -> RouteMessage {
    let mut message = RouteMessage::default();
    let header = &mut message.header;
    header.address_family = route.to.addr().into();
    header.destination_prefix_length = route.to.prefix_len();
    header.table = u8::try_from(route.table).unwrap_or(RouteHeader::RT_TABLE_UNSPEC);
    header.protocol = RouteProtocol::Boot;
    header.scope = if matches!(route.hop, RouteTo::Dev(_)) { RouteScope::Link } else { RouteScope::Universe };
    header.kind = match route.hop {
        RouteTo::Blackhole => RouteType::BlackHole,
        RouteTo::Unreachable => RouteType::Unreachable,
        RouteTo::Prohibit => RouteType::Prohibit,
        _ => RouteType::Unicast,
    };
    let attributes = &mut message.attributes;
    if u8::try_from(route.table).is_err() {
        attributes.push(RouteAttribute::Table(route.table));
    }
    if route.to.prefix_len() > 0 {
        attributes.push(RouteAttribute::Destination(route.to.addr().into()));
    }
    if route.metric != 0 {
        attributes.push(RouteAttribute::Priority(route.metric));
    }
    match route.hop {
        RouteTo::Via(via, dev) => {
            attributes.push(RouteAttribute::Gateway((*via).into()));
            attributes.push(RouteAttribute::Oif(index(dev)));
        }
        RouteTo::Dev(dev) => attributes.push(RouteAttribute::Oif(index(dev))),
        RouteTo::Many(hops) => attributes.push(RouteAttribute::MultiPath(hops.iter().map(|hop| next_hop(hop, index)).collect())),
        RouteTo::Blackhole | RouteTo::Unreachable | RouteTo::Prohibit => {}
    }
    message
}

fn next_hop((via, dev): &(IpAddr, IfName), index: &dyn Fn(&IfName) -> u32) -> RouteNextHop {
    let mut hop = RouteNextHop::default();
    hop.interface_index = index(dev);
    hop.attributes.push(RouteAttribute::Gateway((*via).into()));
    hop
}

/// A new route.
pub fn add_route(new: &Route<'_>, index: &dyn Fn(&IfName) -> u32) -> Request {
    (RouteNetlinkMessage::NewRoute(route(new, index)), NEW)
}

/// The route in place of the one to the same destination.
pub fn replace_route(new: &Route<'_>, index: &dyn Fn(&IfName) -> u32) -> Request {
    (RouteNetlinkMessage::NewRoute(route(new, index)), NLM_F_CREATE | NLM_F_REPLACE)
}

/// That route goes.
pub fn del_route(old: &Route<'_>, index: &dyn Fn(&IfName) -> u32) -> Request {
    let mut message = route(old, index);
    message.header.protocol = RouteProtocol::Unspec;
    (RouteNetlinkMessage::DelRoute(message), 0)
}

fn fdb(index: u32, mac: Mac) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = AddressFamily::Bridge;
    message.header.ifindex = index;
    message.header.state = NeighbourState::Noarp;
    message.header.flags = NeighbourFlags::Controller;
    message.attributes.push(NeighbourAttribute::LinkLayerAddress(mac.0.to_vec()));
    message
}

/// A static entry of the forwarding table of the bridge that the port is in.
pub fn add_fdb(index: u32, mac: Mac) -> Request {
    (RouteNetlinkMessage::NewNeighbour(fdb(index, mac)), NLM_F_CREATE | NLM_F_REPLACE)
}

/// That entry goes.
pub fn del_fdb(index: u32, mac: Mac) -> Request {
    (RouteNetlinkMessage::DelNeighbour(fdb(index, mac)), 0)
}
