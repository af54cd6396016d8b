//! Between the facts of a plan and the tables of nodes, both ways: how nodes would look, and what a view says in the words of plans.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use netlink_packet_route::route::{RouteProtocol, RouteType};

use crate::kernel::tables::{
    Address, All, BridgePort, Detection, Fdb, LOCAL_TABLE, Link as Seen, NextHop, Route, Settings, Tables, VethPeer, report,
};
use crate::lab::Journal;
use crate::name::{IfName, Mac};
use crate::plan::{Fact, Link, MAIN_TABLE, NodeId, Ns, Port, RouteTo, Slot, State, Sysctl, compile, compile_nodes};
use crate::probe::view::{Place, View};
use crate::report::machine::Kind;

/// Adds the nodes on other machines to those that are here, each network plugged in; what is described of all of them.
pub(super) fn join(journal: &Journal, places: &mut Vec<Place>) -> State {
    let mut described = compile_nodes(&journal.topology);
    let Some(role) = journal.topology.role.as_ref().filter(|_| journal.whole.is_some()) else { return described };
    let host = NodeId::Host(role.host.clone());
    let is_here = |ns: &Ns| match ns {
        Ns::Root => true,
        Ns::Node(NodeId::Host(name) | NodeId::Container(name, _)) => *name == role.host,
        Ns::Node(NodeId::Switch(_)) => false,
    };
    let laid_out = compile(&journal.laid_out());
    let own = Ns::Node(host.clone());
    let is_nic = |port: &Port| port.ns == own && role.nics.values().any(|nic| *nic == port.dev);
    let mut there = Vec::new();
    for fact in &laid_out {
        let wire = match fact {
            Fact::Link(one, Link::Veth { peer }) => [one, peer].into_iter().find(|port| is_nic(port)),
            _ => None,
        };
        if let Some(nic) = wire {
            described.remove(Slot::Link(nic));
        }
        if wire.is_some() || !is_here(fact.ns()) {
            there.push(fact.clone());
        }
    }
    described.extend(there);
    let mut remote = planned(&laid_out);
    remote.retain(|place| !is_here(&Ns::Node(place.id.clone())));
    let Some(machine) = places.iter_mut().find(|place| place.id == host) else { return described };
    plug(machine, &mut remote);
    learn(&machine.tables, &mut remote);
    for place in remote.iter_mut().chain([machine]) {
        let node = report(&place.tables);
        place.node.links = node.links;
    }
    places.extend(remote.into_iter().map(|place| Place { remote: true, ..place }));
    described
}

/// Each of the machine's NICs leads to where the file says that its network's other end is.
fn plug(machine: &mut Place, remote: &mut [Place]) {
    let name = machine.id.to_string();
    for place in remote {
        let node = place.id.to_string();
        for link in &mut place.tables.links {
            let Some(end) = link.peer.as_mut().filter(|end| end.node.as_deref() == Some(name.as_str())) else { continue };
            let Some(nic) = machine.tables.links.iter_mut().find(|nic| Some(nic.name.as_str()) == end.name.as_deref()) else {
                continue;
            };
            end.index = nic.index;
            link.carrier = nic.up;
            nic.peer =
                Some(VethPeer { namespace: None, index: link.index, node: Some(node.clone()), name: Some(link.name.clone()) });
        }
    }
}

/// A real NIC has a MAC address of its own, which its neighbours here have learned.
fn learn(machine: &Tables, remote: &mut [Place]) {
    let known: HashMap<IpAddr, Mac> = machine.neighbours.iter().filter_map(|one| Some((one.address, one.mac?))).collect();
    let hosts = remote.iter_mut().filter(|place| matches!(place.id, NodeId::Host(_)));
    for link in hosts.flat_map(|place| &mut place.tables.links) {
        if let Some(mac) = link.addresses.iter().find_map(|address| known.get(&address.net.addr())) {
            link.mac = Some(*mac);
        }
    }
}

/// Every node of a state, as it would look.
pub(in crate::probe) fn planned(state: &State) -> Vec<Place> {
    let node = |fact: &Fact| if let Fact::Netns(Ns::Node(id)) = fact { Some(place(id, state)) } else { None };
    let mut places: Vec<Place> = state.iter().filter_map(node).collect();
    carriers(&mut places);
    for place in &mut places {
        place.node = report(&place.tables);
        place.node.node = place.id.to_string();
        place.node.kind = Kind::from_node(&place.id);
    }
    places
}

