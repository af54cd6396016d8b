//! From a file's text to a topology, or to everything that is wrong with it.

mod build;
mod checks;
mod count;
mod decode;
mod raw;
mod read;
mod tree;
mod values;

pub use read::read;

use super::Topology;
use super::findings::Findings;
use super::validate::validate;
use crate::error::{Error, Result};
use crate::problem::Finding;
use decode::Decode;
use raw::RawFile;
use tree::Tree;

/// The topology that a text describes; `file` names it in messages.
///
/// # Errors
/// [`Error::Topology`] with every finding, in the order of the file.
pub fn parse(file: &str, text: &str) -> Result<Topology> {
    understand(text).map_err(|findings| Error::Topology { file: file.to_owned(), text: text.to_owned(), findings })
}

/// The JSON schema of what may be written.
pub(super) fn schema() -> schemars::Schema {
    schemars::schema_for!(RawFile)
}

fn understand(text: &str) -> std::result::Result<Topology, Vec<Finding>> {
    let mut findings = Findings::default();
    let raw = Tree::read(text, &mut findings).and_then(|tree| RawFile::decode(&tree, &mut findings));
    let built = raw.and_then(|raw| build::build(&raw, &mut findings));
    if let Some(built) = &built {
        validate(&built.topology, &built.places, &mut findings);
    }
    let findings = findings.in_order();
    match built {
        Some(built) if findings.is_empty() => Ok(built.topology),
        _ => Err(findings),
    }
}
