//! What the kernel makes of a change, in the tables of a view: what it does, and what it takes along or brings back.

use std::collections::HashMap;

use netlink_packet_route::route::RouteType;

use super::addressing::{Effect, add_address, add_route, connect, del_address, set, with, without_ipv6};
use super::cabling::{netns, veth};
use super::edit::Edit;
use crate::kernel::tables::{BridgePort, Fdb, Link, PortState, PortVlan, Route, Rule, RuleAction, Tables};
use crate::name::Mac;
use crate::plan::MAIN_TABLE;
use crate::probe::view::{Place, View};
use crate::topology::LEAST_MTU6;

/// A lab after a change in the node at `place`, as it is foretold; for tests beside the kernel.
pub fn rehearse(view: &View, place: usize, edit: &Edit) -> (Effect, View) {
    let mut places = view.places.clone();
    let effect = apply(&mut places, place, edit);
    (effect, view.with(places))
}

/// Makes the change in the node at `place`.
pub(super) fn apply(places: &mut [Place], place: usize, edit: &Edit) -> Effect {
    let mut before: Vec<Vec<u32>> = places.iter().map(|place| open_ports(&place.tables)).collect();
    let effect = match edit {
        Edit::Veth { dev, mac, peer, peer_mac, to } => veth(places, place, (dev, *mac), (peer, *peer_mac), to),
        Edit::Netns { dev, from, to, name } => netns(places, place, dev, (from.as_deref(), to.as_deref()), name.as_deref()),
        _ => change(&mut places[place].tables, edit),
    };
    if let Edit::Master { dev, .. } = edit
        && let Some(link) = places[place].tables.named(dev)
    {
        // It is new where it comes to.
        before[place].retain(|port| *port != link.index);
    }
    if effect == Effect::Done {
        settle(places, &before);
    }
    effect
}

/// Ports whose own link, cable and bridge are up.
fn open_ports(tables: &Tables) -> Vec<u32> {
    let up = |index: u32| tables.link(index).is_some_and(|bridge| bridge.kind == "bridge" && bridge.up);
    let open = |link: &&Link| link.up && link.carrier && link.master.is_some_and(up);
    tables.links.iter().filter(open).map(|link| link.index).collect()
}