fn place(id: &NodeId, state: &State) -> Place {
    let here = Ns::Node(id.clone());
    let mut tables = Tables { settings: Some(Settings::default()), ..Tables::default() };
    let mut names: Vec<IfName> = vec![IfName::loopback()];
    names.extend(links(&here, state).into_iter().map(|(name, ..)| name));
    let index = |name: &IfName| names.iter().position(|other| other == name).map(|at| number(at + 1));
    let lo = Seen { index: 1, name: "lo".to_owned(), kind: "loopback".to_owned(), mtu: 65536, up: true, ..Seen::default() };
    tables.links.push(lo);
    for (name, kind, peer) in links(&here, state) {
        let port = Port { ns: here.clone(), dev: name.clone() };
        let master = state.master(&port).and_then(index);
        let closed = state.has(Slot::Isolated(&port));
        let forwarding = |setting| state.holds(&Fact::Sysctl(here.clone(), setting, 1));
        tables.all4 = All { forwarding: Some(forwarding(Sysctl::Forward4)), rp_filter: 0 };
        tables.all6 = All { forwarding: Some(forwarding(Sysctl::Forward6)), rp_filter: 0 };
        tables.links.push(Seen {
            index: index(&name).unwrap_or_default(),
            name: name.to_string(),
            kind: kind.to_owned(),
            mac: state.mac(&port),
            mtu: state.mtu(&port).unwrap_or(1500),
            up: state.has(Slot::Up(&port)),
            port: master.map(|_| BridgePort { floods: !closed, learns: !closed, ..BridgePort::default() }),
            master,
            peer: peer.map(|(node, name, index)| VethPeer { namespace: None, index, node: Some(node), name: Some(name) }),
            addresses: addresses(&port, state),
            forwarding4: forwarding(Sysctl::Forward4),
            forwarding6: forwarding(Sysctl::Forward6),
            ..Seen::default()
        });
    }
    routes(&here, state, &mut tables);
    for fact in state {
        let Fact::Fdb(at, mac) = fact else { continue };
        if at.ns == here
            && let Some(port) = index(&at.dev)
            && let Some(bridge) = tables.link(port).and_then(|link| link.master)
        {
            tables.fdb.push(Fdb { bridge, mac: *mac, port, vlan: 0, own: false, fixed: true, sticky: false, age: None });
        }
    }
    Place {
        id: id.clone(),
        pin: PathBuf::new(),
        by_hand: false,
        remote: false,
        node: crate::report::machine::Node::default(),
        tables,
    }
}

/// The other end: its node, name and index.
type End = (String, String, u32);

/// Name, kind, and the other end.
fn links(here: &Ns, state: &State) -> Vec<(IfName, &'static str, Option<End>)> {
    let mut found = Vec::new();
    for (near, link) in state.links() {
        match link {
            Link::Bridge if near.ns == *here => found.push((near.dev.clone(), "bridge", None)),
            Link::Veth { peer } if near.ns == *here || peer.ns == *here => {
                let (own, other) = if near.ns == *here { (near, peer) } else { (peer, near) };
                let Ns::Node(node) = &other.ns else { continue };
                found.push((own.dev.clone(), "veth", Some((node.to_string(), other.dev.to_string(), 0))));
            }
            _ => {}
        }
    }
    found
}

fn addresses(port: &Port, state: &State) -> Vec<Address> {
    let own = |fact: &Fact| if let Fact::Addr(at, net) = fact { (at == port).then_some(*net) } else { None };
    let address = |net| Address { net, secondary: false, scope: 0, detection: Detection::Done, deprecated: false };
    // The kernel takes the addresses of an interface that goes down out of use, but shows those of IPv4.
    let up = state.has(Slot::Up(port));
    state.iter().filter_map(own).filter(|net| up || net.addr().is_ipv4()).map(address).collect()
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
        if let Some(peer) = &mut link.peer {
            let end = ends.iter().find(|(node, name, ..)| Some(node) == peer.node.as_ref() && Some(name) == peer.name.as_ref());
            let (index, up) = end.map_or((0, false), |(.., index, up)| (*index, *up));
            (peer.index, link.carrier) = (index, up && link.up);
        }
    }
}

fn number(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

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
    let peer = link.peer.as_ref().and_then(|peer| Some((*ids.get(peer.node.as_deref()?)?, peer.name.as_deref()?)));
    match (link.kind.as_str(), peer) {
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
