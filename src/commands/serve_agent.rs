//! `nslab serve-agent`: the process of an agent, started by `agent start`; nobody types it.

use super::run::{Context, Place, Run};
use crate::error::{Error, Result, Thing};
use crate::lab::resolve;
use crate::lxd::server::serve;
use crate::name::NodeName;
use crate::render::Printed;

/// Serve LXD's API over one host of a lab; started by agent start
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub struct ServeAgent {
    /// The lab
    lab: String,
    /// The host
    host: String,
}

impl Run for ServeAgent {
    type Out = Printed;

    fn place(&self) -> Place {
        Place::Machine
    }

    fn run(self, _: &mut Context) -> Result<Self::Out> {
        let host = self.host.parse::<NodeName>();
        let host = host.map_err(|fault| Error::BadName { what: Thing::Host, word: self.host.clone(), fault })?;
        serve::stand(&resolve::lab_name(&self.lab)?, &host)?;
        Ok(Printed::exit(0))
    }
}
