//! What a lab answers: pings from one node to one address or between every two, and checks of what must hold in it.

use std::net::IpAddr;

use serde::Serialize;

use super::wire::{Interface, Names};
use crate::render::lang::Lang;
use crate::render::sentences::statement::{Statement, Words};

/// A version of the Internet protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the words explain themselves")]
pub enum Family {
    Ipv4,
    Ipv6,
}

impl Family {
    /// That of an address.
    pub fn from_address(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::Ipv4 } else { Self::Ipv6 }
    }
}

/// What a packet is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// An echo request.
    Icmp,
    /// The first packet of a connection to a port.
    Tcp {
        /// The port.
        port: u16,
    },
    /// A datagram to a port.
    Udp {
        /// The port.
        port: u16,
    },
}

impl Transport {
    /// The port that it is for.
    pub fn port(self) -> Option<u16> {
        match self {
            Self::Icmp => None,
            Self::Tcp { port } | Self::Udp { port } => Some(port),
        }
    }

    /// Its name, as people write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Icmp => "ICMP",
            Self::Tcp { .. } => "TCP",
            Self::Udp { .. } => "UDP",
        }
    }
}

/// An address and the interface that has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Party {
    /// The address.
    pub address: IpAddr,
    /// Who has it; none where nobody in the lab does, or several do.
    pub owner: Option<Interface>,
}

/// Who pings whom, and how.
#[derive(Debug, Clone, Serialize)]
pub struct Start {
    /// The lab.
    pub lab: String,
    /// The node that sends, `host` or `host.container`.
    pub from: String,
    /// The address that the requests bear; none where no route tells which.
    pub source: Option<IpAddr>,
    /// Whom.
    pub to: Party,
    /// Further addresses by which the node that was named could be pinged.
    pub others: Vec<IpAddr>,
    /// Bytes of payload in each request.
    pub size: usize,
    /// With the record route option.
    pub record_route: bool,
    /// How nodes are typed.
    #[serde(skip)]
    pub names: Names,
}

/// `ping A B`
#[derive(Debug, Serialize)]
pub struct Ping {
    /// Who pings whom.
    #[serde(flatten)]
    pub start: Start,
    /// Requests that were to be sent, whether the kernel let them out or not.
    pub sent: u64,
    /// Requests that were answered.
    pub received: u64,
    /// The times that answers took; none where there was none.
    pub times: Option<Times>,
    /// What came back, in the order in which it came.
    pub events: Vec<Event>,
}

/// How long answers took, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the words explain themselves")]
pub struct Times {
    pub min: f64,
    pub avg: f64,
    pub max: f64,
}

/// What comes back.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// An answer.
    Reply(Reply),
    /// A message that the request went no further, or the kernel's refusal to send it.
    Error {
        /// Of which request.
        sequence: u64,
        /// Who says so; none where the sender's own kernel refused.
        from: Option<Party>,
        /// What.
        fault: Fault,
    },
}

/// An answer to an echo request.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reply {
    /// To which request.
    pub sequence: u64,
    /// Who answers.
    pub from: Party,
    /// Bytes of the ICMP message.
    pub bytes: usize,
    /// The time to live, or hop limit, that was left.
    pub ttl: Option<u8>,
    /// How long it took.
    pub milliseconds: f64,
    /// The request was answered before.
    pub duplicate: bool,
    /// What the routers have written into its record route option.
    pub route: Option<Recorded>,
}

/// A record route option, filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Recorded {
    /// The addresses on the way there, the destination's last where it stands there.
    pub there: Vec<Party>,
    /// The addresses on the way back.
    pub back: Vec<Party>,
    /// All nine slots are full: what comes after left no trace.
    pub full: bool,
}

/// Why a request goes no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case", tag = "error")]
#[allow(missing_docs, reason = "the words explain themselves")]
pub enum Fault {
    /// The time to live ran out.
    TimeExceeded,
    /// Some fragments of it did not arrive.
    FragmentsMissing,
    NetUnreachable,
    /// Nobody answers the question for the MAC address.
    HostUnreachable,
    ProtocolUnreachable,
    PortUnreachable,
    /// A filter or route forbids it.
    Prohibited,
    /// It is larger than the MTU, and may not be cut.
    TooBig {
        mtu: u32,
    },
    /// A router knows a better one; the request went on.
    Redirect {
        gateway: IpAddr,
    },
    /// Another ICMP error.
    Other {
        kind: u8,
        code: u8,
    },
    /// The sender's own kernel refused to send it.
    Unsent {
        errno: i32,
    },
}

