//! The commands that mend what a packet dies of, as they are typed.

mod addresses;
mod filters;
mod links;
mod routes;

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
    cures.of(cause);
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
    fn of(&mut self, cause: &Cause) {
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
        self.blind |= here.far;
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
        self.map.of(place).find(|at| self.map.link(*at).name == interface.interface)
    }

    fn ns(&self, node: &str) -> Option<Ns> {
        Some(Ns::Node(self.view.places[self.place(node)?].id.clone()))
    }

    fn port(&self, interface: &Interface) -> Option<Port> {
        Some(Port { ns: self.ns(&interface.node)?, dev: IfName::observed(&interface.interface) })
    }

    /// A fact of the topology, made again.
    fn make(&mut self, node: &str, fact: Fact) {
        // Within a node the command names no namespace.
        self.run(node, &line(&Op::Add(fact.moved(&Ns::Root)), &ToString::to_string));
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
