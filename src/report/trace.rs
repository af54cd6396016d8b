//! `trace`: the path of one packet and of its reply, predicted from the live tables and observed on every segment.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Serialize;

use super::machine::Kind;
use super::probe::Transport;
use super::wire::{Interface, Names, Station};

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

/// Why a packet goes no further, or what is odd on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "cause")]
#[allow(missing_docs, reason = "each variant's sentence tells what its values are")]
pub enum Cause {
    /// The node has no route to the destination; on the way back, none to the sender.
    NoRoute { node: String, to: IpAddr },
    /// The sender has no address of the family to put into the packet.
    NoAddress { node: String },
    /// The node is asked to pass a packet on and does not forward.
    ForwardingOff { node: String, ipv6: bool },
    /// An address has another prefix length than one on its segment, so that `to` is taken for near, or for far.
    WrongPrefix { interface: Interface, address: IpNet, other: IpNet, to: IpAddr },
    /// The interface shares a segment with the owner of an address and has none in its subnet; `own` is what it has.
    OtherSubnet { interface: Interface, own: Option<IpNet>, owner: Interface, other: IpNet },
    /// The interface's prefix makes it the broadcast address of its subnet; `owner` has it all the same.
    Broadcast { interface: Interface, address: IpNet, owner: Option<Interface> },
    /// The route says that the address is on the segment, but its owner is elsewhere.
    NotOnLink { interface: Interface, route: Route, to: IpAddr, owner: Interface },
    /// An address is on the loopback, where nobody on the segment sees it, and the interface for it has none.
    OnLoopback { interface: Interface, address: IpNet },
    /// The route's next router is a node that does not route.
    NotARouter { node: String, gateway: IpAddr, route: Route, owner: String },
    /// The interface has the address and is told not to answer for it (`arp_ignore`).
    ArpIgnored { interface: Interface, value: u8 },
    /// IPv6 is off at the interface, by its setting or, with `mtu`, since that is less than IPv6 needs.
    Ipv6Off { interface: Interface, mtu: Option<u32> },
    /// The route's next router is an address that nobody has.
    NoSuchGateway { node: String, gateway: IpAddr, route: Route },
    /// An interface on the way is down; with `peer` it is the other end of its cable that is.
    LinkDown { interface: Interface, peer: Option<Interface> },
    /// A cable ends in a host that has not plugged it into a bridge.
    NotInBridge { interface: Interface, bridges: Vec<String> },
    /// A cable ends in a bridge where it does not belong; with `wanted` in another one.
    WrongBridge { interface: Interface, bridge: String, wanted: Option<String> },
    /// The interface neither asks nor answers for addresses (`NOARP`).
    NoArp { interface: Interface },
    /// A port of a bridge lets it not pass: the word of its state, or `isolated`, or `no-flood`.
    PortClosed { interface: Interface, state: String },
    /// Nobody answers the question for an address; the owner is where the address is, if anywhere.
    Unresolved { interface: Interface, address: IpAddr, owner: Option<Interface> },
    /// Several have the address.
    DuplicateAddress { address: IpAddr, owners: Vec<Interface> },
    /// Several have the MAC address.
    DuplicateMac { mac: String, owners: Vec<Interface> },
    /// The NICs of two hosts have the same MAC address, as those of a cloned VM have.
    ClonedMac { mac: String, owners: Vec<Interface> },
    /// The reverse path filter drops it: the way back would not be by that interface.
    ReversePath { interface: Interface, source: IpAddr, strict: bool },
    /// The time to live ran out.
    TtlExpired { node: String, ttl: u8 },
    /// The packet is larger than an MTU on the way and may not be cut.
    TooBig { interface: Interface, mtu: u32, size: u32 },
    /// A connection opens, but its full packets are larger than an MTU between bridges, where nobody tells the sender.
    BlackHole { interface: Interface, mtu: u32, size: u32 },
    /// A route of the kind `blackhole`, `unreachable` or `prohibit`.
    Refused { node: String, kind: String, to: IpNet },
    /// A policy rule that refuses, as `ip rule` writes it.
    Barred { node: String, rule: String, priority: u32, ipv6: bool },
    /// An entry of a bridge's forwarding table sends frames for the address to another port than the one that leads there.
    WrongFdb { interface: Interface, bridge: String, mac: String, right: String },
    /// A neighbour entry, mostly a permanent one, says a MAC address that is not the owner's.
    WrongNeighbour { interface: Interface, address: IpAddr, mac: String, right: Option<String> },
    /// A packet filter drops it: a rule with its handle and its number in the chain, from 1, or the chain's policy.
    Filtered {
        node: String,
        family: String,
        table: String,
        chain: String,
        hook: Option<String>,
        rule: Option<u64>,
        number: Option<usize>,
        policy: bool,
    },
    /// Routers send it in a circle until its time to live runs out.
    Loop { to: IpAddr, routes: Vec<(String, Route)>, crossings: u32 },
    /// An address is on a port of a bridge, where it is of no use, instead of on the bridge.
    AddressOnPort { interface: Interface, address: IpNet, bridge: String },
    /// The packet leaves by a NIC that does not lead to the destination.
    OtherNic { interface: Interface, route: Route, owner: Option<Interface> },
    /// The network delivers unicast only to the NICs' own MAC addresses.
    ForeignMac { network: String, mac: String, owner: Option<Interface> },
    /// Nobody listens on the port in the node; `at` has the addresses at which somebody does, to whom it was not sent.
    NobodyListens { node: String, transport: Transport, at: Vec<IpAddr> },
    /// A datagram came to a node where somebody listens, and nothing came back.
    Silent { node: String, transport: Transport },
    /// The node has the address and answers no echo requests.
    EchoIgnored { node: String },
    /// It leaves by a link of a kind that nslab cannot follow: a tunnel, a VLAN, a bond, a macvlan ...
    NotFollowed { interface: Interface, kind: String },
    /// It left for the machine that plays the host, or asked there, and nothing came back.
    OtherMachine { interface: Interface, host: String },
    /// Where it was seen last; nslab does not know why it went no further.
    Unknown { node: String, interface: Option<String> },
}

