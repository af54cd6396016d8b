//! `nslab rename`

use std::time::Instant;

use clap_complete::engine::ArgValueCompleter;

use super::run::{Context, Place, Run};
use super::{complete, instances, target};
use crate::error::Result;
use crate::kernel::sandbox::Manner;
use crate::lab::instances::{Site, rename};
use crate::report::instance::{Changes, Done};

/// Give a stopped container another name
///
/// Its MAC addresses, IP addresses and files stay.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sudo nslab rename a3 a4")]
pub struct Rename {
    /// The container: [LAB/][HOST/]NAME
    #[arg(value_name = "CONTAINER", add = ArgValueCompleter::new(complete::nodes))]
    container: String,
    /// Its new name
    #[arg(value_name = "NAME")]
    name: String,
}

impl Run for Rename {
    type Out = Changes;

    fn place(&self) -> Place {
        Place::Outside(Manner::Finishes)
    }

    fn run(self, context: &mut Context) -> Result<Self::Out> {
        let found = target::any(&self.container, context)?;
        let site = Site::of(&found.lab, &found.node)?;
        let name = instances::name(&self.name)?;
        let start = Instant::now();
        rename(&site, &name)?;
        let mut change = instances::change(&site, Done::Renamed, 0, start);
        change.now = Some(name.to_string());
        Ok(Changes { containers: vec![change], errors: Vec::new() })
    }
}
