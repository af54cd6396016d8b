//! A drawing as text: a frame for each host, or subnets and routers as a tree.

use std::collections::HashSet;

use super::{Joined, Spot, Wiring, Words, bridges, end_word, interface_name, member_words, node_lines, path, shown, wrapped};
use crate::graph::{Drawing, Graph, Host, Interface, L3, Network, Node, Physical, State};
use crate::plan::NodeId;
use crate::render::Style;
use crate::render::escape::escape;

/// The columns of a terminal that nobody made wider.
const WIDTH: usize = 80;

/// The whole drawing, each line ended.
pub fn drawing(graph: &Graph, style: Style) -> String {
    let words = Words(style.lang);
    let mut lines = vec![style.bold(&words.title(graph))];
    lines.extend(words.summary(graph).into_iter().flat_map(|summary| wrapped(&summary, |line| line.chars().count() <= WIDTH)));
    lines.push(String::new());
    let drawn = match &graph.drawing {
        Drawing::Physical(drawn) => physical(drawn, words),
        Drawing::L3(drawn) => l3(drawn, words),
    };
    lines.extend(drawn.into_iter().map(|line| if style.unicode { line } else { plain(&line) }));
    lines.into_iter().map(|line| line + "\n").collect()
}

/// The line with characters that every terminal has.
fn plain(line: &str) -> String {
    let ascii = |c: char| match c {
        '─' => '-',
        '│' => '|',
        '├' | '└' | '┌' => '+',
        c => c,
    };
    line.chars().map(ascii).collect()
}

/// The wiring: each host's interfaces, and behind them what they are plugged into.
fn physical(drawn: &Physical, words: Words) -> Vec<String> {
    let page = Page { drawn, words, wiring: Wiring::new(drawn) };
    let mut lines: Vec<String> = drawn.hosts.iter().flat_map(|host| page.host(host)).collect();
    lines.extend(drawn.networks.iter().flat_map(|network| page.network(network)));
    lines
}

struct Page<'a> {
    drawn: &'a Physical,
    words: Words,
    wiring: Wiring<'a>,
}

/// An interface of a host, and what is at the other end of its cable.
#[derive(Default)]
struct Row {
    branch: &'static str,
    name: String,
    near: String,
    peer: String,
}