impl Cause {
    /// The nodes where it says that the fault is, `host` or `host.container`.
    pub fn blames(&self) -> Vec<&str> {
        match self {
            Self::NoRoute { node, .. }
            | Self::NoAddress { node }
            | Self::ForwardingOff { node, .. }
            | Self::NoSuchGateway { node, .. }
            | Self::NotARouter { node, .. }
            | Self::TtlExpired { node, .. }
            | Self::Refused { node, .. }
            | Self::Barred { node, .. }
            | Self::Filtered { node, .. }
            | Self::EchoIgnored { node }
            | Self::NobodyListens { node, .. }
            | Self::Silent { node, .. }
            | Self::Unknown { node, .. } => vec![node],
            Self::WrongPrefix { interface, .. }
            | Self::OtherSubnet { interface, .. }
            | Self::NotOnLink { interface, .. }
            | Self::ArpIgnored { interface, .. }
            | Self::Ipv6Off { interface, .. }
            | Self::OnLoopback { interface, .. }
            | Self::NotInBridge { interface, .. }
            | Self::WrongBridge { interface, .. }
            | Self::NoArp { interface }
            | Self::PortClosed { interface, .. }
            | Self::ReversePath { interface, .. }
            | Self::TooBig { interface, .. }
            | Self::BlackHole { interface, .. }
            | Self::WrongNeighbour { interface, .. }
            | Self::WrongFdb { interface, .. }
            | Self::AddressOnPort { interface, .. }
            | Self::OtherNic { interface, .. } => vec![&interface.node],
            Self::LinkDown { interface, peer: other }
            | Self::Unresolved { interface, owner: other, .. }
            | Self::Broadcast { interface, owner: other, .. } => {
                vec![&other.as_ref().unwrap_or(interface).node]
            }
            Self::DuplicateAddress { owners, .. } | Self::DuplicateMac { owners, .. } | Self::ClonedMac { owners, .. } => {
                owners.iter().map(|owner| owner.node.as_str()).collect()
            }
            Self::Loop { routes, .. } => routes.iter().map(|(node, _)| node.as_str()).collect(),
            // What a network is, no table of a node tells.
            Self::ForeignMac { .. } | Self::OtherMachine { .. } | Self::NotFollowed { .. } => Vec::new(),
        }
    }
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
