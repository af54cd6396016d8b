//! `lxc remote`, the servers that a client knows, and `lxc config trust`, the clients that a server trusts

use hyper::Method;
use serde_json::{Value, json};

use super::list::{CERTIFICATES, Listing, TOKENS, rows};
use super::{LOCAL, Shape, done, reach, refuse, socket, store};
use crate::commands::Context;
use crate::commands::remote::add_to;
use crate::error::Result;
use crate::lxd::client::{Answer, Client, Store, Token};

// No docstring: it would take the place of the verb's.
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
    pub(super) fn run(self, context: &mut Context) -> Result<String> {
        let mut store = store()?;
        match self {
            Self::Add { words, password, accept_certificate, protocol, auth_type } => {
                if protocol != "lxd" || auth_type != "tls" {
                    return Err(refuse("Only the protocol lxd with tls is spoken here"));
                }
                let (Some(name), Some(what)) = (words.first(), words.last()) else { return Ok(String::new()) };
                if name == LOCAL || name.contains([':', '/']) || name.len() > 63 {
                    return Err(refuse(format!("Invalid remote name: {name}")));
                }
                add_to(store, name, what, password.as_deref(), accept_certificate, context).map(done)
            }
            Self::List { format } => Ok(listed(&store, format)),
            Self::Remove { name } => store.remove(&name).map(done),
            Self::GetDefault => Ok(store.default_remote() + "\n"),
            Self::Switch { name } => {
                if name != LOCAL {
                    store.find(&name)?;
                }
                store.choose(&name).map(done)
            }
        }
    }
}

fn listed(store: &Store, format: Shape) -> String {
    let mut all: Vec<(String, String)> = store.remotes().into_iter().map(|one| (one.name, one.address)).collect();
    if !all.iter().any(|(name, _)| name == LOCAL) {
        all.push((LOCAL.to_owned(), format!("unix://{}", socket().display())));
    }
    all.sort();
    let chosen = store.default_remote();
    let row = |(name, address): &(String, String)| {
        let (named, fixed) = (if *name == chosen { format!("{name} (current)") } else { name.clone() }, name == LOCAL);
        let auth = if address.starts_with("unix") { "file access" } else { "tls" };
        let words = [address.as_str(), "lxd", auth, "NO", if fixed { "YES" } else { "NO" }, "NO"];
        [named].into_iter().chain(words.map(str::to_owned)).collect()
    };
    let rows: Vec<Vec<String>> = all.iter().map(row).collect();
    let documents =
        all.iter().map(|(name, address)| (name.clone(), json!({"Addr": address, "Protocol": "lxd", "Public": false})));
    let documents: serde_json::Map<_, _> = documents.collect();
    format.print(&["NAME", "URL", "PROTOCOL", "AUTH TYPE", "PUBLIC", "STATIC", "GLOBAL"], &rows, &documents.into())
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum Trust {
    /// Make a token for a new client, or trust a certificate
    Add {
        /// [REMOTE:], then the file of a certificate
        words: Vec<String>,
        /// What the client is called
        #[arg(long)]
        name: Option<String>,
        /// The token alone
        #[arg(short, long)]
        quiet: bool,
    },
    /// List the clients
    #[command(alias = "ls")]
    List(Listing),
    /// Trust a client no more
    #[command(alias = "rm")]
    Remove {
        /// [REMOTE:], then the fingerprint or its beginning
        #[arg(required = true, num_args = 1..=2)]
        words: Vec<String>,
    },
    /// List the tokens that were not used yet
    ListTokens(Listing),
    /// Take a token back
    RevokeToken {
        /// [REMOTE:]NAME of the client
        name: String,
    },
}

impl Trust {
    pub(super) fn run(self) -> Result<String> {
        match self {
            Self::Add { words, name, quiet } => trust(&words, name, quiet),
            Self::List(listing) => listing.print(&CERTIFICATES),
            Self::Remove { words } => {
                let (place, fingerprint) = match words.as_slice() {
                    [place, fingerprint] => (place.as_str(), fingerprint.as_str()),
                    [word] => word.split_once(':').map_or(("", word.as_str()), |(remote, rest)| (remote, rest)),
                    _ => return Ok(String::new()),
                };
                let place = if place.is_empty() || place.ends_with(':') { place.to_owned() } else { format!("{place}:") };
                reach(&place)?.0.ask(Method::DELETE, &format!("/1.0/certificates/{fingerprint}"), None).map(done)
            }
            Self::ListTokens(listing) => Ok(listing.show(&TOKENS, &tokens(&reach(&listing.remote)?.0)?.into())),
            Self::RevokeToken { name } => {
                let (client, name) = reach(&name)?;
                let all = tokens(&client)?;
                let found = all.iter().find(|one| one["metadata"]["request"]["name"] == name);
                let none = || refuse(format!("No certificate add token for member {name} on remote: {}", client.name()));
                let id = found.and_then(|one| one["id"].as_str()).ok_or_else(none)?;
                client.ask(Method::DELETE, &format!("/1.0/operations/{id}"), None)?;
                Ok(format!("Certificate add token for {name} deleted\n"))
            }
        }
    }
}

fn tokens(client: &Client) -> Result<Vec<Value>> {
    let all = client.get("/1.0/operations?recursion=1")?;
    Ok(rows(&all).filter(|one| one["class"] == "token" && one["status"] == "Running").cloned().collect())
}

fn trust(words: &[String], name: Option<String>, quiet: bool) -> Result<String> {
    let (place, file) = match words {
        [place, file, ..] => (place.as_str(), Some(file)),
        [one] if one.ends_with(':') => (one.as_str(), None),
        [one] => ("", Some(one)),
        [] => ("", None),
    };
    let (client, _) = reach(place)?;
    if let Some(file) = file {
        let pem = std::fs::read_to_string(file).map_err(|error| refuse(format!("{file}: {error}")))?;
        let der: String = pem.lines().map(str::trim).filter(|line| !line.starts_with("-----")).collect();
        let body = json!({"type": "client", "name": name.unwrap_or_else(|| file.clone()), "certificate": der});
        return client.ask(Method::POST, "/1.0/certificates", Some(&body)).map(done);
    }
    let name = name.ok_or_else(|| refuse("Give the new client a name: --name"))?;
    let body = json!({"name": name, "type": "client", "restricted": false, "projects": null, "certificate": "", "password": "", "token": true});
    let Answer { metadata: operation, operation: Some(_), .. } = client.ask(Method::POST, "/1.0/certificates", Some(&body))?
    else {
        return Err(refuse("The server makes no tokens"));
    };
    let token = Token::text(&name, &operation["metadata"]);
    Ok(if quiet { format!("{token}\n") } else { format!("Client {name} certificate add token:\n{token}\n") })
}
