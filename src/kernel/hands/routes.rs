//! Routes that no fact tells whole, and addresses that have lost what comes with them.

use std::fmt::Write;

use ipnet::IpNet;
use netlink_packet_route::route::{RouteProtocol, RouteType};

use super::Sight;
use crate::kernel::netlink::push;
use crate::kernel::tables::{LOCAL_TABLE, Route, read};
use crate::plan::hand::{OfPort, OfSpace};
use crate::plan::{MAIN_TABLE, Ns, Slot, quoted};

/// Addresses that count less far than is described, or whose subnet or self has no route any more.
pub fn of_addresses(sight: &Sight<'_>, at: &mut dyn FnMut(u32, OfPort)) {
    let routes: Vec<Route> = sight.routes.iter().filter_map(read::route).collect();
    for link in sight.links.iter().filter(|link| link.kind != "loopback" && !link.fallback) {
        let port = sight.port(link);
        // Those of IPv6 come with the carrier.
        let works = |v6: bool| link.up && (!v6 || link.carrier && link.state == "up");
        for address in link.addresses.iter().filter(|address| !address.is_tentative()) {
            let (net, v6) = (address.net, address.net.addr().is_ipv6());
            if !v6 && address.scope != 0 && sight.expected.has(Slot::Addr(&port, net)) {
                at(link.index, OfPort::Scope(net, address.scope));
            }
            let leads = |table: u32, kind: RouteType, to: IpNet| {
                let through = |route: &Route| route.hops.iter().any(|hop| hop.dev == link.index);
                routes.iter().any(|route| (route.table, route.kind, route.to) == (table, kind, to) && through(route))
            };
            if works(v6) && net.prefix_len() < net.max_prefix_len() && !leads(MAIN_TABLE, RouteType::Unicast, net.trunc()) {
                at(link.index, OfPort::Unrouted(net));
            }
            if works(v6) && !v6 && !leads(LOCAL_TABLE, RouteType::Local, net.addr().into()) {
                at(link.index, OfPort::Unknown(net.addr()));
            }
        }
    }
}

/// Routes of a kind or with attributes that no topology says; one in the place of a described route is that, too.
pub fn of_space(sight: &Sight<'_>, found: &mut dyn FnMut(OfSpace)) {
    if *sight.ns == Ns::Root {
        return;
    }
    for route in sight.routes.iter().filter_map(read::route) {
        let by_itself = matches!(route.protocol, RouteProtocol::Kernel | RouteProtocol::IcmpRedirect | RouteProtocol::Ra);
        let plain =
            matches!(route.kind, RouteType::Unicast | RouteType::BlackHole | RouteType::Unreachable | RouteType::Prohibit)
                && route.table != LOCAL_TABLE;
        let marked = route.mtu.is_some() || route.source.is_some() || route.tos != 0;
        let slot = Slot::Route(sight.ns, route.table, route.to, route.metric.unwrap_or(0));
        let replaces = marked && sight.expected.has(slot);
        if !by_itself && route.table != 0 && (!plain || replaces) && route.hops.len() < 2 {
            found(OfSpace::Route(words(sight, &route), named(&route)));
        }
    }
}

fn words(sight: &Sight<'_>, route: &Route) -> String {
    let kind = match route.kind {
        RouteType::Unicast => String::new(),
        RouteType::BlackHole => "blackhole ".to_owned(),
        RouteType::Unreachable => "unreachable ".to_owned(),
        RouteType::Prohibit => "prohibit ".to_owned(),
        RouteType::Local => "local ".to_owned(),
        RouteType::Broadcast => "broadcast ".to_owned(),
        RouteType::Throw => "throw ".to_owned(),
        other => format!("{} ", format!("{other:?}").to_lowercase()),
    };
    let mut words = format!("{kind}{}", route.to);
    for hop in &route.hops {
        if let Some(via) = hop.via {
            let _ = write!(words, " via {via}");
        }
        if let Some(dev) = sight.names.get(&hop.dev) {
            let _ = write!(words, " dev {}", quoted(dev.as_str()));
        }
    }
    if let Some(source) = route.source {
        let _ = write!(words, " src {source}");
    }
    if let Some(mtu) = route.mtu {
        let _ = write!(words, " mtu {mtu}");
    }
    if route.tos != 0 {
        let _ = write!(words, " tos 0x{:02x}", route.tos);
    }
    if let Some(metric) = route.metric.filter(|metric| *metric != 0) {
        let _ = write!(words, " metric {metric}");
    }
    if route.table != MAIN_TABLE {
        let _ = write!(words, " table {}", route.table);
    }
    words
}

/// `struct rtmsg`, of whatever protocol and scope; `RTA_DST`, `RTA_TABLE`, `RTA_PRIORITY`, `RTA_OIF`.
fn named(route: &Route) -> Vec<u8> {
    let (family, octets) = match route.to.addr() {
        std::net::IpAddr::V4(v4) => (2, v4.octets().to_vec()),
        std::net::IpAddr::V6(v6) => (10, v6.octets().to_vec()),
    };
    let table = u8::try_from(route.table).unwrap_or(0);
    let mut body = vec![family, route.to.prefix_len(), 0, route.tos, table, 0, 255, u8::from(route.kind), 0, 0, 0, 0];
    if route.to.prefix_len() > 0 {
        push(&mut body, 1, &octets);
    }
    push(&mut body, 15, &route.table.to_ne_bytes());
    if let Some(metric) = route.metric.filter(|metric| *metric != 0) {
        push(&mut body, 6, &metric.to_ne_bytes());
    }
    for hop in &route.hops {
        push(&mut body, 4, &hop.dev.to_ne_bytes());
    }
    body
}
