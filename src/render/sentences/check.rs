//! Checks, in words: who is judged, and what came of it.

use crate::render::lang::{Lang, n, t, w};
use crate::report::check::{Checkpoint, Report, Role, State, Wiring};

/// What is checked against what.
pub fn title(lang: Lang, report: &Report) -> String {
    match &report.against {
        Some(topology) => t!(lang, "{lab} judged by the checkpoints of {topology}", lab = report.lab, topology),
        None => t!(lang, "{lab} judged by its own checkpoints", lab = report.lab),
    }
}

/// Who plays a part.
pub fn role(lang: Lang, report: &Report, role: &Role) -> String {
    let part = role.role.rsplit('.').next().unwrap_or(&role.role);
    let Some(node) = &role.node else { return t!(lang, "nobody plays {part}", part = role.role.replacen('.', "/", 1)) };
    let (node, container) = (report.names.node(node), role.role.contains('.'));
    match &role.wiring {
        Wiring::Switch { bridge } | Wiring::Gateway { bridge } if container => {
            t!(lang, "{node} plays {part}, behind the bridge {bridge}", node, part, bridge)
        }
        Wiring::PointToPoint if container => t!(lang, "{node} plays {part}, on a point-to-point link", node, part),
        Wiring::Switch { bridge } => {
            t!(lang, "{node} plays {part}, with the bridge {bridge} as a switch to the wire", node, part, bridge)
        }
        Wiring::Gateway { bridge } => t!(lang, "{node} plays {part}, with the bridge {bridge} as a gateway", node, part, bridge),
        Wiring::PointToPoint => t!(lang, "{node} plays {part}, with point-to-point links", node, part),
        Wiring::None => t!(lang, "{node} plays {part}", node, part),
    }
}

/// Containers that are not judged.
pub fn spares(lang: Lang, report: &Report) -> String {
    let nodes = report.words(lang).few_nodes(&report.spares);
    match (report.untouched, report.spares.len()) {
        (true, 1) => t!(lang, "Not judged, since nothing is configured there: {node}", node = nodes),
        (true, _) => t!(lang, "Not judged, since nothing is configured there: {nodes}", nodes),
        (false, 1) => t!(lang, "Not judged, since it has no address in this scenario: {node}", node = nodes),
        (false, _) => t!(lang, "Not judged, since they have no address in this scenario: {nodes}", nodes),
    }
}

/// The heading of a checkpoint.
pub fn checkpoint(lang: Lang, checkpoint: &Checkpoint) -> String {
    let (name, reached) = (&checkpoint.name, number(lang, checkpoint.reached));
    match checkpoint.points {
        0 => name.clone(),
        of => t!(lang, "{name}: {reached} of {points}", name, reached, points = n!(lang, of, "point", "points")),
    }
}

/// The word for how a check ended, in capitals.
pub fn state(lang: Lang, state: State) -> &'static str {
    match state {
        State::Pass => w!(lang, "PASS"),
        State::Fail => w!(lang, "FAIL"),
        State::CouldNotRun => w!(lang, "COULD NOT RUN"),
        State::Skipped => w!(lang, "SKIPPED"),
    }
}

/// The sum of points and checks.
pub fn sum(lang: Lang, report: &Report) -> Vec<String> {
    let mut counts = Vec::new();
    for (number, state) in [
        (report.failed, State::Fail),
        (report.not_run, State::CouldNotRun),
        (report.skipped, State::Skipped),
        (report.passed, State::Pass),
    ] {
        if number == 0 {
            continue;
        }
        let checks = if counts.is_empty() { n!(lang, number, "check", "checks") } else { number.to_string() };
        counts.push(match state {
            State::Fail => t!(lang, "{checks} failed", checks),
            State::CouldNotRun => t!(lang, "{checks} could not run", checks),
            State::Skipped if number == 1 => t!(lang, "{check} skipped", check = checks),
            State::Skipped => t!(lang, "{checks} skipped", checks),
            State::Pass => t!(lang, "{checks} passed", checks),
        });
    }
    let counts = counts.join(", ");
    if report.points == 0 {
        return vec![format!("{counts}.")];
    }
    let points = n!(lang, report.points, "point", "points");
    vec![t!(lang, "{reached} of {points}: {counts}.", reached = number(lang, report.reached), points, counts)]
}

/// That nslab waits for changes.
pub fn watching(lang: Lang) -> &'static str {
    w!(lang, "Watching; Ctrl-C ends it.")
}

/// A number of points, with a decimal only where there is one.
fn number(lang: Lang, points: f64) -> String {
    format!("{points:.1}").trim_end_matches('0').trim_end_matches('.').replace('.', w!(lang, ["decimal"] "."))
}
