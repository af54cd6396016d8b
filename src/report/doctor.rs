//! The report of `doctor`: what this machine can do, its limits, what interferes, what was left over.

use std::path::PathBuf;

use serde::Serialize;

use super::interference::Interference;
use crate::error::Owner;

/// Everything that was looked at.
#[derive(Debug, Serialize)]
pub struct Doctor {
    /// The kernel's release.
    pub kernel: String,
    /// How nslab may work here.
    pub rights: Rights,
    /// What the kernel can do, tried for real.
    pub features: Vec<Feature>,
    /// Limits that a lab may meet.
    pub limits: Vec<Limit>,
    /// Settings and software that could get in the way.
    pub findings: Vec<Finding>,
    /// What gets in the way of labs that have a role here, or would.
    pub interference: Vec<Interference>,
    /// What an earlier nslab, or somebody else, left behind.
    pub leftovers: Vec<Leftover>,
    /// What could not be looked at, for want of rights.
    pub unseen: Vec<Unseen>,
}

impl Doctor {
    /// Whether nothing that labs need is known to be missing.
    pub fn works(&self) -> bool {
        let lacks = self.features.iter().any(|feature| feature.needed && feature.works == Some(false));
        self.rights != Rights::Restricted && !self.is_occupied() && !lacks
    }

    /// Whether somebody else's things are where nslab keeps its own.
    pub fn is_occupied(&self) -> bool {
        self.leftovers.iter().any(|leftover| matches!(leftover, Leftover::Foreign { .. }))
    }
}

/// With which rights nslab runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rights {
    /// Root of the machine.
    Root,
    /// Root of a user namespace.
    UserNamespace,
    /// Root, but without a capability that labs need.
    Restricted,
    /// A user.
    None,
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

/// Something that was left over.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "leftover", rename_all = "kebab-case")]
pub enum Leftover {
    /// A lab from before the last restart.
    Stale {
        /// The lab.
        lab: String,
    },
    /// A lab whose `up` or `down` was cut short.
    Unfinished {
        /// The lab.
        lab: String,
    },
    /// A lab that an nslab has made for itself, which was killed.
    Forgotten {
        /// The lab.
        lab: String,
    },
    /// Pins of a lab that has no journal.
    NoJournal {
        /// The lab.
        lab: String,
    },
    /// Somebody else's things where nslab keeps its own.
    Foreign {
        /// Where.
        path: PathBuf,
        /// Whose.
        owner: Owner,
    },
    /// A name in `/run/netns` that leads nowhere.
    DeadLink {
        /// The path.
        path: PathBuf,
    },
}

/// Something that could not be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unseen {
    /// What the kernel can do.
    Features,
    /// What earlier labs left.
    Leftovers,
    /// Packet filters, and who else configures NICs.
    Interference,
}
