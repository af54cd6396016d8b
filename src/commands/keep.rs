//! `nslab keep`

use clap_complete::engine::ArgValueCompleter;

use super::{Context, complete, inside, rights, target};
use crate::error::Result;
use crate::kernel::sandbox::Manner;
use crate::lab::borrow::loan::keep;
use crate::report::{Report, lab as reports};

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

impl Keep {
    /// Keeps the change.
    ///
    /// # Errors
    /// When nothing waits to be kept, or it was taken back already.
    pub fn run(self, context: &mut Context) -> Result<Report> {
        rights::need(context)?;
        if let Some(done) = inside::sent(Manner::Finishes)? {
            return Ok(done);
        }
        let entry = target::lab(self.lab.as_deref())?.ok_or_else(target::none_up)?;
        keep(&entry.lab)?;
        Ok(Report::Keep(reports::Keep { lab: entry.lab.to_string() }))
    }
}
