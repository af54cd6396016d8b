//! One change that a command makes in a node, and how it is typed.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::name::Mac;
use crate::plan::{MAIN_TABLE, quoted};

/// A change in a node.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "interfaces, addresses and what they are set to")]
pub enum Edit {
    /// An interface goes up.
    Up { dev: String },
    /// A bridge is made; it is down.
    Bridge { dev: String },
    /// A cable is made between a host and its container `to`; both ends are down.
    Veth { dev: String, mac: Option<Mac>, peer: String, peer_mac: Option<Mac>, to: String },
    /// An interface goes from a node of a host to another one, the host itself where none is named, perhaps by a new name.
    Netns { dev: String, from: Option<String>, to: Option<String>, name: Option<String> },
    /// An interface becomes a port of the bridge; with none it leaves the one that it is in.
    Master { dev: String, bridge: Option<String> },
    /// A switch of a bridge's port: `isolated`, `flood`, `learning`, `locked` ...
    PortFlag { dev: String, flag: &'static str, on: bool },
    /// A port passes frames again, whatever took it out of use.
    Forwarding { dev: String },
    /// A bridge's port, or its own interface, is in a VLAN; where `native`, with the frames that have no tag.
    Vlan { dev: String, vlan: u16, native: bool, own: bool },
    /// A bridge does without the spanning tree.
    NoSpanningTree { dev: String },
    /// An interface's MTU in bytes.
    Mtu { dev: String, mtu: u32 },
    /// An interface's Ethernet address.
    Mac { dev: String, mac: Mac },
    /// An interface asks and answers for addresses.
    Arp { dev: String },
    /// An address comes.
    AddAddress { dev: String, net: IpNet },
    /// An address goes.
    DelAddress { dev: String, net: IpNet },
    /// A route comes, in place of one to the same destination where `replace`.
    AddRoute { to: IpNet, via: Option<IpAddr>, dev: Option<String>, replace: bool },
    /// A route goes; `kind` is the word of one that refuses.
    DelRoute { to: IpNet, via: Option<IpAddr>, kind: Option<&'static str>, table: u32 },
    /// A neighbour entry goes.
    DelNeighbour { address: IpAddr, dev: String },
    /// An entry of a bridge's forwarding table goes.
    DelFdb { dev: String, mac: Mac },
    /// A policy rule comes that leads to the main table.
    AddRule { priority: u32, ipv6: bool },
    /// A policy rule goes.
    DelRule { priority: u32, ipv6: bool },
    /// A policy of `IPsec` goes, or what is dropped without one passes.
    DelPolicy { words: String },
    /// What routers have told of ways is forgotten.
    FlushCache { ipv6: bool },
    /// A setting by its name under `net`: `ipv4.ip_forward`.
    Setting { name: String, value: u32 },
    /// `nslab up` makes the lab as it is described, not typed in a node.
    AsDescribed { lab: String },
    /// A command whose effect is not modelled: one on packet filters.
    Other { command: String },
}

impl Edit {
    /// An interface goes up.
    pub(super) fn up(dev: &str) -> Self {
        Self::Up { dev: dev.to_owned() }
    }

    /// An address comes to an interface.
    pub(super) fn add_address(dev: &str, net: IpNet) -> Self {
        Self::AddAddress { dev: dev.to_owned(), net }
    }

    /// An address leaves an interface.
    pub(super) fn del_address(dev: &str, net: IpNet) -> Self {
        Self::DelAddress { dev: dev.to_owned(), net }
    }

    /// A route over a router.
    pub(super) fn route(to: IpNet, via: IpAddr) -> Self {
        Self::AddRoute { to, via: Some(via), dev: None, replace: false }
    }

    /// A route over a router, in place of the one there.
    pub(super) fn replace(to: IpNet, via: IpAddr) -> Self {
        Self::AddRoute { to, via: Some(via), dev: None, replace: true }
    }

    /// A setting by its name under `net`.
    pub(super) fn setting(name: impl Into<String>, value: u32) -> Self {
        Self::Setting { name: name.into(), value }
    }

    /// As it is typed in the node.
    pub fn command(&self) -> String {
        match self {
            Self::Up { dev } => format!("ip link set {} up", quoted(dev)),
            Self::Bridge { dev } => format!("ip link add {} type bridge", quoted(dev)),
            Self::Veth { dev, mac, peer, peer_mac, to } => {
                let address = |mac: &Option<Mac>| mac.map(|mac| format!(" address {mac}")).unwrap_or_default();
                let (dev, peer, to) = (quoted(dev), quoted(peer), quoted(to));
                format!("ip link add {dev}{} type veth peer name {peer}{} netns {to}", address(mac), address(peer_mac))
            }
            // In a host's own shell the first process is the host's.
            Self::Netns { dev, from, to, name } => {
                let from = from.as_ref().map(|node| format!(" -n {}", quoted(node))).unwrap_or_default();
                let name = name.as_ref().map(|name| format!(" name {}", quoted(name))).unwrap_or_default();
                format!("ip{from} link set {} netns {}{name}", quoted(dev), to.as_deref().map_or("1".into(), quoted))
            }
            Self::Master { dev, bridge: Some(bridge) } => format!("ip link set {} master {}", quoted(dev), quoted(bridge)),
            Self::Master { dev, bridge: None } => format!("ip link set {} nomaster", quoted(dev)),
            Self::PortFlag { dev, flag, on } => {
                format!("ip link set {} type bridge_slave {flag} {}", quoted(dev), if *on { "on" } else { "off" })
            }
            Self::Forwarding { dev } => format!("ip link set {} type bridge_slave state 3", quoted(dev)),
            Self::Vlan { dev, vlan, native, own } => {
                let native = if *native { " pvid untagged" } else { "" };
                format!("bridge vlan add dev {} vid {vlan}{native}{}", quoted(dev), if *own { " self" } else { "" })
            }
            Self::NoSpanningTree { dev } => format!("ip link set {} type bridge stp_state 0", quoted(dev)),
            Self::Mtu { dev, mtu } => format!("ip link set {} mtu {mtu}", quoted(dev)),
            Self::Mac { dev, mac } => format!("ip link set {} address {mac}", quoted(dev)),
            Self::Arp { dev } => format!("ip link set {} arp on", quoted(dev)),
            // An address that somebody may have is waited for; nslab's own are not.
            Self::AddAddress { dev, net } => {
                let wait = if net.addr().is_ipv6() { " nodad" } else { "" };
                format!("ip address add {net}{wait} dev {}", quoted(dev))
            }
            Self::DelAddress { dev, net } => format!("ip address del {net} dev {}", quoted(dev)),
            Self::AddRoute { to, via, dev, replace } => {
                let verb = if *replace { "replace" } else { "add" };
                let via = via.map(|via| format!(" via {via}")).unwrap_or_default();
                let dev = dev.as_ref().map(|dev| format!(" dev {}", quoted(dev))).unwrap_or_default();
                format!("{} route {verb} {}{via}{dev}", ip(*to), destination(*to))
            }
            Self::DelRoute { to, via, kind, table } => {
                let kind = kind.map(|kind| format!("{kind} ")).unwrap_or_default();
                let via = via.map(|via| format!(" via {via}")).unwrap_or_default();
                let table = if *table == MAIN_TABLE { String::new() } else { format!(" table {table}") };
                format!("{} route del {kind}{}{via}{table}", ip(*to), destination(*to))
            }
            Self::DelNeighbour { address, dev } => format!("ip neighbour del {address} dev {}", quoted(dev)),
            Self::DelFdb { dev, mac } => format!("bridge fdb del {mac} dev {} master", quoted(dev)),
            Self::AddRule { priority, ipv6 } => {
                format!("{} rule add lookup main preference {priority}", if *ipv6 { "ip -6" } else { "ip" })
            }
            Self::DelRule { priority, ipv6 } => {
                format!("{} rule del preference {priority}", if *ipv6 { "ip -6" } else { "ip" })
            }
            Self::DelPolicy { words } if words.starts_with("default ") => {
                "ip xfrm policy setdefault in accept fwd accept out accept".to_owned()
            }
            Self::DelPolicy { words } => {
                let named = words.split(" action ").next().unwrap_or(words);
                format!("ip xfrm policy delete {named}")
            }
            Self::FlushCache { ipv6 } => format!("{} route flush cache", if *ipv6 { "ip -6" } else { "ip" }),
            Self::Setting { name, value } => format!("sysctl -w {}={value}", quoted(&format!("net.{name}"))),
            Self::AsDescribed { lab } => format!("sudo nslab up {lab}"),
            Self::Other { command } => command.clone(),
        }
    }
}

/// As `ip route` takes a destination.
fn destination(to: IpNet) -> String {
    if to.prefix_len() == 0 { "default".to_owned() } else { to.to_string() }
}

/// `ip`, or `ip -6` where the words that follow do not tell the family.
fn ip(to: IpNet) -> &'static str {
    if to.addr().is_ipv6() { "ip -6" } else { "ip" }
}
