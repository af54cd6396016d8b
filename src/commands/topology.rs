//! Topology files: `topology`, `validate`, `schema`.

use std::path::{Path, PathBuf};

use clap::ValueHint;
use clap_complete::engine::ArgValueCompleter;

use super::run::{Context, Run};
use super::target::Role;
use super::{completions, target};
use crate::check::KINDS;
use crate::error::{Error, Result};
use crate::lab::Casting;
use crate::render::lang::Lang;
use crate::render::{Printed, sentences, shapes};
use crate::report::topology::{File, Finding, Item, List, Source, Validation};
use crate::topology::{catalog, read};

/// List the built-in topologies, or print one
///
/// `nslab topology bridged > my-lab.yaml` makes a file to change and bring up.
#[derive(Debug, clap::Args)]
pub struct Topology {
    /// The topology to print
    #[arg(add = ArgValueCompleter::new(completions::names))]
    name: Option<String>,
}

shapes! {
    /// The built-in topologies, or the file of one.
    pub enum Shown { List(List), Source(Source) }
}

impl Run for Topology {
    type Out = Shown;

    fn run(self, _context: &mut Context) -> Result<Self::Out> {
        let Some(name) = self.name else { return Ok(Shown::List(List { topologies: items()? })) };
        let text = catalog::find(&name).ok_or_else(|| target::unknown(&name))?.to_owned();
        Ok(Shown::Source(Source { name, text }))
    }
}

/// The built-in topologies.
pub(super) fn items() -> Result<Vec<Item>> {
    let item = |name: &str| -> Result<Item> {
        let topology = target::built_in(name)?;
        let (hosts, containers) = (topology.hosts.len(), topology.containers());
        Ok(Item { name: name.to_owned(), summary: topology.summary, hosts, containers })
    };
    catalog::names().map(item).collect()
}

/// Check topology files without touching anything
///
/// Ends with 2 when a file is wrong; every mistake is told at once.
#[derive(Debug, clap::Args)]
pub struct Validate {
    /// The files
    #[arg(required = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    role: Role,
}

impl Run for Validate {
    type Out = Validation;

    fn run(self, _: &mut Context) -> Result<Self::Out> {
        let casting = self.role.casting()?;
        let files = self.files.iter().map(|file| check(file, &casting)).collect();
        Ok(Validation { files })
    }
}

fn check(path: &Path, casting: &Casting) -> File {
    let file = path.display().to_string();
    match read(path, KINDS).and_then(|topology| casting.apart(&topology)) {
        Ok(topology) => File {
            file,
            valid: true,
            hosts: topology.hosts.len(),
            containers: topology.containers(),
            findings: Vec::new(),
            error: None,
        },
        Err(error) => File { file, valid: false, hosts: 0, containers: 0, findings: said(&error), error: Some(error) },
    }
}

/// What is wrong, for programs: in English, whatever people read, with the places.
fn said(error: &Error) -> Vec<Finding> {
    let Error::Topology { text, findings, .. } = error else {
        return vec![Finding { line: 0, column: 0, message: sentences::errors::error(Lang::En, error).what }];
    };
    let place = |at: usize| {
        let before = text.get(..at).unwrap_or(text);
        let line = before.rsplit('\n').next().unwrap_or_default();
        (before.matches('\n').count() + 1, line.chars().count() + 1)
    };
    let said = findings.iter().map(|finding| {
        let (line, column) = if finding.at == (0..0) { (0, 0) } else { place(finding.at.start) };
        Finding { line, column, message: sentences::findings::problem(Lang::En, &finding.problem) }
    });
    said.collect()
}

/// Print the JSON schema of topology files, for editors
#[derive(Debug, clap::Args)]
#[command(
    after_help = "In an editor with yaml-language-server, write at the top of the file:\n  # yaml-language-server: $schema=./nslab.json\nafter: nslab schema > nslab.json"
)]
pub struct Schema;

impl Run for Schema {
    type Out = Printed;

    fn run(self, _context: &mut Context) -> Result<Self::Out> {
        Ok(Printed::text(format!("{:#}\n", crate::topology::schema(KINDS))))
    }
}
