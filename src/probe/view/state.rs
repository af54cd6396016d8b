//! What a view says in the words of plans: to be compared with what is described.

use super::{Place, View};
use crate::kernel::tables::{Link as Seen, Tables};
use crate::name::IfName;
use crate::plan::{Key, Link, MAIN_TABLE, NodeId, Ns, Port, RouteTo, State, Sysctl, Value};

impl View {
    /// Namespaces, links with their settings and addresses, default routes, whether nodes forward.
    pub fn state(&self) -> State {
        let mut state = State::new();
        for place in &self.places {
            self.place_state(place, &mut state);
        }
        state
    }

    fn place_state(&self, place: &Place, state: &mut State) {
        let ns = Ns::Node(place.id.clone());
        state.insert(Key::Netns(ns.clone()), Value::Present);
        let tables = &place.tables;
        for (all, setting) in [(&tables.all4, Sysctl::Forward4), (&tables.all6, Sysctl::Forward6)] {
            if let Some(on) = all.forwarding {
                state.insert(Key::Sysctl(ns.clone(), setting), Value::Number(u32::from(on)));
            }
        }
        for link in tables.links.iter().filter(|link| link.kind != "loopback") {
            self.link_state(link, &port(&ns, &link.name), tables, state);
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

    fn link_state(&self, link: &Seen, port: &Port, tables: &Tables, state: &mut State) {
        match self.kind_of(link, port) {
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

    /// A veth whose other end is in no node of the lab is a link like any other.
    fn kind_of(&self, link: &Seen, port: &Port) -> Link {
        let far = link.peer.as_ref().and_then(|far| Some((self.id(far.node.as_deref()?)?, far.name.as_deref()?)));
        match (link.kind.as_str(), far) {
            ("bridge", _) => Link::Bridge,
            ("veth", Some((id, name))) => {
                let peer = self::port(&Ns::Node(id.clone()), name);
                if peer == *port { Link::Other(link.kind.clone()) } else { Link::Veth { peer } }
            }
            (kind, _) => Link::Other(kind.to_owned()),
        }
    }

    fn id(&self, node: &str) -> Option<&NodeId> {
        self.places.iter().map(|place| &place.id).find(|id| {
            let (host, name) = node.split_once('.').map_or((node, None), |(host, name)| (host, Some(name)));
            match id {
                NodeId::Switch(own) | NodeId::Host(own) => name.is_none() && own.as_str() == host,
                NodeId::Container(own, container) => name == Some(container.as_str()) && own.as_str() == host,
            }
        })
    }
}

fn port(ns: &Ns, dev: &str) -> Port {
    Port { ns: ns.clone(), dev: IfName::observed(dev) }
}
