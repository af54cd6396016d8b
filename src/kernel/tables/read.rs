//! From netlink messages to tables.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ipnet::IpNet;
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage};
use netlink_packet_route::link::{
    AfSpecInet, AfSpecInet6, AfSpecUnspec, BridgePortState, BridgeStpState, InfoBridge, InfoBridgePort, InfoData, InfoPortData,
    LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage, State,
};
use netlink_packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteMetric, RouteNextHop, RouteNextHopFlags, RouteType, RouteVia,
};
use netlink_packet_route::rule::{RuleAction as Action, RuleAttribute, RuleFlags, RuleMessage};
use netlink_packet_route::{AddressFamily, IpProtocol, RouteNetlinkMessage};
use nix::errno::Errno;

use super::stack;
use super::{
    Address, All, BridgePort, Detection, Fdb, Link, Neighbour, NextHop, PortState, PortVlan, Remote, Route, Rule, RuleAction,
    Stack, VethPeer,
};
use crate::kernel::fallback::is_fallback;
use crate::kernel::netlink::{self, Netlink, attributes};
use crate::name::Mac;

/// Milliseconds of a clock tick as the kernel tells time to programs (`USER_HZ` is 100).
const TICK: u64 = 10;

/// Queues that the kernel gives to interfaces by itself (`attach_one_default_qdisc`, `net.core.default_qdisc`).
const USUAL: [&str; 7] = ["noop", "noqueue", "pfifo_fast", "fq_codel", "fq", "mq", "pfifo"];

/// `RTM_GETNETCONF` (`linux/rtnetlink.h`)
const GET_NETCONF: u16 = 82;
/// Attributes of `linux/netconf.h`.
const IFINDEX: u16 = 1;
const FORWARDING: u16 = 2;
const RP_FILTER: u16 = 3;
/// `RTCF_REDIRECTED` (`linux/in_route.h`)
const REDIRECTED: u32 = 0x0004_0000;
/// `NETCONFA_IFINDEX_ALL`: the settings of all interfaces together.
const EVERY_INTERFACE: i32 = -1;

/// Links with their addresses, in the order of their indices.
pub(in crate::kernel) fn links(messages: &[LinkMessage], addresses: &[AddressMessage]) -> Vec<Link> {
    let mut links: Vec<Link> = messages.iter().map(link).collect();
    links.sort_by_key(|link| link.index);
    stack::settle(&mut links);
    for (index, address) in addresses.iter().filter_map(address) {
        if let Ok(at) = links.binary_search_by_key(&index, |link| link.index) {
            links[at].addresses.push(address);
        }
    }
    links
}

fn link(message: &LinkMessage) -> Link {
    let flags = message.header.flags;
    let mut link = Link {
        index: message.header.index,
        kind: if message.header.link_layer_type == LinkLayerType::Loopback { "loopback" } else { "device" }.to_owned(),
        up: flags.contains(LinkFlags::Up),
        noarp: flags.contains(LinkFlags::Noarp),
        carrier: flags.contains(LinkFlags::LowerUp),
        fallback: is_fallback(message),
        ..Link::default()
    };
    let (mut end, mut namespace) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name.clone_from(name),
            LinkAttribute::Address(bytes) => link.mac = mac(bytes),
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::OperState(state) => operstate(*state).clone_into(&mut link.state),
            LinkAttribute::Qdisc(kind) => link.queues = !USUAL.contains(&kind.as_str()),
            LinkAttribute::Controller(index) => link.master = Some(*index),
            LinkAttribute::Link(index) => end = Some(*index),
            LinkAttribute::LinkNetNsId(number) => namespace = Some(*number),
            LinkAttribute::LinkInfo(infos) => infos.iter().for_each(|info| of_kind(&mut link, info)),
            LinkAttribute::AfSpecUnspec(families) => families.iter().for_each(|family| of_family(&mut link, family)),
            _ => {}
        }
    }
    let end = end.map(|index| VethPeer { namespace, index, node: None, name: None });
    match link.kind.as_str() {
        "veth" => link.peer = end,
        "vlan" | "macvlan" | "macvtap" | "ipvlan" | "ipvtap" | "macsec" => link.lower = end,
        _ => {}
    }
    link
}