fn change(tables: &mut Tables, edit: &Edit) -> Effect {
    match edit {
        Edit::Up { dev } => up(tables, dev),
        Edit::Bridge { dev } => bridge(tables, dev),
        Edit::Master { dev, bridge } => master(tables, dev, bridge.as_deref()),
        Edit::Vlan { dev, vlan, native, .. } => join_vlan(tables, dev, *vlan, *native),
        Edit::PortFlag { dev, flag, on } => port_flag(tables, dev, flag, *on),
        Edit::Forwarding { dev } => with(tables, dev, |link| {
            let up = link.up && link.carrier;
            match &mut link.port {
                Some(port) if up => set(&mut port.state, PortState::Forwarding),
                Some(_) => Effect::Refused,
                None => Effect::Same,
            }
        }),
        Edit::Mtu { dev, mtu } => resize(tables, dev, *mtu),
        Edit::Mac { dev, mac } => readdress(tables, dev, *mac),
        Edit::Arp { dev } => {
            let effect = with(tables, dev, |link| set(&mut link.noarp, false));
            // `arp_netdev_event`
            if let (Effect::Done, Some(index)) = (effect, tables.named(dev).map(|link| link.index)) {
                tables.neighbours.retain(|entry| entry.dev != index || entry.address.is_ipv6());
            }
            effect
        }
        Edit::AddAddress { dev, net } => add_address(tables, dev, *net),
        Edit::DelAddress { dev, net } => del_address(tables, dev, *net),
        Edit::AddRoute { to, via, dev, replace } => add_route(tables, *to, *via, dev.as_deref(), *replace),
        Edit::DelRoute { to, via, kind, table } => {
            let fits = |route: &Route| {
                let through = via.is_none() || route.hops.iter().any(|hop| hop.via == *via);
                route.table == *table && route.to == *to && through && (kind.is_none() || route.kind != RouteType::Unicast)
            };
            match tables.routes.iter().position(fits) {
                Some(at) => {
                    tables.routes.remove(at);
                    Effect::Done
                }
                None => Effect::Refused,
            }
        }
        Edit::DelNeighbour { address, dev } => {
            let Some(index) = tables.named(dev).map(|link| link.index) else { return Effect::Refused };
            removed(&mut tables.neighbours, |entry| entry.dev == index && entry.address == *address)
        }
        Edit::DelFdb { dev, mac } => {
            let Some(index) = tables.named(dev).map(|link| link.index) else { return Effect::Refused };
            removed(&mut tables.fdb, |entry| entry.port == index && entry.mac == *mac)
        }
        Edit::AddRule { priority, ipv6 } => {
            let (priority, ipv6, action) = (*priority, *ipv6, RuleAction::Table(MAIN_TABLE));
            let (from, to, enters, suppressed) = (None, None, None, None);
            let rule = Rule { ipv6, priority, from, to, enters, strange: false, inverted: false, suppressed, action };
            if tables.rules.contains(&rule) {
                return Effect::Refused;
            }
            tables.rules.push(rule);
            Effect::Done
        }
        Edit::DelPolicy { words } => match &mut tables.settings {
            Some(settings) => {
                let less = settings.policies.without(words);
                set(&mut settings.policies, less)
            }
            None => Effect::Refused,
        },
        Edit::DelRule { priority, ipv6 } => removed(&mut tables.rules, |rule| rule.priority == *priority && rule.ipv6 == *ipv6),
        Edit::FlushCache { ipv6 } => {
            let before = tables.exceptions.len() + tables.redirects.len();
            tables.exceptions.retain(|(to, _)| to.is_ipv6() != *ipv6);
            tables.redirects.retain(|(to, _)| to.is_ipv6() != *ipv6);
            let now = tables.exceptions.len() + tables.redirects.len();
            if now == before { Effect::Same } else { Effect::Done }
        }
        Edit::Setting { name, value } => setting(tables, name, *value),
        // These are of two nodes; of what is not modelled nothing is known.
        Edit::Veth { .. } | Edit::Netns { .. } | Edit::NoSpanningTree { .. } | Edit::AsDescribed { .. } | Edit::Other { .. } => {
            Effect::Done
        }
    }
}

fn removed<T>(entries: &mut Vec<T>, goes: impl Fn(&T) -> bool) -> Effect {
    let before = entries.len();
    entries.retain(|entry| !goes(entry));
    if entries.len() == before { Effect::Refused } else { Effect::Done }
}

/// The connected routes of its IPv4 addresses come back; other routes, and IPv6 addresses, do not.
fn up(tables: &mut Tables, dev: &str) -> Effect {
    let effect = with(tables, dev, |link| set(&mut link.up, true));
    if let (Effect::Done, Some(link)) = (effect, tables.named(dev).cloned()) {
        for address in &link.addresses {
            connect(tables, &link, *address);
        }
        for hop in tables.routes.iter_mut().flat_map(|route| &mut route.hops).filter(|hop| hop.dev == link.index) {
            hop.dead = false;
        }
        // Its VLANs come up with it (`vlan_device_event`).
        let above =
            |upper: &&Link| upper.lower.as_ref().is_some_and(|lower| lower.namespace.is_none() && lower.index == link.index);
        let vlans = tables.links.iter().filter(|upper| upper.kind == "vlan").filter(above);
        let names: Vec<String> = vlans.filter(|vlan| !vlan.up).map(|vlan| vlan.name.clone()).collect();
        for vlan in names {
            up(tables, &vlan);
        }
    }
    effect
}

/// Below what IPv6 needs its addresses and routes go (`addrconf_notify`).
fn resize(tables: &mut Tables, dev: &str, mtu: u32) -> Effect {
    let effect = with(tables, dev, |link| set(&mut link.mtu, mtu));
    let index = tables.named(dev).map(|link| link.index).filter(|_| effect == Effect::Done && mtu < LEAST_MTU6);
    if let Some(index) = index {
        without_ipv6(tables, index);
    }
    effect
}

/// What neighbours it knew goes, told or not (`neigh_changeaddr`), and its bridge keeps the new address.
fn readdress(tables: &mut Tables, dev: &str, mac: Mac) -> Effect {
    let before = tables.named(dev).and_then(|link| link.mac);
    let effect = with(tables, dev, |link| set(&mut link.mac, Some(mac)));
    if let (Effect::Done, Some(link)) = (effect, tables.named(dev).cloned()) {
        tables.neighbours.retain(|entry| entry.dev != link.index);
        tables.fdb.retain(|entry| entry.port != link.index || !entry.own || entry.fixed || Some(entry.mac) != before);
        keep_own(tables, &link);
    }
    effect
}

