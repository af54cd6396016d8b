//! The topology file: what it describes, after every name, address and reference in it was checked.

pub mod catalog;
pub mod numbers;
mod parse;
pub mod reader;
mod role;
mod tree;
mod validate;
pub mod values;

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::catalog::Caller;
pub use self::parse::{parse, read, schema};
pub(crate) use self::reader::nearest;
pub use self::role::Inside;
pub use self::validate::problems;
use crate::error::{Error, Result, Usage};
use crate::name::{IfName, LabName, Mac, NodeName};

/// The least MTU of IPv6 (RFC 8200 section 5): below it the kernel takes the family from the interface.
pub const LEAST_MTU6: u32 = 1280;

/// A whole lab as described: networks, hosts, their containers.
///
/// Names are unique in their list and references resolve; `topology::parse` sees to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topology {
    /// The name of the lab, unless `--name` says otherwise.
    pub name: LabName,
    /// One line on what the topology teaches.
    pub summary: Option<String>,
    /// The L2 segments between hosts.
    pub networks: Vec<Network>,
    /// The hosts, in the order of the file.
    pub hosts: Vec<Host>,
    /// The number that the next new host gets; numbers are never reused while a lab lives.
    pub next_host: u16,
    /// What must hold in it; a lab of an older nslab has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checkpoints: Vec<Checkpoint>,
    /// Topologies that it is to become by hand; their checkpoints judge it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exercise: Vec<String>,
    /// This is the part of one host alone, which the machine itself plays; a whole topology has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
}

/// An L2 segment between hosts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Unique among networks and hosts.
    pub name: NodeName,
    /// A switch was asked for even where a wire would do.
    pub switch: bool,
    /// What the switch does with frames for MAC addresses that are not a NIC's own.
    pub promiscuous: Promiscuous,
    /// Bytes of payload per frame; 1500 where the file says nothing.
    pub mtu: Option<u32>,
}

/// `VirtualBox`'s promiscuous mode of an adapter on an internal network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Promiscuous {
    /// Every frame is delivered, as a real switch floods and learns.
    #[default]
    Allow,
    /// Unicast reaches only the NIC that owns the address; `VirtualBox`'s default.
    Deny,
}

/// A machine of the lab.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Unique among hosts and networks.
    pub name: NodeName,
    /// Its number in MAC addresses, from 1.
    pub number: u16,
    /// Forwards packets of both families.
    pub forwarding: bool,
    /// Its network cards.
    pub nics: Vec<Nic>,
    /// Its bridges.
    pub bridges: Vec<Bridge>,
    /// Default gateways, one per family at most.
    pub gateways: Vec<IpAddr>,
    /// Further routes.
    pub routes: Vec<Route>,
    /// Its containers, in the order of the file, `count:` expanded.
    pub containers: Vec<Container>,
    /// The number that the next new container gets.
    pub next_container: u16,
    /// It has an agent that speaks LXD's API, from `up` to `down`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub agent: bool,
}

/// A container of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// Unique on its host.
    pub name: NodeName,
    /// Its number in MAC addresses, from 1.
    pub number: u16,
    /// Forwards packets of both families.
    pub forwarding: bool,
    /// Its network cards, each one end of a veth pair with the host.
    pub nics: Vec<Nic>,
    /// Default gateways, one per family at most.
    pub gateways: Vec<IpAddr>,
    /// Further routes.
    pub routes: Vec<Route>,
    /// Its life since the lab is up: whether it runs, its configuration and devices.
    #[serde(default, skip_serializing_if = "Instance::is_plain")]
    pub instance: Instance,
}

/// A network card of a host or a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nic {
    /// Its interface name, unique in its node.
    pub name: IfName,
    /// Its number in MAC addresses, from 0 in the order of the file.
    pub number: u8,
    /// What it is plugged into.
    pub attach: Attach,
    /// Its addresses with their prefixes.
    pub addresses: Vec<IpNet>,
    /// Its MAC address, where the file overrides nslab's own.
    pub mac: Option<Mac>,
    /// Bytes of payload per frame, where the file overrides the network's or bridge's.
    pub mtu: Option<u32>,
    /// Administratively up.
    pub up: bool,
}

/// What a NIC is plugged into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Attach {
    /// A host's NIC on a network between hosts.
    Network(NodeName),
    /// A container's NIC: a veth whose other end is in the host.
    Host(HostEnd),
}

