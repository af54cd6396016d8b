//! The nodes and networks that checks name: how a file says them, and who plays them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::name::{NameFault, NodeName};
use crate::plan::NodeId;
use crate::problem::{Problem, Reference};
use crate::topology::reader::{At, Item, Scope};
use crate::topology::values::{list, many, text};
use crate::topology::{Host, Topology};

/// A host, or a container of a host; in JSON as in reports, `HOST` or `HOST.CONTAINER`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Machine {
    /// The host.
    pub host: NodeName,
    /// The container; none where the host itself is meant.
    pub container: Option<NodeName>,
}

impl Machine {
    /// A host itself.
    pub(super) fn host(host: &NodeName) -> Self {
        Self { host: host.clone(), container: None }
    }

    /// A container of a host.
    pub(super) fn container(host: &NodeName, container: &NodeName) -> Self {
        Self { host: host.clone(), container: Some(container.clone()) }
    }

    /// Its node.
    pub(super) fn id(&self) -> NodeId {
        match &self.container {
            None => NodeId::Host(self.host.clone()),
            Some(container) => NodeId::Container(self.host.clone(), container.clone()),
        }
    }
}

impl fmt::Display for Machine {
    /// `host-a`, or `host-a.a1` as in reports.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.container {
            None => write!(f, "{}", self.host),
            Some(container) => write!(f, "{}.{container}", self.host),
        }
    }
}

impl From<Machine> for String {
    fn from(machine: Machine) -> Self {
        machine.to_string()
    }
}

impl TryFrom<String> for Machine {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let name = |word: &str| word.parse().map_err(|fault: NameFault| format!("{fault:?}"));
        match text.split_once('.') {
            None => Ok(Self { host: name(&text)?, container: None }),
            Some((host, container)) => Ok(Self { host: name(host)?, container: Some(name(container)?) }),
        }
    }
}

/// Several nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Members {
    /// Every container.
    Containers,
    /// Every host.
    Hosts,
    /// These.
    These(Vec<Machine>),
}

impl Members {
    /// Those that are named one by one.
    pub(super) fn named(&self) -> Vec<Machine> {
        match self {
            Self::Containers | Self::Hosts => Vec::new(),
            Self::These(these) => these.clone(),
        }
    }
}

/// Two nodes, in the order of the file.
pub(super) type Pair = (Machine, Machine);

/// A node as it is typed: `NODE` or `HOST/NODE`.
pub(super) fn node(item: &mut Item<'_>) -> Option<Machine> {
    let word = text(item)?;
    find(&word, item.scope)
}

/// A node or a list of nodes.
pub(super) fn nodes(item: &mut Item<'_>) -> Option<Vec<Machine>> {
    many(node)(item)
}

/// `containers`, `hosts`, or nodes.
pub(super) fn members(item: &mut Item<'_>) -> Option<Members> {
    let words = many(text)(item)?;
    match words.as_slice() {
        [one] if one.value == "containers" => Some(Members::Containers),
        [one] if one.value == "hosts" => Some(Members::Hosts),
        _ => found(words.iter().map(|word| find(word, item.scope))).map(Members::These),
    }
}

/// A list of pairs of nodes, not an empty one.
pub(super) fn pairs(item: &mut Item<'_>) -> Option<Vec<Pair>> {
    let pairs = list(pair)(item)?;
    if pairs.is_empty() {
        item.scope.note(&item.at, Problem::OnePair);
        return None;
    }
    Some(pairs)
}

fn pair(item: &mut Item<'_>) -> Option<Pair> {
    let words = many(text)(item)?;
    let [from, to] = words.as_slice() else { return item.refused(Problem::OnePair) };
    let (from, to) = (find(from, item.scope), find(to, item.scope));
    Some((from?, to?))
}

/// A network between hosts.
pub(super) fn network(item: &mut Item<'_>) -> Option<NodeName> {
    let word = text(item)?;
    let known: Vec<&str> = item.scope.lab.networks.iter().map(|network| network.name.as_str()).collect();
    if known.contains(&word.value.as_str()) {
        return word.value.parse().ok();
    }
    item.scope.unknown(Reference::Network, &word, &known);
    None
}

/// A host.
pub(super) fn host<'a>(item: &mut Item<'a>) -> Option<&'a Host> {
    let word = text(item)?;
    let lab = item.scope.lab;
    let found = lab.host(&word.value);
    if found.is_none() {
        let known: Vec<&str> = lab.hosts.iter().map(|host| host.name.as_str()).collect();
        item.scope.unknown(Reference::Host, &word, &known);
    }
    found
}

/// All of them, after every one was looked for.
pub(super) fn found<T>(values: impl Iterator<Item = Option<T>>) -> Option<Vec<T>> {
    values.collect::<Vec<_>>().into_iter().collect()
}

fn find(word: &At<String>, scope: Scope<'_>) -> Option<Machine> {
    match called(scope.lab, &word.value).as_slice() {
        [one] => return Some(one.clone()),
        [] => {
            let known = names(scope.lab);
            scope.unknown(Reference::Node, word, &known.iter().map(String::as_str).collect::<Vec<_>>());
        }
        several => {
            let candidates = several.iter().map(|one| one.to_string().replacen('.', "/", 1)).collect();
            scope.note(&word.at, Problem::AmbiguousNode { word: word.value.clone(), candidates });
        }
    }
    None
}

/// Every node that a word names; a host comes before a container of its name.
fn called(topology: &Topology, word: &str) -> Vec<Machine> {
    if let Some(host) = topology.host(word) {
        return vec![Machine::host(&host.name)];
    }
    let (wanted, word) = word.split_once('/').map_or((None, word), |(host, word)| (Some(host), word));
    let mut found = Vec::new();
    for host in topology.hosts.iter().filter(|host| wanted.is_none_or(|wanted| host.name.as_str() == wanted)) {
        let inside = host.containers.iter().filter(|container| container.name.as_str() == word);
        found.extend(inside.map(|inside| Machine::container(&host.name, &inside.name)));
    }
    found
}

fn names(topology: &Topology) -> Vec<String> {
    let host = |host: &Host| {
        let inside = host.containers.iter().map(|container| container.name.to_string());
        std::iter::once(host.name.to_string()).chain(inside.collect::<Vec<_>>())
    };
    let mut names: Vec<String> = topology.hosts.iter().flat_map(host).collect();
    names.sort();
    names.dedup();
    names
}
