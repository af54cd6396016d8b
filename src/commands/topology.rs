//! Topology files: `topology`, `validate`, `schema`.

use std::path::{Path, PathBuf};

use clap::ValueHint;
use clap_complete::engine::ArgValueCompleter;
use serde::Serialize;

use super::target::Role;
use super::{Context, Run, completions, target};
use crate::check::KINDS;
use crate::error::{Error, Result};
use crate::lab::Casting;
use crate::render::lang::{Lang, find, n, t, words};
use crate::render::table::Table;
use crate::render::{Printed, Show, Style, lines, sentences, shapes};
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

/// The built-in topologies, in the order of the catalogue.
#[derive(Debug, Serialize)]
pub struct List {
    /// Each of them.
    pub topologies: Vec<Item>,
}

/// One topology.
#[derive(Debug, Serialize)]
pub struct Item {
    /// Its name.
    pub name: String,
    /// One line on what it teaches.
    pub summary: Option<String>,
    /// How many hosts it has.
    pub hosts: usize,
    /// How many containers it has.
    pub containers: usize,
}

impl Show for List {
    fn text(&self, style: Style) -> String {
        table(&self.topologies, style).print(0)
    }
}

/// Topologies and what they teach.
pub(super) fn table(topologies: &[Item], style: Style) -> Table {
    let mut table = Table::new(style, &words!(style.lang, "NAME", "WHAT IT TEACHES")).wrapped(2);
    for topology in topologies {
        let own = topology.summary.as_deref().unwrap_or_default();
        table.row([&topology.name, find(style.lang, "topology", own).unwrap_or(own)]);
    }
    table
}

/// A number of hosts and containers.
pub(super) fn size(lang: Lang, hosts: usize, containers: usize) -> String {
    format!("{}, {}", n!(lang, hosts, "host", "hosts"), n!(lang, containers, "container", "containers"))
}

/// The file of a topology, as it can be saved and edited.
#[derive(Debug, Serialize)]
pub struct Source {
    name: String,
    text: String,
}

impl Show for Source {
    fn text(&self, _: Style) -> String {
        self.text.clone()
    }
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

/// What is to be said of each file, in the order given.
#[derive(Debug, Serialize)]
pub struct Validation {
    files: Vec<Verdict>,
}

#[derive(Debug, Serialize)]
struct Verdict {
    file: String,
    /// Whether `up` takes it.
    valid: bool,
    /// How many hosts it has, when valid.
    hosts: usize,
    /// How many containers it has, when valid.
    containers: usize,
    /// What is wrong with it.
    findings: Vec<Finding>,
    /// The error as it is printed in text.
    #[serde(skip)]
    error: Option<Error>,
}

/// One thing wrong with a file.
#[derive(Debug, Serialize)]
struct Finding {
    /// Counted from 1; 0 where the whole file cannot be read.
    line: usize,
    /// Counted from 1, in characters.
    column: usize,
    message: String,
}

impl Show for Validation {
    fn text(&self, Style { lang, .. }: Style) -> String {
        let fine = |file: &Verdict| {
            let size = size(lang, file.hosts, file.containers);
            t!(lang, "{file}: fine, {size}", file = file.file, size)
        };
        lines(&self.files.iter().filter(|file| file.valid).map(fine).collect::<Vec<_>>())
    }

    fn exit_code(&self) -> u8 {
        if self.files.iter().all(|file| file.valid) { 0 } else { 2 }
    }

    fn errors(&self) -> Vec<&Error> {
        self.files.iter().filter_map(|file| file.error.as_ref()).collect()
    }
}

impl Run for Validate {
    type Out = Validation;

    fn run(self, _: &mut Context) -> Result<Self::Out> {
        let casting = self.role.casting()?;
        let files = self.files.iter().map(|file| check(file, &casting)).collect();
        Ok(Validation { files })
    }
}

fn check(path: &Path, casting: &Casting) -> Verdict {
    let file = path.display().to_string();
    match read(path, KINDS).and_then(|topology| casting.apart(&topology)) {
        Ok(topology) => Verdict {
            file,
            valid: true,
            hosts: topology.hosts.len(),
            containers: topology.containers(),
            findings: Vec::new(),
            error: None,
        },
        Err(error) => Verdict { file, valid: false, hosts: 0, containers: 0, findings: to_findings(&error), error: Some(error) },
    }
}

/// What is wrong, for programs: in English, whatever people read, with the places.
fn to_findings(error: &Error) -> Vec<Finding> {
    let Error::Topology { text, findings, .. } = error else {
        return vec![Finding { line: 0, column: 0, message: sentences::errors::error(Lang::En, error).what }];
    };
    let place = |at: usize| {
        let before = text.get(..at).unwrap_or(text);
        let line = before.rsplit('\n').next().unwrap_or_default();
        (before.matches('\n').count() + 1, line.chars().count() + 1)
    };
    let converted = findings.iter().map(|finding| {
        let (line, column) = if finding.at == (0..0) { (0, 0) } else { place(finding.at.start) };
        Finding { line, column, message: sentences::findings::problem(Lang::En, &finding.problem) }
    });
    converted.collect()
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
