//! `macs`: whose MAC addresses are in the frames that cross a network.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::check::evidence::{Common, Evidence, Seen};
use crate::check::kinds::{Kind, Stage, Suspect, Target, Verdict};
use crate::check::players::Players;
use crate::check::players::{Members, members, network};
use crate::check::scene::{Scene, host};
use crate::name::NodeName;
use crate::plan::NodeId;
use crate::probe::watch::{Watched, WatchedPing};
use crate::render::lang::{and, or, t};
use crate::render::sentences::statement::{Say, Words};
use crate::report::trace::Direction;
use crate::report::wire::{Interface, Station};
use crate::topology::reader::Item;

/// Most pings that are watched.
const MOST: usize = 512;

/// Whose MAC addresses are in the frames that cross a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Macs {
    /// The network.
    network: NodeName,
    /// All whose addresses are there, and nobody else.
    owners: Members,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Found {
    /// MAC addresses in frames on a network that should not be there.
    Strangers { network: String, stations: Vec<Station> },
    /// Nodes whose MAC addresses were not seen on the network.
    Unseen { network: String, nodes: Vec<String> },
    /// A ping was answered without crossing the network: the interfaces of hosts that it left by.
    OtherWay { from: String, to: String, network: String, interfaces: Vec<Interface> },
}

impl Seen for Found {}

impl Say for Found {
    fn sentence(&self, words: &Words<'_>) -> String {
        let lang = words.lang;
        match self {
            Self::Strangers { network, stations } => {
                let described = |station: &Station| match &station.owner {
                    Some(owner) => format!("{} ({})", station.mac, words.interface(owner)),
                    None => t!(lang, "{mac} (nobody's in the lab)", mac = station.mac),
                };
                let stations = words.few(&stations.iter().map(described).collect::<Vec<_>>());
                t!(lang, "On {network} there were also {stations}.", network, stations)
            }
            Self::Unseen { network, nodes } if nodes.is_empty() => t!(lang, "No ping crossed {network}.", network),
            Self::Unseen { network, nodes } => {
                let nodes = or(lang, &nodes.iter().map(|node| words.node(node)).collect::<Vec<_>>());
                t!(lang, "No ping on {network} came from a MAC address of {nodes}.", network, nodes)
            }
            Self::OtherWay { from, to, network, interfaces } => {
                let (from, to) = (words.node(from), words.node(to));
                let interfaces: Vec<String> = interfaces.iter().map(|interface| words.interface(interface)).collect();
                if interfaces.is_empty() {
                    t!(
                        lang,
                        "A ping from {from} to {to} is answered without crossing {network}: no host's interface was seen to send it.",
                        from,
                        to,
                        network
                    )
                } else {
                    t!(
                        lang,
                        "A ping from {from} to {to} is answered without crossing {network}: it left by {interfaces}.",
                        from,
                        to,
                        network,
                        interfaces = and(lang, &interfaces)
                    )
                }
            }
        }
    }
}

impl Kind for Macs {
    const ABOUT: &'static str = "Whose MAC addresses cross a network.";

    fn read(item: &mut Item<'_>) -> Option<Self> {
        item.keys(|keys| {
            let network = keys.required("network", "The network.", network);
            let about = "`containers`, `hosts`, or a list of nodes: all of them, and nobody else.";
            let owners = keys.required("owners", about, members);
            Some(Self { network: network?, owners: owners? })
        })
    }

    fn wanted(&self, words: &Words<'_>) -> String {
        let (lang, network) = (words.lang, &self.network);
        match &self.owners {
            Members::Containers => t!(lang, "{network} carries the containers' own MAC addresses alone", network),
            Members::Hosts => t!(lang, "{network} carries the hosts' MAC addresses alone", network),
            Members::These(these) => {
                t!(lang, "{network} carries the MAC addresses of {nodes} alone", network, nodes = words.nodes(these))
            }
        }
    }

    fn played_by(&self, players: &Players<'_>) -> Result<Self, Common> {
        Ok(Self { network: players.network(&self.network)?, owners: players.members(&self.owners)? })
    }

    fn target(&self, _: &Scene<'_>) -> Target {
        Target::Tables(Vec::new())
    }

    fn watched(&self, scene: &Scene<'_>) -> Vec<WatchedPing> {
        pings(scene)
    }

