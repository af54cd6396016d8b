//! From the wiring to subnets and routers.

use std::collections::HashMap;

use ipnet::IpNet;

use super::{Address, End, Interface, L3, Mark, Member, Node, Physical, Subnet};

impl L3 {
    /// Subnets are prefixes on a segment: the same prefix on two networks is two subnets.
    pub(super) fn of(physical: &Physical) -> Self {
        let segments = Segments::of(physical);
        let nodes: Vec<&Node> =
            physical.hosts.iter().flat_map(|host| std::iter::once(&host.node).chain(&host.containers)).collect();
        let mut found: Vec<Found<'_>> = Vec::new();
        let mut places: HashMap<(usize, IpNet), usize> = HashMap::new();
        for node in &nodes {
            for interface in &node.interfaces {
                let segment = segments.of_interface(&node.node, &interface.name);
                for address in interface.addresses.iter().filter(|address| !is_single(address.address)) {
                    let prefix = address.address.trunc();
                    let place = *places.entry((segment, prefix)).or_insert_with(|| {
                        found.push(Found { segment, prefix, inside: Vec::new() });
                        found.len() - 1
                    });
                    found[place].inside.push((node, interface, address));
                }
            }
        }
        let subnets = merged(found);
        let routers: Vec<Node> = nodes.into_iter().filter(|node| is_router(node, &subnets)).cloned().collect();
        let subnets = subnets.into_iter().map(|subnet| finished(subnet, &routers)).collect();
        Self { subnets, routers }
    }
}

/// A prefix on a segment, and the interfaces with an address in it.
struct Found<'a> {
    segment: usize,
    prefix: IpNet,
    inside: Vec<(&'a Node, &'a Interface, &'a Address)>,
}

/// Prefixes of both families that the same interfaces have.
struct Joined<'a> {
    segment: usize,
    prefixes: Vec<IpNet>,
    inside: Vec<(&'a Node, &'a Interface, Vec<&'a Address>)>,
}

impl Joined<'_> {
    fn has(&self, node: &Node) -> bool {
        self.inside.iter().any(|(other, ..)| other.node == node.node)
    }
}

fn is_single(net: IpNet) -> bool {
    net.prefix_len() == net.max_prefix_len()
}

/// A segment, whether of IPv6, and the interfaces there by node and name.
type Group = (usize, bool, Vec<(String, String)>);

fn merged(found: Vec<Found<'_>>) -> Vec<Joined<'_>> {
    let mut all: Vec<Joined<'_>> = Vec::new();
    let mut places: HashMap<Group, usize> = HashMap::new();
    for Found { segment, prefix, inside } in found {
        let mut joined = Joined { segment, prefixes: vec![prefix], inside: Vec::new() };
        for (node, interface, address) in inside {
            match joined.inside.last_mut() {
                Some((last, at, addresses)) if last.node == node.node && at.name == interface.name => addresses.push(address),
                _ => joined.inside.push((node, interface, vec![address])),
            }
        }
        let who: Vec<(String, String)> =
            joined.inside.iter().map(|(node, interface, _)| (node.node.clone(), interface.name.clone())).collect();
        let is_v6 = matches!(prefix, IpNet::V6(_));
        let twin = places.remove(&(segment, !is_v6, who.clone()));
        if let Some(twin) = twin.map(|place| &mut all[place]) {
            twin.prefixes.push(prefix);
            for (mine, theirs) in twin.inside.iter_mut().zip(joined.inside) {
                mine.2.extend(theirs.2);
            }
        } else {
            places.insert((segment, is_v6, who), all.len());
            all.push(joined);
        }
    }
    all
}

/// Who forwards, or is in several segments; a segment with two prefixes alone makes nobody a router.
fn is_router(node: &Node, subnets: &[Joined<'_>]) -> bool {
    let mut own: Vec<usize> = subnets.iter().filter(|subnet| subnet.has(node)).map(|subnet| subnet.segment).collect();
    let several = own.len() > 1;
    own.dedup();
    node.mark != Mark::Missing && (own.len() > 1 || (node.forwarding && several))
}

fn finished(subnet: Joined<'_>, routers: &[Node]) -> Subnet {
    let mut done = Subnet { prefixes: subnet.prefixes, members: Vec::new(), routers: Vec::new() };
    for (node, interface, addresses) in subnet.inside {
        if routers.iter().any(|router| router.node == node.node) {
            done.routers.push(End { node: node.node.clone(), interface: interface.name.clone() });
            continue;
        }
        let here = |gateway: &&std::net::IpAddr| done.prefixes.iter().any(|prefix| prefix.contains(*gateway));
        done.members.push(Member {
            node: node.node.clone(),
            interface: interface.name.clone(),
            addresses: addresses.into_iter().cloned().collect(),
            gateways: node.gateways.iter().filter(here).copied().collect(),
            mark: if node.mark == Mark::Described { interface.mark } else { node.mark },
            state: interface.state,
        });
    }
    done
}

/// Which interfaces share a segment: cables join their ends, bridges their ports.
struct Segments<'a> {
    places: HashMap<(&'a str, &'a str), usize>,
    parents: Vec<usize>,
}

impl<'a> Segments<'a> {
    fn of(physical: &'a Physical) -> Self {
        let mut segments = Self { places: HashMap::new(), parents: Vec::new() };
        let nodes = physical.hosts.iter().flat_map(|host| std::iter::once(&host.node).chain(&host.containers));
        let nodes = nodes.map(|node| (node.node.as_str(), node.interfaces.as_slice()));
        let networks = physical.networks.iter().map(|network| (network.network.as_str(), network.interfaces.as_slice()));
        for (node, interfaces) in nodes.chain(networks) {
            for interface in interfaces {
                let own = segments.place(node, &interface.name);
                if let Some(bridge) = &interface.bridge {
                    let bridge = segments.place(node, bridge);
                    segments.join(own, bridge);
                }
            }
        }
        for cable in physical.cables.iter().filter(|cable| cable.mark != Mark::Missing || !physical.has_other(cable)) {
            let [a, b] = &cable.ends;
            let (a, b) = (segments.place(&a.node, &a.interface), segments.place(&b.node, &b.interface));
            segments.join(a, b);
        }
        segments
    }

    fn place(&mut self, node: &'a str, interface: &'a str) -> usize {
        *self.places.entry((node, interface)).or_insert_with(|| {
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

    fn of_interface(&self, node: &str, interface: &str) -> usize {
        self.places.get(&(node, interface)).map_or(usize::MAX, |at| self.root(*at))
    }
}

impl Physical {
    /// Whether one of a missing cable's ends is in another cable now.
    fn has_other(&self, missing: &super::Cable) -> bool {
        let shares = |cable: &&super::Cable| missing.ends.iter().any(|end| cable.ends.contains(end));
        self.cables.iter().filter(|cable| cable.mark != Mark::Missing).any(|cable| shares(&cable))
    }
}
