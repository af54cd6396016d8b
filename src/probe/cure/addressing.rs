//! What the kernel makes of a change of addresses and routes, in the tables of a node.

use std::cmp::Reverse;
use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_route::route::{RouteProtocol, RouteType};

use crate::kernel::tables::{Address, Detection, LOCAL_TABLE, Link, NextHop, Route, Tables};
use crate::plan::MAIN_TABLE;
use crate::probe::is_link_local;
use crate::probe::predict::lookup::{Flow, Found, lookup, unruled};
use crate::topology::LEAST_MTU6;

/// The metrics of routes of IPv6 that addresses bring, and of those that are typed without one (`IP6_RT_PRIO_ADDRCONF`,
/// `IP6_RT_PRIO_USER`).
const METRIC_CONNECTED6: u32 = 256;
const METRIC_TOLD6: u32 = 1024;

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It is made.
    Done,
    /// It is so already.
    Same,
    /// The kernel would refuse it.
    Refused,
}

pub(super) fn with(tables: &mut Tables, dev: &str, change: impl FnOnce(&mut Link) -> Effect) -> Effect {
    tables.links.iter_mut().find(|link| link.name == dev).map_or(Effect::Refused, change)
}

pub(super) fn set<T: PartialEq>(place: &mut T, value: T) -> Effect {
    if *place == value {
        return Effect::Same;
    }
    *place = value;
    Effect::Done
}

pub(super) fn add_address(tables: &mut Tables, dev: &str, net: IpNet) -> Effect {
    let Some(link) = tables.named(dev).cloned() else { return Effect::Refused };
    let has = |own: &Address| own.net == net || net.addr().is_ipv6() && own.net.addr() == net.addr();
    if link.addresses.iter().any(has) || net.addr().is_ipv6() && (link.ipv6_off || link.mtu < LEAST_MTU6) {
        return Effect::Refused;
    }
    let secondary = net.addr().is_ipv4() && link.addresses.iter().any(|own| own.net.trunc() == net.trunc());
    let address = Address { net, secondary, scope: 0, detection: Detection::Done, deprecated: false };
    with(tables, dev, |link| {
        link.addresses.push(address);
        Effect::Done
    });
    let hop = NextHop { via: None, dev: link.index, dead: false };
    let local = IpNet::from(net.addr());
    // The first of its subnet speaks for the others (`fib_add_ifaddr`).
    let first = link.addresses.iter().find(|own| secondary && !own.secondary && own.net.trunc() == net.trunc());
    let source = first.map_or(net.addr(), |own| own.net.addr());
    tables.routes.push(of_kernel((LOCAL_TABLE, local, RouteType::Local), hop, source));
    connect(tables, &link, address);
    Effect::Done
}

/// A route that the kernel makes for an address: of IPv6, none of them says a source.
fn of_kernel((table, to, kind): (u32, IpNet, RouteType), hop: NextHop, source: IpAddr) -> Route {
    let (protocol, ipv6) = (RouteProtocol::Kernel, to.addr().is_ipv6());
    let metric = (ipv6 && kind == RouteType::Unicast).then_some(METRIC_CONNECTED6);
    Route { table, to, kind, protocol, hops: vec![hop], source: (!ipv6).then_some(source), metric, tos: 0, mtu: None }
}

/// What an address of an interface that is up brings: its subnet, and the subnet's broadcast address (`fib_add_ifaddr`) or the
/// anycast address of its routers (`addrconf_join_anycast`).
pub(super) fn connect(tables: &mut Tables, link: &Link, address: Address) {
    let (net, ipv6) = (address.net, address.net.addr().is_ipv6());
    if !tables.named(&link.name).is_some_and(|link| link.up) || address.secondary || !ipv6 && net.prefix_len() == 32 {
        return;
    }
    let hop = NextHop { via: None, dev: link.index, dead: false };
    let forwards = tables.named(&link.name).is_some_and(|link| link.forwarding6);
    let mut add = |table, to, kind| {
        let there = |route: &Route| {
            let same = route.table == table && route.to == to && route.kind == kind && route.hops == [hop.clone()];
            same && route.protocol == RouteProtocol::Kernel
        };
        if !tables.routes.iter().any(there) {
            tables.routes.push(of_kernel((table, to, kind), hop.clone(), net.addr()));
        }
    };
    add(MAIN_TABLE, net.trunc(), RouteType::Unicast);
    if !ipv6 && net.prefix_len() < 31 {
        add(LOCAL_TABLE, IpNet::from(net.broadcast()), RouteType::Broadcast);
    }
    if ipv6 && forwards && net.prefix_len() < 127 {
        add(LOCAL_TABLE, IpNet::from(net.network()), RouteType::Anycast);
    }
}

