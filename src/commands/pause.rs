//! `nslab pause`

use clap_complete::engine::ArgValueCompleter;

use super::far::Far;
use super::{Context, complete, instances};
use crate::error::Result;
use crate::lab::instances as lab;
use crate::report::Report;
use crate::report::instance::Done;

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

impl Pause {
    /// Pauses each.
    ///
    /// # Errors
    /// When there is no such container, or it does not run.
    pub fn run(self, context: &mut Context) -> Result<Report> {
        instances::each(&self.containers, Done::Paused, context, |site| lab::pause(site).map(|()| 0), Far::pause)
    }
}
