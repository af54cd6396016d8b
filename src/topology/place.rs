//! Where each part of a topology was written.

use std::collections::{HashMap, HashSet};

use super::findings::Span;

/// A part of a topology that a finding can point at; numbers are indices of its lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// The name of the lab.
    Lab,
    /// A network.
    Network(usize),
    /// A part of a host.
    Host(usize, Part),
    /// A part of a container of a host.
    Container(usize, usize, Part),
}

/// A part of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Part {
    /// Its name.
    Name,
    /// A NIC, by its interface name.
    Nic(usize),
    /// An address of a NIC.
    NicAddress(usize, usize),
    /// The MAC address of a NIC.
    NicMac(usize),
    /// The host's end of a container's NIC.
    End(usize),
    /// An address of that end.
    EndAddress(usize, usize),
    /// The MAC address of that end.
    EndMac(usize),
    /// A bridge, by its interface name.
    Bridge(usize),
    /// An address of a bridge.
    BridgeAddress(usize, usize),
    /// The MAC address of a bridge.
    BridgeMac(usize),
    /// A port of a bridge.
    Port(usize, usize),
    /// A gateway.
    Gateway(usize),
    /// A route, by its destination.
    Route(usize),
    /// The router or interface of a route.
    Hop(usize),
}

/// The places of a topology's parts; empty for one that no file describes.
#[derive(Debug, Default)]
pub(super) struct Places {
    spans: HashMap<Place, Span>,
    broken: HashSet<(usize, Option<usize>)>,
}

impl Places {
    /// Notes where a part is written.
    pub(super) fn put(&mut self, place: Place, at: &Span) {
        self.spans.insert(place, at.clone());
    }

    /// Where a part is written.
    pub(super) fn at(&self, place: Place) -> Span {
        self.spans.get(&place).cloned().unwrap_or(0..0)
    }

    /// Notes that something of a node could not be read, so that what follows from its absence is no finding.
    pub(super) fn mark_broken(&mut self, host: usize, container: Option<usize>) {
        self.broken.insert((host, container));
    }

    /// Whether something of a node could not be read.
    pub(super) fn is_broken(&self, host: usize, container: Option<usize>) -> bool {
        self.broken.contains(&(host, container))
    }
}
