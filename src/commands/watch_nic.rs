//! `nslab watch-nic`: the watchdog of `up`, which starts it; nobody types it.

use super::{Context, rights};
use crate::error::Result;
use crate::lab::{resolve, watchdog};
use crate::report::Report;

/// Put this machine's NICs back unless a change of them is kept; started by `up`
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub struct WatchNic {
    /// The lab
    lab: String,
}

impl WatchNic {
    /// Watches until the lab goes, or takes it back.
    ///
    /// # Errors
    /// When it cannot begin, or not everything could be put back.
    pub fn run(self, context: &mut Context) -> Result<Report> {
        rights::need_outside(context)?;
        watchdog::stand(&resolve::lab_name(&self.lab)?)
    }
}
