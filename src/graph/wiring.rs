//! From what is described and what is seen to how a lab is wired, and from that to subnets and routers.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use ipnet::IpNet;

use super::{
    Address, Cable, Drawing, End, Graph, Host, Interface, L3, Layer, Mark, Member, Network, NetworkKind, Node, Physical, State,
    Subnet,
};
use crate::name::{IfName, Mac, NodeName};
use crate::plan::{self, Fact, Link, NodeId, Ns, Port, RouteTo, Sysctl, compile_nodes};
use crate::topology::{Promiscuous, Topology};

/// The drawing of a topology; with what is `seen` of its lab, that of the lab.
pub fn graph(topology: &Topology, seen: Option<&plan::State>, layer: Layer) -> Graph {
    let described = compile_nodes(topology);
    drawn(topology, physical(topology, &described, seen.unwrap_or(&described)), seen.is_some(), layer)
}

/// The drawing of a lab of which only `host` is here, by what is `described` of all of it; the rest is drawn as the file says.
pub fn half(topology: &Topology, host: &NodeName, described: &plan::State, seen: &plan::State, layer: Layer) -> Graph {
    let mut physical = physical(topology, described, seen);
    let here = |node: &NodeId| node.host() == Some(host);
    for remote in physical.hosts.iter_mut().filter(|remote| !here(&remote.node.node)) {
        for node in std::iter::once(&mut remote.node).chain(&mut remote.containers) {
            node.mark = Mark::File;
            // The node's own mark says it of all that is in it.
            node.interfaces.iter_mut().for_each(|interface| interface.mark = Mark::Described);
        }
    }
    let switches = physical.networks.iter_mut().filter(|network| network.kind == NetworkKind::Switch);
    switches.for_each(|network| network.mark = Mark::File);
    let remote = physical.cables.iter_mut().filter(|cable| !cable.ends.iter().all(|end| here(&end.node)));
    remote.for_each(|cable| cable.mark = Mark::File);
    drawn(topology, physical, true, layer)
}

fn drawn(topology: &Topology, physical: Physical, live: bool, layer: Layer) -> Graph {
    let drawing = match layer {
        Layer::Physical => Drawing::Physical(physical),
        Layer::L3 => Drawing::L3(L3::from_physical(&physical)),
    };
    Graph { lab: topology.name.to_string(), summary: topology.summary.clone(), live, drawing }
}

fn physical(topology: &Topology, described: &plan::State, seen: &plan::State) -> Physical {
    let both = Both { described: Facts::from_state(described), seen: Facts::from_state(seen) };
    let cables = both.cables(topology);
    let hosts = topology.hosts.iter().map(|host| {
        let described = host.containers.iter().map(|container| NodeId::Container(host.name.clone(), container.name.clone()));
        // Namespaces that somebody made come after the described ones.
        let made = both.seen.nodes.keys().filter(|node| {
            matches!(node, NodeId::Container(of, _) if *of == host.name) && !both.described.nodes.contains_key(*node)
        });
        let containers = described.chain(made.cloned()).map(|node| both.node(node)).collect();
        Host { node: both.node(NodeId::Host(host.name.clone())), containers }
    });
    // Of a part the other ends of its networks are on other machines.
    let networks = topology.networks.iter().filter(|_| topology.role.is_none()).map(|network| {
        let made = both.node(NodeId::Switch(network.name.clone()));
        let (kind, mark) = if topology.is_wire(network) {
            let cable = cables.iter().find(|cable| cable.network.as_ref() == Some(&network.name));
            (NetworkKind::Wire, cable.map_or(Mark::Described, |cable| cable.mark))
        } else {
            (NetworkKind::Switch, made.mark)
        };
        let deny = network.promiscuous == Promiscuous::Deny;
        Network { network: network.name.clone(), kind, mark, deny, interfaces: made.interfaces }
    });
    Physical { hosts: hosts.collect(), networks: networks.collect(), cables }
}

/// What is described and what is seen.
struct Both {
    described: Facts,
    seen: Facts,
}

