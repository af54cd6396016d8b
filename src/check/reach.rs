//! `reach`: nodes answer each other's pings.

use std::collections::BTreeSet;

use super::scene::{containers, id};
use super::verdict::Verdict;
use super::{Stage, scene::Scene};
use crate::plan::NodeId;
use crate::report::check::Evidence;
use crate::topology::checks::Reach;

/// Pairs that are named one by one.
const NAMED: usize = 4;

/// The ordered pairs that are to be pinged.
pub(super) fn pairs(reach: &Reach, scene: &Scene<'_>) -> Vec<(NodeId, NodeId)> {
    match reach {
        Reach::All => {
            let all = scene.containers();
            let of = |from: &NodeId| all.iter().filter(|to| *to != from).map(|to| (from.clone(), to.clone())).collect::<Vec<_>>();
            all.iter().flat_map(of).collect()
        }
        Reach::Pairs(pairs) => {
            let both = |(from, to): &(_, _)| [(id(from), id(to)), (id(to), id(from))];
            pairs.iter().flat_map(both).collect()
        }
    }
}

pub(super) fn check(reach: &Reach, stage: &Stage<'_>) -> Verdict {
    let scene = stage.scene;
    if *reach == Reach::All
        && let Some(evidence) = too_few(scene)
    {
        return Verdict::wrong(evidence);
    }
    let pairs = pairs(reach, scene);
    let nodes: BTreeSet<&NodeId> = pairs.iter().flat_map(|(from, to)| [from, to]).collect();
    let mut verdict = Verdict::default();
    for node in &nodes {
        if let Err(gone) = scene.place(node) {
            verdict.evidence.push(gone);
        } else if scene.addresses(node).is_empty() {
            verdict.evidence.push(scene.no_address(node));
        }
    }
    verdict.evidence.extend(super::addresses::duplicates(&nodes.iter().copied().cloned().collect::<Vec<_>>(), scene));
    let able = |node: &NodeId| scene.place(node).is_ok() && !scene.addresses(node).is_empty();
    let here = |from: &NodeId| !scene.is_far(from) && able(from);
    let asked: Vec<&(NodeId, NodeId)> = pairs.iter().filter(|(from, to)| here(from) && able(to)).collect();
    // Where no ping could be sent, none is unanswered.
    for (from, to) in asked.iter().filter(|(from, to)| stage.pinged.answered(from, to).is_none()) {
        let unmet = scene.unmet(from, to);
        let told = |evidence: &Evidence| match (evidence, &unmet) {
            (Evidence::NoFamily { from, to }, Evidence::NoFamily { from: other, to: another }) => {
                (from, to) == (other, another) || (from, to) == (another, other)
            }
            (Evidence::Duplicate { address, .. }, Evidence::Duplicate { address: other, .. }) => address == other,
            _ => evidence == &unmet,
        };
        if !verdict.evidence.iter().any(told) {
            verdict.evidence.push(unmet);
        }
    }
    let asked: Vec<&(NodeId, NodeId)> =
        asked.into_iter().filter(|(from, to)| stage.pinged.answered(from, to).is_some()).collect();
    let open: Vec<&(NodeId, NodeId)> =
        asked.iter().copied().filter(|(from, to)| stage.pinged.answered(from, to) == Some(false)).collect();
    if !open.is_empty() {
        let pairs = open.iter().take(NAMED).map(|(from, to)| (from.to_string(), to.to_string())).collect();
        verdict.evidence.push(Evidence::Unanswered { pairs, number: open.len(), of: asked.len() });
        verdict.suspect = open.iter().find_map(|(from, to)| Some((from.clone(), stage.pinged.unanswered(from, to)?)));
    }
    verdict
}

/// Against another topology, that there is nobody on one side.
pub(super) fn too_few(scene: &Scene<'_>) -> Option<Evidence> {
    let configured: Vec<NodeId> = scene.containers().into_iter().filter(|id| scene.is_configured(id)).collect();
    if scene.containers().len() < 2 || (scene.against && configured.len() < 2) {
        return Some(few(&configured, scene));
    }
    let hosts: BTreeSet<&str> = configured.iter().filter_map(host).collect();
    match hosts.first() {
        Some(here) if scene.against && hosts.len() == 1 => {
            let all: BTreeSet<&str> = containers(scene.view).filter_map(host).collect();
            Some(Evidence::OneHost { host: (*here).to_owned(), others: all.len() - 1 })
        }
        _ => None,
    }
}

/// That so few containers have an address that counts.
pub(super) fn few(configured: &[NodeId], scene: &Scene<'_>) -> Evidence {
    let besides = scene.besides.iter().any(|(id, _)| matches!(id, NodeId::Container(..)) && !configured.contains(id));
    Evidence::TooFew { configured: configured.iter().map(ToString::to_string).collect(), besides }
}

/// The host of a container.
pub(super) fn host(id: &NodeId) -> Option<&str> {
    match id {
        NodeId::Container(host, _) => Some(host.as_str()),
        _ => None,
    }
}
