//! From a file's text to a topology, or to everything that is wrong with it.

mod containers;

use std::cell::RefCell;
use std::net::IpAddr;
use std::path::Path;

use ipnet::IpNet;
use serde_json::Value;

use super::reader::{At, Choice, Item, Keys, Scope, only_key};
use super::tree::{Aspect, Findings, Kind, Part, Place, Places, Port, Span, Tree};
use super::validate::{MAX_INTERFACES, MAX_NODES, validate};
use super::values::{self, each, flag, list, parsed, reference, some, text, whole, word};
use super::{Attach, Bridge, Checkpoint, Hop, Host, Network, Nic, Promiscuous, Route, Topology, catalog};
use crate::error::{Error, Result};
use crate::name::{IfName, LabName, Mac, NodeName};
use crate::problem::{Finding, Problem, Reference, Shape};

/// Most checks of a file.
const CHECKS: usize = 1000;
/// Most points of a checkpoint.
const POINTS: i64 = 1000;
/// Smallest and largest MTU that the kernel gives a veth (`ETH_MIN_MTU`, `ETH_MAX_MTU`, `linux/if_ether.h`).
const MTU: std::ops::RangeInclusive<i64> = 68..=65535;

/// The topology that a text describes, its checks of these kinds; `file` names it in messages.
///
/// # Errors
/// [`Error::Topology`] with every finding, in the order of the file.
pub fn parse(file: &str, text: &str, kinds: &'static [Choice]) -> Result<Topology> {
    understand(text, kinds).map_err(|findings| Error::Topology { file: file.to_owned(), text: text.to_owned(), findings })
}

/// The topology that a file describes, its checks of these kinds.
///
/// # Errors
/// [`Error::File`] where there is no text to read, [`Error::Topology`] where the text describes no lab.
pub fn read(path: &Path, kinds: &'static [Choice]) -> Result<Topology> {
    let text = catalog::text_of(path).map_err(|why| Error::File { file: path.to_owned(), why })?;
    parse(&path.to_string_lossy(), &text, kinds)
}

/// The JSON schema of what may be written, for editors, with these kinds of checks; in JSON Schema draft 2020-12.
pub fn schema(kinds: &'static [Choice]) -> Value {
    let (nothing, findings) = (nothing(), RefCell::default());
    let places = RefCell::default();
    let nodes = Nodes::count(&Tree { at: 0..0, kind: Kind::Null });
    let mut schema = Item::describe(Scope::new(&nothing, &findings), |item| file(item, kinds, &nodes, &places));
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    schema["title"] = "nslab topology".into();
    schema["description"] = "A lab: hosts with containers, and the networks between the hosts.".into();
    schema
}

fn understand(text: &str, kinds: &'static [Choice]) -> std::result::Result<Topology, Vec<Finding>> {
    let mut noted = Findings::default();
    let tree = Tree::read(text, &mut noted);
    let (nothing, findings, places) = (nothing(), RefCell::new(noted), RefCell::default());
    let built = tree.and_then(|tree| {
        let scope = Scope::new(&nothing, &findings);
        let nodes = Nodes::count(&tree);
        if !nodes.fit() {
            scope.note(&nodes.largest, Problem::TooManyNodes { nodes: nodes.number, limit: MAX_NODES });
        }
        file(&mut Item::new(scope, &(0..0), &tree), kinds, &nodes, &places)
    });
    if let Some(built) = &built {
        validate(built, &places.borrow(), &mut findings.borrow_mut());
    }
    let findings = findings.into_inner().in_order();
    match built {
        Some(built) if findings.is_empty() => Ok(built),
        _ => Err(findings),
    }
}

/// How many nodes a file describes.
struct Nodes {
    number: usize,
    /// Without what `count:` adds.
    written: usize,
    /// The host with the most containers.
    largest: Span,
}