impl Both {
    fn cables(&self, topology: &Topology) -> Vec<Cable> {
        let all: BTreeSet<&(Port, Port)> = self.described.pairs.union(&self.seen.pairs).collect();
        let networks = networks(topology);
        let cable = |pair: &(Port, Port)| {
            let ends = [end(&pair.0)?, end(&pair.1)?];
            let (described, seen) = (self.described.pairs.contains(pair), self.seen.pairs.contains(pair));
            let up = |port: &Port| self.seen.at(port).is_some_and(|device| device.up);
            let network = ends.iter().find_map(|end| networks.get(end)).filter(|_| described).map(|name| (*name).clone());
            Some(Cable { ends, network, mark: mark(described, seen), up: seen && up(&pair.0) && up(&pair.1) })
        };
        all.into_iter().filter_map(cable).collect()
    }

    fn node(&self, node: NodeId) -> Node {
        let (described, seen) = (self.described.nodes.get(&node), self.seen.nodes.get(&node));
        let names: BTreeSet<&IfName> =
            [described, seen].into_iter().flatten().flat_map(|machine| machine.interfaces.keys()).collect();
        let mut interfaces: Vec<Interface> = names
            .into_iter()
            .filter_map(|name| {
                let own = |machine: Option<&'_ Machine>| machine.and_then(|machine| machine.interfaces.get(name)).cloned();
                self.interface(name, own(described).as_ref(), own(seen).as_ref())
            })
            .collect();
        interfaces.sort_by_cached_key(|interface| natural(interface.name.as_str()));
        let machine = seen.or(described);
        Node {
            node,
            mark: mark(described.is_some(), seen.is_some()),
            forwarding: machine.is_some_and(|machine| machine.forwarding),
            gateways: machine.map(|machine| machine.gateways.clone()).unwrap_or_default(),
            interfaces,
        }
    }

    fn interface(&self, name: &IfName, described: Option<&Device>, seen: Option<&Device>) -> Option<Interface> {
        let device = seen.or(described)?;
        let mark = match (described, seen) {
            (Some(described), Some(seen)) if described.differs(seen) => Mark::Changed,
            (described, seen) => mark(described.is_some(), seen.is_some()),
        };
        let own = |device: Option<&Device>| device.into_iter().flat_map(Device::own_addresses).collect::<BTreeSet<IpNet>>();
        let (here, there) = (own(described), own(seen));
        let address = |address: &IpNet| {
            // Of a missing interface nothing else is there either: its own mark says so.
            let seen = seen.is_none() || there.contains(address);
            Address { address: *address, mark: self::mark(described.is_none() || here.contains(address), seen) }
        };
        let state = match seen {
            Some(device) if device.up && self.seen.is_far_end_down(device) => State::NoCarrier,
            Some(device) if device.up => State::Up,
            _ => State::Down,
        };
        Some(Interface {
            name: name.clone(),
            kind: device.kind.clone(),
            mark,
            state,
            mac: device.mac,
            mtu: device.mtu.unwrap_or(1500),
            bridge: device.bridge.clone(),
            addresses: here.union(&there).map(address).collect(),
        })
    }
}

fn mark(described: bool, seen: bool) -> Mark {
    match (described, seen) {
        (true, false) => Mark::Missing,
        (false, true) => Mark::ByHand,
        (true, true) | (false, false) => Mark::Described,
    }
}

fn end(port: &Port) -> Option<End> {
    let Ns::Node(node) = &port.ns else { return None };
    Some(End { node: node.clone(), interface: port.dev.clone() })
}

/// The network that each host's NIC is plugged into.
fn networks(topology: &Topology) -> HashMap<End, &NodeName> {
    let ends = topology.networks.iter().flat_map(|network| topology.ends(&network.name).map(move |end| (network, end)));
    let named = |(host, nic): (&crate::topology::Host, &crate::topology::Nic)| End {
        node: NodeId::Host(host.name.clone()),
        interface: nic.name.clone(),
    };
    ends.map(|(network, end)| (named(end), &network.name)).collect()
}

/// `eth10` comes after `eth9`.
fn natural(name: &str) -> (String, u64, String) {
    let word = name.trim_end_matches(|c: char| c.is_ascii_digit());
    (word.to_owned(), name[word.len()..].parse().unwrap_or(0), name.to_owned())
}

/// What a state says, by whom it is about.
#[derive(Default)]
struct Facts {
    nodes: BTreeMap<NodeId, Machine>,
    pairs: BTreeSet<(Port, Port)>,
}

