//! From the wiring to subnets and routers.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::{Address, Cable, End, Interface, L3, Mark, Member, Node, Physical, Subnet};
use crate::name::IfName;
use crate::plan::NodeId;

impl L3 {
    /// Subnets are prefixes on a segment: the same prefix on two networks is two subnets.
    pub(super) fn of(physical: &Physical) -> Self {
        let mut segments = Segments::of(physical);
        let mut found: Vec<Found<'_>> = Vec::new();
        let mut places: HashMap<(usize, IpNet), usize> = HashMap::new();
        for node in physical.nodes() {
            for interface in &node.interfaces {
                let segment = segments.of_interface(&node.node, &interface.name);
                for address in interface.addresses.iter().filter(|address| !is_single(address.address)) {
                    let prefix = address.address.trunc();
                    let place = *places.entry((segment, prefix)).or_insert_with(|| {
                        found.push(Found { segment, prefixes: vec![prefix], inside: Vec::new() });
                        found.len() - 1
                    });
                    let inside = &mut found[place].inside;
                    match inside.last_mut() {
                        Some((last, at, addresses)) if last.node == node.node && at.name == interface.name => {
                            addresses.push(address);
                        }
                        _ => inside.push((node, interface, vec![address])),
                    }
                }
            }
        }
        let subnets = merged(found);
        let routers: Vec<Node> = physical.nodes().filter(|node| is_router(node, &subnets)).cloned().collect();
        let subnets = subnets.into_iter().map(|subnet| finished(subnet, &routers)).collect();
        Self { subnets, routers }
    }
}

/// Prefixes on a segment, and the interfaces with addresses in them.
struct Found<'a> {
    segment: usize,
    prefixes: Vec<IpNet>,
    inside: Vec<(&'a Node, &'a Interface, Vec<&'a Address>)>,
}

fn is_single(net: IpNet) -> bool {
    net.prefix_len() == net.max_prefix_len()
}

/// A segment, whether of IPv6, and the interfaces there.
type Where<'a> = (usize, bool, Vec<(&'a NodeId, &'a IfName)>);

/// Prefixes of both families that the same interfaces have are one subnet.
fn merged(found: Vec<Found<'_>>) -> Vec<Found<'_>> {
    let mut all: Vec<Found<'_>> = Vec::new();
    let mut places: HashMap<Where<'_>, usize> = HashMap::new();
    for one in found {
        let who: Vec<_> = one.inside.iter().map(|(node, interface, _)| (&node.node, &interface.name)).collect();
        let is_v6 = matches!(one.prefixes[..], [IpNet::V6(_)]);
        if let Some(twin) = places.remove(&(one.segment, !is_v6, who.clone())).map(|place| &mut all[place]) {
            twin.prefixes.extend(one.prefixes);
            for (mine, theirs) in twin.inside.iter_mut().zip(one.inside) {
                mine.2.extend(theirs.2);
            }
        } else {
            places.insert((one.segment, is_v6, who), all.len());
            all.push(one);
        }
    }
    all
}

/// Who forwards, or is in several segments; a segment with two prefixes alone makes nobody a router.
fn is_router(node: &Node, subnets: &[Found<'_>]) -> bool {
    let has = |subnet: &&Found<'_>| subnet.inside.iter().any(|(other, ..)| other.node == node.node);
    let mut own: Vec<usize> = subnets.iter().filter(has).map(|subnet| subnet.segment).collect();
    let several = own.len() > 1;
    own.dedup();
    node.mark != Mark::Missing && (own.len() > 1 || (node.forwarding && several))
}

fn finished(subnet: Found<'_>, routers: &[Node]) -> Subnet {
    let mut done = Subnet { prefixes: subnet.prefixes, members: Vec::new(), routers: Vec::new() };
    for (node, interface, addresses) in subnet.inside {
        let end = End { node: node.node.clone(), interface: interface.name.clone() };
        if routers.iter().any(|router| router.node == node.node) {
            done.routers.push(end);
            continue;
        }
        let here = |gateway: &&IpAddr| done.prefixes.iter().any(|prefix| prefix.contains(*gateway));
        done.members.push(Member {
            node: end.node,
            interface: end.interface,
            addresses: addresses.into_iter().cloned().collect(),
            gateways: node.gateways.iter().filter(here).copied().collect(),
            mark: if node.mark == Mark::Described { interface.mark } else { node.mark },
            state: interface.state,
        });
    }
    done
}

/// Which interfaces share a segment: cables join their ends, bridges their ports.
#[derive(Default)]
struct Segments {
    places: HashMap<(NodeId, IfName), usize>,
    parents: Vec<usize>,
}

impl Segments {
    fn of(physical: &Physical) -> Self {
        let mut segments = Self::default();
        let networks = physical.networks.iter().map(|network| (NodeId::Switch(network.network.clone()), &network.interfaces));
        for (node, interfaces) in physical.nodes().map(|node| (node.node.clone(), &node.interfaces)).chain(networks) {
            for interface in interfaces {
                let own = segments.place(&node, &interface.name);
                if let Some(bridge) = &interface.bridge {
                    let bridge = segments.place(&node, bridge);
                    segments.join(own, bridge);
                }
            }
        }
        for cable in physical.cables.iter().filter(|cable| cable.mark != Mark::Missing || !has_other(physical, cable)) {
            let [a, b] = cable.ends.each_ref().map(|end| segments.place(&end.node, &end.interface));
            segments.join(a, b);
        }
        segments
    }

    fn place(&mut self, node: &NodeId, interface: &IfName) -> usize {
        *self.places.entry((node.clone(), interface.clone())).or_insert_with(|| {
            self.parents.push(self.parents.len());
            self.parents.len() - 1
        })
    }

    fn root(&self, mut at: usize) -> usize {
        while self.parents[at] != at {
            at = self.parents[at];
        }
        at
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        self.parents[a.max(b)] = a.min(b);
    }

    fn of_interface(&mut self, node: &NodeId, interface: &IfName) -> usize {
        let place = self.place(node, interface);
        self.root(place)
    }
}

/// Whether one of a missing cable's ends is in another cable now.
fn has_other(physical: &Physical, missing: &Cable) -> bool {
    let shares = |cable: &Cable| missing.ends.iter().any(|end| cable.ends.contains(end));
    physical.cables.iter().any(|cable| cable.mark != Mark::Missing && shares(cable))
}
