//! Links, ports of bridges, settings and packet filters.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use super::edit::Edit;
use super::{At, Cures, Fact, Flow, Found, Interface, lookup, quoted};
use crate::kernel::tables::PortState;
use crate::probe::view::is_managed;
use crate::report::probe::Transport;
use crate::report::trace::Cause;

/// `IPDEFTTL` (`linux/ip.h`)
const DEFAULT_TTL: u8 = 64;

impl Cures<'_> {
    /// Up again, with the addresses and routes that left with it.
    pub(super) fn link_down(&mut self, interface: &Interface) {
        let node = &interface.node;
        self.step(node, Edit::up(&interface.interface));
        let (Some(port), Some(at)) = (self.port(interface), self.at(interface)) else { return };
        let map = self.map;
        // An address may be on another interface by now: a slave's is on its bond.
        let has = |net: &ipnet::IpNet| map.interfaces(at.place).any(|own| map.nets(own).any(|own| own == *net));
        self.make(node, |fact| matches!(fact, Fact::Addr(of, net) if *of == port && !has(net)));
        self.described_routes(node, |_| true);
    }

    pub(super) fn not_in_bridge(&mut self, interface: &Interface, bridges: &[String]) {
        let node = &interface.node;
        let Some(at) = self.at(interface) else { return };
        if bridges.is_empty() {
            self.step(node, Edit::Bridge { dev: "br0".to_owned() });
            self.step(node, Edit::up("br0"));
            let others = self.map.interfaces(at.place).filter(|other| *other != at && self.map.is_loose(*other));
            let plug: Vec<At> = std::iter::once(at).chain(others).collect();
            for at in plug {
                self.plug(at, "br0");
            }
        }
        // A wire between hosts belongs in no bridge that came with LXD or the like, where there is another.
        let own = bridges.iter().any(|bridge| !is_managed(bridge)) && self.is_nic(interface);
        for bridge in bridges.iter().filter(|bridge| !own || !is_managed(bridge)) {
            self.plug(at, bridge);
            self.or();
        }
    }

    fn plug(&mut self, at: At, bridge: &str) {
        let link = self.map.link(at);
        self.step_at(at.place, Edit::Master { dev: link.name.clone(), bridge: Some(bridge.to_owned()) });
        if !link.up {
            self.step_at(at.place, Edit::up(&link.name));
        }
    }

    pub(super) fn wrong_bridge(&mut self, interface: &Interface, wanted: Option<&str>) {
        if self.stray_address(interface, wanted) {
            return;
        }
        let dev = interface.interface.clone();
        self.step(&interface.node, Edit::Master { dev, bridge: wanted.map(str::to_owned) });
    }

    /// A bridge of another subnet has the address that the port's own bridge lacks: that one moves; whether it is so.
    fn stray_address(&mut self, interface: &Interface, wanted: Option<&str>) -> bool {
        let Some(at) = self.at(interface) else { return false };
        let (Some(here), Some(end)) = (self.map.bridge(at), self.map.peer(at)) else { return false };
        let there = self.map.interfaces(at.place).find(|other| Some(self.map.link(*other).name.as_str()) == wanted);
        let Some(there) = there else { return false };
        let four = |at: At| self.map.nets(at).filter(|net| net.addr().is_ipv4()).collect::<Vec<_>>();
        let near = |net: &IpNet| four(end).iter().any(|own| own.contains(&net.addr()));
        let (ours, others): (Vec<_>, Vec<_>) = four(there).into_iter().partition(near);
        let ([address], false, true) = (ours.as_slice(), others.is_empty(), four(here).is_empty()) else { return false };
        let (from, to) = (self.map.link(there).name.clone(), self.map.link(here).name.clone());
        self.step_at(at.place, Edit::del_address(&from, *address));
        self.step_at(at.place, Edit::add_address(&to, *address));
        true
    }

    pub(super) fn port_closed(&mut self, interface: &Interface, state: &str) {
        let dev = interface.interface.clone();
        let edit = match state {
            "isolated" => Edit::PortFlag { dev, flag: "isolated", on: false },
            "locked" => Edit::PortFlag { dev, flag: "locked", on: false },
            "no-broadcast" => Edit::PortFlag { dev, flag: "bcast_flood", on: true },
            "no-multicast" => Edit::PortFlag { dev, flag: "mcast_flood", on: true },
            "no-flood" => Edit::PortFlag { dev, flag: "flood", on: true },
            word if word == PortState::Disabled.word() => Edit::Forwarding { dev },
            word if [PortState::Listening.word(), PortState::Learning.word()].contains(&word) => {
                return self.without_spanning_tree(interface);
            }
            // The spanning tree has its reasons.
            _ => return,
        };
        self.step(&interface.node, edit);
    }

    /// The port comes into the VLAN, with a tag or as the one for frames without.
    pub(super) fn vlan_sorted(&mut self, interface: &Interface, vlan: Option<u16>) {
        let Some(at) = self.at(interface) else { return };
        let (dev, own) = (interface.interface.clone(), self.map.is_bridge(at));
        let mut all: Vec<u16> =
            vlan.map_or_else(|| self.map.tables(at.place).vlans.iter().map(|known| known.id).collect(), |vlan| vec![vlan]);
        all.sort_unstable();
        all.dedup();
        for vlan in all {
            for native in [false, true] {
                self.step(&interface.node, Edit::Vlan { dev: dev.clone(), vlan, native, own });
                self.or();
            }
        }
    }

    /// Where nothing is in a circle there is nothing to wait for. Ports that wait go on waiting without it.
    fn without_spanning_tree(&mut self, interface: &Interface) {
        let Some(bridge) = self.at(interface).and_then(|at| self.map.bridge(at)) else { return };
        let ports = self.map.ports(bridge);
        let circle = ports.iter().any(|port| {
            let wired = self.map.peer(*port).map(|peer| self.wired_to(peer, Some(bridge))).unwrap_or_default();
            ports.iter().filter(|other| *other != port).any(|other| wired.contains(other))
        });
        let dev = self.map.link(bridge).name.clone();
        let described = self.port(&self.map.interface(bridge));
        if circle || self.view.described().any(|fact| matches!(fact, Fact::Stp(of) if Some(of) == described.as_ref())) {
            return;
        }
        self.step_at(bridge.place, Edit::NoSpanningTree { dev });
        let waits = |state| matches!(state, PortState::Listening | PortState::Learning);
        for port in ports.iter().filter(|port| self.map.link(**port).port.is_some_and(|port| waits(port.state))) {
            self.step_at(port.place, Edit::Forwarding { dev: self.map.link(*port).name.clone() });
        }
    }

    /// Every interface that cables and bridges join to one, but not by way of a certain bridge.
    fn wired_to(&self, start: At, without: Option<At>) -> BTreeSet<At> {
        let (mut seen, mut queue) = (BTreeSet::from([start]), vec![start]);
        while let Some(at) = queue.pop() {
            let mut next: Vec<At> = self.map.peer(at).into_iter().chain(self.map.bridge(at)).collect();
            next.extend(self.map.ports(at));
            queue.extend(next.into_iter().filter(|at| Some(*at) != without).filter(|at| seen.insert(*at)));
        }
        seen
    }

    /// For all interfaces, or for those that were taken out.
    pub(super) fn forwarding_off(&mut self, node: &str, ipv6: bool) {
        let Some(place) = self.place(node) else { return };
        let tables = self.map.tables(place);
        if ipv6 {
            return self.step(node, Edit::setting("ipv6.conf.all.forwarding", 1));
        }
        if tables.all4.forwarding != Some(true) {
            return self.step(node, Edit::setting("ipv4.ip_forward", 1));
        }
        for link in tables.links.iter().filter(|link| !link.forwarding4 && link.kind != "loopback") {
            self.step(node, Edit::setting(format!("ipv4.conf.{}.forwarding", link.name), 1));
        }
    }

    /// Settings that keep a node from answering for its address.
    pub(super) fn unanswered(&mut self, owner: &Interface) {
        let Some(at) = self.at(owner) else { return };
        let all = self.map.tables(at.place).settings.as_ref().map_or(0, |settings| settings.arp_ignore);
        for (value, name) in [(all, "all"), (self.map.link(at).arp_ignore, &*owner.interface)] {
            if value > 0 {
                self.step(&owner.node, Edit::setting(format!("ipv4.conf.{name}.arp_ignore"), 0));
            }
        }
    }

    /// Loose where there is a way back by another interface, else off: the higher of two settings holds, and 2 is loose.
    pub(super) fn reverse_path(&mut self, interface: &Interface, source: IpAddr, strict: bool) {
        let Some(at) = self.at(interface) else { return };
        let tables = self.map.tables(at.place);
        let back = lookup(tables, Flow { to: source, from: None, enters: Some(&interface.interface), leaves: None });
        let (node, own) = (&interface.node, format!("ipv4.conf.{}.rp_filter", interface.interface));
        if strict && matches!(back, Found::Way(..)) {
            self.step(node, Edit::setting(own, 2));
        } else {
            self.step(node, Edit::setting("ipv4.conf.all.rp_filter", 0));
            self.step(node, Edit::setting(own, 0));
        }
        // Or the way back is to be the way that it came.
        self.or();
        self.no_route(node, source);
    }

    /// Every interface of the segment takes packets of the size.
    pub(super) fn too_big(&mut self, interface: &Interface, size: u32) {
        let Some(start) = self.at(interface) else { return };
        let mtu = size.max(1500);
        let seen = self.wired_to(start, None);
        // What routers have told of the way is kept after the way is wide.
        let tables = self.map.tables(start.place);
        if self.map.link(start).mtu >= size && !tables.exceptions.is_empty() {
            let ipv6 = tables.exceptions.iter().any(|(to, _)| to.is_ipv6());
            self.step(&interface.node, Edit::FlushCache { ipv6 });
        }
        // A route may have an MTU of its own.
        for route in tables.routes.iter().filter(|route| route.mtu.is_some_and(|mtu| mtu < size)) {
            if let [hop] = route.hops.as_slice() {
                let dev = tables.link(hop.dev).map(|link| link.name.clone());
                self.step(&interface.node, Edit::AddRoute { to: route.to, via: hop.via, dev, replace: true });
            }
        }
        // A bridge takes no larger packets than its ports: they come first.
        let mut small: Vec<At> = seen.into_iter().filter(|at| self.map.link(*at).mtu < size).collect();
        small.sort_by_key(|at| self.map.is_bridge(*at));
        for at in small {
            self.step_at(at.place, Edit::Mtu { dev: self.map.link(at).name.clone(), mtu });
        }
    }

    /// IPv6 comes back without the addresses and routes that went with it.
    pub(super) fn ipv6_off(&mut self, interface: &Interface, mtu: Option<u32>) {
        let node = &interface.node;
        let dev = interface.interface.clone();
        match mtu {
            Some(_) => self.step(node, Edit::Mtu { dev, mtu: 1500 }),
            None => self.step(node, Edit::setting(format!("ipv6.conf.{dev}.disable_ipv6"), 0)),
        }
        let Some(port) = self.port(interface) else { return };
        let map = self.map;
        let Some(at) = self.at(interface) else { return };
        let six = |net: &ipnet::IpNet| net.addr().is_ipv6() && !map.nets(at).any(|own| own == *net);
        self.make(node, |fact| matches!(fact, Fact::Addr(of, net) if *of == port && six(net)));
        self.described_routes(node, |net| net.addr().is_ipv6());
    }

    /// The default of whoever sends packets that live for so few hops.
    pub(super) fn short_lived(&mut self, ttl: u8) {
        let Some(goal) = self.goal else { return };
        let ends = self.map.owners(goal.to).iter().map(|owner| owner.place);
        let places = self.view.places.iter().position(|place| place.id == *goal.from).into_iter().chain(ends);
        for place in places.collect::<Vec<_>>() {
            let own = self.map.tables(place).settings.as_ref().and_then(|settings| settings.ttl);
            if own == Some(ttl) && ttl < DEFAULT_TTL {
                self.step_at(place, Edit::setting("ipv4.ip_default_ttl", DEFAULT_TTL.into()));
                self.or();
            }
        }
    }

    pub(super) fn echo(&mut self, node: &str) {
        let Some(place) = self.place(node) else { return };
        let Some(settings) = &self.map.tables(place).settings else { return };
        let (v4, v6) = settings.echo_ignored;
        for (ignored, setting) in [(v4, "ipv4.icmp_echo_ignore_all"), (v6, "ipv6.icmp.echo_ignore_all")] {
            if ignored {
                self.step(node, Edit::setting(setting, 0));
            }
        }
    }
}

