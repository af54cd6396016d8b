//! Drawings: the formats in which they are written, and what these share: the kinds of boxes and lines, which cable is in which
//! interface, who is in a subnet, and in which layers subnets and routers stand.

mod host;
mod l3;
mod physical;
mod svg;
pub(super) mod text;
pub(super) mod tree;

use std::collections::{HashMap, VecDeque};
use std::fmt::Display;
use std::net::IpAddr;

use super::Style;
use super::escape::escape;
use super::lang::{Lang, find, t, w};
use crate::graph::{
    Address, Cable, Drawing, End, Graph, Interface, L3, Mark, Member, Network, NetworkKind, Node, Physical, State,
};
use crate::name::{IfName, NodeName};
use crate::plan::NodeId;

/// As a picture.
pub fn svg(graph: &Graph, style: Style) -> String {
    let words = Words(style.lang);
    let scene = match &graph.drawing {
        Drawing::Physical(drawn) => physical::physical(drawn, words),
        Drawing::L3(drawn) => l3::l3(drawn, words),
    };
    svg::svg(scene, &words.title(graph), words.summary(graph).as_deref())
}

/// What is written beside the things of a drawing, whatever its format; all of it is escaped.
#[derive(Debug, Clone, Copy)]
struct Words(Lang);

impl Words {
    /// How it relates to the description; nothing where it is as described.
    fn mark(self, mark: Mark) -> Option<&'static str> {
        match mark {
            Mark::Described => None,
            Mark::Missing => Some(w!(self.0, ["drawing"] "missing")),
            Mark::Changed => Some(w!(self.0, ["drawing"] "changed")),
            Mark::ByHand => Some(w!(self.0, ["drawing"] "by hand")),
            Mark::File => Some(w!(self.0, ["drawing"] "from the file")),
        }
    }

    /// A thing, with its mark where it has one.
    fn marked(self, thing: impl Display, mark: Mark) -> String {
        self.mark(mark).map_or_else(|| thing.to_string(), |word| format!("{thing} {word}"))
    }

    /// How it relates to the description, and whether frames pass; nothing where all is well.
    fn condition(self, mark: Mark, state: State) -> Vec<String> {
        let state = match state {
            State::NoCarrier if mark != Mark::Missing => Some(w!(self.0, ["drawing"] "no carrier")),
            State::Down if mark != Mark::Missing => Some(w!(self.0, ["drawing"] "down")),
            State::Up | State::NoCarrier | State::Down => None,
        };
        self.mark(mark).into_iter().chain(state).map(str::to_owned).collect()
    }

    /// An address with its prefix.
    fn address(self, address: &Address) -> String {
        self.marked(address.address, address.mark)
    }

    /// The MAC address of an interface, and its addresses.
    fn addresses(self, interface: &Interface) -> Vec<String> {
        let addresses = interface.addresses.iter().map(|address| self.address(address));
        interface.mac.iter().map(ToString::to_string).chain(addresses).collect()
    }

    /// What is to say of a node but its name.
    fn of_node(self, node: &Node) -> Vec<String> {
        let mut words = self.condition(node.mark, State::Up);
        words.extend(node.forwarding.then(|| "router".to_owned()));
        words.extend(node.gateways.iter().map(|gateway| self.default(*gateway)));
        words
    }

    /// What is to say of a node between subnets but its name.
    fn of_router(self, router: &Node) -> Vec<String> {
        let not = (!router.forwarding).then(|| t!(self.0, "does not forward"));
        not.into_iter().chain(self.of_node(router)).collect()
    }

    /// What is to say of an interface but its name and addresses.
    fn of_interface(self, interface: &Interface) -> Vec<String> {
        let mut words = self.condition(interface.mark, interface.state);
        if !matches!(interface.kind.as_str(), "veth" | "bridge") {
            words.push(escape(&interface.kind).into_owned());
        }
        if interface.mtu != 1500 {
            words.push(format!("MTU {}", interface.mtu));
        }
        words
    }

    /// A network's name with its kind, and what is to say of it.
    fn of_network(self, network: &Network) -> Vec<String> {
        let name = &network.network;
        let mut words = vec![match network.kind {
            NetworkKind::Wire => t!(self.0, "network {name}", name),
            NetworkKind::Switch => format!("switch {name}"),
        }];
        words.extend(self.condition(network.mark, State::Up));
        words.extend(network.deny.then(|| t!(self.0, "promiscuous mode denied")));
        words
    }

    /// What is to say of a cable, or of the network that it is.
    fn of_cable(self, cable: &Cable, network: Option<&Network>) -> Vec<String> {
        network.map_or_else(|| self.condition(cable.mark, State::Up), |network| self.of_network(network))
    }

    /// The router of a default route.
    fn default(self, gateway: IpAddr) -> String {
        t!(self.0, "default via {gateway}", gateway)
    }

    /// A port of a bridge.
    fn port_of(self, bridge: &IfName) -> String {
        t!(self.0, "port of {bridge}", bridge)
    }

    /// The other end of a cable that is not drawn as a line.
    fn cable_to(self, end: &str) -> String {
        t!(self.0, "cable to {end}", end)
    }

    /// So many more members of a subnet.
    fn more(self, number: usize) -> String {
        t!(self.0, "and {number} more", number)
    }

    /// A container has no interface.
    fn no_interface(self) -> String {
        t!(self.0, "no interface")
    }

    /// Nobody has an address.
    fn no_subnets(self) -> String {
        t!(self.0, "nobody has an address")
    }

    /// The title: the lab, the layer, and whether it is as described or as it is now.
    fn title(self, graph: &Graph) -> String {
        let lab = &graph.lab;
        match (&graph.drawing, graph.live) {
            (Drawing::Physical(_), false) => t!(self.0, "{lab}: how it is wired", lab),
            (Drawing::Physical(_), true) => t!(self.0, "{lab}: how it is wired, as it is now", lab),
            (Drawing::L3(_), false) => t!(self.0, "{lab}: subnets and routers", lab),
            (Drawing::L3(_), true) => t!(self.0, "{lab}: subnets and routers, as it is now", lab),
        }
    }

    /// What the topology teaches, escaped: of a built-in one in the reader's language.
    fn summary(self, graph: &Graph) -> Option<String> {
        let own = graph.summary.as_deref()?;
        Some(escape(find(self.0, "topology", own).unwrap_or(own)).into_owned())
    }
}

