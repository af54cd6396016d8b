//! `addresses`: the addresses of nodes and their subnets.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::check::evidence::{Bench, Common, Evidence, Seen, nothing};
use crate::check::kinds::{Kind, Stage, Target, Verdict};
use crate::check::players::Players;
use crate::check::players::{Members, members, network};
use crate::check::scene::{Scene, host};
use crate::name::NodeName;
use crate::plan::NodeId;
use crate::probe::cure::cure;
use crate::probe::view::{Place, View, is_managed};
use crate::problem::Shape;
use crate::render::lang::{t, w};
use crate::render::sentences::statement::{Say, Words};
use crate::report::machine::{Link, Route};
use crate::report::probe::Family;
use crate::report::trace::Cause;
use crate::report::wire::Interface;
use crate::topology::reader::Item;
use crate::topology::values::{self, many, parsed, word};

/// Addresses of nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// Whose.
    of: Members,
    /// Only those of the NICs on this network.
    network: Option<NodeName>,
    /// What their subnets have to do with each other.
    subnet: Option<Subnet>,
    /// Addresses that each of them has.
    are: Vec<IpNet>,
}

/// What subnets have to do with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Subnet {
    /// One subnet has all of them.
    Same,
    /// Nodes of different hosts are in different subnets.
    Different,
    /// Each container shares a subnet with the host's end of its own cable.
    PointToPoint,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Found {
    /// The NIC of the node on the network has no address; elsewhere the node may have some.
    NoAddressOn { node: String, network: String, family: Option<Family> },
    /// An address that should be there is not; what is there instead.
    Lacks { node: String, address: IpNet, has: Vec<IpNet> },
    /// No subnet has all of them: who has what.
    NotOneSubnet { addresses: Vec<(String, Vec<IpNet>)> },
    /// Nodes of different hosts with subnets that overlap.
    Overlap { first: (String, IpNet), second: (String, IpNet) },
    /// The container's cable ends in a port of a bridge.
    NotPointToPoint {
        node: String,
        bridge: String,
        #[serde(skip)]
        port: Interface,
    },
    /// The host's end of the container's cable has no address in the container's subnet.
    EndWithout { node: String, end: Interface, has: Vec<IpNet> },
    /// Others are on the same subnet, so it is no link of two.
    SharedLink { node: String, subnet: IpNet, others: Vec<String> },
    /// A point-to-point link with another prefix than /30, which is no fault.
    Prefix { node: String, subnet: IpNet },
}

impl Seen for Found {
    fn cures(&self, bench: &Bench<'_>) -> Vec<String> {
        match self {
            Self::EndWithout { end, has, .. } => {
                let peer = bench.view.interface(end).and_then(|link| link.peer.as_ref());
                let owner = peer.and_then(|peer| Some(Interface { node: peer.node.clone()?, interface: peer.name.clone()? }));
                let own = has.first().copied();
                let of_family = |net: &&IpNet| own.is_none_or(|own| own.addr().is_ipv4() == net.addr().is_ipv4());
                let other =
                    owner.as_ref().and_then(|owner| bench.view.interface(owner)?.addresses.iter().find(of_family).copied());
                let (Some(owner), Some(other)) = (owner, other) else { return Vec::new() };
                cure(bench.view, &Cause::OtherSubnet { interface: end.clone(), own, owner, other })
            }
            Self::Lacks { node, address, has } => {
                let place = bench.view.named(node);
                let own = |link: &&Link| link.addresses.iter().any(|net| has.contains(net));
                let dev = place.and_then(|place| place.node.links.iter().find(own)).map(|link| link.name.clone());
                let same = has.iter().find(|net| net.addr().is_ipv4() == address.addr().is_ipv4());
                let wait = if address.addr().is_ipv6() { " nodad" } else { "" };
                // Which of several is to go, nobody knows.
                let dev = dev.filter(|_| same.is_none());
                dev.map_or_else(Vec::new, |dev| vec![bench.exec(node, &format!("ip address add {address}{wait} dev {dev}"))])
            }
            Self::NotOneSubnet { addresses } => {
                odd(addresses, bench.view).map_or_else(Vec::new, |cause| cure(bench.view, &cause))
            }
            Self::NotPointToPoint { bridge, port, .. } => {
                let (interface, bridge) = (port.clone(), bridge.clone());
                cure(bench.view, &Cause::WrongBridge { interface, bridge, wanted: None })
            }
            _ => Vec::new(),
        }
    }
}

