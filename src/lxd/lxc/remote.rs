//! `lxc remote`

use serde_json::json;

use super::list::Shape;
use super::{LOCAL, done, refuse, socket, store};
use crate::commands::Context;
use crate::commands::remote::add_to;
use crate::error::Result;
use crate::render::Printed;

/// Servers that are known by a name
#[derive(Debug, clap::Subcommand)]
pub(super) enum Remotes {
    /// Know a server
    Add {
        /// The name, where it is not that of the token; then the token or the address
        #[arg(required = true, num_args = 1..=2)]
        words: Vec<String>,
        /// The server's trust password
        #[arg(long)]
        password: Option<String>,
        /// Take the certificate that the server shows
        #[arg(long)]
        accept_certificate: bool,
        /// lxd
        #[arg(long, default_value = "lxd")]
        protocol: String,
        /// tls
        #[arg(long, default_value = "tls")]
        auth_type: String,
    },
    /// List the servers
    #[command(alias = "ls")]
    List {
        /// How to print
        #[arg(short, long, default_value = "table")]
        format: Shape,
    },
    /// Forget a server
    #[command(alias = "rm")]
    Remove {
        /// Its name
        name: String,
    },
    /// Print the server that is meant where none is named
    GetDefault,
    /// Choose the server that is meant where none is named
    Switch {
        /// Its name
        name: String,
    },
}

impl Remotes {
    pub(super) fn run(self, context: &mut Context) -> Result<Printed> {
        match self {
            Self::Add { words, password, accept_certificate, protocol, auth_type } => {
                if protocol != "lxd" || auth_type != "tls" {
                    return Err(refuse("Only the protocol lxd with tls is spoken here"));
                }
                let (name, what) = match words.as_slice() {
                    [name, what] => (name.as_str(), what.as_str()),
                    [what] => (what.as_str(), what.as_str()),
                    _ => return Ok(done()),
                };
                if name == LOCAL || name.contains([':', '/']) || name.len() > 63 {
                    return Err(refuse(format!("Invalid remote name: {name}")));
                }
                add_to(store()?, name, what, password.as_deref(), accept_certificate, context)?;
                Ok(done())
            }
            Self::List { format } => list(format),
            Self::Remove { name } => {
                store()?.remove(&name)?;
                Ok(done())
            }
            Self::GetDefault => Ok(Printed::text(store()?.default_remote() + "\n")),
            Self::Switch { name } => {
                let mut store = store()?;
                if name != LOCAL {
                    store.find(&name)?;
                }
                store.choose(&name)?;
                Ok(done())
            }
        }
    }
}

fn list(format: Shape) -> Result<Printed> {
    let store = store()?;
    let mut all: Vec<(String, String)> = store.remotes().into_iter().map(|one| (one.name, one.address)).collect();
    if !all.iter().any(|(name, _)| name == LOCAL) {
        all.push((LOCAL.to_owned(), format!("unix://{}", socket().display())));
    }
    all.sort();
    let chosen = store.default_remote();
    let row = |(name, address): &(String, String)| {
        let (named, local) = (if *name == chosen { format!("{name} (current)") } else { name.clone() }, name == LOCAL);
        let auth = if address.starts_with("unix") { "file access" } else { "tls" };
        let yes = |yes: bool| if yes { "YES" } else { "NO" }.to_owned();
        vec![named, address.clone(), "lxd".to_owned(), auth.to_owned(), yes(false), yes(local), yes(false)]
    };
    let rows: Vec<Vec<String>> = all.iter().map(row).collect();
    let told = all.iter().map(|(name, address)| (name.clone(), json!({"Addr": address, "Protocol": "lxd", "Public": false})));
    let told: serde_json::Map<_, _> = told.collect();
    Ok(format.print(&["NAME", "URL", "PROTOCOL", "AUTH TYPE", "PUBLIC", "STATIC", "GLOBAL"], &rows, &told.into()))
}