/// What a box stands for; the order is that of painting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the words explain themselves")]
enum Class {
    Host,
    Bridge,
    Switch,
    Subnet,
    Router,
    Container,
    Interface,
    Network,
}

impl Class {
    /// Its colour on paper.
    fn fill(self) -> &'static str {
        match self {
            Self::Host => "#eef3f8",
            Self::Bridge | Self::Router => "#dcefe2",
            Self::Switch | Self::Subnet => "#e9e2f5",
            Self::Container => "#fdf3dc",
            Self::Interface | Self::Network => "#ffffff",
        }
    }
}

/// What a line stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stroke {
    /// A cable.
    Cable,
    /// What belongs to one bridge.
    Bridge,
}

/// `a1.eth0`, with its host where that is another one.
fn end_word(end: &End, here: Option<&NodeName>) -> String {
    let interface = escape(end.interface.as_str());
    match &end.node {
        NodeId::Container(host, name) if Some(host) != here => format!("{host}/{name}.{interface}"),
        node => format!("{}.{interface}", node.name()),
    }
}

/// Which cable is in which interface; where one that is missing was replaced, the one that is there.
struct Wiring<'a> {
    by_end: HashMap<&'a End, &'a Cable>,
}

impl<'a> Wiring<'a> {
    fn new(physical: &'a Physical) -> Self {
        let (gone, there): (Vec<&Cable>, Vec<&Cable>) = physical.cables.iter().partition(|cable| cable.mark == Mark::Missing);
        let cables = gone.into_iter().chain(there);
        Self { by_end: cables.flat_map(|cable| cable.ends.iter().map(move |end| (end, cable))).collect() }
    }

    /// The cable in an interface, and its other end.
    fn peer(&self, node: &NodeId, interface: &IfName) -> Option<(&'a Cable, &'a End)> {
        let near = End { node: node.clone(), interface: interface.clone() };
        let cable = self.by_end.get(&near).copied()?;
        let peer = cable.peer(&near)?;
        std::ptr::eq(*self.by_end.get(peer)?, cable).then_some((cable, peer))
    }

    /// The interface of the host at the other end of a container's cable.
    fn host_end(&self, container: &NodeId, interface: &IfName) -> Option<(&'a Cable, &'a IfName)> {
        let (cable, peer) = self.peer(container, interface)?;
        matches!(&peer.node, NodeId::Host(host) if Some(host) == container.host()).then_some((cable, &peer.interface))
    }
}