fn of_kind(link: &mut Link, info: &LinkInfo) {
    match info {
        LinkInfo::Kind(kind) => {
            link.kind = kind.to_string();
            if link.kind == "dummy" {
                link.stack = Stack::Dummy;
            }
        }
        LinkInfo::Data(InfoData::Bridge(options)) => link.filtering = stack::filtering(options),
        LinkInfo::Data(data) => link.stack = stack::stack(data),
        LinkInfo::PortData(InfoPortData::BridgePort(flags)) => link.port = Some(bridge_port(flags)),
        _ => {}
    }
}

fn bridge_port(flags: &[InfoBridgePort]) -> BridgePort {
    let mut port = BridgePort::default();
    for flag in flags {
        match flag {
            InfoBridgePort::State(state) => port.state = port_state(*state),
            InfoBridgePort::Learning(on) => port.learns = *on,
            InfoBridgePort::UnicastFlood(on) => port.floods = *on,
            InfoBridgePort::Locked(on) => port.locked = *on,
            InfoBridgePort::BroadcastFlood(on) => port.broadcasts = *on,
            InfoBridgePort::MulticastFlood(on) => port.multicasts = *on,
            InfoBridgePort::Isolated(on) => port.isolated = *on,
            InfoBridgePort::HairpinMode(on) => port.hairpin = *on,
            _ => {}
        }
    }
    port
}

/// Whether a bridge of that attribute runs the spanning tree protocol.
pub(in crate::kernel) fn runs_stp(attribute: &LinkAttribute) -> bool {
    let LinkAttribute::LinkInfo(info) = attribute else { return false };
    let on = |option: &InfoBridge| matches!(option, InfoBridge::StpState(state) if *state != BridgeStpState::Disabled);
    info.iter().any(|item| matches!(item, LinkInfo::Data(InfoData::Bridge(options)) if options.iter().any(on)))
}

fn port_state(state: BridgePortState) -> PortState {
    match state {
        BridgePortState::Forwarding => PortState::Forwarding,
        BridgePortState::Learning => PortState::Learning,
        BridgePortState::Listening => PortState::Listening,
        BridgePortState::Blocking => PortState::Blocking,
        _ => PortState::Disabled,
    }
}

fn of_family(link: &mut Link, family: &AfSpecUnspec) {
    match family {
        AfSpecUnspec::Inet(settings) => {
            for setting in settings {
                let AfSpecInet::DevConf(conf) = setting else { continue };
                link.forwarding4 = conf.forwarding != 0;
                link.rp_filter = u8::try_from(conf.rp_filter).unwrap_or(0);
                link.accept_local = conf.accept_local != 0;
                link.proxy_arp = conf.proxy_arp != 0;
                link.arp_ignore = u8::try_from(conf.arp_ignore).unwrap_or(0);
                link.conf.arp_filter = conf.arpfilter != 0;
                link.conf.arp_announce = u8::try_from(conf.arp_announce).unwrap_or(0);
                link.conf.proxy_arp_pvlan = conf.proxy_arp_pvlan != 0;
                link.conf.send_redirects = conf.send_redirects != 0;
                link.conf.accept_redirects = conf.accept_redirects != 0;
            }
        }
        AfSpecUnspec::Inet6(settings) => {
            for setting in settings {
                let AfSpecInet6::DevConf(conf) = setting else { continue };
                link.ipv6_off = conf.disable_ipv6 != 0;
                link.forwarding6 = conf.forwarding != 0;
                link.conf.proxy_ndp = conf.proxy_ndp != 0;
                link.hop_limit = u8::try_from(conf.hoplimit).ok();
            }
        }
        _ => {}
    }
}

fn operstate(state: State) -> &'static str {
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
}

