//! A drawing in Graphviz's language: hosts are clusters.

use std::fmt::Write;

use super::words::{Words, member_words};
use crate::graph::{Cable, Drawing, Graph, Host, Interface, L3, Mark, Network, Node, Physical, State};
use crate::render::escape::escape;
use crate::render::sentences::graph::Label;

/// The whole drawing.
pub(super) fn dot(graph: &Graph, title: &str, words: Words) -> String {
    let mut out = format!("graph {} {{\n", quoted(&graph.lab));
    let head = [
        format!("label={}; labelloc=t; fontname=sans", quoted(title)),
        "node [shape=box, style=\"rounded,filled\", fillcolor=white, fontname=sans, fontsize=11]".to_owned(),
        "edge [fontname=sans, fontsize=11]".to_owned(),
    ];
    for line in &head {
        put(&mut out, 1, line);
    }
    match &graph.drawing {
        Drawing::Physical(drawn) => physical(&mut out, drawn, words),
        Drawing::L3(drawn) => l3(&mut out, drawn, words),
    }
    out + "}\n"
}

fn physical(out: &mut String, drawn: &Physical, words: Words) {
    drawn.hosts.iter().for_each(|each| host(out, each, words));
    drawn.networks.iter().filter(|network| !network.interfaces.is_empty()).for_each(|each| switch(out, each, words));
    for cable in &drawn.cables {
        let network = drawn.networks.iter().find(|network| Some(&network.network) == cable.network.as_ref());
        put(out, 1, &edge(cable, network, words));
    }
}

fn host(out: &mut String, host: &Host, words: Words) {
    put(out, 1, &format!("subgraph {} {{", quoted(&format!("cluster {}", host.node.node))));
    put(out, 2, &format!("label={}; style=filled; fillcolor=\"#eef3f8\"", text(&node_lines(&host.node, words))));
    for container in &host.containers {
        put(out, 2, &format!("subgraph {} {{", quoted(&format!("cluster {}", container.node))));
        put(out, 3, &format!("label={}; style=filled; fillcolor=\"#fdf3dc\"", text(&node_lines(container, words))));
        if container.interfaces.is_empty() {
            put(out, 3, &format!("{} [style=invis]", quoted(&container.node)));
        }
        interfaces(out, 3, &container.node, &container.interfaces, words);
        put(out, 2, "}");
    }
    interfaces(out, 2, &host.node.node, &host.node.interfaces, words);
    if host.node.interfaces.is_empty() && host.containers.is_empty() {
        put(out, 2, &format!("{} [style=invis]", quoted(&host.node.node)));
    }
    put(out, 1, "}");
}

fn switch(out: &mut String, network: &Network, words: Words) {
    put(out, 1, &format!("subgraph {} {{", quoted(&format!("cluster {}", network.network))));
    put(out, 2, &format!("label={}; style=filled; fillcolor=\"#e9e2f5\"", text(&words.of_network(network))));
    interfaces(out, 2, &network.network, &network.interfaces, words);
    put(out, 1, "}");
}

fn interfaces(out: &mut String, indent: usize, node: &str, interfaces: &[Interface], words: Words) {
    for interface in interfaces {
        let mut lines = vec![if interface.is_bridge() {
            words.label(&Label::Bridge(&interface.name))
        } else {
            escape(&interface.name).into_owned()
        }];
        lines.extend(interface.mac.clone());
        lines.extend(interface.addresses.iter().map(|address| words.address(address)));
        lines.extend(words.of_interface(interface));
        let fill = if interface.is_bridge() { ", fillcolor=\"#dcefe2\"" } else { "" };
        let dead =
            if interface.mark == Mark::Described && interface.state == State::Up { "" } else { ", style=\"filled,dashed\"" };
        put(out, indent, &format!("{} [label={}{fill}{dead}]", id(node, &interface.name), text(&lines)));
    }
    for interface in interfaces {
        let Some(bridge) = interface.bridge.as_ref().filter(|bridge| interfaces.iter().any(|other| other.name == **bridge))
        else {
            continue;
        };
        put(out, indent, &format!("{} -- {} [color=\"#2f7d4f\", penwidth=3]", id(node, bridge), id(node, &interface.name)));
    }
}

fn edge(cable: &Cable, network: Option<&Network>, words: Words) -> String {
    let [a, b] = &cable.ends;
    let mut lines =
        network.filter(|network| network.interfaces.is_empty()).map(|network| words.of_network(network)).unwrap_or_default();
    if lines.is_empty() {
        lines = words.condition(cable.mark, State::Up);
    }
    let dashed = if cable.up && cable.mark == Mark::Described { "" } else { ", style=dashed" };
    format!("{} -- {} [label={}{dashed}]", id(&a.node, &a.interface), id(&b.node, &b.interface), text(&lines))
}

fn l3(out: &mut String, drawn: &L3, words: Words) {
    if drawn.subnets.is_empty() {
        put(out, 1, &format!("nothing [label={}]", quoted(&words.label(&Label::NoSubnets))));
    }
    for router in &drawn.routers {
        let mut lines = node_lines(router, words);
        if !router.forwarding {
            lines.insert(1, words.label(&Label::ForwardsNot));
        }
        put(out, 1, &format!("{} [label={}, fillcolor=\"#dcefe2\"]", quoted(&format!("node {}", router.node)), text(&lines)));
    }
    for (at, subnet) in drawn.subnets.iter().enumerate() {
        let mut lines: Vec<String> = subnet.prefixes.iter().map(ToString::to_string).collect();
        lines.extend(subnet.members.iter().map(|member| member_words(member, words)));
        put(out, 1, &format!("\"subnet {at}\" [shape=ellipse, label={}, fillcolor=\"#e9e2f5\"]", text(&lines)));
        for end in &subnet.routers {
            let router = drawn.routers.iter().find(|router| router.node == end.node);
            let interface = router.and_then(|router| router.interfaces.iter().find(|each| each.name == end.interface));
            let mut lines = vec![escape(&end.interface).into_owned()];
            let inside = interface.into_iter().flat_map(|interface| &interface.addresses);
            lines.extend(inside.filter(|each| subnet.prefixes.contains(&each.address.trunc())).map(|each| words.address(each)));
            put(out, 1, &format!("{} -- \"subnet {at}\" [label={}]", quoted(&format!("node {}", end.node)), text(&lines)));
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

fn id(node: &str, interface: &str) -> String {
    quoted(&format!("{node} {interface}"))
}

/// A string in quotation marks; in it only these two characters mean something.
fn quoted(text: &str) -> String {
    format!("\"{}\"", escape(text).replace('\\', "\\\\").replace('"', "\\\""))
}

/// Lines of a label.
fn text(lines: &[String]) -> String {
    let lines: Vec<String> = lines.iter().map(|line| line.replace('\\', "\\\\").replace('"', "\\\"")).collect();
    format!("\"{}\"", lines.join("\\n"))
}
