//! From what is described and what is seen to what is drawn.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use ipnet::IpNet;

use super::facts::{Device, Facts, Machine};
use super::{Address, Cable, Drawing, End, Graph, Host, Interface, L3, Mark, Network, NetworkKind, Node, Physical, State};
use crate::name::{Mac, NodeName};
use crate::plan::{self, NodeId, Ns, Port, compile_nodes};
use crate::topology::{Promiscuous, Topology};

/// One of the two drawings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words explain themselves")]
pub enum Layer {
    Physical,
    L3,
}

/// The drawing of a topology; with what is `seen` of its lab, that of the lab.
pub fn graph(topology: &Topology, seen: Option<&plan::State>, layer: Layer) -> Graph {
    let described = compile_nodes(topology);
    drawn(topology, physical(topology, &described, seen.unwrap_or(&described)), seen.is_some(), layer)
}

/// The drawing of a lab of which only `host` is here, by what is `described` of all of it; the rest is drawn as the file says.
pub fn half(topology: &Topology, host: &NodeName, described: &plan::State, seen: &plan::State, layer: Layer) -> Graph {
    let mut physical = physical(topology, described, seen);
    let here = |node: &str| node.split('.').next() == Some(host.as_str());
    for far in physical.hosts.iter_mut().filter(|far| !here(&far.node.node)) {
        for node in std::iter::once(&mut far.node).chain(&mut far.containers) {
            node.mark = Mark::File;
            // The node's own mark says it of all that is in it.
            node.interfaces.iter_mut().for_each(|interface| interface.mark = Mark::Described);
        }
    }
    let switches = physical.networks.iter_mut().filter(|network| network.kind == NetworkKind::Switch);
    for network in switches {
        network.mark = Mark::File;
    }
    for cable in physical.cables.iter_mut().filter(|cable| !cable.ends.iter().all(|end| here(&end.node))) {
        cable.mark = Mark::File;
    }
    drawn(topology, physical, true, layer)
}

fn drawn(topology: &Topology, physical: Physical, live: bool, layer: Layer) -> Graph {
    let drawing = match layer {
        Layer::Physical => Drawing::Physical(physical),
        Layer::L3 => Drawing::L3(L3::of(&physical)),
    };
    Graph { lab: topology.name.to_string(), summary: topology.summary.clone(), live, drawing }
}

fn physical(topology: &Topology, described: &plan::State, seen: &plan::State) -> Physical {
    let both = Both { described: Facts::of(described), seen: Facts::of(seen) };
    let cables = both.cables(topology);
    let state = both.states(&cables);
    let mut containers: HashMap<&NodeName, Vec<&NodeName>> = HashMap::new();
    for host in &topology.hosts {
        containers.insert(&host.name, host.containers.iter().map(|container| &container.name).collect());
    }
    // Namespaces that somebody made come after the described ones.
    for node in both.seen.nodes.keys().filter(|node| !both.described.nodes.contains_key(*node)) {
        if let NodeId::Container(host, name) = node {
            containers.entry(host).or_default().push(name);
        }
    }
    let hosts = topology.hosts.iter().map(|host| {
        let inside = containers.get(&host.name).into_iter().flatten();
        let node = |name: &&NodeName| both.node(&NodeId::Container(host.name.clone(), (*name).clone()), &state);
        Host { node: both.node(&NodeId::Host(host.name.clone()), &state), containers: inside.map(node).collect() }
    });
    // Of a part the other ends of its networks are on other machines.
    let networks = topology.networks.iter().filter(|_| topology.role.is_none()).map(|network| {
        let node = NodeId::Switch(network.name.clone());
        let wire = topology.is_wire(network);
        let made = both.node(&node, &state);
        let cable = cables.iter().find(|cable| cable.network.as_deref() == Some(network.name.as_str()));
        Network {
            network: network.name.to_string(),
            kind: if wire { NetworkKind::Wire } else { NetworkKind::Switch },
            mark: if wire { cable.map_or(Mark::Described, |cable| cable.mark) } else { made.mark },
            deny: network.promiscuous == Promiscuous::Deny,
            interfaces: made.interfaces,
        }
    });
    Physical { hosts: hosts.collect(), networks: networks.collect(), cables }
}

/// What is described and what is seen.
struct Both {
    described: Facts,
    seen: Facts,
}

/// The state of an interface by its node and name.
type States = HashMap<(String, String), State>;

impl Both {
    fn cables(&self, topology: &Topology) -> Vec<Cable> {
        let all: BTreeSet<&(Port, Port)> = self.described.pairs.union(&self.seen.pairs).collect();
        let names = networks(topology);
        let cable = |pair: &(Port, Port)| {
            let ends = [end(&pair.0)?, end(&pair.1)?];
            let (described, seen) = (self.described.pairs.contains(pair), self.seen.pairs.contains(pair));
            let up = |port: &Port| self.seen.at(port).is_some_and(|device| device.up);
            let network = ends.iter().find_map(|end| names.get(end)).filter(|_| described).map(|name| (*name).to_owned());
            Some(Cable { ends, network, mark: mark(described, seen), up: seen && up(&pair.0) && up(&pair.1) })
        };
        all.into_iter().filter_map(cable).collect()
    }