impl Nodes {
    /// A count that is itself out of range counts as one; it is noted where it is read.
    fn count(tree: &Tree) -> Self {
        let hosts = tree.entries("hosts");
        let networks = tree.entries("networks").len();
        let mut nodes = Self { number: networks.saturating_add(hosts.len()), written: hosts.len(), largest: 0..0 };
        let mut most = 0;
        for (name, host) in hosts {
            let containers = host.entries("containers");
            let count =
                |(_, container): &(Tree, Tree)| container.entry("count").and_then(Tree::whole).filter(|&n| n <= MAX_NODES);
            let number = containers.iter().map(|container| count(container).unwrap_or(1)).fold(0, usize::saturating_add);
            nodes.number = nodes.number.saturating_add(number);
            nodes.written = nodes.written.saturating_add(containers.len());
            if number >= most {
                (most, nodes.largest) = (number, name.at.clone());
            }
        }
        nodes
    }

    fn fit(&self) -> bool {
        self.number <= MAX_NODES
    }
}

/// A topology without anything in it.
fn nothing() -> Topology {
    Topology {
        name: LabName::unnamed(),
        summary: None,
        networks: Vec::new(),
        hosts: Vec::new(),
        next_host: 1,
        role: None,
        checkpoints: Vec::new(),
        exercise: Vec::new(),
    }
}

/// The whole file as far as it can be read, and where its parts are written.
fn file(item: &mut Item<'_>, kinds: &'static [Choice], nodes: &Nodes, places: &RefCell<Places>) -> Option<Topology> {
    item.keys(|keys| {
        let name = keys.required("name", "The name of the lab, unless `--name` says otherwise.", text);
        // What else is wrong is found under any name.
        let name = name.map_or_else(LabName::unnamed, |word| {
            places.borrow_mut().put(Place::Lab, &word.at);
            keys.scope.parsed(&word, values::name).unwrap_or_else(LabName::unnamed)
        });
        let summary = keys.optional("summary", "One line on what the lab teaches.", text);
        let mut lab = Topology { name, summary: summary.map(|text| one_line(&text.value)), ..nothing() };
        let networks = each(|word, item| lab.networks.extend(network(word, item, lab.networks.len(), places)));
        let networks = keys.optional("networks", "The L2 segments between hosts, by name.", networks).unwrap_or_default();
        // Without any count there are too many already: nothing is worth saying but that.
        let readable = nodes.written <= MAX_NODES;
        let hosts = each(|word, item| {
            let reader = Reader { index: lab.hosts.len(), networks: &networks, expand: nodes.fit(), places };
            if let Some(host) = readable.then(|| reader.host(word, item, lab.next_host)).flatten() {
                lab.hosts.push(host);
                lab.next_host += 1;
            }
        });
        let hosts = keys.must(None, "hosts", "The machines, by name.", hosts).unwrap_or_default();
        // Names of checks cannot be judged where not every node is there.
        let whole = nodes.fit() && lab.hosts.len() == hosts.len();
        let about = "What must hold, and the points that it gives: `nslab check`.";
        let checks = |item: &mut Item<'_>| if whole { item.within(&lab, |item| checkpoints(item, kinds)) } else { None };
        let checkpoints = keys.optional("checkpoints", about, checks);
        lab.checkpoints = checkpoints.unwrap_or_default();
        let about = "The topology that it is to become by hand, or a list: their checkpoints judge it.";
        let exercise = keys.optional("exercise", about, some(exercise)).unwrap_or_default();
        lab.exercise = exercise.into_iter().map(|word| word.value).collect();
        if hosts.is_empty() {
            keys.scope.note(&(0..0), Problem::NoHosts);
            keys.give_up();
        }
        (readable && !hosts.is_empty()).then_some(lab)
    })
}

fn network(called: &At<String>, item: &mut Item<'_>, index: usize, places: &RefCell<Places>) -> Option<Network> {
    let name = item.scope.parsed(called, values::name);
    places.borrow_mut().put(Place::Network(index), &called.at);
    item.keys(|keys| {
        let switch = keys.optional("switch", "A switch even where a wire would do.", flag).unwrap_or(false);
        let about = "`deny` delivers unicast only to the NICs' own MAC addresses, as `VirtualBox` does by default.";
        let words = [("allow", Promiscuous::Allow), ("deny", Promiscuous::Deny)];
        let promiscuous = keys.optional("promiscuous", about, word(&words, Shape::AllowOrDeny)).unwrap_or_default();
        let mtu = mtu(keys, "Bytes of payload per frame; 1500 unless given.");
        Some(Network { name: name?, switch, promiscuous, mtu })
    })
}