/// Six bytes; nothing for the zeros of a loopback.
fn mac(bytes: &[u8]) -> Option<Mac> {
    let bytes: [u8; 6] = bytes.try_into().ok()?;
    (bytes != [0; 6]).then_some(Mac(bytes))
}

/// The address itself and the interface's index.
fn address(message: &AddressMessage) -> Option<(u32, Address)> {
    let (mut own, mut any, mut long) = (None, None, None);
    for attribute in &message.attributes {
        match attribute {
            // Of a point-to-point address `Local` is this end's; else both are the same or `Local` is absent.
            AddressAttribute::Local(address) => own = Some(*address),
            AddressAttribute::Address(address) => any = Some(*address),
            AddressAttribute::Flags(flags) => long = Some(*flags),
            _ => {}
        }
    }
    let net = IpNet::new(own.or(any)?, message.header.prefix_len).ok()?;
    let short = message.header.flags;
    let has = |long_flag, short_flag| long.map_or_else(|| short.contains(short_flag), |long| long.contains(long_flag));
    let pending = has(AddressFlags::Tentative, AddressHeaderFlags::Tentative);
    let detection = match has(AddressFlags::Dadfailed, AddressHeaderFlags::Dadfailed) {
        true => Detection::Failed,
        false if pending && !has(AddressFlags::Optimistic, AddressHeaderFlags::Optimistic) => Detection::Pending,
        false => Detection::Done,
    };
    let secondary = net.addr().is_ipv4() && has(AddressFlags::Secondary, AddressHeaderFlags::Secondary);
    let deprecated = has(AddressFlags::Deprecated, AddressHeaderFlags::Deprecated);
    Some((message.header.index, Address { net, secondary, scope: message.header.scope.into(), detection, deprecated }))
}

/// The MTU of the way to one address, as a router has told it.
pub(in crate::kernel) fn exception(message: &RouteMessage) -> Option<(IpAddr, u32)> {
    if !message.header.flags.contains(RouteFlags::Cloned) {
        return None;
    }
    let (mut to, mut mtu) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(address) => to = ip(address),
            RouteAttribute::Metrics(metrics) => mtu = metrics.iter().find_map(mtu_of),
            _ => {}
        }
    }
    Some((to?, mtu?))
}

/// The next hop to one address that the kernel has kept beside its routes.
pub(in crate::kernel) fn redirect(message: &RouteMessage) -> Option<(IpAddr, NextHop)> {
    if !message.header.flags.contains(RouteFlags::Cloned) {
        return None;
    }
    let (mut to, mut hop) = (None, NextHop { via: None, dev: 0, dead: false });
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(address) => to = ip(address),
            RouteAttribute::Oif(index) => hop.dev = *index,
            other => hop.via = via(other).or(hop.via),
        }
    }
    Some((to?, hop))
}

pub(in crate::kernel) fn route(message: &RouteMessage) -> Option<Route> {
    let header = &message.header;
    if header.flags.contains(RouteFlags::Cloned) {
        return None;
    }
    let (mut table, mut to) = (u32::from(header.table), any_of(header.address_family));
    let mut single = NextHop { via: None, dev: 0, dead: header.flags.contains(RouteFlags::Dead) };
    let (mut several, mut source, mut metric, mut mtu) = (Vec::new(), None, None, None);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Table(number) => table = *number,
            RouteAttribute::Destination(address) => to = ip(address)?,
            RouteAttribute::Oif(index) => single.dev = *index,
            RouteAttribute::PrefSource(address) => source = ip(address),
            RouteAttribute::Priority(number) => metric = Some(*number),
            RouteAttribute::MultiPath(hops) => several = hops.iter().map(next_hop).collect(),
            RouteAttribute::Metrics(metrics) => mtu = metrics.iter().find_map(mtu_of).or(mtu),
            other => single.via = via(other).or(single.via),
        }
    }
    let to = IpNet::new(to, header.destination_prefix_length).ok()?;
    let hops = match (several.is_empty(), single.dev) {
        (false, _) => several,
        (true, 0) => Vec::new(),
        (true, _) => vec![single],
    };
    Some(Route { table, to, kind: header.kind, protocol: header.protocol, hops, source, metric, tos: header.tos, mtu })
}