/// A bridge keeps its own address and those of its ports; of equals the first (`fdb_add_local`).
fn keep_own(tables: &mut Tables, link: &Link) {
    let bridge = if link.kind == "bridge" { Some(link.index) } else { link.master };
    if let (Some(bridge), Some(mac)) = (bridge, link.mac) {
        let there = |entry: &Fdb| entry.bridge == bridge && entry.mac == mac && entry.own;
        if !tables.fdb.iter().any(there) {
            tables.fdb.retain(|entry| entry.bridge != bridge || entry.mac != mac);
            let (own, port) = (true, link.index);
            tables.fdb.push(Fdb { bridge, mac, port, vlan: 0, own, fixed: false, sticky: false, age: None });
        }
    }
}

fn bridge(tables: &mut Tables, dev: &str) -> Effect {
    if tables.named(dev).is_some() {
        return Effect::Refused;
    }
    let index = tables.links.iter().map(|link| link.index).max().unwrap_or(0) + 1;
    let [forwarding4, forwarding6] = [&tables.all4, &tables.all6].map(|all| all.forwarding == Some(true));
    // Any address that nobody has will do.
    let mac = Some(Mac([0x0e, 0, 0, 0, 0, u8::try_from(index % 256).unwrap_or(0)]));
    let kind = "bridge".to_owned();
    tables.links.push(Link { index, name: dev.to_owned(), kind, mac, mtu: 1500, forwarding4, forwarding6, ..Link::default() });
    Effect::Done
}

fn master(tables: &mut Tables, dev: &str, bridge: Option<&str>) -> Effect {
    let index = match bridge {
        None => None,
        Some(name) => match tables.named(name).filter(|link| link.kind == "bridge" && name != dev) {
            Some(link) => Some(link.index),
            None => return Effect::Refused,
        },
    };
    let effect = with(tables, dev, |link| {
        // `br_add_if`
        if index.is_some() && (link.kind == "bridge" || link.kind == "loopback") {
            return Effect::Refused;
        }
        let effect = set(&mut link.master, index);
        if effect == Effect::Done {
            link.port = index.map(|_| BridgePort { state: PortState::Disabled, ..BridgePort::default() });
        }
        effect
    });
    if effect == Effect::Done
        && let Some(link) = tables.named(dev).cloned()
    {
        tables.fdb.retain(|entry| entry.port != link.index);
        keep_own(tables, &link);
    }
    effect
}

/// `br_vlan_add`; a new VLAN for frames without a tag takes the place of the old.
fn join_vlan(tables: &mut Tables, dev: &str, id: u16, native: bool) -> Effect {
    let Some(port) = tables.named(dev).map(|link| link.index) else { return Effect::Refused };
    let vlan = PortVlan { port, id, pvid: native, untagged: native };
    if tables.vlans.contains(&vlan) {
        return Effect::Same;
    }
    tables.vlans.retain(|own| (own.port, own.id) != (port, id));
    tables.vlans.iter_mut().filter(|own| native && own.port == port).for_each(|own| own.pvid = false);
    tables.vlans.push(vlan);
    Effect::Done
}

fn port_flag(tables: &mut Tables, dev: &str, flag: &str, on: bool) -> Effect {
    with(tables, dev, |link| {
        // The kernel passes over what is said of a port that is none.
        let Some(port) = &mut link.port else { return Effect::Same };
        match flag {
            "isolated" => set(&mut port.isolated, on),
            "flood" => set(&mut port.floods, on),
            "learning" => set(&mut port.learns, on),
            "locked" => set(&mut port.locked, on),
            "mcast_flood" => set(&mut port.multicasts, on),
            "bcast_flood" => set(&mut port.broadcasts, on),
            "hairpin" => set(&mut port.hairpin, on),
            _ => Effect::Refused,
        }
    })
}

