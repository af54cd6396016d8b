//! A drawing in Mermaid's flowchart language, kept to what every version of it takes.

use std::collections::HashMap;
use std::fmt::Write;

use super::words::{Words, member_words};
use crate::graph::{Cable, Drawing, Graph, Interface, L3, Mark, Network, Node, Physical, State};
use crate::render::escape::escape;
use crate::render::sentences::graph::Label;

/// The whole drawing.
pub(super) fn mermaid(graph: &Graph, title: &str, words: Words) -> String {
    let mut out = format!("%% {}\nflowchart TB\n", title.replace(['{', '}'], " "));
    match &graph.drawing {
        Drawing::Physical(drawn) => Physically { words, numbers: HashMap::new() }.draw(&mut out, drawn),
        Drawing::L3(drawn) => l3(&mut out, drawn, words),
    }
    out
}

/// Names of interfaces may hold anything, so nodes are numbered.
struct Physically<'a> {
    words: Words,
    numbers: HashMap<(&'a str, &'a str), usize>,
}

impl<'a> Physically<'a> {
    fn draw(mut self, out: &mut String, drawn: &'a Physical) {
        for (at, host) in drawn.hosts.iter().enumerate() {
            put(out, 1, &format!("subgraph h{at}[{}]", text(&node_lines(&host.node, self.words))));
            for (number, container) in host.containers.iter().enumerate() {
                put(out, 2, &format!("subgraph h{at}c{number}[{}]", text(&node_lines(container, self.words))));
                if container.interfaces.is_empty() {
                    put(out, 3, &format!("h{at}c{number}e[{}]", text(&[String::from("-")])));
                }
                self.interfaces(out, 3, &container.node, &container.interfaces);
                put(out, 2, "end");
            }
            self.interfaces(out, 2, &host.node.node, &host.node.interfaces);
            if host.node.interfaces.is_empty() && host.containers.is_empty() {
                put(out, 2, &format!("h{at}e[{}]", text(&[String::from("-")])));
            }
            put(out, 1, "end");
        }
        for (at, network) in drawn.networks.iter().enumerate().filter(|(_, network)| !network.interfaces.is_empty()) {
            put(out, 1, &format!("subgraph n{at}[{}]", text(&self.words.of_network(network))));
            self.interfaces(out, 2, &network.network, &network.interfaces);
            put(out, 1, "end");
        }
        for cable in &drawn.cables {
            let network = drawn.networks.iter().find(|network| Some(&network.network) == cable.network.as_ref());
            self.edge(out, cable, network);
        }
    }

    fn interfaces(&mut self, out: &mut String, indent: usize, node: &'a str, interfaces: &'a [Interface]) {
        for interface in interfaces {
            let number = self.numbers.len();
            self.numbers.insert((node, &interface.name), number);
            let mut lines = vec![if interface.is_bridge() {
                self.words.label(&Label::Bridge(&interface.name))
            } else {
                escape(&interface.name).into_owned()
            }];
            lines.extend(interface.mac.clone());
            lines.extend(interface.addresses.iter().map(|address| self.words.address(address)));
            lines.extend(self.words.of_interface(interface));
            put(out, indent, &format!("i{number}[{}]", text(&lines)));
        }
        for interface in interfaces {
            let bridge = interface.bridge.as_ref().and_then(|bridge| self.numbers.get(&(node, bridge.as_str())));
            if let (Some(bridge), Some(port)) = (bridge, self.numbers.get(&(node, interface.name.as_str()))) {
                put(out, indent, &format!("i{bridge} === i{port}"));
            }
        }
    }

    fn edge(&self, out: &mut String, cable: &Cable, network: Option<&Network>) {
        let number = |at: usize| self.numbers.get(&(cable.ends[at].node.as_str(), cable.ends[at].interface.as_str()));
        let (Some(a), Some(b)) = (number(0), number(1)) else { return };
        let wire = network.filter(|network| network.interfaces.is_empty());
        let mut lines = wire.map(|network| self.words.of_network(network)).unwrap_or_default();
        if lines.is_empty() {
            lines = self.words.condition(cable.mark, State::Up);
        }
        let line = if cable.up && cable.mark == Mark::Described { "---" } else { "-.-" };
        let label = if lines.is_empty() { String::new() } else { format!("|{}|", text(&lines)) };
        put(out, 1, &format!("i{a} {line}{label} i{b}"));
    }
}

fn l3(out: &mut String, drawn: &L3, words: Words) {
    if drawn.subnets.is_empty() {
        put(out, 1, &format!("nothing[{}]", text(&[words.label(&Label::NoSubnets)])));
    }
    for (at, router) in drawn.routers.iter().enumerate() {
        let mut lines = node_lines(router, words);
        if !router.forwarding {
            lines.insert(1, words.label(&Label::ForwardsNot));
        }
        put(out, 1, &format!("r{at}[{}]", text(&lines)));
    }
    for (at, subnet) in drawn.subnets.iter().enumerate() {
        let mut lines: Vec<String> = subnet.prefixes.iter().map(ToString::to_string).collect();
        lines.extend(subnet.members.iter().map(|member| member_words(member, words)));
        put(out, 1, &format!("s{at}([{}])", text(&lines)));
        for end in &subnet.routers {
            let Some(router) = drawn.routers.iter().position(|router| router.node == end.node) else { continue };
            let interface = drawn.routers[router].interfaces.iter().find(|each| each.name == end.interface);
            let mut lines = vec![escape(&end.interface).into_owned()];
            let inside = interface.into_iter().flat_map(|interface| &interface.addresses);
            lines.extend(inside.filter(|each| subnet.prefixes.contains(&each.address.trunc())).map(|each| words.address(each)));
            put(out, 1, &format!("r{router} ---|{}| s{at}", text(&lines)));
        }
    }
}

fn node_lines(node: &Node, words: Words) -> Vec<String> {
    let mut lines = vec![escape(node.name()).into_owned()];
    lines.extend(words.of_node(node));
    lines
}

fn put(out: &mut String, indent: usize, line: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(out, "{:width$}{line}", "", width = indent * 2);
}

/// Lines in quotation marks; what Mermaid would take for markup becomes a numeric entity of its own kind (`#35;`).
fn text(lines: &[String]) -> String {
    let plain = |c: char| c.is_alphanumeric() || " .,:/-_+()".contains(c);
    let entity = |c: char| if plain(c) { c.to_string() } else { format!("#{};", u32::from(c)) };
    let lines: Vec<String> = lines.iter().map(|line| line.chars().map(entity).collect()).collect();
    format!("\"{}\"", lines.join("<br/>"))
}
