//! The topology that the command line means: a file, or a built-in one.

use std::path::Path;

use super::{Context, rights};
use crate::check::KINDS;
use crate::error::{Error, Result, Thing};
use crate::lab::{self, Journal, resolve};
use crate::report::notice::Notice;
use crate::topology::catalog::is_file;
use crate::topology::{self, Topology, catalog};

/// The topology of a file or of the catalogue.
pub(super) fn topology(word: &str) -> Result<Topology> {
    if is_file(word) { topology::read(Path::new(word), KINDS) } else { built_in(word) }
}

/// The journal of a lab that is up; none when no such lab is, or the caller may not read that.
fn journal(word: &str) -> Option<Journal> {
    let entry = lab::names().into_iter().find(|entry| entry.lab == word)?;
    if rights::lacking().is_some() {
        return None;
    }
    // With a damaged journal `up` and `down` go on without it, and say what is wrong with it.
    lab::load(&entry.lab).ok()
}

/// The topology of a lab that is up, as its journal has it; none when no such lab is, or the caller may not read that.
pub(super) fn described(word: &str) -> Option<Topology> {
    journal(word).map(|journal| journal.whole.unwrap_or(journal.topology))
}

/// As [`described`], without what was launched, stopped or configured since.
fn of_file(word: &str) -> Option<Topology> {
    journal(word).map(|journal| journal.origin.or(journal.whole).unwrap_or(journal.topology))
}

/// The topology that `up` is to make: a lab that is up stays what it is, even where a built-in one has its name.
pub(super) fn wanted(word: &str, context: &mut Context) -> Result<Topology> {
    let described = if is_file(word) { None } else { of_file(word) };
    let Some(described) = described else { return topology(word) };
    if catalog::find(word).is_some() && !is_built_in(word, &described)? {
        context.front.notice(&Notice::OwnDescription { lab: word.to_owned() });
    }
    Ok(described)
}

/// Whether a lab is described as the topology of its name is; numbers that were given out for containers since make no difference.
fn is_built_in(word: &str, described: &Topology) -> Result<bool> {
    let mut shipped = built_in(word)?;
    shipped.count_on(described);
    Ok(without_checks(shipped) == without_checks(described.clone()))
}

/// What makes the lab: its checkpoints and what it is to become are none of that.
fn without_checks(mut topology: Topology) -> Topology {
    topology.checkpoints.clear();
    topology.exercise.clear();
    topology
}

/// The topology of the catalogue.
pub(super) fn built_in(word: &str) -> Result<Topology> {
    match catalog::find(word) {
        Some(text) => topology::parse(word, text, KINDS),
        None if Path::new(word).is_file() => {
            Err(Error::Unknown { what: Thing::Topology, word: word.to_owned(), candidates: vec![format!("./{word}")] })
        }
        None => Err(unknown(word)),
    }
}

/// That the catalogue has no such topology, with what was probably meant.
pub(super) fn unknown(word: &str) -> Error {
    let names = catalog::names().map(str::to_owned).collect();
    Error::Unknown { what: Thing::Topology, word: word.to_owned(), candidates: resolve::near(word, names) }
}