fn any_of(family: AddressFamily) -> IpAddr {
    if family == AddressFamily::Inet { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() }
}

fn mtu_of(metric: &RouteMetric) -> Option<u32> {
    if let RouteMetric::Mtu(mtu) = metric { Some(*mtu) } else { None }
}

fn via(attribute: &RouteAttribute) -> Option<IpAddr> {
    match attribute {
        RouteAttribute::Gateway(address) => ip(address),
        RouteAttribute::Via(RouteVia::Inet(address)) => Some((*address).into()),
        RouteAttribute::Via(RouteVia::Inet6(address)) => Some((*address).into()),
        _ => None,
    }
}

fn next_hop(hop: &RouteNextHop) -> NextHop {
    let via = hop.attributes.iter().find_map(via);
    NextHop { via, dev: hop.interface_index, dead: hop.flags.contains(RouteNextHopFlags::Dead) }
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some((*address).into()),
        RouteAddress::Inet6(address) => Some((*address).into()),
        _ => None,
    }
}

pub(in crate::kernel) fn rule(message: &RuleMessage) -> Option<Rule> {
    let header = &message.header;
    // Those for routing multicast are families of their own (`RTNL_FAMILY_IPMR`).
    if !matches!(header.family, AddressFamily::Inet | AddressFamily::Inet6) {
        return None;
    }
    let mut rule = Rule {
        ipv6: header.family == AddressFamily::Inet6,
        priority: 0,
        from: None,
        to: None,
        enters: None,
        strange: header.tos != 0,
        inverted: header.flags.contains(RuleFlags::Invert),
        suppressed: None,
        action: RuleAction::Nop,
    };
    let (mut table, mut target) = (u32::from(header.table), 0);
    for attribute in &message.attributes {
        match attribute {
            RuleAttribute::Priority(number) => rule.priority = *number,
            RuleAttribute::Source(address) => rule.from = Some(IpNet::new(*address, header.src_len).ok()?),
            RuleAttribute::Destination(address) => rule.to = Some(IpNet::new(*address, header.dst_len).ok()?),
            RuleAttribute::Iifname(name) => rule.enters = Some(name.clone()),
            RuleAttribute::Table(number) => table = *number,
            RuleAttribute::Goto(priority) => target = *priority,
            // -1 says: none.
            RuleAttribute::SuppressPrefixLen(length) => rule.suppressed = u8::try_from(*length).ok(),
            RuleAttribute::Oifname(_) | RuleAttribute::SourcePortRange(_) | RuleAttribute::DestinationPortRange(_) => {
                rule.strange = true;
            }
            RuleAttribute::FwMark(mark) => rule.strange |= *mark != 0,
            RuleAttribute::IpProtocol(protocol) => {
                rule.strange |= !matches!(protocol, IpProtocol::Icmp | IpProtocol::Other(libc::IPPROTO_ICMPV6));
            }
            RuleAttribute::UidRange(range) => rule.strange |= range.start != 0,
            _ => {}
        }
    }
    rule.action = match header.action {
        Action::ToTable => RuleAction::Table(table),
        Action::Goto => RuleAction::Goto(target),
        Action::Blackhole => RuleAction::Refuse(RouteType::BlackHole),
        Action::Unreachable => RuleAction::Refuse(RouteType::Unreachable),
        Action::Prohibit => RuleAction::Refuse(RouteType::Prohibit),
        _ => RuleAction::Nop,
    };
    Some(rule)
}

/// `RTM_GETNEIGH` (`linux/rtnetlink.h`)
const GET_NEIGHBOUR: u16 = 30;