/// A built-in topology, or a file, which is read when it judges.
fn exercise(item: &mut Item<'_>) -> Option<String> {
    let word = text(item)?;
    let known: Vec<&str> = catalog::names().collect();
    if catalog::is_file(&word.value) || known.contains(&word.value.as_str()) {
        return Some(word.value);
    }
    item.scope.unknown(Reference::Topology, &word, &known);
    None
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Reads one host.
#[derive(Clone, Copy)]
struct Reader<'a> {
    /// The number that it has in the list of hosts.
    index: usize,
    /// The networks of the file.
    networks: &'a [String],
    /// Whether `count:` makes as many containers as it says.
    expand: bool,
    places: &'a RefCell<Places>,
}

impl Reader<'_> {
    /// Notes where a part is written.
    fn put(self, container: Option<usize>, part: Part, at: &Span) {
        self.places.borrow_mut().put(Place::Node(self.index, container, part), at);
    }

    /// Values whose places are noted under their numbers.
    fn placed<T: Clone>(self, container: Option<usize>, values: &[At<T>], part: impl Fn(usize) -> Part) -> Vec<T> {
        values.iter().enumerate().for_each(|(index, value)| self.put(container, part(index), &value.at));
        values.iter().map(|value| value.value.clone()).collect()
    }

    /// The addresses and the MAC address of a host's interface, all of whose places are noted.
    fn interface(
        self,
        port: Port,
        word: &At<String>,
        addresses: &[At<IpNet>],
        mac: Option<At<Mac>>,
    ) -> (Vec<IpNet>, Option<Mac>) {
        self.put(None, Part::Interface(port, Aspect::Name), &word.at);
        if let Some(mac) = &mac {
            self.put(None, Part::Interface(port, Aspect::Mac), &mac.at);
        }
        let addresses = self.placed(None, addresses, |address| Part::Interface(port, Aspect::Address(address)));
        (addresses, mac.map(|mac| mac.value))
    }

    /// Routes whose places are noted.
    fn routes(self, container: Option<usize>, routes: &[Written]) -> Vec<Route> {
        for (index, route) in routes.iter().enumerate() {
            self.put(container, Part::Route(index), &route.to);
            self.put(container, Part::Hop(index), &route.hop);
        }
        routes.iter().map(|route| route.route.clone()).collect()
    }
    /// The host, unless its name is none.
    fn host(self, word: &At<String>, item: &mut Item<'_>, number: u16) -> Option<Host> {
        let scope = item.scope;
        let name: Option<NodeName> = scope.parsed(word, values::name);
        self.put(None, Part::Name, &word.at);
        item.keys(|keys| {
            let forwarding = keys.optional("forwarding", "Forwards packets, IPv4 and IPv6.", flag);
            let about = "Runs an agent that speaks LXD's API, so that `lxc` commands its containers.";
            let agent = keys.optional("agent", about, flag);
            let (mut nics, mut bridges) = (Vec::new(), Vec::new());
            let met = scope.met();
            let own = each(|nic, item| nics.extend(self.nic(word, nic, item, nics.len())));
            let own = keys.optional("nics", "Its network cards, by interface name.", own).unwrap_or_default();
            let mut broken = scope.met() > met;
            let gateways = gateways(keys);
            let met = scope.met();
            let joined = each(|bridge, item| bridges.extend(self.bridge(word, bridge, item, &own, bridges.len())));
            let joined = keys.optional("bridges", "Its bridges, by interface name.", joined).unwrap_or_default();
            broken |= scope.met() > met;
            if broken {
                self.places.borrow_mut().mark_broken(self.index, None);
            }
            let mut host = Host {
                name: name.clone().unwrap_or_else(NodeName::unnamed),
                number,
                forwarding: forwarding.unwrap_or(false),
                nics,
                bridges,
                gateways: self.placed(None, &gateways, Part::Gateway),
                routes: Vec::new(),
                containers: Vec::new(),
                next_container: 1,
                agent: agent.unwrap_or(false),
            };
            let containers = each(|word, item| containers::read(self, &mut host, &joined, word, item));
            keys.optional("containers", "Its containers, by name.", containers);
            let known = [own, joined, host.ends().map(|end| end.name.to_string()).collect()].concat();
            host.routes = self.routes(None, &routes(keys, &known));
            name.map(|_| host)
        })
    }

    fn nic(self, host: &At<String>, word: &At<String>, item: &mut Item<'_>, index: usize) -> Option<Nic> {
        let name = item.scope.parsed(word, values::name);
        let number = number(item.scope, index, host);
        item.keys(|keys| {
            let about = "The network that it is plugged into.";
            let network = keys.required("network", about, reference(Reference::Network, self.networks));
            let addresses = prefixes(keys, "Its address with the prefix length, or a list of them.");
            let mac = mac(keys, "Its MAC address; nslab gives a readable one unless given.");
            let mtu = mtu(keys, "Bytes of payload per frame; the network's unless given.");
            let up = up(keys);
            let (name, number, network) = (name?, number?, network?);
            let (addresses, mac) = self.interface(Port::Nic(index), word, &addresses, mac);
            Some(Nic { name, number, attach: Attach::Network(network.value), addresses, mac, mtu, up })
        })
    }

    fn bridge(self, host: &At<String>, word: &At<String>, item: &mut Item<'_>, nics: &[String], index: usize) -> Option<Bridge> {
        let name = item.scope.parsed(word, values::name);
        let number = number(item.scope, index, host);
        item.keys(|keys| {
            let about = "The host's NICs that are its ports; containers name their bridge themselves.";
            let ports = keys.optional("ports", about, some(reference::<IfName>(Reference::Port, nics)));
            let ports: Vec<At<IfName>> = ports.into_iter().flatten().map(|port| port.value).collect();
            let addresses = prefixes(keys, "The host's own address on the bridge, or a list of them.");
            let mac = mac(keys, "Its MAC address.");
            let mtu = mtu(keys, "Bytes of payload per frame, also for the containers on it; 1500 unless given.");
            let stp = keys.optional("stp", "Runs the spanning tree protocol, which a loop needs.", flag);
            let up = up(keys);
            let (name, number) = (name?, number?);
            let ports = self.placed(None, &ports, |port| Part::Port(index, port));
            let (addresses, mac) = self.interface(Port::Bridge(index), word, &addresses, mac);
            Some(Bridge { name, number, ports, addresses, mac, mtu, stp: stp.unwrap_or(false), up, managed: None })
        })
    }
}

