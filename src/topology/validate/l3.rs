//! Layer 3: addresses that no host can have or that two have, subnets that overlap, gateways and routes.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::l2::{Segments, Spot};
use super::{Found, Interface, Node};
use crate::problem::Problem;
use crate::topology::tree::{Aspect, Part, Place};
use crate::topology::{Hop, LEAST_MTU6, Route};

/// Everything that addresses and routes of a node can have wrong by themselves.
pub(super) fn check(node: &Node<'_>, found: &mut Found<'_>) {
    check_values(node, found);
    check_overlaps(node, found);
    check_routes(node, found);
}

/// Every address by itself, and IPv6 on an interface that is too narrow for it.
fn check_values(node: &Node<'_>, found: &mut Found<'_>) {
    for interface in &node.interfaces {
        for (index, &net) in interface.addresses.iter().enumerate() {
            let place = interface.place(Aspect::Address(index));
            if let Some(problem) = impossible(net.addr()).or_else(|| edge(net, net.addr())) {
                found.add(place, problem);
            } else if net.addr().is_ipv6() && interface.mtu < LEAST_MTU6 {
                found.add(place, Problem::MtuTooSmallForV6(interface.mtu));
            }
        }
    }
}

/// Why no host can have the address, in whatever subnet.
fn impossible(addr: IpAddr) -> Option<Problem> {
    let bad = match addr {
        IpAddr::V4(v4) => v4.octets()[0] == 0 || v4.is_loopback() || v4.is_multicast() || v4.is_broadcast(),
        IpAddr::V6(v6) => {
            if v6.is_unicast_link_local() {
                return Some(Problem::LinkLocal(addr));
            }
            v6.is_unspecified() || v6.is_loopback() || v6.is_multicast() || v6.to_ipv4_mapped().is_some()
        }
    };
    bad.then_some(Problem::NotAHostAddress(addr))
}

/// Why no host can have the address in this subnet: its first is the network's own or every router's (RFC 4291, section
/// 2.6.1), its last in IPv4 the broadcast; but for the small ones of RFC 3021 and RFC 6164.
fn edge(net: IpNet, addr: IpAddr) -> Option<Problem> {
    if net.max_prefix_len() - net.prefix_len() < 2 {
        return None;
    }
    let subnet = net.trunc();
    if addr == subnet.addr() {
        return Some(Problem::NetworkAddress(subnet));
    }
    (addr.is_ipv4() && addr == subnet.broadcast()).then_some(Problem::BroadcastAddress(subnet))
}

/// Two interfaces of a node in overlapping subnets: packets would leave through one of them alone.
fn check_overlaps(node: &Node<'_>, found: &mut Found<'_>) {
    let mut all: Vec<(IpNet, usize, usize)> = Vec::new();
    for (number, interface) in node.interfaces.iter().enumerate() {
        all.extend(interface.addresses.iter().enumerate().map(|(index, net)| (*net, number, index)));
    }
    let family = |net: &IpNet| (net.addr().is_ipv6(), net.network(), net.prefix_len());
    all.sort_by_key(|(net, number, index)| (family(net), *number, *index));
    // Subnets overlap only where one holds the other: those that hold the next one are kept, outermost first.
    let mut outer: Vec<(IpNet, usize, usize)> = Vec::new();
    for (net, number, index) in all {
        while outer
            .last()
            .is_some_and(|(last, _, _)| !last.contains(&net.network()) || last.addr().is_ipv6() != net.addr().is_ipv6())
        {
            outer.pop();
        }
        let clash = outer.iter().find(|(other, owner, _)| *owner != number && other.addr() != net.addr());
        if let Some(&(other, owner, place)) = clash {
            let place_of = |number: usize, index| node.interfaces[number].place(Aspect::Address(index));
            let (here, there) = (place_of(number, index), place_of(owner, place));
            let is_first = found.places.at(here).start < found.places.at(there).start;
            let (later, first) = if is_first { (there, here) } else { (here, there) };
            found.clash(later, first, Problem::OverlappingSubnets(net.trunc(), other.trunc()));
        }
        let known = outer.last().is_some_and(|(last, owner, _)| last.trunc() == net.trunc() && *owner == number);
        if !known {
            outer.push((net, number, index));
        }
    }
}