/// Addresses that interfaces answer for in place of others, by their indices.
pub(in crate::kernel) fn proxies(socket: &mut Netlink) -> Result<Vec<(u32, IpAddr)>, Errno> {
    // `NTF_PROXY` in `struct ndmsg`
    let proxied = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0];
    socket.dump(GET_NEIGHBOUR, &proxied, |_, body| {
        Some((netlink::number(body.get(4..8)?)?, netlink::ip(netlink::find(body, 12, 1)?)?))
    })
}

fn link_layer(message: &NeighbourMessage) -> Option<Mac> {
    message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::LinkLayerAddress(bytes) => mac(bytes),
        _ => None,
    })
}

pub(in crate::kernel) fn neighbour(message: &NeighbourMessage) -> Option<Neighbour> {
    let address: IpAddr = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => Some((*address).into()),
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)) => Some((*address).into()),
        _ => None,
    })?;
    Some(Neighbour { address, dev: message.header.ifindex, mac: link_layer(message), state: message.header.state })
}

pub(in crate::kernel) fn fdb(message: &NeighbourMessage, links: &[Link]) -> Option<Fdb> {
    let mac = link_layer(message)?;
    let port = message.header.ifindex;
    // Entries without a bridge are the device's own filters (multicast), which forward nothing.
    let bridge = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Controller(index) => Some(*index),
        _ => None,
    })?;
    let (state, sticky) = (message.header.state, message.header.flags.contains(NeighbourFlags::Sticky));
    let own = state == NeighbourState::Permanent;
    let named = own && links.iter().any(|link| link.index == port && link.mac == Some(mac));
    let fixed = !named && (own || sticky || state == NeighbourState::Noarp);
    let age = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::CacheInfo(info) => Some(Duration::from_millis(u64::from(info.updated) * TICK)),
        _ => None,
    });
    let of = |attribute: &NeighbourAttribute| if let NeighbourAttribute::Vlan(vlan) = attribute { Some(*vlan) } else { None };
    let vlan = message.attributes.iter().find_map(of).unwrap_or(0);
    Some(Fdb { bridge, mac, port, vlan, own, fixed, sticky, age })
}

/// Where a VXLAN sends frames for a MAC address.
pub(in crate::kernel) fn remote(message: &NeighbourMessage) -> Option<Remote> {
    let to = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => Some((*address).into()),
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)) => Some((*address).into()),
        _ => None,
    })?;
    Some(Remote { dev: message.header.ifindex, mac: link_layer(message), to })
}

/// The VLANs that a port, or a bridge itself, is in.
pub(in crate::kernel) fn vlans(message: &LinkMessage) -> Vec<PortVlan> {
    stack::vlans(message)
}

/// What a router has told of the way to an address, where the namespace's own packets take that.
pub(in crate::kernel) fn redirected(socket: &mut Netlink, to: Ipv4Addr) -> Option<(IpAddr, NextHop)> {
    let mut question = RouteMessage::default();
    question.header.address_family = AddressFamily::Inet;
    question.header.destination_prefix_length = 32;
    question.attributes.push(RouteAttribute::Destination(RouteAddress::Inet(to)));
    let Ok(Some(RouteNetlinkMessage::NewRoute(answer))) = socket.ask_for(&RouteNetlinkMessage::GetRoute(question)) else {
        return None;
    };
    redirect(&answer).filter(|_| answer.header.flags.bits() & REDIRECTED != 0)
}

/// What holds for all interfaces; nothing where the kernel does not say.
pub(in crate::kernel) fn all(socket: &mut Netlink, family: AddressFamily) -> All {
    let mut body = vec![u8::from(family), 0, 0, 0];
    netlink::push(&mut body, IFINDEX, &EVERY_INTERFACE.to_ne_bytes());
    let mut all = All::default();
    let Ok(Some((_, answer))) = socket.ask(GET_NETCONF, &body) else { return all };
    for (kind, value) in attributes(&answer, 4) {
        match (kind, netlink::number(value)) {
            (FORWARDING, Some(number)) => all.forwarding = Some(number != 0),
            (RP_FILTER, Some(number)) => all.rp_filter = u8::try_from(number).unwrap_or(0),
            _ => {}
        }
    }
    all
}