    /// A cable with a dead end carries nothing; of a described and an actual one the actual counts.
    fn states(&self, cables: &[Cable]) -> States {
        let mut carrier: HashMap<&End, bool> = HashMap::new();
        for cable in cables.iter().filter(|cable| cable.mark != Mark::Missing) {
            carrier.extend(cable.ends.iter().map(|end| (end, cable.up)));
        }
        let mut states = States::new();
        for (id, machine) in &self.seen.nodes {
            for (name, device) in &machine.interfaces {
                let end = End { node: id.to_string(), interface: name.clone() };
                let state = match (device.up, carrier.get(&end)) {
                    (false, _) => State::Down,
                    (true, Some(false)) => State::NoCarrier,
                    (true, _) => State::Up,
                };
                states.insert((end.node, end.interface), state);
            }
        }
        states
    }

    fn node(&self, id: &NodeId, states: &States) -> Node {
        let (described, seen) = (self.described.nodes.get(id), self.seen.nodes.get(id));
        let empty = Machine::default();
        let machine = seen.or(described).unwrap_or(&empty);
        let all: BTreeSet<&String> =
            [described, seen].into_iter().flatten().flat_map(|machine| machine.interfaces.keys()).collect();
        let mut interfaces: Vec<Interface> = all
            .into_iter()
            .map(|name| {
                let of = |machine: Option<&Machine>| machine.and_then(|machine| machine.interfaces.get(name)).cloned();
                let state = states.get(&(id.to_string(), name.clone())).copied().unwrap_or(State::Down);
                interface(name, of(described).as_ref(), of(seen).as_ref(), state)
            })
            .collect();
        interfaces.sort_by_cached_key(|interface| natural(&interface.name));
        Node {
            node: id.to_string(),
            mark: mark(described.is_some(), seen.is_some()),
            forwarding: machine.forwarding,
            gateways: machine.gateways.clone(),
            interfaces,
        }
    }
}

fn interface(name: &str, described: Option<&Device>, seen: Option<&Device>, state: State) -> Interface {
    let empty = Device::default();
    let device = seen.or(described).unwrap_or(&empty);
    // A real NIC keeps its MAC address and its MTU, where no description says them.
    let (said_mac, said_mtu) = described.map_or((true, true), |described| (described.mac.is_some(), described.mtu.is_some()));
    let mac = |device: &Device| device.mac.filter(|_| said_mac);
    let mtu = |device: &Device| device.mtu.filter(|_| said_mtu);
    let told = |device: &Device| (device.kind.clone(), mac(device), mtu(device), device.bridge.clone(), device.peer.clone());
    let mark = match (described, seen) {
        (Some(described), Some(seen)) if told(described) != told(seen) => Mark::Changed,
        (described, seen) => mark(described.is_some(), seen.is_some()),
    };
    let of = |device: Option<&Device>| -> BTreeSet<IpNet> {
        let shown = |address: &&IpNet| device.is_some_and(|device| !is_made_of(**address, device.mac));
        device.into_iter().flat_map(|device| device.addresses.iter().filter(shown)).copied().collect()
    };
    let (here, there) = (of(described), of(seen));
    let address = |address: &IpNet| {
        // Of a missing interface nothing else is there either: its own mark says so.
        let seen = seen.is_none() || there.contains(address);
        Address { address: *address, mark: self::mark(described.is_none() || here.contains(address), seen) }
    };
    Interface {
        name: name.to_owned(),
        kind: device.kind.clone(),
        mark,
        state,
        mac: device.mac.map(|mac| mac.to_string()),
        mtu: device.mtu.unwrap_or(1500),
        bridge: device.bridge.clone(),
        addresses: here.union(&there).map(address).collect(),
    }
}

fn mark(described: bool, seen: bool) -> Mark {
    match (described, seen) {
        (true, false) => Mark::Missing,
        (false, true) => Mark::ByHand,
        _ => Mark::Described,
    }
}

fn end(port: &Port) -> Option<End> {
    let Ns::Node(node) = &port.ns else { return None };
    Some(End { node: node.to_string(), interface: port.dev.to_string() })
}

/// The network that each host's NIC is plugged into.
fn networks(topology: &Topology) -> HashMap<End, &str> {
    let mut names = HashMap::new();
    for network in &topology.networks {
        for (host, nic) in topology.ends(&network.name) {
            names.insert(End { node: host.name.to_string(), interface: nic.name.to_string() }, network.name.as_str());
        }
    }
    names
}

/// Whether it is the link-local address that follows from the MAC address (RFC 4291, appendix A).
fn is_made_of(address: IpNet, mac: Option<Mac>) -> bool {
    let (IpAddr::V6(address), Some(Mac(mac))) = (address.addr(), mac) else { return false };
    let mut made = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, mac[0] ^ 2, 0, 0, 0xff, 0xfe, 0, 0, 0];
    made[9..11].copy_from_slice(&mac[1..3]);
    made[13..].copy_from_slice(&mac[3..]);
    address.octets() == made
}

/// `eth10` comes after `eth9`.
fn natural(name: &str) -> (String, u64, String) {
    let word = name.trim_end_matches(|c: char| c.is_ascii_digit());
    (word.to_owned(), name[word.len()..].parse().unwrap_or(0), name.to_owned())
}
