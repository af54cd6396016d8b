//! What `graph` draws: a lab as it is wired, or its subnets and routers.

pub mod wiring;

use std::collections::HashMap;
use std::fmt::Display;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Serialize, Serializer};

use crate::name::{IfName, Mac, NodeName};
use crate::plan::NodeId;

/// One of the two drawings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Layer {
    /// Hosts, bridges, containers, cables
    Physical,
    /// Subnets and routers
    L3,
}

/// `graph`
#[derive(Debug, Serialize)]
pub struct Graph {
    /// The lab, or the topology.
    pub lab: String,
    /// One line on what its topology teaches.
    pub summary: Option<String>,
    /// Whether it is a lab that is up, as it is now; else a topology as it is described.
    pub live: bool,
    /// What is drawn.
    #[serde(flatten)]
    pub drawing: Drawing,
}

/// What one of the layers holds.
#[derive(Debug, Serialize)]
#[serde(tag = "layer", rename_all = "kebab-case")]
pub enum Drawing {
    /// Machines, interfaces, cables.
    Physical(Physical),
    /// Subnets and routers.
    L3(L3),
}

/// How a thing relates to the description of the lab.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mark {
    /// It is there as described.
    #[default]
    Described,
    /// It is described and not there.
    Missing,
    /// It is there, and its MAC address, MTU, bridge or other end is not as described.
    Changed,
    /// Somebody made it by hand.
    ByHand,
    /// It is on another machine: it is drawn as the file says.
    File,
}

/// A lab as it is wired.
#[derive(Debug, Default, Serialize)]
pub struct Physical {
    /// In the order of the file.
    pub hosts: Vec<Host>,
    /// What joins the hosts, in the order of the file.
    pub networks: Vec<Network>,
    /// Every veth pair.
    pub cables: Vec<Cable>,
}

impl Physical {
    /// Every host, each before its containers.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.hosts.iter().flat_map(|host| std::iter::once(&host.node).chain(&host.containers))
    }

    /// The network that a cable is, or belongs to.
    pub fn network(&self, cable: &Cable) -> Option<&Network> {
        self.networks.iter().find(|network| Some(&network.network) == cable.network.as_ref())
    }
}

/// A host and its containers.
#[derive(Debug, Serialize)]
pub struct Host {
    /// The host itself.
    #[serde(flatten)]
    pub node: Node,
    /// Its containers, in the order of the file.
    pub containers: Vec<Node>,
}

/// A host or container.
#[derive(Debug, Clone, Serialize)]
pub struct Node {
    /// `host` or `host.container`.
    #[serde(serialize_with = "shown")]
    pub node: NodeId,
    /// How it relates to the description.
    pub mark: Mark,
    /// Whether it forwards packets of either family.
    pub forwarding: bool,
    /// The routers of its default routes.
    pub gateways: Vec<IpAddr>,
    /// Its interfaces but the loopback.
    pub interfaces: Vec<Interface>,
}

impl Node {
    /// Its interface of that name.
    pub fn interface(&self, name: &IfName) -> Option<&Interface> {
        self.interfaces.iter().find(|interface| interface.name == *name)
    }
}

/// A value by its usual text.
fn shown<S: Serializer>(value: &impl Display, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}

/// An interface.
#[derive(Debug, Clone, Serialize)]
pub struct Interface {
    /// Its name.
    pub name: IfName,
    /// `veth`, `bridge`, or the kernel's word for another kind.
    pub kind: String,
    /// How it relates to the description.
    pub mark: Mark,
    /// Whether frames can pass.
    pub state: State,
    /// Its Ethernet address.
    pub mac: Option<Mac>,
    /// Bytes of payload per frame.
    pub mtu: u32,
    /// The bridge that it is a port of.
    pub bridge: Option<IfName>,
    /// Its addresses but the IPv6 link-local one that follows from its MAC address.
    pub addresses: Vec<Address>,
}

impl Interface {
    /// Whether it is a bridge.
    pub fn is_bridge(&self) -> bool {
        self.kind == "bridge"
    }
}

