//! A lab on paper: the tables that the kernel would have, from a topology and changes to its facts, without root.

use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_route::neighbour::NeighbourState;
use netlink_packet_route::route::{RouteProtocol, RouteType};

use crate::kernel::inspect::report;
use crate::kernel::tables::{Address, All, BridgePort, Far, Fdb, LOCAL_TABLE, Link, Neighbour, NextHop, Route, Settings, Tables};
use crate::name::{IfName, Mac};
use crate::plan::{self, Key, MAIN_TABLE, NodeId, Ns, Port, RouteTo, State, Sysctl, Value, compile};
use crate::probe::view::{Place, View};
use crate::report::node::Kind;
use crate::topology::{catalog, parse};

/// A lab that is described, before anything goes wrong.
#[derive(Clone)]
pub(super) struct Bench {
    state: State,
    described: State,
    name: String,
}

impl Bench {
    /// A shipped topology, or a file's text.
    pub(super) fn new(topology: &str) -> Self {
        let text = catalog::find(topology).unwrap_or(topology);
        let parsed = parse("bench.yaml", text).unwrap_or_else(|error| panic!("{error:?}"));
        let state = compile(&parsed);
        Self { described: state.clone(), state, name: parsed.name.to_string() }
    }

    /// Without the facts whose `ip` lines contain the words; there must be some.
    pub(super) fn without(mut self, words: &str) -> Self {
        let before = self.state.len();
        self.state.retain(|key, value| !plan::Op::Add(key.clone(), value.clone()).to_string().contains(words));
        assert!(self.state.len() < before, "nothing has {words:?}");
        self
    }

    pub(super) fn address(mut self, node: &str, dev: &str, net: &str) -> Self {
        self.state.insert(Key::Addr(port(node, dev), net.parse().unwrap()), Value::Present);
        self
    }

    pub(super) fn mac(mut self, node: &str, dev: &str, mac: &str) -> Self {
        self.state.insert(Key::Mac(port(node, dev)), Value::Mac(mac.parse().unwrap()));
        self
    }

    pub(super) fn mtu(mut self, node: &str, dev: &str, mtu: u32) -> Self {
        self.state.insert(Key::Mtu(port(node, dev)), Value::Number(mtu));
        self
    }

    pub(super) fn forwarding(mut self, node: &str, setting: Sysctl, on: bool) -> Self {
        self.state.insert(Key::Sysctl(ns(node), setting), Value::Number(u32::from(on)));
        self
    }

    pub(super) fn route(mut self, node: &str, to: &str, route: RouteTo) -> Self {
        self.state.insert(Key::Route(ns(node), MAIN_TABLE, net(to), 0), Value::Route(route));
        self
    }

    /// The tables that the kernel would have.
    pub(super) fn view(self) -> View {
        let mut places: Vec<Place> = self
            .state
            .keys()
            .filter_map(|key| match key {
                Key::Netns(Ns::Node(id)) => Some(place(id, &self.state)),
                _ => None,
            })
            .collect();
        carriers(&mut places);
        for place in &mut places {
            place.node = report(&place.tables);
            place.node.node = place.id.to_string();
            place.node.kind = match place.id {
                NodeId::Switch(_) => Kind::Switch,
                NodeId::Host(_) => Kind::Host,
                NodeId::Container(..) => Kind::Container,
            };
        }
        View { lab: self.name.parse().unwrap(), places, described: self.described, several: false }
    }
}

/// A node by its name in reports.
pub(super) fn node(name: &str) -> NodeId {
    match name.split_once('.') {
        Some((host, container)) => NodeId::Container(host.parse().unwrap(), container.parse().unwrap()),
        None => NodeId::Host(name.parse().unwrap()),
    }
}

fn ns(name: &str) -> Ns {
    Ns::Node(node(name))
}

fn port(node: &str, dev: &str) -> Port {
    Port { ns: ns(node), dev: IfName::observed(dev) }
}

pub(super) fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

/// A route by a router.
pub(super) fn via(gateway: &str, dev: &str) -> RouteTo {
    RouteTo::Via(gateway.parse().unwrap(), IfName::observed(dev))
}

