//! `nslab remote`

use super::far;
use super::run::{Context, Run};
use crate::error::{Error, Result, Thing};
use crate::lxd::client::Store;
use crate::name::NodeName;
use crate::render::shapes;
use crate::report::remote::{Outcome, Remote as Item, Remotes};

/// Know other hosts by a name: nslab's agent, LXD, Incus; then REMOTE:NODE means a container there
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  nslab remote add host-b TOKEN    the token is printed on host-b: nslab agent token, or lxc config trust add\n  nslab list host-b:\n  nslab exec host-b:b1 ip addr"
)]
pub struct Remote {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Know a host, and be trusted by it; its certificate is pinned before the secret is sent
    Add {
        /// The name to give it
        name: String,
        /// The token that it printed, or its address: HOST[:PORT]
        #[arg(value_name = "TOKEN|ADDRESS")]
        what: String,
        /// With an address: the host's trust password
        #[arg(long)]
        password: Option<String>,
        /// With an address: take the certificate that the host shows, unseen
        #[arg(long)]
        accept_certificate: bool,
    },
    /// List the hosts that are known
    List,
    /// Forget a host
    Remove {
        /// Its name
        name: String,
    },
}

shapes! {
    /// Hosts that are known.
    pub enum Known { Changed(Outcome), Listed(Remotes) }
}

impl Run for Remote {
    type Out = Known;

    fn run(self, context: &mut Context) -> Result<Self::Out> {
        match self.verb {
            Verb::Add { name, what, password, accept_certificate } => {
                let named = name.parse::<NodeName>().map(String::from);
                let name = named.map_err(|fault| Error::BadName { what: Thing::Remote, word: name.clone(), fault })?;
                far::add(&name, &what, password.as_deref(), accept_certificate, context).map(Known::Changed)
            }
            Verb::List => {
                let all = Store::open(Store::usual())?.remotes().into_iter();
                let item = all.map(|one| Item { remote: one.name, address: one.address, fingerprint: one.fingerprint });
                Ok(Known::Listed(Remotes { remotes: item.collect() }))
            }
            Verb::Remove { name } => {
                Store::open(Store::usual())?.remove(&name)?;
                Ok(Known::Changed(Outcome::Removed { remote: name }))
            }
        }
    }
}
