//! `lxc config trust`

use base64::Engine;
use hyper::Method;
use serde_json::{Value, json};

use super::list::Shape;
use super::{done, reach, refuse};
use crate::error::Result;
use crate::lxd::client::{self, Answer};
use crate::render::Printed;

/// Clients that the server trusts
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
    List {
        /// [REMOTE:]
        #[arg(default_value = "")]
        remote: String,
        /// How to print
        #[arg(short, long, default_value = "table")]
        format: Shape,
    },
    /// Trust a client no more
    #[command(alias = "rm")]
    Remove {
        /// [REMOTE:], then the fingerprint or its beginning
        #[arg(required = true, num_args = 1..=2)]
        words: Vec<String>,
    },
    /// List the tokens that were not used yet
    ListTokens {
        /// [REMOTE:]
        #[arg(default_value = "")]
        remote: String,
        /// How to print
        #[arg(short, long, default_value = "table")]
        format: Shape,
    },
    /// Take a token back
    RevokeToken {
        /// [REMOTE:]NAME of the client
        name: String,
    },
}

impl Trust {
    pub(super) fn run(self) -> Result<Printed> {
        match self {
            Self::Add { words, name, quiet } => add(&words, name, quiet),
            Self::List { remote, format } => list(&remote, format),
            Self::Remove { words } => {
                let (place, fingerprint) = match words.as_slice() {
                    [place, fingerprint] => (place.as_str(), fingerprint.as_str()),
                    [word] => word.split_once(':').map_or(("", word.as_str()), |(remote, rest)| (remote, rest)),
                    _ => return Ok(done()),
                };
                let place = if place.is_empty() || place.ends_with(':') { place.to_owned() } else { format!("{place}:") };
                reach(&place)?.0.ask(Method::DELETE, &format!("/1.0/certificates/{fingerprint}"), None, &[])?;
                Ok(done())
            }
            Self::ListTokens { remote, format } => {
                let all = tokens(&reach(&remote)?.0)?;
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let row = |one: &Value| {
                    vec![text(&one["metadata"]["request"]["name"]), text(&one["id"]), text(&one["metadata"]["expiresAt"])]
                };
                let rows: Vec<Vec<String>> = all.iter().map(row).collect();
                Ok(format.print(&["NAME", "TOKEN", "EXPIRES AT"], &rows, &Value::from(all)))
            }
            Self::RevokeToken { name } => {
                let (client, name) = reach(&name)?;
                let all = tokens(&client)?;
                let found = all.iter().find(|one| one["metadata"]["request"]["name"] == name);
                let id = found.and_then(|one| one["id"].as_str());
                let id =
                    id.ok_or_else(|| refuse(format!("No certificate add token for member {name} on remote: {}", client.name())))?;
                client.ask(Method::DELETE, &format!("/1.0/operations/{id}"), None, &[])?;
                Ok(Printed::text(format!("Certificate add token for {name} deleted\n")))
            }
        }
    }
}

fn tokens(client: &client::Client) -> Result<Vec<Value>> {
    let all = client.get("/1.0/operations?recursion=1")?;
    let each = all.as_object().into_iter().flat_map(|all| all.values()).flat_map(|all| all.as_array().into_iter().flatten());
    Ok(each.filter(|one| one["class"] == "token" && one["status"] == "Running").cloned().collect())
}

fn add(words: &[String], name: Option<String>, quiet: bool) -> Result<Printed> {
    let (place, file) = match words {
        [place, file, ..] => (place.as_str(), Some(file)),
        [one] if one.ends_with(':') => (one.as_str(), None),
        [one] => ("", Some(one)),
        [] => ("", None),
    };
    let (client, _) = reach(place)?;
    if let Some(file) = file {
        let text = std::fs::read_to_string(file).map_err(|error| refuse(format!("{file}: {error}")))?;
        let armour = |line: &&str| !line.starts_with("-----");
        let der: String = text.lines().map(str::trim).filter(armour).collect();
        let body = json!({"type": "client", "name": name.unwrap_or_else(|| file.clone()), "certificate": der});
        client.ask(Method::POST, "/1.0/certificates", Some(&body), &[])?;
        return Ok(done());
    }
    let name = name.ok_or_else(|| refuse("Give the new client a name: --name"))?;
    let body = json!({"name": name, "type": "client", "restricted": false, "projects": null, "certificate": "", "password": "", "token": true});
    let Answer::Working(_, operation) = client.ask(Method::POST, "/1.0/certificates", Some(&body), &[])? else {
        return Err(refuse("The server makes no tokens"));
    };
    let told = &operation["metadata"];
    let token = json!({
        "client_name": name, "fingerprint": told["fingerprint"], "addresses": told["addresses"], "secret": told["secret"],
        "expires_at": told.get("expiresAt").cloned().unwrap_or_else(|| "0001-01-01T00:00:00Z".into()),
    });
    let token = base64::engine::general_purpose::STANDARD.encode(token.to_string());
    Ok(Printed::text(if quiet { format!("{token}\n") } else { format!("Client {name} certificate add token:\n{token}\n") }))
}

fn list(place: &str, format: Shape) -> Result<Printed> {
    let all = reach(place)?.0.get("/1.0/certificates?recursion=1")?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let row = |one: &Value| {
        let short = text(&one["fingerprint"]).chars().take(12).collect();
        vec![text(&one["type"]), text(&one["name"]), short]
    };
    let rows: Vec<Vec<String>> = all.as_array().into_iter().flatten().map(row).collect();
    Ok(format.print(&["TYPE", "NAME", "FINGERPRINT"], &rows, &all))
}
