//! From the described lab to the facts that make it.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{Fact, Link, MAIN_TABLE, NodeId, Ns, Port, RouteTo, State, Sysctl};
use crate::name::{IfName, Mac, NodeName};
use crate::topology::{Attach, Bridge, Container, Hop, Host, HostEnd, Network, Nic, Promiscuous, Route, Topology, numbers};

/// Every fact of the lab. Total: what could go wrong was refused when the file was read.
///
/// Of the part of one host that the machine plays itself, the host's facts are about the machine's own namespace: only what
/// the lab needs is said there.
pub fn compile(topology: &Topology) -> State {
    let mut facts = Facts { topology, all: Vec::new() };
    // The other ends of a real NIC's network are not on this machine.
    for (index, network) in topology.networks.iter().enumerate().filter(|_| topology.role.is_none()) {
        facts.network(index, network);
    }
    for host in &topology.hosts {
        facts.host(host);
    }
    // All at once: sorting them is cheaper than finding each one's place.
    facts.all.into_iter().collect()
}

/// As [`compile`], with what is on the machine itself under the host that it plays, its real NICs among the links: as a look at
/// the nodes shows it.
pub fn compile_nodes(topology: &Topology) -> State {
    let facts = compile(topology);
    let Some(role) = &topology.role else { return facts };
    let host = Ns::Node(NodeId::Host(role.host.clone()));
    let inside = |fact: Fact| if *fact.ns() == Ns::Root { fact.moved(&host) } else { fact };
    let nic = |dev: &IfName| Fact::Link(Port { ns: host.clone(), dev: dev.clone() }, Link::Other("device".to_owned()));
    let nics = role.nics.values().map(nic);
    facts.into_iter().map(inside).chain([Fact::Netns(host.clone())]).chain(nics).collect()
}

/// The facts being written down.
struct Facts<'a> {
    topology: &'a Topology,
    all: Vec<Fact>,
}

