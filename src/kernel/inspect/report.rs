//! From tables to what `show` tells of a node.

use netlink_packet_route::neighbour::NeighbourState;
use netlink_packet_route::route::RouteType;

use crate::kernel::tables::{self, LOCAL_TABLE, Tables};
use crate::report::node::{Fdb, FdbState, Forwarding, Link, Neighbour, Node, Peer, Route};

/// What of it people want to see; the lab, the node and its kind are left for the caller to fill in.
pub fn report(tables: &Tables) -> Node {
    let name = |index: u32| tables.link(index).map(|link| link.name.clone());
    let mut node = Node {
        forwarding: Forwarding { ipv4: tables.all4.forwarding, ipv6: tables.all6.forwarding },
        links: tables.links.iter().map(|link| of_link(link, tables)).collect(),
        routes: tables.routes.iter().filter_map(|route| of_route(route, tables)).collect(),
        ..Node::default()
    };
    for entry in &tables.neighbours {
        // The kernel keeps entries for multicast and its own addresses, which nobody resolved.
        if entry.state == NeighbourState::Noarp {
            continue;
        }
        let Some(dev) = name(entry.dev) else { continue };
        let state = format!("{:?}", entry.state).to_lowercase();
        node.neighbours.push(Neighbour { address: entry.address, dev, mac: entry.mac.map(|mac| mac.to_string()), state });
    }
    for entry in &tables.fdb {
        let (Some(bridge), Some(port)) = (name(entry.bridge), name(entry.port)) else { continue };
        let state = match (entry.fixed, entry.own) {
            (true, _) => FdbState::Static,
            (false, true) => FdbState::Own,
            (false, false) => FdbState::Learned,
        };
        node.fdb.push(Fdb { bridge, mac: entry.mac.to_string(), port, state });
    }
    node.fdb.sort_by(|a, b| (&a.bridge, &a.port, &a.mac).cmp(&(&b.bridge, &b.port, &b.mac)));
    node.fdb.dedup_by(|a, b| (&a.bridge, &a.port, &a.mac) == (&b.bridge, &b.port, &b.mac));
    node
}

fn of_link(link: &tables::Link, all: &Tables) -> Link {
    Link {
        index: link.index,
        name: link.name.clone(),
        kind: link.kind.clone(),
        mac: link.mac.map(|mac| mac.to_string()),
        mtu: link.mtu,
        up: link.up,
        state: link.state.clone(),
        bridge: link.master.and_then(|index| all.link(index)).map(|bridge| bridge.name.clone()),
        peer: link.peer.as_ref().map(|far| Peer { node: far.node.clone(), name: far.name.clone() }),
        addresses: link.addresses.iter().map(|address| address.net).collect(),
    }
}

fn of_route(route: &tables::Route, all: &Tables) -> Option<Route> {
    if route.table == LOCAL_TABLE || matches!(route.kind, RouteType::Multicast | RouteType::Broadcast | RouteType::Local) {
        return None;
    }
    let kind = match route.kind {
        RouteType::Unicast => "unicast",
        RouteType::Anycast => "anycast",
        RouteType::BlackHole => "blackhole",
        RouteType::Unreachable => "unreachable",
        RouteType::Prohibit => "prohibit",
        RouteType::Throw => "throw",
        _ => "other",
    };
    let single = if route.hops.len() == 1 { route.hops.first() } else { None };
    Some(Route {
        table: route.table,
        to: route.to,
        via: single.and_then(|hop| hop.via),
        dev: single.and_then(|hop| all.link(hop.dev)).map(|link| link.name.clone()),
        kind: kind.to_owned(),
        protocol: route.protocol.to_string(),
        source: route.source,
        metric: route.metric,
    })
}
