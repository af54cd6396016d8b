//! Addresses: those that no host can have, those that two have, and subnets that overlap.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::interfaces::{Interface, Node};
use super::segments::{Segments, Spot};
use crate::problem::Problem;
use crate::topology::findings::Findings;
use crate::topology::place::{Place, Places};

/// Smallest MTU with which IPv6 works (RFC 8200, section 5).
const V6_MTU: u32 = 1280;

/// Every address by itself, and IPv6 on an interface that is too narrow for it.
pub(super) fn check_values(node: &Node<'_>, places: &Places, findings: &mut Findings) {
    for interface in &node.interfaces {
        for (index, &net) in interface.addresses.iter().enumerate() {
            let at = places.at(node.address_place(interface, index));
            if let Some(problem) = impossible(net.addr()).or_else(|| edge(net, net.addr())) {
                findings.add(&at, problem);
            } else if net.addr().is_ipv6() && interface.mtu < V6_MTU {
                findings.add(&at, Problem::MtuTooSmallForV6(interface.mtu));
            }
        }
    }
}

/// Why no host can have the address, in whatever subnet.
pub(super) fn impossible(addr: IpAddr) -> Option<Problem> {
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
pub(super) fn edge(net: IpNet, addr: IpAddr) -> Option<Problem> {
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
pub(super) fn check_overlaps(node: &Node<'_>, places: &Places, findings: &mut Findings) {
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
            let at = |number: usize, index| places.at(node.address_place(&node.interfaces[number], index));
            let (here, there) = (at(number, index), at(owner, place));
            let (first, second) = if here.start < there.start { (there, here) } else { (here, there) };
            findings.clash(&first, &second, Problem::OverlappingSubnets(net.trunc(), other.trunc()));
        }
        let known = outer.last().is_some_and(|(last, owner, _)| last.trunc() == net.trunc() && *owner == number);
        if !known {
            outer.push((net, number, index));
        }
    }
}

/// One address twice in an L2 segment, or twice in a node.
pub(super) fn check_duplicates(nodes: &[Node<'_>], segments: &Segments, places: &Places, findings: &mut Findings) {
    let mut wires: HashMap<(Spot, IpAddr), Place> = HashMap::new();
    for node in nodes {
        let mut own: HashMap<IpAddr, Place> = HashMap::new();
        for interface in &node.interfaces {
            for (index, addr) in addresses(interface) {
                let place = node.address_place(interface, index);
                let wire = (segments.root(interface.spot), addr);
                let first = *wires.entry(wire).or_insert(place);
                let mine = *own.entry(addr).or_insert(place);
                let other = if first == place { mine } else { first };
                if other != place {
                    findings.clash(&places.at(place), &places.at(other), Problem::DuplicateAddress(addr));
                }
            }
        }
    }
}

fn addresses(interface: &Interface<'_>) -> impl Iterator<Item = (usize, IpAddr)> {
    interface.addresses.iter().map(IpNet::addr).enumerate().filter(|(_, addr)| impossible(*addr).is_none())
}
