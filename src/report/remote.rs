//! Other machines' containers, and the remotes that are known.

use serde::Serialize;
use serde_json::Value;

/// `remote list`
#[derive(Debug, Serialize)]
pub struct Remotes {
    /// By name.
    pub remotes: Vec<Remote>,
}

/// A server that is known.
#[derive(Debug, Serialize)]
pub struct Remote {
    /// Its name.
    pub remote: String,
    /// Where it is.
    pub address: String,
    /// SHA-256 of its certificate, in hexadecimal digits; null for a socket.
    pub fingerprint: Option<String>,
}

/// `list REMOTE:`, `status REMOTE:`
#[derive(Debug, Serialize)]
pub struct Instances {
    /// The remote.
    pub remote: String,
    /// Its containers, by name.
    pub instances: Vec<Instance>,
    /// Whether all must run.
    #[serde(skip)]
    pub judged: bool,
}

/// A container of a server.
#[derive(Debug, Serialize)]
pub struct Instance {
    /// Its name.
    pub name: String,
    /// `Running`, `Stopped`, `Frozen` or `Error`, as the server says.
    pub state: String,
    /// Its addresses, those of `lo` and link-local ones left out.
    pub addresses: Vec<String>,
    /// How many processes run in it.
    pub processes: Option<u64>,
}

impl Instance {
    /// From what a server tells.
    pub fn of(told: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let network = told["state"]["network"].as_object().into_iter().flatten().filter(|(name, _)| *name != "lo");
        let all = network.flat_map(|(_, device)| device["addresses"].as_array().into_iter().flatten());
        Self {
            name: text(&told["name"]),
            state: text(&told["status"]),
            addresses: all.filter(|one| one["scope"] == "global").map(|one| text(&one["address"])).collect(),
            processes: told["state"]["processes"].as_i64().and_then(|number| u64::try_from(number).ok()),
        }
    }

    /// Whether it runs.
    pub fn runs(&self) -> bool {
        self.state == "Running"
    }
}

/// What was done to a remote or to a container of one.
#[derive(Debug, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the words explain themselves")]
pub enum Outcome {
    Added { remote: String, address: String },
    Declined { remote: String },
    Removed { remote: String },
    Launched { remote: String, name: String },
    Started { remote: String, name: String },
    Stopped { remote: String, name: String },
    Restarted { remote: String, name: String },
    Deleted { remote: String, name: String },
}