/// The first who is not in the subnet that most are in, beside one who is.
fn odd(addresses: &[(String, Vec<IpNet>)], view: &View) -> Option<Cause> {
    let nets = || addresses.iter().flat_map(|(node, nets)| nets.iter().map(move |net| (node, *net)));
    let count = |subnet: IpNet| addresses.iter().filter(|(_, nets)| nets.iter().any(|net| net.trunc() == subnet)).count();
    let (most, other) = nets().rev().max_by_key(|(_, net)| count(net.trunc()))?;
    let odd = addresses.iter().find(|(_, nets)| nets.iter().all(|net| net.trunc() != other.trunc()));
    let (node, own) = odd.and_then(|(node, nets)| Some((node, *nets.first()?)))?;
    let interface = |node: &String, net: IpNet| {
        let place = view.named(node)?;
        let link = place.node.links.iter().find(|link| link.addresses.contains(&net))?;
        Some(place.interface(link))
    };
    Some(Cause::OtherSubnet { interface: interface(node, own)?, own: Some(own), owner: interface(most, other)?, other })
}

impl Say for Found {
    fn sentence(&self, words: &Words<'_>) -> String {
        let lang = words.lang;
        match self {
            Self::NoAddressOn { node, network, family } => {
                let (node, nothing) = (words.node(node), nothing(lang, *family));
                t!(lang, "The NIC of {node} on {network} has {nothing}.", node, network, nothing)
            }
            Self::Lacks { node, address, has } => {
                t!(
                    lang,
                    "{node} has not {address} but {addresses}.",
                    node = words.node(node),
                    address,
                    addresses = words.nets(has)
                )
            }
            Self::NotOneSubnet { addresses } => {
                let described = |(node, has): &(String, Vec<IpNet>)| format!("{} {}", words.node(node), words.nets(has));
                let addresses = words.few(&addresses.iter().map(described).collect::<Vec<_>>());
                t!(lang, "No subnet has all of them: {addresses}.", addresses)
            }
            Self::Overlap { first: (first, one), second: (second, other) } => t!(
                lang,
                "The subnets of {first} ({one}) and {second} ({other}) overlap, and they are on different hosts.",
                first = words.node(first),
                one,
                second = words.node(second),
                other
            ),
            Self::NotPointToPoint { node, bridge, .. } => t!(
                lang,
                "The cable of {node} ends in the bridge {bridge}, not in an interface of the host alone.",
                node = words.node(node),
                bridge
            ),
            Self::EndWithout { node, end, has } if has.is_empty() => {
                let (node, end) = (words.node(node), words.interface(end));
                t!(lang, "The host's end of the cable of {node}, {end}, has no address.", node, end)
            }
            Self::EndWithout { node, end, has } => t!(
                lang,
                "The host's end of the cable of {node}, {end}, has {addresses}; none in the container's subnet.",
                node = words.node(node),
                end = words.interface(end),
                addresses = words.nets(has)
            ),
            Self::SharedLink { node, subnet, others } => t!(
                lang,
                "The subnet of {node}, {subnet}, is also that of {others}: no link of two.",
                node = words.node(node),
                subnet,
                others = words.few_nodes(others)
            ),
            Self::Prefix { node, subnet } => {
                let node = words.node(node);
                match subnet.prefix_len() {
                    31 => t!(
                        lang,
                        "{node}'s link has {subnet}, a /31 (RFC 3021), which is as good as the /30 that is usual.",
                        node,
                        subnet
                    ),
                    32 => t!(
                        lang,
                        "{node}'s link has {subnet}, an address with a peer, which is as good as the /30 that is usual.",
                        node,
                        subnet
                    ),
                    _ => t!(lang, "{node}'s link has {subnet}, larger than the /30 that is usual.", node, subnet),
                }
            }
        }
    }
}

impl Kind for Addresses {
    const ABOUT: &'static str = "Addresses and their subnets.";

    fn read(item: &mut Item<'_>) -> Option<Self> {
        item.keys(|keys| {
            let of = keys.required("of", "`containers`, `hosts`, or a list of nodes.", members);
            let network = keys.optional("network", "Only the addresses of the NICs on this network.", network);
            let words = [("same", Subnet::Same), ("different", Subnet::Different), ("point-to-point", Subnet::PointToPoint)];
            let about =
                "`same`, `different` (on different hosts), or `point-to-point` (shared with the host's end of the cable alone).";
            let subnet = keys.optional("subnet", about, word(&words, Shape::Subnet));
            let about = "Addresses that each of them has, with their prefixes.";
            let are = keys.optional("are", about, many(parsed(values::prefix)));
            keys.need_one_of(&["subnet", "are"]);
            Some(Self { of: of?, network, subnet, are: are.unwrap_or_default() })
        })
    }