impl View {
    /// The tables of a node, to be changed.
    pub(super) fn tables(&mut self, name: &str) -> &mut Tables {
        &mut self.places.iter_mut().find(|place| place.node.node == name).unwrap().tables
    }

    /// An interface, to be changed.
    pub(super) fn link(&mut self, name: &str, dev: &str) -> &mut Link {
        self.tables(name).links.iter_mut().find(|link| link.name == dev).unwrap()
    }

    /// A neighbour entry.
    pub(super) fn neighbour(&mut self, name: &str, dev: &str, address: &str, mac: &str, state: NeighbourState) {
        let dev = self.link(name, dev).index;
        let mac = Some(mac.parse().unwrap());
        self.tables(name).neighbours.push(Neighbour { address: address.parse().unwrap(), dev, mac, state });
    }
}

fn place(id: &NodeId, state: &State) -> Place {
    let here = Ns::Node(id.clone());
    let mut tables = Tables { settings: Some(Settings::default()), ..Tables::default() };
    let mut names: Vec<IfName> = vec![IfName::loopback()];
    names.extend(links(&here, state).into_iter().map(|(name, ..)| name));
    let index = |name: &IfName| names.iter().position(|other| other == name).map(|at| u32::try_from(at + 1).unwrap());
    let lo = Link { index: 1, name: "lo".to_owned(), kind: "loopback".to_owned(), mtu: 65536, up: true, ..Link::default() };
    tables.links.push(lo);
    for (name, kind, far) in links(&here, state) {
        let port = Port { ns: here.clone(), dev: name.clone() };
        let number = |key: &Key| if let Some(Value::Number(number)) = state.get(key) { Some(*number) } else { None };
        let master = match state.get(&Key::Member(port.clone())) {
            Some(Value::Master(bridge)) => index(bridge),
            _ => None,
        };
        let closed = state.contains_key(&Key::Isolated(port.clone()));
        let forwarding = |setting| number(&Key::Sysctl(here.clone(), setting)) == Some(1);
        tables.all4 = All { forwarding: Some(forwarding(Sysctl::Forward4)), rp_filter: 0 };
        tables.all6 = All { forwarding: Some(forwarding(Sysctl::Forward6)), rp_filter: 0 };
        tables.links.push(Link {
            index: index(&name).unwrap(),
            name: name.to_string(),
            kind: kind.to_owned(),
            mac: match state.get(&Key::Mac(port.clone())) {
                Some(Value::Mac(mac)) => Some(*mac),
                _ => None,
            },
            mtu: number(&Key::Mtu(port.clone())).unwrap_or(1500),
            up: state.contains_key(&Key::Up(port.clone())),
            port: master.map(|_| BridgePort { floods: !closed, learns: !closed, ..BridgePort::default() }),
            master,
            peer: far.map(|(node, name, index)| Far { namespace: None, index, node: Some(node), name: Some(name) }),
            addresses: addresses(&port, state),
            forwarding4: forwarding(Sysctl::Forward4),
            ..Link::default()
        });
    }
    routes(&here, state, &mut tables);
    for key in state.keys() {
        let Key::Fdb(at, mac) = key else { continue };
        if at.ns == here
            && let Some(port) = index(&at.dev)
        {
            let bridge = tables.link(port).unwrap().master.unwrap();
            tables.fdb.push(Fdb { bridge, mac: *mac, port, own: false, fixed: true, age: None });
        }
    }
    Place { id: id.clone(), pin: "/".into(), by_hand: false, node: crate::report::node::Node::default(), tables }
}

/// The other end: its node, name and index.
type End = (String, String, u32);

