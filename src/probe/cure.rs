//! The commands that mend what a packet dies of, as they are typed.

mod routes;

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::predict::lookup::{Flow, Found, lookup};
use super::predict::map::{At, Map};
use super::view::View;
use crate::lab::resolve::word;
use crate::name::IfName;
use crate::plan::steps::line;
use crate::plan::{Fact, NodeId, Ns, Op, Port, quoted};
use crate::report::trace::Cause;
use crate::report::wire::Interface;
use crate::typed;

/// The commands against a cause, in order; empty where no command helps, where nslab knows none, and where one would have to
/// be typed on another machine, of whose nodes nothing is known here.
pub fn cure(view: &View, cause: &Cause) -> Vec<String> {
    let map = Map::new(view);
    let mut cures = Cures { view, map: &map, lines: Vec::new(), blind: false };
    cures.for_cause(cause);
    if cures.blind {
        return Vec::new();
    }
    cures.lines.iter().map(|line| typed::here(line)).collect()
}

/// Commands being written down.
struct Cures<'a> {
    view: &'a View,
    map: &'a Map<'a>,
    lines: Vec<String>,
    /// A command is for a node where nobody has looked.
    blind: bool,
}

impl Cures<'_> {
    fn for_cause(&mut self, cause: &Cause) {
        match cause {
            Cause::NoRoute { node, to } => self.no_route(node, *to),
            Cause::NoAddress { node } => self.no_address(node),
            Cause::ForwardingOff { node, ipv6 } => self.forwarding_off(node, *ipv6),
            Cause::WrongPrefix { interface, address, other, .. } => self.wrong_prefix(interface, *address, *other),
            Cause::NoSuchGateway { node, gateway, route } => self.no_such_gateway(node, *gateway, route),
            Cause::LinkDown { interface, peer } => self.link_down(peer.as_ref().unwrap_or(interface)),
            Cause::NotInBridge { interface, bridges } => self.not_in_bridge(interface, bridges),
            Cause::PortClosed { interface, state } => self.port_closed(interface, state),
            Cause::Unresolved { owner, .. } => {
                if let Some(owner) = owner {
                    self.unanswered(owner);
                }
            }
            Cause::DuplicateAddress { address, owners } => self.duplicate_address(*address, owners),
            Cause::DuplicateMac { mac, owners } | Cause::ClonedMac { mac, owners } => self.duplicate_mac(mac, owners),
            Cause::ReversePath { interface, source, strict } => self.reverse_path(interface, *source, *strict),
            Cause::TooBig { interface, size, .. } => self.too_big(interface, *size),
            Cause::Refused { node, kind, to } => self.refused(node, kind, *to),
            Cause::WrongNeighbour { interface, address, .. } => {
                self.run(&interface.node, &format!("ip neighbour del {address} dev {}", quoted(&interface.interface)));
            }
            Cause::Loop { routes, .. } => self.circle(routes),
            Cause::AddressOnPort { interface, address, bridge } => self.on_port(interface, *address, bridge),
            Cause::OtherNic { interface, owner, .. } => {
                if let Some(owner) = owner {
                    self.other_nic(interface, owner);
                }
            }
            Cause::EchoIgnored { node } => self.echo(node),
            Cause::Filtered { .. } => self.filtered(cause),
            // No command's business.
            Cause::TtlExpired { .. } | Cause::ForeignMac { .. } | Cause::OtherMachine { .. } | Cause::Unknown { .. } => {}
        }
    }

    /// A command in a node.
    fn run(&mut self, node: &str, command: &str) {
        let Some(place) = self.place(node) else { return };
        let here = &self.view.places[place];
        self.blind |= here.remote;
        let line = match &here.id {
            NodeId::Container(host, name) if here.by_hand => {
                let inside = format!("ip netns exec {} {command}", quoted(name.as_str()));
                self.view.prompt.within(&self.short(&NodeId::Host(host.clone())), &inside)
            }
            id => self.view.prompt.within(&self.short(id), command),
        };
        if !self.lines.contains(&line) {
            self.lines.push(line);
        }
    }

    /// The shortest words for a node within its lab.
    fn short(&self, id: &NodeId) -> String {
        let alone = self.view.places.iter().filter(|place| !place.by_hand && place.id.name() == id.name()).count() < 2;
        if alone { id.name().to_string() } else { word(id) }
    }

    fn place(&self, node: &str) -> Option<usize> {
        self.view.places.iter().position(|place| place.node.node == node)
    }

    fn at(&self, interface: &Interface) -> Option<At> {
        let place = self.place(&interface.node)?;
        self.map.interfaces(place).find(|at| self.map.link(*at).name == interface.interface)
    }

    fn ns(&self, node: &str) -> Option<Ns> {
        Some(Ns::Node(self.view.places[self.place(node)?].id.clone()))
    }

    fn port(&self, interface: &Interface) -> Option<Port> {
        Some(Port { ns: self.ns(&interface.node)?, dev: IfName::observed(&interface.interface) })
    }

    /// Makes facts of the topology again; whether there are any.
    fn make(&mut self, node: &str, lost: impl Fn(&Fact) -> bool) -> bool {
        let lost: Vec<Fact> = self.view.described().filter(|fact| lost(fact)).cloned().collect();
        let any = !lost.is_empty();
        for fact in lost {
            // Within a node the command names no namespace.
            self.run(node, &line(&Op::Add(fact.moved(&Ns::Root)), &ToString::to_string));
        }
        any
    }

    fn echo(&mut self, node: &str) {
        let Some(place) = self.place(node) else { return };
        let Some(settings) = &self.map.tables(place).settings else { return };
        let (v4, v6) = settings.echo_ignored;
        for (ignored, setting) in [(v4, "net.ipv4.icmp_echo_ignore_all"), (v6, "net.ipv6.icmp.echo_ignore_all")] {
            if ignored {
                self.run(node, &format!("sysctl -w {setting}=0"));
            }
        }
    }
}

