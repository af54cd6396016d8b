//! What the kernel makes of a change, in the tables of a view: what it does, and what it takes along or brings back.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_route::route::{RouteProtocol, RouteType};

use super::edit::Edit;
use crate::kernel::tables::{Address, BridgePort, LOCAL_TABLE, Link, NextHop, PortState, Route, Tables};
use crate::name::Mac;
use crate::plan::MAIN_TABLE;
use crate::probe::is_link_local;
use crate::probe::predict::lookup::{Flow, Found, lookup};
use crate::probe::view::Place;

/// The least MTU of IPv6 (RFC 8200 section 5): below it the kernel takes the family from the interface.
const LEAST_MTU6: u32 = 1280;

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// It is made.
    Done,
    /// It is so already.
    Same,
    /// The kernel would refuse it.
    Refused,
}

/// Makes the change in the node at `place`.
pub(super) fn apply(places: &mut [Place], place: usize, edit: &Edit) -> Effect {
    let before: Vec<Vec<u32>> = places.iter().map(|place| open_ports(&place.tables)).collect();
    let effect = change(&mut places[place].tables, edit);
    if effect == Effect::Done {
        settle(places, &before);
    }
    effect
}

/// Ports whose own link, cable and bridge are up.
fn open_ports(tables: &Tables) -> Vec<u32> {
    let up = |index: u32| tables.link(index).is_some_and(|bridge| bridge.kind == "bridge" && bridge.up);
    let open = |link: &&Link| link.up && link.carrier && link.master.is_some_and(up);
    tables.links.iter().filter(open).map(|link| link.index).collect()
}

fn change(tables: &mut Tables, edit: &Edit) -> Effect {
    match edit {
        Edit::Up { dev } => up(tables, dev),
        Edit::Bridge { dev } => bridge(tables, dev),
        Edit::Master { dev, bridge } => master(tables, dev, bridge.as_deref()),
        Edit::PortFlag { dev, flag, on } => port_flag(tables, dev, flag, *on),
        Edit::Forwarding { dev } => with(tables, dev, |link| {
            let up = link.up && link.carrier;
            match &mut link.port {
                Some(port) if port.state == PortState::Disabled && up => set(&mut port.state, PortState::Forwarding),
                _ => Effect::Refused,
            }
        }),
        Edit::Mtu { dev, mtu } => with(tables, dev, |link| set(&mut link.mtu, *mtu)),
        Edit::Mac { dev, mac } => with(tables, dev, |link| set(&mut link.mac, Some(*mac))),
        Edit::Arp { dev } => with(tables, dev, |link| set(&mut link.noarp, false)),
        Edit::AddAddress { dev, net } => add_address(tables, dev, *net),
        Edit::DelAddress { dev, net } => del_address(tables, dev, *net),
        Edit::AddRoute { to, via, dev, replace } => add_route(tables, *to, *via, dev.as_deref(), *replace),
        Edit::DelRoute { to, via, kind, table } => {
            let fits = |route: &Route| {
                let through = via.is_none() || route.hops.iter().any(|hop| hop.via == *via);
                route.table == *table && route.to == *to && through && kind.is_some() == (route.kind != RouteType::Unicast)
            };
            match tables.routes.iter().position(fits) {
                Some(at) => {
                    tables.routes.remove(at);
                    Effect::Done
                }
                None => Effect::Refused,
            }
        }
        Edit::DelNeighbour { address, dev } => {
            let Some(index) = tables.named(dev).map(|link| link.index) else { return Effect::Refused };
            removed(&mut tables.neighbours, |entry| entry.dev == index && entry.address == *address)
        }
        Edit::DelFdb { dev, mac } => {
            let Some(index) = tables.named(dev).map(|link| link.index) else { return Effect::Refused };
            removed(&mut tables.fdb, |entry| entry.port == index && entry.mac == *mac)
        }
        Edit::DelRule { priority, ipv6 } => removed(&mut tables.rules, |rule| rule.priority == *priority && rule.ipv6 == *ipv6),
        Edit::FlushCache { ipv6 } => {
            let before = tables.exceptions.len();
            tables.exceptions.retain(|(to, _)| to.is_ipv6() != *ipv6);
            if tables.exceptions.len() == before { Effect::Same } else { Effect::Done }
        }
        Edit::Setting { name, value } => setting(tables, name, *value),
        Edit::Other { .. } => Effect::Done,
    }
}

