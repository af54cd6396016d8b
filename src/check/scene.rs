//! The live lab as the checks see it: who is plugged into what, which addresses count, and which pairs answer each other's pings.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::evidence::{Besides, Common};
use crate::name::{IfName, NodeName};
use crate::plan::NodeId;
use crate::probe::is_link_local;
use crate::probe::ping::all;
use crate::probe::ping::stations::{Station, Stations};
use crate::probe::predict::{Probe, predict, share_segment};
use crate::probe::view::is_managed;
use crate::probe::view::{Place, View};
use crate::report::machine::{Link, Route};
use crate::report::probe::{Family, Pair, Wiring};
use crate::report::wire::Interface;
use crate::topology::{Attach, Topology};

/// A container's interface and the other end of its cable.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cable<'a> {
    pub inner: &'a Link,
    /// The host's interface at the other end; none where it ends elsewhere.
    pub end: Option<(&'a Place, &'a Link)>,
}

/// The live lab, and what of it is judged.
pub(super) struct Scene<'a> {
    pub view: &'a View,
    /// The lab as it was described: its networks and NICs.
    pub lab: &'a Topology,
    /// Containers that are stopped, as `host.container`.
    pub stopped: &'a [String],
    /// The host that this machine plays.
    pub role: Option<&'a NodeName>,
    /// Nodes whose namespaces are gone.
    pub gone: &'a [NodeId],
    /// Whether another topology judges: then spares, managed bridges and further networks do not count.
    pub against: bool,
    /// Addresses that count.
    pub stations: Stations,
    /// The families that the checks are about.
    pub families: Vec<Family>,
    /// Addresses that do not count, and where they are.
    pub besides: Vec<(NodeId, Besides)>,
    /// Containers that the checks speak of, besides those that are configured.
    pub named: Vec<NodeId>,
}

/// The host of a container.
pub(super) fn host(id: &NodeId) -> Option<&str> {
    match id {
        NodeId::Container(host, _) => Some(host.as_str()),
        NodeId::Host(_) | NodeId::Switch(_) => None,
    }
}

/// The cables of a container.
pub(super) fn cables<'a>(view: &'a View, id: &NodeId) -> Vec<Cable<'a>> {
    let Some(place) = view.place(id) else { return Vec::new() };
    let cable = |inner: &'a Link| {
        let end = inner.peer.as_ref().and_then(|peer| {
            let other = view.named(peer.node.as_ref()?)?;
            Some((other, other.named(peer.name.as_ref()?)?))
        });
        Cable { inner, end }
    };
    place.node.links.iter().filter(|link| link.kind == "veth").map(cable).collect()
}

impl Cable<'_> {
    /// The bridge of its own host that it ends in.
    pub(super) fn bridge(&self, host: &NodeName) -> Option<&str> {
        let (place, link) = self.end?;
        link.bridge.as_deref().filter(|_| place.id == NodeId::Host(host.clone()))
    }

    /// Whether its own host has an address or a route at the other end: before that it may yet become anything.
    fn is_configured(&self, host: &NodeName) -> bool {
        let Some((place, link)) = self.end.filter(|(place, _)| place.id == NodeId::Host(host.clone())) else { return false };
        let addressed = link.addresses.iter().any(|net| !is_link_local(net.addr()));
        let to_here = |route: &Route| route.dev.as_ref() == Some(&link.name) && !is_local(route.to.addr());
        addressed || place.node.routes.iter().any(to_here)
    }
}

/// Whether a route there comes with IPv6 itself: link-local addresses and multicast.
fn is_local(address: IpAddr) -> bool {
    is_link_local(address) || address.is_multicast()
}

/// The addresses of a node that do not count, and where they are.
pub(super) fn besides(view: &View, id: &NodeId, own: &[(String, IpNet)], counting: &[(String, IpNet)]) -> Vec<Besides> {
    let behind = |interface: &str| {
        let NodeId::Container(host, _) = id else { return None };
        let cable = cables(view, id).into_iter().find(|cable| cable.inner.name == interface)?;
        cable.bridge(host).filter(|bridge| is_managed(bridge)).map(str::to_owned)
    };
    let left_out = own.iter().filter(|address| !counting.contains(address) && !is_link_local(address.1.addr()));
    left_out
        .map(|(interface, net)| {
            let managed = behind(interface).or_else(|| managed_subnet(view, id, net));
            Besides { address: *net, interface: managed.unwrap_or_else(|| interface.clone()) }
        })
        .collect()
}

