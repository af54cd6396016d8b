//! What crosses a wire: interfaces and who has their addresses, frames, what a capture tells of them, which MAC addresses a network
//! sees.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::Serialize;

use crate::name::Mac;

/// An interface of a node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Interface {
    /// The node, `host` or `host.container`.
    pub node: String,
    /// Its name there.
    pub interface: String,
}

/// A MAC address in a frame, with who has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Station {
    /// The address.
    pub mac: String,
    /// The interface that has it; none where nobody in the lab does, or several do.
    pub owner: Option<Interface>,
}

/// The shortest words that name the nodes of a lab.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names(HashMap<String, String>);

impl Names {
    /// From the names in reports, `host.container`, to what is typed.
    pub fn new(names: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(names.into_iter().collect())
    }

    /// A node as it is typed; one that nobody can type yet with its host before it.
    pub fn node(&self, node: &str) -> String {
        self.0.get(node).cloned().unwrap_or_else(|| node.replacen('.', "/", 1))
    }

    /// An interface as it is typed.
    pub fn interface(&self, interface: &Interface) -> String {
        format!("{}.{}", self.node(&interface.node), interface.interface)
    }
}

/// An Ethernet frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Frame {
    /// The MAC address of who sent it.
    pub source: Mac,
    /// The MAC address of whom it is for.
    pub destination: Mac,
    /// The number of its outermost VLAN.
    pub vlan: Option<u16>,
    /// What it carries.
    pub payload: Payload,
}

/// What a frame carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Payload {
    /// A question or answer of ARP for IPv4 (RFC 826).
    Arp {
        /// 1: who has the target address; 2: the sender has its address.
        operation: u16,
        /// The sender's MAC address.
        sender_mac: Mac,
        /// The sender's address.
        sender_ip: Ipv4Addr,
        /// The target's MAC address; zeros in a question.
        target_mac: Mac,
        /// The target's address.
        target_ip: Ipv4Addr,
    },
    /// An IPv4 or IPv6 packet.
    Ip(Packet),
    /// A message between bridges that keeps circles out (IEEE 802.1D).
    SpanningTree,
    /// Anything else, by its `EtherType`; below 1536 it is a length (IEEE 802.3).
    Other(u16),
    /// Too few bytes, or too damaged, for what it claims to be.
    Short,
}

/// An IP packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Packet {
    /// Who sent it.
    pub source: IpAddr,
    /// Whom it is for.
    pub destination: IpAddr,
    /// Time to live, or hop limit.
    pub ttl: u8,
    /// The number of the protocol in it (IANA), after IPv6's extension headers.
    pub protocol: u8,
    /// Its bytes with the header, as the header says.
    pub length: u32,
    /// IPv4 only: routers may not cut it.
    pub whole: bool,
    /// Which part of a larger packet it is; none where it is not cut.
    pub fragment: Option<Fragment>,
    /// The record-route option of IPv4.
    pub route: Option<Recorded>,
    /// What it carries.
    pub body: Body,
}

/// A part of a packet that was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Fragment {
    /// The number that all parts share.
    pub id: u32,
    /// Where it belongs, in bytes.
    pub offset: u32,
    /// Others follow.
    pub more: bool,
}

/// What the record-route option holds (RFC 791).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Recorded {
    /// The addresses so far, in order.
    pub addresses: Vec<Ipv4Addr>,
    /// Slots that are still free.
    pub free: u8,
}

/// What an IP packet carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Body {
    /// An echo request or reply of ICMP or `ICMPv6`.
    Echo {
        /// It is the reply.
        reply: bool,
        /// Tells one sender's from another's.
        id: u16,
        /// Tells one packet from the next.
        sequence: u16,
        /// The first bytes of its payload, eight at most.
        #[serde(skip)]
        payload: Vec<u8>,
    },
    /// The time to live ran out (code 0), or parts did not arrive in time (code 1).
    TimeExceeded {
        /// Which.
        code: u8,
        /// The packet it is about.
        quoted: Option<Box<Packet>>,
    },
    /// A packet cannot be delivered.
    Unreachable {
        /// Why (RFC 792, RFC 4443).
        code: u8,
        /// Code 4 of ICMP: bytes that would pass; 0 where a router does not tell.
        mtu: Option<u16>,
        /// The packet it is about.
        quoted: Option<Box<Packet>>,
    },
    /// `ICMPv6`: a packet is too big.
    TooBig {
        /// Bytes that would pass.
        mtu: u32,
        /// The packet it is about.
        quoted: Option<Box<Packet>>,
    },
    /// There is a better router for a destination.
    Redirect {
        /// The better one.
        gateway: IpAddr,
        /// The packet it is about.
        quoted: Option<Box<Packet>>,
    },
    /// `ICMPv6`: who has the address?
    Solicitation {
        /// The address.
        target: Ipv6Addr,
        /// The MAC address of who asks.
        mac: Option<Mac>,
    },
    /// `ICMPv6`: I have the address.
    Advertisement {
        /// The address.
        target: Ipv6Addr,
        /// Its MAC address.
        mac: Option<Mac>,
    },
    /// Other messages of ICMP or `ICMPv6`.
    Icmp {
        /// The type.
        kind: u8,
        /// The code.
        code: u8,
        /// The packet it is about, of an error.
        #[serde(skip)]
        quoted: Option<Box<Packet>>,
    },
    /// A UDP datagram.
    Udp {
        /// The port it comes from.
        source: u16,
        /// The port it is for.
        destination: u16,
        /// Its bytes without the header, as the header says.
        length: u16,
    },
    /// A TCP segment.
    Tcp {
        /// The port it comes from.
        source: u16,
        /// The port it is for.
        destination: u16,
        /// The flags, from FIN in the lowest bit to CWR in the highest (RFC 9293).
        flags: u8,
        /// The number of its first byte.
        sequence: u32,
        /// The number of the byte that is awaited.
        acknowledged: u32,
        /// Its bytes without the header.
        length: u32,
    },
    /// A later part of a packet that was cut.
    Part,
    /// Another protocol.
    Other,
    /// Too few bytes, or too damaged, for what it claims to be.
    Short,
}

