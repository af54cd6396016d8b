//! `nslab keep`

use clap_complete::engine::ArgValueCompleter;

use super::run::{Context, Place, Run};
use super::{complete, target};
use crate::error::Result;
use crate::kernel::sandbox::Manner;
use crate::lab::borrow::loan::keep;
use crate::report::lab as reports;

/// Keep a change of this machine's NICs that would be taken back otherwise
///
/// `up` with a role may change the NIC that this machine is reached by. Nobody knows better than you whether it still is:
/// log in once more and type this there.
#[derive(Debug, clap::Args)]
pub struct Keep {
    /// The lab; may be left out when only one is up
    #[arg(add = ArgValueCompleter::new(complete::labs))]
    lab: Option<String>,
}

impl Run for Keep {
    type Out = reports::Keep;

    fn place(&self) -> Place {
        Place::Outside(Manner::Finishes)
    }

    fn run(self, _: &mut Context) -> Result<Self::Out> {
        let entry = target::lab(self.lab.as_deref())?.ok_or_else(target::none_up)?;
        keep(&entry.lab)?;
        Ok(reports::Keep { lab: entry.lab.to_string() })
    }
}
