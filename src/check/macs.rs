//! `macs`: whose MAC addresses are in the frames that cross a network.

use std::collections::{BTreeMap, BTreeSet};

use super::Stage;
use super::pinged::address;
use super::reach::host;
use super::scene::{NicAt, Scene};
use super::verdict::Verdict;
use crate::name::NodeName;
use crate::plan::NodeId;
use crate::probe::witness::{Errand, Witnessed};
use crate::report::check::Evidence;
use crate::report::trace::Leg;
use crate::report::wire::{Interface, Station};
use crate::topology::checks::{Macs, Members};

/// Most pings that are watched.
const MOST: usize = 512;

/// Pings between the hosts in which every container takes part.
pub(super) fn errands(scene: &Scene<'_>) -> Vec<Errand> {
    let mut by_host: BTreeMap<String, Vec<NodeId>> = BTreeMap::new();
    for container in scene.containers().into_iter().filter(|id| scene.is_configured(id)) {
        if let Some(host) = host(&container) {
            by_host.entry(host.to_owned()).or_default().push(container.clone());
        }
    }
    let mut errands = Vec::new();
    for (one, senders) in &by_host {
        for receivers in by_host.iter().filter(|(other, _)| *other != one).map(|(_, receivers)| receivers) {
            for (at, from) in senders.iter().enumerate() {
                let to = &receivers[at % receivers.len()];
                if let Some(address) = address(scene, from, to) {
                    errands.push(Errand { from: from.clone(), to: to.clone(), address });
                }
            }
        }
    }
    errands.truncate(MOST);
    errands
}

pub(super) fn check(macs: &Macs, stage: &Stage<'_>) -> Verdict {
    let scene = stage.scene;
    let mut errands = errands(scene);
    errands.retain(|errand| !scene.is_far(&errand.from));
    if errands.is_empty() {
        let gone = scene.gone.iter().map(|node| Evidence::NodeGone { node: node.to_string() }).next();
        return Verdict::wrong(gone.or_else(|| super::reach::too_few(scene)).unwrap_or_else(|| nobody(scene)));
    }
    let nics = nics(&macs.network, scene);
    let watched: Vec<(&Errand, &Witnessed)> =
        errands.iter().filter_map(|errand| Some((errand, stage.witnessed.get(errand)?))).collect();
    let mut verdict = Verdict::from(gone(macs, scene));
    let crosses = |seen: &Witnessed| seen.sightings.iter().any(|sighting| nics.contains(&sighting.at));
    let crossing: Vec<&(&Errand, &Witnessed)> = watched.iter().filter(|(_, seen)| crosses(seen)).collect();
    let by = |seen: &Witnessed, leg| seen.sightings.iter().any(|sighting| sighting.leg == leg && nics.contains(&sighting.at));
    for (errand, seen) in watched.iter().filter(|(_, seen)| seen.answered) {
        let beside = [Leg::Request, Leg::Reply].into_iter().find(|leg| !by(seen, *leg));
        if let Some(leg) = beside.filter(|_| must_cross(errand, &macs.network, scene)) {
            let interfaces = ways_out(seen, leg, scene);
            let network = macs.network.to_string();
            verdict.evidence.push(Evidence::OtherWay {
                from: errand.from.to_string(),
                to: errand.to.to_string(),
                network,
                interfaces,
            });
            break;
        }
    }
    let allowed: BTreeSet<String> = scene.members(&macs.owners).iter().map(ToString::to_string).collect();
    let wanted: BTreeSet<String> = match &macs.owners {
        Members::Containers => crossing
            .iter()
            .filter(|(_, seen)| seen.answered)
            .flat_map(|(errand, _)| [errand.from.to_string(), errand.to.to_string()])
            .collect(),
        _ => allowed.iter().filter(|node| !scene.gone.iter().any(|gone| gone.to_string() == **node)).cloned().collect(),
    };
    let (mut strangers, mut met): (Vec<Station>, BTreeSet<String>) = (Vec::new(), BTreeSet::new());
    for sighting in crossing.iter().flat_map(|(_, seen)| &seen.sightings).filter(|sighting| nics.contains(&sighting.at)) {
        let mut owners = scene.view.owners_of_mac(sighting.mac);
        if owners.is_empty() {
            owners.extend(scene.view.learned_since(sighting.mac));
        }
        let right: Vec<&Interface> = owners.iter().filter(|owner| allowed.contains(&owner.node)).collect();
        if right.is_empty() {
            let owner = owners.first().cloned();
            let station = Station { mac: sighting.mac.to_string(), owner };
            if !strangers.contains(&station) {
                strangers.push(station);
            }
        }
        met.extend(right.into_iter().map(|owner| owner.node.clone()));
    }
    if !strangers.is_empty() {
        verdict.evidence.push(Evidence::Strangers { network: macs.network.to_string(), stations: strangers });
    }
    let unseen: Vec<String> = wanted.difference(&met).cloned().collect();
    if crossing.is_empty() || !unseen.is_empty() {
        if verdict.evidence.is_empty() {
            verdict.suspect =
                watched.iter().find(|(_, seen)| !seen.answered).map(|(errand, _)| (errand.from.clone(), errand.address));
        }
        verdict.evidence.push(Evidence::Unseen { network: macs.network.to_string(), nodes: unseen });
    }
    verdict
}

