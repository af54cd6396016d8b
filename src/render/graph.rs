//! Drawings: the formats in which they are written, and what these share: the kinds of boxes and lines, which cable is in which
//! interface, who is in a subnet, and in which layers subnets and routers stand.

mod host;
mod l3;
mod physical;
mod svg;
pub(super) mod text;
pub(super) mod tree;

use std::collections::{HashMap, VecDeque};

use super::Style;
use super::escape::escape;
use super::sentences::graph::Words;
use crate::graph::{Cable, Drawing, End, Graph, Interface, L3, Mark, Member, Node, Physical};
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
    fn of(physical: &'a Physical) -> Self {
        let (gone, there): (Vec<&Cable>, Vec<&Cable>) = physical.cables.iter().partition(|cable| cable.mark == Mark::Missing);
        let cables = gone.into_iter().chain(there);
        Self { by_end: cables.flat_map(|cable| cable.ends.iter().map(move |end| (end, cable))).collect() }
    }

    /// The cable in an interface, and its other end.
    fn far(&self, node: &NodeId, interface: &IfName) -> Option<(&'a Cable, &'a End)> {
        let near = End { node: node.clone(), interface: interface.clone() };
        let cable = self.by_end.get(&near).copied()?;
        let far = cable.far(&near)?;
        std::ptr::eq(*self.by_end.get(far)?, cable).then_some((cable, far))
    }

    /// The interface of the host at the other end of a container's cable.
    fn host_end(&self, container: &NodeId, interface: &IfName) -> Option<(&'a Cable, &'a IfName)> {
        let (cable, far) = self.far(container, interface)?;
        matches!(&far.node, NodeId::Host(host) if Some(host) == container.host()).then_some((cable, &far.interface))
    }
}

/// A node's name, and what is to say of it.
fn node_lines(node: &Node, more: Vec<String>) -> Vec<String> {
    std::iter::once(node.node.name().to_string()).chain(more).collect()
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
    fn of(drawn: &L3) -> Self {
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
            let far = Self::farthest(&self.layers(start));
            let layers = self.layers(Self::farthest(&self.layers(far)));
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