/// What is said about a node.
#[derive(Default)]
struct Machine {
    forwarding: bool,
    gateways: Vec<IpAddr>,
    interfaces: BTreeMap<IfName, Device>,
}

/// What is said about an interface.
#[derive(Clone, Default)]
struct Device {
    kind: String,
    mac: Option<Mac>,
    mtu: Option<u32>,
    bridge: Option<IfName>,
    peer: Option<Port>,
    addresses: Vec<IpNet>,
    up: bool,
}

impl Facts {
    /// The facts of nodes; what is in the machine's own namespace is no part of a drawing.
    fn from_state(state: &plan::State) -> Self {
        let mut facts = Self::default();
        for fact in state {
            if let Ns::Node(node) = fact.ns()
                && fact.port().is_none_or(|port| port.dev.as_str() != "lo")
            {
                facts.add(node, fact);
            }
        }
        facts
    }

    fn add(&mut self, node: &NodeId, fact: &Fact) {
        if let Fact::Link(port, link) = fact {
            return self.link(port, link);
        }
        let machine = self.nodes.entry(node.clone()).or_default();
        match fact {
            Fact::Sysctl(_, Sysctl::Forward4 | Sysctl::Forward6, 1) => machine.forwarding = true,
            Fact::Route(_, _, to, _, RouteTo::Via(via, _)) if to.prefix_len() == 0 => machine.gateways.push(*via),
            _ => {}
        }
        let Some(device) = fact.port().and_then(|port| machine.interfaces.get_mut(&port.dev)) else { return };
        match fact {
            Fact::Mac(_, mac) => device.mac = Some(*mac),
            Fact::Mtu(_, mtu) => device.mtu = Some(*mtu),
            Fact::Member(_, bridge) => device.bridge = Some(bridge.clone()),
            Fact::Addr(_, address) => device.addresses.push(*address),
            Fact::Up(_) => device.up = true,
            // Not drawn.
            _ => {}
        }
    }

    /// Links come before all else that is said about them.
    fn link(&mut self, port: &Port, link: &Link) {
        let kind = match link {
            Link::Bridge => "bridge",
            Link::Veth { .. } => "veth",
            Link::Other(kind) => kind,
        };
        self.device(port, kind, link.peer());
        if let Some(peer) = link.peer() {
            self.device(peer, kind, Some(port));
            self.pairs.insert((port.clone(), peer.clone()));
        }
    }

    fn device(&mut self, port: &Port, kind: &str, peer: Option<&Port>) {
        let Ns::Node(node) = &port.ns else { return };
        let device = Device { kind: kind.to_owned(), peer: peer.cloned(), ..Device::default() };
        self.nodes.entry(node.clone()).or_default().interfaces.insert(port.dev.clone(), device);
    }

    fn at(&self, port: &Port) -> Option<&Device> {
        let Ns::Node(node) = &port.ns else { return None };
        self.nodes.get(node)?.interfaces.get(&port.dev)
    }

    /// Whether a cable has a dead end there: it carries nothing.
    fn is_far_end_down(&self, device: &Device) -> bool {
        device.peer.as_ref().and_then(|peer| self.at(peer)).is_some_and(|peer| !peer.up)
    }
}

impl Device {
    /// Whether it is another one than was described. A real NIC keeps its MAC address and its MTU, where no description says them.
    fn differs(&self, seen: &Self) -> bool {
        (&self.kind, &self.bridge, &self.peer) != (&seen.kind, &seen.bridge, &seen.peer)
            || (self.mac.is_some() && self.mac != seen.mac)
            || (self.mtu.is_some() && self.mtu != seen.mtu)
    }

    /// Its addresses but the link-local one that follows from its MAC address (RFC 4291, appendix A).
    fn own_addresses(&self) -> impl Iterator<Item = IpNet> {
        let made = self.mac.map(Mac::link_local);
        self.addresses.iter().copied().filter(move |net| made.is_none_or(|made| net.addr() != IpAddr::from(made)))
    }
}

impl L3 {
    /// Subnets are prefixes on a segment: the same prefix on two networks is two subnets.
    fn from_physical(physical: &Physical) -> Self {
        let mut segments = Segments::from_physical(physical);
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
    fn from_physical(physical: &Physical) -> Self {
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
