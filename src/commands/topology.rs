//! `nslab topology`

use clap_complete::engine::ArgValueCompleter;

use super::run::{Context, Run};
use super::{complete, source};
use crate::error::Result;
use crate::render::shapes;
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

shapes! {
    /// The built-in topologies, or the file of one.
    pub enum Shown { List(List), Source(Source) }
}

impl Run for Topology {
    type Out = Shown;

    fn run(self, _context: &mut Context) -> Result<Self::Out> {
        let Some(name) = self.name else { return Ok(Shown::List(List { topologies: items()? })) };
        let text = catalog::find(&name).ok_or_else(|| source::unknown(&name))?.to_owned();
        Ok(Shown::Source(Source { name, text }))
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
