//! A host or container as rules see it: its interfaces, whatever they are, and its routes.

use std::net::IpAddr;

use ipnet::IpNet;

use super::segments::Spot;
use crate::name::{IfName, NodeName};
use crate::topology::place::{Part, Place, Places};
use crate::topology::{Attach, Bridge, Container, Host, HostEnd, Nic, Route, Topology};

/// A host or a container.
pub(super) struct Node<'a> {
    pub(super) host: usize,
    pub(super) container: Option<usize>,
    pub(super) name: &'a NodeName,
    pub(super) interfaces: Vec<Interface<'a>>,
    pub(super) gateways: &'a [IpAddr],
    pub(super) routes: &'a [Route],
}

/// An interface of a node.
pub(super) struct Interface<'a> {
    pub(super) name: &'a IfName,
    pub(super) addresses: &'a [IpNet],
    pub(super) mtu: u32,
    pub(super) up: bool,
    pub(super) spot: Spot,
    item: What,
}

#[derive(Clone, Copy)]
enum What {
    Nic(usize),
    Bridge(usize),
    End(usize, usize),
}

impl Node<'_> {
    /// Where a part of the node stands.
    pub(super) fn place(&self, part: Part) -> Place {
        match self.container {
            None => Place::Host(self.host, part),
            Some(container) => Place::Container(self.host, container, part),
        }
    }

    /// Where an interface stands; a host's end of a veth stands with its container.
    pub(super) fn interface_place(&self, interface: &Interface<'_>) -> Place {
        match interface.item {
            What::Nic(nic) => self.place(Part::Nic(nic)),
            What::Bridge(bridge) => self.place(Part::Bridge(bridge)),
            What::End(container, nic) => Place::Container(self.host, container, Part::End(nic)),
        }
    }

    /// Where an address of an interface stands.
    pub(super) fn address_place(&self, interface: &Interface<'_>, address: usize) -> Place {
        match interface.item {
            What::Nic(nic) => self.place(Part::NicAddress(nic, address)),
            What::Bridge(bridge) => self.place(Part::BridgeAddress(bridge, address)),
            What::End(container, nic) => Place::Container(self.host, container, Part::EndAddress(nic, address)),
        }
    }

    /// Whether something of the node could not be read.
    pub(super) fn is_broken(&self, places: &Places) -> bool {
        places.is_broken(self.host, self.container)
    }
}

/// All nodes in the order of the file, each host before its containers.
pub(super) fn nodes(topology: &Topology) -> Vec<Node<'_>> {
    let mut nodes = Vec::new();
    for (index, host) in topology.hosts.iter().enumerate() {
        nodes.push(Node {
            host: index,
            container: None,
            name: &host.name,
            interfaces: of_host(topology, index, host),
            gateways: &host.gateways,
            routes: &host.routes,
        });
        for (number, container) in host.containers.iter().enumerate() {
            nodes.push(Node {
                host: index,
                container: Some(number),
                name: &container.name,
                interfaces: of_container(topology, index, host, number, container),
                gateways: &container.gateways,
                routes: &container.routes,
            });
        }
    }
    nodes
}

fn of_host<'a>(topology: &'a Topology, index: usize, host: &'a Host) -> Vec<Interface<'a>> {
    let nics = host.nics.iter().enumerate().map(|(nic, of)| host_nic(topology, index, host, nic, of));
    let bridges = host.bridges.iter().enumerate().map(|(bridge, of)| bridge_interface(topology, (index, bridge), host, of));
    let containers = host.containers.iter().enumerate();
    let ends = containers.flat_map(|(number, container)| {
        container.nics.iter().enumerate().filter_map(move |(nic, of)| match &of.attach {
            Attach::Host(end) => Some(host_end(topology, (index, number, nic), host, of, end)),
            Attach::Network(_) => None,
        })
    });
    nics.chain(bridges).chain(ends).collect()
}

fn host_nic<'a>(topology: &'a Topology, index: usize, host: &'a Host, nic: usize, of: &'a Nic) -> Interface<'a> {
    Interface {
        name: &of.name,
        addresses: &of.addresses,
        mtu: topology.mtu_of(host, of),
        up: of.up,
        spot: Spot::of_host_nic(topology, index, of),
        item: What::Nic(nic),
    }
}

fn bridge_interface<'a>(
    topology: &'a Topology,
    (index, bridge): (usize, usize),
    host: &'a Host,
    of: &'a Bridge,
) -> Interface<'a> {
    Interface {
        name: &of.name,
        addresses: &of.addresses,
        mtu: topology.mtu_of_bridge(host, of),
        up: of.up,
        spot: Spot::Bridge(index, bridge),
        item: What::Bridge(bridge),
    }
}

fn host_end<'a>(
    topology: &'a Topology,
    (host, container, nic): (usize, usize, usize),
    of: &'a Host,
    inner: &'a Nic,
    end: &'a HostEnd,
) -> Interface<'a> {
    Interface {
        name: &end.name,
        addresses: &end.addresses,
        mtu: topology.mtu_of(of, inner),
        up: true,
        spot: Spot::of_veth(of, host, container, nic, end),
        item: What::End(container, nic),
    }
}

fn of_container<'a>(
    topology: &'a Topology,
    index: usize,
    host: &'a Host,
    number: usize,
    container: &'a Container,
) -> Vec<Interface<'a>> {
    let interface = |(nic, of): (usize, &'a Nic)| {
        let Attach::Host(end) = &of.attach else { return None };
        Some(Interface {
            name: &of.name,
            addresses: &of.addresses,
            mtu: topology.mtu_of(host, of),
            up: of.up,
            spot: Spot::of_veth(host, index, number, nic, end),
            item: What::Nic(nic),
        })
    };
    container.nics.iter().enumerate().filter_map(interface).collect()
}
