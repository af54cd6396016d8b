//! `nslab start`

use clap_complete::engine::ArgValueCompleter;

use super::far::Far;
use super::run::{Context, Place, Run};
use super::{complete, instances};
use crate::error::Result;
use crate::lab::instances as lab;
use crate::report::instance::{Changes, Done};

/// Start stopped containers, or let paused ones go on
///
/// Each comes back with its MAC addresses, IP addresses, routes and files.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sudo nslab start a1")]
pub struct Start {
    /// The containers: [LAB/][HOST/]NAME, or REMOTE:NAME
    #[arg(required = true, value_name = "CONTAINER", add = ArgValueCompleter::new(complete::nodes))]
    containers: Vec<String>,
}

impl Run for Start {
    type Out = Changes;

    fn place(&self) -> Place {
        instances::place(&self.containers)
    }

    fn run(self, context: &mut Context) -> Result<Self::Out> {
        instances::each(&self.containers, Done::Started, context, lab::start, Far::start)
    }
}
