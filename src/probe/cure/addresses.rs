//! Addresses that are wrong, in the wrong place, missing, or there twice.

use std::net::IpAddr;

use ipnet::IpNet;

use super::Cures;
use crate::name::Mac;
use crate::plan::{Fact, MAIN_TABLE, quoted};
use crate::probe::predict::map::At;
use crate::report::wire::Interface;

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
        let nodad = if new.addr().is_ipv6() { " nodad" } else { "" };
        self.run(node, &format!("ip address del {old} dev {}", quoted(&interface.interface)));
        self.run(node, &format!("ip address add {new}{nodad} dev {}", quoted(dev)));
        // What led over the address leaves with it.
        let index = self.map.link(at).index;
        let lost = self.map.tables(at.place).routes.iter().filter(|route| route.table == MAIN_TABLE);
        let lost: Vec<String> = lost
            .filter_map(|route| match route.hops.as_slice() {
                [hop] if hop.dev == index && old.contains(&hop.via?) => Some((route.to, hop.via?)),
                _ => None,
            })
            .map(|(to, via)| {
                let family = if via.is_ipv6() { "ip -6" } else { "ip" };
                let to = if to.prefix_len() == 0 { "default".to_owned() } else { to.to_string() };
                format!("{family} route replace {to} via {via}")
            })
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
        let lost = |fact: &&Fact| matches!(fact, Fact::Addr(port, net) if port.ns == ns && !has(port.dev.as_str(), net));
        let lost: Vec<Fact> = self.view.described().filter(lost).cloned().collect();
        for fact in lost {
            self.make(node, fact);
        }
        if !self.lines.is_empty() {
            self.described_routes(node, |_| true);
            return;
        }
        if let Some((dev, net)) = self.link_local(place).or_else(|| self.free_on_segment(place)) {
            let nodad = if net.addr().is_ipv6() { " nodad" } else { "" };
            self.run(node, &format!("ip address add {net}{nodad} dev {}", quoted(&dev)));
        }
    }

    /// An interface with an IPv6 address and no link-local one, and that of its MAC address.
    fn link_local(&self, place: usize) -> Option<(String, IpNet)> {
        let near = |net: IpNet| matches!(net.addr(), IpAddr::V6(address) if address.is_unicast_link_local());
        let links = self.map.tables(place).links.iter().filter(|link| link.kind != "loopback");
        let six = |net: IpNet| net.addr().is_ipv6();
        let mut mute =
            links.filter(|link| link.addresses.iter().any(|own| six(own.net)) && !link.addresses.iter().any(|own| near(own.net)));
        let link = mute.next()?;
        Some((link.name.clone(), IpNet::new(link.mac?.link_local().into(), 64).ok()?))
    }

    /// An interface that is no port, and an address that nobody has in the subnet of others on its segment.
    fn free_on_segment(&self, place: usize) -> Option<(String, IpNet)> {
        let own = self.map.of(place).filter(|at| !self.map.is_loopback(*at) && self.map.bridge(*at).is_none());
        let mut own: Vec<At> = own.filter(|at| self.map.far(*at).is_some() || self.map.is_bridge(*at)).collect();
        own.sort_by_key(|at| !self.map.is_bridge(*at));
        for at in own {
            for other in (0..self.map.places().len()).filter(|other| *other != place).flat_map(|other| self.map.of(other)) {
                let Some(net) = self.map.link(other).addresses.iter().map(|own| own.net).find(|net| net.addr().is_ipv4()) else {
                    continue;
                };
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
        let Some(net) = self.map.link(at).addresses.iter().map(|own| own.net).find(|net| net.addr() == address) else { return };
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
