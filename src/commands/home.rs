//! `nslab` alone.

use super::run::{Context, Run};
use super::{rights, target, topology};
use crate::error::Result;
use crate::report::lab::Home as Overview;

/// Show the topologies, the labs that are up, and what to type next
#[derive(Debug, clap::Args)]
pub struct Home;

impl Run for Home {
    type Out = Overview;

    fn run(self, _context: &mut Context) -> Result<Self::Out> {
        let (topologies, labs) = (topology::items()?, target::items());
        Ok(Overview { topologies, labs, privileged: rights::lacking().is_none() })
    }
}
