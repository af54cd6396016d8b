//! `path`: the nodes that route a packet on its way, and the last one.

use super::Stage;
use super::pinged::address;
use super::scene::{Scene, id};
use super::verdict::Verdict;
use crate::probe::predict::{Probe, predict};
use crate::probe::witness::Errand;
use crate::report::check::Evidence;
use crate::report::trace::Deed;
use crate::topology::checks::Path;

/// The ping to watch.
pub(super) fn errand(path: &Path, scene: &Scene<'_>) -> Option<Errand> {
    let (from, to) = (id(&path.from), id(&path.to));
    let address = address(scene, &from, &to)?;
    Some(Errand { from, to, address })
}

pub(super) fn check(path: &Path, stage: &Stage<'_>) -> Verdict {
    let scene = stage.scene;
    for machine in [&path.from, &path.to] {
        if let Err(gone) = scene.machine(machine) {
            return Verdict::wrong(gone);
        }
        if scene.addresses(&id(machine)).is_empty() {
            return Verdict::wrong(scene.no_address(&id(machine)));
        }
    }
    let (from, to) = (path.from.to_string(), path.to.to_string());
    let Some((errand, seen)) = errand(path, scene).and_then(|errand| Some((errand.clone(), stage.witnessed.get(&errand)?)))
    else {
        return Verdict::wrong(scene.unmet(&id(&path.from), &id(&path.to)));
    };
    let mut verdict = Verdict::default();
    if !seen.answered {
        verdict.evidence.push(Evidence::Unanswered { pairs: vec![(from, to)], number: 1, of: 1 });
        verdict.suspect = Some((errand.from, errand.address));
        return verdict;
    }
    let mut way = seen.way(&from, &to);
    let wanted: Vec<String> = path.hops.iter().map(ToString::to_string).collect();
    if scene.is_far(&errand.to) {
        way.hops.extend(beyond(scene, &errand));
    }
    if way.hops != wanted {
        verdict.evidence.push(Evidence::Way { from: from.clone(), to: to.clone(), hops: way.hops });
    }
    if way.unseen > 0 {
        verdict.evidence.push(Evidence::Unexplained { lost: way.unseen });
    }
    if let Some((source, became, by)) = seen.translated(&from, &to) {
        verdict.evidence.push(Evidence::Translated { from, to, by, source, became });
    }
    verdict
}

/// Those that route the packet on the other machine, and the one that it comes to there, as the file says.
fn beyond(scene: &Scene<'_>, errand: &Errand) -> Vec<String> {
    let probe = Probe { size: 84, ttl: 64, may_fragment: true, source: None };
    let visits = predict(scene.view, &errand.from, errand.address, &probe).request.visits;
    let far = visits.into_iter().filter(|visit| scene.view.places.iter().any(|place| place.far && place.node.node == visit.node));
    far.filter(|visit| matches!(visit.deed, Deed::Routes { .. } | Deed::Receives)).map(|visit| visit.node).collect()
}