impl Cures<'_> {
    /// Up again, with the addresses and routes that left with it.
    fn link_down(&mut self, interface: &Interface) {
        let node = &interface.node;
        self.run(node, &format!("ip link set {} up", quoted(&interface.interface)));
        let (Some(port), Some(at)) = (self.port(interface), self.at(interface)) else { return };
        let map = self.map;
        self.make(node, |fact| matches!(fact, Fact::Addr(of, net) if *of == port && !map.nets(at).any(|own| own == *net)));
        self.described_routes(node, |_| true);
    }

    fn not_in_bridge(&mut self, interface: &Interface, bridges: &[String]) {
        let node = &interface.node;
        let Some(at) = self.at(interface) else { return };
        let mut plug = vec![at];
        let bridge = bridges.first().map_or("br0", String::as_str);
        if bridges.is_empty() {
            self.run(node, "ip link add br0 type bridge");
            self.run(node, "ip link set br0 up");
            plug.extend(self.map.interfaces(at.place).filter(|other| *other != at && self.map.is_loose(*other)));
        }
        for at in plug {
            let link = self.map.link(at);
            self.run(node, &format!("ip link set {} master {}", quoted(&link.name), quoted(bridge)));
            if !link.up {
                self.run(node, &format!("ip link set {} up", quoted(&link.name)));
            }
        }
    }

    fn port_closed(&mut self, interface: &Interface, state: &str) {
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
    fn forwarding_off(&mut self, node: &str, ipv6: bool) {
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
    fn unanswered(&mut self, owner: &Interface) {
        let Some(at) = self.at(owner) else { return };
        let all = self.map.tables(at.place).settings.as_ref().map_or(0, |settings| settings.arp_ignore);
        for (value, name) in [(all, "all"), (self.map.link(at).arp_ignore, &*owner.interface)] {
            if value > 0 {
                self.run(&owner.node, &format!("sysctl -w net.ipv4.conf.{}.arp_ignore=0", quoted(name)));
            }
        }
    }

    /// Loose where there is a way back by another interface, else off: the higher of two settings holds, and 2 is loose.
    fn reverse_path(&mut self, interface: &Interface, source: IpAddr, strict: bool) {
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
    fn too_big(&mut self, interface: &Interface, size: u32) {
        let Some(start) = self.at(interface) else { return };
        let mtu = size.max(1500);
        let (mut seen, mut queue) = (BTreeSet::from([start]), vec![start]);
        while let Some(at) = queue.pop() {
            let mut next: Vec<At> = self.map.peer(at).into_iter().chain(self.map.bridge(at)).collect();
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

/// The tables that `iptables` and `ip6tables` make, and their chains with a hook.
const TABLES: [&str; 5] = ["filter", "nat", "mangle", "raw", "security"];
const CHAINS: [&str; 5] = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"];

impl Cures<'_> {
    fn filtered(&mut self, cause: &Cause) {
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
            (None, None, _) => format!("nft add rule {place} meta l4proto '{{ icmp, icmpv6 }}' accept"),
        };
        self.run(node, &command);
    }
}
