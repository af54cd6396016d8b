//! What can be wrong with a topology file, as data. The sentences stand in `render/lang`.

use std::net::IpAddr;
use std::ops::Range;

use ipnet::IpNet;

use crate::name::{Mac, NameFault};

/// One thing wrong with a topology file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong.
    pub problem: Problem,
    /// Where, in bytes of the file's text.
    pub at: Range<usize>,
    /// The other place that it clashes with, where there is one.
    pub other: Option<Range<usize>>,
}

/// A kind of mistake, with its values.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the variants explain themselves; topology::validate says when each arises")]
pub enum Problem {
    /// The YAML itself cannot be read: the parser's own words.
    Syntax(String),
    NoHosts,
    /// Nested deeper than this.
    TooDeep(usize),
    /// More keys and values than this.
    TooMuch(usize),
    /// A second `---`.
    SeveralDocuments,
    /// YAML's anchors and aliases are not taken.
    Alias,
    UnknownKey {
        key: String,
        known: Vec<String>,
        meant: Option<String>,
    },
    DuplicateKey(String),
    /// A key that must be there is not.
    Missing(&'static str),
    Expected(Shape),
    BadName {
        word: String,
        fault: NameFault,
    },
    NotAnAddress {
        word: String,
        fault: AddressFault,
    },
    NotAPrefix {
        word: String,
        fault: AddressFault,
    },
    NotAMac(String),
    /// An address that no host can have: multicast, loopback, unspecified, v4-mapped.
    NotAHostAddress(IpAddr),
    /// The kernel gives out `fe80::` addresses by itself.
    LinkLocal(IpAddr),
    NetworkAddress(IpNet),
    BroadcastAddress(IpNet),
    DuplicateAddress(IpAddr),
    DuplicateMac(Mac),
    MulticastMac(Mac),
    ZeroMac,
    /// Two networks, hosts or containers of one name.
    DuplicateName(String),
    /// Two interfaces of one name in one node.
    DuplicateInterface {
        name: String,
        node: String,
    },
    OverlappingSubnets(IpNet, IpNet),
    GatewayOutsideSubnets(IpAddr),
    /// The gateway is reached through an interface that is described as down.
    BehindDown {
        gateway: Option<IpAddr>,
        interface: String,
    },
    TwoGateways,
    OwnGateway(IpAddr),
    HostBits {
        given: IpNet,
        meant: IpNet,
    },
    /// Two routes of one node to the same destination.
    DuplicateRoute(IpNet),
    /// A route to a subnet that the node is in anyway.
    ConnectedRoute(IpNet),
    /// A destination and its router are of different families.
    MixedFamilies(IpNet, IpAddr),
    UnknownReference {
        what: Reference,
        word: String,
        meant: Option<String>,
        known: Vec<String>,
    },
    PortTwice {
        port: String,
        bridges: (String, String),
    },
    AddressOnPort {
        port: String,
        bridge: String,
    },
    /// Bridges and networks in a circle, in order.
    Loop(Vec<String>),
    OutOfRange {
        what: &'static str,
        low: i64,
        high: i64,
    },
    /// Only `fit` addresses from the given one on are left in the subnet.
    CountLeavesSubnet {
        subnet: IpNet,
        count: u32,
        fit: u32,
    },
    /// A key that makes no sense for more than one container.
    CountNeedsOne(&'static str),
    TooManyPorts {
        bridge: String,
        ports: usize,
        limit: usize,
    },
    TooManyNodes {
        nodes: usize,
        limit: usize,
    },
    /// More NICs or bridges in a node than have room in its MAC addresses.
    TooManyInterfaces {
        node: String,
        limit: usize,
    },
    MtuTooSmallForV6(u32),
    TooLongForInterface {
        made: String,
        limit: usize,
    },
    HostNamedLikeLab(String),
    /// Of `via`, `dev` and `blackhole` exactly one must be given.
    OneHop,
    /// A checkpoint has no name.
    NoCheckpointName,
    /// A check has its kind as its only key.
    OneCheck,
    /// Two nodes belong there.
    OnePair,
    /// A path must end with the node that it leads to.
    PathEnd(String),
    /// Several nodes bear the name.
    AmbiguousNode {
        word: String,
        candidates: Vec<String>,
    },
}

/// What a value of a topology file must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words explain themselves")]
pub enum Shape {
    Keys,
    List,
    Text,
    TextOrList,
    Whole,
    TrueOrFalse,
    AllowOrDeny,
    AllOrPairs,
    Subnet,
}

/// Why a text is no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressFault {
    /// No address at all.
    Malformed,
    /// A number with a leading zero, which some programs take for octal.
    LeadingZero,
    /// The prefix length is missing.
    NoPrefix,
    /// A prefix length is where none belongs.
    Prefix,
    /// The prefix length is no number, or beyond the longest of the family.
    PrefixRange(u8),
}

/// What a word refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words explain themselves")]
pub enum Reference {
    Network,
    Bridge,
    /// A NIC of the host, as a bridge's port.
    Port,
    Interface,
    Node,
    Host,
    /// A built-in topology.
    Topology,
    /// What can be plugged into a bridge of the host.
    Plug,
}