fn removed<T>(entries: &mut Vec<T>, goes: impl Fn(&T) -> bool) -> Effect {
    let before = entries.len();
    entries.retain(|entry| !goes(entry));
    if entries.len() == before { Effect::Refused } else { Effect::Done }
}

fn with(tables: &mut Tables, dev: &str, change: impl FnOnce(&mut Link) -> Effect) -> Effect {
    tables.links.iter_mut().find(|link| link.name == dev).map_or(Effect::Refused, change)
}

fn set<T: PartialEq>(place: &mut T, value: T) -> Effect {
    if *place == value {
        return Effect::Same;
    }
    *place = value;
    Effect::Done
}

/// The connected routes of its IPv4 addresses come back; other routes, and IPv6 addresses, do not.
fn up(tables: &mut Tables, dev: &str) -> Effect {
    let effect = with(tables, dev, |link| set(&mut link.up, true));
    if let (Effect::Done, Some(link)) = (effect, tables.named(dev).cloned()) {
        for address in &link.addresses {
            connect(tables, &link, *address);
        }
        for hop in tables.routes.iter_mut().flat_map(|route| &mut route.hops).filter(|hop| hop.dev == link.index) {
            hop.dead = false;
        }
    }
    effect
}

fn bridge(tables: &mut Tables, dev: &str) -> Effect {
    if tables.named(dev).is_some() {
        return Effect::Refused;
    }
    let index = tables.links.iter().map(|link| link.index).max().unwrap_or(0) + 1;
    let (forwarding4, rp_filter) = (tables.all4.forwarding == Some(true), 0);
    // Any address that nobody has will do.
    let mac = Some(Mac([0x0e, 0, 0, 0, 0, u8::try_from(index % 256).unwrap_or(0)]));
    let kind = "bridge".to_owned();
    tables.links.push(Link { index, name: dev.to_owned(), kind, mac, mtu: 1500, forwarding4, rp_filter, ..Link::default() });
    Effect::Done
}

fn master(tables: &mut Tables, dev: &str, bridge: Option<&str>) -> Effect {
    let index = match bridge {
        None => None,
        Some(name) => match tables.named(name).filter(|link| link.kind == "bridge" && name != dev) {
            Some(link) => Some(link.index),
            None => return Effect::Refused,
        },
    };
    let effect = with(tables, dev, |link| {
        let effect = set(&mut link.master, index);
        if effect == Effect::Done {
            link.port = index.map(|_| BridgePort { state: PortState::Disabled, ..BridgePort::default() });
        }
        effect
    });
    if effect == Effect::Done
        && let Some(port) = tables.named(dev).map(|link| link.index)
    {
        tables.fdb.retain(|entry| entry.port != port);
    }
    effect
}

fn port_flag(tables: &mut Tables, dev: &str, flag: &str, on: bool) -> Effect {
    with(tables, dev, |link| {
        let Some(port) = &mut link.port else { return Effect::Refused };
        match flag {
            "isolated" => set(&mut port.isolated, on),
            "flood" => set(&mut port.floods, on),
            "learning" => set(&mut port.learns, on),
            "bcast_flood" => set(&mut port.broadcasts, on),
            "hairpin" => set(&mut port.hairpin, on),
            _ => Effect::Refused,
        }
    })
}

fn add_address(tables: &mut Tables, dev: &str, net: IpNet) -> Effect {
    let Some(link) = tables.named(dev).cloned() else { return Effect::Refused };
    let has = |own: &Address| own.net == net || net.addr().is_ipv6() && own.net.addr() == net.addr();
    if link.addresses.iter().any(has) || net.addr().is_ipv6() && link.mtu < LEAST_MTU6 {
        return Effect::Refused;
    }
    let secondary = net.addr().is_ipv4() && link.addresses.iter().any(|own| own.net.trunc() == net.trunc());
    let address = Address { net, secondary, scope: 0, tentative: false };
    with(tables, dev, |link| {
        link.addresses.push(address);
        Effect::Done
    });
    let hop = NextHop { via: None, dev: link.index, dead: false };
    let local = IpNet::from(net.addr());
    tables.routes.push(route((LOCAL_TABLE, local, RouteType::Local), vec![hop], Some(net.addr())));
    connect(tables, &link, address);
    Effect::Done
}

