//! `nslab show`

use clap_complete::engine::ArgValueCompleter;

use super::{Context, Place, Run, completions, target};
use crate::error::{Error, Result, Thing};
use crate::kernel::inspect::{Pin, inspect};
use crate::lab;
use crate::lab::resolve::{self, Netns};
use crate::render::lang::{Lang, t, w, words};
use crate::render::table::{Table, section};
use crate::render::{self, Style};
use crate::report::machine::{FdbState, Kind, Link, Node, Peer, Route};

/// The main routing table (`RT_TABLE_MAIN`), which needs no mention.
const MAIN_TABLE: u32 = 254;

/// Show what is in a node: interfaces, addresses, routes, forwarding tables, neighbours
#[derive(Debug, clap::Args)]
pub struct Show {
    /// The node or interface.
    #[arg(help = "The node, [LAB/][HOST/]NODE, or one of its interfaces, NODE.INTERFACE", add = ArgValueCompleter::new(completions::nodes))]
    node: String,
}

impl Run for Show {
    type Out = Node;
    const PLACE: Place = Place::Privileged;

    fn run(self, context: &mut Context) -> Result<Self::Out> {
        let (word, interface) = resolve::parts(&self.node);
        let (subject, target) = target::looked_at(word, context)?;
        let nodes = subject.nodes();
        let pin = |one: &Netns| Pin { node: one.node.to_string(), path: one.pin.clone() };
        let pins: Vec<Pin> = nodes.iter().filter(|one| !one.by_hand).map(pin).collect();
        let named = |pin: &&Pin| pin.node == target.node.to_string();
        let own = pins.iter().find(named).ok_or_else(|| Error::Internal(format!("{} has no namespace", target.node)))?;
        let mut node = inspect(own, &pins)?;
        node.lab = target.lab.to_string();
        node.node = target.node.to_string();
        node.kind = Kind::from_node(&target.node);
        match interface {
            None => Ok(node),
            Some(interface) => {
                let known = node.links.iter().any(|link| link.name == interface);
                if let Some(error) = resolve::dotted(&self.node, &lab::names()).filter(|_| !known) {
                    return Err(error);
                }
                only(interface, node)
            }
        }
    }
}

/// What of a node is about one interface.
fn only(interface: &str, mut node: Node) -> Result<Node> {
    if !node.links.iter().any(|link| link.name == interface) {
        let names = node.links.into_iter().map(|link| link.name).collect();
        let candidates = resolve::near(interface, names);
        return Err(Error::Unknown { what: Thing::Interface, word: interface.to_owned(), candidates });
    }
    node.links.retain(|link| link.name == interface);
    node.routes.retain(|route| route.dev.as_deref() == Some(interface));
    node.fdb.retain(|entry| entry.port == interface || entry.bridge == interface);
    node.neighbours.retain(|neighbour| neighbour.dev == interface);
    Ok(node)
}

impl render::Show for Node {
    fn text(&self, style: Style) -> String {
        let tables = [
            section(w!(style.lang, "Interfaces"), &links(self, style)),
            section(w!(style.lang, "Addresses"), &addresses(self, style)),
            section(w!(style.lang, "Routes"), &routes(self, style)),
            section(w!(style.lang, "Forwarding table of the bridges"), &fdb(self, style)),
            section(w!(style.lang, "Neighbours"), &neighbours(self, style)),
        ];
        let text = format!("{}\n\n{}", title(self, style.lang), tables.concat());
        text.trim_end().to_owned() + "\n"
    }
}

fn links(node: &Node, style: Style) -> Table {
    let headings = words!(style.lang, "NAME", "KIND", "MAC", "MTU", "STATE", "BRIDGE", "OTHER END");
    let mut table = Table::new(style, &headings).right(&[3]);
    let dash = w!(style.lang, "-");
    for link in &node.links {
        table.row([
            link.name.as_str(),
            &link.kind,
            link.mac.as_deref().unwrap_or(dash),
            &link.mtu.to_string(),
            state(link),
            link.bridge.as_deref().unwrap_or(dash),
            &link.peer.as_ref().map_or_else(|| dash.to_owned(), |peer| far_end(&node.node, peer, style)),
        ]);
    }
    table
}

/// The kernel's word; a loopback that is up has none.
fn state(link: &Link) -> &str {
    match (link.up, link.state.as_str()) {
        (true, "unknown") => "up",
        (false, _) => "down",
        (true, "down") => "no-carrier",
        (true, state) => state,
    }
}

