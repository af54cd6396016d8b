//! A change of a lab that is up, without its file: the journal's topology is edited, and the lab follows.

use std::collections::BTreeSet;

use super::borrow::Terms;
use super::journal::{Journal, Phase};
use super::lock::Lock;
use super::role::Casting;
use super::up::{Prospect, begin, converge, towards};
use super::{by_hand, home, load, lock};
use crate::error::{Error, Result, Usage};
use crate::kernel::sandbox;
use crate::name::LabName;
use crate::plan::{Key, Ns, Port, State, Value, compile};
use crate::topology::Topology;

/// Edits the lab's topology and makes the lab so; one that fails is undone. Returns what the edit returned, and how many
/// operations it took.
///
/// # Errors
/// Those of the edit, before anything is touched; `Usage::NotUp` for a lab that is not up; those of `up`.
pub(super) fn change<T>(name: &LabName, edit: impl FnOnce(&mut Topology) -> Result<T>) -> Result<(T, usize)> {
    load(name)?;
    let not_up = || Error::Usage(Usage::NotUp(name.to_string()));
    let lock = lock::directory(&home::lab(name), Some(name.as_str()))?.ok_or_else(not_up)?;
    let journal = load(name)?;
    let usable = matches!(journal.phase, Phase::Up | Phase::Coming) && !journal.is_stale();
    if !usable {
        return Err(not_up());
    }
    let mut topology = journal.described().clone();
    let said = edit(&mut topology)?;
    let origin = origin(&journal, &topology);
    let operations = converge_to(name, &topology, origin.as_ref(), lock)?;
    Ok((said, operations))
}

/// Makes a lab as its file describes it: what was launched goes, with its files; what was stopped runs.
///
/// # Errors
/// As [`change`].
pub(super) fn back(name: &LabName) -> Result<usize> {
    let not_up = || Error::Usage(Usage::NotUp(name.to_string()));
    let lock = lock::directory(&home::lab(name), Some(name.as_str()))?.ok_or_else(not_up)?;
    let journal = load(name)?;
    let Some(mut topology) = journal.origin.clone() else { return Ok(0) };
    topology.count_on(journal.described());
    let operations = converge_to(name, &topology, None, lock)?;
    let paths = sandbox::Paths { lab: home::lab(name) };
    for (host, container) in journal.topology.instances() {
        if topology.container(host.name.as_str(), container.name.as_str()).is_none() {
            sandbox::forget(&paths, &format!("{}.{}", host.name, container.name))?;
        }
    }
    Ok(operations)
}

fn converge_to(name: &LabName, topology: &Topology, origin: Option<&Topology>, lock: Lock) -> Result<usize> {
    let making = || {
        let prospect = towards(topology, origin.cloned(), &Casting::default(), Some(load(name)?), true)?;
        begin(prospect).map(Prospect::of_an_edit)
    };
    let up = converge(&making()?, &making, lock, &Terms::default(), &mut |_| {})?;
    Ok(up.operations)
}

/// What the file describes; none while nothing differs from it.
fn origin(journal: &Journal, edited: &Topology) -> Option<Topology> {
    let mut file = journal.origin.as_ref().unwrap_or(journal.described()).clone();
    // Numbers that were given stay given.
    file.count_on(edited);
    (file != *edited).then_some(file)
}

/// Facts that an edit leaves as they are: what somebody has changed of the lab by hand since, as its default routes, stays so
/// until `up` or `reset` is asked for.
pub(super) fn untouched(before: &Journal, seen: &State, wanted: &State) -> Result<State> {
    let was = match before.phase {
        Phase::Up => Some(&before.topology),
        // A change that was cut short.
        Phase::Coming => before.previous.as_ref(),
        Phase::Going | Phase::RolledBack => None,
    };
    was.map_or(Ok(State::new()), |was| unchanged(was, seen, wanted))
}

/// Facts of a topology that are wanted as they are in it, but for links and namespaces that are gone, and what goes with them.
pub(super) fn unchanged(was: &Topology, seen: &State, wanted: &State) -> Result<State> {
    let peers = seen.values().filter_map(|value| if let Value::Link(link) = value { link.peer() } else { None });
    let ports: BTreeSet<&Port> = seen.keys().filter_map(Key::port).chain(peers).collect();
    let there = |key: &Key| {
        let space = matches!(key.ns(), Ns::Root) || seen.contains_key(&Key::Netns(key.ns().clone()));
        space && !matches!(key, Key::Netns(_) | Key::Link(_)) && key.port().is_none_or(|port| ports.contains(port))
    };
    let was = compile(&*by_hand::present(was)?);
    Ok(was.into_iter().filter(|(key, value)| wanted.get(key) == Some(value) && there(key)).collect())
}
