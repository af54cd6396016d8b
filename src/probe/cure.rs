//! The commands that mend what a packet dies of, as they are typed. Each is tried in the tables before it is named.

mod addresses;
mod addressing;
mod apply;
mod cabling;
mod edit;
mod links;
mod routes;
pub(in crate::probe) mod trial;

#[doc(hidden)]
pub use addressing::Effect;
#[doc(hidden)]
pub use apply::rehearse;
#[doc(hidden)]
pub use edit::Edit;
use std::net::IpAddr;

use netlink_packet_route::route::RouteProtocol;
pub use trial::Goal;
use trial::Step;

use super::is_link_local;
use super::predict::Prediction;
use super::predict::lookup::{Flow, Found, lookup};
use super::predict::map::{At, Map};
use super::view::View;
use crate::kernel::tables::{self, Detection};
use crate::lab::resolve::word;
use crate::name::IfName;
use crate::plan::{Fact, NodeId, Ns, Port, RouteTo, quoted};
use crate::report::trace::{Cause, Route};
use crate::report::wire::Interface;
use crate::typed;

/// The commands against a cause that is no packet's, in order: the kernel would take them, and they change something. Empty
/// where no command helps, where nslab knows none, and where one would have to be typed on another machine, of whose nodes
/// nothing is known here.
pub fn cure(view: &View, cause: &Cause) -> Vec<String> {
    let tried = candidates(view, None, cause).into_iter().find_map(|steps| trial::carry_out(&mut view.places.clone(), steps));
    typed(view, &tried.unwrap_or_default())
}

/// The commands against what a packet dies of, as [`cure`]: with them it is answered, or comes further where nslab knows no way
/// to an answer.
pub fn cure_of(view: &View, goal: &Goal<'_>, cause: &Cause) -> Vec<String> {
    typed(view, &trial::mend(view, goal, cause))
}

/// The commands that lead a node's packets for an address over a router, in place of its route or beside one that is to stay.
pub fn lead_over(view: &View, node: &str, route: &Route, to: IpAddr, via: IpAddr) -> Vec<String> {
    let map = Map::new(view);
    let cures = Cures { view, map: &map, goal: None, done: Vec::new(), steps: Vec::new() };
    let Some(place) = cures.place(node) else { return Vec::new() };
    let subnet = map.owners(to).iter().flat_map(|owner| map.nets(*owner)).find(|net| net.addr() == to).map(|net| net.trunc());
    let ways = std::iter::once(Edit::replace(route.to, via)).chain(subnet.map(|net| Edit::route(net, via)));
    let tried = ways.map(|edit| Step { place, edit }).filter(|step| !cures.is_protected(step));
    let made = tried.into_iter().find_map(|step| trial::carry_out(&mut view.places.clone(), vec![step]));
    typed(view, &made.unwrap_or_default())
}

/// A prediction with its cures.
pub fn with_cures(view: &View, goal: &Goal<'_>, mut prediction: Prediction) -> Prediction {
    if let Some(death) = &mut prediction.death {
        death.cure = cure_of(view, goal, &death.cause);
    }
    for note in &mut prediction.notes {
        note.cure = cure(view, &note.cause);
    }
    prediction
}

/// Changes that may mend a cause, each a list in order; what is less of a change comes first.
fn candidates(view: &View, goal: Option<&Goal<'_>>, cause: &Cause) -> Vec<Vec<Step>> {
    let map = Map::new(view);
    let mut cures = Cures { view, map: &map, goal, done: Vec::new(), steps: Vec::new() };
    cures.find(cause);
    cures.or();
    let done = std::mem::take(&mut cures.done);
    done.into_iter().filter(|steps| !steps.iter().any(|step| cures.is_protected(step))).collect()
}

