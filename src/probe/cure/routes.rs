//! Routes that are missing, lead nowhere, or in a circle; addresses that are wrong, in the wrong place, missing, or there twice.

use std::net::IpAddr;

use ipnet::IpNet;

use super::Cures;
use crate::name::Mac;
use crate::plan::{Fact, MAIN_TABLE, RouteTo, Slot, quoted};
use crate::probe::is_link_local;
use crate::probe::predict::map::At;
use crate::report::machine::Kind;
use crate::report::trace::Route;
use crate::report::wire::Interface;

/// As `ip route` takes a destination.
fn destination(to: IpNet) -> String {
    if to.prefix_len() == 0 { "default".to_owned() } else { to.to_string() }
}

/// `ip`, or `ip -6` where the words that follow do not tell the family.
fn ip(to: IpNet) -> &'static str {
    if to.addr().is_ipv6() { "ip -6" } else { "ip" }
}

/// An address as `ip address add` takes it, without a wait for somebody who may have it.
fn fresh(net: IpNet) -> String {
    if net.addr().is_ipv6() { format!("{net} nodad") } else { net.to_string() }
}

impl Cures<'_> {
    pub(super) fn no_route(&mut self, node: &str, to: IpAddr) {
        if self.described_routes(node, |net| net.contains(&to)) {
            return;
        }
        let Some(place) = self.place(node) else { return };
        let Some((gateway, behind)) = self.router(place, to) else { return };
        let default = self.map.kind(place) == Kind::Container || behind.is_none();
        let net = behind.filter(|_| !default).map_or_else(|| "default".to_owned(), |net| net.trunc().to_string());
        self.run(node, &format!("{} route add {net} via {gateway}", ip(IpNet::from(to))));
    }

    /// Makes the described routes again that the node has lost; whether there are any.
    pub(super) fn described_routes(&mut self, node: &str, wanted: impl Fn(&IpNet) -> bool) -> bool {
        let (Some(ns), Some(place)) = (self.ns(node), self.place(node)) else { return false };
        let has = |net: &IpNet| self.map.tables(place).routes.iter().any(|route| route.table == MAIN_TABLE && route.to == *net);
        self.make(node, |fact| matches!(fact, Fact::Route(of, _, net, ..) if *of == ns && wanted(net) && !has(net)))
    }

    /// A neighbour that passes packets on towards an address: its own address, and the subnet of the other one.
    fn router(&self, place: usize, to: IpAddr) -> Option<(IpAddr, Option<IpNet>)> {
        let owner = self.map.owners(to).iter().copied().find(|owner| owner.place != place);
        let behind = owner.and_then(|owner| self.net_of(owner, to));
        let all = self.map.interfaces(place).filter(|at| !self.map.is_loopback(*at));
        for at in all {
            for (next, address) in self.neighbours(at, to) {
                let leads = |owner: At| {
                    owner.place == next.place
                        || self.map.interfaces(next.place).any(|out| out != next && self.map.reach(out).contains(&owner.place))
                };
                let passes = self.forwards(next, to.is_ipv6()) || owner.is_some_and(|owner| owner.place == next.place);
                if passes && owner.is_none_or(leads) {
                    return Some((address, behind));
                }
            }
        }
        None
    }

    fn forwards(&self, at: At, ipv6: bool) -> bool {
        let tables = self.map.tables(at.place);
        if ipv6 { tables.all6.forwarding == Some(true) } else { self.map.link(at).forwarding4 }
    }

    /// The prefix with which an interface has an address.
    fn net_of(&self, at: At, address: IpAddr) -> Option<IpNet> {
        self.map.nets(at).find(|net| net.addr() == address)
    }

    /// Interfaces of hosts and containers in the interface's own subnets, on its segment.
    fn neighbours(&self, at: At, like: IpAddr) -> Vec<(At, IpAddr)> {
        let inside = |net: &IpNet| {
            let same = net.addr().is_ipv4() == like.is_ipv4() && !is_link_local(net.addr());
            same && self.map.nets(at).any(|own| own.contains(&net.addr()))
        };
        let mut found = Vec::new();
        for place in (0..self.map.places().len()).filter(|place| *place != at.place) {
            for other in self.map.interfaces(place) {
                if let Some(net) = self.map.nets(other).find(inside)
                    && self.map.path(at, other).is_some_and(|path| path.is_plugged())
                {
                    found.push((other, net.addr()));
                }
            }
        }
        found
    }

    pub(super) fn no_such_gateway(&mut self, node: &str, gateway: IpAddr, route: &Route) {
        let Some(place) = self.place(node) else { return };
        let Some(out) = self.map.interfaces(place).find(|at| self.map.link(*at).name == route.dev) else { return };
        let command = format!("{} route replace {}", ip(route.to), destination(route.to));
        let described = self.described_via(node, route.to).filter(|via| *via != gateway && !self.map.owners(*via).is_empty());
        let routers = self.neighbours(out, gateway).into_iter().filter(|(at, _)| self.forwards(*at, gateway.is_ipv6()));
        if let Some(via) = described.or_else(|| routers.map(|(_, address)| address).next()) {
            self.run(node, &format!("{command} via {via}"));
            return;
        }
        // Nobody on the segment routes: the other end is to have the address.
        let own = self.map.nets(out).find(|net| net.contains(&gateway));
        let peer = self.map.peer(out).map(|peer| self.map.bridge(peer).unwrap_or(peer));
        if let (Some(own), Some(peer)) = (own, peer.filter(|peer| self.map.kind(peer.place) == Kind::Host))
            && let Ok(net) = IpNet::new(gateway, own.prefix_len())
        {
            let dev = self.map.link(peer).name.clone();
            self.run(&self.map.name(peer.place), &format!("ip address add {} dev {dev}", fresh(net)));
        }
    }

    fn described_via(&self, node: &str, to: IpNet) -> Option<IpAddr> {
        match self.view.described.as_ref().known()?.get(Slot::Route(&self.ns(node)?, MAIN_TABLE, to, 0))? {
            Fact::Route(.., RouteTo::Via(via, _)) => Some(*via),
            _ => None,
        }
    }

    pub(super) fn refused(&mut self, node: &str, kind: &str, to: IpNet) {
        let Some(place) = self.place(node) else { return };
        let table = self.map.tables(place).routes.iter().find(|route| route.to == to).map_or(MAIN_TABLE, |route| route.table);
        let table = if table == MAIN_TABLE { String::new() } else { format!(" table {table}") };
        self.run(node, &format!("{} route del {kind} {}{table}", ip(to), destination(to)));
    }

    /// A router of a circle gets routes to what is behind the others, instead of its default route.
    pub(super) fn circle(&mut self, routes: &[(String, Route)]) {
        let Some((node, route)) = routes.last() else { return };
        let Some(place) = self.place(node) else { return };
        let family = |net: &IpNet| net.addr().is_ipv4() == route.to.addr().is_ipv4();
        let own: Vec<IpNet> = self.nets(place).into_iter().filter(family).collect();
        let others = routes.iter().filter(|(other, _)| other != node).filter_map(|(other, _)| self.place(other));
        let mut behind: Vec<IpNet> =
            others.flat_map(|other| self.nets(other)).filter(family).filter(|net| !own.contains(net)).collect();
        behind.sort();
        behind.dedup();
        let Some(via) = route.via.filter(|_| route.to.prefix_len() == 0) else {
            let via = route.via.map(|via| format!(" via {via}")).unwrap_or_default();
            return self.run(node, &format!("{} route del {}{via}", ip(route.to), destination(route.to)));
        };
        for net in behind {
            self.run(node, &format!("{} route replace {net} via {via}", ip(route.to)));
        }
        self.run(node, &format!("{} route del default via {via}", ip(route.to)));
    }

    /// The subnets that a node is in.
    fn nets(&self, place: usize) -> Vec<IpNet> {
        let links = self.map.interfaces(place).filter(|at| !self.map.is_loopback(*at));
        links.flat_map(|at| self.map.nets(at)).map(|net| net.trunc()).filter(|net| !is_link_local(net.addr())).collect()
    }

    /// The other NIC is to be up and have an address, and the way there is to lead over it; so at the other end.
    pub(super) fn other_nic(&mut self, interface: &Interface, owner: &Interface) {
        let (Some(here), Some(owner)) = (self.place(&interface.node), self.at(owner)) else { return };
        let leads = |at: &At| {
            self.map.link(*at).name != interface.interface
                && self.map.peer(*at).is_some()
                && self.map.reach(*at).contains(&owner.place)
        };
        let Some(near) = self.map.interfaces(here).find(leads) else { return };
        let host = self.host_of(owner.place);
        let mut ends = self.map.interfaces(host).filter(|at| self.map.path(near, *at).is_some_and(|path| path.is_plugged()));
        let Some(there) = ends.find(|at| self.map.peer(*at).is_some() && self.map.bridge(*at).is_none()) else {
            return self.run(&interface.node, &format!("ip link set {} up", self.map.link(near).name));
        };
        let link = IpAddr::from([192, 168, 100, 0]);
        let Ok(net) = IpNet::new(link, 24) else { return };
        let mut free = net.hosts().filter(|address| self.map.owners(*address).is_empty()).collect::<Vec<_>>().into_iter();
        let mut ends = Vec::new();
        for (at, place) in [(near, here), (there, host)] {
            let node = self.map.name(place);
            let dev = self.map.link(at).name.clone();
            if !self.map.link(at).up {
                self.run(&node, &format!("ip link set {dev} up"));
            }
            let own = self.map.nets(at).find(|net| net.addr().is_ipv4());
            let address = own.map(|net| net.addr()).or_else(|| free.next());
            let Some(address) = address else { return };
            if own.is_none() {
                self.run(&node, &format!("ip address add {address}/24 dev {dev}"));
            }
            ends.push(address);
        }
        let [from, to] = ends[..] else { return };
        let behind = |place: usize, at: At| -> Vec<IpNet> {
            let others = self
                .map
                .interfaces(place)
                .filter(|other| *other != at && !self.map.is_loopback(*other) && self.map.peer(*other).is_none());
            others.flat_map(|other| self.map.nets(other)).map(|net| net.trunc()).filter(|net| net.addr().is_ipv4()).collect()
        };
        for (node, via, nets) in [(self.map.name(here), to, behind(host, there)), (self.map.name(host), from, behind(here, near))]
        {
            for net in nets {
                self.run(&node, &format!("ip route add {net} via {via}"));
            }
        }
    }

    /// The host itself, or that of a container.
    fn host_of(&self, place: usize) -> usize {
        let name = self.map.name(place);
        name.split_once('.').and_then(|(host, _)| self.place(host)).unwrap_or(place)
    }
}

