//! `nslab stop`

use std::time::Duration;

use clap_complete::engine::ArgValueCompleter;

use super::{Context, complete, duration, instances};
use crate::error::Result;
use crate::lab::instances as lab;
use crate::report::Report;
use crate::report::instance::Done;

/// Stop containers: their processes end, their links go, their files stay
///
/// Processes are asked to end, and killed after ten seconds or the given time.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sudo nslab stop a1\n  sudo nslab stop --force a1 b1")]
pub struct Stop {
    /// The containers: [LAB/][HOST/]NAME, or REMOTE:NAME
    #[arg(required = true, value_name = "CONTAINER", add = ArgValueCompleter::new(complete::nodes))]
    containers: Vec<String>,
    /// Do not ask the processes to end: kill them
    #[arg(long, short)]
    force: bool,
    /// How long processes may take to end before they are killed
    #[arg(long, value_name = "TIME", value_parser = duration::duration, conflicts_with = "force")]
    timeout: Option<Duration>,
}

impl Stop {
    /// Stops each.
    ///
    /// # Errors
    /// When there is no such container, or a process cannot be ended.
    pub fn run(self, context: &mut Context) -> Result<Report> {
        let grace = instances::grace(self.force, self.timeout);
        instances::each(&self.containers, Done::Stopped, context, |site| lab::stop(site, Some(grace)), |far| far.stop(grace))
    }
}