/// `ping --all`
#[derive(Debug, Serialize)]
pub struct Matrix {
    /// The lab.
    pub lab: String,
    /// Who was pinged, in the order of the lab, `host` or `host.container`.
    pub nodes: Vec<String>,
    /// Containers that were left out because they are stopped.
    pub stopped: Vec<String>,
    /// How many ordered pairs of them there are.
    pub pairs: usize,
    /// Pairs in which every family that both have was answered.
    pub answered: usize,
    /// Pings sent, one per pair and family, those again included.
    pub pings: usize,
    /// The other pairs.
    pub failed: Vec<Pair>,
    /// In how many rounds, so that the machine's neighbour table did not overflow.
    pub rounds: usize,
    /// How many entries that table takes (`gc_thresh3`).
    pub limit: u32,
    /// How long it took.
    pub milliseconds: f64,
    /// How nodes are typed.
    #[serde(skip)]
    pub names: Names,
}

/// A pair of nodes of which not every ping was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pair {
    /// Who sent.
    pub from: String,
    /// To whom.
    pub to: String,
    /// By family; empty where they have no family in common.
    pub attempts: Vec<Attempt>,
}

/// A family's part in a pair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attempt {
    /// Which.
    pub family: Family,
    /// The address that was pinged.
    pub address: IpAddr,
    /// Whether it answered.
    pub answered: bool,
    /// What came back instead, if anything.
    pub fault: Option<Fault>,
}

/// `check`
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The lab.
    pub lab: String,
    /// The topology whose checkpoints they are, where it is not the lab's own.
    pub against: Option<String>,
    /// Who plays which part of that topology.
    pub roles: Vec<Role>,
    /// Containers that are not judged: they have no address that counts.
    pub spares: Vec<String>,
    /// There is nothing at all in the spares, neither a link nor an address.
    #[serde(skip)]
    pub untouched: bool,
    /// The checkpoints.
    pub checkpoints: Vec<Checkpoint>,
    /// The points that all of them give.
    pub points: u32,
    /// The points that were reached.
    pub reached: f64,
    /// Checks that passed.
    pub passed: usize,
    /// Checks that failed.
    pub failed: usize,
    /// Checks that could not run.
    pub not_run: usize,
    /// Checks that nobody asked for.
    pub skipped: usize,
    /// How long it took.
    pub milliseconds: f64,
    /// How nodes are typed.
    #[serde(skip)]
    pub names: Names,
    /// It was printed while it was watched.
    #[serde(skip)]
    pub printed: bool,
}

/// Who plays a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Role {
    /// The part: the node of the topology, `host` or `host.container`.
    pub role: String,
    /// The node of the lab that plays it; none where nobody can.
    pub node: Option<String>,
    /// How the node is wired.
    pub wiring: Wiring,
}

/// How a node is wired into its lab.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wiring {
    /// A bridge that also has a NIC of the host: a switch. Of a host, it has one.
    Switch {
        /// The bridge.
        bridge: String,
    },
    /// A bridge without a NIC of the host: the host is a router there.
    Gateway {
        /// The bridge.
        bridge: String,
    },
    /// A cable whose other end is an interface of the host alone.
    PointToPoint,
    /// Nothing that could be judged.
    None,
}

/// A checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Checkpoint {
    /// Its name.
    pub name: String,
    /// What it gives.
    pub points: u32,
    /// What of it was reached.
    pub reached: f64,
    /// Its checks.
    pub checks: Vec<Outcome>,
}

/// A check and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    /// The word for its kind.
    pub kind: &'static str,
    /// What must hold, in the names of the lab.
    pub check: Statement,
    /// How it ended.
    pub state: State,
    /// What was seen that is wrong, or why it could not run.
    pub evidence: Vec<Statement>,
    /// What was seen that is unusual and no fault.
    pub notes: Vec<Statement>,
    /// The commands that may mend it, as they are typed.
    pub hints: Vec<String>,
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the words explain themselves")]
pub enum State {
    Pass,
    Skipped,
    CouldNotRun,
    Fail,
}

impl Report {
    /// The words for what is in the lab.
    pub fn words(&self, lang: Lang) -> Words<'_> {
        Words { lang, lab: &self.lab, names: &self.names }
    }

    /// Every outcome.
    pub fn outcomes(&self) -> impl Iterator<Item = &Outcome> {
        self.checkpoints.iter().flat_map(|checkpoint| &checkpoint.checks)
    }

    /// 1 where a check failed, 3 where one could not run, else 0.
    pub fn exit_code(&self) -> u8 {
        match (self.failed, self.not_run) {
            (0, 0) => 0,
            (0, _) => 3,
            _ => 1,
        }
    }
}
