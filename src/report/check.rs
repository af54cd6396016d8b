//! `check`: what must hold in a lab, and what was seen.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Serialize;

use super::ping::Family;
use super::trace::Cause;
use super::wire::{Interface, Names, Station};
use crate::topology::checks::{self, Kind};

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
    /// It was told while it was watched.
    #[serde(skip)]
    pub told: bool,
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
    /// Its kind.
    pub kind: Kind,
    /// What must hold, in the names of the lab.
    pub check: checks::Check,
    /// How it ended.
    pub state: State,
    /// What was seen that is wrong, or why it could not run.
    pub evidence: Vec<Evidence>,
    /// What was seen that is unusual and no fault.
    pub notes: Vec<Note>,
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

/// What was seen that is wrong, or why a check could not run.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "each variant's sentence tells what its values are")]
pub enum Evidence {
    /// The namespace of the node is gone.
    NodeGone { node: String },
    /// Nobody in the lab can play the part.
    NoPlayer { role: String },
    /// No network of the lab joins those that play.
    NoNetwork { network: String },
    /// nslab failed: the step and the system's error number.
    Failed { tried: String, errno: i32 },
    /// The node has no address that counts: the one family that does, where it is one alone, and the addresses that do not.
    NoAddress { node: String, family: Option<Family>, besides: Vec<Besides> },
    /// The NIC of the node on the network has no address; elsewhere the node may have some.
    NoAddressOn { node: String, network: String, family: Option<Family> },
    /// Not a single container has an address that counts, or one alone; whether others have some that do not.
    TooFew { configured: Vec<String>, besides: bool },
    /// All containers with an address that counts are on one host, of how many others that have containers.
    OneHost { host: String, others: usize },
    /// Both have addresses, but none of the same family.
    NoFamily { from: String, to: String },
    /// Pings that were not answered: the first few, and how many there are.
    Unanswered { pairs: Vec<(String, String)>, number: usize, of: usize },
    /// Pings that were answered and should not have been.
    Answered { pairs: Vec<(String, String)> },
    /// Several have an address.
    Duplicate { address: IpAddr, owners: Vec<Interface> },
    /// What a packet dies of, or what is odd in the tables.
    Because { cause: Cause, certain: bool },
    /// MAC addresses in frames on a network that should not be there.
    Strangers { network: String, stations: Vec<Station> },
    /// Nodes whose MAC addresses were not seen on the network.
    Unseen { network: String, nodes: Vec<String> },
    /// A ping was answered without crossing the network: the interfaces of hosts that it left by.
    OtherWay { from: String, to: String, network: String, interfaces: Vec<Interface> },
    /// The nodes that a packet came to.
    Way { from: String, to: String, hops: Vec<String> },
    /// A node changed the source address of a packet on its way.
    Translated { from: String, to: String, by: Option<String>, source: IpAddr, became: IpAddr },
    /// A packet lost so much of its time to live, and only these nodes were seen to route it.
    Unexplained { lost: u8 },
    /// The node has no route there.
    NoRoute { node: String, to: String },
    /// The node's route leads over somebody else.
    RouteVia { node: String, to: String, route: super::trace::Route, over: Option<String> },
    /// The next router's address is not on the interface that the cable leads to.
    RouterElsewhere { address: IpAddr, on: Interface, belongs: Interface },
    /// An address that should be there is not; what is there instead.
    Lacks { node: String, address: IpNet, has: Vec<IpNet> },
    /// No subnet has all of them: who has what.
    NotOneSubnet { addresses: Vec<(String, Vec<IpNet>)> },
    /// Nodes of different hosts with subnets that overlap.
    Overlap { first: (String, IpNet), second: (String, IpNet) },
    /// The container's cable ends in a bridge.
    NotPointToPoint { node: String, bridge: String },
    /// The host's end of the container's cable has no address in the container's subnet.
    EndWithout { node: String, end: Interface, has: Vec<IpNet> },
    /// Others are on the same subnet, so it is no link of two.
    SharedLink { node: String, subnet: IpNet, others: Vec<String> },
    /// The node forwards, or does not, or the kernel did not tell.
    Forwards { node: String, ipv6: bool, on: Option<bool> },
    /// The host has no bridge, or none of that name; its interfaces that should be ports.
    NoBridge { host: String, name: Option<String>, ports: Vec<String> },
    /// A container has no cable.
    NoCable { node: String },
    /// A cable that does not end in its own host.
    CableElsewhere { interface: Interface, end: Option<Interface> },
    /// A port that is wanted is in another bridge.
    OtherBridge { interface: Interface, bridge: String, wanted: String },
    /// A port that is wanted is in no bridge.
    NotInBridge { interface: Interface, bridge: Option<String> },
    /// A NIC that is not wanted is in the bridge.
    ForeignPort { interface: Interface, bridge: String, network: Option<String> },
    /// The bridge is one that LXD, Docker or libvirt made, with NAT and DHCP of its own.
    ManagedBridge { host: String, bridge: String, ports: Vec<String> },
    /// The NIC is not in the host any more: where it is.
    NicMoved { nic: Interface, to: Interface },
    /// There is no such NIC.
    NoNic { nic: Interface },
    /// An interface that matters is down.
    Down { interface: Interface },
    /// The command ended otherwise: its exit code and output.
    Ended { code: i32, wanted: u8, output: String },
    /// The output does not contain what it must.
    Output { output: String },
    /// The command did not end in time.
    TooSlow { seconds: u16 },
    /// The command is not in the node.
    NoCommand { command: String, code: i32 },
    /// The host's agent does not run.
    NoAgent { host: String },
    /// The first host knows no remote that is the other one.
    NoRemote { from: String, of: String },
    /// The other host does not trust the one that knows it as that remote.
    Distrusted { from: String, of: String, remote: String },
    /// Nobody answers where the remote should be.
    Unreached { from: String, remote: String, address: String },
    /// What answers there is another server than the one that was added.
    OtherServer { from: String, of: String, remote: String },
    /// The remote did not do a step, in its own words.
    Refused { remote: String, step: Step, text: String },
}

/// An address that does not count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Besides {
    /// The address.
    pub address: IpNet,
    /// The interface that has it, or the managed bridge that it is behind.
    pub interface: String,
}

/// What a host does with a container of another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the words explain themselves")]
pub enum Step {
    List,
    Launch,
    Exec,
    Stop,
    Delete,
}

/// What is unusual and no fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "each variant's sentence tells what its values are")]
pub enum Note {
    /// A route of its own instead of a default route.
    Specific { node: String, to: IpNet },
    /// So many pings or commands of the check start on the other machine, which plays this host, and are checked there.
    OtherMachine { host: String, number: usize },
    /// Nodes on the other machine: what is said of them is what the file says.
    FromFile { nodes: Vec<String> },
    /// The token of this host's agent is printed on the other machine, which plays it.
    TokenThere { host: String },
    /// A point-to-point link with another prefix than /30.
    Prefix { node: String, subnet: IpNet },
}

impl Report {
    /// The shortest words for a node.
    pub fn word(&self, node: &str) -> String {
        self.names.node(node)
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
