//! Facts, and the one planner: describe, then subtract.
//!
//! A fact is one thing that can be said about a lab's network; an operation is one effect on it.

mod compile;
pub mod hand;
mod state;
pub mod steps;
mod words;

use std::fmt;
use std::iter::successors;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

pub use self::compile::{compile, compile_nodes};
use self::hand::{OfPort, OfSpace};
pub use self::state::{State, diff};
pub use self::words::quoted;
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

/// A link, by its kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Link {
    /// A Linux bridge: forward delay 0, no multicast snooping.
    Bridge,
    /// A veth pair, known by its lesser end; this is the other one.
    Veth {
        /// The greater end.
        peer: Port,
    },
    /// A link of a kind that nslab does not make; somebody made it by hand.
    Other(String),
}

impl Link {
    /// Build order among links: what others attach to comes first.
    pub fn depth(&self) -> u8 {
        match self {
            Self::Bridge => 0,
            Self::Veth { .. } => 1,
            Self::Other(_) => 2,
        }
    }

    /// The other interface that lives and dies with this one.
    pub fn peer(&self) -> Option<&Port> {
        match self {
            Self::Bridge | Self::Other(_) => None,
            Self::Veth { peer } => Some(peer),
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

impl RouteTo {
    /// The interface that it leaves by, where that is a single one.
    pub fn dev(&self) -> Option<&IfName> {
        match self {
            Self::Via(_, dev) | Self::Dev(dev) => Some(dev),
            Self::Many(_) | Self::Blackhole | Self::Unreachable | Self::Prohibit => None,
        }
    }
}

/// One thing that is said about a lab's network. The order of the kinds is the build order, but for [`Fact::stage`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
pub enum Fact {
    /// The namespace exists.
    Netns(Ns),
    /// A setting of the namespace has this value.
    Sysctl(Ns, Sysctl, u32),
    /// A link of this kind exists; of a veth pair the lesser end is told.
    Link(Port, Link),
    /// Its Ethernet address.
    Mac(Port, Mac),
    /// Its MTU in bytes.
    Mtu(Port, u32),
    /// A bridge runs the spanning tree protocol.
    Stp(Port),
    /// It is a port of the bridge of that name.
    Member(Port, IfName),
    /// A bridge's port neither learns nor floods unicast.
    Isolated(Port),
    /// A permanent entry of a bridge's forwarding table, at the port.
    Fdb(Port, Mac),
    /// An address with its prefix.
    Addr(Port, IpNet),
    /// Administratively up.
    Up(Port),
    /// A route: its table, destination, metric (0: the family's default), and where it leads.
    Route(Ns, u32, IpNet, u32, RouteTo),
    /// Something of an interface that no topology says.
    OfPort(Port, OfPort),
    /// Something in the namespace that no topology says.
    OfSpace(Ns, OfSpace),
}

/// The identity of a fact: of all facts in one slot only one can be so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[allow(missing_docs, reason = "each is the fact of that name")]
pub enum Slot<'a> {
    Netns(&'a Ns),
    Sysctl(&'a Ns, Sysctl),
    Link(&'a Port),
    Mac(&'a Port),
    Mtu(&'a Port),
    Stp(&'a Port),
    Member(&'a Port),
    Isolated(&'a Port),
    Fdb(&'a Port, Mac),
    Addr(&'a Port, IpNet),
    Up(&'a Port),
    /// By table, destination and metric.
    Route(&'a Ns, u32, IpNet, u32),
    OfPort(&'a Port, &'a OfPort),
    OfSpace(&'a Ns, &'a OfSpace),
}

impl<'a> Slot<'a> {
    /// The slots of an interface that have one fact at most.
    pub fn of_port(port: &'a Port) -> impl Iterator<Item = Self> {
        successors(Some(Self::Mac(port)), |slot| slot.next())
    }

    /// The one after it among those of an interface.
    fn next(self) -> Option<Self> {
        match self {
            Self::Mac(port) => Some(Self::Mtu(port)),
            Self::Mtu(port) => Some(Self::Stp(port)),
            Self::Stp(port) => Some(Self::Member(port)),
            Self::Member(port) => Some(Self::Isolated(port)),
            Self::Isolated(port) => Some(Self::Up(port)),
            Self::Up(_)
            | Self::Netns(_)
            | Self::Link(_)
            | Self::Sysctl(..)
            | Self::Fdb(..)
            | Self::Addr(..)
            | Self::Route(..)
            | Self::OfPort(..)
            | Self::OfSpace(..) => None,
        }
    }

    /// The namespace that the fact is about, and the interface, if it is about one.
    fn place(self) -> (&'a Ns, Option<&'a Port>) {
        match self {
            Self::Netns(ns) | Self::Sysctl(ns, _) | Self::Route(ns, ..) | Self::OfSpace(ns, _) => (ns, None),
            Self::Link(port)
            | Self::Mac(port)
            | Self::Mtu(port)
            | Self::Stp(port)
            | Self::Member(port)
            | Self::Isolated(port)
            | Self::Fdb(port, _)
            | Self::Addr(port, _)
            | Self::Up(port)
            | Self::OfPort(port, _) => (&port.ns, Some(port)),
        }
    }

    /// The namespace that the fact is about.
    pub fn ns(self) -> &'a Ns {
        self.place().0
    }

    /// The interface that the fact is about, if it is about one.
    pub fn port(self) -> Option<&'a Port> {
        self.place().1
    }
}

impl Fact {
    /// What makes it the same fact, whatever is said in it.
    pub fn slot(&self) -> Slot<'_> {
        match self {
            Self::Netns(ns) => Slot::Netns(ns),
            Self::Sysctl(ns, setting, _) => Slot::Sysctl(ns, *setting),
            Self::Link(port, _) => Slot::Link(port),
            Self::Mac(port, _) => Slot::Mac(port),
            Self::Mtu(port, _) => Slot::Mtu(port),
            Self::Stp(port) => Slot::Stp(port),
            Self::Member(port, _) => Slot::Member(port),
            Self::Isolated(port) => Slot::Isolated(port),
            Self::Fdb(port, mac) => Slot::Fdb(port, *mac),
            Self::Addr(port, net) => Slot::Addr(port, *net),
            Self::Up(port) => Slot::Up(port),
            Self::Route(ns, table, to, metric, _) => Slot::Route(ns, *table, *to, *metric),
            Self::OfPort(port, hand) => Slot::OfPort(port, hand),
            Self::OfSpace(ns, hand) => Slot::OfSpace(ns, hand),
        }
    }

    /// The namespace that it is about.
    pub fn ns(&self) -> &Ns {
        self.slot().ns()
    }

    /// The interface that it is about, if it is about one.
    pub fn port(&self) -> Option<&Port> {
        self.slot().port()
    }

    /// The same fact in another namespace.
    #[must_use]
    pub fn moved(mut self, to: &Ns) -> Self {
        let ns = match &mut self {
            Self::Netns(ns) | Self::Sysctl(ns, ..) | Self::Route(ns, ..) | Self::OfSpace(ns, _) => ns,
            Self::Link(port, _)
            | Self::Mac(port, _)
            | Self::Mtu(port, _)
            | Self::Stp(port)
            | Self::Member(port, _)
            | Self::Isolated(port)
            | Self::Fdb(port, _)
            | Self::Addr(port, _)
            | Self::Up(port)
            | Self::OfPort(port, _) => &mut port.ns,
        };
        ns.clone_from(to);
        self
    }

    /// Build order: namespaces, settings, links by depth, what is on links, routes on-link before `via`.
    pub fn stage(&self) -> (u8, u8) {
        match self {
            Self::Netns(_) => (0, 0),
            Self::Sysctl(..) => (1, 0),
            Self::Link(_, link) => (2, link.depth()),
            Self::Mac(..) | Self::Mtu(..) | Self::Stp(_) => (3, 0),
            Self::Member(..) | Self::Isolated(_) | Self::Fdb(..) => (4, 0),
            Self::Addr(..) => (5, 0),
            Self::Up(_) => (6, 0),
            Self::Route(.., RouteTo::Via(..)) => (7, 1),
            Self::Route(..) => (7, 0),
            // Undone before anything else goes.
            Self::OfPort(..) | Self::OfSpace(..) => (8, 0),
        }
    }

    /// Whether every link has a fact of this kind from its birth on.
    pub fn comes_with_a_link(&self) -> bool {
        match self {
            Self::Mac(..) | Self::Mtu(..) => true,
            Self::Netns(_)
            | Self::Sysctl(..)
            | Self::Link(..)
            | Self::Stp(_)
            | Self::Member(..)
            | Self::Isolated(_)
            | Self::Fdb(..)
            | Self::Addr(..)
            | Self::Up(_)
            | Self::Route(..)
            | Self::OfPort(..)
            | Self::OfSpace(..) => false,
        }
    }

    /// Whether no topology says such a thing: somebody did it by hand.
    pub fn is_by_hand(&self) -> bool {
        matches!(self, Self::OfPort(..) | Self::OfSpace(..))
    }

    /// Whether the kernel's default was taken for what a fresh node has.
    pub fn is_guessed(&self) -> bool {
        matches!(self, Self::OfSpace(_, hand) if hand.is_guessed())
    }

    /// Whether every link is born so: that tells nothing of what somebody made by hand.
    pub fn is_ordinary(&self) -> bool {
        self.comes_with_a_link() && !matches!(self, Self::Mtu(_, mtu) if *mtu != 1500)
    }
}

/// What the kernel takes along when a fact ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes<'a> {
    /// Nothing else.
    Nothing,
    /// Everything in the namespace, and the pairs that have an end in it.
    Namespace(&'a Ns),
    /// What is on the interface and leads through it; of a pair on and through both.
    Interface(&'a Port, Option<&'a Port>),
    /// What was said of the interface as a bridge's port.
    Membership(&'a Port),
    /// The routes through the interface, and its IPv6 addresses.
    Operation(&'a Port),
    /// The address.
    Address(&'a Port, IpNet),
}

impl Fact {
    /// What ends with it.
    pub fn takes(&self) -> Takes<'_> {
        match self {
            Self::Netns(ns) => Takes::Namespace(ns),
            Self::Link(port, link) => Takes::Interface(port, link.peer()),
            Self::Member(port, _) => Takes::Membership(port),
            Self::Up(port) => Takes::Operation(port),
            Self::OfPort(port, OfPort::Scope(net, _)) => Takes::Address(port, *net),
            Self::Sysctl(..)
            | Self::Mac(..)
            | Self::Mtu(..)
            | Self::Stp(_)
            | Self::Isolated(_)
            | Self::Fdb(..)
            | Self::Addr(..)
            | Self::Route(..)
            | Self::OfPort(..)
            | Self::OfSpace(..) => Takes::Nothing,
        }
    }

    /// What records hold beside the slot.
    fn value(&self) -> Value<'_> {
        match self {
            Self::Netns(_)
            | Self::Stp(_)
            | Self::Isolated(_)
            | Self::Fdb(..)
            | Self::Addr(..)
            | Self::Up(_)
            | Self::OfPort(..)
            | Self::OfSpace(..) => Value::Present,
            Self::Sysctl(_, _, number) | Self::Mtu(_, number) => Value::Number(*number),
            Self::Link(_, link) => Value::Link(link),
            Self::Mac(_, mac) => Value::Mac(*mac),
            Self::Member(_, bridge) => Value::Master(bridge),
            Self::Route(.., to) => Value::Route(to),
        }
    }
}

/// What is said in a slot, as records hold it.
#[derive(Serialize)]
enum Value<'a> {
    Present,
    Link(&'a Link),
    Mac(Mac),
    Number(u32),
    Master(&'a IfName),
    Route(&'a RouteTo),
}

/// One effect on the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Make it so.
    Add(Fact),
    /// Overwrite the setting with this value.
    Set(Fact),
    /// Undo it: that is what goes.
    Del(Fact),
}

impl Op {
    /// The fact that comes, or for `Del` the one that goes.
    pub fn fact(&self) -> &Fact {
        match self {
            Self::Add(fact) | Self::Set(fact) | Self::Del(fact) => fact,
        }
    }
}

/// Operations between two states, in order.
pub type Plan = Vec<Op>;
