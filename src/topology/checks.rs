//! Checkpoints: what must hold in a lab, and the points that it gives.

use super::findings::Span;
use super::reader::{Choice, Item, only_key};
use super::types::Checkpoint;
use super::values::{list, text, whole};
use crate::problem::Problem;

/// Most checks of a file.
const CHECKS: usize = 1000;
/// Most points of a checkpoint.
const POINTS: i64 = 1000;

/// All checkpoints, each check of one of these kinds; what cannot be read is noted and left out.
pub(super) fn checkpoints(item: &mut Item<'_>, kinds: &'static [Choice]) -> Option<Vec<Checkpoint>> {
    let built = list(|item| Some(checkpoint(item, kinds)))(item)?;
    let mut kept: Vec<(Checkpoint, Span)> = Vec::new();
    for (checkpoint, at) in built.into_iter().flatten() {
        match kept.iter().find(|(other, _)| other.name == checkpoint.name) {
            Some((_, first)) => item.scope.clash(&at, first, Problem::DuplicateName(checkpoint.name)),
            None => kept.push((checkpoint, at)),
        }
    }
    let checks: usize = kept.iter().map(|(checkpoint, _)| checkpoint.checks.len()).sum();
    if let Some((_, at)) = kept.first().filter(|_| checks > CHECKS) {
        let high = i64::try_from(CHECKS).unwrap_or(i64::MAX);
        item.scope.note(at, Problem::OutOfRange { what: "the number of checks", low: 0, high });
    }
    Some(kept.into_iter().map(|(checkpoint, _)| checkpoint).collect())
}

fn checkpoint(item: &mut Item<'_>, kinds: &'static [Choice]) -> Option<(Checkpoint, Span)> {
    item.keys(|keys| {
        let name = keys.must(Some(Problem::NoCheckpointName), "name", "Its name.", text);
        let about = "What it gives when every check in it passes; 0 unless given.";
        let points = keys.optional("points", about, whole("points", 0..=POINTS));
        let check = only_key(kinds, Problem::OneCheck);
        let checks = keys.required("checks", "What must hold.", list(|item| Some(check(item))));
        if checks.as_ref().is_some_and(Vec::is_empty) {
            keys.scope.note(&keys.at, Problem::Missing("checks"));
        }
        let name = name?;
        let title = name.value.split_whitespace().collect::<Vec<_>>().join(" ");
        if title.is_empty() {
            keys.scope.note(&name.at, Problem::NoCheckpointName);
            return None;
        }
        let checks = checks.unwrap_or_default().into_iter().flatten().collect();
        Some((Checkpoint { name: title, points: points.unwrap_or(0), checks }, name.at))
    })
}
