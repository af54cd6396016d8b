//! `nslab watch-nic`: the watchdog of `up`, which starts it; nobody types it.

use super::run::{Context, Place, Run};
use crate::error::Result;
use crate::lab::{resolve, watchdog};
use crate::report::lab::Downs;

/// Put this machine's NICs back unless a change of them is kept; started by `up`
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub struct WatchNic {
    /// The lab
    lab: String,
}

impl Run for WatchNic {
    type Out = Option<Downs>;

    fn place(&self) -> Place {
        Place::Machine
    }

    fn run(self, _: &mut Context) -> Result<Self::Out> {
        watchdog::stand(&resolve::lab_name(&self.lab)?)
    }
}