fn route((table, to, kind): (u32, IpNet, RouteType), hops: Vec<NextHop>, source: Option<IpAddr>) -> Route {
    let protocol = if source.is_some() { RouteProtocol::Kernel } else { RouteProtocol::Boot };
    Route { table, to, kind, protocol, hops, source, metric: None, tos: 0, mtu: None }
}

/// What an address of an interface that is up brings (`fib_add_ifaddr`): its subnet, and the subnet's broadcast address.
fn connect(tables: &mut Tables, link: &Link, address: Address) {
    let (net, most) = (address.net, address.net.max_prefix_len());
    if !tables.named(&link.name).is_some_and(|link| link.up) || address.secondary || net.prefix_len() == most {
        return;
    }
    let hop = || vec![NextHop { via: None, dev: link.index, dead: false }];
    let mut add = |table, to, kind| {
        let there = |route: &Route| route.table == table && route.to == to && route.hops == hop();
        if !tables.routes.iter().any(there) {
            tables.routes.push(route((table, to, kind), hop(), Some(net.addr())));
        }
    };
    add(MAIN_TABLE, net.trunc(), RouteType::Unicast);
    if net.addr().is_ipv4() && net.prefix_len() < 31 {
        add(LOCAL_TABLE, IpNet::from(net.broadcast()), RouteType::Broadcast);
    }
}

/// With a first address of a subnet its others go, and with the last IPv4 address all routes over the interface
/// (`inetdev_event`, `fib_disable_ip`).
fn del_address(tables: &mut Tables, dev: &str, net: IpNet) -> Effect {
    let Some(link) = tables.named(dev).cloned() else { return Effect::Refused };
    let Some(gone) = link.addresses.iter().find(|own| own.net == net).copied() else { return Effect::Refused };
    let goes = |own: &Address| {
        own.net == net || !gone.secondary && own.secondary && net.addr().is_ipv4() && own.net.trunc() == net.trunc()
    };
    let (lost, kept): (Vec<Address>, Vec<Address>) = link.addresses.iter().copied().partition(goes);
    with(tables, dev, |link| {
        link.addresses.clone_from(&kept);
        Effect::Done
    });
    let still =
        |address: IpAddr, links: &[Link]| links.iter().any(|link| link.addresses.iter().any(|own| own.net.addr() == address));
    let subnet = kept.iter().any(|own| own.net.trunc() == net.trunc());
    let last = net.addr().is_ipv4() && !kept.iter().any(|own| own.net.addr().is_ipv4());
    let (links, index) = (tables.links.clone(), link.index);
    tables.routes.retain_mut(|route| {
        let here = route.hops.iter().any(|hop| hop.dev == index);
        let own = lost.iter().any(|own| route.to == IpNet::from(own.net.addr()));
        if route.table == LOCAL_TABLE && route.kind == RouteType::Local && own {
            return still(route.to.addr(), &links);
        }
        if !here || route.to.addr().is_ipv4() != net.addr().is_ipv4() {
            return true;
        }
        if last {
            route.hops.retain(|hop| hop.dev != index);
            return !route.hops.is_empty();
        }
        let connected = route.protocol == RouteProtocol::Kernel && route.hops.iter().all(|hop| hop.via.is_none());
        let of_subnet = route.to == net.trunc() || route.to == IpNet::from(net.broadcast());
        !(connected && of_subnet && !subnet)
    });
    Effect::Done
}

fn add_route(tables: &mut Tables, to: IpNet, via: Option<IpAddr>, dev: Option<&str>, replace: bool) -> Effect {
    let index = dev.map(|dev| tables.named(dev).filter(|link| link.up).map(|link| link.index));
    let Some(out) = via.map_or(index.flatten(), |via| on_link(tables, via, index.flatten())) else { return Effect::Refused };
    if index.is_some_and(|index| index != Some(out)) {
        return Effect::Refused;
    }
    let hops = vec![NextHop { via, dev: out, dead: false }];
    let there = |route: &&mut Route| (route.table, route.to, route.metric.unwrap_or(0), route.tos) == (MAIN_TABLE, to, 0, 0);
    match tables.routes.iter_mut().find(there) {
        Some(route) if route.hops == hops && route.kind == RouteType::Unicast => Effect::Same,
        Some(_) if !replace => Effect::Refused,
        Some(old) => {
            *old = route((MAIN_TABLE, to, RouteType::Unicast), hops, None);
            Effect::Done
        }
        None => {
            tables.routes.push(route((MAIN_TABLE, to, RouteType::Unicast), hops, None));
            Effect::Done
        }
    }
}