impl Facts<'_> {
    fn add(&mut self, fact: Fact) {
        self.all.push(fact);
    }

    fn namespace(&mut self, node: NodeId) -> Ns {
        let ns = Ns::Node(node);
        self.add(Fact::Netns(ns.clone()));
        self.add(Fact::Up(Port { ns: ns.clone(), dev: IfName::loopback() }));
        ns
    }

    /// Forwarding is always said: a namespace is born with the machine's IPv4 settings.
    fn settings(&mut self, ns: &Ns, forwarding: bool) {
        let forwarding = u32::from(forwarding);
        for (setting, value) in [
            (Sysctl::Forward4, forwarding),
            (Sysctl::Forward6, forwarding),
            (Sysctl::RpFilterAll, 0),
            (Sysctl::RpFilterDefault, 0),
        ] {
            self.add(Fact::Sysctl(ns.clone(), setting, value));
        }
    }

    fn network(&mut self, index: usize, network: &Network) {
        let ends: Vec<(&Host, &Nic)> = self.topology.ends(&network.name).collect();
        if self.topology.is_wire(network) {
            if let [(host_a, nic_a), (host_b, nic_b)] = ends[..] {
                self.veth(host_port(&host_a.name, &nic_a.name), host_port(&host_b.name, &nic_b.name));
            }
            return;
        }
        let ns = self.namespace(NodeId::Switch(network.name.clone()));
        let bridge = Port { ns: ns.clone(), dev: IfName::observed("switch") };
        self.add(Fact::Up(bridge.clone()));
        self.add(Fact::Link(bridge.clone(), Link::Bridge));
        self.add(Fact::Mac(bridge.clone(), numbers::mac_of_switch(u16::try_from(index + 1).unwrap_or(0))));
        self.add(Fact::Mtu(bridge.clone(), network.mtu.unwrap_or(1500)));
        for (index, (host, nic)) in ends.into_iter().enumerate() {
            self.switch_port(network, &bridge, index, host, nic);
        }
    }

    fn switch_port(&mut self, network: &Network, bridge: &Port, index: usize, host: &Host, nic: &Nic) {
        let dev = IfName::observed(&format!("port{}", index + 1));
        let port = Port { ns: bridge.ns.clone(), dev };
        self.veth(host_port(&host.name, &nic.name), port.clone());
        self.add(Fact::Mac(port.clone(), numbers::mac_of_switch_port(host.number, nic.number)));
        self.add(Fact::Mtu(port.clone(), self.topology.mtu_of(host, nic)));
        self.add(Fact::Member(port.clone(), bridge.dev.clone()));
        self.add(Fact::Up(port.clone()));
        if network.promiscuous == Promiscuous::Deny {
            self.add(Fact::Isolated(port.clone()));
            self.add(Fact::Fdb(port, numbers::mac_of_nic(host.number, 0, nic)));
        }
    }

    /// One fact with two ends, the lesser end first.
    fn veth(&mut self, a: Port, b: Port) {
        let (key, peer) = if a < b { (a, b) } else { (b, a) };
        self.add(Fact::Link(key, Link::Veth { peer }));
    }

    fn host(&mut self, host: &Host) {
        let ns = if self.topology.role.is_some() {
            self.machine(host);
            Ns::Root
        } else {
            let ns = self.namespace(NodeId::Host(host.name.clone()));
            self.settings(&ns, host.forwarding);
            for nic in &host.nics {
                let own = numbers::mac_of_nic(host.number, 0, nic);
                self.end(&host_port(&host.name, &nic.name), own, self.topology.mtu_of(host, nic), &nic.addresses, nic.up);
            }
            ns
        };
        for bridge in &host.bridges {
            self.bridge(host, bridge);
        }
        for container in host.running() {
            self.container(host, container);
        }
        // A route onto the cable of a stopped container waits until it is there again.
        let there = |route: &&Route| !matches!(&route.hop, Hop::Dev(dev) if ends(host, false).any(|end| end.name == *dev));
        self.routes(&ns, &host_subnets(host), &host.gateways, host.routes.iter().filter(there));
    }

    /// The machine as a host: its other uses may need forwarding, too, so it is only ever turned on; of IPv6 only where the
    /// lab has it, since a router takes no default route from another one. A real NIC keeps its MAC address, and its MTU where
    /// the file says nothing.
    fn machine(&mut self, host: &Host) {
        if host.forwarding {
            self.add(Fact::Sysctl(Ns::Root, Sysctl::Forward4, 1));
            if host.subnets().iter().any(|net| net.addr().is_ipv6()) {
                self.add(Fact::Sysctl(Ns::Root, Sysctl::Forward6, 1));
            }
        }
        for nic in &host.nics {
            let port = Port { ns: Ns::Root, dev: nic.name.clone() };
            if let Some(mtu) = self.topology.configured_mtu(nic) {
                self.add(Fact::Mtu(port.clone(), mtu));
            }
            for address in &nic.addresses {
                self.add(Fact::Addr(port.clone(), *address));
            }
            if nic.up {
                self.add(Fact::Up(port));
            }
        }
    }

    /// An interface of a host: in its namespace, or the machine's own.
    fn port(&self, host: &NodeName, dev: &IfName) -> Port {
        if self.topology.role.is_some() { Port { ns: Ns::Root, dev: dev.clone() } } else { host_port(host, dev) }
    }

    fn bridge(&mut self, host: &Host, bridge: &Bridge) {
        let port = self.port(&host.name, &bridge.name);
        self.add(Fact::Link(port.clone(), Link::Bridge));
        if bridge.stp {
            self.add(Fact::Stp(port.clone()));
        }
        let own = numbers::mac_of_bridge(host.number, bridge);
        self.end(&port, own, self.topology.mtu_of_bridge(host, bridge), &bridge.addresses, bridge.up);
        for member in &bridge.ports {
            self.add(Fact::Member(self.port(&host.name, member), bridge.name.clone()));
        }
    }

    fn container(&mut self, host: &Host, container: &Container) {
        let node = NodeId::Container(host.name.clone(), container.name.clone());
        let ns = self.namespace(node);
        // Reading and writing /proc costs most in many namespaces; one NIC needs no more than nslab sets at its birth.
        if container.forwarding || container.nics.len() > 1 {
            self.settings(&ns, container.forwarding);
        }
        for nic in &container.nics {
            let Attach::Host(end) = &nic.attach else { continue };
            self.container_nic(host, container, &ns, nic, end);
        }
        self.routes(&ns, &subnets_of(&container.nics), &container.gateways, container.routes.iter());
    }

    fn container_nic(&mut self, host: &Host, container: &Container, ns: &Ns, nic: &Nic, end: &HostEnd) {
        let inner = Port { ns: ns.clone(), dev: nic.name.clone() };
        let outer = self.port(&host.name, &end.name);
        let mtu = self.topology.mtu_of(host, nic);
        self.veth(inner.clone(), outer.clone());
        self.end(&inner, numbers::mac_of_nic(host.number, container.number, nic), mtu, &nic.addresses, nic.up);
        self.end(&outer, numbers::mac_of_host_end(host.number, container.number, nic), mtu, &end.addresses, true);
        if let Some(bridge) = &end.bridge {
            self.add(Fact::Member(outer, bridge.clone()));
        }
    }

    fn end(&mut self, port: &Port, own: Mac, mtu: u32, addresses: &[IpNet], up: bool) {
        self.add(Fact::Mac(port.clone(), own));
        self.add(Fact::Mtu(port.clone(), mtu));
        for address in addresses.iter().copied().chain(link_local(own, addresses)) {
            self.add(Fact::Addr(port.clone(), address));
        }
        if up {
            self.add(Fact::Up(port.clone()));
        }
    }

    fn routes<'r>(
        &mut self,
        ns: &Ns,
        subnets: &[(IpNet, IfName)],
        gateways: &[IpAddr],
        routes: impl Iterator<Item = &'r Route> + Clone,
    ) {
        let on_link = routes.clone().filter_map(|route| match &route.hop {
            Hop::Dev(dev) => Some((route.to, dev.clone())),
            Hop::Via(_) | Hop::Blackhole => None,
        });
        let reach: Vec<(IpNet, IfName)> = subnets.iter().cloned().chain(on_link).collect();
        let defaults = gateways.iter().map(|&via| Route::default_by(via));
        for route in routes.cloned().chain(defaults) {
            let to = match route.hop {
                Hop::Blackhole => RouteTo::Blackhole,
                Hop::Dev(dev) => RouteTo::Dev(dev),
                Hop::Via(via) => match towards(&reach, via) {
                    Some(dev) => RouteTo::Via(via, dev),
                    None => continue,
                },
            };
            self.add(Fact::Route(ns.clone(), MAIN_TABLE, route.to, 0, to));
        }
    }
}