impl Cures<'_> {
    pub(super) fn wrong_prefix(&mut self, interface: &Interface, address: IpNet, other: IpNet) {
        let Ok(right) = IpNet::new(address.addr(), other.prefix_len()) else { return };
        self.readdress(interface, address, &interface.interface, right);
    }

    pub(super) fn on_port(&mut self, interface: &Interface, address: IpNet, bridge: &str) {
        self.readdress(interface, address, bridge, address);
    }

    /// Replaces an address by one with another prefix, or on another interface, with the routes that go with it.
    fn readdress(&mut self, interface: &Interface, old: IpNet, dev: &str, new: IpNet) {
        let (Some(at), node) = (self.at(interface), &interface.node) else { return };
        self.run(node, &format!("ip address del {old} dev {}", quoted(&interface.interface)));
        self.run(node, &format!("ip address add {} dev {}", fresh(new), quoted(dev)));
        // What led over the address leaves with it.
        let index = self.map.link(at).index;
        let lost = self.map.tables(at.place).routes.iter().filter(|route| route.table == MAIN_TABLE);
        let lost: Vec<String> = lost
            .filter_map(|route| match route.hops.as_slice() {
                [hop] if hop.dev == index && old.contains(&hop.via?) => Some((route.to, hop.via?)),
                _ => None,
            })
            .map(|(to, via)| format!("{} route replace {} via {via}", ip(to), destination(to)))
            .collect();
        for route in lost {
            self.run(node, &route);
        }
    }

    pub(super) fn no_address(&mut self, node: &str) {
        let Some(place) = self.place(node) else { return };
        let Some(ns) = self.ns(node) else { return };
        let has = |port: &str, net: &IpNet| {
            let link = self.map.tables(place).named(port);
            link.is_some_and(|link| link.addresses.iter().any(|own| own.net == *net))
        };
        self.make(node, |fact| matches!(fact, Fact::Addr(port, net) if port.ns == ns && !has(port.dev.as_str(), net)));
        if !self.lines.is_empty() {
            self.described_routes(node, |_| true);
            return;
        }
        if let Some((dev, net)) = self.link_local(place).or_else(|| self.free_on_segment(place)) {
            self.run(node, &format!("ip address add {} dev {}", fresh(net), quoted(&dev)));
        }
    }

    /// An interface with an IPv6 address and no link-local one, and that of its MAC address.
    fn link_local(&self, place: usize) -> Option<(String, IpNet)> {
        let links = self.map.tables(place).links.iter().filter(|link| link.kind != "loopback");
        let six = |net: IpNet| net.addr().is_ipv6();
        let mut mute = links.filter(|link| {
            link.addresses.iter().any(|own| six(own.net)) && !link.addresses.iter().any(|own| is_link_local(own.net.addr()))
        });
        let link = mute.next()?;
        Some((link.name.clone(), IpNet::new(link.mac?.link_local().into(), 64).ok()?))
    }

    /// An interface that is no port, and an address that nobody has in the subnet of others on its segment.
    fn free_on_segment(&self, place: usize) -> Option<(String, IpNet)> {
        let own = self.map.interfaces(place).filter(|at| !self.map.is_loopback(*at) && self.map.bridge(*at).is_none());
        let mut own: Vec<At> = own.filter(|at| self.map.peer(*at).is_some() || self.map.is_bridge(*at)).collect();
        own.sort_by_key(|at| !self.map.is_bridge(*at));
        for at in own {
            for other in (0..self.map.places().len()).filter(|other| *other != place).flat_map(|other| self.map.interfaces(other))
            {
                let Some(net) = self.map.nets(other).find(|net| net.addr().is_ipv4()) else { continue };
                if self.map.path(at, other).is_some_and(|path| path.is_plugged()) {
                    let net = self.free(net)?;
                    return Some((self.map.link(at).name.clone(), net));
                }
            }
        }
        None
    }

    /// An address of the subnet that nobody has.
    fn free(&self, net: IpNet) -> Option<IpNet> {
        let address = net.hosts().take(2000).find(|address| self.map.owners(*address).is_empty())?;
        IpNet::new(address, net.prefix_len()).ok()
    }

    /// Whoever has it against the description gives it up, else the last.
    pub(super) fn duplicate_address(&mut self, address: IpAddr, owners: &[Interface]) {
        let described = |interface: &Interface| {
            let port = self.port(interface);
            self.view
                .described()
                .any(|fact| matches!(fact, Fact::Addr(of, net) if Some(of) == port.as_ref() && net.addr() == address))
        };
        // Whose it is to be, nobody knows.
        if self.view.described.is_unknown() {
            return;
        }
        let Some(wrong) = owners.iter().find(|owner| !described(owner)).or(owners.last()) else { return };
        let Some(at) = self.at(wrong) else { return };
        let Some(net) = self.net_of(at, address) else { return };
        let port = self.port(wrong);
        let own = self.view.described().find_map(|fact| match fact {
            Fact::Addr(of, own) if Some(of) == port.as_ref() && own.addr().is_ipv4() == address.is_ipv4() => Some(*own),
            _ => None,
        });
        let kept = own.is_some_and(|own| self.map.owners(own.addr()).contains(&at));
        let new = own.filter(|own| own.addr() != address).or_else(|| self.free(net));
        match new.filter(|_| !kept) {
            Some(new) => self.readdress(wrong, net, &wrong.interface, new),
            None => self.run(&wrong.node, &format!("ip address del {net} dev {}", quoted(&wrong.interface))),
        }
    }

    /// Whoever has it against the description gets its own back, else the last a new one.
    pub(super) fn duplicate_mac(&mut self, mac: &str, owners: &[Interface]) {
        let described = |interface: &Interface| self.view.described.as_ref().known()?.mac(&self.port(interface)?);
        let other = owners.iter().find(|owner| described(owner).is_some_and(|own| own.to_string() != mac));
        let Some(wrong) = other.or(owners.last()) else { return };
        let fresh = || {
            let Mac(mut bytes) = mac.parse().ok()?;
            (0..=u8::MAX)
                .map(|last| {
                    bytes[5] = last;
                    Mac(bytes)
                })
                .find(|mac| self.map.owners_of_mac(*mac).is_empty())
        };
        let new = described(wrong).filter(|own| own.to_string() != mac).or_else(fresh);
        if let Some(new) = new {
            self.run(&wrong.node, &format!("ip link set {} address {new}", quoted(&wrong.interface)));
        }
    }
}
