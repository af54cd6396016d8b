//! Cables that are gone or end in the wrong node: how they are made or brought back, and what the kernel makes of that.

use std::net::Ipv4Addr;

use ipnet::{IpNet, Ipv4Net};
use netlink_packet_route::route::RouteType;

use super::addressing::{Effect, del_address};
use super::edit::Edit;
use super::{At, Cures, Fact, Interface};
use crate::kernel::tables::{Link, Tables, VethPeer};
use crate::name::Mac;
use crate::plan::{MAIN_TABLE, NodeId};
use crate::probe::view::{Place, is_managed};
use crate::report::machine;

/// Bytes of an interface's name (`IFNAMSIZ` without its NUL).
const NAME_LIMIT: usize = 15;

impl Cures<'_> {
    /// The end comes home, and gets back what it lost on the way there and what it has lost since.
    pub(super) fn cable_elsewhere(&mut self, end: Option<&Interface>, home: &Interface) {
        let Some(end) = end else { return };
        let (Some(from), Some(to)) = (self.place(&end.node), self.place(&home.node)) else { return };
        let Some(host) = self.view.places[to].id.host().cloned() else { return };
        let Some(at) = self.place(host.as_str()) else { return };
        let inside = |place: usize| match &self.view.places[place].id {
            NodeId::Host(name) if *name == host => Some(None),
            NodeId::Container(of, name) if *of == host => Some(Some(name.to_string())),
            _ => None,
        };
        let (Some(source), Some(target)) = (inside(from), inside(to)) else { return };
        let dev = end.interface.clone();
        let name = Some(home.interface.clone()).filter(|name| *name != dev);
        self.step_at(at, Edit::Netns { dev, from: source, to: target, name });
        self.as_described(home);
        self.or();
    }

    /// A cable between a container and its host is made, as it is described or as the host's other ones are.
    pub(super) fn no_cable(&mut self, node: &str, ends: &[Interface]) {
        let Some(place) = self.place(node) else { return };
        let NodeId::Container(host, name) = self.view.places[place].id.clone() else { return self.no_wire(place, ends) };
        let Some(at) = self.place(host.as_str()) else { return };
        let described = |interface: &Interface| self.view.described.as_ref().known()?.mac(&self.port(interface)?);
        let lost = match ends {
            [_, _] => ends.iter().partition::<Vec<&Interface>, _>(|end| end.node == node),
            _ => (Vec::new(), Vec::new()),
        };
        let free = |place: usize, name: &str| self.map.tables(place).named(name).is_none();
        let (inner, outer) = if let ([inner], [outer]) = (lost.0.as_slice(), lost.1.as_slice()) {
            ((*inner).clone(), (*outer).clone())
        } else {
            let mut names = (0..).map(|number| if number == 0 { format!("veth-{name}") } else { format!("v{number}") });
            let interface = names.find(|name| name.len() <= NAME_LIMIT && free(at, name)).unwrap_or_default();
            let inner = Interface { node: node.to_owned(), interface: "eth0".to_owned() };
            (inner, Interface { node: host.to_string(), interface })
        };
        if !free(place, &inner.interface) || !free(at, &outer.interface) {
            return;
        }
        self.step_at(
            at,
            Edit::Veth {
                dev: outer.interface.clone(),
                mac: described(&outer),
                peer: inner.interface.clone(),
                peer_mac: described(&inner),
                to: name.to_string(),
            },
        );
        if !ends.is_empty() && self.has_described_address(&inner) {
            self.as_described(&outer);
            self.as_described(&inner);
        } else {
            self.wired((at, &outer.interface), (place, &inner.interface));
        }
        self.or();
    }

    /// A wire between hosts cannot be made in one of them: as it is described it comes back, where nothing else is otherwise.
    fn no_wire(&mut self, place: usize, ends: &[Interface]) {
        let Some(described) = self.view.described.as_ref().known() else { return };
        let (now, ports) = (self.view.state(), ends.iter().filter_map(|end| self.port(end)).collect::<Vec<_>>());
        let lost = |fact: &Fact| matches!(fact, Fact::Addr(port, _) | Fact::Member(port, _) if ports.contains(port));
        let kept = |fact: &Fact| match fact {
            Fact::Addr(..) | Fact::Member(..) => lost(fact) || now.holds(fact),
            Fact::Route(_, _, to, ..) if to.prefix_len() > 0 => true,
            fact => now.get(fact.slot()).is_none_or(|other| other == fact),
        };
        if described.iter().all(kept) {
            self.step_at(place, Edit::AsDescribed { lab: self.view.lab.to_string() });
        }
    }

    /// What the topology says of an interface, and the routes of its node that are gone.
    fn as_described(&mut self, interface: &Interface) {
        let Some(port) = self.port(interface) else { return };
        let node = &interface.node;
        let member = |fact: &Fact| matches!(fact, Fact::Member(of, _) if *of == port);
        let bridge = self.view.described().find(|fact| member(fact)).cloned();
        if let Some(Fact::Member(_, bridge)) = bridge {
            self.step(node, Edit::Master { dev: interface.interface.clone(), bridge: Some(bridge.to_string()) });
        }
        self.make(node, |fact| matches!(fact, Fact::Addr(of, _) if *of == port));
        self.step(node, Edit::up(&interface.interface));
        self.described_routes(node, |_| true);
    }

    fn has_described_address(&self, interface: &Interface) -> bool {
        let port = self.port(interface);
        self.view.described().any(|fact| matches!(fact, Fact::Addr(of, _) if Some(of) == port.as_ref()))
    }

    /// A new cable goes into the host's own bridge, and its container gets an address beside the others there; without such a
    /// bridge it is a link of two.
    fn wired(&mut self, (host, outer): (usize, &str), (place, inner): (usize, &str)) {
        let own = |at: &At| self.map.is_bridge(*at) && !is_managed(&self.map.link(*at).name);
        let bridge = self.map.interfaces(host).find(own);
        let (net, gateway) = if let Some(bridge) = bridge {
            self.step_at(host, Edit::Master { dev: outer.to_owned(), bridge: Some(self.map.link(bridge).name.clone()) });
            let gateway = self.map.nets(bridge).find(|net| net.addr().is_ipv4());
            let segment = self.map.open_to(bridge);
            let mut nets = segment.into_iter().flat_map(|at| self.map.nets(at).collect::<Vec<_>>());
            let net = gateway.or_else(|| nets.find(|net| net.addr().is_ipv4()));
            (net.and_then(|net| self.free(net)), gateway)
        } else {
            let Some(net) = self.free_subnet(30) else { return };
            let mut hosts = net.hosts();
            let Some((near, there)) = hosts.next().zip(hosts.next()) else { return };
            let near = IpNet::new_assert(near, 30);
            self.step_at(host, Edit::add_address(outer, near));
            (Some(IpNet::new_assert(there, 30)), Some(near))
        };
        self.step_at(host, Edit::up(outer));
        self.step_at(place, Edit::up(inner));
        if let Some(net) = net {
            self.step_at(place, Edit::add_address(inner, net));
            if let Some(gateway) = gateway {
                self.step_at(place, Edit::route(IpNet::new_assert(Ipv4Addr::UNSPECIFIED.into(), 0), gateway.addr()));
            }
        }
    }

    /// A subnet that nobody has an address in, in none of the lab's own.
    pub(super) fn free_subnet(&self, prefix: u8) -> Option<IpNet> {
        let third = (1..=u8::MAX).map(|number| Ipv4Net::new_assert(Ipv4Addr::new(10, number, 0, 0), prefix.max(16)));
        third.map(IpNet::from).find(|net| self.is_apart(IpNet::new_assert(net.addr(), 16)))
    }

    /// No subnet of the lab has an address in common with it.
    pub(super) fn is_apart(&self, net: IpNet) -> bool {
        let mut all = self.map.everywhere().flat_map(|at| self.map.nets(at));
        all.all(|own| !own.contains(&net.addr()) && !net.contains(&own.addr()))
    }
}