/// An interface's number in its node, or none where there are too many.
fn number(scope: Scope<'_>, index: usize, node: &At<String>) -> Option<u8> {
    let number = u8::try_from(index).ok();
    if number.is_none() {
        scope.note(&node.at, Problem::TooManyInterfaces { node: node.value.clone(), limit: MAX_INTERFACES });
    }
    number
}

/// Addresses with their prefixes.
fn prefixes(keys: &mut Keys<'_>, about: &str) -> Vec<At<IpNet>> {
    keys.optional("address", about, some(parsed(values::prefix))).unwrap_or_default()
}

/// A MAC address.
fn mac(keys: &mut Keys<'_>, about: &str) -> Option<At<Mac>> {
    keys.optional("mac", about, |item| Some(At { value: parsed(values::mac)(item)?, at: item.at.clone() }))
}

/// Bytes of payload per frame.
fn mtu(keys: &mut Keys<'_>, about: &str) -> Option<u32> {
    keys.optional("mtu", about, whole("mtu", MTU))
}

/// Whether it is up.
fn up(keys: &mut Keys<'_>) -> bool {
    keys.optional("up", "Administratively up; true unless given.", flag).unwrap_or(true)
}

/// Default gateways.
fn gateways(keys: &mut Keys<'_>) -> Vec<At<IpAddr>> {
    let about = "Its default gateway; a list of two for both families.";
    keys.optional("gateway", about, some(parsed(values::address))).unwrap_or_default()
}

