//! `nslab list`

use super::{Context, target};
use crate::error::Result;
use crate::report::Report;
use crate::report::lab::List as Labs;

/// List the labs that are up
#[derive(Debug, clap::Args)]
pub struct List;

impl List {
    /// Reads the index; works without root.
    ///
    /// # Errors
    /// When the index is not as nslab made it.
    pub fn run(self, _context: &mut Context) -> Result<Report> {
        Ok(Report::List(Labs { labs: target::items() }))
    }
}
