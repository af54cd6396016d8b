//! From what was heard to what it means.

use std::collections::BTreeMap;

use super::listen::{Count, Tally};
use super::segments::{Segment, learned};
use crate::name::Mac;
use crate::plan::NodeId;
use crate::probe::view::View;
use crate::report::macs::{Entry, Kind, Network, Part, Reason, Source};
use crate::report::wire::Interface;

/// The report on a network; `after` is the lab as it is once everything was heard.
pub fn network(segment: &Segment, tally: &Tally, after: &View) -> Network {
    let blocked = tally.blocked();
    let source = |(&(side, mac), count): (&(usize, Mac), &Count)| {
        let owners = owners(mac, after);
        Some(Source {
            mac: mac.to_string(),
            reason: reason(&owners, count, after),
            owners,
            side: segment.sides.get(side)?.end.clone(),
            frames: count.frames,
            broadcasts: count.broadcasts,
            blocked: blocked.get(&(side, mac)).copied().unwrap_or(0),
        })
    };
    let sources: Vec<Source> = tally.sources.iter().filter_map(source).collect();
    Network {
        network: segment.network.clone(),
        kind: segment.kind,
        ends: segment.sides.iter().map(|side| side.end.clone()).collect(),
        frames: sources.iter().map(|source| source.frames).sum(),
        broadcasts: sources.iter().map(|source| source.broadcasts).sum(),
        missed: tally.missed,
        table: table(segment, tally, after),
        hosts: parts(&sources),
        sources,
    }
}

/// The interfaces that have a MAC address. A bridge that somebody made by hand takes that of one of its ports: both are
/// one station then, and the bridge is what speaks.
fn owners(mac: Mac, view: &View) -> Vec<Interface> {
    let owners = view.owners_of_mac(mac);
    let is_port_of_owner = |owner: &Interface| {
        let place = view.places.iter().find(|place| place.node.node == owner.node);
        let bridge = place.and_then(|place| place.node.links.iter().find(|link| link.name == owner.interface)?.bridge.clone());
        bridge.is_some_and(|bridge| owners.iter().any(|other| other.node == owner.node && other.interface == bridge))
    };
    owners.iter().filter(|owner| !is_port_of_owner(owner)).cloned().collect()
}

fn reason(owners: &[Interface], count: &Count, view: &View) -> Reason {
    let [owner] = owners else { return if owners.is_empty() { Reason::Unknown } else { Reason::Cloned } };
    let Some(place) = view.places.iter().find(|place| place.node.node == owner.node) else { return Reason::Unknown };
    if matches!(place.id, NodeId::Container(..)) {
        return Reason::Bridged;
    }
    let own = |address| place.node.links.iter().any(|link| link.addresses.iter().any(|net| net.addr() == address));
    if count.addresses.iter().any(|address| !own(*address)) { Reason::Routed } else { Reason::Own }
}

/// A switch's own table; for a wire every address at the end that it was last seen at, as a switch would learn it.
fn table(segment: &Segment, tally: &Tally, view: &View) -> Vec<Entry> {
    if segment.kind == Kind::Switch {
        let entry = |(port, mac, age): (String, Mac, Option<std::time::Duration>)| Entry {
            port,
            mac: mac.to_string(),
            owners: owners(mac, view),
            age: age.map(|age| age.as_secs_f64()),
        };
        return learned(view, &segment.network).into_iter().map(entry).collect();
    }
    let mut last: BTreeMap<Mac, (u64, usize)> = BTreeMap::new();
    for (&(side, mac), count) in &tally.sources {
        let latest = last.entry(mac).or_insert((count.last, side));
        *latest = (*latest).max((count.last, side));
    }
    let mut entries: Vec<(usize, Mac)> =
        last.into_iter().filter(|(mac, _)| mac.is_unicast()).map(|(mac, (_, side))| (side, mac)).collect();
    entries.sort_unstable();
    let entry = |(side, mac): (usize, Mac)| {
        let port = segment.sides.get(side)?.end.node.clone();
        Some(Entry { port, mac: mac.to_string(), owners: owners(mac, view), age: None })
    };
    entries.into_iter().filter_map(entry).collect()
}

/// What each side has to do with the addresses that came from it: bridging shows even where the host also speaks itself.
fn parts(sources: &[Source]) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for source in sources {
        match parts.iter_mut().find(|part| part.host == source.side.node) {
            None => parts.push(Part { host: source.side.node.clone(), how: source.reason, macs: 1 }),
            Some(part) => {
                part.how = part.how.min(source.reason);
                part.macs += 1;
            }
        }
    }
    parts
}