    fn wanted(&self, words: &Words<'_>) -> String {
        let lang = words.lang;
        let (nodes, one) = match &self.of {
            Members::Containers => (w!(lang, "all containers").to_owned(), false),
            Members::Hosts => (w!(lang, "all hosts").to_owned(), false),
            Members::These(these) => (words.nodes(these), these.len() == 1),
        };
        match (self.subnet, &self.network) {
            (Some(Subnet::Same), None) if one => t!(lang, "{node} is in one subnet", node = nodes),
            (Some(Subnet::Same), None) => t!(lang, "{nodes} are in one subnet", nodes),
            (Some(Subnet::Same), Some(network)) if one => t!(lang, "{node} is in one subnet on {network}", node = nodes, network),
            (Some(Subnet::Same), Some(network)) => t!(lang, "{nodes} are in one subnet on {network}", nodes, network),
            (Some(Subnet::Different), _) => t!(lang, "containers of different hosts are in different subnets"),
            (Some(Subnet::PointToPoint), _) if one => {
                t!(lang, "{node} is on a point-to-point link with the host", node = nodes)
            }
            (Some(Subnet::PointToPoint), _) => t!(lang, "{nodes} are on a point-to-point link with the host", nodes),
            (None, network) => {
                let addresses = words.nets(&self.are);
                match network {
                    None if one => t!(lang, "{node} has {addresses}", node = nodes, addresses),
                    None => t!(lang, "{nodes} have {addresses}", nodes, addresses),
                    Some(network) if one => t!(lang, "{node} has {addresses} on {network}", node = nodes, addresses, network),
                    Some(network) => t!(lang, "{nodes} have {addresses} on {network}", nodes, addresses, network),
                }
            }
        }
    }

    fn played_by(&self, players: &Players<'_>) -> Result<Self, Common> {
        let network = self.network.as_ref().map(|network| players.network(network)).transpose()?;
        Ok(Self { of: players.members(&self.of)?, network, ..self.clone() })
    }

    fn target(&self, scene: &Scene<'_>) -> Target {
        Target::Tables(self.of.nodes(scene))
    }

    fn judge(&self, stage: &Stage<'_>) -> Result<Verdict, Evidence> {
        let scene = stage.scene;
        if self.of == Members::Containers
            && let Some(evidence) = scene.too_few()
        {
            return Err(evidence.into());
        }
        let members = self.of.nodes(scene);
        let mut verdict = Verdict::default();
        let mut owned: Vec<(NodeId, Vec<IpNet>)> = Vec::new();
        for member in members {
            if let Err(gone) = scene.place(&member) {
                verdict.add(gone);
                continue;
            }
            let has = addresses_on(&member, self.network.as_ref(), scene);
            if has.is_empty() {
                verdict.evidence.push(without(&member, self.network.as_ref(), scene));
            } else {
                owned.push((member, has));
            }
        }
        let ids: Vec<NodeId> = owned.iter().map(|(id, _)| id.clone()).collect();
        verdict.evidence.extend(scene.duplicates(&ids).into_iter().map(Evidence::from));
        for (node, has) in &owned {
            for address in self.are.iter().filter(|address| !has.contains(address)) {
                verdict.add(Found::Lacks { node: node.to_string(), address: *address, has: has.clone() });
            }
        }
        match self.subnet {
            Some(Subnet::Same) => verdict.evidence.extend(same(&owned).map(Evidence::from)),
            Some(Subnet::Different) => verdict.evidence.extend(different(&owned).map(Evidence::from)),
            Some(Subnet::PointToPoint) => owned.iter().for_each(|(node, has)| point_to_point(node, has, scene, &mut verdict)),
            None => {}
        }
        Ok(verdict)
    }
}

/// Why a node has no address, or none on the network.
fn without(node: &NodeId, network: Option<&NodeName>, scene: &Scene<'_>) -> Evidence {
    let (NodeId::Host(host), Some(network)) = (node, network) else { return scene.no_address(node).into() };
    let mut names = Vec::new();
    for (_, nic) in scene.ends(network).into_iter().filter(|(end, _)| end == host) {
        let link = match scene.nic(host, &nic) {
            Ok(link) => link,
            Err(elsewhere) => return elsewhere.into(),
        };
        // It has one that does not count where it is.
        if let Some(bridge) = link.bridge.clone().filter(|bridge| is_managed(bridge) && !link.addresses.is_empty()) {
            let interface = Interface { node: node.to_string(), interface: link.name.clone() };
            return Common::because(Cause::WrongBridge { interface, bridge, wanted: None }, true).into();
        }
        names.push(link.name.as_str());
    }
    if scene.addresses(node).is_empty() {
        return scene.no_address(node).into();
    }
    let here = scene.besides.iter().filter(|(id, besides)| id == node && names.contains(&besides.interface.as_str()));
    let family = scene.only_family(here.map(|(_, besides)| besides.address));
    Found::NoAddressOn { node: node.to_string(), network: network.to_string(), family }.into()
}