/// Addresses of a node that another can send to, by interface; with `judged` without those behind managed bridges.
pub(super) fn addresses(view: &View, id: &NodeId, judged: bool) -> Vec<(String, IpNet)> {
    let Some(place) = view.place(id) else { return Vec::new() };
    let hidden: HashSet<&str> = match id {
        NodeId::Container(host, _) if judged => {
            let managed = |cable: &Cable<'_>| cable.bridge(host).is_some_and(is_managed);
            cables(view, id).into_iter().filter(managed).map(|cable| cable.inner.name.as_str()).collect()
        }
        _ => HashSet::new(),
    };
    let counts = |link: &&Link| {
        let managed = judged && (is_managed(&link.name) || link.bridge.as_deref().is_some_and(is_managed));
        link.kind != "loopback" && !hidden.contains(link.name.as_str()) && !managed
    };
    let nets = |link: &Link| link.addresses.iter().map(|net| (link.name.clone(), *net)).collect::<Vec<_>>();
    let all = place.node.links.iter().filter(counts).flat_map(nets);
    let left = |net: &IpNet| judged && managed_subnet(view, id, net).is_some();
    all.filter(|(_, net)| !is_link_local(net.addr()) && !net.addr().is_loopback() && !left(net)).collect()
}

/// The managed bridge of a container's host whose subnet an address is of: who pulls its cable out there keeps the address.
fn managed_subnet(view: &View, id: &NodeId, net: &IpNet) -> Option<String> {
    let NodeId::Container(host, _) = id else { return None };
    let place = view.place(&NodeId::Host(host.clone()))?;
    let bridges = place.node.links.iter().filter(|link| is_managed(&link.name));
    let mut subnets = bridges.flat_map(|link| link.addresses.iter().map(move |own| (link, own)));
    subnets.find(|(_, own)| own.trunc() == net.trunc() && own.addr() != net.addr()).map(|(link, _)| link.name.clone())
}

/// Every container of the lab, made by hand or not.
pub(super) fn containers(view: &View) -> impl Iterator<Item = &NodeId> {
    view.places.iter().map(|place| &place.id).filter(|id| matches!(id, NodeId::Container(..)))
}

/// How a container is wired.
pub(super) fn wiring(view: &View, lab: &Topology, id: &NodeId) -> Wiring {
    let NodeId::Container(host, _) = id else { return Wiring::None };
    let mut best = Wiring::None;
    for cable in cables(view, id) {
        let found = match cable.bridge(host) {
            Some(bridge) if is_managed(bridge) => continue,
            Some(bridge) if has_nic(view, lab, host, bridge) => Wiring::Switch { bridge: bridge.to_owned() },
            Some(bridge) => Wiring::Gateway { bridge: bridge.to_owned() },
            None if cable.is_configured(host) => Wiring::PointToPoint,
            None => continue,
        };
        best = best.min(found);
    }
    best
}

fn has_nic(view: &View, lab: &Topology, host: &NodeName, bridge: &str) -> bool {
    let nics = lab.host(host.as_str()).map_or(&[][..], |host| &host.nics);
    let place = view.place(&NodeId::Host(host.clone()));
    let port = |name: &str| {
        place.is_some_and(|place| place.node.links.iter().any(|link| link.name == name && link.bridge.as_deref() == Some(bridge)))
    };
    nics.iter().any(|nic| port(nic.name.as_str()))
}

