//! `nslab serve-agent`: the process of an agent, started by `agent start`; nobody types it.

use super::{Context, rights};
use crate::error::{Error, Result, Thing};
use crate::lab::resolve;
use crate::lxd::server::life;
use crate::name::NodeName;
use crate::report::Report;

/// Serve LXD's API over one host of a lab; started by agent start
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub struct ServeAgent {
    /// The lab
    lab: String,
    /// The host
    host: String,
}

impl ServeAgent {
    /// Serves until it is told to end.
    ///
    /// # Errors
    /// When it cannot begin.
    pub fn run(self, context: &mut Context) -> Result<Report> {
        rights::need_outside(context)?;
        let host = self.host.parse::<NodeName>();
        let host = host.map_err(|fault| Error::BadName { what: Thing::Host, word: self.host.clone(), fault })?;
        life::stand(&resolve::lab_name(&self.lab)?, &host)?;
        Ok(Report::Exit(0))
    }
}
