//! `nslab schema`

use super::Context;
use crate::check::KINDS;
use crate::error::Result;
use crate::report::Report;

/// Print the JSON schema of topology files, for editors
#[derive(Debug, clap::Args)]
#[command(
    after_help = "In an editor with yaml-language-server, write at the top of the file:\n  # yaml-language-server: $schema=./nslab.json\nafter: nslab schema > nslab.json"
)]
pub struct Schema;

impl Schema {
    /// Derives the schema from the file's types.
    ///
    /// # Errors
    /// None.
    pub fn run(self, _context: &mut Context) -> Result<Report> {
        Ok(Report::Text(format!("{:#}\n", crate::topology::schema(KINDS))))
    }
}