impl Scene<'_> {
    /// The node, or why nothing can be said about it.
    pub(super) fn place(&self, id: &NodeId) -> Result<&Place, Common> {
        self.view.place(id).ok_or_else(|| {
            let node = id.to_string();
            if self.stopped.contains(&node) { Common::Stopped { node } } else { Common::NodeGone { node } }
        })
    }

    /// Whether the node is on another machine.
    pub(super) fn is_remote(&self, id: &NodeId) -> bool {
        self.view.is_remote(id)
    }

    /// The cables of a container.
    pub(super) fn cables(&self, id: &NodeId) -> Vec<Cable<'_>> {
        cables(self.view, id)
    }

    /// The station of a node: the addresses that count.
    pub(super) fn station(&self, id: &NodeId) -> Option<&Station> {
        self.stations.all.iter().find(|station| station.id == *id)
    }

    /// The addresses that count, of the families that count.
    pub(super) fn addresses(&self, id: &NodeId) -> Vec<(String, IpNet)> {
        self.station(id).map(|station| station.addresses.clone()).unwrap_or_default()
    }

    /// That a node has no address that counts, and those that it has.
    pub(super) fn no_address(&self, id: &NodeId) -> Common {
        let besides: Vec<Besides> =
            self.besides.iter().filter(|(other, _)| other == id).map(|(_, besides)| besides.clone()).collect();
        let family = self.only_family(besides.iter().map(|besides| besides.address));
        Common::NoAddress { node: id.to_string(), family, besides }
    }

    /// The one family that counts, where some of the addresses are of the other.
    pub(super) fn only_family(&self, mut besides: impl Iterator<Item = IpNet>) -> Option<Family> {
        let [family] = self.families.as_slice() else { return None };
        besides.any(|net| Family::from_address(net.addr()) != *family).then_some(*family)
    }

    /// Why no ping can go from one node to another that is there.
    pub(super) fn unmet(&self, from: &NodeId, to: &NodeId) -> Common {
        if let Some(bare) = [from, to].into_iter().find(|id| self.addresses(id).is_empty()) {
            return self.no_address(bare);
        }
        let both = [from.clone(), to.clone()];
        let same = self.shared(&both).into_iter().next();
        same.unwrap_or_else(|| Common::NoFamily { from: from.to_string(), to: to.to_string() })
    }

    /// Addresses that several of the nodes have on one segment: what each has behind itself is its own affair.
    pub(super) fn duplicates(&self, nodes: &[NodeId]) -> Vec<Common> {
        let meet = |owners: &[Interface]| {
            let pairs = owners.iter().enumerate().flat_map(|(at, one)| owners[at + 1..].iter().map(move |other| (one, other)));
            pairs.into_iter().any(|(one, other)| one.node != other.node && share_segment(self.view, one, other))
        };
        let shared = self.shared(nodes).into_iter();
        shared.filter(|evidence| matches!(evidence, Common::Duplicate { owners, .. } if meet(owners))).collect()
    }

    /// Addresses that several of the nodes have.
    fn shared(&self, nodes: &[NodeId]) -> Vec<Common> {
        let mut found = Vec::new();
        let names: BTreeSet<String> = nodes.iter().map(ToString::to_string).collect();
        let mut seen: BTreeMap<IpAddr, &NodeId> = BTreeMap::new();
        for (node, (_, net)) in nodes.iter().flat_map(|node| self.addresses(node).into_iter().map(move |own| (node, own))) {
            if *seen.entry(net.addr()).or_insert(node) == node {
                continue;
            }
            let owners: Vec<_> = self.owners(net.addr()).into_iter().filter(|owner| names.contains(&owner.node)).collect();
            let evidence = Common::Duplicate { address: net.addr(), owners };
            if !found.contains(&evidence) {
                found.push(evidence);
            }
        }
        found
    }

    /// Against another topology, that there is nobody on one side.
    pub(super) fn too_few(&self) -> Option<Common> {
        let configured: Vec<NodeId> = self.containers().into_iter().filter(|id| self.is_configured(id)).collect();
        if self.containers().len() < 2 || (self.against && configured.len() < 2) {
            return Some(self.few(&configured));
        }
        let hosts: BTreeSet<&str> = configured.iter().filter_map(host).collect();
        match hosts.first() {
            Some(here) if self.against && hosts.len() == 1 => {
                let all: BTreeSet<&str> = containers(self.view).filter_map(host).collect();
                Some(Common::OneHost { host: (*here).to_owned(), others: all.len() - 1 })
            }
            _ => None,
        }
    }

    /// That so few containers have an address that counts.
    pub(super) fn few(&self, configured: &[NodeId]) -> Common {
        let besides = self.besides.iter().any(|(id, _)| matches!(id, NodeId::Container(..)) && !configured.contains(id));
        Common::TooFew { configured: configured.iter().map(ToString::to_string).collect(), besides }
    }

    /// The address by which one node pings another, as `ping --all` chooses it: on a segment of its own before one behind a router.
    pub(super) fn address(&self, from: &NodeId, to: &NodeId) -> Option<IpAddr> {
        let (sender, receiver) = (self.station(from)?, self.station(to)?);
        let own = |address: &IpAddr| sender.addresses.iter().any(|(_, net)| net.addr() == *address);
        let family = |address: &IpAddr| sender.addresses.iter().any(|(_, net)| net.addr().is_ipv4() == address.is_ipv4());
        let mut all: Vec<IpAddr> = receiver.addresses.iter().map(|(_, net)| net.addr()).collect();
        all.retain(|address| !own(address) && family(address));
        all.sort_by_key(|address| (address.is_ipv6(), !sender.is_near(*address)));
        all.first().copied()
    }

    /// Whether a container has an address that counts.
    pub(super) fn is_configured(&self, id: &NodeId) -> bool {
        !self.addresses(id).is_empty()
    }

    /// Every container that is judged: with the lab's own checkpoints all of them that the lab describes, else those that
    /// are configured and those that the checks name.
    pub(super) fn containers(&self) -> Vec<NodeId> {
        if self.against {
            let judged = |id: &&NodeId| self.is_configured(id) || self.named.contains(id);
            return containers(self.view).filter(judged).cloned().collect();
        }
        let described = self.lab.hosts.iter().flat_map(|host| {
            host.containers.iter().map(|container| NodeId::Container(host.name.clone(), container.name.clone()))
        });
        let mut all: Vec<NodeId> = described.collect();
        let by_hand: Vec<NodeId> =
            containers(self.view).filter(|id| !all.contains(id) && self.is_configured(id)).cloned().collect();
        all.extend(by_hand);
        all
    }

    /// The NICs of hosts on a network: host and name.
    pub(super) fn ends(&self, network: &NodeName) -> Vec<(NodeName, IfName)> {
        self.lab.ends(network).map(|(host, nic)| (host.name.clone(), nic.name.clone())).collect()
    }

    /// The network that a NIC of a host is on.
    pub(super) fn network_of(&self, host: &NodeName, nic: &str) -> Option<NodeName> {
        let nics = self.lab.host(host.as_str()).map_or(&[][..], |host| &host.nics);
        nics.iter().find(|each| each.name.as_str() == nic).and_then(|nic| match &nic.attach {
            Attach::Network(network) => Some(network.clone()),
            Attach::Host(_) => None,
        })
    }

    /// A NIC of a host where it is still in it, else where it is.
    pub(super) fn nic(&self, host: &NodeName, name: &IfName) -> Result<&Link, Common> {
        let nic = Interface { node: host.to_string(), interface: name.to_string() };
        let Some(place) = self.view.place(&NodeId::Host(host.clone())) else { return Err(Common::NoNic { nic }) };
        if let Some(link) = place.named(name.as_str()) {
            return Ok(link);
        }
        // A NIC that somebody moved keeps its MAC address, and mostly its name.
        let mac = self.mac(host, name);
        for place in self.view.places.iter().filter(|place| !matches!(place.id, NodeId::Switch(_))) {
            let is_it = |link: &&Link| link.mac.is_some() && link.mac == mac && link.kind != "bridge";
            if let Some(link) = place.node.links.iter().find(is_it) {
                let here = place.id == NodeId::Host(host.clone());
                return if here { Ok(link) } else { Err(Common::NicMoved { nic, to: place.interface(link) }) };
            }
        }
        Err(Common::NoNic { nic })
    }

    fn mac(&self, host: &NodeName, name: &IfName) -> Option<String> {
        let host = self.lab.host(host.as_str())?;
        let nic = host.nics.iter().find(|nic| nic.name == *name)?;
        Some(crate::topology::numbers::mac_of_nic(host.number, 0, nic).to_string())
    }

    /// Every interface among those that are judged that has an address.
    pub(super) fn owners(&self, address: IpAddr) -> Vec<Interface> {
        let all = self.stations.all.iter().flat_map(|station| {
            let here = station.addresses.iter().filter(move |(_, net)| net.addr() == address);
            here.map(|(name, _)| Interface { node: station.id.to_string(), interface: name.clone() })
        });
        all.collect()
    }
}

