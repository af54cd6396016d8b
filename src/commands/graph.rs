//! `nslab graph`

use std::collections::HashSet;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap_complete::engine::ArgValueCompleter;

use super::target::Role;
use super::{Context, Run, completions, lacking, refusal, target};
use crate::error::{Error, FileFault, Result, Usage};
use crate::graph::Graph as Drawing;
use crate::graph::{Layer, wiring};
use crate::lab::{self, Entry, Subject};
use crate::plan::{Fact, NodeId, Ns, State};
use crate::probe::view::View;
use crate::render::{Format, Printed, Show, Style, Writer, shapes};
use crate::topology::Caller;
use crate::topology::catalog;

/// Draw a lab: how it is wired, or its subnets and routers
///
/// A topology is drawn as it is described. A lab that is up is drawn as it is now: what is missing, down or made by hand is
/// marked.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  nslab graph routed\n  nslab graph routed --layer l3 -o figure-3.svg\n  sudo nslab graph --format svg > now.svg\n  nslab graph bridged --format dot | dot -Tpdf > bridged.pdf"
)]
pub struct Graph {
    /// A topology, a file, or a lab that is up; may be left out when only one is up
    #[arg(add = ArgValueCompleter::new(completions::plans))]
    topology: Option<String>,
    /// What to draw
    #[arg(long, value_name = "LAYER", default_value = "physical")]
    layer: Layer,
    #[arg(long, short, help = output(), value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    output: Option<PathBuf>,
    #[command(flatten)]
    role: Role,
}

shapes! {
    /// A drawing, or nothing where a file has it.
    pub enum Drawn { Here(Drawing), Written(Printed) }
}

impl Run for Graph {
    type Out = Drawn;

    fn run(self, context: &mut Context) -> Result<Self::Out> {
        let format = self.output.as_deref().map(|file| format(file, context.format)).transpose()?;
        let drawing = self.drawing(context)?;
        let (Some(file), Some(format)) = (&self.output, format) else { return Ok(Drawn::Here(drawing)) };
        let style = Style { lang: context.style.lang, colour: false, width: None, unicode: true };
        write(file, &drawing.written(format, style))?;
        Ok(Drawn::Written(Printed::default()))
    }
}

impl Graph {
    fn drawing(&self, context: &Context) -> Result<Drawing> {
        let entry = match &self.topology {
            _ if self.role.role.is_some() => None,
            Some(word) if catalog::is_file(word) => None,
            Some(word) => lab::names().into_iter().find(|entry| entry.lab == *word),
            None => Some(target::up(None)?),
        };
        match (entry, &self.topology) {
            (Some(entry), _) if lacking().is_none() => live(entry, self.layer),
            // Who may not look at the lab still gets the built-in topology of its name.
            (Some(entry), _) if catalog::find(entry.lab.as_str()).is_none() || self.topology.is_none() => Err(refusal(context)),
            (_, Some(word)) => Ok(wiring::graph(&self.role.casting()?.apart(&target::topology(word)?)?, None, self.layer)),
            (_, None) => Err(target::none_up()),
        }
    }
}

fn live(entry: Entry, layer: Layer) -> Result<Drawing> {
    let subject = Subject::new(entry);
    let journal = subject.journal()?;
    let view = View::living(&subject)?;
    let mut seen = view.state();
    let Some(role) = &journal.topology.role else { return Ok(wiring::graph(&journal.topology, Some(&seen), layer)) };
    let machine = NodeId::Host(role.host.clone());
    if let Some(place) = view.place(&machine) {
        // The machine's other interfaces are no part of the lab.
        let cabled = view.cabled(place);
        let names: HashSet<&str> =
            place.tables.links.iter().filter(|link| cabled.contains(&link.index)).map(|link| link.name.as_str()).collect();
        let machine = Ns::Node(machine);
        seen.retain(|fact| {
            let dev = match fact {
                Fact::Route(.., hop) => hop.dev(),
                _ => fact.port().map(|port| &port.dev),
            };
            *fact.ns() != machine || dev.is_none_or(|dev| names.contains(dev.as_str()))
        });
    }
    let none = State::new();
    let described = view.described.as_ref().known().map_or(&none, |state| &**state);
    Ok(wiring::half(&journal.laid_out(), &role.host, described, &seen, layer))
}

/// The format that was asked for, or that the file's name says.
fn format(file: &Path, asked: Option<Format>) -> Result<Format> {
    let ending = file.extension().and_then(|ending| ending.to_str()).map(str::to_lowercase);
    let formats = || Format::ALL.iter().copied().filter(|format| Drawing::takes(*format));
    let by_ending = || formats().find(|format| ending.as_deref().is_some_and(|ending| format.endings().contains(&ending)));
    asked.or_else(by_ending).ok_or_else(|| Error::Usage(Usage::Ending { file: file.to_owned(), endings: endings() }))
}

/// What help says of `--output`.
fn output() -> String {
    format!("Write to a file; its ending chooses the format: {}", endings().join(" "))
}

/// The endings of files with drawings, pictures first.
fn endings() -> Vec<String> {
    let formats = Format::ALL.iter().copied().filter(|format| Drawing::takes(*format));
    let (pictures, others): (Vec<Format>, Vec<Format>) =
        formats.partition(|format| matches!(format.writer(), Writer::Drawing(_)));
    let usual = pictures.iter().chain(others.iter().rev()).filter_map(|format| format.endings().first());
    usual.map(|ending| format!(".{ending}")).collect()
}

/// Writes with the rights of the user behind `sudo`, whose file it becomes.
fn write(file: &Path, text: &str) -> Result<()> {
    let open = || File::options().write(true).create(true).truncate(true).mode(0o666).open(file);
    let opened = Caller::behind_sudo().map_or_else(open, |caller| caller.open(open));
    let written = opened.and_then(|mut opened| opened.write_all(text.as_bytes()));
    written.map_err(|error| {
        let why = FileFault::Write(error.raw_os_error().unwrap_or(libc::EIO));
        Error::File { file: file.to_owned(), why }
    })
}