/// Name, kind, and the other end.
fn links(here: &Ns, state: &State) -> Vec<(IfName, &'static str, Option<End>)> {
    let mut found = Vec::new();
    for (key, value) in state {
        let (Key::Link(near), Value::Link(link)) = (key, value) else { continue };
        match link {
            plan::Link::Bridge if near.ns == *here => found.push((near.dev.clone(), "bridge", None)),
            plan::Link::Veth { peer } if near.ns == *here || peer.ns == *here => {
                let (own, far) = if near.ns == *here { (near, peer) } else { (peer, near) };
                let Ns::Node(node) = &far.ns else { continue };
                found.push((own.dev.clone(), "veth", Some((node.to_string(), far.dev.to_string(), 0))));
            }
            _ => {}
        }
    }
    found
}

fn addresses(port: &Port, state: &State) -> Vec<Address> {
    let of = |key: &Key| if let Key::Addr(at, net) = key { (at == port).then_some(*net) } else { None };
    let address = |net| Address { net, secondary: false, scope: 0, tentative: false };
    // The kernel takes the addresses of an interface that goes down out of use, but shows those of IPv4.
    let up = state.contains_key(&Key::Up(port.clone()));
    state.keys().filter_map(of).filter(|net| up || net.addr().is_ipv4()).map(address).collect()
}

/// Local, connected and given routes, as far as their interfaces are up.
fn routes(here: &Ns, state: &State, tables: &mut Tables) {
    let one = |table, to, kind, protocol, via: Option<IpAddr>, dev: u32, source| Route {
        table,
        to,
        kind,
        protocol,
        hops: if dev == 0 { Vec::new() } else { vec![NextHop { via, dev, dead: false }] },
        source,
        metric: None,
        tos: 0,
        mtu: None,
    };
    let mut routes = Vec::new();
    for link in tables.links.iter().filter(|link| link.up) {
        for own in &link.addresses {
            let address = own.net.addr();
            let (kernel, dev) = (RouteProtocol::Kernel, link.index);
            routes.push(one(LOCAL_TABLE, IpNet::from(address), RouteType::Local, kernel, None, dev, Some(address)));
            routes.push(one(MAIN_TABLE, own.net.trunc(), RouteType::Unicast, kernel, None, dev, Some(address)));
        }
    }
    for (key, value) in state {
        let (Key::Route(ns, table, to, _), Value::Route(route)) = (key, value) else { continue };
        let up = |dev: &IfName| tables.links.iter().find(|link| link.up && link.name == dev.as_str()).map(|link| link.index);
        let (kind, via, dev) = match route {
            _ if ns != here => continue,
            RouteTo::Via(via, dev) => (RouteType::Unicast, Some(*via), up(dev)),
            RouteTo::Dev(dev) => (RouteType::Unicast, None, up(dev)),
            RouteTo::Blackhole => (RouteType::BlackHole, None, Some(0)),
            RouteTo::Unreachable => (RouteType::Unreachable, None, Some(0)),
            RouteTo::Prohibit => (RouteType::Prohibit, None, Some(0)),
            RouteTo::Many(_) => panic!("put several next hops into the tables"),
        };
        // A route over a router needs a way to that router.
        let connected = |via: IpAddr| routes.iter().any(|route: &Route| route.table == MAIN_TABLE && route.to.contains(&via));
        if let Some(dev) = dev
            && via.is_none_or(connected)
        {
            routes.push(one(*table, *to, kind, RouteProtocol::Static, via, dev, None));
        }
    }
    tables.routes = routes;
}

/// The indices of the other ends, and who has carrier.
fn carriers(places: &mut [Place]) {
    let ends: Vec<(String, String, u32, bool)> = places
        .iter()
        .flat_map(|place| place.tables.links.iter().map(|link| (place.id.to_string(), link.name.clone(), link.index, link.up)))
        .collect();
    for link in places.iter_mut().flat_map(|place| &mut place.tables.links) {
        link.carrier = true;
        if let Some(far) = &mut link.peer {
            let end = ends.iter().find(|(node, name, ..)| Some(node) == far.node.as_ref() && Some(name) == far.name.as_ref());
            let (.., index, up) = end.unwrap();
            (far.index, link.carrier) = (*index, *up && link.up);
        }
    }
}

/// A MAC address.
pub(super) fn mac(text: &str) -> Mac {
    text.parse().unwrap()
}