impl Cures<'_> {
    /// One of two sides gets a subnet of its own, with all who are in it: the smaller side first.
    pub(super) fn overlap(&mut self, interface: &Interface, owner: &Interface) {
        let side = |end: &Interface| {
            let Some(at) = self.at(end) else { return Vec::new() };
            let Some(net) = self.map.nets(at).find(|net| net.addr().is_ipv4()) else { return Vec::new() };
            let inside = |other: &IpNet| net.contains(&other.addr()) && net.prefix_len() == other.prefix_len();
            let own = self.map.open_to(at).into_iter().filter_map(|at| Some((at, self.map.nets(at).find(inside)?)));
            let mut own: Vec<(At, IpNet)> = own.collect();
            // Routes lead over an address that is there.
            own.sort_by_key(|(at, _)| self.map.kind(at.place) != machine::Kind::Host);
            own
        };
        let mut sides = [side(owner), side(interface)];
        sides.sort_by_key(Vec::len);
        for side in sides {
            let prefix = side.first().map_or(24, |(_, net)| net.prefix_len());
            let Some(IpNet::V4(new)) = self.free_subnet(prefix) else { continue };
            let moved = |old: IpNet| match old {
                IpNet::V4(net) => {
                    let host = u32::from(net.addr()) - u32::from(net.network());
                    Ipv4Addr::from(u32::from(new.network()) + host)
                }
                IpNet::V6(_) => new.network(),
            };
            for (at, old) in &side {
                let dev = self.map.link(*at).name.clone();
                self.step_at(at.place, Edit::del_address(&dev, *old));
                self.step_at(at.place, Edit::add_address(&dev, IpNet::new_assert(moved(*old).into(), prefix)));
                for route in self.map.tables(at.place).routes.iter().filter(|route| route.table == MAIN_TABLE) {
                    let via = route.hops.iter().find_map(|hop| hop.via).filter(|via| old.contains(via));
                    if let Some(via) = via.and_then(|via| IpNet::new(via, prefix).ok()) {
                        self.step_at(at.place, Edit::replace(route.to, moved(via).into()));
                    }
                }
            }
            self.or();
        }
    }
}

