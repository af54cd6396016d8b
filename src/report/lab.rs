//! Reports on whole labs.

use std::fmt::Display;

use serde::{Deserialize, Serialize, Serializer};

use crate::name::{IfName, LabName, NodeName};
use crate::plan::NodeId;

/// What was done to a lab's containers since its file was brought up.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Kept {
    /// How many were launched.
    pub launched: usize,
    /// How many are stopped.
    pub stopped: usize,
    /// How many of the file's have a configuration or devices of their own.
    pub configured: usize,
}

/// What `up` had to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The lab was not there.
    Created,
    /// Nothing: it was as described.
    Already,
    /// The description had changed.
    Changed,
    /// An earlier `up` was cut short.
    Completed,
    /// Something described was missing or changed.
    Repaired,
}

/// `down`
#[derive(Debug, Serialize)]
pub struct Downs {
    /// Each lab that was taken down.
    pub labs: Vec<Down>,
    /// Why others were not.
    #[serde(skip)]
    pub errors: Vec<crate::error::Error>,
}

/// One lab that was taken down.
#[derive(Debug, Serialize)]
pub struct Down {
    /// The lab.
    pub lab: LabName,
    /// Whether it was up; `down` twice is fine.
    pub was_up: bool,
    /// The processes that had to be ended.
    pub ended: Vec<Process>,
    /// What somebody else has changed of the machine's NICs meanwhile, and stays.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_alone: Vec<LeftAlone>,
    /// How long it took, in milliseconds.
    pub milliseconds: f64,
}

/// Something of a borrowed NIC, or a setting, that somebody else has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftAlone {
    /// The NIC; none for a setting of the machine.
    pub nic: Option<IfName>,
    /// What happened to it.
    pub what: Foreign,
    /// The address, route or setting; empty where `what` says it all.
    pub text: String,
}

/// What somebody else has done to a borrowed NIC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Foreign {
    /// The NIC is gone, or another one has its name.
    Gone,
    /// It is a port of another interface.
    Master,
    /// It has another MTU.
    Mtu,
    /// It was switched off.
    Down,
    /// An address or route was added.
    Added,
    /// An address or route was removed.
    Removed,
    /// A setting has another value.
    Setting,
}

/// A process that ran in a lab.
#[derive(Debug, Clone, Serialize)]
pub struct Process {
    /// Its pid, as the machine counts.
    pub pid: i32,
    /// Its command line.
    pub command: String,
}

/// `reset`
#[derive(Debug, Serialize)]
pub struct Reset {
    /// The lab.
    pub lab: LabName,
    /// Whether the question was answered with yes.
    pub confirmed: bool,
    /// How many operations took away what was made by hand or brought back what was missing.
    pub operations: usize,
    /// How many namespaces made by hand are gone.
    pub namespaces: usize,
    /// How many packet filter tables are gone.
    pub tables: usize,
}

impl Reset {
    /// Of a lab in which nothing was to be done.
    pub fn nothing(lab: &LabName) -> Self {
        Self { lab: lab.clone(), confirmed: true, operations: 0, namespaces: 0, tables: 0 }
    }
}

/// The agent of a host, which runs or is described.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Serving {
    /// The host.
    pub host: NodeName,
    /// Whether the topology says that it runs.
    pub described: bool,
    /// Whether it runs.
    pub running: bool,
}

/// The part of a lab that this machine plays.
#[derive(Debug, Clone, Serialize)]
pub struct Played {
    /// The host.
    pub host: NodeName,
    /// The host's NICs, each by its name in the topology and its name here.
    pub nics: Vec<(IfName, IfName)>,
    /// The hosts that other machines play.
    pub elsewhere: Vec<NodeName>,
    /// What those machines say; none where nobody was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub others: Option<super::half::Halves>,
}

/// The machine's NICs that a lab has borrowed.
#[derive(Debug, Clone, Serialize)]
pub struct Nics {
    /// Their names.
    pub names: Vec<IfName>,
    /// Whether they stay so.
    pub state: Trust,
    /// Why they were put back, where they were.
    pub why: Option<crate::error::Rollback>,
}

/// How sure it is that the machine can still be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trust {
    /// The change is being made.
    Applying,
    /// It is made, and somebody must say that it works.
    Waiting,
    /// It works.
    Kept,
    /// It was taken back.
    RolledBack,
}

/// A namespace that somebody made inside a host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Namespace {
    /// The host.
    pub host: NodeName,
    /// Its name there.
    pub name: String,
}

/// A packet filter table that somebody made.
#[derive(Debug, Clone, Serialize)]
pub struct Table {
    /// The node, as `host` or `host.container`.
    #[serde(serialize_with = "as_text")]
    pub node: NodeId,
    /// `ip`, `ip6`, `inet`, `bridge` ...
    pub family: String,
    /// Its name.
    pub table: String,
}

fn as_text<S: Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// How a lab is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// As described.
    Up,
    /// An `up` was cut short.
    Unfinished,
    /// Something described is gone or changed.
    Drifted,
    /// From before the machine's last restart.
    Stale,
    /// A change of the machine's NICs was taken back, and the lab with it.
    RolledBack,
}

impl Condition {
    /// As described.
    pub fn is_up(self) -> bool {
        self == Self::Up
    }
}
