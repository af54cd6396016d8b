//! The nodes and networks that checks name: how a file says them, and who plays which part of another topology, judged by how
//! nodes are wired, not by their names.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::mem::discriminant;

use serde::{Deserialize, Serialize};

use super::evidence::Common;
use super::scene::{Scene, addresses, containers, wiring};
use crate::name::{IfName, NameFault, NodeName};
use crate::plan::NodeId;
use crate::probe::view::View;
use crate::problem::{Problem, Reference};
use crate::report::probe::{Role, Wiring};
use crate::topology::reader::{At, Item, Scope};
use crate::topology::values::{list, many, text};
use crate::topology::{self, Attach, Container, Host, Network, Topology};

/// A host, or a container of a host; in JSON as in reports, `HOST` or `HOST.CONTAINER`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Machine(pub NodeId);

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
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
        Ok(Self(match text.split_once('.') {
            None => NodeId::Host(name(&text)?),
            Some((host, container)) => NodeId::Container(name(host)?, name(container)?),
        }))
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
    /// The nodes that are meant.
    pub(super) fn nodes(&self, scene: &Scene<'_>) -> Vec<NodeId> {
        match self {
            Self::Containers => scene.containers(),
            Self::Hosts => scene.lab.hosts.iter().map(|host| NodeId::Host(host.name.clone())).collect(),
            Self::These(machines) => machines.iter().map(|machine| machine.0.clone()).collect(),
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
        return vec![Machine(NodeId::Host(host.name.clone()))];
    }
    let (wanted, word) = word.split_once('/').map_or((None, word), |(host, word)| (Some(host), word));
    let mut found = Vec::new();
    for host in topology.hosts.iter().filter(|host| wanted.is_none_or(|wanted| host.name.as_str() == wanted)) {
        let inside = host.containers.iter().filter(|container| container.name.as_str() == word);
        found.extend(inside.map(|inside| Machine(NodeId::Container(host.name.clone(), inside.name.clone()))));
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

/// With more hosts than this only those of the same names are tried.
const HOSTS: usize = 6;

/// Who plays the parts that checks name.
pub(super) enum Players<'a> {
    /// Everybody themselves. Of the host that this machine plays, NICs have other names.
    Own(Option<&'a topology::Role>),
    /// Nodes of the lab the parts of another topology.
    Another(Casting<'a>),
    /// Everybody themselves, and who was asked for is noted.
    Noting(&'a RefCell<Vec<NodeId>>),
}

/// The parts of a topology and who plays them.
pub(super) struct Casting<'a> {
    topology: &'a Topology,
    lab: &'a Topology,
    hosts: BTreeMap<NodeName, NodeName>,
    containers: BTreeMap<NodeId, NodeId>,
    networks: BTreeMap<NodeName, NodeName>,
}

/// A container of the lab as a candidate.
struct Candidate {
    name: NodeName,
    wiring: Wiring,
    configured: bool,
}

/// How a container is wired that is described.
fn described(host: &Host, container: &Container) -> Wiring {
    let Some(Attach::Host(end)) = container.nics.first().map(|nic| &nic.attach) else { return Wiring::None };
    let Some(name) = &end.bridge else { return Wiring::PointToPoint };
    let (bridge, is_it) = (name.to_string(), |bridge: &&topology::Bridge| bridge.name == *name);
    let joined = host.bridges.iter().find(is_it).is_some_and(|bridge| !bridge.ports.is_empty());
    if joined { Wiring::Switch { bridge } } else { Wiring::Gateway { bridge } }
}

/// How well a container plays a part: its wiring first, then that anything is configured in it.
fn fitness(part: &Wiring, candidate: &Candidate) -> u32 {
    let on_bridge = |wiring: &Wiring| matches!(wiring, Wiring::Switch { .. } | Wiring::Gateway { .. });
    let wired = match &candidate.wiring {
        Wiring::None => 0,
        live if discriminant(live) == discriminant(part) => 6,
        live if on_bridge(live) && on_bridge(part) => 4,
        _ => 1,
    };
    wired + if candidate.configured { 3 } else { 0 }
}

impl<'a> Casting<'a> {
    /// The best casting; on a tie everybody plays under their own name.
    pub(super) fn best(topology: &'a Topology, lab: &'a Topology, view: &View) -> Self {
        let stage: Vec<(NodeName, Vec<Candidate>)> =
            lab.hosts.iter().map(|host| (host.name.clone(), on(view, lab, host))).collect();
        let mut best: Option<(u32, usize, Vec<Option<usize>>)> = None;
        for choice in choices(topology, lab) {
            let mut score = 0;
            let mut same = 0;
            for (host, at) in topology.hosts.iter().zip(&choice) {
                let Some(at) = at else { continue };
                let (cast, points) = cast(host, &stage[*at].1);
                score += points;
                same += usize::from(host.name == stage[*at].0) + cast.iter().filter(|(role, name)| role == name).count();
            }
            if best.as_ref().is_none_or(|(most, names, _)| (score, same) > (*most, *names)) {
                best = Some((score, same, choice));
            }
        }
        let choice = best.map(|(_, _, choice)| choice).unwrap_or_default();
        let mut casting = Self { topology, lab, hosts: BTreeMap::new(), containers: BTreeMap::new(), networks: BTreeMap::new() };
        for (host, at) in topology.hosts.iter().zip(&choice) {
            let Some(at) = at else { continue };
            let (name, candidates) = &stage[*at];
            casting.hosts.insert(host.name.clone(), name.clone());
            for (role, player) in cast(host, candidates).0 {
                let id = NodeId::Container;
                casting.containers.insert(id(host.name.clone(), role), id(name.clone(), player));
            }
        }
        casting.join();
        casting
    }

    /// Networks: those that join the players of whom a network of the topology joins.
    fn join(&mut self) {
        for network in &self.topology.networks {
            let ends: HashSet<&NodeName> =
                self.topology.ends(&network.name).filter_map(|(host, _)| self.hosts.get(&host.name)).collect();
            let joins = |other: &&Network| {
                let there: HashSet<&NodeName> = self.lab.ends(&other.name).map(|(host, _)| &host.name).collect();
                ends.iter().all(|host| there.contains(*host))
            };
            let mut found: Vec<&Network> = self.lab.networks.iter().filter(joins).collect();
            found.sort_by_key(|other| other.name != network.name);
            if let Some(other) = found.first() {
                self.networks.insert(network.name.clone(), other.name.clone());
            }
        }
    }

    /// The containers that play a part which is named.
    fn named(&self, names: &[NodeId]) -> Vec<NodeId> {
        self.containers.iter().filter(|(role, _)| names.contains(role)).map(|(_, player)| player.clone()).collect()
    }

    /// Who plays what, of the hosts and of the containers that are named.
    fn roles(&self, names: &[NodeId], view: &View) -> Vec<Role> {
        let mut roles = Vec::new();
        for host in &self.topology.hosts {
            let player = self.hosts.get(&host.name);
            let inside = host.containers.iter().map(|each| NodeId::Container(host.name.clone(), each.name.clone()));
            let inside: Vec<NodeId> = inside.filter(|role| names.contains(role)).collect();
            let players = inside.iter().filter_map(|role| self.containers.get(role));
            let wirings: Vec<Wiring> = players.map(|player| wiring(view, self.lab, player)).collect();
            let wiring = wirings.iter().min().cloned().unwrap_or(Wiring::None);
            roles.push(Role { role: host.name.to_string(), node: player.map(ToString::to_string), wiring });
            for (role, wiring) in inside.iter().zip(wirings.into_iter().map(Some).chain(std::iter::repeat(None))) {
                let node = self.containers.get(role).map(ToString::to_string);
                roles.push(Role { role: role.to_string(), node, wiring: wiring.unwrap_or(Wiring::None) });
            }
        }
        roles
    }

    fn node(&self, role: &NodeId) -> Result<NodeId, Common> {
        let player = match role {
            NodeId::Host(host) => self.hosts.get(host).cloned().map(NodeId::Host),
            NodeId::Container(..) => self.containers.get(role).cloned(),
            NodeId::Switch(_) => None,
        };
        player.ok_or_else(|| Common::NoPlayer { role: role.to_string() })
    }

    fn network(&self, network: &NodeName) -> Result<NodeName, Common> {
        self.networks.get(network).cloned().ok_or_else(|| Common::NoNetwork { network: network.to_string() })
    }

    /// The player's NIC on the network that plays the NIC's network.
    fn nic(&self, host: &NodeName, nic: &IfName) -> Result<IfName, Common> {
        let no_player = || Common::NoPlayer { role: format!("{host}.{nic}") };
        let described = self.topology.host(host.as_str()).and_then(|host| host.nics.iter().find(|each| each.name == *nic));
        let Some(Attach::Network(network)) = described.map(|nic| &nic.attach) else { return Err(no_player()) };
        let network = self.network(network)?;
        let player = self.hosts.get(host).ok_or_else(no_player)?;
        let found = self.lab.ends(&network).find(|(host, _)| host.name == *player).map(|(_, nic)| nic.name.clone());
        found.ok_or(Common::NoNetwork { network: network.to_string() })
    }
}

impl<'a> Players<'a> {
    /// The nodes of which is asked who plays them.
    pub(super) fn asked(job: impl FnOnce(&Players<'_>)) -> Vec<NodeId> {
        let nodes = RefCell::default();
        job(&Players::Noting(&nodes));
        nodes.into_inner()
    }

    fn casting(&self) -> Option<&Casting<'a>> {
        if let Self::Another(casting) = self { Some(casting) } else { None }
    }

    /// Whether another topology judges.
    pub(super) fn is_another(&self) -> bool {
        self.casting().is_some()
    }

    /// The networks of the lab that count; none where all do.
    pub(super) fn networks(&self) -> Option<HashSet<NodeName>> {
        self.casting().map(|casting| casting.networks.values().cloned().collect())
    }

    /// The containers of the lab that play a part of these.
    pub(super) fn named(&self, names: &[NodeId]) -> Vec<NodeId> {
        self.casting().map_or_else(Vec::new, |casting| casting.named(names))
    }

    /// Who plays what of another topology: the hosts, and the containers among these.
    pub(super) fn roles(&self, names: &[NodeId], view: &View) -> Vec<Role> {
        self.casting().map_or_else(Vec::new, |casting| casting.roles(names, view))
    }

    /// Who plays a node.
    pub(super) fn machine(&self, role: &Machine) -> Result<Machine, Common> {
        match self {
            Self::Own(_) => {}
            Self::Another(casting) => return casting.node(&role.0).map(Machine),
            Self::Noting(nodes) => nodes.borrow_mut().push(role.0.clone()),
        }
        Ok(role.clone())
    }

    /// Who plays each of the nodes.
    pub(super) fn all(&self, roles: &[Machine]) -> Result<Vec<Machine>, Common> {
        roles.iter().map(|role| self.machine(role)).collect()
    }

    /// Who plays each of the pairs.
    pub(super) fn pairs(&self, pairs: &[Pair]) -> Result<Vec<Pair>, Common> {
        pairs.iter().map(|(from, to)| Ok((self.machine(from)?, self.machine(to)?))).collect()
    }

    /// The host that plays a host.
    pub(super) fn host(&self, role: &NodeName) -> Result<NodeName, Common> {
        self.machine(&Machine(NodeId::Host(role.clone()))).map(|player| player.0.name().clone())
    }

    /// Who plays several nodes.
    pub(super) fn members(&self, members: &Members) -> Result<Members, Common> {
        match (members, self) {
            (Members::Containers, _) => Ok(Members::Containers),
            // Of a larger lab only the hosts that play.
            (Members::Hosts, Self::Another(casting)) => {
                Ok(Members::These(casting.hosts.values().cloned().map(NodeId::Host).map(Machine).collect()))
            }
            (Members::Hosts, _) => Ok(Members::Hosts),
            (Members::These(roles), _) => self.all(roles).map(Members::These),
        }
    }

    /// The network that joins the players of whom a network joins.
    pub(super) fn network(&self, network: &NodeName) -> Result<NodeName, Common> {
        self.casting().map_or_else(|| Ok(network.clone()), |casting| casting.network(network))
    }

    /// The NIC that plays a host's NIC.
    pub(super) fn nic(&self, host: &NodeName, nic: &IfName) -> Result<IfName, Common> {
        match self {
            Self::Own(Some(role)) if role.host == *host => Ok(role.nics.get(nic).unwrap_or(nic).clone()),
            Self::Own(_) | Self::Noting(_) => Ok(nic.clone()),
            Self::Another(casting) => casting.nic(host, nic),
        }
    }
}

fn on(view: &View, lab: &Topology, host: &Host) -> Vec<Candidate> {
    let here = containers(view).filter(|id| matches!(id, NodeId::Container(of, _) if *of == host.name));
    here.map(|id| Candidate {
        name: id.name().clone(),
        wiring: wiring(view, lab, id),
        configured: !addresses(view, id, true).is_empty(),
    })
    .collect()
}

/// Every way to give the hosts of the topology to hosts of the lab.
fn choices(topology: &Topology, lab: &Topology) -> Vec<Vec<Option<usize>>> {
    let by_name = |host: &Host| lab.hosts.iter().position(|other| other.name == host.name);
    if lab.hosts.len() > HOSTS || topology.hosts.len() > lab.hosts.len() {
        return vec![topology.hosts.iter().map(by_name).collect()];
    }
    let mut all: Vec<Vec<Option<usize>>> = vec![Vec::new()];
    for _ in &topology.hosts {
        let longer = |begun: Vec<Option<usize>>| {
            let free: Vec<usize> = (0..lab.hosts.len()).filter(|at| !begun.contains(&Some(*at))).collect();
            free.into_iter().map(move |at| [begun.clone(), vec![Some(at)]].concat())
        };
        all = all.into_iter().flat_map(longer).collect();
    }
    all
}

/// The containers of a host and who plays them: the fittest first, on a tie the one of the same name.
fn cast(host: &Host, candidates: &[Candidate]) -> (Vec<(NodeName, NodeName)>, u32) {
    let (mut cast, mut score): (Vec<(NodeName, NodeName)>, u32) = (Vec::new(), 0);
    for container in &host.containers {
        let part = described(host, container);
        let free = candidates.iter().filter(|candidate| !cast.iter().any(|(_, taken)| *taken == candidate.name));
        let best = free.rev().max_by_key(|candidate| (fitness(&part, candidate), candidate.name == container.name));
        if let Some(best) = best {
            score += fitness(&part, best);
            cast.push((container.name.clone(), best.name.clone()));
        }
    }
    (cast, score)
}
