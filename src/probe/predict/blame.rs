//! Why a packet does not get further: from what is missing to what is wrong.

use std::net::IpAddr;

use ipnet::IpNet;

use super::lookup::forwards;
use super::map::{At, Delivery, Why};
use super::packet::{Packet, Stand};
use super::path::Path;
use super::{Neighbour, Silence, World};
use crate::name::Mac;
use crate::plan::MAIN_TABLE;
use crate::probe::is_link_local;
use crate::probe::view::is_managed;
use crate::report::machine::Kind;
use crate::report::trace::{Cause, Route};

/// The least MTU of IPv6 (RFC 8200 section 5).
const LEAST_MTU6: u32 = 1280;

impl World<'_> {
    /// The node has no route to where the packet wants to go.
    pub(super) fn no_route(&self, stand: Stand, packet: &Packet) -> Cause {
        let (place, to) = (stand.place, packet.destination);
        let node = self.map.name(place);
        let cables: Vec<At> = self.map.interfaces(place).filter(|at| !self.map.is_loopback(*at)).collect();
        let covers = |at: &At| self.nets(*at, to).any(|net| net.contains(&to));
        if let Some(down) = cables.iter().find(|at| !self.map.link(**at).up && covers(at)) {
            return Cause::LinkDown { interface: self.map.interface(*down), peer: None };
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
        if let Some(cause) = self.on_loopback(place, to).filter(|_| !addressed) {
            return cause;
        }
        if !addressed && stand.enters.is_none() && cables.iter().all(|at| self.map.link(*at).up) {
            return Cause::NoAddress { node };
        }
        // Routes leave with the link that they lead over, and IPv6 addresses too.
        let lost = |at: &&At| {
            !self.map.link(**at).up && self.map.peer(**at).is_some() && (to.is_ipv6() || self.nets(**at, to).next().is_some())
        };
        if let Some(down) = cables.iter().find(lost) {
            return Cause::LinkDown { interface: self.map.interface(*down), peer: None };
        }
        if addressed { Cause::NoRoute { node, to } } else { Cause::NoAddress { node } }
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
    fn own_twice(&self, place: usize, like: IpAddr) -> Option<Cause> {
        let own = self.map.interfaces(place).filter(|at| !self.map.is_loopback(*at));
        let mut own = own.flat_map(|at| self.nets(at, like).map(|net| net.addr()).collect::<Vec<_>>());
        own.find_map(|address| self.duplicate_on_segment(place, address))
    }

    /// The other end of a cable, or the bridge that it is in, where IPv6 is off.
    fn peer_without_ipv6(&self, out: At) -> Option<Cause> {
        let peer = self.map.peer(out)?;
        let end = self.map.bridge(peer).unwrap_or(peer);
        let link = self.map.link(end);
        let mtu = Some(link.mtu).filter(|mtu| *mtu < LEAST_MTU6);
        (link.ipv6_off || mtu.is_some()).then(|| Cause::Ipv6Off { interface: self.map.interface(end), mtu })
    }

    /// Interfaces of the node where IPv6 is off.
    fn ipv6_off(&self, place: usize) -> Option<Cause> {
        let off = |at: &At| {
            let link = self.map.link(*at);
            let cable = self.map.peer(*at).is_some() || self.map.is_bridge(*at);
            cable && self.map.bridge(*at).is_none() && (link.ipv6_off || link.mtu < LEAST_MTU6)
        };
        let at = self.map.interfaces(place).find(off)?;
        let mtu = Some(self.map.link(at).mtu).filter(|mtu| *mtu < LEAST_MTU6);
        Some(Cause::Ipv6Off { interface: self.map.interface(at), mtu })
    }

    /// An address that belongs on the node's cable.
    fn on_loopback(&self, place: usize, to: IpAddr) -> Option<Cause> {
        let lo = self.map.interfaces(place).find(|at| self.map.is_loopback(*at))?;
        let address = self.nets(lo, to).find(|net| !net.addr().is_loopback())?;
        let mut cables = self.map.interfaces(place).filter(|at| self.map.peer(*at).is_some());
        let at = cables.find(|at| self.nets(*at, to).next().is_none())?;
        Some(Cause::OnLoopback { interface: self.map.interface(at), address })
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
    fn passes_on(&self, at: At, ipv6: bool) -> bool {
        forwards(self.map.tables(at.place), self.map.link(at), ipv6)
    }

    /// The addresses of an interface that are of the family and in use beyond it.
    pub(super) fn nets(&self, at: At, like: IpAddr) -> impl Iterator<Item = IpNet> {
        self.map.nets(at).filter(move |net| net.addr().is_ipv4() == like.is_ipv4() && !is_link_local(net.addr()))
    }

    /// The other interfaces with addresses that frames from there come to.
    fn segment_of(&self, at: At) -> Vec<At> {
        let other = |other: &At| other.place != at.place && !self.map.link(*other).addresses.is_empty();
        self.map.open_to(at).into_iter().filter(other).collect()
    }

    /// Nobody answers the question for the next address.
    pub(super) fn silence(&self, out: At, next: IpAddr, silence: &Silence, route: &Route, packet: &Packet) -> Cause {
        let interface = self.map.interface(out);
        if let Some(cause) = self.on_port(out, next) {
            return cause;
        }
        if self.map.link(out).noarp {
            return Cause::NoArp { interface };
        }
        if silence.own {
            return self.duplicate(next);
        }
        if silence.mute {
            return Cause::NoAddress { node: interface.node };
        }
        let own = self.map.link(out).mac;
        if let Some((owner, delivery)) = silence.lost.first() {
            let macs = [own, self.map.link(*owner).mac];
            if let Some(cause) = macs.into_iter().flatten().find_map(|mac| self.map.shared(mac)) {
                return cause;
            }
            if let Some(cause) = own.and_then(|mac| self.unflooded(delivery, mac)) {
                return cause;
            }
            if let Some(cause) = self.closed(delivery) {
                return cause;
            }
        }
        if let Some((at, martian)) = silence.refusals.first() {
            return self.martian(*at, packet.source.unwrap_or(next), *martian);
        }
        self.blocked(out, next, route, packet)
    }

    /// An address on a bridge's port, here or at the owner's.
    fn on_port(&self, at: At, next: IpAddr) -> Option<Cause> {
        let bridge = self.map.bridge(at)?;
        let address = self.nets(at, next).next()?;
        let bridge = self.map.link(bridge).name.clone();
        Some(Cause::AddressOnPort { interface: self.map.interface(at), address, bridge })
    }

    /// A network delivers to nobody what is not for one of its NICs.
    fn unflooded(&self, delivery: &Delivery, mac: Mac) -> Option<Cause> {
        let stop = delivery.stops.iter().find(|stop| stop.why == Why::Unflooded)?;
        if self.map.kind(stop.at.place) != Kind::Switch {
            let interface = self.map.interface(stop.at);
            return Some(Cause::PortClosed { interface, state: "no-flood".to_owned() });
        }
        let owner = self.map.station(mac).owner;
        Some(Cause::ForeignMac { network: self.map.name(stop.at.place), mac: mac.to_string(), owner })
    }

    /// On the way to the owner of a MAC address, a bridge that sends frames for it to another port, or not to the right one.
    fn misdirected(&self, out: At, mac: Mac) -> Option<Cause> {
        let [owner] = self.map.owners_of_mac(mac) else { return None };
        let path = self.map.path(out, *owner).filter(Path::is_plugged)?;
        path.steps.windows(2).find_map(|pair| {
            let &[bridge, port] = pair else { return None };
            if self.map.bridge(port) != Some(bridge) {
                return None;
            }
            let right = self.map.link(port).name.clone();
            match self.fabric.port_of(bridge, mac) {
                Some(other) if other != port => Some(Cause::WrongFdb {
                    interface: self.map.interface(other),
                    bridge: self.map.link(bridge).name.clone(),
                    mac: mac.to_string(),
                    right,
                }),
                Some(_) => None,
                None if self.map.link(port).port.unwrap_or_default().floods => None,
                None => Some(Cause::PortClosed { interface: self.map.interface(port), state: "no-flood".to_owned() }),
            }
        })
    }

    /// A port that lets nothing pass, or what it waits for.
    fn closed(&self, delivery: &Delivery) -> Option<Cause> {
        if let Some(stop) = delivery.stops.iter().find(|stop| stop.why == Why::Locked) {
            return Some(Cause::PortClosed { interface: self.map.interface(stop.at), state: "locked".to_owned() });
        }
        let port = delivery.stops.iter().find(|stop| stop.why == Why::Closed)?.at;
        let down = |at: At, peer: Option<At>| {
            let peer = peer.map(|peer| self.map.interface(peer));
            Some(Cause::LinkDown { interface: self.map.interface(at), peer })
        };
        let is_down = |at: &At| !self.map.link(*at).up;
        if let Some(bridge) = self.map.bridge(port).filter(is_down) {
            return down(bridge, None);
        }
        if is_down(&port) {
            return down(port, None);
        }
        if self.map.forwards(port) {
            return Some(Cause::PortClosed { interface: self.map.interface(port), state: "isolated".to_owned() });
        }
        if let Some(peer) = self.map.peer(port).filter(is_down) {
            return down(port, Some(peer));
        }
        let state = self.map.link(port).port?.state.word().to_owned();
        Some(Cause::PortClosed { interface: self.map.interface(port), state })
    }

    /// What is between an interface and the next address.
    fn blocked(&self, out: At, next: IpAddr, route: &Route, packet: &Packet) -> Cause {
        let interface = self.map.interface(out);
        let owners: Vec<At> = self.map.owners(next).iter().copied().filter(|owner| owner.place != out.place).collect();
        let mut paths: Vec<_> = owners.iter().filter_map(|owner| Some((self.map.path(out, *owner)?, *owner))).collect();
        paths.sort_by_key(|(path, _)| path.cost());
        if !self.map.link(out).up {
            return Cause::LinkDown { interface, peer: None };
        }
        if let Some((path, owner)) = paths.first() {
            if path.is_plugged() {
                let there = self.map.obstacle(path).or_else(|| self.on_port(*owner, next));
                let noarp = || self.map.link(*owner).noarp.then(|| Cause::NoArp { interface: self.map.interface(*owner) });
                let ignored = self.map.link(*owner).arp_ignore;
                let all = self.map.tables(owner.place).settings.as_ref().map_or(0, |settings| settings.arp_ignore);
                let ignores = || {
                    let value = ignored.max(all);
                    (value > 0 && next.is_ipv4()).then(|| Cause::ArpIgnored { interface: self.map.interface(*owner), value })
                };
                let there = there.or_else(noarp).or_else(|| self.not_flooded(path, next)).or_else(ignores);
                let unresolved = || Cause::Unresolved { interface, address: next, owner: Some(self.map.interface(*owner)) };
                return there.unwrap_or_else(unresolved);
            }
            if let Some(cause) = self.too_wide(out, next, route) {
                return cause;
            }
            if let Some(cause) = self.map.obstacle(path) {
                return cause;
            }
        }
        let wrong_bridge = || owners.iter().find_map(|owner| self.wrong_bridge(out, *owner));
        if let Some(cause) = self.too_wide(out, next, route).or_else(wrong_bridge) {
            return cause;
        }
        if let Some(cause) = self.other_nic(out, route, packet) {
            return cause;
        }
        if let Some(cause) = self.dark(out) {
            return cause;
        }
        let apart = paths.first().is_none_or(|(path, _)| !path.is_plugged());
        if let (None, Some(owner)) = (route.via, owners.first().filter(|_| apart)) {
            let owner = self.map.interface(*owner);
            return Cause::NotOnLink { interface, route: route.clone(), to: next, owner };
        }
        if let Some(cause) = self.peer_without_ipv6(out).filter(|_| next.is_ipv6() && owners.is_empty()) {
            return cause;
        }
        if let Some(cause) = self.own_twice(out.place, next).filter(|_| owners.is_empty()) {
            return cause;
        }
        if let Some(cause) = self.far_end_elsewhere(out, next).filter(|_| owners.is_empty()) {
            return cause;
        }
        match route.via {
            Some(gateway) if owners.is_empty() => Cause::NoSuchGateway { node: interface.node, gateway, route: route.clone() },
            _ => Cause::Unresolved { interface, address: next, owner: owners.first().map(|at| self.map.interface(*at)) },
        }
    }

    /// On the way of a question, a port that gets no broadcasts, or of IPv6 no multicasts; on the way back of its answer, none.
    fn not_flooded(&self, path: &Path, next: IpAddr) -> Option<Cause> {
        // What the bridge sends itself goes to every port (`br_flood`).
        let mut leaving = path.steps.windows(3).filter_map(|steps| {
            let &[_, bridge, port] = steps else { return None };
            (self.map.bridge(port) == Some(bridge)).then_some(port)
        });
        let flags = |port: At| self.map.link(port).port.unwrap_or_default();
        let shut = |port: &At| if next.is_ipv6() { !flags(*port).multicasts } else { !flags(*port).broadcasts };
        let state = if next.is_ipv6() { "no-multicast" } else { "no-broadcast" }.to_owned();
        let locked = path.steps.windows(2).find_map(|pair| {
            let &[port, bridge] = pair else { return None };
            (self.map.bridge(port) == Some(bridge) && flags(port).locked).then_some(port)
        });
        let port = |port, state| Cause::PortClosed { interface: self.map.interface(port), state };
        leaving.find(shut).map(|at| port(at, state)).or(locked.map(|at| port(at, "locked".to_owned())))
    }

    /// A cable from one of the two ends in a bridge from which no way leads to the other, beside a bridge from which one does: a
    /// container's before a NIC, and out of a bridge that a container manager made before into it.
    fn wrong_bridge(&self, out: At, owner: At) -> Option<Cause> {
        let (near, there) = (self.map.open_to(out), self.map.open_to(owner));
        let mut found: Vec<(bool, bool, At, At)> = Vec::new();
        for (own, other) in [(&near, &there), (&there, &near)] {
            for port in own.iter().copied().filter(|at| self.map.kind(at.place) == Kind::Host && self.map.peer(*at).is_some()) {
                let Some(bridge) = self.map.bridge(port) else { continue };
                let others = self.map.interfaces(port.place).filter(|at| self.map.is_bridge(*at) && *at != bridge);
                let end = if std::ptr::eq(own, &raw const near) { out } else { owner };
                let carries = self.map.path(end, bridge).is_some_and(|path| path.steps.contains(&port));
                for wanted in others.filter(|at| carries && other.contains(at)) {
                    let into = is_managed(&self.map.link(wanted).name) && !is_managed(&self.map.link(bridge).name);
                    let is_nic = self.map.peer(port).is_some_and(|peer| self.map.kind(peer.place) != Kind::Container);
                    found.push((into, is_nic, port, wanted));
                }
            }
        }
        let (.., port, wanted) = found.into_iter().min_by_key(|(into, is_nic, ..)| (*into, *is_nic))?;
        let bridge = self.map.link(self.map.bridge(port)?).name.clone();
        let wanted = Some(self.map.link(wanted).name.clone());
        Some(Cause::WrongBridge { interface: self.map.interface(port), bridge, wanted })
    }

    /// The other end of the cable is down: nobody can answer.
    fn dark(&self, out: At) -> Option<Cause> {
        let peer = self.map.peer(out).filter(|peer| !self.map.link(*peer).up)?;
        Some(Cause::LinkDown { interface: self.map.interface(out), peer: Some(self.map.interface(peer)) })
    }

    /// The interface's prefix says that the address is near, those of others on the segment say that it is not.
    fn too_wide(&self, out: At, next: IpAddr, route: &Route) -> Option<Cause> {
        if route.via.is_some() {
            return None;
        }
        let address = self.nets(out, next).find(|net| net.trunc() == route.to.trunc() && net.contains(&next))?;
        let others = self.segment_of(out).into_iter().flat_map(|other| self.nets(other, next).collect::<Vec<_>>());
        let fits = |net: &IpNet| address.contains(&net.addr()) && net.contains(&address.addr()) && !net.contains(&next);
        let other = others.into_iter().find(fits)?;
        Some(Cause::WrongPrefix { interface: self.map.interface(out), address, other, to: next })
    }

    /// Nobody has the address that is asked for, and the host at the cable's other end has one in another subnet alone.
    fn far_end_elsewhere(&self, out: At, next: IpAddr) -> Option<Cause> {
        let own = self.nets(out, next).find(|net| net.contains(&next))?;
        let peer = self.map.peer(out)?;
        let end = self.map.bridge(peer).unwrap_or(peer);
        if self.map.kind(end.place) != Kind::Host || self.map.kind(out.place) != Kind::Container {
            return None;
        }
        let has: Vec<IpNet> = self.nets(end, next).collect();
        let first = *has.first()?;
        let meets = has.iter().any(|net| net.contains(&own.addr()) || own.contains(&net.addr()));
        let (interface, owner) = (self.map.interface(end), self.map.interface(out));
        (!meets).then_some(Cause::OtherSubnet { interface, own: Some(first), owner, other: own })
    }

    /// Another interface leads to the destination's owner, this one does not.
    fn other_nic(&self, out: At, route: &Route, packet: &Packet) -> Option<Cause> {
        let owners = self.map.owners(packet.destination);
        let away: Vec<At> = owners.iter().copied().filter(|owner| owner.place != out.place).collect();
        let leads = |at: At| {
            let reach = self.map.reach(at);
            away.iter().copied().find(|owner| reach.contains(&owner.place))
        };
        if leads(out).is_some() {
            return None;
        }
        let owner = self.map.interfaces(out.place).filter(|at| *at != out && self.map.peer(*at).is_some()).find_map(leads)?;
        let (interface, owner) = (self.map.interface(out), Some(self.map.interface(owner)));
        Some(Cause::OtherNic { interface, route: route.clone(), owner })
    }

    /// The frame did not come to the node that it is for.
    pub(super) fn astray(
        &mut self,
        out: At,
        next: IpAddr,
        (mac, remembered): (Mac, bool),
        delivery: &Delivery,
        route: &Route,
        packet: &Packet,
    ) -> Cause {
        if let Some(stop) = delivery.stops.iter().find(|stop| matches!(stop.why, Why::TooBig(_)))
            && let Why::TooBig(mtu) = stop.why
        {
            return Cause::TooBig { interface: self.map.interface(stop.at), mtu, size: packet.size };
        }
        let own = self.map.link(out).mac;
        if self.map.link(out).noarp && own == Some(mac) {
            return Cause::NoArp { interface: self.map.interface(out) };
        }
        if remembered {
            let wrong = |right: Option<Mac>| {
                let (interface, mac) = (self.map.interface(out), mac.to_string());
                Cause::WrongNeighbour { interface, address: next, mac, right: right.map(|mac| mac.to_string()) }
            };
            match self.resolve(out, next, packet.source.unwrap_or(next)) {
                Neighbour::Answered { mac: right, .. } if right != mac => return wrong(Some(right)),
                _ => {
                    let owners = self.map.owners(next).to_vec();
                    let macs: Vec<Mac> = owners.iter().filter_map(|owner| self.map.link(*owner).mac).collect();
                    if !macs.is_empty() && !macs.contains(&mac) && self.map.shared(mac).is_none() {
                        let same = owners.iter().find(|owner| self.map.path(out, **owner).is_some_and(|path| path.is_plugged()));
                        if let Some(owner) = same {
                            return wrong(self.map.link(*owner).mac);
                        }
                    }
                }
            }
        }
        let shared = [Some(mac), own].into_iter().flatten().find_map(|mac| self.map.shared(mac));
        shared
            .or_else(|| self.misdirected(out, mac))
            .or_else(|| self.unflooded(delivery, mac))
            .or_else(|| self.closed(delivery))
            .unwrap_or_else(|| self.blocked(out, next, route, packet))
    }
}
