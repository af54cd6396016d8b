//! Who plays which part of another topology: judged by how nodes are wired, not by their names.

use std::collections::{BTreeMap, HashSet};

use super::scene::{addresses, containers, wiring};
use crate::name::{IfName, NodeName};
use crate::plan::NodeId;
use crate::probe::view::View;
use crate::report::check::{Evidence, Role, Wiring};
use crate::topology::checks::{
    Addresses, Bridged, Check, Command, Control, Destination, Forwarding, Machine, Macs, Members, Path, Plug, Reach, Router,
    Routes,
};
use crate::topology::{Attach, Container, Host, Network, Topology};

/// With more hosts than this only those of the same names are tried.
const HOSTS: usize = 6;

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
    pub(super) fn new(topology: &'a Topology, lab: &'a Topology, view: &View) -> Self {
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
                let role = Machine { host: host.name.clone(), container: Some(role) };
                casting.containers.insert(role, Machine { host: name.clone(), container: Some(player) });
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

    /// The networks of the lab that count.
    pub(super) fn networks(&self) -> HashSet<NodeName> {
        self.networks.values().cloned().collect()
    }

    /// The containers that play a part which a check names.
    pub(super) fn named(&self, checks: &[&Check]) -> Vec<NodeId> {
        let mut named = Vec::new();
        for (role, player) in &self.containers {
            if checks.iter().any(|check| names(check, role)) {
                named.push(super::scene::id(player));
            }
        }
        named
    }

    /// Who plays what, of the hosts and of the containers that the checks name.
    pub(super) fn roles(&self, checks: &[&Check], view: &View) -> Vec<Role> {
        let mut roles = Vec::new();
        for host in &self.topology.hosts {
            let player = self.hosts.get(&host.name);
            let role = Machine { host: host.name.clone(), container: None };
            let inside =
                host.containers.iter().map(|each| Machine { host: host.name.clone(), container: Some(each.name.clone()) });
            let inside: Vec<Machine> = inside.filter(|role| checks.iter().any(|check| names(check, role))).collect();
            let wirings: Vec<Wiring> = inside
                .iter()
                .filter_map(|role| self.containers.get(role))
                .map(|player| wiring(view, self.lab, &super::scene::id(player)))
                .collect();
            let wiring = wirings.iter().min().cloned().unwrap_or(Wiring::None);
            roles.push(Role { role: role.to_string(), node: player.map(ToString::to_string), wiring });
            for (role, wiring) in inside.iter().zip(wirings.into_iter().map(Some).chain(std::iter::repeat(None))) {
                let node = self.containers.get(role).map(ToString::to_string);
                roles.push(Role { role: role.to_string(), node, wiring: wiring.unwrap_or(Wiring::None) });
            }
        }
        roles
    }

    fn machine(&self, role: &Machine) -> Result<Machine, Evidence> {
        let player = match &role.container {
            None => self.hosts.get(&role.host).map(|host| Machine { host: host.clone(), container: None }),
            Some(_) => self.containers.get(role).cloned(),
        };
        player.ok_or_else(|| Evidence::NoPlayer { role: role.to_string() })
    }

    fn all(&self, roles: &[Machine]) -> Result<Vec<Machine>, Evidence> {
        roles.iter().map(|role| self.machine(role)).collect()
    }

    fn pairs(&self, pairs: &[(Machine, Machine)]) -> Result<Vec<(Machine, Machine)>, Evidence> {
        pairs.iter().map(|(from, to)| Ok((self.machine(from)?, self.machine(to)?))).collect()
    }

    fn network(&self, network: &NodeName) -> Result<NodeName, Evidence> {
        self.networks.get(network).cloned().ok_or_else(|| Evidence::NoNetwork { network: network.to_string() })
    }

    fn members(&self, members: &Members) -> Result<Members, Evidence> {
        match members {
            Members::Containers => Ok(Members::Containers),
            // Of a larger lab only the hosts that play.
            Members::Hosts => {
                let players = self.hosts.values().map(|host| Machine { host: host.clone(), container: None });
                Ok(Members::These(players.collect()))
            }
            Members::These(roles) => self.all(roles).map(Members::These),
        }
    }

    /// The NIC that plays a NIC: the player's on the network that plays its network.
    fn nic(&self, host: &NodeName, nic: &IfName) -> Result<IfName, Evidence> {
        let no_player = || Evidence::NoPlayer { role: format!("{host}.{nic}") };
        let described = self.topology.host(host.as_str()).and_then(|host| host.nics.iter().find(|each| each.name == *nic));
        let Some(Attach::Network(network)) = described.map(|nic| &nic.attach) else { return Err(no_player()) };
        let network = self.network(network)?;
        let player = self.hosts.get(host).ok_or_else(no_player)?;
        let found = self.lab.ends(&network).find(|(host, _)| host.name == *player).map(|(_, nic)| nic.name.clone());
        found.ok_or(Evidence::NoNetwork { network: network.to_string() })
    }

    /// The check in the names of the lab, or why nobody can play it.
    pub(super) fn translate(&self, check: &Check) -> Result<Check, Evidence> {
        Ok(match check {
            Check::Reach(Reach::All) => Check::Reach(Reach::All),
            Check::Reach(Reach::Pairs(pairs)) => Check::Reach(Reach::Pairs(self.pairs(pairs)?)),
            Check::Unreachable(pairs) => Check::Unreachable(self.pairs(pairs)?),
            Check::Macs(macs) => Check::Macs(Macs { network: self.network(&macs.network)?, owners: self.members(&macs.owners)? }),
            Check::Path(path) => Check::Path(self.path(path)?),
            Check::RecordRoute(path) => Check::RecordRoute(self.path(path)?),
            Check::Routes(routes) => Check::Routes(Routes {
                node: self.machine(&routes.node)?,
                to: match &routes.to {
                    Destination::Node(role) => Destination::Node(self.machine(role)?),
                    Destination::Prefix(prefix) => Destination::Prefix(*prefix),
                },
                via: match &routes.via {
                    Some(Router::Node(role)) => Some(Router::Node(self.machine(role)?)),
                    other => other.clone(),
                },
            }),
            Check::Addresses(addresses) => Check::Addresses(Addresses {
                of: self.members(&addresses.of)?,
                network: addresses.network.as_ref().map(|network| self.network(network)).transpose()?,
                ..addresses.clone()
            }),
            Check::Forwarding(forwarding) => {
                Check::Forwarding(Forwarding { on: self.all(&forwarding.on)?, off: self.all(&forwarding.off)? })
            }
            Check::Bridge(bridged) => Check::Bridge(self.bridged(bridged)?),
            Check::Command(command) => Check::Command(Command { node: self.machine(&command.node)?, ..command.clone() }),
            Check::Control(control) => Check::Control(Control { from: self.host(&control.from)?, of: self.host(&control.of)? }),
        })
    }

    fn host(&self, role: &NodeName) -> Result<NodeName, Evidence> {
        self.hosts.get(role).cloned().ok_or_else(|| Evidence::NoPlayer { role: role.to_string() })
    }

    fn path(&self, path: &Path) -> Result<Path, Evidence> {
        Ok(Path { from: self.machine(&path.from)?, to: self.machine(&path.to)?, hops: self.all(&path.hops)? })
    }

    fn bridged(&self, bridged: &Bridged) -> Result<Bridged, Evidence> {
        let host = self.machine(&Machine { host: bridged.host.clone(), container: None })?.host;
        let plug = |plug: &Plug| match plug {
            Plug::Nic(nic) => self.nic(&bridged.host, nic).map(Plug::Nic),
            Plug::Container(name) => {
                let role = Machine { host: bridged.host.clone(), container: Some(name.clone()) };
                let player = self.machine(&role)?;
                player.container.map(Plug::Container).ok_or(Evidence::NoPlayer { role: role.to_string() })
            }
        };
        // Bridges may have any name.
        Ok(Bridged { host, name: None, ports: bridged.ports.iter().map(plug).collect::<Result<_, _>>()? })
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

/// Whether a check names a node.
fn names(check: &Check, role: &Machine) -> bool {
    let pair = |(from, to): &(Machine, Machine)| from == role || to == role;
    let among = |members: &Members| matches!(members, Members::These(these) if these.contains(role));
    match check {
        Check::Reach(Reach::All) | Check::Control(_) => false,
        Check::Reach(Reach::Pairs(pairs)) | Check::Unreachable(pairs) => pairs.iter().any(pair),
        Check::Macs(macs) => among(&macs.owners),
        Check::Path(path) | Check::RecordRoute(path) => path.from == *role || path.hops.contains(role),
        Check::Routes(routes) => {
            routes.node == *role || routes.to == Destination::Node(role.clone()) || routes.via == Some(Router::Node(role.clone()))
        }
        Check::Addresses(addresses) => among(&addresses.of),
        Check::Forwarding(forwarding) => forwarding.on.contains(role) || forwarding.off.contains(role),
        Check::Bridge(bridged) => {
            let plugged = |plug: &Plug| matches!(plug, Plug::Container(name) if Some(name) == role.container.as_ref());
            bridged.host == role.host && bridged.ports.iter().any(plugged)
        }
        Check::Command(command) => command.node == *role,
    }
}
