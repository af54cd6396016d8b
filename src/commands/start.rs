//! `nslab start`

use clap_complete::engine::ArgValueCompleter;

use super::far::Far;
use super::{Context, complete, instances};
use crate::error::Result;
use crate::lab::instances as lab;
use crate::report::Report;
use crate::report::instance::Done;

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

impl Start {
    /// Starts each.
    ///
    /// # Errors
    /// When there is no such container; one that fails does not keep the others from starting.
    pub fn run(self, context: &mut Context) -> Result<Report> {
        instances::each(&self.containers, Done::Started, context, lab::start, Far::start)
    }
}