/// An interface with an IPv6 address has a link-local one, made of its MAC address: without one a router sends no neighbour
/// solicitation for what it forwards.
fn link_local(own: Mac, addresses: &[IpNet]) -> Option<IpNet> {
    let v6 = |net: &IpNet| matches!(net, IpNet::V6(_));
    let given = |net: &IpNet| matches!(net, IpNet::V6(net) if net.addr().is_unicast_link_local());
    if !addresses.iter().any(v6) || addresses.iter().any(given) {
        return None;
    }
    IpNet::new(own.link_local().into(), 64).ok()
}

fn host_port(host: &NodeName, dev: &IfName) -> Port {
    Port { ns: Ns::Node(NodeId::Host(host.clone())), dev: dev.clone() }
}

fn subnets_of(nics: &[Nic]) -> Vec<(IpNet, IfName)> {
    nics.iter().flat_map(|nic| nic.addresses.iter().map(|net| (net.trunc(), nic.name.clone()))).collect()
}

fn host_subnets(host: &Host) -> Vec<(IpNet, IfName)> {
    let bridges = host.bridges.iter().flat_map(|b| b.addresses.iter().map(|net| (net.trunc(), b.name.clone())));
    let ends = ends(host, true).flat_map(|end| end.addresses.iter().map(|net| (net.trunc(), end.name.clone())));
    subnets_of(&host.nics).into_iter().chain(bridges).chain(ends).collect()
}

/// The host's ends of the cables of its running containers, or of those that do not run.
fn ends(host: &Host, running: bool) -> impl Iterator<Item = &HostEnd> {
    let nics = host.containers.iter().filter(move |container| container.runs() == running).flat_map(|container| &container.nics);
    nics.filter_map(|nic| match &nic.attach {
        Attach::Host(end) => Some(end),
        Attach::Network(_) => None,
    })
}

/// The interface whose longest prefix holds the address.
fn towards(reach: &[(IpNet, IfName)], via: IpAddr) -> Option<IfName> {
    reach.iter().filter(|(net, _)| net.contains(&via)).max_by_key(|(net, _)| net.prefix_len()).map(|(_, dev)| dev.clone())
}