/// A veth pair between a host and one of its containers; both ends are down.
pub(super) fn veth(
    places: &mut [Place],
    host: usize,
    (dev, mac): (&str, Option<Mac>),
    (peer, peer_mac): (&str, Option<Mac>),
    to: &str,
) -> Effect {
    let Some(there) = contained(places, host, Some(to)) else { return Effect::Refused };
    if places[host].tables.named(dev).is_some() || places[there].tables.named(peer).is_some() {
        return Effect::Refused;
    }
    let any = |place: &Place, number: u8| Mac([0x0e, 0, 0, 1, number, u8::try_from(next(&place.tables) % 256).unwrap_or(0)]);
    let (near, far) = (next(&places[host].tables), next(&places[there].tables));
    let (mac, peer_mac) = (mac.unwrap_or(any(&places[host], 0)), peer_mac.unwrap_or(any(&places[there], 1)));
    let ends = [((host, near, dev, mac), (there, far, peer)), ((there, far, peer, peer_mac), (host, near, dev))];
    for ((place, index, name, mac), (other, end, other_name)) in ends {
        let peer = VethPeer {
            namespace: None,
            index: end,
            node: Some(places[other].node.node.clone()),
            name: Some(other_name.to_owned()),
        };
        let link = Link { mac: Some(mac), mtu: 1500, peer: Some(peer), kind: "veth".to_owned(), ..Link::default() };
        arrive(&mut places[place].tables, link, index, name);
    }
    Effect::Done
}

/// A link goes from one node of a host to another, down and without what it had.
pub(super) fn netns(
    places: &mut [Place],
    host: usize,
    dev: &str,
    (from, to): (Option<&str>, Option<&str>),
    name: Option<&str>,
) -> Effect {
    let (Some(from), Some(to)) = (contained(places, host, from), contained(places, host, to)) else { return Effect::Refused };
    let (name, tables) = (name.unwrap_or(dev), &mut places[from].tables);
    let Some(link) = tables.named(dev).cloned() else { return Effect::Refused };
    if places[to].tables.named(name).is_some() {
        return Effect::Refused;
    }
    let tables = &mut places[from].tables;
    for address in link.addresses.clone() {
        del_address(tables, dev, address.net);
    }
    tables.links.retain(|own| own.index != link.index);
    tables.routes.iter_mut().for_each(|route| route.hops.retain(|hop| hop.dev != link.index));
    tables.routes.retain(|route| !route.hops.is_empty() || route.kind != RouteType::Unicast);
    tables.fdb.retain(|entry| entry.port != link.index);
    tables.neighbours.retain(|entry| entry.dev != link.index);
    let index = next(&places[to].tables);
    let node = places[to].node.node.clone();
    let (source, before) = (places[from].node.node.clone(), link.index);
    for peer in places.iter_mut().flat_map(|place| &mut place.tables.links).filter_map(|link| link.peer.as_mut()) {
        if peer.node.as_deref() == Some(&source) && peer.index == before {
            (peer.node, peer.index, peer.name) = (Some(node.clone()), index, Some(name.to_owned()));
        }
    }
    arrive(&mut places[to].tables, link, index, name);
    Effect::Done
}

fn arrive(tables: &mut Tables, link: Link, index: u32, name: &str) {
    let forwarding4 = tables.all4.forwarding == Some(true);
    let link = Link {
        index,
        name: name.to_owned(),
        up: false,
        carrier: false,
        master: None,
        port: None,
        addresses: Vec::new(),
        forwarding4,
        rp_filter: 0,
        ..link
    };
    tables.links.push(link);
}

fn next(tables: &Tables) -> u32 {
    tables.links.iter().map(|link| link.index).max().unwrap_or(0) + 1
}

/// A container of the host by its bare name, or the host.
fn contained(places: &[Place], host: usize, name: Option<&str>) -> Option<usize> {
    let NodeId::Host(own) = &places[host].id else { return None };
    let is_it = |place: &Place| match (&place.id, name) {
        (NodeId::Container(of, each), Some(name)) => of == own && each.as_str() == name,
        (NodeId::Host(each), None) => each == own,
        _ => false,
    };
    places.iter().position(is_it)
}
