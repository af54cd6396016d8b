//! What this machine can do, its limits, and what may interfere.

use serde::Serialize;

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