/// More pairs than this are not predicted before they are waited for.
const PREDICTED: usize = 64;

/// Ordered pairs of nodes.
pub(super) type Pairs = HashSet<(NodeId, NodeId)>;

/// What became of the pings.
#[derive(Default)]
pub(super) struct Pinged {
    failed: HashMap<(String, String), Pair>,
}

impl Pinged {
    /// Pings. What the tables say to be lost is not waited for as long as what may only be slow.
    pub(super) fn run(scene: &Scene<'_>, pairs: &Pairs) -> crate::error::Result<Self> {
        if pairs.is_empty() {
            return Ok(Self::default());
        }
        let taking: HashSet<&NodeId> = pairs.iter().flat_map(|(from, to)| [from, to]).collect();
        let members: Vec<&Station> = scene.stations.all.iter().filter(|station| taking.contains(&station.id)).collect();
        let wanted = |from: &Station, to: &Station| pairs.contains(&(from.id.clone(), to.id.clone()));
        let first = all::soon(&scene.stations, &members, &wanted)?;
        let mut failed: HashMap<(String, String), Pair> = keyed(first.failed);
        let slow: HashSet<(String, String)> =
            failed.values().filter(|pair| may_live(scene, pair, failed.len())).map(key).collect();
        if !slow.is_empty() {
            let again = |from: &Station, to: &Station| slow.contains(&(from.id.to_string(), to.id.to_string()));
            failed.retain(|pair, _| !slow.contains(pair));
            failed.extend(keyed(all::all(&scene.stations, &members, &again, &mut |_| {})?.failed));
        }
        Ok(Self { failed })
    }

