//! From a file's text to a topology, or to everything that is wrong with it.

mod build;
mod count;
mod decode;
mod raw;
mod read;
mod values;

pub use read::read;

use std::cell::RefCell;

use super::Topology;
use super::checks::checkpoints;
use super::findings::Findings;
use super::reader::{Choice, Item, Scope};
use super::tree::Tree;
use super::validate::validate;
use crate::error::{Error, Result};
use crate::problem::Finding;
use decode::Decode;
use raw::RawFile;

/// The topology that a text describes, its checks of these kinds; `file` names it in messages.
///
/// # Errors
/// [`Error::Topology`] with every finding, in the order of the file.
pub fn parse(file: &str, text: &str, kinds: &'static [Choice]) -> Result<Topology> {
    understand(text, kinds).map_err(|findings| Error::Topology { file: file.to_owned(), text: text.to_owned(), findings })
}

/// The JSON schema of what may be written.
pub(super) fn schema(kinds: &'static [Choice]) -> schemars::Schema {
    let mut schema = schemars::schema_for!(RawFile);
    let (lab, findings) = (build::nothing(), RefCell::default());
    let mut described = Item::describe(Scope::new(&lab, &findings), |item| checkpoints(item, kinds));
    if let Some(property) = schema.pointer_mut("/properties/checkpoints") {
        described["description"] = property["description"].take();
        *property = described;
    }
    schema
}

fn understand(text: &str, kinds: &'static [Choice]) -> std::result::Result<Topology, Vec<Finding>> {
    let mut findings = Findings::default();
    let raw = Tree::read(text, &mut findings).and_then(|tree| RawFile::decode(&tree, &mut findings));
    let built = raw.and_then(|raw| build::build(&raw, kinds, &mut findings));
    if let Some(built) = &built {
        validate(&built.topology, &built.places, &mut findings);
    }
    let findings = findings.in_order();
    match built {
        Some(built) if findings.is_empty() => Ok(built.topology),
        _ => Err(findings),
    }
}
