//! What can be said about a lab's network, and one effect on it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::link::Link;
use crate::name::{IfName, Mac, NodeName};

/// A machine of the lab that has a network namespace of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum NodeId {
    /// The switch that a network with more or fewer than two ends becomes, by the network's name.
    Switch(NodeName),
    /// A host.
    Host(NodeName),
    /// A container: its host, its name.
    Container(NodeName, NodeName),
}

impl NodeId {
    /// Its host, itself or the one around it; a switch is on none.
    pub fn host(&self) -> Option<&NodeName> {
        match self {
            Self::Switch(_) => None,
            Self::Host(host) | Self::Container(host, _) => Some(host),
        }
    }

    /// The node's own name.
    pub fn name(&self) -> &NodeName {
        match self {
            Self::Switch(name) | Self::Host(name) | Self::Container(_, name) => name,
        }
    }
}

impl fmt::Display for NodeId {
    /// `host-a` or `host-a.a1`: the name of its pin, and after `LAB.` of its entry in `/run/netns`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Switch(name) | Self::Host(name) => write!(f, "{name}"),
            Self::Container(host, name) => write!(f, "{host}.{name}"),
        }
    }
}

/// A network namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Ns {
    /// The machine's own; only with a role.
    Root,
    /// A node's.
    Node(NodeId),
}

/// An interface in a namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Port {
    /// The namespace it is in.
    pub ns: Ns,
    /// Its name there.
    pub dev: IfName,
}

/// A setting under `/proc/sys/net` that a lab depends on, per namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Sysctl {
    /// `net.ipv4.ip_forward`
    Forward4,
    /// `net.ipv6.conf.all.forwarding`
    Forward6,
    /// `net.ipv4.conf.all.rp_filter`: the stricter of this and the device's own holds.
    RpFilterAll,
    /// `net.ipv4.conf.default.rp_filter`: what a device is born with.
    RpFilterDefault,
}

impl Sysctl {
    /// Every setting.
    pub const ALL: [Self; 4] = [Self::Forward4, Self::Forward6, Self::RpFilterAll, Self::RpFilterDefault];

    /// Its path under `/proc/sys`.
    pub fn path(self) -> &'static str {
        match self {
            Self::Forward4 => "net/ipv4/ip_forward",
            Self::Forward6 => "net/ipv6/conf/all/forwarding",
            Self::RpFilterAll => "net/ipv4/conf/all/rp_filter",
            Self::RpFilterDefault => "net/ipv4/conf/default/rp_filter",
        }
    }

    /// Its name as `sysctl` takes it.
    pub fn name(self) -> String {
        self.path().replace('/', ".")
    }
}

/// The main routing table (`RT_TABLE_MAIN`, `linux/rtnetlink.h`).
pub const MAIN_TABLE: u32 = 254;

/// What a fact is about. The order is the build order, but for `Op::stage`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Key {
    /// The namespace exists. [`Value::Present`]
    Netns(Ns),
    /// A setting of the namespace. [`Value::Number`]
    Sysctl(Ns, Sysctl),
    /// A link exists; of a veth pair the lesser end is the key. [`Value::Link`]
    Link(Port),
    /// Its Ethernet address. [`Value::Mac`]
    Mac(Port),
    /// Its MTU in bytes. [`Value::Number`]
    Mtu(Port),
    /// A bridge runs the spanning tree protocol. [`Value::Present`]
    Stp(Port),
    /// The bridge that it is a port of. [`Value::Master`]
    Member(Port),
    /// A bridge's port neither learns nor floods unicast. [`Value::Present`]
    Isolated(Port),
    /// A permanent entry of a bridge's forwarding table, at the port. [`Value::Present`]
    Fdb(Port, Mac),
    /// An address with its prefix. [`Value::Present`]
    Addr(Port, IpNet),
    /// Administratively up. [`Value::Present`]
    Up(Port),
    /// A route: its table, destination and metric (0: the family's default). [`Value::Route`]
    Route(Ns, u32, IpNet, u32),
}

impl Key {
    /// The namespace that the fact is about.
    pub fn ns(&self) -> &Ns {
        match self {
            Self::Netns(ns) | Self::Sysctl(ns, _) | Self::Route(ns, ..) => ns,
            Self::Link(port)
            | Self::Mac(port)
            | Self::Mtu(port)
            | Self::Stp(port)
            | Self::Member(port)
            | Self::Isolated(port)
            | Self::Fdb(port, _)
            | Self::Addr(port, _)
            | Self::Up(port) => &port.ns,
        }
    }

    /// The same fact in another namespace.
    #[must_use]
    pub fn moved(&self, ns: &Ns) -> Self {
        let at = |port: &Port| Port { ns: ns.clone(), dev: port.dev.clone() };
        match self {
            Self::Netns(_) => Self::Netns(ns.clone()),
            Self::Sysctl(_, setting) => Self::Sysctl(ns.clone(), *setting),
            Self::Route(_, table, to, metric) => Self::Route(ns.clone(), *table, *to, *metric),
            Self::Link(port) => Self::Link(at(port)),
            Self::Mac(port) => Self::Mac(at(port)),
            Self::Mtu(port) => Self::Mtu(at(port)),
            Self::Stp(port) => Self::Stp(at(port)),
            Self::Member(port) => Self::Member(at(port)),
            Self::Isolated(port) => Self::Isolated(at(port)),
            Self::Fdb(port, mac) => Self::Fdb(at(port), *mac),
            Self::Addr(port, net) => Self::Addr(at(port), *net),
            Self::Up(port) => Self::Up(at(port)),
        }
    }

    /// The interface that the fact is about, if it is about one.
    pub fn port(&self) -> Option<&Port> {
        match self {
            Self::Netns(_) | Self::Sysctl(..) | Self::Route(..) => None,
            Self::Link(port)
            | Self::Mac(port)
            | Self::Mtu(port)
            | Self::Stp(port)
            | Self::Member(port)
            | Self::Isolated(port)
            | Self::Fdb(port, _)
            | Self::Addr(port, _)
            | Self::Up(port) => Some(port),
        }
    }
}

/// Where a route leads.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RouteTo {
    /// To a router on an interface.
    Via(IpAddr, IfName),
    /// Straight onto an interface.
    Dev(IfName),
    /// To several routers at once, by turns.
    Many(Vec<(IpAddr, IfName)>),
    /// Nowhere, in silence.
    Blackhole,
    /// Nowhere, answered with "host unreachable".
    Unreachable,
    /// Nowhere, answered with "administratively prohibited".
    Prohibit,
}

/// What a fact says of its key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Value {
    /// It is so.
    Present,
    /// A link of this kind.
    Link(Link),
    /// An Ethernet address.
    Mac(Mac),
    /// A number.
    Number(u32),
    /// The bridge's interface name.
    Master(IfName),
    /// Where the route leads.
    Route(RouteTo),
}

/// Everything that is said about a lab's network.
pub type State = BTreeMap<Key, Value>;

/// One effect on the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Make it so.
    Add(Key, Value),
    /// Overwrite the setting with this value.
    Set(Key, Value),
    /// Undo it; the value is the one that goes.
    Del(Key, Value),
}

impl Op {
    /// What the operation is about.
    pub fn key(&self) -> &Key {
        match self {
            Self::Add(key, _) | Self::Set(key, _) | Self::Del(key, _) => key,
        }
    }

    /// The value that comes, or for `Del` the one that goes.
    pub fn value(&self) -> &Value {
        match self {
            Self::Add(_, value) | Self::Set(_, value) | Self::Del(_, value) => value,
        }
    }
}

/// Operations between two states, in order.
pub type Plan = Vec<Op>;
