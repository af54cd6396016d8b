//! `nslab` alone.

use super::{Context, rights, target, topology};
use crate::error::Result;
use crate::report::Report;
use crate::report::lab::Home as Overview;

/// Show the topologies, the labs that are up, and what to type next
#[derive(Debug, clap::Args)]
pub struct Home;

impl Home {
    /// Looks at the catalogue and the index; works without root.
    ///
    /// # Errors
    /// When the index is not as nslab made it.
    pub fn run(self, _context: &mut Context) -> Result<Report> {
        let (topologies, labs) = (topology::items()?, target::items());
        Ok(Report::Home(Overview { topologies, labs, privileged: rights::lacking().is_none() }))
    }
}
