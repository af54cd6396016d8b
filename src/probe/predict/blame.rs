//! Why a packet does not get further on its segment: cables, ports, questions that nobody answers, frames that go astray.

use std::net::IpAddr;

use ipnet::IpNet;

use super::World;
use super::fabric::{Delivery, Why};
use super::map::At;
use super::neighbours::{Neighbour, Silence};
use super::packet::Packet;
use super::path::Path;
use crate::kernel::tables::Stack;
use crate::name::Mac;
use crate::probe::view::is_managed;
use crate::report::machine::Kind;
use crate::report::trace::{Cause, Route};

impl World<'_> {
    /// Nobody answers the question for the next address.
    pub(super) fn silence(&self, out: At, next: IpAddr, silence: &Silence, route: &Route, packet: &Packet) -> Cause {
        let interface = self.map.interface(out);
        if !self.map.is_followed(out) && self.map.link(out).up {
            return self.not_followed(out);
        }
        if let Some(cause) = &silence.wrong {
            return cause.clone();
        }
        if let Some(cause) = self.on_port(out, next) {
            return cause;
        }
        if self.map.link(out).noarp {
            return Cause::NoArp { interface };
        }
        if silence.own {
            return self.taken(out.place, next);
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
            if let Some(cause) = own.and_then(|mac| self.unflooded(delivery, mac).or_else(|| self.misdirected(*owner, mac))) {
                return cause;
            }
            if let Some(cause) = self.closed(delivery) {
                return cause;
            }
            if let Some(at) = delivery.not_followed() {
                return self.not_followed(at);
            }
        }
        if let Some((at, martian)) = silence.refusals.first() {
            return self.martian(*at, packet.source.unwrap_or(next), *martian);
        }
        // An owner that the question comes to by another interface than the address's.
        let known = |at: &At| self.map.owners(next).iter().any(|owner| owner.place == at.place);
        if let Some(at) = silence.secretive.iter().find(|at| !known(at)) {
            return self.secretive(*at).unwrap_or_else(|| self.blocked(out, next, route, packet));
        }
        let cause = self.blocked(out, next, route, packet);
        match silence.stops.iter().find(|stop| stop.why == Why::NotFollowed) {
            // Nobody knows who is behind it.
            Some(stop) if is_unsure(&cause) => self.not_followed(stop.at),
            _ => cause,
        }
    }

    /// Why an interface does not say its MAC address to who asks.
    fn secretive(&self, at: At) -> Option<Cause> {
        let interface = self.map.interface(at);
        if self.map.link(at).noarp {
            return Some(Cause::NoArp { interface });
        }
        let all = self.map.tables(at.place).settings.as_ref().map_or(0, |settings| settings.arp_ignore);
        let value = self.map.link(at).arp_ignore.max(all);
        (value > 0).then_some(Cause::ArpIgnored { interface, value })
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
        path.steps.windows(2).zip(&path.tags).find_map(|(pair, tag)| {
            let &[bridge, port] = pair else { return None };
            if self.map.bridge(port) != Some(bridge) {
                return None;
            }
            let vlan = self.map.sorted(bridge, *tag);
            let right = self.map.link(port).name.clone();
            match self.fabric.port_of(bridge, mac, vlan) {
                Some(other) if other != port || self.fabric.keeps(bridge, mac) => Some(Cause::WrongFdb {
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
        let isolated = || Cause::PortClosed { interface: self.map.interface(port), state: "isolated".to_owned() };
        Some(self.map.shut(port, self.map.bridge(port)?).unwrap_or_else(isolated))
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
        if let Some(cause) = self.address_elsewhere(out, next) {
            return cause;
        }
        if let Some(owner) = owners.iter().find(|owner| self.is_own_parent(out, **owner)) {
            let child = if self.map.lower(out) == Some(*owner) { out } else { *owner };
            let parent = if child == out { *owner } else { out };
            return Cause::MacvlanParent { interface: self.map.interface(child), parent: self.map.interface(parent) };
        }
        if let Some((path, owner)) = paths.first() {
            if path.is_plugged() {
                let there = self.map.obstacle(path).or_else(|| self.on_port(*owner, next));
                let secretive = || self.secretive(*owner).filter(|_| next.is_ipv4() || self.map.link(*owner).noarp);
                let noarp = || secretive().filter(|cause| matches!(cause, Cause::NoArp { .. }));
                let there = there.or_else(noarp).or_else(|| self.not_flooded(path, next)).or_else(secretive);
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
        if let Some(cause) = owners.first().filter(|_| apart).and_then(|owner| self.overlap(out, next, route, *owner)) {
            return cause;
        }
        if let Some(owner) = owners.first().filter(|_| apart && (route.via.is_none() || paths.is_empty())) {
            let owner = self.map.interface(*owner);
            return Cause::NotOnLink { interface, route: route.clone(), to: next, owner };
        }
        if let Some(cause) = self.peer_without_ipv6(out).filter(|_| next.is_ipv6() && owners.is_empty()) {
            return cause;
        }
        if let Some(cause) = self.own_twice(out.place, next).filter(|_| owners.is_empty()) {
            return cause;
        }
        if let Some(cause) = self.unbridged(out, next).filter(|_| owners.is_empty()) {
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

    /// One is a macvlan on the other.
    fn is_own_parent(&self, one: At, other: At) -> bool {
        let over = |upper: At, lower: At| self.map.lower(upper) == Some(lower) && self.map.link(upper).stack == Stack::Macvlan;
        over(one, other) || over(other, one)
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
            for port in
                own.iter().copied().filter(|at| self.map.kind(at.place) != Kind::Container && self.map.peer(*at).is_some())
            {
                let Some(bridge) = self.map.bridge(port) else { continue };
                // What a topology plugs into a container manager's bridge is left there to be moved.
                if self.map.belongs(port, bridge) && !is_managed(&self.map.link(bridge).name) {
                    continue;
                }
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

    /// The owner is behind routers, of which the node has one in the very subnet that it takes the owner to be in.
    fn overlap(&self, out: At, next: IpAddr, route: &Route, owner: At) -> Option<Cause> {
        let address = self.nets(out, next).find(|net| net.trunc() == route.to.trunc() && net.contains(&next))?;
        let other = self.nets(owner, next).find(|net| net.addr() == next)?;
        let hops = self.map.tables(out.place).routes.iter().flat_map(|route| &route.hops);
        let gateways: Vec<IpAddr> = hops.filter_map(|hop| hop.via).filter(|via| address.contains(via)).collect();
        let router = self
            .segment_of(out)
            .into_iter()
            .find(|at| self.passes_on(*at, next.is_ipv6()) && self.nets(*at, next).any(|net| gateways.contains(&net.addr())))?;
        let leads = self.map.interfaces(router.place).any(|at| at != router && self.map.reach(at).contains(&owner.place));
        let (interface, owner) = (self.map.interface(out), self.map.interface(owner));
        (leads && route.via.is_none()).then_some(Cause::Overlap { interface, address, owner, other })
    }

    /// The cables of containers of one subnet end loose in a host without a bridge.
    fn unbridged(&self, out: At, next: IpAddr) -> Option<Cause> {
        let own = self.nets(out, next).find(|net| net.contains(&next))?;
        let end = self.map.peer(out).filter(|end| self.map.is_loose(*end))?;
        let shares = |at: At| {
            let there = self.map.peer(at).filter(|_| at != end && self.map.is_loose(at));
            there.is_some_and(|there| self.nets(there, next).any(|net| net.trunc() == own.trunc()))
        };
        let bridge = self.map.interfaces(end.place).any(|at| self.map.is_bridge(at));
        let several = self.map.interfaces(end.place).any(shares);
        (several && !bridge).then(|| Cause::NotInBridge { interface: self.map.interface(end), bridges: Vec::new() })
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
            return Cause::TooBig { interface: self.map.interface(stop.at), mtu, size: packet.size, route: None };
        }
        if !self.map.is_followed(out) && self.map.link(out).up {
            return self.not_followed(out);
        }
        if let Some(at) = delivery.not_followed() {
            return self.not_followed(at);
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

/// It rests on nobody's answering.
fn is_unsure(cause: &Cause) -> bool {
    matches!(cause, Cause::Unresolved { .. } | Cause::NoSuchGateway { .. } | Cause::NotOnLink { .. } | Cause::OtherNic { .. })
}
