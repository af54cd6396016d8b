//! Agents of hosts, and whom they trust.

use serde::Serialize;

/// What was done to an agent.
#[derive(Debug, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the words explain themselves")]
pub enum Outcome {
    /// `addresses` are where it listens on the network; none means on its socket alone.
    Started {
        host: String,
        addresses: Vec<String>,
        socket: String,
    },
    /// It ran already.
    Running {
        host: String,
        addresses: Vec<String>,
        socket: String,
    },
    Stopped {
        host: String,
    },
    /// It did not run.
    NotRunning {
        host: String,
    },
    /// Trusts the client of this fingerprint no more.
    Removed {
        host: String,
        fingerprint: String,
    },
    /// A lab's keys and trust stores are gone.
    Forgotten {
        lab: String,
    },
}

/// `agent token`
#[derive(Debug, Serialize)]
pub struct Token {
    /// The host whose agent made it.
    pub host: String,
    /// What the client will be called.
    pub name: String,
    /// The token, to be redeemed once within half an hour.
    pub token: String,
}

/// `agent status`
#[derive(Debug, Serialize)]
pub struct Agents {
    /// By lab and host.
    pub agents: Vec<Agent>,
}

/// The agent of a host, running or not.
#[derive(Debug, Serialize)]
pub struct Agent {
    /// The lab.
    pub lab: String,
    /// The host.
    pub host: String,
    /// Whether its process is there.
    pub running: bool,
    /// Whether it answers, in two seconds at most.
    pub answers: bool,
    /// Where it listens on the network.
    pub addresses: Vec<String>,
}

/// `agent trust list`
#[derive(Debug, Serialize)]
pub struct Trusted {
    /// The host.
    pub host: String,
    /// Those whom its agent trusts.
    pub clients: Vec<Client>,
}

/// A client that an agent trusts.
#[derive(Debug, Serialize)]
pub struct Client {
    /// What it is called.
    pub name: String,
    /// SHA-256 of its certificate, in hexadecimal digits.
    pub fingerprint: String,
}
