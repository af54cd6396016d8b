//! `macs`: which MAC addresses the networks between hosts see.

use std::collections::BTreeSet;

use serde::Serialize;

use super::wire::{Interface, Names};

/// The networks of a lab.
#[derive(Debug, Serialize)]
pub struct Census {
    /// The lab, or the topology that was brought up for this and is gone again.
    pub lab: String,
    /// It was brought up for this alone.
    pub own: bool,
    /// How many containers it has.
    pub containers: usize,
    /// The pings that were sent; none where nslab only listened.
    pub pings: Option<Pings>,
    /// Its networks between hosts, or the one that was asked for.
    pub networks: Vec<Network>,
    /// How nodes are typed.
    #[serde(skip)]
    pub names: Names,
}

/// Pings between nodes of different hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Pings {
    /// Ordered pairs.
    pub pairs: usize,
    /// Pairs in which every family was answered.
    pub answered: usize,
}

/// What a network is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the words explain themselves")]
pub enum Kind {
    Wire,
    Switch,
}

/// A network between hosts, and what crossed it.
#[derive(Debug, Serialize)]
pub struct Network {
    /// Its name.
    pub network: String,
    /// What it is.
    pub kind: Kind,
    /// The interfaces of the hosts that are plugged into it.
    pub ends: Vec<Interface>,
    /// Frames that hosts sent into it.
    pub frames: u64,
    /// Those of them for everybody or for a group.
    pub broadcasts: u64,
    /// Frames that nslab could not look at for want of time.
    pub missed: u64,
    /// Who sent them, by side and MAC address.
    pub sources: Vec<Source>,
    /// The switch's forwarding table; of a wire what a switch in its place would hold.
    pub table: Vec<Entry>,
    /// How each host that sent something takes part.
    pub hosts: Vec<Part>,
}

/// A source MAC address that crossed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Source {
    /// The address.
    pub mac: String,
    /// The interfaces that have it; none where nobody in the lab does, several where it was cloned.
    pub owners: Vec<Interface>,
    /// The end of the network that it came from.
    pub side: Interface,
    /// How many frames.
    pub frames: u64,
    /// Those of them for everybody or for a group.
    pub broadcasts: u64,
    /// Frames for one address that the switch did not pass on.
    pub blocked: u64,
    /// Why it crosses.
    pub reason: Reason,
}

/// Why a MAC address crosses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// It is a container's: a bridge of its host passes the frames on unchanged.
    Bridged,
    /// It is a router's, which has put others' packets into new frames.
    Routed,
    /// It is a host's, for packets of its own.
    Own,
    /// Several interfaces have it.
    Cloned,
    /// Nobody in the lab has it.
    Unknown,
}

/// An entry of a forwarding table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// The port; of a wire the end that would be plugged in there.
    pub port: String,
    /// The address.
    pub mac: String,
    /// The interfaces that have it.
    pub owners: Vec<Interface>,
    /// Seconds since a frame came from it; none where the entry is fixed, or there is no switch.
    pub age: Option<f64>,
}

/// How a host takes part in a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Part {
    /// The host.
    pub host: String,
    /// Its way.
    pub how: Reason,
    /// How many MAC addresses came from its side.
    pub macs: usize,
}

impl Network {
    /// How many different MAC addresses crossed.
    pub fn addresses(&self) -> usize {
        self.count(|_| true)
    }

    /// How many different MAC addresses crossed for a reason.
    pub fn addresses_of(&self, reason: Reason) -> usize {
        self.count(|source| source.reason == reason)
    }

    /// The nodes from whose side addresses came for a reason.
    pub fn hosts_of(&self, reason: Reason) -> impl Iterator<Item = &str> {
        let its = self.sources.iter().filter(|source| source.reason == reason);
        its.map(|source| source.side.node.as_str()).collect::<BTreeSet<_>>().into_iter()
    }

    fn count(&self, wanted: impl Fn(&Source) -> bool) -> usize {
        let its = self.sources.iter().filter(|source| wanted(source));
        its.map(|source| source.mac.as_str()).collect::<BTreeSet<_>>().len()
    }
}