/// Why none of the containers pings one of another host.
fn nobody(scene: &Scene<'_>) -> Evidence {
    let able: Vec<NodeId> = scene.containers().into_iter().filter(|id| scene.is_configured(id)).collect();
    let from = able.iter().find(|from| !scene.is_far(from) && able.iter().any(|to| host(to) != host(from)));
    let to = from.and_then(|from| able.iter().find(|to| host(to) != host(from)));
    match from.zip(to) {
        Some((from, to)) => scene.unmet(from, to),
        None => super::reach::few(&able, scene),
    }
}

/// Owners whose namespaces are gone.
fn gone(macs: &Macs, scene: &Scene<'_>) -> Vec<Evidence> {
    scene.members(&macs.owners).iter().filter_map(|node| scene.place(node).err()).collect()
}

/// The NICs of a network, wherever they are now.
fn nics(network: &NodeName, scene: &Scene<'_>) -> Vec<Interface> {
    let here = |(host, name): (NodeName, _)| match scene.nic(&host, &name) {
        NicAt::Here(link) => Some(Interface { node: host.to_string(), interface: link.name.clone() }),
        NicAt::Moved(to) => Some(to),
        NicAt::Gone => None,
    };
    scene.ends(network).into_iter().filter_map(here).collect()
}

/// Both hosts are on the network, so the way between them is over it.
fn must_cross(errand: &Errand, network: &NodeName, scene: &Scene<'_>) -> bool {
    let on = |node: &NodeId| scene.ends(network).iter().any(|(end, _)| Some(end.as_str()) == host(node));
    on(&errand.from) && on(&errand.to)
}

/// The interfaces by which a ping or its answer left hosts, those to containers left out.
fn ways_out(seen: &Witnessed, leg: Leg, scene: &Scene<'_>) -> Vec<Interface> {
    let mut ways = Vec::new();
    for sighting in seen.sightings.iter().filter(|sighting| sighting.outgoing && sighting.leg == leg) {
        let Some(place) = scene.view.places.iter().find(|place| place.node.node == sighting.at.node) else { continue };
        if !matches!(place.id, NodeId::Host(_)) {
            continue;
        }
        let link = place.node.links.iter().find(|link| link.name == sighting.at.interface);
        let to_container = link.and_then(|link| link.peer.as_ref()?.node.as_ref()).is_some_and(|node| node.contains('.'));
        let bridge = link.is_some_and(|link| link.kind == "bridge");
        if !to_container && !bridge && !ways.contains(&sighting.at) {
            ways.push(sighting.at.clone());
        }
    }
    ways
}
