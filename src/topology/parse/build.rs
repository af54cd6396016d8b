//! From raw values to a topology: names, addresses and references are checked one by one, places noted for what follows.

mod container;
mod host;

use std::cell::RefCell;

use super::decode::{At, Named};
use super::raw::{RawFile, RawHost, RawNetwork};
use super::values::{mtu, name, unknown};
use crate::name::{LabName, NodeName};
use crate::problem::{Problem, Reference};
use crate::topology::catalog;
use crate::topology::checks::checkpoints;
use crate::topology::findings::{Findings, Span};
use crate::topology::place::{Item, Place, Places};
use crate::topology::reader::{self, Choice, Scope};
use crate::topology::validate::MAX_NODES;
use crate::topology::{Network, Topology};

/// A topology as far as it can be read, and where its parts are written.
pub(super) struct Built {
    /// The topology; what could not be read is left out.
    pub(super) topology: Topology,
    /// Where its parts are written.
    pub(super) places: Places,
}

/// Builds what can be built, and notes what cannot.
pub(super) fn build(file: &RawFile, kinds: &'static [Choice], findings: &mut Findings) -> Option<Built> {
    let hosts = file.hosts.as_ref().map_or(&[][..], |hosts| &hosts.0);
    if hosts.is_empty() {
        findings.add(&(0..0), Problem::NoHosts);
        return None;
    }
    let mut places = Places::default();
    let lab = lab_name(file, &mut places, findings);
    let networks = networks(file, &mut places, findings);
    let known: Vec<&str> = file.networks.iter().flat_map(Named::names).collect();
    let expand = nodes_fit(file, findings);
    let mut topology = Topology {
        name: lab,
        summary: file.summary.as_ref().map(summary),
        networks,
        hosts: Vec::new(),
        next_host: 1,
        role: None,
        checkpoints: Vec::new(),
        exercise: file.exercise.iter().flat_map(|words| exercise(&words.0, findings)).collect(),
    };
    // Without any count there are too many already: nothing is worth saying but that.
    let written: usize =
        hosts.iter().map(|(_, host)| 1 + host.containers.as_ref().map_or(0, |containers| containers.0.len())).sum();
    if written > MAX_NODES {
        return None;
    }
    for (name, raw) in hosts {
        let index = topology.hosts.len();
        let builder = host::Builder { index, networks: &known, expand, places: &mut places, findings };
        if let Some(host) = builder.build(name, raw, topology.next_host) {
            topology.hosts.push(host);
            topology.next_host += 1;
        }
    }
    // Names of checks cannot be judged where not every node is there.
    if expand && topology.hosts.len() == hosts.len() {
        if let Some(tree) = &file.checkpoints {
            let cell = RefCell::new(std::mem::take(findings));
            let found = checkpoints(&mut reader::Item::new(Scope::new(&topology, &cell), &tree.at, tree), kinds);
            topology.checkpoints = found.unwrap_or_default();
            *findings = cell.into_inner();
        }
    }
    Some(Built { topology, places })
}

/// A topology without anything in it.
pub(super) fn nothing() -> Topology {
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

/// Built-in topologies, and files, which are read when they judge.
fn exercise(words: &[At<String>], findings: &mut Findings) -> Vec<String> {
    let known: Vec<&str> = catalog::names().collect();
    let mut found = Vec::new();
    for word in words {
        if catalog::is_file(&word.value) || known.contains(&word.value.as_str()) {
            found.push(word.value.clone());
        } else {
            unknown(Reference::Topology, word, &known, findings);
        }
    }
    found
}

/// A summary is one line.
fn summary(text: &At<String>) -> String {
    text.value.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn lab_name(file: &RawFile, places: &mut Places, findings: &mut Findings) -> LabName {
    let Some(word) = &file.name else {
        file.missing("name", &(0..0), findings);
        // What else is wrong is found under any name.
        return LabName::unnamed();
    };
    places.put(Place::Lab, &word.at);
    name(word, findings).unwrap_or_else(LabName::unnamed)
}

fn networks(file: &RawFile, places: &mut Places, findings: &mut Findings) -> Vec<Network> {
    let mut networks = Vec::new();
    for (word, raw) in file.networks.iter().flat_map(|networks| &networks.0) {
        if let Some(name) = name::<NodeName>(word, findings) {
            places.put(Place::Network(networks.len()), &word.at);
            networks.push(network(name, raw, findings));
        }
    }
    networks
}

fn network(name: NodeName, raw: &RawNetwork, findings: &mut Findings) -> Network {
    Network {
        name,
        switch: raw.switch.unwrap_or(false),
        promiscuous: raw.promiscuous.unwrap_or_default(),
        mtu: mtu(raw.mtu.as_ref(), findings),
    }
}

/// Whether all nodes fit, so that `count:` may be expanded.
fn nodes_fit(file: &RawFile, findings: &mut Findings) -> bool {
    let networks = file.networks.as_ref().map_or(0, |networks| networks.0.len());
    let hosts = file.hosts.as_ref().map_or(&[][..], |hosts| &hosts.0);
    let mut largest: (usize, Span) = (0, 0..0);
    let mut nodes = networks.saturating_add(hosts.len());
    for (host, raw) in hosts {
        let containers = containers(raw);
        nodes = nodes.saturating_add(containers);
        if containers >= largest.0 {
            largest = (containers, host.at.clone());
        }
    }
    if nodes > MAX_NODES {
        findings.add(&largest.1, Problem::TooManyNodes { nodes, limit: MAX_NODES });
    }
    nodes <= MAX_NODES
}

/// How many containers a host is to have; a count that is itself out of range is noted elsewhere.
fn containers(host: &RawHost) -> usize {
    let containers = host.containers.as_ref().map_or(&[][..], |containers| &containers.0);
    let counts = containers.iter().map(|(_, raw)| {
        let count = raw.count.as_ref().and_then(|count| usize::try_from(count.value).ok()).unwrap_or(1);
        if count > MAX_NODES { 1 } else { count }
    });
    counts.fold(0, usize::saturating_add)
}

/// Where a part of a node belongs.
fn place(host: usize, container: Option<usize>, item: Item) -> Place {
    match container {
        None => Place::Host(host, item),
        Some(container) => Place::Container(host, container, item),
    }
}
