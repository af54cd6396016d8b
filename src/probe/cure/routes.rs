//! Routes that are missing, lead nowhere, or in a circle.

use std::net::IpAddr;

use ipnet::IpNet;

use super::edit::Edit;
use super::{At, Cures, Fact, Interface};
use crate::plan::{MAIN_TABLE, RouteTo, Slot};
use crate::probe::is_link_local;
use crate::report::machine::Kind;
use crate::report::trace::Route;

/// Where a packet may go next.
struct Router {
    address: IpAddr,
    /// The subnets behind it that the node is not in itself, as one prefix where that covers nothing else.
    behind: Option<IpNet>,
}

/// All destinations of the address's family.
fn default_of(like: IpAddr) -> IpNet {
    let unspecified = if like.is_ipv4() { IpAddr::from([0; 4]) } else { IpAddr::from([0; 16]) };
    IpNet::new_assert(unspecified, 0)
}

impl Cures<'_> {
    pub(super) fn no_route(&mut self, node: &str, to: IpAddr) {
        self.described_routes(node, |net| net.contains(&to));
        self.or();
        let Some(place) = self.place(node) else { return };
        // The subnet of an address of its own, whose route is gone.
        let near = self.map.interfaces(place).filter(|at| !self.map.is_loopback(*at) && self.map.link(*at).up);
        let near: Vec<(At, IpNet)> =
            near.filter_map(|at| Some((at, self.map.nets(at).find(|net| net.contains(&to))?.trunc()))).collect();
        for (at, net) in near {
            let dev = Some(self.map.link(at).name.clone());
            self.step_at(place, Edit::AddRoute { to: net, via: None, dev, replace: false });
            self.or();
        }
        let default = default_of(to);
        let has = self.map.tables(place).routes.iter().any(|route| route.table == MAIN_TABLE && route.to == default);
        let is_container = self.map.kind(place) == Kind::Container;
        for router in self.routers(place, to) {
            if !has {
                self.step_at(place, Edit::route(default, router.address));
                self.or();
            }
            if let Some(net) = router.behind.filter(|_| !is_container) {
                self.step_at(place, Edit::route(net, router.address));
                self.or();
            }
            if has {
                self.step_at(place, Edit::replace(default, router.address));
                self.or();
            }
        }
        if !is_container && !has && self.done.is_empty() && to.is_ipv4() {
            self.first_router(place, to);
        }
    }

    /// The NICs that lead to an address's host have no subnet in common: they get one, and the way leads over it.
    fn first_router(&mut self, place: usize, to: IpAddr) {
        let Some(owner) = self.map.owners(to).iter().copied().find(|owner| owner.place != place) else { return };
        let bare = |at: &At| self.map.lacks_ipv4(*at) && self.map.bridge(*at).is_none();
        let leads = |at: &At| self.map.peer(*at).is_some() && bare(at) && self.map.reach(*at).contains(&owner.place);
        let Some(near) = self.map.interfaces(place).find(leads) else { return };
        if let Some((_, [_, router])) = self.join(near, self.host_of(owner.place)) {
            self.step_at(place, Edit::route(default_of(to), router));
        }
    }

    /// Makes the described routes again that the node has lost; whether there are any.
    pub(super) fn described_routes(&mut self, node: &str, wanted: impl Fn(&IpNet) -> bool) -> bool {
        let (Some(ns), Some(place)) = (self.ns(node), self.place(node)) else { return false };
        let has = |net: &IpNet| self.map.tables(place).routes.iter().any(|route| route.table == MAIN_TABLE && route.to == *net);
        self.make(node, |fact| matches!(fact, Fact::Route(of, _, net, ..) if *of == ns && wanted(net) && !has(net)))
    }

    /// Neighbours that lead to the owner of an address, those that pass packets on first.
    fn routers(&self, place: usize, to: IpAddr) -> Vec<Router> {
        let owner = self.map.owners(to).iter().copied().find(|owner| owner.place != place);
        let mut found: Vec<(bool, Router)> = Vec::new();
        for at in self.map.interfaces(place).filter(|at| !self.map.is_loopback(*at)) {
            for (next, address) in self.neighbours(at, to) {
                let leads = |owner: At| {
                    owner.place == next.place
                        || self.map.interfaces(next.place).any(|out| out != next && self.map.reach(out).contains(&owner.place))
                };
                let passes = self.forwards(next, to.is_ipv6()) || owner.is_some_and(|owner| owner.place == next.place);
                let is_host = self.map.kind(next.place) == Kind::Host;
                if (passes || is_host) && owner.is_none_or(leads) && found.iter().all(|(_, other)| other.address != address) {
                    let behind = owner.and_then(|owner| self.behind(place, owner, to));
                    found.push((!passes, Router { address, behind }));
                }
            }
        }
        found.sort_by_key(|(closed, _)| *closed);
        found.into_iter().map(|(_, router)| router).collect()
    }

    /// The subnets of the owner's host, as one prefix where no other node has an address in that.
    fn behind(&self, place: usize, owner: At, to: IpAddr) -> Option<IpNet> {
        let own = self.map.nets(owner).find(|net| net.addr() == to)?.trunc();
        let near = self.nets(place);
        let host = self.host_of(owner.place);
        let nets = self.nets(host).into_iter().filter(|net| net.addr().is_ipv4() == to.is_ipv4() && !near.contains(net));
        let mut all = own;
        for net in nets {
            while !all.contains(&net) {
                all = all.supernet()?;
            }
        }
        let elsewhere = |other: usize| {
            self.host_of(other) != host && self.nets(other).iter().any(|net| all.contains(net) || net.contains(&all))
        };
        let is_alone = all.prefix_len() > 0 && !(0..self.map.places().len()).any(elsewhere);
        Some(if is_alone { all } else { own })
    }

    fn forwards(&self, at: At, ipv6: bool) -> bool {
        let tables = self.map.tables(at.place);
        if ipv6 { tables.all6.forwarding == Some(true) } else { self.map.link(at).forwarding4 }
    }

    /// Interfaces of hosts and containers in the interface's own subnets, on its segment.
    fn neighbours(&self, at: At, like: IpAddr) -> Vec<(At, IpAddr)> {
        let inside = |net: &IpNet| {
            let same = net.addr().is_ipv4() == like.is_ipv4() && !is_link_local(net.addr());
            same && self.map.nets(at).any(|own| own.contains(&net.addr()))
        };
        let mut found = Vec::new();
        for place in (0..self.map.places().len()).filter(|place| *place != at.place) {
            for other in self.map.interfaces(place) {
                if let Some(net) = self.map.nets(other).find(inside)
                    && self.map.path(at, other).is_some_and(|path| path.is_plugged())
                {
                    found.push((other, net.addr()));
                }
            }
        }
        found
    }

    pub(super) fn no_such_gateway(&mut self, node: &str, gateway: IpAddr, route: &Route) {
        let Some(place) = self.place(node) else { return };
        let Some(out) = self.map.interfaces(place).find(|at| self.map.link(*at).name == route.dev) else { return };
        let described = self.described_via(node, route.to).filter(|via| *via != gateway && !self.map.owners(*via).is_empty());
        let routers = self.neighbours(out, gateway).into_iter().filter(|(at, _)| self.forwards(*at, gateway.is_ipv6()));
        let routers: Vec<IpAddr> = described.into_iter().chain(routers.map(|(_, address)| address)).collect();
        for via in routers {
            self.step(node, Edit::replace(route.to, via));
            self.or();
        }
        // Nobody on the segment routes: the other end is to have the address.
        let own = self.map.nets(out).find(|net| net.contains(&gateway));
        let ends = self.map.peer(out).map(|peer| self.map.bridge(peer).unwrap_or(peer));
        if let (Some(own), Some(end)) = (own, ends.filter(|end| self.map.kind(end.place) == Kind::Host))
            && let Ok(net) = IpNet::new(gateway, own.prefix_len())
        {
            self.step_at(end.place, Edit::add_address(&self.map.link(end).name, net));
            self.or();
        }
        // A route that leads nowhere beside one that does.
        self.step(node, Edit::DelRoute { to: route.to, via: Some(gateway), kind: None, table: MAIN_TABLE });
    }

    /// The route gets a router, or the address a route of its own by the interface that leads to its owner.
    pub(super) fn not_on_link(&mut self, interface: &Interface, route: &Route, to: IpAddr) {
        let Some(place) = self.place(&interface.node) else { return };
        if let Some(via) = self.described_via(&interface.node, route.to) {
            self.step_at(place, Edit::replace(route.to, via));
            self.or();
        }
        for router in self.routers(place, to) {
            self.step_at(place, Edit::replace(route.to, router.address));
            self.or();
        }
        let owner = self.map.owners(to).iter().copied().find(|owner| owner.place != place);
        if let Some(at) = owner.and_then(|owner| self.direct(place, owner)) {
            let dev = Some(self.map.link(at).name.clone());
            self.step_at(place, Edit::AddRoute { to: IpNet::from(to), via: None, dev, replace: false });
            self.or();
        }
        if route.to.prefix_len() > 0 {
            self.step_at(place, Edit::DelRoute { to: route.to, via: None, kind: None, table: MAIN_TABLE });
        }
    }

    /// The node's interface that is on one segment with another.
    fn direct(&self, place: usize, owner: At) -> Option<At> {
        let leads = |at: &At| self.map.path(*at, owner).is_some_and(|path| path.is_plugged());
        let mut own = self.map.interfaces(place).filter(|at| !self.map.is_loopback(*at) && self.map.bridge(*at).is_none());
        own.find(leads)
    }

    fn described_via(&self, node: &str, to: IpNet) -> Option<IpAddr> {
        match self.view.described.as_ref().known()?.get(Slot::Route(&self.ns(node)?, MAIN_TABLE, to, 0))? {
            Fact::Route(.., RouteTo::Via(via, _)) => Some(*via),
            _ => None,
        }
    }

    /// Another router, or where one is behind another route, without this one.
    pub(super) fn not_a_router(&mut self, node: &str, route: &Route) {
        let Some(place) = self.place(node) else { return };
        if let Some(via) = self.described_via(node, route.to).filter(|via| Some(*via) != route.via) {
            self.step_at(place, Edit::replace(route.to, via));
            self.or();
        }
        if route.to.prefix_len() > 0 {
            self.step_at(place, Edit::DelRoute { to: route.to, via: route.via, kind: None, table: MAIN_TABLE });
            self.or();
        }
        let Some(out) = self.map.interfaces(place).find(|at| self.map.link(*at).name == route.dev) else { return };
        let Some(like) = route.via else { return };
        for to in self.goal.map(|goal| goal.to).into_iter().chain(self.sender(like)) {
            for router in self.routers(place, to).into_iter().filter(|router| Some(router.address) != route.via) {
                self.step_at(place, Edit::replace(route.to, router.address));
                self.or();
            }
        }
        let routers = self.neighbours(out, like).into_iter().filter(|(at, _)| self.forwards(*at, like.is_ipv6()));
        for (_, via) in routers.filter(|(_, via)| Some(*via) != route.via).collect::<Vec<_>>() {
            self.step_at(place, Edit::replace(route.to, via));
            self.or();
        }
    }

    /// The address that the packet to be answered is sent from, as far as it is known.
    fn sender(&self, like: IpAddr) -> Option<IpAddr> {
        let from = self.place(&self.goal?.from.to_string())?;
        let nets = self.map.interfaces(from).filter(|at| !self.map.is_loopback(*at)).flat_map(|at| self.map.nets(at));
        nets.map(|net| net.addr()).find(|own| own.is_ipv4() == like.is_ipv4() && !is_link_local(*own))
    }

    pub(super) fn refused(&mut self, node: &str, kind: &str, to: IpNet) {
        let Some(place) = self.place(node) else { return };
        let table = self.map.tables(place).routes.iter().find(|route| route.to == to).map_or(MAIN_TABLE, |route| route.table);
        let kind = ["blackhole", "prohibit", "unreachable"].into_iter().find(|word| *word == kind);
        self.step(node, Edit::DelRoute { to, via: None, kind, table });
    }

    /// One of the routers needs a route to the destination that leads out of the circle.
    pub(super) fn circle(&mut self, to: IpAddr, routes: &[(String, Route)]) {
        for (node, _) in routes.iter().rev() {
            self.described_routes(node, |net| net.contains(&to));
            self.or();
        }
        for (node, route) in routes.iter().rev() {
            let Some(place) = self.place(node) else { continue };
            for router in self.routers(place, to).into_iter().filter(|router| Some(router.address) != route.via) {
                if let Some(net) = router.behind {
                    self.step_at(
                        place,
                        Edit::AddRoute { to: net, via: Some(router.address), dev: None, replace: route.to == net },
                    );
                    self.or();
                }
            }
            // A route that is longer than it should be hides a right one.
            if route.to.prefix_len() > 0 {
                self.step_at(place, Edit::DelRoute { to: route.to, via: route.via, kind: None, table: MAIN_TABLE });
                self.or();
            }
        }
    }

    /// The subnets that a node is in.
    fn nets(&self, place: usize) -> Vec<IpNet> {
        let links = self.map.interfaces(place).filter(|at| !self.map.is_loopback(*at));
        links.flat_map(|at| self.map.nets(at)).map(|net| net.trunc()).filter(|net| !is_link_local(net.addr())).collect()
    }

    /// The other NIC is to be up and have an address, and the way there is to lead over it; so at the other end.
    pub(super) fn other_nic(&mut self, interface: &Interface, route: &Route, owner: &Interface) {
        let (Some(here), Some(owner)) = (self.place(&interface.node), self.at(owner)) else { return };
        if route.to.prefix_len() > 0 {
            self.step_at(here, Edit::DelRoute { to: route.to, via: route.via, kind: None, table: MAIN_TABLE });
            self.or();
        }
        // Of a reply the way back is to be mended, not that to the goal.
        let goal = self.goal.map(|goal| goal.to).filter(|to| self.map.owners(*to).iter().any(|at| at.place == owner.place));
        let of_family = |net: &IpNet| net.addr().is_ipv4() == route.to.addr().is_ipv4() && !is_link_local(net.addr());
        if let Some(to) = goal.or_else(|| self.map.nets(owner).find(of_family).map(|net| net.addr())) {
            self.no_route(&interface.node, to);
            self.or();
        }
        // Where the same subnet is on both, the address gets a route of its own.
        if let Some(at) = self.direct(here, owner) {
            for address in self.map.nets(owner).map(|net| net.addr()).filter(|address| route.to.contains(address)) {
                let dev = Some(self.map.link(at).name.clone());
                self.step_at(here, Edit::AddRoute { to: IpNet::from(address), via: None, dev, replace: false });
            }
            self.or();
        }
        let leads = |at: &At| {
            self.map.link(*at).name != interface.interface
                && self.map.peer(*at).is_some()
                && self.map.reach(*at).contains(&owner.place)
        };
        let Some(near) = self.map.interfaces(here).find(leads) else { return };
        self.other_card(interface, route, near);
        let host = self.host_of(owner.place);
        let Some((there, [from, to])) = self.join(near, host) else { return };
        let behind = |place: usize, at: At| -> Vec<IpNet> {
            let others = self
                .map
                .interfaces(place)
                .filter(|other| *other != at && !self.map.is_loopback(*other) && self.map.peer(*other).is_none());
            others.flat_map(|other| self.map.nets(other)).map(|net| net.trunc()).filter(|net| net.addr().is_ipv4()).collect()
        };
        for (place, via, nets) in [(here, to, behind(host, there)), (host, from, behind(here, near))] {
            for net in nets {
                self.step_at(place, Edit::route(net, via));
            }
        }
    }

    /// The address that leads to a router by the wrong NIC goes to the right one.
    fn other_card(&mut self, interface: &Interface, route: &Route, near: At) {
        let Some(from) = self.at(interface) else { return };
        let inside = |net: &IpNet| route.via.map_or(route.to == net.trunc(), |via| net.contains(&via));
        let Some(net) = self.map.nets(from).find(inside) else { return };
        let shares = |at: At| self.map.nets(at).any(|other| other.trunc() == net.trunc());
        let met = self.map.open_to(near).into_iter().any(|other| other.place != near.place && shares(other));
        if met && self.map.lacks_ipv4(near) {
            let dev = self.map.link(near).name.clone();
            self.readdress(interface, net, &dev, net);
            self.or();
        }
    }

    /// Gives an interface and its counterpart at another host addresses of one subnet, where they have none: the counterpart, and
    /// the addresses of both.
    fn join(&mut self, near: At, host: usize) -> Option<(At, [IpAddr; 2])> {
        let mut ends = self.map.interfaces(host).filter(|at| self.map.path(near, *at).is_some_and(|path| path.is_plugged()));
        let Some(there) = ends.find(|at| self.map.peer(*at).is_some() && self.map.bridge(*at).is_none()) else {
            self.step_at(near.place, Edit::up(&self.map.link(near).name));
            return None;
        };
        let link = IpNet::new(IpAddr::from([192, 168, 100, 0]), 24).ok()?;
        let four = |at: At| self.map.nets(at).find(|net| net.addr().is_ipv4());
        let subnet = four(near).or_else(|| four(there)).map_or(link, |net| net.trunc());
        let mut free =
            subnet.hosts().filter(|address| self.map.owners(*address).is_empty()).take(2).collect::<Vec<_>>().into_iter();
        let mut addresses = Vec::new();
        for at in [near, there] {
            let dev = self.map.link(at).name.clone();
            if !self.map.link(at).up {
                self.step_at(at.place, Edit::up(&dev));
            }
            let own = four(at).map(|own| own.addr());
            let address = own.or_else(|| free.next())?;
            if own.is_none() {
                self.step_at(at.place, Edit::add_address(&dev, IpNet::new(address, subnet.prefix_len()).ok()?));
            }
            addresses.push(address);
        }
        Some((there, addresses.try_into().ok()?))
    }

    /// The host itself, or that of a container.
    pub(super) fn host_of(&self, place: usize) -> usize {
        let name = self.map.name(place);
        name.split_once('.').and_then(|(host, _)| self.place(host)).unwrap_or(place)
    }
}