/// The tables that `iptables` and `ip6tables` make, and their chains with a hook.
const TABLES: [&str; 5] = ["filter", "nat", "mangle", "raw", "security"];
const CHAINS: [&str; 5] = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"];

impl Cures<'_> {
    pub(super) fn filtered(&mut self, cause: &Cause) {
        let Cause::Filtered { node, family, table, chain, rule, number, .. } = cause else { return };
        let program = match family.as_str() {
            "ip" => Some("iptables"),
            "ip6" => Some("ip6tables"),
            _ => None,
        };
        let program = program.filter(|_| TABLES.contains(&table.as_str()) && CHAINS.contains(&chain.as_str()));
        let place = format!("{family} {} {}", quoted(table), quoted(chain));
        let of_table = if table == "filter" { String::new() } else { format!(" -t {table}") };
        let command = match (program, rule, number) {
            (Some(program), Some(_), Some(number)) => format!("{program}{of_table} -D {chain} {number}"),
            (Some(program), None, _) => format!("{program}{of_table} -P {chain} ACCEPT"),
            (_, Some(handle), _) => format!("nft delete rule {place} handle {handle}"),
            (None, None, _) if family == "arp" => format!("nft add rule {place} accept"),
            (None, None, _) => {
                let of = match self.goal.map(|goal| goal.transport) {
                    Some(Transport::Tcp { .. }) => "tcp",
                    Some(Transport::Udp { .. }) => "udp",
                    _ => "'{ icmp, icmpv6 }'",
                };
                format!("nft add rule {place} meta l4proto {of} accept")
            }
        };
        // Such chains see the questions for MAC addresses, too.
        if rule.is_none() && ["bridge", "netdev"].contains(&family.as_str()) {
            self.step(node, Edit::Other { command: format!("nft add rule {place} meta protocol arp accept") });
        }
        self.step(node, Edit::Other { command });
    }
}
