//! From the words of the command line to labs and nodes, `[LAB/][HOST/]NODE`; and a lab as commands look at it: its nodes with their
//! namespaces, what describes it, and how a command is typed there.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::path::PathBuf;

use super::journal::{Entry, Journal, load, names};
use super::{facts, paths};
use crate::error::{Error, InstanceFault, Result, RoleFault, Thing};
use crate::name::{LabName, NodeName};
use crate::plan::NodeId;
use crate::topology::nearest;

/// A node of a lab that is up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The lab.
    pub lab: LabName,
    /// The node.
    pub node: NodeId,
    /// Several labs have such a node and the words chose none: how to name this one without doubt.
    pub assumed: Option<String>,
}

/// Refuses a container that has no namespace because it is stopped; `stopped` names them as `HOST.CONTAINER`.
///
/// # Errors
/// [`InstanceFault::Stopped`] with the word to type.
pub fn running(stopped: &[String], node: &NodeId) -> Result<()> {
    if stopped.contains(&node.to_string()) { Err(Error::Instance(InstanceFault::Stopped(word(node)))) } else { Ok(()) }
}

/// Every node of a lab: its switches, its hosts, each with its containers.
pub fn nodes(entry: &Entry) -> Vec<NodeId> {
    let mut nodes: Vec<NodeId> = entry.switches.iter().cloned().map(NodeId::Switch).collect();
    nodes.extend(inside(&entry.hosts));
    nodes
}

/// Every node of a lab that is on another machine.
pub fn remote(entry: &Entry) -> Vec<NodeId> {
    inside(&entry.remote).collect()
}

/// Every node of a lab, on whatever machine.
pub fn everywhere(entry: &Entry) -> Vec<NodeId> {
    let mut all = nodes(entry);
    all.extend(remote(entry));
    all
}

fn inside(hosts: &[(NodeName, Vec<NodeName>)]) -> impl Iterator<Item = NodeId> {
    hosts.iter().flat_map(|(host, containers)| {
        let inside = containers.iter().map(|name| NodeId::Container(host.clone(), name.clone()));
        std::iter::once(NodeId::Host(host.clone())).chain(inside)
    })
}

/// Those nodes of a lab that have a namespace: all but the stopped containers.
pub fn living(entry: &Entry) -> Vec<NodeId> {
    let lives = |node: &NodeId| entry.stopped.is_empty() || !entry.stopped.contains(&node.to_string());
    nodes(entry).into_iter().filter(lives).collect()
}

/// The node as it is typed: `host-a`, `host-a/a1`.
pub fn word(node: &NodeId) -> String {
    node.to_string().replacen('.', "/", 1)
}

/// Every node of a lab with the shortest words that name it.
pub fn shortest(entry: &Entry) -> Vec<(NodeId, String)> {
    let nodes = everywhere(entry);
    let mut named: HashMap<NodeName, usize> = HashMap::new();
    for node in &nodes {
        *named.entry(node.name().clone()).or_default() += 1;
    }
    let words = |node: NodeId| {
        let words = if named.get(node.name()) == Some(&1) { node.name().to_string() } else { word(&node) };
        (node, words)
    };
    nodes.into_iter().map(words).collect()
}

/// The shortest words that name the node within its lab: a container goes without its host where no other bears its name.
pub fn short(node: &NodeId, entry: &Entry) -> String {
    let alone = everywhere(entry).iter().filter(|other| other.name() == node.name()).count() == 1;
    if alone { node.name().to_string() } else { word(node) }
}

/// `NODE.INTERFACE` in its two parts; names of nodes have no dot.
pub fn parts(typed: &str) -> (&str, Option<&str>) {
    typed.split_once('.').map_or((typed, None), |(node, interface)| (node, Some(interface)))
}

/// The node on this machine that `typed` names. `env_lab` is the lab of `NSLAB_LAB`.
///
/// # Errors
/// `Unknown` and `Ambiguous` with what it could be; that it is on another machine.
pub fn node(typed: &str, labs: &[Entry], env_lab: Option<&str>) -> Result<Target> {
    among(typed, labs, env_lab, nodes).map_err(|error| match (&error, elsewhere(typed, labs, env_lab)) {
        (Error::Unknown { .. }, Some(elsewhere)) => elsewhere,
        _ => error,
    })
}