    fn judge(&self, stage: &Stage<'_>) -> Result<Verdict, Evidence> {
        let scene = stage.scene;
        let mut pings = pings(scene);
        pings.retain(|ping| !scene.is_remote(&ping.from));
        if pings.is_empty() {
            let gone = scene.gone.iter().map(|node| Common::NodeGone { node: node.to_string() }).next();
            return Err(gone.or_else(|| scene.too_few()).unwrap_or_else(|| nobody(scene)).into());
        }
        let nics = nics(&self.network, scene);
        let watched: Vec<(&WatchedPing, &Watched)> =
            pings.iter().filter_map(|ping| Some((ping, stage.watched.get(ping)?))).collect();
        let gone = self.owners.nodes(scene).iter().filter_map(|node| scene.place(node).err()).map(Evidence::from).collect();
        let mut verdict = Verdict { evidence: gone, ..Verdict::default() };
        let crosses = |seen: &Watched| seen.sightings.iter().any(|sighting| nics.contains(&sighting.at));
        let crossing: Vec<&(&WatchedPing, &Watched)> = watched.iter().filter(|(_, seen)| crosses(seen)).collect();
        let by = |seen: &Watched, leg| seen.sightings.iter().any(|sighting| sighting.leg == leg && nics.contains(&sighting.at));
        for (ping, seen) in watched.iter().filter(|(_, seen)| seen.answered) {
            let beside = [Direction::Request, Direction::Reply].into_iter().find(|leg| !by(seen, *leg));
            if let Some(leg) = beside.filter(|_| must_cross(ping, &self.network, scene)) {
                let interfaces = ways_out(seen, leg, scene);
                let network = self.network.to_string();
                verdict.add(Found::OtherWay { from: ping.from.to_string(), to: ping.to.to_string(), network, interfaces });
                break;
            }
        }
        let allowed: BTreeSet<String> = self.owners.nodes(scene).iter().map(ToString::to_string).collect();
        let wanted: BTreeSet<String> = match &self.owners {
            Members::Containers => crossing
                .iter()
                .filter(|(_, seen)| seen.answered)
                .flat_map(|(ping, _)| [ping.from.to_string(), ping.to.to_string()])
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
            verdict.add(Found::Strangers { network: self.network.to_string(), stations: strangers });
        }
        let unseen: Vec<String> = wanted.difference(&met).cloned().collect();
        if crossing.is_empty() || !unseen.is_empty() {
            if verdict.evidence.is_empty() {
                verdict.suspect = watched
                    .iter()
                    .find(|(_, seen)| !seen.answered)
                    .map(|(ping, _)| Suspect::ping(ping.from.clone(), ping.address));
            }
            verdict.add(Found::Unseen { network: self.network.to_string(), nodes: unseen });
        }
        Ok(verdict)
    }
}

/// Pings between the hosts in which every container takes part.
fn pings(scene: &Scene<'_>) -> Vec<WatchedPing> {
    let mut by_host: BTreeMap<String, Vec<NodeId>> = BTreeMap::new();
    for container in scene.containers().into_iter().filter(|id| scene.is_configured(id)) {
        if let Some(host) = host(&container) {
            by_host.entry(host.to_owned()).or_default().push(container.clone());
        }
    }
    let mut pings = Vec::new();
    for (one, senders) in &by_host {
        for receivers in by_host.iter().filter(|(other, _)| *other != one).map(|(_, receivers)| receivers) {
            for (at, from) in senders.iter().enumerate() {
                let to = &receivers[at % receivers.len()];
                if let Some(address) = scene.address(from, to) {
                    pings.push(WatchedPing { from: from.clone(), to: to.clone(), address });
                }
            }
        }
    }
    pings.truncate(MOST);
    pings
}

/// Why none of the containers pings one of another host.
fn nobody(scene: &Scene<'_>) -> Common {
    let able: Vec<NodeId> = scene.containers().into_iter().filter(|id| scene.is_configured(id)).collect();
    let from = able.iter().find(|from| !scene.is_remote(from) && able.iter().any(|to| host(to) != host(from)));
    let to = from.and_then(|from| able.iter().find(|to| host(to) != host(from)));
    match from.zip(to) {
        Some((from, to)) => scene.unmet(from, to),
        None => scene.few(&able),
    }
}

/// The NICs of a network, wherever they are now.
fn nics(network: &NodeName, scene: &Scene<'_>) -> Vec<Interface> {
    let here = |(host, name): (NodeName, _)| match scene.nic(&host, &name) {
        Ok(link) => Some(Interface { node: host.to_string(), interface: link.name.clone() }),
        Err(Common::NicMoved { to, .. }) => Some(to),
        Err(_) => None,
    };
    scene.ends(network).into_iter().filter_map(here).collect()
}

/// Both hosts are on the network, so the way between them is over it.
fn must_cross(ping: &WatchedPing, network: &NodeName, scene: &Scene<'_>) -> bool {
    let on = |node: &NodeId| scene.ends(network).iter().any(|(end, _)| Some(end.as_str()) == host(node));
    on(&ping.from) && on(&ping.to)
}

/// The interfaces by which a ping or its answer left hosts, those to containers left out.
fn ways_out(seen: &Watched, leg: Direction, scene: &Scene<'_>) -> Vec<Interface> {
    let mut ways = Vec::new();
    for sighting in seen.sightings.iter().filter(|sighting| sighting.outgoing && sighting.leg == leg) {
        let Some(place) = scene.view.named(&sighting.at.node) else { continue };
        if !matches!(place.id, NodeId::Host(_)) {
            continue;
        }
        let link = place.named(&sighting.at.interface);
        let to_container = link.and_then(|link| link.peer.as_ref()?.node.as_ref()).is_some_and(|node| node.contains('.'));
        let bridge = link.is_some_and(|link| link.kind == "bridge");
        if !to_container && !bridge && !ways.contains(&sighting.at) {
            ways.push(sighting.at.clone());
        }
    }
    ways
}