impl Attach {
    /// The host's end of a container's cable.
    pub fn host_end(&self) -> Option<&HostEnd> {
        match self {
            Self::Host(end) => Some(end),
            Self::Network(_) => None,
        }
    }

    /// The network of a host's NIC.
    pub fn network(&self) -> Option<&NodeName> {
        match self {
            Self::Network(name) => Some(name),
            Self::Host(_) => None,
        }
    }
}

/// The host's end of a container's veth pair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostEnd {
    /// Its interface name in the host; `veth-CONTAINER` unless the file says otherwise.
    pub name: IfName,
    /// The bridge that it is a port of, if any.
    pub bridge: Option<IfName>,
    /// Its addresses with their prefixes; none on a bridge's port.
    pub addresses: Vec<IpNet>,
    /// Its MAC address, where the file overrides nslab's own.
    pub mac: Option<Mac>,
}

/// A bridge of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bridge {
    /// Its interface name, unique in its host.
    pub name: IfName,
    /// Its number in MAC addresses, from 0 in the order of the file.
    pub number: u8,
    /// The host's NICs that are its ports; containers name their bridge themselves.
    pub ports: Vec<IfName>,
    /// The host's own addresses on the bridge.
    pub addresses: Vec<IpNet>,
    /// Its MAC address, where the file overrides nslab's own.
    pub mac: Option<Mac>,
    /// Bytes of payload per frame.
    pub mtu: Option<u32>,
    /// Runs the spanning tree protocol.
    pub stp: bool,
    /// Administratively up.
    pub up: bool,
    /// It was made as a network for instances, with this configuration; one of the file has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed: Option<Keys>,
}

/// A static route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Destination; host bits are zero.
    pub to: IpNet,
    /// Where packets go.
    pub hop: Hop,
}

/// Where a route sends packets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hop {
    /// To a router that an on-link prefix of the node reaches.
    Via(IpAddr),
    /// Straight onto an interface.
    Dev(IfName),
    /// Nowhere, in silence.
    Blackhole,
}

impl Topology {
    /// Calls the lab so.
    ///
    /// # Errors
    /// [`Usage::NamedLikeHost`] where one of its hosts has the name.
    pub fn rename(&mut self, name: LabName) -> Result<()> {
        if self.host(name.as_str()).is_some() {
            return Err(Error::Usage(Usage::NamedLikeHost(name.to_string())));
        }
        self.name = name;
        Ok(())
    }

    /// The host of that name.
    pub fn host(&self, name: &str) -> Option<&Host> {
        self.hosts.iter().find(|host| host.name.as_str() == name)
    }

    /// Every end of a network: the host and its NIC, in the order of the file.
    pub fn ends<'a>(&'a self, network: &'a NodeName) -> impl Iterator<Item = (&'a Host, &'a Nic)> {
        self.hosts.iter().flat_map(move |host| {
            host.nics.iter().filter(move |nic| nic.attach.network() == Some(network)).map(move |nic| (host, nic))
        })
    }

    /// A network is a plain veth wire only with two ends, no wish for a switch and nothing to filter.
    pub fn is_wire(&self, network: &Network) -> bool {
        !network.switch && network.promiscuous == Promiscuous::Allow && self.ends(&network.name).count() == 2
    }

    /// The networks that are switches: namespaces of their own. Where the machine plays a host, its NICs' other ends are real.
    pub fn switches(&self) -> impl Iterator<Item = &Network> {
        let whole = self.role.is_none();
        self.networks.iter().filter(move |network| whole && !self.is_wire(network))
    }

    /// The MTU of a NIC: its own, else its network's or bridge's, else Ethernet's 1500 bytes. Both ends of a pair share it.
    pub fn mtu_of(&self, host: &Host, nic: &Nic) -> u32 {
        let bridge = || {
            let name = nic.attach.host_end()?.bridge.as_ref()?;
            host.bridges.iter().find(|bridge| bridge.name == *name)?.mtu
        };
        self.configured_mtu(nic).or_else(bridge).unwrap_or(1500)
    }

    /// The MTU that the file gives to a host's NIC or to its network, if it does.
    pub fn configured_mtu(&self, nic: &Nic) -> Option<u32> {
        let network = |name: &NodeName| self.networks.iter().find(|network| network.name == *name);
        nic.mtu.or_else(|| network(nic.attach.network()?)?.mtu)
    }

    /// The MTU of a bridge: its own, else the smallest of its ports, else Ethernet's 1500 bytes.
    pub fn mtu_of_bridge(&self, host: &Host, bridge: &Bridge) -> u32 {
        let own = host.nics.iter().filter(|nic| bridge.ports.contains(&nic.name));
        let inside = host.containers.iter().flat_map(|container| &container.nics);
        let plugged = inside.filter(|nic| nic.attach.host_end().is_some_and(|end| end.bridge.as_ref() == Some(&bridge.name)));
        let least = own.chain(plugged).map(|nic| self.mtu_of(host, nic)).min();
        bridge.mtu.or(least).unwrap_or(1500)
    }

    /// Every address in it.
    pub fn addresses(&self) -> impl Iterator<Item = IpNet> {
        self.hosts.iter().flat_map(Host::addresses).copied()
    }

    /// How many containers all hosts have together.
    pub fn containers(&self) -> usize {
        self.hosts.iter().map(|host| host.containers.len()).sum()
    }
}

