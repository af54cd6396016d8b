//! `nslab restart`

use std::time::Duration;

use clap_complete::engine::ArgValueCompleter;

use super::run::{Context, Place, Run};
use super::{complete, duration, instances};
use crate::error::Result;
use crate::lab::instances as lab;
use crate::report::instance::{Changes, Done};

/// Stop containers and start them again
///
/// What was made by hand in their network goes; MAC addresses, IP addresses, routes and files stay.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sudo nslab restart a1")]
pub struct Restart {
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

impl Run for Restart {
    type Out = Changes;

    fn place(&self) -> Place {
        instances::place(&self.containers)
    }

    fn run(self, context: &mut Context) -> Result<Self::Out> {
        let grace = instances::grace(self.force, self.timeout);
        instances::each(
            &self.containers,
            Done::Restarted,
            context,
            |site| lab::restart(site, Some(grace)),
            |far| far.restart(grace),
        )
    }
}
