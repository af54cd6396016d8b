//! Who plays which part of another topology: judged by how nodes are wired, not by their names.

use std::collections::{BTreeMap, HashSet};

use super::evidence::Common;
use super::nodes::{Machine, Members, Pair};
use super::scene::{addresses, containers, wiring};
use crate::name::{IfName, NodeName};
use crate::plan::NodeId;
use crate::probe::view::View;
use crate::report::check::{Role, Wiring};
use crate::topology::{self, Attach, Container, Host, Network, Topology};

/// With more hosts than this only those of the same names are tried.
const HOSTS: usize = 6;

/// Who plays the parts that checks name.
pub(super) enum Players<'a> {
    /// Everybody themselves. Of the host that this machine plays, NICs have other names.
    Own(Option<&'a topology::Role>),
    /// Nodes of the lab the parts of another topology.
    Another(Casting<'a>),
}

/// The parts of a topology and who plays them.
pub(super) struct Casting<'a> {
    topology: &'a Topology,
    lab: &'a Topology,
    hosts: BTreeMap<NodeName, NodeName>,
    containers: BTreeMap<Machine, Machine>,
    networks: BTreeMap<NodeName, NodeName>,
}

/// How a container of the described lab is wired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Switch,
    Gateway,
    PointToPoint,
    None,
}

/// A container of the lab as a candidate.
struct Candidate {
    name: NodeName,
    part: Part,
    configured: bool,
}

fn part(host: &Host, container: &Container) -> Part {
    let Some(Attach::Host(end)) = container.nics.first().map(|nic| &nic.attach) else { return Part::None };
    let Some(name) = &end.bridge else { return Part::PointToPoint };
    let joined = host.bridges.iter().any(|bridge| bridge.name == *name && !bridge.ports.is_empty());
    if joined { Part::Switch } else { Part::Gateway }
}

fn live_part(wiring: &Wiring) -> Part {
    match wiring {
        Wiring::Switch { .. } => Part::Switch,
        Wiring::Gateway { .. } => Part::Gateway,
        Wiring::PointToPoint => Part::PointToPoint,
        Wiring::None => Part::None,
    }
}

/// How well a container plays a part: its wiring first, then that anything is configured in it.
fn fitness(part: Part, candidate: &Candidate) -> u32 {
    let on_bridge = |part| matches!(part, Part::Switch | Part::Gateway);
    let wired = match candidate.part {
        Part::None => 0,
        live if live == part => 6,
        live if on_bridge(live) && on_bridge(part) => 4,
        _ => 1,
    };
    wired + if candidate.configured { 3 } else { 0 }
}

impl<'a> Casting<'a> {
    /// The best casting; on a tie everybody plays under their own name.
    pub(super) fn of(topology: &'a Topology, lab: &'a Topology, view: &View) -> Self {
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
                casting.containers.insert(Machine::container(&host.name, &role), Machine::container(name, &player));
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
    fn named(&self, names: &[Machine]) -> Vec<NodeId> {
        self.containers.iter().filter(|(role, _)| names.contains(role)).map(|(_, player)| player.id()).collect()
    }

    /// Who plays what, of the hosts and of the containers that are named.
    fn roles(&self, names: &[Machine], view: &View) -> Vec<Role> {
        let mut roles = Vec::new();
        for host in &self.topology.hosts {
            let player = self.hosts.get(&host.name);
            let inside = host.containers.iter().map(|each| Machine::container(&host.name, &each.name));
            let inside: Vec<Machine> = inside.filter(|role| names.contains(role)).collect();
            let players = inside.iter().filter_map(|role| self.containers.get(role));
            let wirings: Vec<Wiring> = players.map(|player| wiring(view, self.lab, &player.id())).collect();
            let wiring = wirings.iter().min().cloned().unwrap_or(Wiring::None);
            roles.push(Role { role: host.name.to_string(), node: player.map(ToString::to_string), wiring });
            for (role, wiring) in inside.iter().zip(wirings.into_iter().map(Some).chain(std::iter::repeat(None))) {
                let node = self.containers.get(role).map(ToString::to_string);
                roles.push(Role { role: role.to_string(), node, wiring: wiring.unwrap_or(Wiring::None) });
            }
        }
        roles
    }

    fn machine(&self, role: &Machine) -> Result<Machine, Common> {
        let player = match &role.container {
            None => self.hosts.get(&role.host).map(Machine::host),
            Some(_) => self.containers.get(role).cloned(),
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

impl Players<'_> {
    /// Whether another topology judges.
    pub(super) fn is_another(&self) -> bool {
        matches!(self, Self::Another(_))
    }

    /// The networks of the lab that count; none where all do.
    pub(super) fn networks(&self) -> Option<HashSet<NodeName>> {
        match self {
            Self::Own(_) => None,
            Self::Another(casting) => Some(casting.networks.values().cloned().collect()),
        }
    }

    /// The containers of the lab that play a part of these.
    pub(super) fn named(&self, names: &[Machine]) -> Vec<NodeId> {
        match self {
            Self::Own(_) => Vec::new(),
            Self::Another(casting) => casting.named(names),
        }
    }

    /// Who plays what of another topology: the hosts, and the containers among these.
    pub(super) fn roles(&self, names: &[Machine], view: &View) -> Vec<Role> {
        match self {
            Self::Own(_) => Vec::new(),
            Self::Another(casting) => casting.roles(names, view),
        }
    }

    /// Who plays a node.
    pub(super) fn machine(&self, role: &Machine) -> Result<Machine, Common> {
        match self {
            Self::Own(_) => Ok(role.clone()),
            Self::Another(casting) => casting.machine(role),
        }
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
        self.machine(&Machine::host(role)).map(|player| player.host)
    }

    /// Who plays several nodes.
    pub(super) fn members(&self, members: &Members) -> Result<Members, Common> {
        match (members, self) {
            (Members::Containers, _) => Ok(Members::Containers),
            (Members::Hosts, Self::Own(_)) => Ok(Members::Hosts),
            // Of a larger lab only the hosts that play.
            (Members::Hosts, Self::Another(casting)) => Ok(Members::These(casting.hosts.values().map(Machine::host).collect())),
            (Members::These(roles), _) => self.all(roles).map(Members::These),
        }
    }

    /// The network that joins the players of whom a network joins.
    pub(super) fn network(&self, network: &NodeName) -> Result<NodeName, Common> {
        match self {
            Self::Own(_) => Ok(network.clone()),
            Self::Another(casting) => casting.network(network),
        }
    }

    /// The NIC that plays a host's NIC.
    pub(super) fn nic(&self, host: &NodeName, nic: &IfName) -> Result<IfName, Common> {
        match self {
            Self::Own(role) => {
                let real = role.filter(|role| role.host == *host).and_then(|role| role.nics.get(nic));
                Ok(real.unwrap_or(nic).clone())
            }
            Self::Another(casting) => casting.nic(host, nic),
        }
    }
}

fn on(view: &View, lab: &Topology, host: &Host) -> Vec<Candidate> {
    let here = containers(view).filter(|id| matches!(id, NodeId::Container(of, _) if *of == host.name));
    here.map(|id| Candidate {
        name: id.name().clone(),
        part: live_part(&wiring(view, lab, id)),
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
        let part = part(host, container);
        let free = candidates.iter().filter(|candidate| !cast.iter().any(|(_, taken)| *taken == candidate.name));
        let best = free.rev().max_by_key(|candidate| (fitness(part, candidate), candidate.name == container.name));
        if let Some(best) = best {
            score += fitness(part, best);
            cast.push((container.name.clone(), best.name.clone()));
        }
    }
    (cast, score)
}
