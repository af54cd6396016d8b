//! `nslab delete`

use clap_complete::engine::ArgValueCompleter;

use super::run::{Context, Place, Run};
use super::{complete, instances};
use crate::error::Result;
use crate::lab::instances as lab;
use crate::report::instance::{Changes, Done};

/// Delete stopped containers, with their files
///
/// One of the topology's file comes back with `nslab reset`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sudo nslab delete a3\n  sudo nslab delete --force a3")]
pub struct Delete {
    /// The containers: [LAB/][HOST/]NAME, or REMOTE:NAME
    #[arg(required = true, value_name = "CONTAINER", add = ArgValueCompleter::new(complete::nodes))]
    containers: Vec<String>,
    /// Stop those that run first, without asking their processes to end
    #[arg(long, short)]
    force: bool,
}

impl Run for Delete {
    type Out = Changes;

    fn place(&self) -> Place {
        instances::place(&self.containers)
    }

    fn run(self, context: &mut Context) -> Result<Self::Out> {
        let force = self.force;
        instances::each(&self.containers, Done::Deleted, context, |site| lab::remove(site, force), |far| far.delete(force))
    }
}
