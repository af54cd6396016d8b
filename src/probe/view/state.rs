//! What a view says in the words of plans: to be compared with what is described.

use std::collections::HashMap;

use super::{Place, View};
use crate::kernel::tables::{Link as Seen, Tables};
use crate::name::IfName;
use crate::plan::{Fact, Link, MAIN_TABLE, NodeId, Ns, Port, RouteTo, State, Sysctl};

impl View {
    /// Namespaces, links with their settings and addresses, default routes, whether nodes forward.
    pub fn state(&self) -> State {
        let mut facts = Vec::new();
        let ids: Ids<'_> = self.places.iter().map(|place| (place.node.node.as_str(), &place.id)).collect();
        for place in &self.places {
            place_facts(place, &ids, &mut facts);
        }
        facts.into_iter().collect()
    }
}

/// Nodes by their names.
type Ids<'a> = HashMap<&'a str, &'a NodeId>;

fn place_facts(place: &Place, ids: &Ids<'_>, facts: &mut Vec<Fact>) {
    let ns = Ns::Node(place.id.clone());
    facts.push(Fact::Netns(ns.clone()));
    let tables = &place.tables;
    for (all, setting) in [(&tables.all4, Sysctl::Forward4), (&tables.all6, Sysctl::Forward6)] {
        if let Some(on) = all.forwarding {
            facts.push(Fact::Sysctl(ns.clone(), setting, u32::from(on)));
        }
    }
    for link in tables.links.iter().filter(|link| link.kind != "loopback") {
        link_facts(link, &port(&ns, &link.name), (tables, ids), facts);
    }
    for route in tables.routes.iter().filter(|route| route.table == MAIN_TABLE && route.to.prefix_len() == 0) {
        for hop in &route.hops {
            if let (Some(via), Some(dev)) = (hop.via, tables.link(hop.dev)) {
                let to = RouteTo::Via(via, IfName::observed(&dev.name));
                facts.push(Fact::Route(ns.clone(), MAIN_TABLE, route.to, route.metric.unwrap_or(0), to));
            }
        }
    }
}

fn link_facts(link: &Seen, port: &Port, (tables, ids): (&Tables, &Ids<'_>), facts: &mut Vec<Fact>) {
    if !link.fallback {
        made(link, port, ids, facts);
    }
    if let Some(bridge) = link.master.and_then(|index| tables.link(index)) {
        facts.push(Fact::Member(port.clone(), IfName::observed(&bridge.name)));
    }
    for address in &link.addresses {
        facts.push(Fact::Addr(port.clone(), address.net));
    }
    if link.up {
        facts.push(Fact::Up(port.clone()));
    }
}

/// The link itself, and what it was born with.
fn made(link: &Seen, port: &Port, ids: &Ids<'_>, facts: &mut Vec<Fact>) {
    match kind_of(link, port, ids) {
        Link::Veth { peer } if peer < *port => {
            facts.push(Fact::Link(peer, Link::Veth { peer: port.clone() }));
        }
        kind => {
            facts.push(Fact::Link(port.clone(), kind));
        }
    }
    if let Some(mac) = link.mac {
        facts.push(Fact::Mac(port.clone(), mac));
    }
    facts.push(Fact::Mtu(port.clone(), link.mtu));
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
