//! Reports on one node: what is in its namespace.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Serialize;

use crate::plan::NodeId;

/// `show NODE`
#[derive(Debug, Default, Serialize)]
pub struct Node {
    /// The lab.
    pub lab: String,
    /// The node, `host` or `host.container`.
    pub node: String,
    /// What it is.
    pub kind: Kind,
    /// Whether it forwards IPv4 and IPv6 packets.
    pub forwarding: Forwarding,
    /// Its interfaces, in the order of their indices.
    pub links: Vec<Link>,
    /// Its routes, main table first.
    pub routes: Vec<Route>,
    /// What its bridges have learned or were told.
    pub fdb: Vec<Fdb>,
    /// Which MAC address answers for which IP address.
    pub neighbours: Vec<Neighbour>,
}

/// What a node is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the words explain themselves")]
pub enum Kind {
    #[default]
    Host,
    Container,
    Switch,
}

impl Kind {
    /// What the node is.
    pub fn of(node: &NodeId) -> Self {
        match node {
            NodeId::Switch(_) => Self::Switch,
            NodeId::Host(_) => Self::Host,
            NodeId::Container(..) => Self::Container,
        }
    }
}

/// Whether packets are forwarded, by family; none where it could not be read.
#[derive(Debug, Clone, Copy, Default, Serialize)]
#[allow(missing_docs, reason = "the words explain themselves")]
pub struct Forwarding {
    pub ipv4: Option<bool>,
    pub ipv6: Option<bool>,
}

/// An interface.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Link {
    /// The kernel's number for it.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// `veth`, `bridge`, `loopback` or the kernel's word for another kind.
    pub kind: String,
    /// Its Ethernet address, where it has one.
    pub mac: Option<String>,
    /// Bytes of payload per frame.
    pub mtu: u32,
    /// Administratively up.
    pub up: bool,
    /// The kernel's word for whether frames pass: `up`, `down`, `lower-layer-down`, `unknown` ...
    pub state: String,
    /// The bridge that it is a port of.
    pub bridge: Option<String>,
    /// The other end of a veth pair.
    pub peer: Option<Peer>,
    /// Its addresses with their prefixes.
    pub addresses: Vec<IpNet>,
}

/// The other end of a veth pair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Peer {
    /// The node that it is in, `host` or `host.container`; none where it is in no node of the lab.
    pub node: Option<String>,
    /// Its name there, where it could be seen.
    pub name: Option<String>,
}

/// A route.
#[derive(Debug, Clone, Serialize)]
pub struct Route {
    /// The table; 254 is the main one.
    pub table: u32,
    /// The destination.
    pub to: IpNet,
    /// The next router.
    pub via: Option<IpAddr>,
    /// The interface.
    pub dev: Option<String>,
    /// `unicast`, `blackhole`, `unreachable`, `prohibit` ...
    pub kind: String,
    /// Who made it: `kernel`, `static`, `boot` ...
    pub protocol: String,
    /// The address that packets from here bear.
    pub source: Option<IpAddr>,
    /// The lower wins.
    pub metric: Option<u32>,
}

/// An entry of a bridge's forwarding table.
#[derive(Debug, Clone, Serialize)]
pub struct Fdb {
    /// The bridge.
    pub bridge: String,
    /// The MAC address.
    pub mac: String,
    /// The port behind which it is.
    pub port: String,
    /// How the bridge knows.
    pub state: FdbState,
}

/// How a bridge knows a MAC address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FdbState {
    /// From frames that came in there.
    Learned,
    /// Told, and kept.
    Static,
    /// It is the port's or the bridge's own.
    Own,
}

/// A neighbour: an IP address and the MAC address that answers for it.
#[derive(Debug, Clone, Serialize)]
pub struct Neighbour {
    /// The IP address.
    pub address: IpAddr,
    /// The interface.
    pub dev: String,
    /// The MAC address, where one answered.
    pub mac: Option<String>,
    /// The kernel's word: `reachable`, `stale`, `failed` ...
    pub state: String,
}