/// With a first address of a subnet its others go, and with the last IPv4 address all routes over the interface
/// (`inetdev_event`, `fib_disable_ip`).
pub(super) fn del_address(tables: &mut Tables, dev: &str, net: IpNet) -> Effect {
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
    let there = |address: IpAddr| tables.links.iter().flat_map(|link| &link.addresses).any(|own| own.net.addr() == address);
    let gone: Vec<IpAddr> = lost.iter().map(|own| own.net.addr()).filter(|address| !there(*address)).collect();
    let subnet = kept.iter().any(|own| own.net.trunc() == net.trunc());
    let bare = net.addr().is_ipv4() && !kept.iter().any(|own| own.net.addr().is_ipv4());
    let index = link.index;
    tables.routes.retain_mut(|route| {
        let here = route.hops.iter().any(|hop| hop.dev == index);
        // Nothing is sent from an address that is nowhere (`fib_sync_down_addr`).
        if route.to.addr().is_ipv4() && route.source.is_some_and(|source| gone.contains(&source)) {
            return false;
        }
        if !here || route.to.addr().is_ipv4() != net.addr().is_ipv4() {
            return true;
        }
        let is_own = |all: &[Address]| all.iter().any(|own| route.to == IpNet::from(own.net.addr()));
        if route.table == LOCAL_TABLE && route.kind == RouteType::Local && is_own(&lost) {
            return is_own(&kept);
        }
        if bare {
            route.hops.retain(|hop| hop.dev != index);
            return !route.hops.is_empty();
        }
        let connected = route.protocol == RouteProtocol::Kernel && route.hops.iter().all(|hop| hop.via.is_none());
        let of_all = [net.broadcast(), net.network()].map(IpNet::from).contains(&route.to) && route.table == LOCAL_TABLE;
        !(connected && !subnet && (route.to == net.trunc() || of_all && route.kind != RouteType::Local))
    });
    Effect::Done
}

pub(super) fn add_route(tables: &mut Tables, to: IpNet, via: Option<IpAddr>, dev: Option<&str>, replace: bool) -> Effect {
    let index = dev.map(|dev| tables.named(dev).filter(|link| link.up).map(|link| link.index));
    let Some(out) = via.map_or(index.flatten(), |via| on_link(tables, via, index.flatten())) else { return Effect::Refused };
    if index.is_some_and(|index| index != Some(out)) {
        return Effect::Refused;
    }
    let hops = vec![NextHop { via, dev: out, dead: false }];
    let metric = to.addr().is_ipv6().then_some(METRIC_TOLD6);
    let key = (MAIN_TABLE, to, metric.unwrap_or(0), 0);
    let new = Route {
        table: MAIN_TABLE,
        to,
        kind: RouteType::Unicast,
        protocol: RouteProtocol::Boot,
        hops,
        source: None,
        metric,
        tos: 0,
        mtu: None,
    };
    let there = |route: &&mut Route| (route.table, route.to, route.metric.unwrap_or(0), route.tos) == key;
    match tables.routes.iter_mut().find(there) {
        Some(old)
            if old.hops == new.hops && old.kind == new.kind && !(replace && (old.source.is_some() || old.mtu.is_some())) =>
        {
            Effect::Same
        }
        Some(_) if !replace => Effect::Refused,
        Some(old) => {
            *old = new;
            Effect::Done
        }
        None => {
            tables.routes.push(new);
            Effect::Done
        }
    }
}

/// The interface that a router's address is on: the kernel takes no router that it reaches by another one.
fn on_link(tables: &Tables, via: IpAddr, dev: Option<u32>) -> Option<u32> {
    if via.is_ipv6() && is_link_local(via) {
        return dev;
    }
    if via.is_ipv6() {
        return match lookup(tables, Flow { to: via, from: None, enters: None, leaves: None }) {
            Found::Way(_, hops) => hops.iter().find(|hop| hop.via.is_none()).map(|hop| hop.dev),
            Found::Local(route) if route.kind == RouteType::Anycast => route.hops.first().map(|hop| hop.dev),
            _ => None,
        };
    }
    // One's own address will do, and routes over routers do not count (`fib_check_nh_v4_gw`).
    let near = |route: &&Route| {
        let direct = route.hops.iter().any(|hop| hop.via.is_none() && !hop.dead);
        direct && route.to.contains(&via) && matches!(route.kind, RouteType::Local | RouteType::Unicast | RouteType::Broadcast)
    };
    let best = |table| {
        tables.routes.iter().filter(near).filter(|route| route.table == table).min_by_key(|route| Reverse(route.to.prefix_len()))
    };
    // The main table counts as far as a rule leads to it.
    let main = || best(MAIN_TABLE).filter(|_| !unruled(tables, via));
    let route = best(LOCAL_TABLE).or_else(main).filter(|route| route.kind != RouteType::Broadcast)?;
    route.hops.first().map(|hop| hop.dev)
}

pub(super) fn without_ipv6(tables: &mut Tables, index: u32) {
    for link in tables.links.iter_mut().filter(|link| link.index == index) {
        link.addresses.retain(|own| own.net.addr().is_ipv4());
    }
    for route in tables.routes.iter_mut().filter(|route| route.to.addr().is_ipv6()) {
        route.hops.retain(|hop| hop.dev != index);
    }
    tables.routes.retain(|route| {
        route.to.addr().is_ipv4()
            || !route.hops.is_empty()
            || route.kind != RouteType::Unicast && route.kind != RouteType::Local && route.kind != RouteType::Anycast
    });
}
