//! The topology that the command line means: a file, or a built-in one.

use std::path::Path;

use crate::error::{Error, Result, Thing};
use crate::lab::resolve;
use crate::topology::{self, Topology, catalog};

/// Whether a word means a file: it has a `/` or ends in `.yaml` or `.yml`.
pub(super) fn is_file(word: &str) -> bool {
    let extension = Path::new(word).extension().and_then(|extension| extension.to_str());
    word.contains('/') || matches!(extension, Some("yaml" | "yml"))
}

/// The topology of a file or of the catalogue.
pub(super) fn topology(word: &str) -> Result<Topology> {
    if is_file(word) { topology::read(Path::new(word)) } else { built_in(word) }
}

/// The topology of the catalogue.
pub(super) fn built_in(word: &str) -> Result<Topology> {
    match catalog::find(word) {
        Some(text) => topology::parse(word, text),
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
