//! What on the machine itself gets in the way of a lab that has a role there, and what to type against it.

use ipnet::IpNet;
use serde::Serialize;

use crate::error::Service;

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