impl Page<'_> {
    fn host(&self, host: &Host) -> Vec<String> {
        let all = &host.node.interfaces;
        let (bridges, others) = bridges(all);
        let is_port = |port: &Interface| bridges.iter().any(|bridge| port.bridge.as_ref() == Some(&bridge.name));
        let loose = others.into_iter().filter(|port| !is_port(port));
        let mut rows: Vec<Row> = loose.map(|port| self.port(host, port, "")).collect();
        for bridge in &bridges {
            rows.push(Row { near: self.interface(bridge), ..Row::default() });
            let ports: Vec<&Interface> = all.iter().filter(|port| port.bridge.as_ref() == Some(&bridge.name)).collect();
            rows.extend(ports.iter().enumerate().map(|(at, port)| self.port(host, port, branch(at + 1 == ports.len()))));
        }
        rows.extend(host.containers.iter().flat_map(|container| self.unplugged(container)));
        framed(&node_lines(&host.node, self.words.of_node(&host.node)).join(", "), &table(&rows))
    }

    fn details(&self, interface: &Interface) -> Vec<String> {
        let mut parts = self.words.addresses(interface);
        let notes = self.words.of_interface(interface);
        parts.extend((!notes.is_empty()).then(|| format!("({})", notes.join(", "))));
        parts
    }

    fn interface(&self, interface: &Interface) -> String {
        let mut parts = vec![interface_name(interface)];
        parts.extend(self.details(interface));
        parts.join(" ")
    }

    fn row(&self, interface: &Interface, branch: &'static str, peer: Option<String>) -> Row {
        let name = escape(interface.name.as_str()).into_owned();
        Row { branch, name, near: self.details(interface).join(" "), peer: peer.unwrap_or_default() }
    }

    fn port(&self, host: &Host, port: &Interface, branch: &'static str) -> Row {
        let peer = self.wiring.peer(&host.node.node, &port.name).map(|(cable, end)| {
            let inside = host.containers.iter().find(|container| container.node == end.node);
            let nic = inside.and_then(|container| Some((container, container.interface(&end.interface)?)));
            match (nic, self.drawn.network(cable)) {
                (Some((container, nic)), _) => format!("{} {}", self.container(container), self.interface(nic)),
                (None, Some(network)) => self.words.of_network(network).into_iter().next().unwrap_or_default(),
                (None, None) => end_word(end, host.node.node.host()),
            }
        });
        self.row(port, branch, peer)
    }

    /// A container's name, with what is wrong with the container itself.
    fn container(&self, container: &Node) -> String {
        let mut notes = self.words.condition(container.mark, State::Up);
        notes.extend(container.forwarding.then(|| "router".to_owned()));
        let name = container.node.name();
        if notes.is_empty() { name.to_string() } else { format!("{name} ({})", notes.join(", ")) }
    }

    /// Of a container what is behind none of its host's interfaces.
    fn unplugged(&self, container: &Node) -> Vec<Row> {
        let name = self.container(container);
        if container.interfaces.is_empty() {
            return vec![Row { near: format!("{name} ({})", self.words.no_interface()), ..Row::default() }];
        }
        let others = container.interfaces.iter().filter(|nic| self.wiring.host_end(&container.node, &nic.name).is_none());
        others
            .map(|nic| {
                let port = nic.bridge.as_ref().map(|bridge| format!(" ({})", self.words.port_of(bridge)));
                let near = format!("{name} {}{}", self.interface(nic), port.unwrap_or_default());
                let peer = self.wiring.peer(&container.node, &nic.name).map(|(_, peer)| end_word(peer, container.node.host()));
                Row { near, peer: peer.unwrap_or_default(), ..Row::default() }
            })
            .collect()
    }

    fn network(&self, network: &Network) -> Vec<String> {
        let mut head = self.words.of_network(network).join(", ");
        if network.interfaces.is_empty() {
            let wire = self.drawn.cables.iter().find(|cable| cable.network.as_ref() == Some(&network.network));
            let ends = wire.map(|cable| cable.ends.each_ref().map(|end| end_word(end, None)).join(" ─── "));
            return vec![format!("{head}: {}", ends.unwrap_or_default())];
        }
        let (bridges, ports) = bridges(&network.interfaces);
        for bridge in bridges {
            head = format!("{head} {}", self.details(bridge).join(" "));
        }
        let switch = NodeId::Switch(network.network.clone());
        let rows = ports.iter().enumerate().map(|(at, port)| {
            let peer = self.wiring.peer(&switch, &port.name).map(|(_, peer)| end_word(peer, None));
            self.row(port, branch(at + 1 == ports.len()), peer)
        });
        std::iter::once(head).chain(table(&rows.collect::<Vec<_>>())).collect()
    }
}

/// The rows with names below names and cables below cables, those of bridges and those of no bridge each for themselves.
fn table(rows: &[Row]) -> Vec<String> {
    let widest = |bridged: bool, what: fn(&Row) -> &str| {
        let alike = rows.iter().filter(|row| row.branch.is_empty() != bridged && !row.name.is_empty());
        alike.map(|row| what(row).chars().count()).max().unwrap_or(0)
    };
    let widths = [false, true].map(|bridged| (widest(bridged, |row| &row.name), widest(bridged, |row| &row.near)));
    let line = |row: &Row| {
        let (name, near) = widths[usize::from(!row.branch.is_empty())];
        let name = if row.name.is_empty() { String::new() } else { format!("{:name$} ", row.name) };
        row.lines(&name, near)
    };
    rows.iter().flat_map(line).collect()
}

impl Row {
    /// One line, or two where one would be too long.
    fn lines(&self, name: &str, near: usize) -> Vec<String> {
        let Self { branch, near: this, peer, .. } = self;
        let alone = format!("{branch}{name}{this}").trim_end().to_owned();
        if peer.is_empty() {
            return vec![alone];
        }
        let both = [format!("{branch}{name}{this:near$} ── {peer}"), format!("{alone} ── {peer}")];
        if let Some(one) = both.into_iter().find(|line| line.chars().count() + 2 <= WIDTH) {
            return vec![one];
        }
        let below = if *branch == "├─ " { "│  " } else { "   " };
        vec![alone, format!("{below}   └─ {peer}")]
    }
}

