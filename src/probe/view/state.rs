//! What a view says in the words of plans: to be compared with what is described.

use std::collections::HashMap;

use super::{Place, View};
use crate::kernel::tables::{Link as Seen, Tables};
use crate::name::IfName;
use crate::plan::{Key, Link, MAIN_TABLE, NodeId, Ns, Port, RouteTo, State, Sysctl, Value};

impl View {
    /// Namespaces, links with their settings and addresses, default routes, whether nodes forward.
    pub fn state(&self) -> State {
        let mut state = State::new();
        let ids: Ids<'_> = self.places.iter().map(|place| (place.node.node.as_str(), &place.id)).collect();
        for place in &self.places {
            place_state(place, &ids, &mut state);
        }
        state
    }
}

/// Nodes by their names.
type Ids<'a> = HashMap<&'a str, &'a NodeId>;

fn place_state(place: &Place, ids: &Ids<'_>, state: &mut State) {
    let ns = Ns::Node(place.id.clone());
    state.insert(Key::Netns(ns.clone()), Value::Present);
    let tables = &place.tables;
    for (all, setting) in [(&tables.all4, Sysctl::Forward4), (&tables.all6, Sysctl::Forward6)] {
        if let Some(on) = all.forwarding {
            state.insert(Key::Sysctl(ns.clone(), setting), Value::Number(u32::from(on)));
        }
    }
    for link in tables.links.iter().filter(|link| link.kind != "loopback") {
        link_state(link, &port(&ns, &link.name), (tables, ids), state);
    }
    for route in tables.routes.iter().filter(|route| route.table == MAIN_TABLE && route.to.prefix_len() == 0) {
        for hop in &route.hops {
            if let (Some(via), Some(dev)) = (hop.via, tables.link(hop.dev)) {
                let to = RouteTo::Via(via, IfName::observed(&dev.name));
                state.insert(Key::Route(ns.clone(), MAIN_TABLE, route.to, route.metric.unwrap_or(0)), Value::Route(to));
            }
        }
    }
}

fn link_state(link: &Seen, port: &Port, (tables, ids): (&Tables, &Ids<'_>), state: &mut State) {
    if !link.fallback {
        made(link, port, ids, state);
    }
    if let Some(bridge) = link.master.and_then(|index| tables.link(index)) {
        state.insert(Key::Member(port.clone()), Value::Master(IfName::observed(&bridge.name)));
    }
    for address in &link.addresses {
        state.insert(Key::Addr(port.clone(), address.net), Value::Present);
    }
    if link.up {
        state.insert(Key::Up(port.clone()), Value::Present);
    }
}

/// The link itself, and what it was born with.
fn made(link: &Seen, port: &Port, ids: &Ids<'_>, state: &mut State) {
    match kind_of(link, port, ids) {
        Link::Veth { peer } if peer < *port => {
            state.insert(Key::Link(peer), Value::Link(Link::Veth { peer: port.clone() }));
        }
        kind => {
            state.insert(Key::Link(port.clone()), Value::Link(kind));
        }
    }
    if let Some(mac) = link.mac {
        state.insert(Key::Mac(port.clone()), Value::Mac(mac));
    }
    state.insert(Key::Mtu(port.clone()), Value::Number(link.mtu));
}

/// A veth whose other end is in no node of the lab is a link like any other.
fn kind_of(link: &Seen, port: &Port, ids: &Ids<'_>) -> Link {
    let far = link.peer.as_ref().and_then(|far| Some((*ids.get(far.node.as_deref()?)?, far.name.as_deref()?)));
    match (link.kind.as_str(), far) {
        ("bridge", _) => Link::Bridge,
        // A real NIC whose other end is known is one end of a wire, too.
        (_, Some((id, name))) => {
            let peer = self::port(&Ns::Node(id.clone()), name);
            if peer == *port { Link::Other(link.kind.clone()) } else { Link::Veth { peer } }
        }
        (kind, _) => Link::Other(kind.to_owned()),
    }
}

fn port(ns: &Ns, dev: &str) -> Port {
    Port { ns: ns.clone(), dev: IfName::observed(dev) }
}
