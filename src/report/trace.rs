//! `trace`: the path of one packet and of its reply, predicted from the live tables and observed on every segment.

mod cause;

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Serialize;

use super::machine::Kind;
use super::probe::Transport;
use super::wire::{Interface, Names, Station};
pub use cause::Cause;

/// `trace`
#[derive(Debug, Serialize)]
pub struct Trace {
    /// The lab.
    pub lab: String,
    /// The node that sends, `host` or `host.container`.
    pub from: String,
    /// The address that it sends to.
    pub to: IpAddr,
    /// The node that has the address.
    pub to_node: Option<String>,
    /// What it sends.
    pub transport: Transport,
    /// Bytes of the whole packet.
    pub size: u32,
    /// The time to live that it starts with.
    pub ttl: u8,
    /// The way of the packet.
    pub request: Journey,
    /// The way of its reply; none where the packet does not arrive.
    pub reply: Option<Journey>,
    /// What routers and hosts said about the packet, in ICMP.
    pub messages: Vec<IcmpMessage>,
    /// Where what was seen is not what the tables say.
    pub differences: Vec<Difference>,
    /// How it ended.
    pub outcome: Outcome,
    /// The sender was told that nobody takes it.
    pub refused: bool,
    /// Where a packet that is no ping died although the tables let it live: whether a ping to the same address was answered.
    pub ping: Option<bool>,
    /// What is odd on the way and did not stop the packet.
    pub notes: Vec<Note>,
    /// Where the packet died of nothing known: tables of iptables-legacy there, whose rules cannot be traced.
    pub legacy: Vec<String>,
    /// As well: interfaces there with filters of `tc`, which are not followed.
    pub hooks: Vec<String>,
    /// Several labs are up, so that a command must name this one.
    #[serde(skip)]
    pub several: bool,
    /// How the nodes are typed.
    #[serde(skip)]
    pub names: Names,
}

/// Something odd, and the commands that would mend it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Note {
    /// What.
    #[serde(flatten)]
    pub cause: Cause,
    /// Each as it is typed.
    pub cure: Vec<String>,
}

/// An ICMP error about the packet or its reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IcmpMessage {
    /// Which of the two it is about.
    pub leg: Direction,
    /// Its source address.
    pub from: IpAddr,
    /// The node that has that address.
    pub node: Option<String>,
    /// What it says.
    pub says: IcmpWord,
}

/// What an ICMP error says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the words of RFC 792, 1122 and 4443 explain themselves")]
pub enum IcmpWord {
    NoRoute,
    HostUnreachable,
    PortUnreachable,
    Prohibited,
    TooBig { mtu: u32 },
    TimeExceeded,
    Other { kind: u8, code: u8 },
}

/// Where what was seen is not what the tables say.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "difference")]
pub enum Difference {
    /// A node was to send it by one interface (none: keep it), and sent it by another (none: by no interface).
    Way {
        /// The packet or its reply.
        leg: Direction,
        /// The node.
        node: String,
        /// The interface of the tables.
        predicted: Option<String>,
        /// The interface where it was seen.
        observed: Option<String>,
    },
    /// The frame on a segment had other MAC addresses or another time to live.
    Frame {
        /// The packet or its reply.
        leg: Direction,
        /// The interface that it left by.
        interface: Interface,
        /// The frame of the tables.
        predicted: Box<Frame>,
        /// The frame that was seen.
        observed: Box<Frame>,
    },
    /// A node put other addresses into the packet, as a packet filter that translates them (NAT) does.
    Translation {
        /// The packet or its reply.
        leg: Direction,
        /// The node.
        node: String,
        /// Source and destination before.
        before: (IpAddr, IpAddr),
        /// And after.
        after: (IpAddr, IpAddr),
    },
    /// It was to die of this, and was answered.
    Lives {
        /// The cause that the tables suggest.
        cause: Cause,
    },
}

/// The way of one packet.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Journey {
    /// The address in its source field; none where the sender has none to put there.
    pub source: Option<IpAddr>,
    /// The address in its destination field.
    pub destination: IpAddr,
    /// The nodes that it comes to, in order; a loop is listed once.
    pub visits: Vec<Visit>,
}

/// A packet in a node.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Visit {
    /// The node, `host` or `host.container`.
    pub node: String,
    /// What it is.
    pub kind: Kind,
    /// The interface that it comes in by; none where it begins.
    pub enters: Option<String>,
    /// The interface that it leaves by; none where it ends.
    pub leaves: Option<String>,
    /// What the node does with it.
    pub deed: Action,
    /// The question for the next MAC address that comes first, where the node does not know it.
    pub resolution: Option<Resolution>,
    /// The frame on the segment that follows; none where the packet goes no further.
    pub frame: Option<Frame>,
    /// By which source the visit is known.
    pub known: Known,
}