/// The node of a lab that `typed` names, on whatever machine: to be sent to.
///
/// # Errors
/// `Unknown` and `Ambiguous` with what it could be.
pub fn anywhere(typed: &str, entry: &Entry) -> Result<NodeId> {
    among(typed, std::slice::from_ref(entry), None, everywhere).map(|target| target.node)
}

/// That the node is on the machine that plays its host.
fn elsewhere(typed: &str, labs: &[Entry], env_lab: Option<&str>) -> Option<Error> {
    let target = among(typed, labs, env_lab, remote).ok()?;
    let (NodeId::Host(host) | NodeId::Container(host, _)) = &target.node else { return None };
    let (node, host) = (target.node.name().to_string(), host.to_string());
    Some(Error::Role(RoleFault::Elsewhere { node, host, lab: target.lab.to_string() }))
}

fn among(typed: &str, labs: &[Entry], env_lab: Option<&str>, nodes: fn(&Entry) -> Vec<NodeId>) -> Result<Target> {
    let mut found: Vec<(&Entry, NodeId)> = Vec::new();
    for entry in labs {
        found.extend(nodes(entry).into_iter().filter(|node| is_named(typed, entry, node)).map(|node| (entry, node)));
    }
    let preferred = preferred(typed, labs, env_lab)?;
    let several = found.iter().any(|(entry, _)| entry.lab != found[0].0.lab);
    if let Some(lab) = preferred.filter(|_| several || env_lab.is_some()) {
        found.retain(|(entry, _)| entry.lab == lab.lab);
    }
    // A host or switch comes before a container of its name; `HOST/NODE` says which container.
    if found.iter().any(|(_, node)| !matches!(node, NodeId::Container(..))) {
        found.retain(|(_, node)| !matches!(node, NodeId::Container(..)));
    }
    match found.as_slice() {
        [] => Err(unknown(typed, labs, preferred)),
        [(entry, node)] => {
            let exact = format!("{}/{}", entry.lab, short(node, entry));
            let assumed = (several && env_lab.is_none()).then_some(exact);
            Ok(Target { lab: entry.lab.clone(), node: node.clone(), assumed })
        }
        many => Err(Error::Ambiguous {
            what: Thing::Node,
            word: typed.to_owned(),
            candidates: many.iter().map(|(entry, node)| full(entry, node, labs)).collect(),
        }),
    }
}

/// Whether the words name the node, with or without its lab and host.
fn is_named(typed: &str, entry: &Entry, node: &NodeId) -> bool {
    let local = |words: &str| words == node.name().as_str() || words == word(node);
    local(typed) || typed.split_once('/').is_some_and(|(lab, rest)| entry.lab == lab && local(rest))
}

/// The lab that a bare name means: that of `NSLAB_LAB`, else the last one brought up.
fn preferred<'a>(typed: &str, labs: &'a [Entry], env_lab: Option<&str>) -> Result<Option<&'a Entry>> {
    let explicit = typed.split_once('/').and_then(|(lab, _)| labs.iter().find(|entry| entry.lab == lab));
    match (explicit, env_lab) {
        (Some(explicit), _) => Ok(Some(explicit)),
        (None, Some(env_lab)) => find(env_lab, labs).map(Some),
        (None, None) => Ok(last(labs)),
    }
}

/// The last lab brought up.
pub fn last(labs: &[Entry]) -> Option<&Entry> {
    labs.iter().max_by_key(|entry| (entry.serial, entry.since))
}

fn full(entry: &Entry, node: &NodeId, labs: &[Entry]) -> String {
    if labs.len() > 1 { format!("{}/{}", entry.lab, word(node)) } else { word(node) }
}

/// `host-a.a1` is how files and `ip netns` name a container; the command line says `host-a/a1`.
pub fn dotted(typed: &str, labs: &[Entry]) -> Option<Error> {
    let meant = typed.replacen('.', "/", 1);
    let there = labs.iter().any(|entry| nodes(entry).iter().any(|node| is_named(&meant, entry, node)));
    let error = || Error::Unknown { what: Thing::Node, word: typed.to_owned(), candidates: vec![meant] };
    (typed.contains('.') && there).then(error)
}

