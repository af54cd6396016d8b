//! Why a packet does not get further, above the segment: addresses, subnets and routes that a node lacks.

use std::net::IpAddr;

use ipnet::IpNet;

use super::World;
use super::lookup::{forwards, unruled};
use super::map::At;
use super::packet::{Packet, Stand};
use super::path::Path;
use crate::kernel::tables::{Detection, Stack};
use crate::plan::MAIN_TABLE;
use crate::probe::is_link_local;
use crate::probe::view::is_managed;
use crate::report::trace::Cause;
use crate::topology::LEAST_MTU6;

impl World<'_> {
    /// The node has no route to where the packet wants to go.
    pub(super) fn no_route(&self, stand: Stand, packet: &Packet) -> Cause {
        let (place, to) = (stand.place, packet.destination);
        let node = self.map.name(place);
        let tables = self.map.tables(place);
        if unruled(tables, to) {
            return Cause::NoRule { node, to };
        }
        let cables: Vec<At> = self.map.interfaces(place).filter(|at| !self.map.is_loopback(*at)).collect();
        let covers = |at: &At| self.nets(*at, to).any(|net| net.contains(&to));
        if let Some(down) = cables.iter().find(|at| !self.map.link(**at).up && covers(at)) {
            return Cause::LinkDown { interface: self.map.interface(self.map.lowest_down(*down)), peer: None };
        }
        let addressed = cables.iter().any(|at| self.nets(*at, to).next().is_some());
        if let Some(cause) = self.own_twice(place, to) {
            return cause;
        }
        if let Some(cause) = self.ipv6_off(place).filter(|_| to.is_ipv6() && !addressed) {
            return cause;
        }
        if let Some(cause) = cables.iter().find_map(|at| self.unrouted(*at, to)) {
            return cause;
        }
        if let Some(cause) = self.other_subnet(place, to).filter(|_| addressed || stand.enters.is_some()) {
            return cause;
        }
        if let Some(cause) = self.on_loopback(place, to, addressed) {
            return cause;
        }
        if !addressed && stand.enters.is_none() && cables.iter().all(|at| self.map.link(*at).up) {
            return Cause::NoAddress { node };
        }
        // Routes leave with the link that they lead over, and IPv6 addresses too.
        let lost = |at: &&At| {
            let cable = self.map.peer(**at).is_some() || self.map.link(**at).stack != Stack::Unknown;
            !self.map.link(**at).up && cable && (to.is_ipv6() || self.nets(**at, to).next().is_some())
        };
        if let Some(down) = cables.iter().find(lost) {
            return Cause::LinkDown { interface: self.map.interface(self.map.lowest_down(*down)), peer: None };
        }
        if let Some(cause) = self.unplugged(&cables, to).filter(|_| addressed) {
            return cause;
        }
        if addressed { Cause::NoRoute { node, to } } else { Cause::NoAddress { node } }
    }

    /// A cable of the node's that is plugged into nothing at its other end, and would lead to the destination's owner.
    fn unplugged(&self, cables: &[At], to: IpAddr) -> Option<Cause> {
        let ways = cables.iter().flat_map(|at| self.map.owners(to).iter().map(move |owner| (*at, *owner)));
        let paths = ways.filter(|(at, owner)| at.place != owner.place).filter_map(|(at, owner)| self.map.path(at, owner));
        let path = paths.min_by_key(Path::cost)?;
        let loose = path.steps.get(1).is_some_and(|end| self.map.is_loose(*end));
        if loose && !path.is_plugged() { self.map.obstacle(&path) } else { None }
    }

    /// An interface of the node whose cable leads to the destination's owner, without routers between, and that has no address in
    /// the owner's subnet, or cannot be used; none where a router on the way knows the owner.
    pub(super) fn other_subnet(&self, place: usize, to: IpAddr) -> Option<Cause> {
        let owners: Vec<At> = self.map.owners(to).iter().copied().filter(|owner| owner.place != place).collect();
        let own = self.map.interfaces(place).filter(|at| !self.map.is_loopback(*at) && self.map.bridge(*at).is_none());
        let ways = own.flat_map(|at| owners.iter().map(move |owner| (at, *owner)));
        let ways = ways.filter_map(|(at, owner)| Some((self.map.path(at, owner).filter(Path::is_plugged)?, at, owner)));
        let (path, at, owner) = ways.min_by_key(|(path, ..)| path.cost())?;
        let leads = |router: At| {
            self.passes_on(router, to.is_ipv6())
                && self.nets(router, to).any(|net| self.nets(at, to).any(|own| own.contains(&net.addr())))
                && self.map.interfaces(router.place).any(|out| out != router && self.map.reach(out).contains(&owner.place))
        };
        let other = self.nets(owner, to).find(|net| net.addr() == to)?;
        if self.segment_of(at).into_iter().any(leads) {
            return None;
        }
        if let Some(cause) = self.map.obstacle(&path) {
            return Some(cause);
        }
        if let Some(net) = self.nets(at, to).find(|own| own.contains(&to)) {
            let known = self.map.tables(place).routes.iter().any(|route| route.to == net.trunc() && route.table == MAIN_TABLE);
            return (!known && net.addr() != to).then(|| Cause::NoRoute { node: self.map.name(place), to });
        }
        let own = self.nets(at, to).next();
        if let Some(address) = own.filter(|own| other.contains(&own.addr())) {
            return Some(Cause::WrongPrefix { interface: self.map.interface(at), address, other, to });
        }
        Some(Cause::OtherSubnet { interface: self.map.interface(at), own, owner: self.map.interface(owner), other })
    }

    /// An address of the outgoing interface whose subnet is on the cable of another one of the node's: nobody of it is here.
    pub(super) fn address_elsewhere(&self, out: At, next: IpAddr) -> Option<Cause> {
        let address = self.nets(out, next).find(|net| net.contains(&next))?;
        let lives = |at: At, net: IpNet| {
            let inside = |other: IpNet| net.contains(&other.addr()) && other.contains(&net.addr());
            self.segment_of(at).into_iter().any(|other| self.nets(other, next).any(inside))
        };
        let own = |at: At, wanted: &dyn Fn(IpNet) -> bool| self.nets(at, next).find(|net| *net != address && wanted(*net));
        let right = |at: &At| {
            *at != out
                && !self.map.stands_on(out, *at)
                && !self.map.stands_on(*at, out)
                && self.map.bridge(*at).is_none()
                // A container manager's bridge has a subnet of its own.
                && !is_managed(&self.map.link(*at).name)
                && self.segment_of(*at).into_iter().any(|other| self.map.owners(next).contains(&other))
                && self.nets(*at, next).all(|net| !net.contains(&next))
        };
        let belongs = self.map.interfaces(out.place).find(right).filter(|_| !lives(out, address))?;
        let instead = own(belongs, &|net| lives(out, net) && !lives(belongs, net));
        // A cable's end without an address may belong in the bridge, unless that is the gateway of another subnet.
        let router = own(out, &|net| lives(out, net)).is_some();
        if self.map.is_bridge(out) && self.map.is_loose(belongs) && !router {
            return None;
        }
        let (interface, belongs) = (self.map.interface(out), self.map.interface(belongs));
        Some(Cause::AddressElsewhere { interface, address, belongs, instead })
    }

    /// An interface of the node that is down and would lead to the destination's owner, by way of routers.
    pub(super) fn down_towards(&self, place: usize, to: IpAddr) -> Option<Cause> {
        let down = |at: &At| !self.map.link(*at).up && self.map.peer(*at).is_some();
        let leads = |at: &At| {
            let reach = self.map.reach(*at);
            self.map.owners(to).iter().any(|owner| owner.place != place && reach.contains(&owner.place))
        };
        let at = self.map.interfaces(place).find(|at| down(at) && leads(at))?;
        Some(Cause::LinkDown { interface: self.map.interface(at), peer: None })
    }

    /// Another node on the segment has an address of the node's own.
    pub(super) fn own_twice(&self, place: usize, like: IpAddr) -> Option<Cause> {
        let own = self.map.interfaces(place).filter(|at| !self.map.is_loopback(*at));
        let mut own = own.flat_map(|at| self.nets(at, like).map(|net| net.addr()).collect::<Vec<_>>());
        own.find_map(|address| self.duplicate_on_segment(place, address))
    }

    /// The other end of a cable, or the bridge that it is in, where IPv6 is off.
    pub(super) fn peer_without_ipv6(&self, out: At) -> Option<Cause> {
        let peer = self.map.peer(out)?;
        self.without_ipv6(self.map.bridge(peer).unwrap_or(peer))
    }

    /// IPv6 is off at the interface.
    pub(super) fn without_ipv6(&self, at: At) -> Option<Cause> {
        let link = self.map.link(at);
        let mtu = Some(link.mtu).filter(|mtu| *mtu < LEAST_MTU6);
        (link.ipv6_off || mtu.is_some()).then(|| Cause::Ipv6Off { interface: self.map.interface(at), mtu })
    }

    /// Interfaces of the node where IPv6 is off.
    fn ipv6_off(&self, place: usize) -> Option<Cause> {
        let cable = |at: &At| self.map.peer(*at).is_some() || self.map.is_bridge(*at);
        let own = self.map.interfaces(place).filter(|at| cable(at) && self.map.bridge(*at).is_none());
        own.into_iter().find_map(|at| self.without_ipv6(at))
    }

    /// The address that a cause is about, where it is there and not in use.
    pub(super) fn unused(&self, cause: &Cause) -> Option<Cause> {
        let at = |node: &str| self.map.places().iter().position(|place| place.node.node == node);
        let (place, wanted) = match cause {
            Cause::Unresolved { address, owner: Some(owner), .. } => (at(&owner.node)?, Some(*address)),
            Cause::NoAddress { node } => (at(node)?, None),
            _ => return None,
        };
        let fits = |net: IpNet| wanted.map_or(!is_link_local(net.addr()), |wanted| net.addr() == wanted);
        self.map.interfaces(place).find_map(|at| {
            let own = self.map.link(at).addresses.iter().find(|own| own.is_tentative() && fits(own.net))?;
            Some(Cause::AddressUnused {
                interface: self.map.interface(at),
                address: own.net,
                failed: own.detection == Detection::Failed,
            })
        })
    }

    /// An address that belongs on the node's cable; where it has others, one of a subnet that is there.
    pub(super) fn on_loopback(&self, place: usize, to: IpAddr, addressed: bool) -> Option<Cause> {
        let lo = self.map.interfaces(place).find(|at| self.map.is_loopback(*at))?;
        let address = self.nets(lo, to).find(|net| !net.addr().is_loopback())?;
        let mut cables = self.map.interfaces(place).filter(|at| self.map.peer(*at).is_some());
        let there = |at: At| {
            let others = self.segment_of(at).into_iter().filter(|other| other.place != place);
            others
                .flat_map(|other| self.nets(other, to))
                .any(|net| net.contains(&address.addr()) && address.contains(&net.addr()))
        };
        let at = cables.find(|at| self.nets(*at, to).next().is_none() && (!addressed || there(*at)))?;
        Some(Cause::OnLoopback { interface: self.map.interface(at), address })
    }

    /// A subnet on the loopback makes the node take another one's address for its own.
    pub(super) fn swallows(&self, place: usize, to: IpAddr) -> Option<Cause> {
        let owners = self.map.owners(to);
        let lo = self.map.interfaces(place).find(|at| self.map.is_loopback(*at))?;
        let is_own = self.nets(lo, to).any(|net| net.addr() == to) || owners.iter().any(|owner| owner.place == place);
        let address = self.nets(lo, to).find(|net| net.contains(&to) && !net.addr().is_loopback())?;
        let cables = self.map.interfaces(place).filter(|at| self.map.peer(*at).is_some() || self.map.is_bridge(*at));
        // Where the subnet is.
        let near = |at: &At| {
            self.segment_of(*at)
                .into_iter()
                .any(|other| other.place != place && self.nets(other, to).any(|net| address.contains(&net.addr())))
        };
        let cable = cables.min_by_key(|at| (!near(at), self.map.bridge(*at).is_some()))?;
        (!is_own && !owners.is_empty()).then(|| Cause::OnLoopback { interface: self.map.interface(cable), address })
    }

    /// The node takes an address for its own that is not its own alone.
    pub(super) fn taken(&self, place: usize, address: IpAddr) -> Cause {
        self.swallows(place, address).unwrap_or_else(|| self.duplicate(address))
    }

    /// The address is that of all in a subnet of the node's.
    pub(super) fn broadcast(&self, stand: Stand, to: IpAddr) -> Cause {
        let is_it = |net: &IpNet| net.prefix_len() < 31 && net.broadcast() == to;
        let mut own = self.map.interfaces(stand.place).filter_map(|at| Some((at, self.nets(at, to).find(is_it)?)));
        let Some((at, address)) = own.next().filter(|_| to.is_ipv4()) else {
            let interface = stand.enters.map(|at| self.map.link(at).name.clone());
            return Cause::Unknown { node: self.map.name(stand.place), interface };
        };
        let owner = self.map.owners(to).first().map(|owner| self.map.interface(*owner));
        Cause::Broadcast { interface: self.map.interface(at), address, owner }
    }

    /// What is wrong with an interface that leads to the destination, or to a router, and is not said to.
    fn unrouted(&self, at: At, to: IpAddr) -> Option<Cause> {
        let near = self.map.owners(to).iter().filter(|owner| owner.place != at.place);
        let owner = near.copied().find(|owner| self.map.path(at, *owner).is_some_and(|path| path.is_plugged()));
        if owner.is_some() && !self.map.link(at).up {
            return Some(Cause::LinkDown { interface: self.map.interface(at), peer: None });
        }
        let other = owner.and_then(|owner| self.nets(owner, to).find(|net| net.addr() == to));
        let own = self.nets(at, to).find(|net| other.is_some_and(|other| other.contains(&net.addr())));
        match (own, other) {
            (Some(address), Some(other)) if !address.contains(&to) => {
                Some(Cause::WrongPrefix { interface: self.map.interface(at), address, other, to })
            }
            _ => self.cut_off(at, to),
        }
    }

    /// A router on the segment takes the interface's address for near, but the interface does not take the router's for near.
    fn cut_off(&self, at: At, to: IpAddr) -> Option<Cause> {
        let routers = self.segment_of(at).into_iter().filter(|other| self.passes_on(*other, to.is_ipv6()));
        let all: Vec<(IpNet, IpNet)> = routers
            .flat_map(|other| self.nets(other, to).collect::<Vec<_>>())
            .flat_map(|net| self.nets(at, to).map(move |own| (own, net)))
            .collect();
        let (address, other) = all.into_iter().find(|(own, net)| net.contains(&own.addr()) && !own.contains(&net.addr()))?;
        Some(Cause::WrongPrefix { interface: self.map.interface(at), address, other, to: other.addr() })
    }

    /// Whether the node forwards what comes in there.
    pub(super) fn passes_on(&self, at: At, ipv6: bool) -> bool {
        forwards(self.map.tables(at.place), self.map.link(at), ipv6)
    }

    /// The addresses of an interface that are of the family and in use beyond it.
    pub(super) fn nets(&self, at: At, like: IpAddr) -> impl Iterator<Item = IpNet> {
        self.map.nets(at).filter(move |net| net.addr().is_ipv4() == like.is_ipv4() && !is_link_local(net.addr()))
    }

    /// The other interfaces with addresses that frames from there come to.
    pub(super) fn segment_of(&self, at: At) -> Vec<At> {
        let other = |other: &At| other.place != at.place && !self.map.link(*other).addresses.is_empty();
        self.map.open_to(at).into_iter().filter(other).collect()
    }
}
