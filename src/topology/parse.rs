//! From a file's text to a topology, or to everything that is wrong with it.

mod containers;
mod nodes;

use std::cell::RefCell;

use serde_json::Value;

use super::reader::{At, Choice, Item, Scope, only_key};
use super::tree::{Findings, Kind, Place, Places, Span, Tree};
use super::validate::{MAX_NODES, validate};
use super::values::{self, each, flag, list, some, text, whole, word};
use super::{Checkpoint, Network, Promiscuous, Topology, catalog};
use crate::error::{Error, Result};
use crate::name::LabName;
use crate::problem::{Finding, Problem, Reference, Shape};

/// Most checks of a file.
const CHECKS: usize = 1000;
/// Most points of a checkpoint.
const POINTS: i64 = 1000;

/// The topology that a text describes, its checks of these kinds; `file` names it in messages.
///
/// # Errors
/// [`Error::Topology`] with every finding, in the order of the file.
pub fn parse(file: &str, text: &str, kinds: &'static [Choice]) -> Result<Topology> {
    understand(text, kinds).map_err(|findings| Error::Topology { file: file.to_owned(), text: text.to_owned(), findings })
}

/// The JSON schema of what may be written, for editors, with these kinds of checks; in JSON Schema draft 2020-12.
pub fn schema(kinds: &'static [Choice]) -> Value {
    let (nothing, findings) = (nothing(), RefCell::default());
    let places = RefCell::default();
    let nodes = Nodes::of(&Tree { at: 0..0, kind: Kind::Null });
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
        let nodes = Nodes::of(&tree);
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
    fn of(tree: &Tree) -> Self {
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
            let reader = nodes::Reader { index: lab.hosts.len(), networks: &networks, expand: nodes.fit(), places };
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
        let mtu = nodes::mtu(keys, "Bytes of payload per frame; 1500 unless given.");
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
