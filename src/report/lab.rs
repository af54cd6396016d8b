//! Whole labs: what was done to them, the halves that other machines play, and what is said meanwhile.

mod reset;

use std::fmt::Display;

use serde::{Deserialize, Serialize, Serializer};

pub use self::reset::Reset;
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
    /// How many of the file's are deleted.
    pub deleted: usize,
}

impl Kept {
    /// How many things that is.
    pub fn count(&self) -> usize {
        self.launched + self.stopped + self.configured + self.deleted
    }
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
    pub others: Option<Halves>,
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

/// What the machines on the NICs of this one's half say of themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Halves {
    /// Those that answered.
    pub answers: Vec<Answer>,
    /// Neighbours in the file that nobody answered for.
    pub silent: Vec<String>,
    /// What keeps them from being one lab, or deserves a note; the worst first.
    pub findings: Vec<Mismatch>,
}

impl Halves {
    /// Those that play another host of the same lab.
    pub fn partners(&self) -> impl Iterator<Item = &Answer> {
        let stranger = |answer: &Answer, finding: &Mismatch| match finding {
            Mismatch::Role { host, .. } => *host == answer.host,
            Mismatch::Lab { there, .. } => *there == answer.lab,
            _ => false,
        };
        self.answers.iter().filter(move |answer| !self.findings.iter().any(|finding| stranger(answer, finding)))
    }
}

/// A machine that answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// The host that it plays.
    pub host: String,
    /// The lab.
    pub lab: String,
    /// Its hostname.
    pub hostname: String,
    /// The MAC address of its NIC.
    pub mac: String,
    /// The NIC of this machine that it answered on.
    pub nic: String,
    /// The version of its nslab.
    pub version: String,
}

/// Something between two halves of a lab.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Mismatch {
    /// It plays the same host: the same addresses are there twice.
    Role {
        /// The lab.
        lab: String,
        /// The host.
        host: String,
        /// The other machine's hostname.
        hostname: String,
        /// Hosts that are left to play.
        free: Vec<String>,
    },
    /// Its lab has another name.
    Lab {
        /// The name here.
        here: String,
        /// The name there.
        there: String,
        /// The other machine's hostname.
        hostname: String,
        /// The host that it plays.
        host: String,
    },
    /// Its NIC has the same MAC address as this machine's, as a clone's has.
    Mac {
        /// This machine's NIC.
        nic: String,
        /// The address.
        mac: String,
        /// The host that the other machine plays.
        host: String,
    },
    /// Its nslab is of another version.
    Version {
        /// The host that it plays.
        host: String,
        /// The version here.
        here: String,
        /// The version there.
        there: String,
    },
    /// It was brought up from another file.
    File {
        /// The lab.
        lab: String,
        /// The host that it plays.
        host: String,
    },
    /// Its NIC has another MTU.
    Mtu {
        /// This machine's NIC.
        nic: String,
        /// Bytes of payload per frame here.
        here: u32,
        /// Bytes of payload per frame there.
        there: u32,
        /// The host that it plays.
        host: String,
    },
    /// Frames do not pass that should.
    Lost {
        /// Which.
        frames: Frames,
        /// Which way.
        way: Way,
        /// This machine's NIC.
        nic: String,
        /// The host that the other machine plays.
        host: String,
        /// Bytes of payload of a full one.
        mtu: u32,
    },
    /// It has the same machine-id, as a clone has.
    Machine {
        /// The host that it plays.
        host: String,
    },
    /// It has the same hostname.
    Hostname {
        /// The name.
        hostname: String,
        /// The host that it plays.
        host: String,
    },
    /// Its clock is a day or more away from this machine's.
    Clock {
        /// The host that it plays.
        host: String,
        /// How far, in whole days.
        days: u64,
    },
}

impl Mismatch {
    /// Worth knowing, and in nobody's way.
    pub fn is_note(&self) -> bool {
        matches!(self, Self::Machine { .. } | Self::Hostname { .. } | Self::Clock { .. } | Self::Version { .. })
    }
}

/// Frames of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Frames {
    /// From one NIC to the other.
    Plain,
    /// For a MAC address that is not the NIC's own: a container's.
    ToGuest,
    /// From a MAC address that is not the NIC's own.
    FromGuest,
    /// Of full size.
    Full,
}

impl Frames {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Plain, Self::ToGuest, Self::FromGuest, Self::Full];

    /// Its number on the wire.
    pub fn number(self) -> u8 {
        match self {
            Self::Plain => 0,
            Self::ToGuest => 1,
            Self::FromGuest => 2,
            Self::Full => 3,
        }
    }
}

/// A direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// From the other machine to this one.
    In,
    /// From this machine to the other one.
    Out,
}

/// Something worth telling that is no error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// `capture` has begun: where it listens.
    Listening(Vec<String>),
    /// Interfaces that are listened at went down.
    PointsDown(Vec<String>),
    /// Interfaces that were listened at are gone, with how many are left.
    PointsGone {
        /// The points.
        points: Vec<String>,
        /// How many are left.
        left: usize,
    },
    /// A capture has ended: how, and the file where there is one.
    Captured(super::wire::End, Option<String>),
    /// Several labs are up and the command line names none: the lab that is meant, and the name that would say so.
    Assumed {
        /// The lab.
        lab: String,
        /// How to name the thing without doubt.
        exact: String,
    },
    /// The machine keeps its default route; these routes stand in for the lab's.
    KeptDefault {
        /// Their destinations.
        routes: Vec<ipnet::IpNet>,
    },
    /// A host has no agent, so that `lxc` finds nobody there.
    Agentless {
        /// The host.
        host: String,
        /// Why it could not be started.
        why: Box<crate::error::Error>,
    },
    /// The first shell of a host: what `lxc` is there.
    Class {
        /// The host.
        host: String,
    },
    /// Something on the machine gets in the way of a lab that has a role there.
    Interference(super::machine::Interference),
    /// Links that somebody made by hand in a container went with it.
    LinksLost {
        /// The container.
        node: String,
        /// Their names.
        links: Vec<String>,
    },
    /// A lab that is up bears the name of a built-in topology and is made from another description.
    OwnDescription {
        /// The lab.
        lab: String,
    },
}

impl Notice {
    /// Whether it must be told even to somebody who wants to hear nothing.
    pub fn is_grave(&self) -> bool {
        matches!(self, Self::Captured(end, _) if !end.dropped.is_empty())
    }
}

/// A question to answer with yes or no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// `remote add` sees a certificate for the first time.
    Certificate {
        /// Where.
        address: String,
        /// SHA-256 of it, in hexadecimal digits.
        fingerprint: String,
    },
    /// `reset` removes what was made by hand.
    Reset {
        /// The lab.
        lab: String,
        /// How many things go.
        by_hand: usize,
    },
}

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Operations done.
    pub done: usize,
    /// Operations in all.
    pub total: usize,
}
