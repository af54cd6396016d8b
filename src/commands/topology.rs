//! `nslab topology`

use clap_complete::engine::ArgValueCompleter;

use super::{Context, complete, source};
use crate::error::Result;
use crate::report::Report;
use crate::report::topology::{Item, List, Source};
use crate::topology::catalog;

/// List the built-in topologies, or print one
///
/// `nslab topology bridged > my-lab.yaml` makes a file to change and bring up.
#[derive(Debug, clap::Args)]
pub struct Topology {
    /// The topology to print
    #[arg(add = ArgValueCompleter::new(complete::names))]
    name: Option<String>,
}

impl Topology {
    /// Reads the catalogue in the binary.
    ///
    /// # Errors
    /// When there is no such topology.
    pub fn run(self, _context: &mut Context) -> Result<Report> {
        let Some(name) = self.name else { return Ok(Report::Topologies(List { topologies: items()? })) };
        let text = catalog::find(&name).ok_or_else(|| source::unknown(&name))?.to_owned();
        Ok(Report::Topology(Source { name, text }))
    }
}

/// The built-in topologies.
pub(super) fn items() -> Result<Vec<Item>> {
    let item = |name: &str| -> Result<Item> {
        let topology = source::built_in(name)?;
        let (hosts, containers) = (topology.hosts.len(), topology.containers());
        Ok(Item { name: name.to_owned(), summary: topology.summary, hosts, containers })
    };
    catalog::names().map(item).collect()
}
