//! The wiring as text: each host's interfaces, and behind them what they are plugged into.

use std::collections::HashSet;

use super::WIDTH;
use crate::graph::{Host, Interface, Network, Node, Physical, State};
use crate::name::IfName;
use crate::plan::NodeId;
use crate::render::escape::escape;
use crate::render::graph::parts::{Wiring, end_word};
use crate::render::sentences::graph::Words;

pub(super) fn physical(drawn: &Physical, words: Words) -> Vec<String> {
    let page = Page { drawn, words, wiring: Wiring::of(drawn) };
    let mut told: Vec<String> = drawn.hosts.iter().flat_map(|host| page.host(host)).collect();
    told.extend(drawn.networks.iter().flat_map(|network| page.network(network)));
    told
}

struct Page<'a> {
    drawn: &'a Physical,
    words: Words,
    wiring: Wiring<'a>,
}

/// An interface of a host, and what is at the other end of its cable.
struct Row {
    branch: &'static str,
    name: String,
    near: String,
    far: String,
}

impl Page<'_> {
    fn host(&self, host: &Host) -> Vec<String> {
        let mut rows = Vec::new();
        let mut placed: HashSet<&IfName> = HashSet::new();
        let all = &host.node.interfaces;
        for bridge in all.iter().filter(|interface| interface.is_bridge()) {
            rows.push(Row { branch: "", name: String::new(), near: self.bridge(bridge), far: String::new() });
            let ports: Vec<&Interface> = all.iter().filter(|port| port.bridge.as_ref() == Some(&bridge.name)).collect();
            for (at, port) in ports.iter().enumerate() {
                let branch = if at + 1 == ports.len() { "└─ " } else { "├─ " };
                placed.insert(&port.name);
                rows.push(self.port(host, port, branch));
            }
        }
        let loose: Vec<&Interface> = all.iter().filter(|port| !port.is_bridge() && !placed.contains(&port.name)).collect();
        let loose: Vec<Row> = loose.into_iter().map(|port| self.port(host, port, "")).collect();
        rows.splice(0..0, loose);
        for container in &host.containers {
            rows.extend(self.unplugged(container));
        }
        let lines = table(&rows);
        let mut head = vec![host.node.node.name().to_string()];
        head.extend(self.words.of_node(&host.node));
        framed(&head.join(", "), &lines)
    }

    fn bridge(&self, bridge: &Interface) -> String {
        let mut parts = vec![self.words.interface(bridge)];
        parts.extend(self.details(bridge));
        parts.join(" ")
    }

    fn details(&self, interface: &Interface) -> Vec<String> {
        let mut parts: Vec<String> = interface.mac.iter().map(ToString::to_string).collect();
        parts.extend(interface.addresses.iter().map(|address| self.words.address(address)));
        let notes = self.words.of_interface(interface);
        parts.extend((!notes.is_empty()).then(|| format!("({})", notes.join(", "))));
        parts
    }

    fn interface(&self, interface: &Interface) -> String {
        let mut parts = vec![escape(interface.name.as_str()).into_owned()];
        parts.extend(self.details(interface));
        parts.join(" ")
    }

    fn port(&self, host: &Host, port: &Interface, branch: &'static str) -> Row {
        let far = self.wiring.far(&host.node.node, &port.name).map_or(String::new(), |(cable, end)| {
            let inside = host.containers.iter().find(|container| container.node == end.node);
            let nic = inside.and_then(|container| container.interface(&end.interface));
            match (inside, nic, &cable.network) {
                (Some(container), Some(nic), _) => format!("{} {}", self.container(container), self.interface(nic)),
                (_, _, Some(network)) => self.drawn.networks.iter().find(|each| each.network == *network).map_or_else(
                    || end_word(end, host.node.node.host()),
                    |network| self.words.of_network(network).into_iter().next().unwrap_or_default(),
                ),
                _ => end_word(end, host.node.node.host()),
            }
        });
        Row { branch, name: escape(port.name.as_str()).into_owned(), near: self.details(port).join(" "), far }
    }

    /// A container's name, with what is wrong with the container itself.
    fn container(&self, container: &Node) -> String {
        let mut notes = self.words.condition(container.mark, State::Up);
        notes.extend(container.forwarding.then(|| "router".to_owned()));
        let name = container.node.name().to_string();
        if notes.is_empty() { name } else { format!("{name} ({})", notes.join(", ")) }
    }

    /// Of a container what is behind none of its host's interfaces.
    fn unplugged(&self, container: &Node) -> Vec<Row> {
        let name = self.container(container);
        let plain = |near: String| Row { branch: "", name: String::new(), near, far: String::new() };
        if container.interfaces.is_empty() {
            return vec![plain(format!("{name} ({})", self.words.no_interface()))];
        }
        let others = container.interfaces.iter().filter(|nic| self.wiring.host_end(&container.node, &nic.name).is_none());
        others
            .map(|nic| {
                let kind = if nic.is_bridge() { "bridge " } else { "" };
                let mut near = format!("{name} {kind}{}", self.interface(nic));
                if let Some(bridge) = &nic.bridge {
                    near = format!("{near} ({})", self.words.port_of(bridge));
                }
                let far = self
                    .wiring
                    .far(&container.node, &nic.name)
                    .map_or(String::new(), |(_, far)| end_word(far, container.node.host()));
                Row { branch: "", name: String::new(), near, far }
            })
            .collect()
    }

    fn network(&self, network: &Network) -> Vec<String> {
        let mut head = self.words.of_network(network).join(", ");
        let (bridges, ports): (Vec<&Interface>, Vec<&Interface>) =
            network.interfaces.iter().partition(|interface| interface.is_bridge());
        for bridge in bridges {
            head = format!("{head} {}", self.details(bridge).join(" "));
        }
        if network.interfaces.is_empty() {
            let wire = self.drawn.cables.iter().find(|cable| cable.network.as_ref() == Some(&network.network));
            let ends = wire.map(|cable| cable.ends.each_ref().map(|end| end_word(end, None)).join(" ─── "));
            return vec![format!("{head}: {}", ends.unwrap_or_default())];
        }
        let port = |(at, port): (usize, &&Interface)| {
            let branch = if at + 1 == ports.len() { "└─ " } else { "├─ " };
            let far = self
                .wiring
                .far(&NodeId::Switch(network.network.clone()), &port.name)
                .map_or(String::new(), |(_, far)| end_word(far, None));
            Row { branch, name: escape(port.name.as_str()).into_owned(), near: self.details(port).join(" "), far }
        };
        let rows: Vec<Row> = ports.iter().enumerate().map(port).collect();
        std::iter::once(head).chain(table(&rows)).collect()
    }
}