/// One address twice in an L2 segment, or twice in a node.
pub(super) fn check_duplicates(nodes: &[Node<'_>], segments: &Segments, found: &mut Found<'_>) {
    let mut wires: HashMap<(Spot, IpAddr), Place> = HashMap::new();
    for node in nodes {
        let mut own: HashMap<IpAddr, Place> = HashMap::new();
        for interface in &node.interfaces {
            let addresses = interface.addresses.iter().map(IpNet::addr).enumerate();
            for (index, addr) in addresses.filter(|(_, addr)| impossible(*addr).is_none()) {
                let place = interface.place(Aspect::Address(index));
                let wire = (segments.root(interface.spot), addr);
                let first = *wires.entry(wire).or_insert(place);
                let mine = *own.entry(addr).or_insert(place);
                let other = if first == place { mine } else { first };
                if other != place {
                    found.clash(place, other, Problem::DuplicateAddress(addr));
                }
            }
        }
    }
}

/// A prefix that a node reaches without a router.
struct OnLink<'a> {
    net: IpNet,
    through: &'a Interface<'a>,
    is_subnet: bool,
}

/// Gateways and routes: what the kernel would refuse, and what would lead nowhere.
fn check_routes(node: &Node<'_>, found: &mut Found<'_>) {
    let reach = on_link(node);
    let mut taken: HashMap<IpNet, Place> = HashMap::new();
    let mut families = [None, None];
    for (index, &gateway) in node.gateways.iter().enumerate() {
        let place = node.place(Part::Gateway(index));
        let family = &mut families[usize::from(gateway.is_ipv6())];
        match family {
            Some(first) => found.clash(place, *first, Problem::TwoGateways),
            None => *family = Some(place),
        }
        taken.entry(Route::default_by(gateway).to).or_insert(place);
        check_router(node, &reach, gateway, place, found);
    }
    for (index, route) in node.routes.iter().enumerate() {
        let (place, hop) = (node.place(Part::Route(index)), node.place(Part::Hop(index)));
        let first = *taken.entry(route.to).or_insert(place);
        if first != place {
            found.clash(place, first, Problem::DuplicateRoute(route.to));
        }
        if reach.iter().any(|link| link.is_subnet && link.net == route.to) {
            found.add(place, Problem::ConnectedRoute(route.to));
        }
        match &route.hop {
            Hop::Via(via) if via.is_ipv4() != route.to.addr().is_ipv4() => {
                found.add(hop, Problem::MixedFamilies(route.to, *via));
            }
            Hop::Via(via) => check_router(node, &reach, *via, hop, found),
            Hop::Dev(dev) => {
                let down = node.interfaces.iter().any(|interface| interface.name == dev && !interface.up);
                if down {
                    found.add(hop, Problem::BehindDown { gateway: None, interface: dev.to_string() });
                }
            }
            Hop::Blackhole => {}
        }
    }
}

fn on_link<'a>(node: &'a Node<'a>) -> Vec<OnLink<'a>> {
    let mut reach = Vec::new();
    for interface in &node.interfaces {
        let subnet = |net: &IpNet| OnLink { net: net.trunc(), through: interface, is_subnet: true };
        reach.extend(interface.addresses.iter().map(subnet));
    }
    for route in node.routes {
        let Hop::Dev(dev) = &route.hop else { continue };
        let through = node.interfaces.iter().find(|interface| interface.name == dev);
        reach.extend(through.map(|through| OnLink { net: route.to, through, is_subnet: false }));
    }
    reach
}

fn check_router(node: &Node<'_>, reach: &[OnLink<'_>], gateway: IpAddr, place: Place, found: &mut Found<'_>) {
    let mut own = node.interfaces.iter().flat_map(|interface| interface.addresses);
    let own = own.any(|net| net.addr() == gateway).then_some(Problem::OwnGateway(gateway));
    if let Some(problem) = impossible(gateway).or(own) {
        return found.add(place, problem);
    }
    let best = reach.iter().filter(|link| link.net.contains(&gateway)).max_by_key(|link| link.net.prefix_len());
    match best {
        // Where an address could not be read, nobody knows what it would have reached.
        None if found.places.is_broken(node.host, node.container) => {}
        None => found.add(place, Problem::GatewayOutsideSubnets(gateway)),
        Some(link) if !link.through.up => {
            let problem = Problem::BehindDown { gateway: Some(gateway), interface: link.through.name.to_string() };
            found.add(place, problem);
        }
        Some(link) if link.is_subnet => edge(link.net, gateway).into_iter().for_each(|problem| found.add(place, problem)),
        Some(_) => {}
    }
}
