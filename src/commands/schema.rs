//! `nslab schema`

use super::run::{Context, Run};
use crate::check::KINDS;
use crate::error::Result;
use crate::render::Printed;

/// Print the JSON schema of topology files, for editors
#[derive(Debug, clap::Args)]
#[command(
    after_help = "In an editor with yaml-language-server, write at the top of the file:\n  # yaml-language-server: $schema=./nslab.json\nafter: nslab schema > nslab.json"
)]
pub struct Schema;

impl Run for Schema {
    type Out = Printed;

    fn run(self, _context: &mut Context) -> Result<Self::Out> {
        Ok(Printed::text(format!("{:#}\n", crate::topology::schema(KINDS))))
    }
}