fn unknown(typed: &str, labs: &[Entry], preferred: Option<&Entry>) -> Error {
    if let Some(error) = dotted(typed, labs) {
        return error;
    }
    let within: Vec<&Entry> = preferred.map_or_else(|| labs.iter().collect(), |entry| vec![entry]);
    let words: Vec<String> = within.iter().flat_map(|entry| shortest(entry)).map(|(_, words)| words).collect();
    Error::Unknown { what: Thing::Node, word: typed.to_owned(), candidates: near(typed, words) }
}

/// The lab of that name.
///
/// # Errors
/// `Unknown` with the labs that are up.
pub fn find<'a>(name: &str, labs: &'a [Entry]) -> Result<&'a Entry> {
    let all = || labs.iter().map(|entry| entry.lab.to_string()).collect();
    labs.iter().find(|entry| entry.lab == name).ok_or_else(|| Error::Unknown {
        what: Thing::Lab,
        word: name.to_owned(),
        candidates: near(name, all()),
    })
}

/// The only lab that is up, or that of `NSLAB_LAB`; nothing when no lab is up.
///
/// # Errors
/// `Ambiguous` when several are up.
pub fn only<'a>(labs: &'a [Entry], env_lab: Option<&str>) -> Result<Option<&'a Entry>> {
    match (labs, env_lab) {
        (_, Some(env_lab)) => find(env_lab, labs).map(Some),
        ([], None) => Ok(None),
        ([one], None) => Ok(Some(one)),
        (many, None) => {
            let candidates = many.iter().map(|entry| entry.lab.to_string()).collect();
            Err(Error::Ambiguous { what: Thing::Lab, word: String::new(), candidates })
        }
    }
}

/// A lab's name, checked.
///
/// # Errors
/// `BadName` with what is wrong.
pub fn lab_name(word: &str) -> Result<LabName> {
    word.parse().map_err(|fault| Error::BadName { what: Thing::Lab, word: word.to_owned(), fault })
}

/// The one word that was probably meant, or all of them.
pub fn near(typed: &str, words: Vec<String>) -> Vec<String> {
    nearest(typed, words.iter().map(String::as_str)).map_or(words, |word| vec![word])
}

/// How commands are typed for a lab's nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// The lab, where it is not the only one that is up: a node is to be named with it.
    pub lab: Option<LabName>,
}

impl Prompt {
    /// A node by words that name it within its lab, as they are typed from everywhere.
    pub fn node(&self, word: &str) -> String {
        self.lab.as_ref().map_or_else(|| word.to_owned(), |lab| format!("{lab}/{word}"))
    }

    /// A command that is carried out in a node, which words within its lab name.
    pub fn within(&self, word: &str, command: &str) -> String {
        format!("sudo nslab exec {} {command}", self.node(word))
    }
}

/// A node on this machine and its namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Netns {
    /// Which; a namespace that somebody made by hand in a host counts as a container of that host.
    pub node: NodeId,
    /// Where it is pinned.
    pub pin: PathBuf,
    /// Somebody made it inside a host: the lab does not know its name.
    pub by_hand: bool,
}

/// A lab that is looked at.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The names of its nodes.
    pub entry: Entry,
    /// How commands are typed for them.
    pub prompt: Prompt,
    journal: OnceCell<Journal>,
}

impl Subject {
    /// A lab that is up.
    pub fn new(entry: Entry) -> Self {
        Self::among(entry, &names())
    }

    /// As [`Subject::new`]; these are all labs that are up.
    pub fn among(entry: Entry, labs: &[Entry]) -> Self {
        let lab = (labs.len() > 1).then(|| entry.lab.clone());
        Self { prompt: Prompt { lab }, entry, journal: OnceCell::new() }
    }

    /// The same as it is now: containers may have come.
    ///
    /// # Errors
    /// `Unknown` where it has gone.
    pub fn again(&self) -> Result<Self> {
        let labs = names();
        find(self.entry.lab.as_str(), &labs).cloned().map(|entry| Self::among(entry, &labs))
    }

    /// What nslab knows of it, read once.
    ///
    /// # Errors
    /// When its journal cannot be read.
    pub fn journal(&self) -> Result<&Journal> {
        if let Some(known) = self.journal.get() {
            return Ok(known);
        }
        let journal = load(&self.entry.lab)?;
        Ok(self.journal.get_or_init(|| journal))
    }

