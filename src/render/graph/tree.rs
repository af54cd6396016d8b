//! A drawing as labelled boxes and the lines between them, for formats that have such and lay them out themselves: Graphviz's and
//! Mermaid's.

use std::collections::HashMap;
use std::fmt::Write;

use super::{Class, Stroke, Words, interface_name, member_words, node_lines};
use crate::graph::{Cable, Drawing, End, Graph, Interface, L3, Mark, Node, Physical, State};
use crate::name::IfName;
use crate::plan::NodeId;
use crate::render::Style;
use crate::render::escape::escape;

/// What stands in a drawing or in a box of it, in this order.
pub(super) enum Item {
    /// A box with others in it.
    Group(Part, Vec<Item>),
    /// A box.
    Leaf(Part),
    /// A line between two boxes.
    Edge(Edge),
}

/// A box's own part.
pub(super) struct Part {
    pub id: Id,
    pub class: Class,
    /// Its label.
    pub lines: Vec<String>,
    /// It is not as described, or frames cannot pass.
    pub odd: bool,
}

/// A box's identifier.
#[derive(Clone)]
pub(super) struct Id {
    /// Letters and digits: names of interfaces may hold anything.
    pub number: String,
    /// What it is called.
    pub name: String,
}

/// A line.
pub(super) struct Edge {
    pub ends: [Id; 2],
    pub stroke: Stroke,
    /// Its label, perhaps none.
    pub lines: Vec<String>,
    /// It is not as described, or an end is down.
    pub odd: bool,
}

/// How a format writes what is in a tree. Of several lines all but the first are indented by one more step.
pub(super) trait Syntax {
    /// The end of a box with others in it.
    const CLOSE: &str;

    /// What comes before the whole, with its line end.
    fn head(lab: &str, title: &str) -> String;
    /// The beginning of a box with others in it.
    fn open(group: &Part) -> String;
    /// In such a box with nothing in it; some programs draw none else.
    fn nothing(group: &Part) -> Option<String>;
    /// A box.
    fn leaf(part: &Part) -> String;
    /// A line.
    fn edge(edge: &Edge) -> String;
}

/// A drawing as a format writes it.
pub(super) fn written<S: Syntax>(graph: &Graph, words: Words) -> String {
    let mut out = S::head(&graph.lab, &words.title(graph));
    let items = match &graph.drawing {
        Drawing::Physical(drawn) => Wired { drawn, words, ids: HashMap::new() }.items(),
        Drawing::L3(drawn) => subnets(drawn, words),
    };
    for item in &items {
        put::<S>(&mut out, 1, item);
    }
    out
}

fn put<S: Syntax>(out: &mut String, depth: usize, item: &Item) {
    match item {
        Item::Group(part, inside) => {
            indented(out, depth, &S::open(part));
            for item in inside {
                put::<S>(out, depth + 1, item);
            }
            S::nothing(part).filter(|_| inside.is_empty()).iter().for_each(|text| indented(out, depth + 1, text));
            indented(out, depth, S::CLOSE);
        }
        Item::Leaf(part) => indented(out, depth, &S::leaf(part)),
        Item::Edge(edge) => indented(out, depth, &S::edge(edge)),
    }
}

fn indented(out: &mut String, depth: usize, text: &str) {
    for (line, more) in text.lines().zip([0].into_iter().chain(std::iter::repeat(1))) {
        // Writing to a string does not fail.
        let _ = writeln!(out, "{:width$}{line}", "", width = (depth + more) * 2);
    }
}

/// Lines in quotation marks, where only a backslash and a quotation mark mean something, and `\n` is a line end.
pub(super) fn quoted(lines: &[String]) -> String {
    let plain = |line: &String| line.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", lines.iter().map(plain).collect::<Vec<_>>().join("\\n"))
}

/// The wiring.
struct Wired<'a> {
    drawn: &'a Physical,
    words: Words,
    /// Of each interface, by its node and name.
    ids: HashMap<End, Id>,
}