    /// Whether every ping from one to the other was answered; none where they have no family in common.
    pub(super) fn answered(&self, from: &NodeId, to: &NodeId) -> Option<bool> {
        match self.failed.get(&(from.to_string(), to.to_string())) {
            None => Some(true),
            Some(pair) if pair.attempts.is_empty() => None,
            Some(_) => Some(false),
        }
    }

    /// Whether any ping from one to the other was answered.
    pub(super) fn any(&self, from: &NodeId, to: &NodeId) -> bool {
        let pair = self.failed.get(&(from.to_string(), to.to_string()));
        pair.is_none_or(|pair| pair.attempts.iter().any(|attempt| attempt.answered))
    }

    /// The address of a ping that was not answered.
    pub(super) fn unanswered(&self, from: &NodeId, to: &NodeId) -> Option<IpAddr> {
        let pair = self.failed.get(&(from.to_string(), to.to_string()))?;
        pair.attempts.iter().find(|attempt| !attempt.answered).map(|attempt| attempt.address)
    }
}

fn key(pair: &Pair) -> (String, String) {
    (pair.from.clone(), pair.to.clone())
}

fn keyed(pairs: Vec<Pair>) -> HashMap<(String, String), Pair> {
    pairs.into_iter().map(|pair| (key(&pair), pair)).collect()
}

/// Whether the tables let some unanswered ping of the pair live.
fn may_live(scene: &Scene<'_>, pair: &Pair, number: usize) -> bool {
    let Some(from) = named(&scene.stations, &pair.from) else { return false };
    let open = pair.attempts.iter().filter(|attempt| !attempt.answered);
    let probe = Probe { size: 44, ttl: 64, may_fragment: true, source: None };
    let lives = |address: IpAddr| number > PREDICTED || predict(scene.view, &from.id, address, &probe).may_live();
    open.into_iter().any(|attempt| lives(attempt.address))
}

fn named<'a>(stations: &'a Stations, node: &str) -> Option<&'a Station> {
    stations.all.iter().find(|station| station.id.to_string() == node)
}
