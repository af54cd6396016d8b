//! Reports on whole labs.

use std::fmt::Display;

use serde::{Deserialize, Serialize, Serializer};

use crate::name::{IfName, LabName, NodeName};
use crate::plan::NodeId;
use crate::plan::steps::Step;

/// `up`
#[derive(Debug, Serialize)]
pub struct Up {
    /// The lab.
    pub lab: LabName,
    /// What had to be done.
    pub outcome: Outcome,
    /// How many hosts it has.
    pub hosts: usize,
    /// How many containers it has.
    pub containers: usize,
    /// How many operations were done.
    pub operations: usize,
    /// How long it took, in milliseconds.
    pub milliseconds: f64,
    /// A first thing to try.
    pub hint: Option<Hint>,
    /// What was launched, stopped or configured before, and stays so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<Kept>,
    /// Seconds within which `keep` must confirm a change of the machine's NICs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirm_within: Option<u64>,
    /// What the machines say that play the rest of it; none where all of it is here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub others: Option<super::half::Halves>,
}

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

/// A first thing to try in a lab.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Hint {
    /// A ping as far as the lab goes.
    Ping(Ping),
    /// What begins the work, where the lab is to be made by hand.
    Exercise(Exercise),
}

/// What is typed to make a lab by hand.
#[derive(Debug, Clone, Serialize)]
pub struct Exercise {
    /// The lab, where it is not the only one.
    #[serde(skip)]
    pub lab: Option<LabName>,
    /// The hosts to work on, as they are typed.
    pub shells: Vec<String>,
    /// The topologies that it is to become.
    pub against: Vec<String>,
    /// The caller works through `sudo`, and will type it again.
    #[serde(skip)]
    pub sudo: bool,
}

impl Exercise {
    /// The command lines: a shell on each host, the judge, and a way to do it.
    pub fn typed(&self) -> [Vec<String>; 3] {
        let sudo = if self.sudo { "sudo " } else { "" };
        let lab = self.lab.as_ref().map(|lab| format!("{lab} ")).unwrap_or_default();
        let against = || self.against.iter();
        [
            self.shells.iter().map(|host| format!("{sudo}nslab shell {host}")).collect(),
            against().map(|target| format!("{sudo}nslab check {lab}--against {target} --watch")).collect(),
            against().map(|target| format!("nslab plan {target}")).collect(),
        ]
    }
}

/// A ping between the containers of a lab that lie farthest apart.
#[derive(Debug, Clone, Serialize)]
pub struct Ping {
    /// The node to ping from, as short as the lab allows.
    pub from: String,
    /// The node to ping, likewise.
    pub to: String,
    /// The caller works through `sudo`, and will type it again.
    #[serde(skip)]
    pub sudo: bool,
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

/// `keep`: the lab whose change of the machine's NICs is kept.
#[derive(Debug, Serialize)]
pub struct Keep {
    /// The lab.
    pub lab: LabName,
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

/// `status`
#[derive(Debug, Serialize)]
pub struct Statuses {
    /// Each lab asked about.
    pub labs: Vec<Status>,
}

/// The condition of one lab.
#[derive(Debug, Serialize)]
pub struct Status {
    /// The lab.
    pub lab: LabName,
    /// One line on what its topology teaches.
    pub summary: Option<String>,
    /// How it is.
    pub condition: Condition,
    /// How many hosts it has.
    pub hosts: usize,
    /// How many containers it has.
    pub containers: usize,
    /// What `up` would do to make it as described.
    pub missing: Vec<Step>,
    /// What somebody made by hand, as the commands that make it.
    pub by_hand: Vec<Step>,
    /// Namespaces that somebody made inside a host.
    pub namespaces: Vec<Namespace>,
    /// Packet filter tables that somebody made.
    pub tables: Vec<Table>,
    /// How many processes run in it.
    pub processes: usize,
    /// Which half of it is on this machine; none where all of it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub half: Option<Played>,
    /// What was launched, stopped or configured in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instances: Option<Kept>,
    /// The agents of its hosts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub agents: Vec<Serving>,
    /// The nslab that made it.
    pub version: String,
    /// The machine's NICs that it has borrowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nics: Option<Nics>,
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

impl Status {
    /// How many things somebody made by hand.
    pub fn by_hand(&self) -> usize {
        self.by_hand.iter().map(|step| step.commands.len()).sum::<usize>() + self.namespaces.len() + self.tables.len()
    }
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