impl Wired<'_> {
    fn items(mut self) -> Vec<Item> {
        let drawn = self.drawn;
        let mut items = Vec::new();
        for (at, host) in drawn.hosts.iter().enumerate() {
            let mut inside = Vec::new();
            for (number, container) in host.containers.iter().enumerate() {
                let interfaces = self.interfaces(&container.node, &container.interfaces);
                inside.push(Item::Group(self.node(format!("h{at}c{number}"), container, Class::Container), interfaces));
            }
            inside.extend(self.interfaces(&host.node.node, &host.node.interfaces));
            items.push(Item::Group(self.node(format!("h{at}"), &host.node, Class::Host), inside));
        }
        for (at, network) in drawn.networks.iter().enumerate().filter(|(_, network)| !network.interfaces.is_empty()) {
            let id = Id { number: format!("n{at}"), name: network.network.to_string() };
            let part = Part { id, class: Class::Switch, lines: self.words.of_network(network), odd: false };
            items.push(Item::Group(part, self.interfaces(&NodeId::Switch(network.network.clone()), &network.interfaces)));
        }
        items.extend(drawn.cables.iter().filter_map(|cable| self.cable(cable)).map(Item::Edge));
        items
    }

    fn node(&self, number: String, node: &Node, class: Class) -> Part {
        Part {
            id: Id { number, name: node.node.to_string() },
            class,
            lines: node_lines(node, self.words.of_node(node)),
            odd: false,
        }
    }

    /// Interfaces, and what joins ports with their bridges.
    fn interfaces(&mut self, node: &NodeId, interfaces: &[Interface]) -> Vec<Item> {
        let end = |interface: &IfName| End { node: node.clone(), interface: interface.clone() };
        let mut items = Vec::new();
        for interface in interfaces {
            let id = Id { number: format!("i{}", self.ids.len()), name: format!("{node} {}", interface.name) };
            self.ids.insert(end(&interface.name), id.clone());
            let mut lines = vec![interface_name(interface)];
            lines.extend(self.words.addresses(interface));
            lines.extend(self.words.of_interface(interface));
            let class = if interface.is_bridge() { Class::Bridge } else { Class::Interface };
            let odd = interface.mark != Mark::Described || interface.state != State::Up;
            items.push(Item::Leaf(Part { id, class, lines, odd }));
        }
        for interface in interfaces {
            let bridge = interface.bridge.as_ref().and_then(|bridge| self.ids.get(&end(bridge)));
            if let (Some(bridge), Some(port)) = (bridge, self.ids.get(&end(&interface.name))) {
                let ends = [bridge.clone(), port.clone()];
                items.push(Item::Edge(Edge { ends, stroke: Stroke::Bridge, lines: Vec::new(), odd: false }));
            }
        }
        items
    }

    fn cable(&self, cable: &Cable) -> Option<Edge> {
        let end = |at: usize| self.ids.get(&cable.ends[at]).cloned();
        let wire = self.drawn.network(cable).filter(|network| network.interfaces.is_empty());
        let lines = self.words.of_cable(cable, wire);
        let odd = !cable.up || cable.mark != Mark::Described;
        Some(Edge { ends: [end(0)?, end(1)?], stroke: Stroke::Cable, lines, odd })
    }
}

/// The third layer.
fn subnets(drawn: &L3, words: Words) -> Vec<Item> {
    let leaf = |id: &Id, class, lines| Item::Leaf(Part { id: id.clone(), class, lines, odd: false });
    let (mut items, joins) = (Vec::new(), drawn.links());
    if drawn.subnets.is_empty() {
        let id = Id { number: "nothing".to_owned(), name: "nothing".to_owned() };
        items.push(leaf(&id, Class::Network, vec![words.no_subnets()]));
    }
    let id = |at: usize| Id { number: format!("r{at}"), name: format!("node {}", drawn.routers[at].node) };
    for (at, router) in drawn.routers.iter().enumerate() {
        items.push(leaf(&id(at), Class::Router, node_lines(router, words.of_router(router))));
    }
    for (at, subnet) in drawn.subnets.iter().enumerate() {
        let own = Id { number: format!("s{at}"), name: format!("subnet {at}") };
        let mut lines: Vec<String> = subnet.prefixes.iter().map(ToString::to_string).collect();
        lines.extend(subnet.members.iter().map(|member| member_words(member, words)));
        items.push(leaf(&own, Class::Subnet, lines));
        for (_, router, interface) in joins.iter().filter(|join| join.0 == at) {
            let mut lines = vec![escape(interface.name.as_str()).into_owned()];
            lines.extend(subnet.inside(interface).map(|each| words.address(each)));
            let ends = [id(*router), own.clone()];
            items.push(Item::Edge(Edge { ends, stroke: Stroke::Cable, lines, odd: false }));
        }
    }
    items
}