    /// Every node on this machine that has a namespace, switches first, each host before its containers, and before what somebody
    /// made by hand inside it.
    pub fn nodes(&self) -> Vec<Netns> {
        let mut found = Vec::new();
        for node in living(&self.entry) {
            let inside = if let NodeId::Host(host) = &node { made_inside(&self.entry.lab, host) } else { Vec::new() };
            found.push(Netns { pin: paths::netns_path(&self.entry.lab, &node), node, by_hand: false });
            found.extend(inside);
        }
        found
    }
}

/// Namespaces under a host's own `/run/netns`: what `ip netns add` in its shell made. nslab's entries there are links.
fn made_inside(lab: &LabName, host: &NodeName) -> Vec<Netns> {
    let named = |pin: PathBuf| {
        let name = pin.file_name()?.to_str()?.parse().ok()?;
        Some(Netns { node: NodeId::Container(host.clone(), name), pin, by_hand: true })
    };
    facts::made_inside(lab, host).into_iter().filter_map(named).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn entry(lab: &str, serial: u64, hosts: &[(&str, &[&str])]) -> Entry {
        let hosts =
            hosts.iter().map(|(host, inside)| (host.parse().unwrap(), inside.iter().map(|name| name.parse().unwrap()).collect()));
        Entry {
            lab: lab.parse().unwrap(),
            summary: None,
            hosts: hosts.collect(),
            switches: vec![],
            role: None,
            remote: vec![],
            stopped: vec![],
            exercise: vec![],
            since: 0,
            serial,
        }
    }

    fn labs() -> Vec<Entry> {
        vec![
            entry("one", 1, &[("host-a", &["a1", "c1"]), ("host-b", &["b1", "c1"])]),
            entry("two", 2, &[("host-a", &["a1"]), ("r1", &[])]),
        ]
    }

    fn shown(typed: &str, labs: &[Entry], env_lab: Option<&str>) -> String {
        match node(typed, labs, env_lab) {
            Ok(target) => format!("{}/{}{}", target.lab, target.node, if target.assumed.is_some() { " assumed" } else { "" }),
            Err(Error::Ambiguous { candidates, .. }) => format!("ambiguous: {}", candidates.join(" ")),
            Err(Error::Unknown { what, candidates, .. }) => format!("no {what:?}: {}", candidates.join(" ")),
            Err(other) => format!("{other:?}"),
        }
    }

    #[test]
    fn parts_may_be_left_out_while_the_rest_says_which() {
        let one = &labs()[..1];
        assert_eq!(shown("a1", one, None), "one/host-a.a1");
        assert_eq!(shown("host-a", one, None), "one/host-a");
        assert_eq!(shown("host-a/c1", one, None), "one/host-a.c1");
        assert_eq!(shown("one/b1", one, None), "one/host-b.b1");
        assert_eq!(shown("one/host-b/c1", one, None), "one/host-b.c1");
        assert_eq!(shown("c1", one, None), "ambiguous: host-a/c1 host-b/c1");
    }

    #[test]
    fn with_several_labs_a_bare_name_means_the_last_one_and_says_so() {
        let labs = labs();
        assert_eq!(shown("a1", &labs, None), "two/host-a.a1 assumed");
        assert_eq!(shown("one/a1", &labs, None), "one/host-a.a1");
        assert_eq!(shown("a1", &labs, Some("one")), "one/host-a.a1");
        assert_eq!(shown("two/a1", &labs, Some("one")), "two/host-a.a1");
        assert_eq!(shown("r1", &labs, None), "two/r1");
        assert_eq!(shown("b1", &labs, None), "one/host-b.b1");
        assert_eq!(shown("r1", &labs, Some("one")), "no Node: a1");
    }

    #[test]
    fn an_error_names_what_was_probably_meant_or_everything() {
        let one = &labs()[..1];
        assert_eq!(shown("hots-a", one, None), "no Node: host-a");
        assert_eq!(shown("zebra", one, None), "no Node: host-a a1 host-a/c1 host-b b1 host-b/c1");
        assert_eq!(shown("a1", one, Some("ome")), "no Lab: one");
        assert_eq!(shown("host-a.a1", one, None), "no Node: host-a/a1");
        assert_eq!(shown("a1", &[], None), "no Node: ");
    }
}