/// How something is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Known {
    /// The tables say so, and the probe was seen.
    Both,
    /// The tables say so, but the probe was not seen there.
    Predicted,
    /// The probe was seen there, against what the tables say.
    Observed,
    /// The file says so: the node is on another machine, where nobody looked.
    File,
}

/// What a node does with a packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// It sends the packet, by this route.
    Sends(Route),
    /// It passes the frame on unchanged, by its forwarding table or to every port.
    Bridges {
        /// The bridge.
        bridge: String,
        /// To every port, since it does not know the address.
        floods: bool,
    },
    /// It takes the packet out of the frame and puts it into a new one.
    Routes {
        /// By this route.
        route: Route,
        /// The time to live that comes in.
        ttl: u8,
    },
    /// It was seen to go on, and no table says why.
    Passes {
        /// The time to live that comes in, where it was seen to come in.
        ttl: Option<u8>,
    },
    /// The packet is for this node.
    Receives,
    /// It goes no further here.
    Drops,
}

/// A route that a packet takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Route {
    /// Its destination.
    pub to: IpNet,
    /// The next router; none where the destination is on the segment.
    pub via: Option<IpAddr>,
    /// The interface.
    pub dev: String,
}

/// An ARP or neighbour discovery exchange.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Resolution {
    /// The address that is asked for.
    pub address: IpAddr,
    /// Who answers; none where nobody does.
    pub answer: Option<Station>,
}

/// A frame on a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Frame {
    /// Who sends it.
    pub source: Station,
    /// Whom it is for.
    pub destination: Station,
    /// The source address of the packet in it; a router that translates addresses changes it.
    pub from: Option<IpAddr>,
    /// Its destination address.
    pub to: IpAddr,
    /// Its time to live.
    pub ttl: u8,
    /// How often it was seen on the segment; none where nobody looked.
    pub seen: Option<u32>,
}

/// A packet or its reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the words explain themselves")]
pub enum Direction {
    Request,
    Reply,
}

/// How a trace ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The reply came back.
    Answered {
        /// After so long.
        milliseconds: f64,
    },
    /// The packet or its reply died.
    Died(Box<Death>),
}

/// Where and why a packet died.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Death {
    /// The packet or its reply.
    pub leg: Direction,
    /// The node where, `host` or `host.container`.
    pub node: String,
    /// Why.
    pub cause: Cause,
    /// What was seen on the segments agrees with that cause; else it is what the tables suggest.
    pub certain: bool,
    /// The commands that would cure it, each as it is typed; empty where nslab knows none.
    pub cure: Vec<String>,
}

impl Trace {
    /// The shortest words for a node.
    pub fn word(&self, node: &str) -> String {
        self.names.node(node)
    }

    /// The words for a node in a command that works whatever labs are up.
    pub fn typed(&self, node: &str) -> String {
        if self.several { format!("{}/{}", self.lab, self.word(node)) } else { self.word(node) }
    }

    /// `NODE.INTERFACE` as it can be typed.
    pub fn interface(&self, interface: &Interface) -> String {
        self.names.interface(interface)
    }

    /// A trace of no packet, to tell a cause in a lab with.
    pub fn none(lab: &str, names: Names) -> Self {
        let nowhere = IpAddr::from([0; 4]);
        Self {
            lab: lab.to_owned(),
            from: String::new(),
            to: nowhere,
            to_node: None,
            transport: Transport::Icmp,
            size: 0,
            ttl: 0,
            request: Journey { source: None, destination: nowhere, visits: Vec::new() },
            reply: None,
            messages: Vec::new(),
            differences: Vec::new(),
            outcome: Outcome::Answered { milliseconds: 0.0 },
            refused: false,
            ping: None,
            notes: Vec::new(),
            legacy: Vec::new(),
            hooks: Vec::new(),
            several: false,
            names,
        }
    }

    /// The way of the packet, or of its reply.
    pub fn journey(&self, direction: Direction) -> Option<&Journey> {
        match direction {
            Direction::Request => Some(&self.request),
            Direction::Reply => self.reply.as_ref(),
        }
    }

    /// The node that a packet that died came to last; its cause may be further on, where the question for a MAC address went.
    pub fn furthest<'a>(&'a self, death: &'a Death) -> &'a str {
        let last = self.journey(death.leg).and_then(|journey| journey.visits.last());
        last.map_or(&death.node, |visit| &visit.node)
    }

    /// How the packet or its reply died.
    pub fn death(&self) -> Option<&Death> {
        match &self.outcome {
            Outcome::Answered { .. } => None,
            Outcome::Died(death) => Some(death),
        }
    }
}
