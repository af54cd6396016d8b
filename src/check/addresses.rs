//! `addresses`: the addresses of nodes and their subnets.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use super::Stage;
use super::reach::{host, too_few};
use super::scene::{NicAt, Scene};
use super::verdict::Verdict;
use crate::name::NodeName;
use crate::plan::NodeId;
use crate::probe::view::Place;
use crate::report::check::{Evidence, Note};
use crate::report::node::Route;
use crate::report::trace::Cause;
use crate::report::wire::Interface;
use crate::topology::checks::{Addresses, Members, Subnet};

pub(super) fn check(addresses: &Addresses, stage: &Stage<'_>) -> Verdict {
    let scene = stage.scene;
    if addresses.of == Members::Containers
        && let Some(evidence) = too_few(scene)
    {
        return Verdict::wrong(evidence);
    }
    let members = scene.members(&addresses.of);
    let mut verdict = Verdict::default();
    let mut owned: Vec<(NodeId, Vec<IpNet>)> = Vec::new();
    for member in members {
        if let Err(gone) = scene.place(&member) {
            verdict.evidence.push(gone);
            continue;
        }
        let has = of(&member, addresses.network.as_ref(), scene);
        if has.is_empty() {
            verdict.evidence.push(without(&member, addresses.network.as_ref(), scene));
        } else {
            owned.push((member, has));
        }
    }
    let ids: Vec<NodeId> = owned.iter().map(|(id, _)| id.clone()).collect();
    verdict.evidence.extend(duplicates(&ids, scene));
    for (node, has) in &owned {
        for address in addresses.are.iter().filter(|address| !has.contains(address)) {
            verdict.evidence.push(Evidence::Lacks { node: node.to_string(), address: *address, has: has.clone() });
        }
    }
    match addresses.subnet {
        Some(Subnet::Same) => verdict.evidence.extend(same(&owned)),
        Some(Subnet::Different) => verdict.evidence.extend(different(&owned)),
        Some(Subnet::PointToPoint) => owned.iter().for_each(|(node, has)| point_to_point(node, has, scene, &mut verdict)),
        None => {}
    }
    verdict
}

/// Why a node has no address, or none on the network.
fn without(node: &NodeId, network: Option<&NodeName>, scene: &Scene<'_>) -> Evidence {
    let (NodeId::Host(host), Some(network)) = (node, network) else { return scene.no_address(node) };
    let mut names = Vec::new();
    for (_, nic) in scene.ends(network).into_iter().filter(|(end, _)| end == host) {
        let at = || Interface { node: host.to_string(), interface: nic.to_string() };
        match scene.nic(host, &nic) {
            NicAt::Here(link) => names.push(link.name.as_str()),
            NicAt::Moved(to) => return Evidence::NicMoved { nic: at(), to },
            NicAt::Gone => return Evidence::NoNic { nic: at() },
        }
    }
    if scene.addresses(node).is_empty() {
        return scene.no_address(node);
    }
    let here = scene.besides.iter().filter(|(id, besides)| id == node && names.contains(&besides.interface.as_str()));
    let family = scene.only_family(here.map(|(_, besides)| besides.address));
    Evidence::NoAddressOn { node: node.to_string(), network: network.to_string(), family }
}

/// The addresses of a node that count; with a network only those of its NIC there.
fn of(node: &NodeId, network: Option<&NodeName>, scene: &Scene<'_>) -> Vec<IpNet> {
    let all = scene.addresses(node);
    let NodeId::Host(host) = node else { return all.into_iter().map(|(_, net)| net).collect() };
    let Some(network) = network else { return all.into_iter().map(|(_, net)| net).collect() };
    let here = scene.ends(network).into_iter().filter(|(end, _)| end == host);
    let names: Vec<String> = here
        .filter_map(|(host, nic)| match scene.nic(&host, &nic) {
            NicAt::Here(link) => Some(link.name.clone()),
            _ => None,
        })
        .collect();
    all.into_iter().filter(|(name, _)| names.contains(name)).map(|(_, net)| net).collect()
}

/// Addresses that several of the nodes have.
pub(super) fn duplicates(nodes: &[NodeId], scene: &Scene<'_>) -> Vec<Evidence> {
    let mut found = Vec::new();
    let names: BTreeSet<String> = nodes.iter().map(ToString::to_string).collect();
    let mut seen: BTreeSet<IpAddr> = BTreeSet::new();
    for (_, net) in nodes.iter().flat_map(|node| scene.addresses(node)) {
        if seen.insert(net.addr()) {
            continue;
        }
        let owners: Vec<_> = scene.owners(net.addr()).into_iter().filter(|owner| names.contains(&owner.node)).collect();
        let evidence = Evidence::Duplicate { address: net.addr(), owners };
        if !found.contains(&evidence) {
            found.push(evidence);
        }
    }
    found
}

/// One subnet, with one prefix, has an address of each.
fn same(owned: &[(NodeId, Vec<IpNet>)]) -> Option<Evidence> {
    let (_, first) = owned.first()?;
    let shared = |net: &IpNet| owned.iter().all(|(_, has)| has.iter().any(|other| other.trunc() == net.trunc()));
    if first.iter().any(shared) {
        return None;
    }
    let addresses = owned.iter().map(|(id, has)| (id.to_string(), has.clone())).collect();
    Some(Evidence::NotOneSubnet { addresses })
}

/// Nodes of different hosts share no subnet, not even in part.
fn different(owned: &[(NodeId, Vec<IpNet>)]) -> Option<Evidence> {
    for (at, (one, mine)) in owned.iter().enumerate() {
        for (other, theirs) in owned[at + 1..].iter().filter(|(other, _)| host(other) != host(one)) {
            for (first, second) in mine.iter().flat_map(|mine| theirs.iter().map(move |other| (*mine, *other))) {
                if first.trunc().contains(&second.addr()) || second.trunc().contains(&first.addr()) {
                    return Some(Evidence::Overlap { first: (one.to_string(), first), second: (other.to_string(), second) });
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
    let bridge = cables.iter().find_map(|cable| cable.bridge(of)).map(str::to_owned);
    let ends = cables.iter().filter_map(|cable| cable.end).filter(|(_, link)| link.bridge.is_none());
    let mut met = None;
    for (place, link) in ends {
        if !link.up {
            let cause = Cause::LinkDown { interface: place.interface(link), peer: None };
            verdict.evidence.push(Evidence::Because { cause, certain: true });
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
                    verdict.evidence.push(Evidence::SharedLink { node: name, subnet: net.trunc(), others });
                } else if scene.against && net.addr().is_ipv4() && net.prefix_len() != 30 {
                    verdict.notes.push(Note::Prefix { node: name, subnet: net.trunc() });
                }
                return;
            }
            None => met = Some((place.interface(link), link.addresses.clone())),
        }
    }
    verdict.evidence.push(match (met, bridge) {
        (Some((end, has)), _) => Evidence::EndWithout { node: name, end, has },
        (None, Some(bridge)) => Evidence::NotPointToPoint { node: name, bridge },
        (None, None) => Evidence::NoCable { node: name },
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