fn setting(tables: &mut Tables, name: &str, value: u32) -> Effect {
    let small = u8::try_from(value).unwrap_or(u8::MAX);
    let words: Vec<&str> = name.split('.').collect();
    match words.as_slice() {
        ["ipv4", "ip_forward"] => {
            let effect = set(&mut tables.all4.forwarding, Some(value != 0));
            if effect == Effect::Done {
                tables.links.iter_mut().for_each(|link| link.forwarding4 = value != 0);
            }
            effect
        }
        ["ipv6", "conf", "all", "forwarding"] => {
            let effect = set(&mut tables.all6.forwarding, Some(value != 0));
            if effect == Effect::Done {
                tables.routes.retain(|route| route.kind != RouteType::Anycast);
                tables.links.iter_mut().for_each(|link| link.forwarding6 = value != 0);
                for link in tables.links.clone().into_iter().filter(|link| link.kind != "loopback") {
                    link.addresses.iter().filter(|own| own.net.addr().is_ipv6()).for_each(|own| connect(tables, &link, *own));
                }
            }
            effect
        }
        ["ipv4", "conf", "all", "rp_filter"] => set(&mut tables.all4.rp_filter, small),
        ["ipv4", "conf", "all", "arp_ignore"] => match &mut tables.settings {
            Some(settings) => set(&mut settings.arp_ignore, small),
            None => Effect::Refused,
        },
        ["ipv4", "ip_default_ttl"] => match &mut tables.settings {
            Some(settings) => set(&mut settings.ttl, Some(small)),
            None => Effect::Refused,
        },
        ["ipv4", "icmp_echo_ignore_all"] => match &mut tables.settings {
            Some(settings) => set(&mut settings.echo_ignored.0, value != 0),
            None => Effect::Refused,
        },
        ["ipv6", "icmp", "echo_ignore_all"] => match &mut tables.settings {
            Some(settings) => set(&mut settings.echo_ignored.1, value != 0),
            None => Effect::Refused,
        },
        ["ipv6", "conf", dev, "disable_ipv6"] => with(tables, dev, |link| set(&mut link.ipv6_off, value != 0)),
        ["ipv4", "conf", dev, what] => with(tables, dev, |link| match *what {
            "forwarding" => set(&mut link.forwarding4, value != 0),
            "rp_filter" => set(&mut link.rp_filter, small),
            "arp_ignore" => set(&mut link.arp_ignore, small),
            _ => Effect::Refused,
        }),
        _ => Effect::Refused,
    }
}

/// Carriers of cables, states of ports, and the routes that wait for a carrier, as they follow from what is up.
fn settle(places: &mut [Place], before: &[Vec<u32>]) {
    let mut ups: HashMap<(&str, u32), bool> = HashMap::new();
    for place in places.iter() {
        ups.extend(place.tables.links.iter().map(|link| ((place.node.node.as_str(), link.index), link.up)));
    }
    let plugged = |link: &Link| {
        let peer = link.peer.as_ref().and_then(|peer| Some((peer.node.as_deref()?, peer.index)));
        peer.and_then(|peer| ups.get(&peer)).copied()
    };
    let carriers: Vec<Vec<bool>> = places
        .iter()
        .map(|place| place.tables.links.iter().map(|link| plugged(link).map_or(link.carrier, |peer| peer && link.up)).collect())
        .collect();
    for ((place, carriers), before) in places.iter_mut().zip(carriers).zip(before) {
        for (link, carrier) in place.tables.links.iter_mut().zip(carriers) {
            link.carrier = carrier;
        }
        ports(&mut place.tables, before);
    }
}

/// A port is out of use while it, its cable or its bridge is down; without a spanning tree it passes frames as soon as they are
/// up. One that somebody took out of use stays so.
fn ports(tables: &mut Tables, before: &[u32]) {
    let open = open_ports(tables);
    let mut lit: Vec<u32> = Vec::new();
    for link in &mut tables.links {
        let (Some(bridge), Some(port)) = (link.master, &mut link.port) else { continue };
        if !open.contains(&link.index) {
            port.state = PortState::Disabled;
        } else if port.state == PortState::Disabled && !before.contains(&link.index) {
            port.state = PortState::Forwarding;
        }
        if port.state == PortState::Forwarding {
            lit.push(bridge);
        }
    }
    for link in tables.links.iter_mut().filter(|link| link.kind == "bridge") {
        link.carrier = link.up && lit.contains(&link.index);
    }
}
