//! `nslab list`

use super::{Context, far, target};
use crate::error::Result;
use crate::report::Report;
use crate::report::lab::List as Labs;

/// List the labs that are up, or the containers of a remote
#[derive(Debug, clap::Args)]
pub struct List {
    /// A remote with its colon, as in host-b:
    #[arg(value_name = "REMOTE:")]
    remote: Option<String>,
}

impl List {
    /// Reads the index; works without root.
    ///
    /// # Errors
    /// When the index is not as nslab made it.
    pub fn run(self, _context: &mut Context) -> Result<Report> {
        if let Some(word) = self.remote.as_deref() {
            let (remote, name) = far::split(word).unwrap_or((word, ""));
            return far::list(remote, name, false);
        }
        Ok(Report::List(Labs { labs: target::items() }))
    }
}