/// `NODE.IFACE` as it can be typed: a container of another host with its host before it.
fn far_end(here: &str, peer: &Peer, style: Style) -> String {
    let unknown = w!(style.lang, "?");
    let name = peer.name.as_deref().unwrap_or(unknown);
    let host = here.split('.').next().unwrap_or(here);
    match peer.node.as_deref().map(|node| node.split_once('.').unwrap_or((node, ""))) {
        None => name.to_owned(),
        Some((node, "")) => format!("{node}.{name}"),
        Some((its, container)) if its == host => format!("{container}.{name}"),
        Some((its, container)) => format!("{its}/{container}.{name}"),
    }
}

fn addresses(node: &Node, style: Style) -> Table {
    let mut table = Table::new(style, &words!(style.lang, "INTERFACE", "ADDRESS"));
    for link in &node.links {
        for address in &link.addresses {
            table.row([link.name.clone(), address.to_string()]);
        }
    }
    table
}

fn routes(node: &Node, style: Style) -> Table {
    let mut headings = words!(style.lang, "TO", "VIA", "INTERFACE", "FROM").to_vec();
    let tables = node.routes.iter().any(|route| route.table != MAIN_TABLE);
    let metrics = node.routes.iter().any(|route| route.metric.is_some());
    headings.extend(metrics.then_some(w!(style.lang, "METRIC")));
    headings.extend(tables.then_some(w!(style.lang, "TABLE")));
    let mut table = Table::new(style, &headings);
    let dash = w!(style.lang, "-");
    for route in &node.routes {
        let via = route.via.map_or_else(|| dash.to_owned(), |via| via.to_string());
        let dev = route.dev.as_deref().unwrap_or(dash).to_owned();
        let mut row = vec![destination(route), via, dev, route.protocol.clone()];
        let metric = || route.metric.map_or_else(|| dash.to_owned(), |metric| metric.to_string());
        row.extend(metrics.then(metric));
        row.extend(tables.then(|| route.table.to_string()));
        table.row(row);
    }
    table
}

fn destination(route: &Route) -> String {
    let to = if route.to.prefix_len() == 0 {
        if route.to.addr().is_ipv6() { "default (IPv6)".to_owned() } else { "default".to_owned() }
    } else {
        route.to.to_string()
    };
    if route.kind == "unicast" { to } else { format!("{} {to}", route.kind) }
}

fn fdb(node: &Node, style: Style) -> Table {
    let mut table = Table::new(style, &words!(style.lang, "BRIDGE", "MAC", "PORT", "STATE"));
    for entry in &node.fdb {
        let state = match entry.state {
            FdbState::Learned => w!(style.lang, "learned"),
            FdbState::Static => w!(style.lang, "static"),
            FdbState::Own => w!(style.lang, "own"),
        };
        table.row([entry.bridge.as_str(), &entry.mac, &entry.port, state]);
    }
    table
}

fn neighbours(node: &Node, style: Style) -> Table {
    let dash = w!(style.lang, "-");
    let mut table = Table::new(style, &words!(style.lang, "ADDRESS", "INTERFACE", "MAC", "STATE"));
    for entry in &node.neighbours {
        let mac = entry.mac.as_deref().unwrap_or(dash);
        table.row([&entry.address.to_string(), entry.dev.as_str(), mac, &entry.state]);
    }
    table
}

/// A node's title: what it is, whether it forwards.
fn title(node: &Node, lang: Lang) -> String {
    let kind = match node.kind {
        Kind::Host => w!(lang, "a host"),
        Kind::Container => w!(lang, "a container"),
        Kind::Switch => w!(lang, "a switch"),
    };
    let forwards = match (node.forwarding.ipv4, node.forwarding.ipv6) {
        (Some(true), Some(true)) => w!(lang, "it forwards IPv4 and IPv6"),
        (Some(true), _) => w!(lang, "it forwards IPv4"),
        (_, Some(true)) => w!(lang, "it forwards IPv6"),
        (Some(false), Some(false)) => w!(lang, "it does not forward packets"),
        _ => "",
    };
    let (name, lab) = (node.node.replacen('.', "/", 1), &node.lab);
    if forwards.is_empty() {
        t!(lang, "{name} is {kind} of {lab}.", name, kind, lab)
    } else {
        t!(lang, "{name} is {kind} of {lab}; {forwards}.", name, kind, lab, forwards)
    }
}
