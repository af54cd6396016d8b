//! Nodes on paper: the tables that the kernel would have, from facts alone.

use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use netlink_packet_route::route::{RouteProtocol, RouteType};

use super::Place;
use crate::kernel::inspect::report;
use crate::kernel::tables::{Address, All, BridgePort, Far, Fdb, LOCAL_TABLE, Link, NextHop, Route, Settings, Tables};
use crate::name::IfName;
use crate::plan::{self, Fact, MAIN_TABLE, NodeId, Ns, Port, RouteTo, Slot, State, Sysctl};
use crate::report::node::Kind;

/// Every node of a state, as it would look.
pub(in crate::probe) fn places(state: &State) -> Vec<Place> {
    let node = |fact: &Fact| if let Fact::Netns(Ns::Node(id)) = fact { Some(place(id, state)) } else { None };
    let mut places: Vec<Place> = state.iter().filter_map(node).collect();
    carriers(&mut places);
    for place in &mut places {
        place.node = report(&place.tables);
        place.node.node = place.id.to_string();
        place.node.kind = Kind::of(&place.id);
    }
    places
}

fn place(id: &NodeId, state: &State) -> Place {
    let here = Ns::Node(id.clone());
    let mut tables = Tables { settings: Some(Settings::default()), ..Tables::default() };
    let mut names: Vec<IfName> = vec![IfName::loopback()];
    names.extend(links(&here, state).into_iter().map(|(name, ..)| name));
    let index = |name: &IfName| names.iter().position(|other| other == name).map(|at| number(at + 1));
    let lo = Link { index: 1, name: "lo".to_owned(), kind: "loopback".to_owned(), mtu: 65536, up: true, ..Link::default() };
    tables.links.push(lo);
    for (name, kind, far) in links(&here, state) {
        let port = Port { ns: here.clone(), dev: name.clone() };
        let master = state.master(&port).and_then(index);
        let closed = state.has(Slot::Isolated(&port));
        let forwarding = |setting| state.holds(&Fact::Sysctl(here.clone(), setting, 1));
        tables.all4 = All { forwarding: Some(forwarding(Sysctl::Forward4)), rp_filter: 0 };
        tables.all6 = All { forwarding: Some(forwarding(Sysctl::Forward6)), rp_filter: 0 };
        tables.links.push(Link {
            index: index(&name).unwrap_or_default(),
            name: name.to_string(),
            kind: kind.to_owned(),
            mac: state.mac(&port),
            mtu: state.mtu(&port).unwrap_or(1500),
            up: state.has(Slot::Up(&port)),
            port: master.map(|_| BridgePort { floods: !closed, learns: !closed, ..BridgePort::default() }),
            master,
            peer: far.map(|(node, name, index)| Far { namespace: None, index, node: Some(node), name: Some(name) }),
            addresses: addresses(&port, state),
            forwarding4: forwarding(Sysctl::Forward4),
            ..Link::default()
        });
    }
    routes(&here, state, &mut tables);
    for fact in state {
        let Fact::Fdb(at, mac) = fact else { continue };
        if at.ns == here
            && let Some(port) = index(&at.dev)
            && let Some(bridge) = tables.link(port).and_then(|link| link.master)
        {
            tables.fdb.push(Fdb { bridge, mac: *mac, port, own: false, fixed: true, age: None });
        }
    }
    Place { id: id.clone(), pin: PathBuf::new(), by_hand: false, far: false, node: crate::report::node::Node::default(), tables }
}

/// The other end: its node, name and index.
type End = (String, String, u32);

/// Name, kind, and the other end.
fn links(here: &Ns, state: &State) -> Vec<(IfName, &'static str, Option<End>)> {
    let mut found = Vec::new();
    for (near, link) in state.links() {
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
    let of = |fact: &Fact| if let Fact::Addr(at, net) = fact { (at == port).then_some(*net) } else { None };
    let address = |net| Address { net, secondary: false, scope: 0, tentative: false };
    // The kernel takes the addresses of an interface that goes down out of use, but shows those of IPv4.
    let up = state.has(Slot::Up(port));
    state.iter().filter_map(of).filter(|net| up || net.addr().is_ipv4()).map(address).collect()
}

/// Local, connected and given routes, as far as their interfaces are up.
fn routes(here: &Ns, state: &State, tables: &mut Tables) {
    let hop = |via, dev| NextHop { via, dev, dead: false };
    let one = |table, to, kind, protocol, hops, source| Route {
        table,
        to,
        kind,
        protocol,
        hops,
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
            routes.push(one(LOCAL_TABLE, IpNet::from(address), RouteType::Local, kernel, vec![hop(None, dev)], Some(address)));
            routes.push(one(MAIN_TABLE, own.net.trunc(), RouteType::Unicast, kernel, vec![hop(None, dev)], Some(address)));
        }
    }
    for fact in state {
        let Fact::Route(ns, table, to, _, route) = fact else { continue };
        let up = |dev: &IfName| tables.links.iter().find(|link| link.up && link.name == dev.as_str()).map(|link| link.index);
        if ns != here {
            continue;
        }
        // A route over a router needs a way to that router.
        let connected = |via: IpAddr| routes.iter().any(|route: &Route| route.table == MAIN_TABLE && route.to.contains(&via));
        let over = |via: IpAddr, dev: &IfName| up(dev).filter(|_| connected(via)).map(|dev| hop(Some(via), dev));
        let (kind, hops): (_, Vec<NextHop>) = match route {
            RouteTo::Via(via, dev) => (RouteType::Unicast, over(*via, dev).into_iter().collect()),
            RouteTo::Dev(dev) => (RouteType::Unicast, up(dev).map(|dev| hop(None, dev)).into_iter().collect()),
            RouteTo::Many(ways) => (RouteType::Unicast, ways.iter().filter_map(|(via, dev)| over(*via, dev)).collect()),
            RouteTo::Blackhole => (RouteType::BlackHole, Vec::new()),
            RouteTo::Unreachable => (RouteType::Unreachable, Vec::new()),
            RouteTo::Prohibit => (RouteType::Prohibit, Vec::new()),
        };
        if kind != RouteType::Unicast || !hops.is_empty() {
            routes.push(one(*table, *to, kind, RouteProtocol::Static, hops, None));
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
            let (index, up) = end.map_or((0, false), |(.., index, up)| (*index, *up));
            (far.index, link.carrier) = (index, up && link.up);
        }
    }
}

fn number(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
