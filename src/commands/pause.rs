//! `nslab pause`

use clap_complete::engine::ArgValueCompleter;

use super::far::Far;
use super::run::{Context, Place, Run};
use super::{complete, instances};
use crate::error::Result;
use crate::lab::instances as lab;
use crate::report::instance::{Changes, Done};

/// Let the processes of containers stand still
///
/// `nslab start` lets them go on.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sudo nslab pause a1")]
pub struct Pause {
    /// The containers: [LAB/][HOST/]NAME, or REMOTE:NAME
    #[arg(required = true, value_name = "CONTAINER", add = ArgValueCompleter::new(complete::nodes))]
    containers: Vec<String>,
}

impl Run for Pause {
    type Out = Changes;

    fn place(&self) -> Place {
        instances::place(&self.containers)
    }

    fn run(self, context: &mut Context) -> Result<Self::Out> {
        instances::each(&self.containers, Done::Paused, context, |site| lab::pause(site).map(|()| 0), Far::pause)
    }
}