impl Host {
    /// The host's ends of its containers' cables.
    pub fn ends(&self) -> impl Iterator<Item = &HostEnd> {
        self.containers.iter().flat_map(|container| &container.nics).filter_map(|nic| nic.attach.host_end())
    }

    /// Every address of the host and of its containers.
    fn addresses(&self) -> impl Iterator<Item = &IpNet> {
        let nics = self.nics.iter().chain(self.containers.iter().flat_map(|container| &container.nics));
        let bridges = self.bridges.iter().flat_map(|bridge| &bridge.addresses);
        nics.flat_map(|nic| &nic.addresses).chain(self.ends().flat_map(|end| &end.addresses)).chain(bridges)
    }
}

impl Route {
    /// A default route.
    pub fn default_by(via: IpAddr) -> Self {
        let any: IpAddr = if via.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
        Self { to: IpNet::new_assert(any, 0), hop: Hop::Via(via) }
    }
}

/// Checks that give points together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Unique among the checkpoints.
    pub name: String,
    /// What it gives when every check in it passes.
    pub points: u32,
    /// What must hold, as its kind of check has read it and understands it.
    pub checks: Vec<Value>,
}

/// A host's NICs by their names in the topology, each with the real one that stands for it.
pub type Nics = BTreeMap<IfName, IfName>;

/// The host that this machine plays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// Which.
    pub host: NodeName,
    /// The real NIC for each of the topology's; every NIC of the host is in it.
    pub nics: Nics,
    /// The lab's routes that stand in for its default routes, since the machine has one of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub instead: Vec<IpNet>,
}

impl Role {
    /// The topology's name of a real NIC.
    pub fn described(&self, real: &IfName) -> Option<&IfName> {
        self.nics.iter().find(|(_, taken)| *taken == real).map(|(name, _)| name)
    }
}

/// Keys with their values, as LXD's API has them.
pub type Keys = BTreeMap<String, String>;

/// Whether a container is to run. No process has to: it is a wish, kept until somebody has another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Run {
    /// It has its namespace and its links.
    #[default]
    Running,
    /// It has neither; its private files are kept.
    Stopped,
    /// It has both, and its processes stand still.
    Frozen,
}

/// What happened to a container since the lab is up, and what was configured.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Instance {
    /// Whether it is to run.
    #[serde(skip_serializing_if = "is_default")]
    pub run: Run,
    /// It was launched, and is in no file.
    #[serde(skip_serializing_if = "is_default")]
    pub launched: bool,
    /// It is deleted when it stops.
    #[serde(skip_serializing_if = "is_default")]
    pub ephemeral: bool,
    /// Its configuration.
    #[serde(skip_serializing_if = "is_default")]
    pub config: Keys,
    /// Its own devices; one takes the place of what the file or the launch gave under its name.
    #[serde(skip_serializing_if = "is_default")]
    pub devices: BTreeMap<String, Keys>,
    /// Its NICs as the file or the launch gave them, where its devices are others.
    #[serde(skip_serializing_if = "is_default")]
    pub given: Option<Vec<Nic>>,
    /// When it was launched, in seconds since 1970.
    #[serde(skip_serializing_if = "is_default")]
    pub created_at: Option<u64>,
    /// When it was started last, in seconds since 1970.
    #[serde(skip_serializing_if = "is_default")]
    pub last_used_at: Option<u64>,
}

impl Instance {
    /// Nothing is to be said beyond what the file says.
    pub fn is_plain(&self) -> bool {
        is_default(self)
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