/// A frame at a point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// When, in nanoseconds since 1970.
    pub nanoseconds: u64,
    /// The point as it is typed: `a1.eth0`, or the network.
    pub point: String,
    /// Where it was seen.
    pub seen: Interface,
    /// Which way it went, as that interface's node sees it.
    pub direction: Direction,
    /// On a wire between hosts, or between a host and a switch: where it comes from, and where it goes to.
    pub ends: Option<(String, String)>,
    /// Bytes on the wire.
    pub length: u32,
    /// Who sent the frame; none where it is too short to tell.
    pub source: Option<Station>,
    /// Whom it is for.
    pub destination: Option<Station>,
    /// The number of its outermost VLAN.
    pub vlan: Option<u16>,
    /// What it carries.
    pub payload: Payload,
}

/// Which way a frame went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the words explain themselves")]
pub enum Direction {
    In,
    Out,
}

/// How a capture ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct End {
    /// Frames that were told or written.
    pub frames: u64,
    /// How long it took.
    pub milliseconds: u64,
    /// Frames that were lost, by point; points that lost none are left out.
    pub dropped: Vec<Dropped>,
}

/// Frames that were lost at a point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Dropped {
    /// The point.
    pub point: String,
    /// How many.
    pub frames: u64,
}

/// The networks of a lab.
#[derive(Debug, Serialize)]
pub struct Census {
    /// The lab, or the topology that was brought up for this and is gone again.
    pub lab: String,
    /// It was brought up for this alone.
    pub own: bool,
    /// How many containers it has.
    pub containers: usize,
    /// The pings that were sent; none where nslab only listened.
    pub pings: Option<Pings>,
    /// Its networks between hosts, or the one that was asked for.
    pub networks: Vec<Network>,
    /// How nodes are typed.
    #[serde(skip)]
    pub names: Names,
}

/// Pings between nodes of different hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Pings {
    /// Ordered pairs.
    pub pairs: usize,
    /// Pairs in which every family was answered.
    pub answered: usize,
}

/// What a network is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the words explain themselves")]
pub enum Kind {
    Wire,
    Switch,
}

/// A network between hosts, and what crossed it.
#[derive(Debug, Serialize)]
pub struct Network {
    /// Its name.
    pub network: String,
    /// What it is.
    pub kind: Kind,
    /// The interfaces of the hosts that are plugged into it.
    pub ends: Vec<Interface>,
    /// Frames that hosts sent into it.
    pub frames: u64,
    /// Those of them for everybody or for a group.
    pub broadcasts: u64,
    /// Frames that nslab could not look at for want of time.
    pub missed: u64,
    /// Who sent them, by side and MAC address.
    pub sources: Vec<Source>,
    /// The switch's forwarding table; of a wire what a switch in its place would hold.
    pub table: Vec<Entry>,
    /// How each host that sent something takes part.
    pub hosts: Vec<Part>,
}

/// A source MAC address that crossed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Source {
    /// The address.
    pub mac: String,
    /// The interfaces that have it; none where nobody in the lab does, several where it was cloned.
    pub owners: Vec<Interface>,
    /// The end of the network that it came from.
    pub side: Interface,
    /// How many frames.
    pub frames: u64,
    /// Those of them for everybody or for a group.
    pub broadcasts: u64,
    /// Frames for one address that the switch did not pass on.
    pub blocked: u64,
    /// Why it crosses.
    pub reason: Reason,
}

/// Why a MAC address crosses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// It is a container's: a bridge of its host passes the frames on unchanged.
    Bridged,
    /// It is a router's, which has put others' packets into new frames.
    Routed,
    /// It is a host's, for packets of its own.
    Own,
    /// Several interfaces have it.
    Cloned,
    /// Nobody in the lab has it.
    Unknown,
}

/// An entry of a forwarding table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// The port; of a wire the end that would be plugged in there.
    pub port: String,
    /// The address.
    pub mac: String,
    /// The interfaces that have it.
    pub owners: Vec<Interface>,
    /// Seconds since a frame came from it; none where the entry is fixed, or there is no switch.
    pub age: Option<f64>,
}

/// How a host takes part in a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Part {
    /// The host.
    pub host: String,
    /// Its way.
    pub how: Reason,
    /// How many MAC addresses came from its side.
    pub macs: usize,
}

impl Network {
    /// How many different MAC addresses crossed.
    pub fn addresses(&self) -> usize {
        self.count(|_| true)
    }

    /// How many different MAC addresses crossed for a reason.
    pub fn addresses_of(&self, reason: Reason) -> usize {
        self.count(|source| source.reason == reason)
    }

    /// The nodes from whose side addresses came for a reason.
    pub fn hosts_of(&self, reason: Reason) -> impl Iterator<Item = &str> {
        let its = self.sources.iter().filter(|source| source.reason == reason);
        its.map(|source| source.side.node.as_str()).collect::<BTreeSet<_>>().into_iter()
    }

    fn count(&self, wanted: impl Fn(&Source) -> bool) -> usize {
        let its = self.sources.iter().filter(|source| wanted(source));
        its.map(|source| source.mac.as_str()).collect::<BTreeSet<_>>().len()
    }
}