/// A node's name, and what is to say of it.
fn node_lines(node: &Node, more: Vec<String>) -> Vec<String> {
    std::iter::once(node.node.name().to_string()).chain(more).collect()
}

/// An interface by its name; of a bridge, that it is one.
fn interface_name(interface: &Interface) -> String {
    let name = escape(interface.name.as_str());
    if interface.is_bridge() { format!("bridge {name}") } else { name.into_owned() }
}

/// The bridges among interfaces, and the others.
fn bridges(interfaces: &[Interface]) -> (Vec<&Interface>, Vec<&Interface>) {
    interfaces.iter().partition(|interface| interface.is_bridge())
}

/// A member of a subnet in one line.
fn member_words(member: &Member, words: Words) -> String {
    let mut line = vec![path(&member.node)];
    line.extend(member.addresses.iter().map(|address| words.marked(address.address.addr(), address.mark)));
    line.extend(words.condition(member.mark, member.state));
    line.join(" ")
}

/// The members of a subnet that are listed, and how many more there are.
fn shown(members: &[Member], most: usize) -> (&[Member], Option<usize>) {
    if members.len() > most + 1 { (&members[..most], Some(members.len() - most)) } else { (members, None) }
}

/// `a1` for `host-a.a1` would be short, but both hosts may have one: `host-a/a1`.
fn path(node: &NodeId) -> String {
    match node {
        NodeId::Switch(name) | NodeId::Host(name) => name.to_string(),
        NodeId::Container(host, name) => format!("{host}/{name}"),
    }
}

/// A sentence in lines that fit; a word that fits in no line has lines of its own, broken.
fn wrapped(text: &str, fits: impl Fn(&str) -> bool) -> Vec<String> {
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split_whitespace() {
        let Some(last) = lines.last_mut() else { continue };
        let longer = if last.is_empty() { word.to_owned() } else { format!("{last} {word}") };
        if fits(&longer) {
            *last = longer;
            continue;
        }
        let mut line = String::new();
        for c in word.chars() {
            if !fits(&format!("{line}{c}")) {
                lines.push(std::mem::take(&mut line));
            }
            line.push(c);
        }
        lines.push(line);
    }
    lines.retain(|line| !line.is_empty());
    lines
}

/// A subnet or router by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Spot {
    Subnet(usize),
    Router(usize),
}

/// Who is joined with whom: subnets first, then routers, by number.
#[derive(Debug)]
struct Joined {
    subnets: usize,
    near: Vec<Vec<usize>>,
}

impl Joined {
    fn new(drawn: &L3) -> Self {
        let subnets = drawn.subnets.len();
        let mut near = vec![Vec::new(); subnets + drawn.routers.len()];
        for (subnet, router, _) in drawn.links() {
            near[subnet].push(subnets + router);
            near[subnets + router].push(subnet);
        }
        Self { subnets, near }
    }

    /// The parts that nothing joins, each in layers: subnets and routers take turns, and a line leads to the next layer only.
    fn parts(&self) -> Vec<Vec<Vec<Spot>>> {
        let mut parts = Vec::new();
        let mut done = vec![false; self.near.len()];
        for start in 0..self.near.len() {
            if done[start] {
                continue;
            }
            // From one end of the longest way to the other.
            let end = Self::farthest(&self.layers(start));
            let layers = self.layers(Self::farthest(&self.layers(end)));
            layers.iter().flatten().for_each(|at| done[*at] = true);
            parts.push(layers.into_iter().map(|layer| layer.into_iter().map(|at| self.spot(at)).collect()).collect());
        }
        parts
    }

    fn spot(&self, at: usize) -> Spot {
        if at < self.subnets { Spot::Subnet(at) } else { Spot::Router(at - self.subnets) }
    }

    fn layers(&self, start: usize) -> Vec<Vec<usize>> {
        let mut depth = vec![None; self.near.len()];
        depth[start] = Some(0);
        let (mut queue, mut layers) = (VecDeque::from([(start, 0)]), Vec::<Vec<usize>>::new());
        while let Some((at, deep)) = queue.pop_front() {
            if layers.len() == deep {
                layers.push(Vec::new());
            }
            layers[deep].push(at);
            for next in &self.near[at] {
                if depth[*next].is_none() {
                    depth[*next] = Some(deep + 1);
                    queue.push_back((*next, deep + 1));
                }
            }
        }
        layers
    }

    fn farthest(layers: &[Vec<usize>]) -> usize {
        layers.last().and_then(|layer| layer.iter().min()).copied().unwrap_or(0)
    }
}
