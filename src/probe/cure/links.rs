//! Links that are down, loose or too narrow, and settings of theirs.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::Cures;
use crate::plan::{Fact, quoted};
use crate::probe::predict::map::At;
use crate::probe::predict::{Flow, Found, lookup};
use crate::report::wire::Interface;

impl Cures<'_> {
    /// Up again, with the addresses and routes that left with it.
    pub(super) fn link_down(&mut self, interface: &Interface) {
        let node = &interface.node;
        self.run(node, &format!("ip link set {} up", quoted(&interface.interface)));
        let (Some(port), Some(at)) = (self.port(interface), self.at(interface)) else { return };
        let has = |net| self.map.link(at).addresses.iter().any(|own| own.net == net);
        let lost = |fact: &&Fact| matches!(fact, Fact::Addr(of, net) if *of == port && !has(*net));
        let lost: Vec<Fact> = self.view.described().filter(lost).cloned().collect();
        for fact in lost {
            self.make(node, fact);
        }
        self.described_routes(node, |_| true);
    }

    pub(super) fn not_in_bridge(&mut self, interface: &Interface, bridges: &[String]) {
        let node = &interface.node;
        let Some(at) = self.at(interface) else { return };
        let mut plug = vec![at];
        let bridge = bridges.first().map_or("br0", String::as_str);
        if bridges.is_empty() {
            self.run(node, "ip link add br0 type bridge");
            self.run(node, "ip link set br0 up");
            plug.extend(self.map.of(at.place).filter(|other| *other != at && self.map.is_loose(*other)));
        }
        for at in plug {
            let link = self.map.link(at);
            self.run(node, &format!("ip link set {} master {}", quoted(&link.name), quoted(bridge)));
            if !link.up {
                self.run(node, &format!("ip link set {} up", quoted(&link.name)));
            }
        }
    }

    pub(super) fn port_closed(&mut self, interface: &Interface, state: &str) {
        let setting = match state {
            "isolated" => "isolated off",
            "no-flood" => "flood on",
            "disabled" => "state 3",
            // The spanning tree has its reasons, or makes up its mind in seconds.
            _ => return,
        };
        let dev = quoted(&interface.interface).into_owned();
        self.run(&interface.node, &format!("ip link set {dev} type bridge_slave {setting}"));
    }

    /// For all interfaces, or for those that were taken out.
    pub(super) fn forwarding_off(&mut self, node: &str, ipv6: bool) {
        let Some(place) = self.place(node) else { return };
        let tables = self.map.tables(place);
        if ipv6 {
            return self.run(node, "sysctl -w net.ipv6.conf.all.forwarding=1");
        }
        if tables.all4.forwarding != Some(true) {
            return self.run(node, "sysctl -w net.ipv4.ip_forward=1");
        }
        for link in tables.links.iter().filter(|link| !link.forwarding4 && link.kind != "loopback") {
            self.run(node, &format!("sysctl -w net.ipv4.conf.{}.forwarding=1", link.name));
        }
    }

    /// Settings that keep a node from answering for its address.
    pub(super) fn unanswered(&mut self, owner: &Interface) {
        let Some(at) = self.at(owner) else { return };
        let all = self.map.tables(at.place).settings.as_ref().map_or(0, |settings| settings.arp_ignore);
        for (value, name) in [(all, "all"), (self.map.link(at).arp_ignore, &*owner.interface)] {
            if value > 0 {
                self.run(&owner.node, &format!("sysctl -w net.ipv4.conf.{}.arp_ignore=0", quoted(name)));
            }
        }
    }

    /// Loose where there is a way back by another interface, else off: the higher of two settings holds, and 2 is loose.
    pub(super) fn reverse_path(&mut self, interface: &Interface, source: IpAddr, strict: bool) {
        let Some(at) = self.at(interface) else { return };
        let tables = self.map.tables(at.place);
        let back = lookup(tables, Flow { to: source, from: None, enters: Some(&interface.interface) });
        let node = &interface.node;
        if strict && matches!(back, Found::Way(..)) {
            return self.run(node, &format!("sysctl -w net.ipv4.conf.{}.rp_filter=2", interface.interface));
        }
        self.run(node, "sysctl -w net.ipv4.conf.all.rp_filter=0");
        self.run(node, &format!("sysctl -w net.ipv4.conf.{}.rp_filter=0", interface.interface));
    }

    /// Every interface of the segment takes packets of the size.
    pub(super) fn too_big(&mut self, interface: &Interface, size: u32) {
        let Some(start) = self.at(interface) else { return };
        let mtu = size.max(1500);
        let (mut seen, mut queue) = (BTreeSet::from([start]), vec![start]);
        while let Some(at) = queue.pop() {
            let mut next: Vec<At> = self.map.far(at).into_iter().chain(self.map.bridge(at)).collect();
            next.extend(self.map.ports(at));
            queue.extend(next.into_iter().filter(|at| seen.insert(*at)));
        }
        // What routers have told of the way is kept after the way is wide.
        let tables = self.map.tables(start.place);
        if self.map.link(start).mtu >= size && !tables.exceptions.is_empty() {
            let family = if tables.exceptions.iter().any(|(to, _)| to.is_ipv6()) { "ip -6" } else { "ip" };
            self.run(&interface.node, &format!("{family} route flush cache"));
        }
        // A bridge takes no larger packets than its ports: they come first.
        let mut small: Vec<At> = seen.into_iter().filter(|at| self.map.link(*at).mtu < size).collect();
        small.sort_by_key(|at| self.map.is_bridge(*at));
        for at in small {
            let dev = quoted(&self.map.link(at).name).into_owned();
            self.run(&self.map.name(at.place), &format!("ip link set {dev} mtu {mtu}"));
        }
    }
}
