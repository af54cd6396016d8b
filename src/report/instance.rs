//! Reports on containers that were launched, started, stopped, deleted.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Serialize;

/// What was done to containers.
#[derive(Debug, Default, Serialize)]
pub struct Changes {
    /// Each that was changed, in the order of the command line.
    pub containers: Vec<Change>,
    /// Why others were not.
    #[serde(skip)]
    pub errors: Vec<crate::error::Error>,
}

/// What was done to a container.
#[derive(Debug, Clone, Serialize)]
pub struct Change {
    /// The remote that it is on; none of one that is here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote: Option<String>,
    /// Its lab; empty on a remote.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub lab: String,
    /// Its host; empty on a remote.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub host: String,
    /// Its name.
    pub name: String,
    /// What was done.
    pub done: Done,
    /// Of a launched one, its NICs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nics: Option<Vec<Nic>>,
    /// Of a renamed one, its new name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub now: Option<String>,
    /// How many operations it took.
    pub operations: usize,
    /// How long it took, in milliseconds.
    pub milliseconds: f64,
}

impl Change {
    /// The container, as it is typed.
    pub fn word(&self) -> String {
        self.remote.as_ref().map_or_else(|| format!("{}/{}", self.host, self.name), |remote| format!("{remote}:{}", self.name))
    }
}

/// A NIC of a launched container.
#[derive(Debug, Clone, Serialize)]
pub struct Nic {
    /// Its interface name.
    pub name: String,
    /// The other end of its cable, in the host.
    pub peer: String,
    /// The bridge that it is plugged into.
    pub bridge: Option<String>,
    /// Its addresses with their prefixes.
    pub addresses: Vec<IpNet>,
}

impl Nic {
    /// Its addresses alone.
    pub fn hosts(&self) -> impl Iterator<Item = IpAddr> {
        self.addresses.iter().map(IpNet::addr)
    }
}

/// What was done to a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Done {
    /// It was made, and runs.
    Launched,
    /// It was made, and is stopped.
    Made,
    /// It runs.
    Started,
    /// It does not run.
    Stopped,
    /// It was stopped and runs again.
    Restarted,
    /// It is gone, with its files.
    Deleted,
    /// Its processes stand still.
    Paused,
    /// It has another name.
    Renamed,
}
