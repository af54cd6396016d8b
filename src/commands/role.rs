//! The options that say which host this machine plays; `up`, `plan`, `validate` and `graph` share them.

use clap_complete::engine::ArgValueCompleter;

use super::complete;
use crate::error::{Error, Result, Thing};
use crate::lab::{Casting, NicChoice};

/// The host that this machine plays, and its real NICs.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Role {
    /// Play this host of the topology: the machine itself is the host, and a real NIC stands where its network was
    #[arg(long, value_name = "HOST", add = ArgValueCompleter::new(complete::nodes))]
    pub(super) role: Option<String>,
    /// The real NIC; TOPOLOGY=NAME, once for each, where the host has several. Without it the only free one is taken
    #[arg(long, value_name = "NAME", requires = "role")]
    pub(super) nic: Vec<NicChoice>,
}

impl Role {
    /// What was asked for.
    ///
    /// # Errors
    /// When the host's name is none.
    pub(super) fn casting(&self) -> Result<Casting> {
        let name = |word: &String| word.parse().map_err(|fault| Error::BadName { what: Thing::Host, word: word.clone(), fault });
        Ok(Casting { host: self.role.as_ref().map(name).transpose()?, nics: self.nic.clone() })
    }
}
