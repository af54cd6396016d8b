//! Gateways and routes: what the kernel would refuse, and what would lead nowhere.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::addresses::{edge, impossible};
use super::interfaces::{Interface, Node};
use crate::problem::Problem;
use crate::topology::Hop;
use crate::topology::findings::{Findings, Span};
use crate::topology::place::{Part, Places};

/// A prefix that a node reaches without a router.
struct OnLink<'a> {
    net: IpNet,
    through: &'a Interface<'a>,
    is_subnet: bool,
}

/// All routes of a node.
pub(super) fn check(node: &Node<'_>, places: &Places, findings: &mut Findings) {
    let reach = on_link(node);
    let mut taken: HashMap<IpNet, Span> = HashMap::new();
    let mut families = [None, None];
    for (index, &gateway) in node.gateways.iter().enumerate() {
        let at = places.at(node.place(Part::Gateway(index)));
        let family = &mut families[usize::from(gateway.is_ipv6())];
        match family {
            Some(first) => findings.clash(&at, first, Problem::TwoGateways),
            None => *family = Some(at.clone()),
        }
        taken.entry(default_of(gateway)).or_insert_with(|| at.clone());
        router(node, &reach, gateway, &at, places, findings);
    }
    for (index, route) in node.routes.iter().enumerate() {
        let at = places.at(node.place(Part::Route(index)));
        let hop = places.at(node.place(Part::Hop(index)));
        match taken.get(&route.to) {
            Some(first) => findings.clash(&at, first, Problem::DuplicateRoute(route.to)),
            None => drop(taken.insert(route.to, at.clone())),
        }
        destination(&reach, route.to, &at, findings);
        match &route.hop {
            Hop::Via(via) if via.is_ipv4() != route.to.addr().is_ipv4() => {
                findings.add(&hop, Problem::MixedFamilies(route.to, *via));
            }
            Hop::Via(via) => router(node, &reach, *via, &hop, places, findings),
            Hop::Dev(dev) => {
                let down = node.interfaces.iter().any(|interface| interface.name == dev && !interface.up);
                if down {
                    findings.add(&hop, Problem::BehindDown { gateway: None, interface: dev.to_string() });
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

fn default_of(gateway: IpAddr) -> IpNet {
    let any: IpAddr = if gateway.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
    IpNet::new_assert(any, 0)
}

fn router(node: &Node<'_>, reach: &[OnLink<'_>], gateway: IpAddr, at: &Span, places: &Places, findings: &mut Findings) {
    if let Some(problem) = impossible(gateway) {
        findings.add(at, problem);
        return;
    }
    let mut own = node.interfaces.iter().flat_map(|interface| interface.addresses);
    if own.any(|net| net.addr() == gateway) {
        findings.add(at, Problem::OwnGateway(gateway));
        return;
    }
    let best = reach.iter().filter(|link| link.net.contains(&gateway)).max_by_key(|link| link.net.prefix_len());
    match best {
        // Where an address could not be read, nobody knows what it would have reached.
        None if node.is_broken(places) => {}
        None => findings.add(at, Problem::GatewayOutsideSubnets(gateway)),
        Some(link) if !link.through.up => {
            let problem = Problem::BehindDown { gateway: Some(gateway), interface: link.through.name.to_string() };
            findings.add(at, problem);
        }
        Some(link) if link.is_subnet => findings_of_edge(link.net, gateway, at, findings),
        Some(_) => {}
    }
}

fn findings_of_edge(net: IpNet, gateway: IpAddr, at: &Span, findings: &mut Findings) {
    if let Some(problem) = edge(net, gateway) {
        findings.add(at, problem);
    }
}

fn destination(reach: &[OnLink<'_>], to: IpNet, at: &Span, findings: &mut Findings) {
    if reach.iter().any(|link| link.is_subnet && link.net == to) {
        findings.add(at, Problem::ConnectedRoute(to));
    }
}
