//! Half of a lab: what is checked on the other machine, and what is known from the file alone.

use std::collections::BTreeMap;

use super::reach;
use super::scene::{Scene, id};
use super::unreachable;
use crate::plan::NodeId;
use crate::report::check::Note;
use crate::topology::checks::{Check, Machine};

/// Whether nothing of the check can be seen on this machine: what it asks for starts on another one.
pub(super) fn is_elsewhere(check: &Check, scene: &Scene<'_>) -> bool {
    match check {
        Check::Path(path) | Check::RecordRoute(path) => scene.is_far(&id(&path.from)),
        Check::Command(command) => scene.is_far(&id(&command.node)),
        Check::Control(control) => scene.is_far(&NodeId::Host(control.from.clone())),
        _ => false,
    }
}

/// What of the check is not seen on this machine.
pub(super) fn notes(check: &Check, scene: &Scene<'_>) -> Vec<Note> {
    if !scene.view.places.iter().any(|place| place.far) {
        return Vec::new();
    }
    let starts: Vec<NodeId> = match check {
        Check::Reach(of) => reach::pairs(of, scene).into_iter().map(|(from, _)| from).collect(),
        Check::Unreachable(of) => unreachable::pairs(of).into_iter().map(|(from, _)| from).collect(),
        Check::Path(path) | Check::RecordRoute(path) => vec![id(&path.from)],
        Check::Command(command) => vec![id(&command.node)],
        Check::Control(control) => vec![NodeId::Host(control.from.clone())],
        _ => Vec::new(),
    };
    let mut there: BTreeMap<String, usize> = BTreeMap::new();
    for from in starts.iter().filter(|from| scene.is_far(from)) {
        if let NodeId::Host(host) | NodeId::Container(host, _) = from {
            *there.entry(host.to_string()).or_default() += 1;
        }
    }
    let mut notes: Vec<Note> = there.into_iter().map(|(host, number)| Note::OtherMachine { host, number }).collect();
    let far: Vec<String> = told(check, scene).iter().filter(|node| scene.is_far(node)).map(ToString::to_string).collect();
    if !far.is_empty() {
        notes.push(Note::FromFile { nodes: far });
    }
    notes
}

/// The nodes whose own tables the check is about.
fn told(check: &Check, scene: &Scene<'_>) -> Vec<NodeId> {
    let all = |machines: &[Machine]| machines.iter().map(id).collect::<Vec<_>>();
    match check {
        Check::Path(path) if !scene.is_far(&id(&path.from)) => all(&path.hops),
        Check::Routes(routes) => vec![id(&routes.node)],
        Check::Addresses(addresses) => scene.members(&addresses.of),
        Check::Forwarding(forwarding) => [all(&forwarding.on), all(&forwarding.off)].concat(),
        Check::Bridge(bridged) => vec![NodeId::Host(bridged.host.clone())],
        _ => Vec::new(),
    }
}
