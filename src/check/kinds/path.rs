//! `path`: the nodes that route a packet on its way, and the last one.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::check::evidence::{Bench, Common, Evidence, Seen};
use crate::check::kinds::{Kind, Stage, Target, Verdict};
use crate::check::players::Players;
use crate::check::players::{Machine, node, nodes};
use crate::check::scene::Scene;
use crate::kernel::netfilter::nat;
use crate::kernel::tables;
use crate::probe::cure::cure;
use crate::probe::predict::{Probe, predict};
use crate::probe::watch::WatchedPing;
use crate::problem::Problem;
use crate::render::lang::{t, w};
use crate::render::sentences::statement::{Say, Words};
use crate::report::trace::{Action, Cause};
use crate::topology::reader::Item;
use crate::topology::values::last;

/// The way of a packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Path {
    /// Who sends it.
    pub from: Machine,
    /// Whom it is for.
    pub to: Machine,
    /// Every node that routes it, in order, and the receiver last.
    pub hops: Vec<Machine>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Found {
    /// The nodes that a packet came to.
    Way { from: String, to: String, hops: Vec<String> },
    /// A node changed the source address of a packet on its way.
    Translated { from: String, to: String, by: Option<String>, source: IpAddr, became: IpAddr },
    /// A packet lost so much of its time to live, and only these nodes were seen to route it.
    Unexplained { lost: u8 },
}

impl Seen for Found {
    /// The rule goes that changes the source, where it is known which one that is.
    fn cures(&self, bench: &Bench<'_>) -> Vec<String> {
        let Self::Translated { to, by: Some(by), source, became, .. } = self else { return Vec::new() };
        let (Some(place), Some(target)) = (bench.view.named(by), bench.view.named(to)) else { return Vec::new() };
        let has = |link: &&tables::Link| link.addresses.iter().any(|own| own.net.addr() == *became);
        let dev = place.tables.links.iter().find(has).map_or("", |link| &link.name);
        let links = target.tables.links.iter().filter(|link| link.kind != "loopback");
        let mut addresses = links.flat_map(|link| &link.addresses).map(|own| own.net.addr());
        let Some(destination) = addresses.find(|own| own.is_ipv4() == source.is_ipv4()) else { return Vec::new() };
        let Some(rule) = nat::hider(&place.pin, nat::Leaving { source: *source, destination, dev }) else { return Vec::new() };
        let cause = Cause::Filtered {
            node: by.clone(),
            family: rule.family,
            table: rule.table,
            chain: rule.chain,
            hook: None,
            rule: Some(rule.handle),
            number: Some(rule.number),
            policy: false,
        };
        cure(bench.view, &cause)
    }
}

impl Say for Found {
    fn sentence(&self, words: &Words<'_>) -> String {
        let lang = words.lang;
        match self {
            Self::Way { from, to, hops } => {
                let nodes = hops.iter().map(|node| words.node(node)).collect::<Vec<_>>().join(", ");
                t!(lang, "A packet from {from} to {to} came to: {nodes}.", from = words.node(from), to = words.node(to), nodes)
            }
            Self::Translated { from, to, by, source, became } => t!(
                lang,
                "NAT: {who} changes the source of packets from {from} to {to}, {source} becomes {became}. Routing leaves addresses alone.",
                who = by.as_ref().map_or_else(|| w!(lang, "somebody").to_owned(), |by| words.node(by)),
                from = words.node(from),
                to = words.node(to),
                source,
                became
            ),
            Self::Unexplained { lost: 1 } => t!(lang, "1 router took one from its time to live, and nobody saw where."),
            Self::Unexplained { lost } => {
                t!(lang, "{number} routers took one from its time to live, and nobody saw where.", number = lost)
            }
        }
    }
}

impl Kind for Path {
    const ABOUT: &'static str = "The nodes on the way of a packet.";