/// The interface that a router's address is on: the kernel takes no router that it reaches by another one.
fn on_link(tables: &Tables, via: IpAddr, dev: Option<u32>) -> Option<u32> {
    if via.is_ipv6() && is_link_local(via) {
        return dev;
    }
    match lookup(tables, Flow { to: via, from: None, enters: None }) {
        Found::Way(_, hops) => hops.iter().find(|hop| hop.via.is_none()).map(|hop| hop.dev),
        _ => None,
    }
}

fn setting(tables: &mut Tables, name: &str, value: u32) -> Effect {
    let small = u8::try_from(value).unwrap_or(u8::MAX);
    let words: Vec<&str> = name.split('.').collect();
    match words.as_slice() {
        ["ipv4", "ip_forward"] => {
            let effect = set(&mut tables.all4.forwarding, Some(value != 0));
            if effect == Effect::Done {
                tables.links.iter_mut().for_each(|link| link.forwarding4 = value != 0);
            }
            effect
        }
        ["ipv6", "conf", "all", "forwarding"] => set(&mut tables.all6.forwarding, Some(value != 0)),
        ["ipv4", "conf", "all", "rp_filter"] => set(&mut tables.all4.rp_filter, small),
        ["ipv4", "conf", "all", "arp_ignore"] => match &mut tables.settings {
            Some(settings) => set(&mut settings.arp_ignore, small),
            None => Effect::Refused,
        },
        ["ipv4", "icmp_echo_ignore_all"] => match &mut tables.settings {
            Some(settings) => set(&mut settings.echo_ignored.0, value != 0),
            None => Effect::Refused,
        },
        ["ipv6", "icmp", "echo_ignore_all"] => match &mut tables.settings {
            Some(settings) => set(&mut settings.echo_ignored.1, value != 0),
            None => Effect::Refused,
        },
        ["ipv4", "conf", dev, what] => with(tables, dev, |link| match *what {
            "forwarding" => set(&mut link.forwarding4, value != 0),
            "rp_filter" => set(&mut link.rp_filter, small),
            "arp_ignore" => set(&mut link.arp_ignore, small),
            _ => Effect::Refused,
        }),
        _ => Effect::Refused,
    }
}

/// Carriers of cables, states of ports, and the routes that wait for a carrier, as they follow from what is up.
fn settle(places: &mut [Place], before: &[Vec<u32>]) {
    let mut ups: HashMap<(&str, u32), bool> = HashMap::new();
    for place in places.iter() {
        ups.extend(place.tables.links.iter().map(|link| ((place.node.node.as_str(), link.index), link.up)));
    }
    let plugged = |link: &Link| {
        let far = link.peer.as_ref().and_then(|far| Some((far.node.as_deref()?, far.index)));
        far.and_then(|far| ups.get(&far)).copied()
    };
    let carriers: Vec<Vec<bool>> = places
        .iter()
        .map(|place| place.tables.links.iter().map(|link| plugged(link).map_or(link.carrier, |far| far && link.up)).collect())
        .collect();
    for ((place, carriers), before) in places.iter_mut().zip(carriers).zip(before) {
        for (link, carrier) in place.tables.links.iter_mut().zip(carriers) {
            link.carrier = carrier;
        }
        ports(&mut place.tables, before);
    }
}

/// A port is out of use while it, its cable or its bridge is down; without a spanning tree it passes frames as soon as they are
/// up. One that somebody took out of use stays so.
fn ports(tables: &mut Tables, before: &[u32]) {
    let open = open_ports(tables);
    let mut lit: Vec<u32> = Vec::new();
    for link in &mut tables.links {
        let (Some(bridge), Some(port)) = (link.master, &mut link.port) else { continue };
        if !open.contains(&link.index) {
            port.state = PortState::Disabled;
        } else if port.state == PortState::Disabled && !before.contains(&link.index) {
            port.state = PortState::Forwarding;
        }
        if port.state == PortState::Forwarding {
            lit.push(bridge);
        }
    }
    for link in tables.links.iter_mut().filter(|link| link.kind == "bridge") {
        link.carrier = link.up && lit.contains(&link.index);
    }
}