/// The addresses of a node that count; with a network only those of its NIC there.
fn addresses_on(node: &NodeId, network: Option<&NodeName>, scene: &Scene<'_>) -> Vec<IpNet> {
    let all = scene.addresses(node);
    let NodeId::Host(host) = node else { return all.into_iter().map(|(_, net)| net).collect() };
    let Some(network) = network else { return all.into_iter().map(|(_, net)| net).collect() };
    let here = scene.ends(network).into_iter().filter(|(end, _)| end == host);
    let names: Vec<&str> = here.filter_map(|(host, nic)| Some(scene.nic(&host, &nic).ok()?.name.as_str())).collect();
    all.into_iter().filter(|(name, _)| names.contains(&name.as_str())).map(|(_, net)| net).collect()
}

/// One subnet, with one prefix, has an address of each.
fn same(owned: &[(NodeId, Vec<IpNet>)]) -> Option<Found> {
    let (_, first) = owned.first()?;
    let shared = |net: &IpNet| owned.iter().all(|(_, has)| has.iter().any(|other| other.trunc() == net.trunc()));
    if first.iter().any(shared) {
        return None;
    }
    let addresses = owned.iter().map(|(id, has)| (id.to_string(), has.clone())).collect();
    Some(Found::NotOneSubnet { addresses })
}

/// Nodes of different hosts share no subnet, not even in part.
fn different(owned: &[(NodeId, Vec<IpNet>)]) -> Option<Found> {
    for (at, (one, mine)) in owned.iter().enumerate() {
        for (other, theirs) in owned[at + 1..].iter().filter(|(other, _)| host(other) != host(one)) {
            for (first, second) in mine.iter().flat_map(|mine| theirs.iter().map(move |other| (*mine, *other))) {
                if first.trunc().contains(&second.addr()) || second.trunc().contains(&first.addr()) {
                    return Some(Found::Overlap { first: (one.to_string(), first), second: (other.to_string(), second) });
                }
            }
        }
    }
    None
}

/// The container's subnet is that of its cable's other end alone.
fn point_to_point(node: &NodeId, has: &[IpNet], scene: &Scene<'_>, verdict: &mut Verdict) {
    let NodeId::Container(of, _) = node else { return };
    let name = node.to_string();
    let cables = scene.cables(node);
    let bridge = cables.iter().find_map(|cable| Some((cable.bridge(of)?.to_owned(), cable.end?)));
    let ends = cables.iter().filter_map(|cable| cable.end).filter(|(_, link)| link.bridge.is_none());
    let mut met = None;
    for (place, link) in ends {
        if !link.up {
            verdict.add(Common::down(place.interface(link)));
        }
        let shared = has.iter().find(|net| {
            let one = |end: &IpNet| end.contains(&net.addr()) && net.contains(&end.addr());
            // Addresses without a subnet that name each other: ip address add ADDRESS peer ADDRESS.
            let pair = |end: &IpNet| {
                let known = |place: &Place, dev: &str, to: IpAddr| {
                    let known =
                        |route: &Route| route.to == IpNet::from(to) && route.dev.as_deref() == Some(dev) && route.via.is_none();
                    place.node.routes.iter().any(known)
                };
                let inside = scene
                    .view
                    .place(node)
                    .is_some_and(|inside| cables.iter().any(|cable| known(inside, &cable.inner.name, end.addr())));
                inside && known(place, &link.name, net.addr())
            };
            link.addresses.iter().any(|end| end.addr() != net.addr() && (one(end) || pair(end)))
        });
        match shared {
            Some(net) => {
                let others = others(*net, &name, &place.node.node, scene);
                if !others.is_empty() {
                    verdict.add(Found::SharedLink { node: name, subnet: net.trunc(), others });
                } else if scene.against && net.addr().is_ipv4() && net.prefix_len() != 30 {
                    verdict.notes.push(Found::Prefix { node: name, subnet: net.trunc() }.into());
                }
                return;
            }
            None => met = Some((place.interface(link), link.addresses.clone())),
        }
    }
    verdict.evidence.push(match (met, bridge) {
        (Some((end, has)), _) => Found::EndWithout { node: name, end, has }.into(),
        (None, Some((bridge, (place, link)))) => {
            Found::NotPointToPoint { node: name, bridge, port: place.interface(link) }.into()
        }
        (None, None) => Common::NoCable { node: name }.into(),
    });
}

/// Who else has an address in the subnet.
fn others(net: IpNet, node: &str, host: &str, scene: &Scene<'_>) -> Vec<String> {
    let stations = scene.stations.all.iter().filter(|station| {
        let name = station.id.to_string();
        name != node && name != host && station.addresses.iter().any(|(_, other)| net.contains(&other.addr()))
    });
    stations.map(|station| station.id.to_string()).collect()
}