    fn read(item: &mut Item<'_>) -> Option<Self> {
        item.keys(|keys| {
            let from = keys.required("from", "Who sends it.", node);
            let to = keys.required("to", "Whom it is for.", node);
            let about = "Every node that routes it, in order, and the receiver last.";
            let hops = keys.required("hops", about, |item| Some((nodes(item)?, last(item))));
            let (hops, end) = hops?;
            let path = Self { from: from?, to: to?, hops };
            if path.hops.last() != Some(&path.to) {
                keys.scope.note(&end.unwrap_or(keys.at.clone()), Problem::PathEnd(path.to.to_string().replacen('.', "/", 1)));
                return None;
            }
            Some(path)
        })
    }

    fn wanted(&self, words: &Words<'_>) -> String {
        let (lang, from, to) = (words.lang, words.node(&self.from), words.node(&self.to));
        match self.hops.as_slice() {
            [_] => t!(lang, "nobody routes on the way from {from} to {to}", from, to),
            [routers @ .., _] => {
                let then = format!(", {} ", w!(lang, "then"));
                let routers = routers.iter().map(|router| words.node(router)).collect::<Vec<_>>().join(&then);
                t!(lang, "the way from {from} to {to} leads over {routers}", from, to, routers)
            }
            [] => String::new(),
        }
    }

    fn played_by(&self, players: &Players<'_>) -> Result<Self, Common> {
        let (from, to) = (players.machine(&self.from)?, players.machine(&self.to)?);
        Ok(Self { from, to, hops: players.all(&self.hops)? })
    }

    fn target(&self, scene: &Scene<'_>) -> Target {
        if scene.is_remote(&self.from.0) {
            return Target::Acts(self.from.0.clone());
        }
        Target::Tables(self.hops.iter().map(|machine| machine.0.clone()).collect())
    }

    fn watched(&self, scene: &Scene<'_>) -> Vec<WatchedPing> {
        Vec::from_iter(ping(self, scene))
    }

    fn judge(&self, stage: &Stage<'_>) -> Result<Verdict, Evidence> {
        let scene = stage.scene;
        for machine in [&self.from, &self.to] {
            scene.place(&machine.0)?;
            if scene.addresses(&machine.0).is_empty() {
                return Err(scene.no_address(&machine.0).into());
            }
        }
        let (from, to) = (self.from.to_string(), self.to.to_string());
        let Some((ping, seen)) = ping(self, scene).and_then(|ping| Some((ping.clone(), stage.watched.get(&ping)?))) else {
            return Err(scene.unmet(&self.from.0, &self.to.0).into());
        };
        if !seen.answered {
            return Ok(Verdict::unanswered(ping.from, &ping.to, ping.address));
        }
        let mut verdict = Verdict::default();
        let mut way = seen.way(&from, &to);
        let wanted: Vec<String> = self.hops.iter().map(ToString::to_string).collect();
        if scene.is_remote(&ping.to) {
            way.hops.extend(beyond(scene, &ping));
        }
        if way.hops != wanted {
            verdict.add(Found::Way { from: from.clone(), to: to.clone(), hops: way.hops });
        }
        if way.unseen > 0 {
            verdict.add(Found::Unexplained { lost: way.unseen });
        }
        if let Some((source, became, by)) = seen.translated(&from, &to) {
            verdict.add(Found::Translated { from, to, by, source, became });
        }
        Ok(verdict)
    }
}

/// The ping to watch.
fn ping(path: &Path, scene: &Scene<'_>) -> Option<WatchedPing> {
    let (from, to) = (path.from.0.clone(), path.to.0.clone());
    let address = scene.address(&from, &to)?;
    Some(WatchedPing { from, to, address })
}

/// Those that route the packet on the other machine, and the one that it comes to there, as the file says.
fn beyond(scene: &Scene<'_>, ping: &WatchedPing) -> Vec<String> {
    let probe = Probe { size: 84, ttl: 64, may_fragment: true, source: None };
    let visits = predict(scene.view, &ping.from, ping.address, &probe).request.visits;
    let remote =
        visits.into_iter().filter(|visit| scene.view.places.iter().any(|place| place.remote && place.node.node == visit.node));
    remote.filter(|visit| matches!(visit.deed, Action::Routes { .. } | Action::Receives)).map(|visit| visit.node).collect()
}
