//! Which pairs answer each other's pings: all that the checks ask for, sent at once.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use super::scene::Scene;
use crate::error::Result;
use crate::plan::NodeId;
use crate::probe::ping::all;
use crate::probe::ping::stations::{Station, Stations};
use crate::probe::predict::{Probe, predict};
use crate::report::ping::Pair;

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
    pub(super) fn run(scene: &Scene<'_>, pairs: &Pairs) -> Result<Self> {
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
    let lives = |address: IpAddr| number > PREDICTED || predict(scene.view, &from.id, address, &probe).death.is_none();
    open.into_iter().any(|attempt| lives(attempt.address))
}

fn named<'a>(stations: &'a Stations, node: &str) -> Option<&'a Station> {
    stations.all.iter().find(|station| station.id.to_string() == node)
}