struct Dot;

/// The whole drawing in Graphviz's language: hosts are clusters.
pub(in crate::render) fn dot(graph: &Graph, style: Style) -> String {
    written::<Dot>(graph, Words(style.lang)) + "}\n"
}

impl Syntax for Dot {
    const CLOSE: &str = "}";

    fn head(lab: &str, title: &str) -> String {
        format!(
            "graph {} {{\n  label={}; labelloc=t; fontname=sans\n  \
             node [shape=box, style=\"rounded,filled\", fillcolor=white, fontname=sans, fontsize=11]\n  \
             edge [fontname=sans, fontsize=11]\n",
            name(lab),
            name(title)
        )
    }

    fn open(group: &Part) -> String {
        let (id, label) = (name(&format!("cluster {}", group.id.name)), quoted(&group.lines));
        format!("subgraph {id} {{\nlabel={label}; style=filled; fillcolor=\"{}\"", group.class.fill())
    }

    fn nothing(group: &Part) -> Option<String> {
        Some(format!("{} [style=invis]", id(&group.id)))
    }

    fn leaf(part: &Part) -> String {
        let label = format!("label={}", quoted(&part.lines));
        let fill = format!("fillcolor=\"{}\"", part.class.fill());
        let dead = if part.odd { ", style=\"filled,dashed\"" } else { "" };
        let look = match part.class {
            Class::Interface | Class::Network => label + dead,
            Class::Subnet => format!("shape=ellipse, {label}, {fill}"),
            Class::Bridge | Class::Router | Class::Host | Class::Container | Class::Switch => format!("{label}, {fill}{dead}"),
        };
        format!("{} [{look}]", id(&part.id))
    }

    fn edge(edge: &Edge) -> String {
        let look = match edge.stroke {
            Stroke::Bridge => "color=\"#2f7d4f\", penwidth=3".to_owned(),
            Stroke::Cable => format!("label={}{}", quoted(&edge.lines), if edge.odd { ", style=dashed" } else { "" }),
        };
        format!("{} -- {} [{look}]", id(&edge.ends[0]), id(&edge.ends[1]))
    }
}

/// A word of letters and digits is one without quotation marks, too.
fn id(id: &Id) -> String {
    if id.name == id.number { id.name.clone() } else { name(&id.name) }
}

fn name(text: &str) -> String {
    quoted(&[escape(text).into_owned()])
}

struct Mermaid;

/// The whole drawing in Mermaid's flowchart language, kept to what every version of it takes.
pub(in crate::render) fn mermaid(graph: &Graph, style: Style) -> String {
    written::<Mermaid>(graph, Words(style.lang))
}

impl Syntax for Mermaid {
    const CLOSE: &str = "end";

    fn head(_: &str, title: &str) -> String {
        format!("%% {}\nflowchart TB\n", title.replace(['{', '}'], " "))
    }

    fn open(group: &Part) -> String {
        format!("subgraph {}[{}]", group.id.number, text(&group.lines))
    }

    fn nothing(group: &Part) -> Option<String> {
        Some(format!("{}e[\"-\"]", group.id.number))
    }

    fn leaf(part: &Part) -> String {
        let (open, close) = if part.class == Class::Subnet { ("([", "])") } else { ("[", "]") };
        format!("{}{open}{}{close}", part.id.number, text(&part.lines))
    }

    fn edge(edge: &Edge) -> String {
        let line = match edge.stroke {
            Stroke::Bridge => "===",
            Stroke::Cable if edge.odd => "-.-",
            Stroke::Cable => "---",
        };
        let label = if edge.lines.is_empty() { String::new() } else { format!("|{}|", text(&edge.lines)) };
        format!("{} {line}{label} {}", edge.ends[0].number, edge.ends[1].number)
    }
}

/// Lines in quotation marks; what Mermaid would take for markup becomes a numeric entity of its own kind (`#35;`).
fn text(lines: &[String]) -> String {
    let plain = |c: char| c.is_alphanumeric() || " .,:/-_+()".contains(c);
    let entity = |c: char| if plain(c) { c.to_string() } else { format!("#{};", u32::from(c)) };
    let lines: Vec<String> = lines.iter().map(|line| line.chars().map(entity).collect()).collect();
    format!("\"{}\"", lines.join("<br/>"))
}