/// As they are typed; none where one is for a node where nobody has looked.
fn typed(view: &View, steps: &[Step]) -> Vec<String> {
    if steps.iter().any(|step| view.places[step.place].remote) {
        return Vec::new();
    }
    let mut lines: Vec<String> = Vec::new();
    for step in steps {
        let command = step.edit.command();
        let anywhere = matches!(step.edit, Edit::AsDescribed { .. });
        let line = typed::here(&if anywhere { command } else { within(view, step.place, &command) });
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

/// A command in a node.
fn within(view: &View, place: usize, command: &str) -> String {
    let here = &view.places[place];
    let short = |id: &NodeId| {
        let alone = view.places.iter().filter(|place| !place.by_hand && place.id.name() == id.name()).count() < 2;
        if alone { id.name().to_string() } else { word(id) }
    };
    match &here.id {
        NodeId::Container(host, name) if here.by_hand => {
            let inside = format!("ip netns exec {} {command}", quoted(name.as_str()));
            view.prompt.within(&short(&NodeId::Host(host.clone())), &inside)
        }
        id => view.prompt.within(&short(id), command),
    }
}

/// The priority of the kernel's own rule for the main table (`fib_default_rules_init`).
const MAIN_RULE: u32 = 32766;

/// Changes being written down.
struct Cures<'a> {
    view: &'a View,
    map: &'a Map<'a>,
    /// The packet that is to be answered, where it is about one.
    goal: Option<&'a Goal<'a>>,
    done: Vec<Vec<Step>>,
    /// The list under way.
    steps: Vec<Step>,
}

impl Cures<'_> {
    fn find(&mut self, cause: &Cause) {
        match cause {
            Cause::NoRoute { node, to } => self.no_route(node, *to),
            Cause::NoRule { node, to } => self.step(node, Edit::AddRule { priority: MAIN_RULE, ipv6: to.is_ipv6() }),
            Cause::TtlExpired { ttl, .. } => self.short_lived(*ttl),
            Cause::NoAddress { node } => self.no_address(node),
            Cause::ForwardingOff { node, ipv6 } => self.forwarding_off(node, *ipv6),
            Cause::WrongPrefix { interface, address, other, .. } => self.wrong_prefix(interface, *address, *other),
            Cause::OtherSubnet { interface, own, owner, other } => self.other_subnet(interface, *own, owner, *other),
            Cause::NotOnLink { interface, route, to, .. } => self.not_on_link(interface, route, *to),
            Cause::Overlap { interface, owner, .. } => self.overlap(interface, owner),
            Cause::OnLoopback { interface, address } => self.on_loopback(interface, *address),
            Cause::NoSuchGateway { node, gateway, route } => self.no_such_gateway(node, *gateway, route),
            Cause::LinkDown { interface, peer } => self.link_down(peer.as_ref().unwrap_or(interface)),
            Cause::Ipsec { node, policy } => self.step(node, Edit::DelPolicy { words: policy.clone() }),
            Cause::AddressUnused { interface, address, failed: true } => {
                self.step(&interface.node, Edit::del_address(&interface.interface, *address));
                self.step(&interface.node, Edit::add_address(&interface.interface, *address));
            }
            Cause::NoCable { node, ends } => self.no_cable(node, ends),
            Cause::CableElsewhere { end, home, .. } => self.cable_elsewhere(end.as_ref(), home),
            Cause::NotInBridge { interface, bridges } => self.not_in_bridge(interface, bridges),
            Cause::WrongBridge { interface, wanted, .. } => self.wrong_bridge(interface, wanted.as_deref()),
            Cause::VlanSorted { interface, vlan, .. } => self.vlan_sorted(interface, *vlan),
            Cause::PortClosed { interface, state } => self.port_closed(interface, state),
            Cause::Unresolved { owner, .. } => {
                if let Some(owner) = owner {
                    self.unanswered(owner);
                }
            }
            Cause::DuplicateAddress { address, owners } => self.duplicate_address(*address, owners),
            Cause::DuplicateMac { mac, owners } | Cause::ClonedMac { mac, owners } => self.duplicate_mac(mac, owners),
            Cause::ReversePath { interface, source, strict } => self.reverse_path(interface, *source, *strict),
            Cause::TooBig { interface, size, .. } | Cause::BlackHole { interface, size, .. } => self.too_big(interface, *size),
            Cause::Refused { node, kind, to } => self.refused(node, kind, *to),
            Cause::Barred { node, priority, ipv6, .. } => {
                self.step(node, Edit::DelRule { priority: *priority, ipv6: *ipv6 });
            }
            Cause::WrongFdb { interface, mac, .. } => {
                if let Ok(mac) = mac.parse() {
                    self.step(&interface.node, Edit::DelFdb { dev: interface.interface.clone(), mac });
                }
            }
            Cause::WrongNeighbour { interface, address, .. } => {
                self.step(&interface.node, Edit::DelNeighbour { address: *address, dev: interface.interface.clone() });
            }
            Cause::Loop { to, routes, .. } => self.circle(*to, routes),
            Cause::NotARouter { node, route, .. } => self.not_a_router(node, route),
            Cause::ArpIgnored { interface, .. } => self.unanswered(interface),
            Cause::Ipv6Off { interface, mtu } => self.ipv6_off(interface, *mtu),
            Cause::AddressOnPort { interface, address, bridge } => self.on_port(interface, *address, bridge),
            Cause::AddressElsewhere { interface, address, belongs, instead } => {
                self.address_elsewhere(interface, *address, belongs, *instead);
            }
            Cause::OtherNic { interface, route, owner } => {
                if let Some(owner) = owner {
                    self.other_nic(interface, route, owner);
                }
            }
            Cause::NoArp { interface } => self.step(&interface.node, Edit::Arp { dev: interface.interface.clone() }),
            Cause::Broadcast { address, owner, .. } => self.broadcast(*address, owner.as_ref()),
            Cause::EchoIgnored { node } => self.echo(node),
            Cause::Filtered { .. } => self.filtered(cause),
            // No command's business.
            Cause::NotFollowed { .. }
            | Cause::OtherVlan { .. }
            | Cause::MacvlanParent { .. }
            | Cause::Dummy { .. }
            | Cause::TunnelEnd { .. }
            | Cause::ForeignMac { .. }
            | Cause::OtherMachine { .. }
            | Cause::AddressUnused { .. }
            | Cause::Unknown { .. }
            | Cause::NobodyListens { .. }
            | Cause::Silent { .. } => {}
        }
    }

    /// A change in a node.
    fn step(&mut self, node: &str, edit: Edit) {
        if let Some(place) = self.place(node) {
            self.step_at(place, edit);
        }
    }

    fn step_at(&mut self, place: usize, edit: Edit) {
        let step = Step { place, edit };
        if !self.steps.contains(&step) {
            self.steps.push(step);
        }
    }

    /// What follows is another way.
    fn or(&mut self) {
        if !self.steps.is_empty() {
            self.done.push(std::mem::take(&mut self.steps));
        }
    }

    /// Whether the change takes something away that the lab's topology or the kernel itself put there.
    fn is_protected(&self, step: &Step) -> bool {
        // What came with an address is not to go without it.
        if let Edit::DelRoute { to, kind: None, .. } | Edit::AddRoute { to, replace: true, .. } = &step.edit {
            let kernel = |route: &tables::Route| route.to == *to && route.protocol == RouteProtocol::Kernel;
            if self.map.tables(step.place).routes.iter().any(kernel) {
                return true;
            }
        }
        let ns = Ns::Node(self.view.places[step.place].id.clone());
        let port = |dev: &str| Port { ns: ns.clone(), dev: IfName::observed(dev) };
        self.view.described().chain(&self.view.kept).any(|fact| match (&step.edit, fact) {
            // One that was refused as another one's comes back anew.
            (Edit::DelAddress { dev, net }, Fact::Addr(at, own)) => {
                let link = self.map.tables(step.place).named(dev);
                let failed = link
                    .is_some_and(|link| link.addresses.iter().any(|own| own.net == *net && own.detection == Detection::Failed));
                // What is described of a cable that was put elsewhere holds no more.
                let interface = Interface { node: self.map.name(step.place), interface: dev.clone() };
                own == net && *at == port(dev) && !failed && !self.is_left_over(&interface, *net)
            }
            (Edit::Master { dev, bridge }, Fact::Member(at, own)) => {
                bridge.as_deref() != Some(own.as_str())
                    && *at == port(dev)
                    && self.map.tables(step.place).named(dev).and_then(|link| link.master).is_some_and(|index| {
                        self.map.tables(step.place).link(index).is_some_and(|link| link.name == own.as_str())
                    })
            }
            (
                Edit::AddRoute { to, via, replace: true, .. } | Edit::DelRoute { to, via, kind: None, .. },
                Fact::Route(of, _, net, _, RouteTo::Via(own, _)),
            ) => {
                let deletes = matches!(step.edit, Edit::DelRoute { .. });
                let there = |route: &tables::Route| route.to == *net && route.hops.iter().any(|hop| hop.via == Some(*own));
                *of == ns && net == to && (deletes || *via != Some(*own)) && self.map.tables(step.place).routes.iter().any(there)
            }
            _ => false,
        })
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
        let edits: Vec<Edit> = self.view.described().filter(|fact| lost(fact)).filter_map(edit_of).collect();
        let any = !edits.is_empty();
        let tables = self.place(node).map(|place| self.map.tables(place));
        for mut edit in edits {
            // An interface may have another name by now: which one leads to the router, the kernel knows.
            if let Edit::AddRoute { via: Some(via), dev, .. } = &mut edit
                && !is_link_local(*via)
                && tables.is_some_and(|tables| dev.as_ref().is_some_and(|dev| tables.named(dev).is_none()))
            {
                *dev = None;
            }
            self.step(node, edit);
        }
        any
    }
}

/// The change that makes a fact.
fn edit_of(fact: &Fact) -> Option<Edit> {
    match fact {
        Fact::Addr(port, net) => Some(Edit::add_address(port.dev.as_str(), *net)),
        Fact::Route(_, _, to, _, RouteTo::Via(via, dev)) => {
            Some(Edit::AddRoute { to: *to, via: Some(*via), dev: Some(dev.to_string()), replace: false })
        }
        Fact::Route(_, _, to, _, RouteTo::Dev(dev)) => {
            Some(Edit::AddRoute { to: *to, via: None, dev: Some(dev.to_string()), replace: false })
        }
        _ => None,
    }
}