/// Lines with a frame at their left and a title over them.
fn framed(title: &str, inner: &[String]) -> Vec<String> {
    let rule = |used: usize| "─".repeat(WIDTH.saturating_sub(used));
    let mut lines = vec![format!("┌─ {title} {}", rule(title.chars().count() + 4))];
    lines.extend(inner.iter().map(|line| format!("│ {line}")));
    lines.push(format!("└{}", rule(1)));
    lines
}

/// More members of a subnet are counted.
const SHOWN: usize = 12;

/// Below a subnet its routers, below a router its other subnets.
fn l3(drawn: &L3, words: Words) -> Vec<String> {
    if drawn.subnets.is_empty() {
        return vec![words.no_subnets()];
    }
    let mut tree = Tree { drawn, words, links: drawn.links(), lines: Vec::new(), seen: HashSet::new() };
    for part in Joined::new(drawn).parts() {
        if let Some(first) = part.first().and_then(|layer| layer.first()) {
            tree.lines.push(tree.name(*first));
            tree.below(*first, "");
        }
    }
    tree.lines
}

struct Tree<'a> {
    drawn: &'a L3,
    words: Words,
    links: Vec<(usize, usize, &'a Interface)>,
    lines: Vec<String>,
    seen: HashSet<Spot>,
}

impl Tree<'_> {
    fn name(&self, spot: Spot) -> String {
        let words: Vec<String> = match spot {
            Spot::Subnet(at) => self.drawn.subnets[at].prefixes.iter().map(ToString::to_string).collect(),
            Spot::Router(at) => {
                let router = &self.drawn.routers[at];
                std::iter::once(path(&router.node)).chain(self.words.of_router(router)).collect()
            }
        };
        words.join(", ")
    }

    /// What is below a subnet or router whose name stands already.
    fn below(&mut self, spot: Spot, indent: &str) {
        self.seen.insert(spot);
        let links = self.links.iter().map(|(subnet, router, _)| (*subnet, *router));
        let mut near: Vec<(Spot, (usize, usize))> = match spot {
            Spot::Subnet(at) => {
                let own = links.filter(|(subnet, router)| *subnet == at && !self.seen.contains(&Spot::Router(*router)));
                own.map(|link| (Spot::Router(link.1), link)).collect()
            }
            Spot::Router(at) => {
                let own: Vec<_> = links.filter(|link| link.1 == at).map(|link| (Spot::Subnet(link.0), link)).collect();
                // The one above it stands there already; a way round is told once more.
                let above = own.iter().map(|(subnet, _)| *subnet).find(|subnet| self.seen.contains(subnet));
                own.into_iter().filter(|(subnet, _)| Some(*subnet) != above).collect()
            }
        };
        near.dedup();
        if let Spot::Subnet(at) = spot {
            self.members(at, &format!("{indent}{}", if near.is_empty() { "   " } else { "│  " }));
        }
        for (number, (other, link)) in near.iter().enumerate() {
            let last = number + 1 == near.len();
            let line = format!("{indent}{}{} ── {}", branch(last), self.slots(*link), self.name(*other));
            self.lines.push(line);
            if !self.seen.contains(other) {
                self.below(*other, &format!("{indent}{}", if last { "  " } else { "│ " }));
            }
        }
    }

    fn members(&mut self, subnet: usize, indent: &str) {
        let (shown, more) = shown(&self.drawn.subnets[subnet].members, SHOWN);
        for member in shown {
            let mut line = vec![member_words(member, self.words)];
            line.extend(member.gateways.iter().map(|gateway| self.words.default(*gateway)));
            self.lines.push(format!("{indent}{}", line.join(", ")));
        }
        self.lines.extend(more.map(|number| format!("{indent}{}", self.words.more(number))));
    }

    /// A router's interfaces in a subnet with their addresses there.
    fn slots(&self, (subnet, router): (usize, usize)) -> String {
        let mut slots = Vec::new();
        for (.., interface) in self.links.iter().filter(|link| (link.0, link.1) == (subnet, router)) {
            let mut words = vec![escape(interface.name.as_str()).into_owned()];
            let inside = self.drawn.subnets[subnet].inside(interface);
            words.extend(inside.map(|each| self.words.marked(each.address.addr(), each.mark)));
            words.extend(self.words.condition(interface.mark, interface.state));
            slots.push(words.join(" "));
        }
        slots.join(", ")
    }
}

fn branch(last: bool) -> &'static str {
    if last { "└─ " } else { "├─ " }
}