/// A route, and where its destination and its next hop are written.
struct Written {
    route: Route,
    to: Span,
    hop: Span,
}

/// Routes by these interfaces.
fn routes(keys: &mut Keys<'_>, known: &[String]) -> Vec<Written> {
    let read = list(|item| Some(route(item, known)));
    keys.optional("routes", "Further routes.", read).into_iter().flatten().flatten().collect()
}

fn route(item: &mut Item<'_>, known: &[String]) -> Option<Written> {
    item.keys(|keys| {
        let to = keys.required("to", "The destination, as 10.0.0.0/8.", text);
        let via = keys.optional("via", "The router's address.", text);
        let dev = keys.optional("dev", "The interface that the destination is on.", text);
        let blackhole = keys.optional("blackhole", "Drops the packets in silence.", flag);
        let at = to.as_ref().map_or(keys.at.clone(), |to| to.at.clone());
        let at_hop = via.as_ref().or(dev.as_ref()).map_or(at.clone(), |hop| hop.at.clone());
        let scope = keys.scope;
        let destination = to.and_then(|word| scope.parsed(&word, values::destination));
        let hop = match (via, dev, blackhole.unwrap_or(false)) {
            (Some(via), None, false) => scope.parsed(&via, values::address).map(Hop::Via),
            (None, Some(dev), false) => scope.refers(Reference::Interface, &dev, known).map(Hop::Dev),
            (None, None, true) => Some(Hop::Blackhole),
            _ => {
                keys.note_unless_spoiled(&at, Problem::OneHop);
                None
            }
        };
        Some(Written { route: Route { to: destination?, hop: hop? }, to: at, hop: at_hop })
    })
}

/// All checkpoints, each check of one of these kinds; what cannot be read is noted and left out.
fn checkpoints(item: &mut Item<'_>, kinds: &'static [Choice]) -> Option<Vec<Checkpoint>> {
    let built = list(|item| Some(checkpoint(item, kinds)))(item)?;
    let mut kept: Vec<(Checkpoint, Span)> = Vec::new();
    for (checkpoint, at) in built.into_iter().flatten() {
        match kept.iter().find(|(other, _)| other.name == checkpoint.name) {
            Some((_, first)) => item.scope.clash(&at, first, Problem::DuplicateName(checkpoint.name)),
            None => kept.push((checkpoint, at)),
        }
    }
    let checks: usize = kept.iter().map(|(checkpoint, _)| checkpoint.checks.len()).sum();
    if let Some((_, at)) = kept.first().filter(|_| checks > CHECKS) {
        let high = i64::try_from(CHECKS).unwrap_or(i64::MAX);
        item.scope.note(at, Problem::OutOfRange { what: "the number of checks", low: 0, high });
    }
    Some(kept.into_iter().map(|(checkpoint, _)| checkpoint).collect())
}

fn checkpoint(item: &mut Item<'_>, kinds: &'static [Choice]) -> Option<(Checkpoint, Span)> {
    item.keys(|keys| {
        let name = keys.must(Some(Problem::NoCheckpointName), "name", "Its name.", text);
        let about = "What it gives when every check in it passes; 0 unless given.";
        let points = keys.optional("points", about, whole("points", 0..=POINTS));
        let check = only_key(kinds, Problem::OneCheck);
        let checks = keys.required("checks", "What must hold.", list(|item| Some(check(item))));
        if checks.as_ref().is_some_and(Vec::is_empty) {
            keys.scope.note(&keys.at, Problem::Missing("checks"));
        }
        let name = name?;
        let title = name.value.split_whitespace().collect::<Vec<_>>().join(" ");
        if title.is_empty() {
            keys.scope.note(&name.at, Problem::NoCheckpointName);
            return None;
        }
        let checks = checks.unwrap_or_default().into_iter().flatten().collect();
        Some((Checkpoint { name: title, points: points.unwrap_or(0), checks }, name.at))
    })
}
