//! What is in a node's namespace, and in the machine: its tables, what its kernel can do, its NICs, and what on it gets in a lab's way.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Serialize;

use crate::error::Service;
use crate::plan::NodeId;

/// `show NODE`
#[derive(Debug, Clone, Default, Serialize)]
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
    pub fn from_node(node: &NodeId) -> Self {
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

/// Something that the kernel can do or not.
#[derive(Debug, Clone, Serialize)]
pub struct Feature {
    /// What it is.
    pub name: Ability,
    /// Whether it works, where it could be tried.
    pub works: Option<bool>,
    /// Whether a lab needs it.
    pub needed: bool,
    /// The error number of the attempt that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errno: Option<i32>,
}

/// A feature of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the words explain themselves")]
pub enum Ability {
    NetworkNamespaces,
    SandboxNamespaces,
    Veth,
    Bridge,
    Ipv6,
    Overlay,
    Tun,
    Vlan,
    Vxlan,
    Macvlan,
    Vrf,
    PacketSockets,
}

/// A limit and its value.
#[derive(Debug, Clone, Serialize)]
pub struct Limit {
    /// Which one.
    pub name: LimitName,
    /// Its value: `u64::MAX` for no limit, none where it cannot be seen (some are only in the machine's own namespace).
    pub value: Option<u64>,
    /// How many containers it allows, roughly.
    pub containers: Option<u64>,
}

/// A limit that a lab may meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the words are the system's own")]
pub enum LimitName {
    #[serde(rename = "user.max_net_namespaces")]
    NetNamespaces,
    #[serde(rename = "fs.mount-max")]
    Mounts,
    #[serde(rename = "RLIMIT_NOFILE")]
    OpenFiles,
    #[serde(rename = "net.ipv4.neigh.default.gc_thresh3")]
    Neighbours,
    #[serde(rename = "MemAvailable")]
    Memory,
}

/// Something that may get in the way, or seems to and does not.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "finding", rename_all = "kebab-case")]
pub enum Finding {
    /// `AppArmor` allows user namespaces to named programs alone (Ubuntu 23.10 and later).
    AppArmorUserns,
    /// The kernel allows user namespaces to root alone (Debian 10 and before).
    UsernsClone,
    /// `user.max_user_namespaces` is this small.
    FewUserNamespaces {
        /// Its value.
        value: u64,
    },
    /// Bridged packets pass the machine's packet filters, none of which drops those of a lab.
    BridgeNetfilter,
    /// The machine forwards packets.
    Forwarding {
        /// The lab that made it do so, by the role that it has here; none where somebody else did.
        #[serde(skip_serializing_if = "Option::is_none")]
        lab: Option<String>,
    },
    /// The kernel puts fallback devices of tunnels into every namespace.
    FallbackDevices {
        /// Their names.
        names: Vec<String>,
    },
    /// Root lacks this capability.
    Capability {
        /// Its name.
        name: &'static str,
    },
    /// Fewer neighbour entries than big labs need.
    SmallNeighbourTable {
        /// Its value.
        value: u64,
    },
}

impl Finding {
    /// Whether it is told for reassurance alone.
    pub fn harmless(&self) -> bool {
        matches!(self, Self::BridgeNetfilter | Self::Forwarding { .. } | Self::FallbackDevices { .. })
    }
}

/// `up --dry-run`: what becomes of one NIC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The NIC.
    pub nic: String,
    /// As it is.
    pub now: Wiring,
    /// As it would be.
    pub then: Wiring,
    /// What `--allow` must name before nslab does it; null where nothing makes it.
    pub allow: Option<Vec<String>>,
}

/// How a NIC is set up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Wiring {
    /// Administratively up.
    pub up: bool,
    /// Bytes of payload per frame.
    pub mtu: u32,
    /// The interface that it is a port of.
    pub master: Option<String>,
    /// The addresses that are its own, or its bridge's where they have moved there.
    pub addresses: Vec<String>,
    /// The routes through it, or through its bridge.
    pub routes: Vec<String>,
}

/// A setting of the machine that changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// Its name, as `sysctl` takes it.
    pub name: String,
    /// Its value.
    pub now: String,
    /// Its value afterwards.
    pub then: String,
}

/// What becomes of the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// Its NICs.
    pub nics: Vec<Change>,
    /// Its settings.
    pub settings: Vec<Setting>,
}

/// Something that gets in the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Interference {
    /// The lab; none where it would be in the way of any that has a role.
    pub lab: Option<String>,
    /// What it is.
    #[serde(flatten)]
    pub obstacle: Obstacle,
    /// Ways out, each the commands of it in their order; one way is enough.
    pub cures: Vec<Vec<String>>,
}

/// What gets in the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "interference", rename_all = "kebab-case")]
pub enum Obstacle {
    /// A packet filter drops what the lab needs.
    Filter {
        /// What is dropped.
        traffic: Traffic,
        /// What drops it.
        filter: Filter,
    },
    /// A service configures an interface of the lab, or may.
    Manager {
        /// The interface.
        interface: String,
        /// The service.
        service: Service,
        /// Its process, where it is one.
        #[serde(skip_serializing_if = "Option::is_none")]
        pid: Option<i32>,
        /// It has the interface for sure: it runs for it, or says so itself.
        certain: bool,
    },
    /// The reverse path filter drops what comes in.
    ReversePath {
        /// The interface that it comes in by.
        interface: String,
        /// The subnet that it comes from.
        from: IpNet,
        /// The interface by which that subnet is reached instead; none where it is not.
        leaves: Option<String>,
    },
    /// IPv6 is switched off.
    Ipv6Off {
        /// Where: an interface, or `all`.
        interface: String,
    },
}

/// What a filter drops.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Traffic {
    /// Frames between the ports of a bridge.
    Bridged {
        /// The bridge; none where the lab is not there yet.
        bridge: Option<String>,
        /// The ports that the frames come in by; none where the filter is one of packets, which does not see them.
        ports: Vec<String>,
        /// The filter is one of packets, which `br_netfilter` shows bridged frames to.
        netfilter: bool,
        /// IPv6.
        ipv6: bool,
    },
    /// Packets that the machine forwards.
    Routed {
        /// The interfaces of the lab that they come in by; none where the lab is not there yet.
        interfaces: Vec<String>,
        /// IPv6.
        ipv6: bool,
    },
    /// Pings for the machine's own addresses in the lab.
    Received {
        /// The interfaces that they come in by.
        interfaces: Vec<String>,
        /// IPv6.
        ipv6: bool,
    },
}

/// A chain that drops.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Filter {
    /// The family as `nft` writes it.
    pub family: String,
    /// The table.
    pub table: String,
    /// The chain.
    pub chain: String,
    /// It is one of iptables as it was before nftables.
    pub legacy: bool,
    /// By its policy, not by a rule.
    pub policy: bool,
    /// No rule that nslab cannot judge might let it pass before.
    pub certain: bool,
    /// What it lets pass all the same: `ping`, `tcp`.
    pub passes: Vec<&'static str>,
    /// Programs that have chains in the same table.
    pub makers: Vec<&'static str>,
}
