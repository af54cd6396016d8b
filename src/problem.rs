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
    TooDeep(usize),
    Alias,
    UnknownKey {
        key: String,
        known: Vec<String>,
        meant: Option<String>,
    },
    DuplicateKey(String),
    Missing(&'static str),
    Expected(&'static str),
    BadName {
        word: String,
        fault: NameFault,
    },
    NotAnAddress(String),
    NotAPrefix(String),
    NotAMac(String),
    /// An address that no host can have: multicast, loopback, unspecified, v4-mapped.
    NotAHostAddress(IpAddr),
    NetworkAddress(IpNet),
    BroadcastAddress(IpNet),
    DuplicateAddress(IpAddr),
    DuplicateMac(Mac),
    MulticastMac(Mac),
    DuplicateName(String),
    OverlappingSubnets(IpNet, IpNet),
    GatewayOutsideSubnets(IpAddr),
    TwoGateways,
    OwnGateway(IpAddr),
    HostBits {
        given: IpNet,
        meant: IpNet,
    },
    UnknownReference {
        what: &'static str,
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
    Loop(Vec<String>),
    OutOfRange {
        what: &'static str,
        low: i64,
        high: i64,
    },
    CountLeavesSubnet {
        subnet: IpNet,
        count: u32,
        last: u32,
    },
    CountNeedsOne(&'static str),
    TooManyPorts {
        bridge: String,
        ports: usize,
    },
    TooManyNodes {
        nodes: usize,
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
}