/// Whether frames can pass an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It is up, and so is the other end of its cable.
    #[default]
    Up,
    /// It is up, and the other end of its cable is not.
    NoCarrier,
    /// It is administratively down.
    Down,
}

/// An address.
#[derive(Debug, Clone, Serialize)]
pub struct Address {
    /// With its prefix.
    pub address: IpNet,
    /// How it relates to the description.
    pub mark: Mark,
}

/// A network between hosts.
#[derive(Debug, Serialize)]
pub struct Network {
    /// Its name.
    pub network: NodeName,
    /// What it is made of.
    pub kind: NetworkKind,
    /// How it relates to the description.
    pub mark: Mark,
    /// It delivers unicast frames only to the NICs' own MAC addresses.
    pub deny: bool,
    /// Of a switch: its bridge and ports.
    pub interfaces: Vec<Interface>,
}

/// What a network is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkKind {
    /// One veth pair between two NICs.
    Wire,
    /// A bridge in a namespace of its own.
    Switch,
}

/// A veth pair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cable {
    /// Its two ends.
    pub ends: [End; 2],
    /// The network that it is, or belongs to.
    pub network: Option<NodeName>,
    /// How it relates to the description.
    pub mark: Mark,
    /// Whether both ends are up.
    pub up: bool,
}

impl Cable {
    /// The end that is not this one; none where neither is.
    pub fn peer(&self, near: &End) -> Option<&End> {
        let [a, b] = &self.ends;
        if a == near {
            Some(b)
        } else if b == near {
            Some(a)
        } else {
            None
        }
    }
}

/// An end of a cable.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct End {
    /// The node: `host`, `host.container`, or a network that is a switch.
    #[serde(serialize_with = "shown")]
    pub node: NodeId,
    /// The interface there.
    pub interface: IfName,
}

/// Subnets and routers.
#[derive(Debug, Default, Serialize)]
pub struct L3 {
    /// In the order in which hosts come to them.
    pub subnets: Vec<Subnet>,
    /// Nodes that forward packets, and nodes in several subnets.
    pub routers: Vec<Node>,
}

impl L3 {
    /// Each interface of a router in a subnet, with the numbers of both, in the order of the subnets.
    pub fn links(&self) -> Vec<(usize, usize, &Interface)> {
        let numbers: HashMap<&NodeId, usize> = self.routers.iter().enumerate().map(|(at, node)| (&node.node, at)).collect();
        let ends = self.subnets.iter().enumerate().flat_map(|(at, subnet)| subnet.routers.iter().map(move |end| (at, end)));
        let link = |(at, end): (usize, &End)| {
            let router = *numbers.get(&end.node)?;
            Some((at, router, self.routers[router].interface(&end.interface)?))
        };
        ends.filter_map(link).collect()
    }
}

/// Interfaces that reach each other without a router.
#[derive(Debug, Serialize)]
pub struct Subnet {
    /// Its prefixes; one of each family where the same interfaces have both.
    pub prefixes: Vec<IpNet>,
    /// Who is in it and no router.
    pub members: Vec<Member>,
    /// Which interfaces of routers are in it.
    pub routers: Vec<End>,
}

impl Subnet {
    /// The addresses of an interface that are in it.
    pub fn inside<'a>(&self, interface: &'a Interface) -> impl Iterator<Item = &'a Address> {
        interface.addresses.iter().filter(|address| self.prefixes.contains(&address.address.trunc()))
    }
}

/// An interface in a subnet.
#[derive(Debug, Serialize)]
pub struct Member {
    /// Its node, `host` or `host.container`.
    #[serde(serialize_with = "shown")]
    pub node: NodeId,
    /// The interface.
    pub interface: IfName,
    /// Its addresses there.
    pub addresses: Vec<Address>,
    /// The node's routers of default routes that are in this subnet.
    pub gateways: Vec<IpAddr>,
    /// How its node relates to the description.
    pub mark: Mark,
    /// Whether frames can pass its interface.
    pub state: State,
}