/// The rows with names below names and cables below cables, those of bridges and those of no bridge each for themselves.
fn table(rows: &[Row]) -> Vec<String> {
    let widest = |bridged: bool, what: fn(&Row) -> &str| {
        let alike = rows.iter().filter(|row| row.branch.is_empty() != bridged && !row.name.is_empty());
        alike.map(|row| what(row).chars().count()).max().unwrap_or(0)
    };
    let widths = [false, true].map(|bridged| (widest(bridged, |row| &row.name), widest(bridged, |row| &row.near)));
    let mut told = Vec::new();
    for row in rows {
        let (name, near) = widths[usize::from(!row.branch.is_empty())];
        let name = if row.name.is_empty() { String::new() } else { format!("{:name$} ", row.name) };
        told.extend(row.lines(&name, near));
    }
    told
}

impl Row {
    /// One line, or two where one would be too long.
    fn lines(&self, name: &str, near: usize) -> Vec<String> {
        let Self { branch, near: this, far, .. } = self;
        let alone = format!("{branch}{name}{this}").trim_end().to_owned();
        if far.is_empty() {
            return vec![alone];
        }
        let both = [format!("{branch}{name}{this:near$} ── {far}"), format!("{alone} ── {far}")];
        if let Some(one) = both.into_iter().find(|line| line.chars().count() + 2 <= WIDTH) {
            return vec![one];
        }
        let below = if *branch == "├─ " { "│  " } else { "   " };
        vec![alone, format!("{below}   └─ {far}")]
    }
}

/// Lines with a frame at their left and a title over them.
fn framed(title: &str, lines: &[String]) -> Vec<String> {
    let rule = |used: usize| "─".repeat(WIDTH.saturating_sub(used));
    let mut told = vec![format!("┌─ {title} {}", rule(title.chars().count() + 4))];
    told.extend(lines.iter().map(|line| format!("│ {line}")));
    told.push(format!("└{}", rule(1)));
    told
}
