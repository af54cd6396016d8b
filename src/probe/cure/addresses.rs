//! Addresses that are missing, of another subnet, in the wrong place, of no single node, or there twice.

use std::net::IpAddr;

use ipnet::IpNet;

use super::edit::Edit;
use super::{At, Cures, Fact, Interface};
use crate::name::Mac;
use crate::plan::{MAIN_TABLE, Slot};
use crate::probe::is_link_local;
use crate::probe::view::is_managed;
use crate::report::machine::Kind;

/// Addresses of a subnet that are looked through for one that nobody has.
const FREE: usize = 2000;

impl Cures<'_> {
    pub(super) fn wrong_prefix(&mut self, interface: &Interface, address: IpNet, other: IpNet) {
        let Ok(right) = IpNet::new(address.addr(), other.prefix_len()) else { return };
        self.readdress(interface, address, &interface.interface, right);
        self.or();
        let owner = self.map.owners(other.addr()).first().map(|owner| self.map.interface(*owner));
        let Some(owner) = owner else { return };
        if let Ok(wider) = IpNet::new(other.addr(), address.prefix_len()) {
            self.readdress(&owner, other, &owner.interface, wider);
            self.or();
        }
        self.other_subnet(interface, Some(address), &owner, other);
    }

    /// A bridge's port is in the bridge by mistake, or the address is.
    pub(super) fn on_port(&mut self, interface: &Interface, address: IpNet, bridge: &str) {
        // A check that wants the port in the bridge has no packet to try.
        if self.goal.is_some() && (self.is_nic(interface) || self.is_between_two(interface, address)) {
            self.step(&interface.node, Edit::Master { dev: interface.interface.clone(), bridge: None });
            self.or();
        }
        let bare = |place: &usize| {
            let mut cards = self.map.interfaces(*place).filter(|at| !self.map.is_loopback(*at)).peekable();
            self.map.kind(*place) == Kind::Container && cards.peek().is_some() && cards.all(|at| self.map.lacks_ipv4(at))
        };
        let bare: Vec<usize> = (0..self.map.places().len()).filter(bare).collect();
        if self.goal.is_none() && bare.into_iter().any(|place| self.misplaced(place, Some(address))) {
            return;
        }
        self.readdress(interface, address, bridge, address);
        self.or();
        // The address of the container at the cable's other end, typed at this end.
        let peer = self.at(interface).and_then(|at| self.map.peer(at));
        if let Some(peer) = peer.filter(|peer| self.map.nets(*peer).all(|net| net.addr().is_ipv6() != address.addr().is_ipv6())) {
            self.step(&interface.node, Edit::del_address(&interface.interface, address));
            let dev = self.map.link(peer).name.clone();
            self.step_at(peer.place, Edit::add_address(&dev, address));
        }
    }

    /// Whether nobody has an address in the subnet but the two ends of the cable.
    fn is_between_two(&self, interface: &Interface, address: IpNet) -> bool {
        let Some(at) = self.at(interface) else { return false };
        let Some(peer) = self.map.peer(at) else { return false };
        let mut others = self.map.everywhere().filter(|other| ![at.place, peer.place].contains(&other.place));
        !others.any(|other| self.map.nets(other).any(|net| address.contains(&net.addr())))
    }

    /// Whether the cable leads to another host.
    pub(super) fn is_nic(&self, interface: &Interface) -> bool {
        let peer = self.at(interface).and_then(|at| self.map.peer(at));
        peer.is_some_and(|peer| self.map.kind(peer.place) != Kind::Container)
    }

    /// Replaces an address by one with another prefix, or on another interface, with the routes that go with it.
    pub(super) fn readdress(&mut self, interface: &Interface, old: IpNet, dev: &str, new: IpNet) {
        let (Some(at), node) = (self.at(interface), &interface.node) else { return };
        self.step(node, Edit::del_address(&interface.interface, old));
        self.step(node, Edit::add_address(dev, new));
        // What led over the address leaves with it, as long as the router is in the new subnet, too.
        let index = self.map.link(at).index;
        for route in self.map.tables(at.place).routes.iter().filter(|route| route.table == MAIN_TABLE) {
            if let [hop] = route.hops.as_slice()
                && let Some(via) = hop.via.filter(|via| hop.dev == index && old.contains(via) && new.contains(via))
                && via != new.addr()
            {
                self.step(node, Edit::replace(route.to, via));
            }
        }
    }

    /// Each address to the cable that leads to its subnet.
    pub(super) fn address_elsewhere(&mut self, from: &Interface, address: IpNet, to: &Interface, instead: Option<IpNet>) {
        self.readdress(from, address, &to.interface, address);
        if let Some(other) = instead {
            self.readdress(to, other, &from.interface, other);
        }
    }

    /// From the loopback to the cable.
    pub(super) fn on_loopback(&mut self, interface: &Interface, address: IpNet) {
        let lo = Interface { node: interface.node.clone(), interface: "lo".to_owned() };
        self.readdress(&lo, address, &interface.interface, address);
        self.described_routes(&interface.node, |_| true);
    }

    pub(super) fn no_address(&mut self, node: &str) {
        let Some(place) = self.place(node) else { return };
        let Some(ns) = self.ns(node) else { return };
        if self.off_loopback(place) {
            return;
        }
        if self.map.interfaces(place).all(|at| self.map.is_loopback(at)) {
            return self.no_cable(node, &[]);
        }
        let has = |port: &str, net: &IpNet| {
            let link = self.map.tables(place).named(port);
            link.is_some_and(|link| link.addresses.iter().any(|own| own.net == *net))
        };
        self.make(node, |fact| matches!(fact, Fact::Addr(port, net) if port.ns == ns && !has(port.dev.as_str(), net)));
        if !self.steps.is_empty() {
            self.described_routes(node, |_| true);
            self.or();
        }
        if self.misplaced(place, None) {
            return;
        }
        let found = self
            .link_local(place)
            .or_else(|| self.free_on_segment(place, false))
            .or_else(|| self.free_on_segment(place, true))
            .or_else(|| self.first_on_segment(place));
        if let Some((dev, net)) = found {
            self.step(node, Edit::add_address(&dev, net));
        }
    }

    /// An address on the loopback goes to the node's cable that has none; whether there is one.
    fn off_loopback(&mut self, place: usize) -> bool {
        let lo = self.map.interfaces(place).filter(|at| self.map.is_loopback(*at));
        let address = lo.flat_map(|at| self.map.nets(at)).find(|net| !net.addr().is_loopback() && net.addr().is_ipv4());
        let cable = self.map.interfaces(place).find(|at| self.map.peer(*at).is_some() && self.map.lacks_ipv4(*at));
        let (Some(address), Some(at)) = (address, cable) else { return false };
        let interface = self.map.interface(at);
        self.on_loopback(&interface, address);
        self.or();
        true
    }

    /// An address that was typed at the host's end of a cable, in a bridge, goes to the container's end; so does one at another port
    /// of the bridge that is in the subnet of a container behind it. Whether there is one.
    fn misplaced(&mut self, place: usize, wanted: Option<IpNet>) -> bool {
        let bare = |at: &At| self.map.nets(*at).all(|net| is_link_local(net.addr()));
        let cables: Vec<(At, At)> =
            self.map.interfaces(place).filter(bare).filter_map(|at| Some((at, self.map.peer(at)?))).collect();
        for (at, peer) in cables.into_iter().filter(|(_, peer)| self.map.bridge(*peer).is_some()) {
            let own = self.map.nets(peer).find(|net| !is_link_local(net.addr())).map(|net| (peer, net));
            let of_containers = |(port, net): &(At, IpNet)| {
                let others = self.map.open_to(*port).into_iter().filter(|other| self.map.kind(other.place) == Kind::Container);
                net.addr().is_ipv4()
                    && others.into_iter().any(|other| self.map.nets(other).any(|other| other.trunc() == net.trunc()))
            };
            let ports = self.map.bridge(peer).into_iter().flat_map(|bridge| self.map.ports(bridge)).copied();
            let mut all = ports.flat_map(|port| self.map.nets(port).map(move |net| (port, net)));
            let found = own.or_else(|| all.find(of_containers)).filter(|(_, net)| wanted.is_none_or(|wanted| wanted == *net));
            let Some((port, net)) = found else { continue };
            let (near, there) = (self.map.link(at).name.clone(), self.map.link(port).name.clone());
            self.step_at(port.place, Edit::del_address(&there, net));
            self.step_at(place, Edit::add_address(&near, net));
            self.or();
            return true;
        }
        false
    }

    /// An interface with an IPv6 address and no link-local one, and that of its MAC address.
    fn link_local(&self, place: usize) -> Option<(String, IpNet)> {
        let links = self.map.tables(place).links.iter().filter(|link| link.kind != "loopback");
        let six = |net: IpNet| net.addr().is_ipv6();
        let mut mute = links.filter(|link| {
            link.addresses.iter().any(|own| six(own.net)) && !link.addresses.iter().any(|own| is_link_local(own.net.addr()))
        });
        let link = mute.next()?;
        Some((link.name.clone(), IpNet::new(link.mac?.link_local().into(), 64).ok()?))
    }

    /// An interface that is no port, and an address that nobody has in the subnet of others on its segment, or of one that comes to
    /// be its segment where `loose` ends are plugged in.
    fn free_on_segment(&self, place: usize, loose: bool) -> Option<(String, IpNet)> {
        let own = self.map.interfaces(place).filter(|at| !self.map.is_loopback(*at) && self.map.bridge(*at).is_none());
        let mut own: Vec<At> = own.filter(|at| self.map.peer(*at).is_some() || self.map.is_bridge(*at)).collect();
        own.sort_by_key(|at| !self.map.is_bridge(*at));
        for at in own {
            for other in self.map.everywhere().filter(|other| other.place != place) {
                let Some(net) = self.map.nets(other).find(|net| net.addr().is_ipv4()) else { continue };
                if self.map.path(at, other).is_some_and(|path| loose || path.is_plugged()) {
                    let net = self.free(net)?;
                    return Some((self.map.link(at).name.clone(), net));
                }
            }
        }
        None
    }

    /// A container's cable to a bridge where nobody has an address yet, and one of a subnet that is nowhere in the lab.
    fn first_on_segment(&self, place: usize) -> Option<(String, IpNet)> {
        let plugged = |at: &At| self.map.peer(*at).is_some_and(|peer| self.map.bridge(peer).is_some());
        let at = self.map.interfaces(place).find(plugged)?;
        let mut subnets = (0..=u8::MAX).filter_map(|third| IpNet::new(IpAddr::from([10, 0, third, 0]), 24).ok());
        let subnet = subnets.find(|net| self.is_apart(*net))?;
        // Each of several gets another one.
        let address = subnet.hosts().nth(place)?;
        Some((self.map.link(at).name.clone(), IpNet::new(address, subnet.prefix_len()).ok()?))
    }

    /// An address of the subnet that nobody has.
    pub(super) fn free(&self, net: IpNet) -> Option<IpNet> {
        let address = net.hosts().take(FREE).find(|address| self.map.owners(*address).is_empty())?;
        IpNet::new(address, net.prefix_len()).ok()
    }

    /// One of the two gets an address of the other's subnet: what is described first, then who has no address, then the one that
    /// kept its address from another bridge, then the one whose subnet fewer on the segment share.
    pub(super) fn other_subnet(&mut self, interface: &Interface, own: Option<IpNet>, owner: &Interface, other: IpNet) {
        let ends = [(interface, own, other), (owner, Some(other), own.unwrap_or(other))];
        // Who left a container manager's bridge and kept its address there is the odd one.
        let odd = own.is_some_and(|own| self.is_managed_subnet(own)) != self.is_managed_subnet(other);
        let may = |has: Option<IpNet>| !odd || has.is_none_or(|has| self.is_managed_subnet(has));
        let may = ends.map(|(_, has, _)| may(has));
        for ((end, has, _), _) in ends.iter().zip(may).filter(|(_, may)| *may) {
            self.restore(end, *has);
            self.or();
        }
        let Some(own) = own else {
            for net in self.wanted(owner, other) {
                self.step(&interface.node, Edit::add_address(&interface.interface, net));
                self.or();
            }
            return;
        };
        let mut ends: Vec<_> = ends.into_iter().zip(may).filter(|(_, may)| *may).map(|(end, _)| end).collect();
        let companions = |end: &Interface, net| self.at(end).map_or(0, |at| self.map.companions(at, net));
        if companions(owner, other) < companions(interface, own) {
            ends.reverse();
        }
        for (end, has, subnet) in ends {
            let peer = if end == interface { owner } else { interface };
            for net in self.wanted(peer, subnet) {
                let Some(has) = has else { continue };
                self.readdress(end, has, &end.interface, net);
                self.or();
            }
        }
    }

    /// Whether a container manager's bridge has the subnet.
    fn is_managed_subnet(&self, net: IpNet) -> bool {
        let mut bridges = self.map.everywhere().filter(|at| is_managed(&self.map.link(*at).name));
        bridges.any(|at| self.map.nets(at).any(|own| own.trunc() == net.trunc()))
    }

    /// The address is of a subnet of the host's other bridge, which the interface's cable has left.
    pub(super) fn is_left_over(&self, interface: &Interface, net: IpNet) -> bool {
        let Some(at) = self.at(interface) else { return false };
        let near = self.map.open_to(at);
        let bridges =
            self.map.interfaces(self.host_of(at.place)).filter(|other| self.map.is_bridge(*other) && !near.contains(other));
        bridges.into_iter().any(|bridge| self.map.nets(bridge).any(|own| own.contains(&net.addr())))
    }

    /// The interface's described address of the family, in place of the one that it has.
    fn restore(&mut self, interface: &Interface, has: Option<IpNet>) {
        let (Some(port), Some(at)) = (self.port(interface), self.at(interface)) else { return };
        let lost = self.view.described().filter_map(|fact| match fact {
            Fact::Addr(of, net) if *of == port && !self.map.nets(at).any(|own| own == *net) => Some(*net),
            _ => None,
        });
        let lost: Vec<IpNet> = lost.filter(|net| has.is_none_or(|has| has.addr().is_ipv4() == net.addr().is_ipv4())).collect();
        let Some(new) = lost.first() else { return };
        match has {
            Some(old) => self.readdress(interface, old, &interface.interface, *new),
            None => self.step(&interface.node, Edit::add_address(&interface.interface, *new)),
        }
        self.described_routes(&interface.node, |_| true);
    }

    /// Addresses of a subnet for the neighbour of an interface in it: the routers that its node asks for there and that nobody is,
    /// then one that nobody has.
    fn wanted(&self, interface: &Interface, net: IpNet) -> Vec<IpNet> {
        let place = self.place(&interface.node);
        let routes = place.map(|place| self.map.tables(place).routes.as_slice()).unwrap_or_default();
        let gateways = routes.iter().flat_map(|route| &route.hops).filter_map(|hop| hop.via);
        let asked = gateways.filter(|via| net.contains(via) && self.map.owners(*via).is_empty());
        let asked = asked.filter_map(|via| IpNet::new(via, net.prefix_len()).ok());
        let mut wanted: Vec<IpNet> = asked.chain(self.free(net)).collect();
        wanted.dedup();
        wanted
    }

    /// The owner of a broadcast address gets one that is a node's.
    pub(super) fn broadcast(&mut self, net: IpNet, owner: Option<&Interface>) {
        let Some(owner) = owner else { return };
        let Some(at) = self.at(owner) else { return };
        let all = self.map.nets(at).filter(|own| own.addr().is_ipv4());
        let Some(has) = all.clone().find(|own| own.addr() == net.broadcast()).or(all.clone().next()) else { return };
        self.restore(owner, Some(has));
        self.or();
        if let Some(new) = self.free(net.trunc()) {
            self.readdress(owner, has, &owner.interface, new);
        }
    }

    /// Whoever has it against the description gives it up, else the last.
    pub(super) fn duplicate_address(&mut self, address: IpAddr, owners: &[Interface]) {
        let described = |interface: &Interface| {
            let port = self.port(interface);
            self.view
                .described()
                .any(|fact| matches!(fact, Fact::Addr(of, net) if Some(of) == port.as_ref() && net.addr() == address))
        };
        // Whose it is to be, nobody knows.
        if self.view.described.is_unknown() {
            return;
        }
        let mut wrong: Vec<&Interface> = owners.iter().filter(|owner| !described(owner)).collect();
        if wrong.is_empty() {
            wrong.extend(owners.last());
        }
        // Who is asked for by another address that nobody has comes first, then who is no gateway to others.
        let asked = |wrong: &&Interface| owners.iter().any(|other| other != *wrong && self.asked(other, address).is_some());
        wrong.sort_by_key(|wrong| (wrong.interface != "lo", !asked(wrong), !wrong.node.contains('.'), self.at(wrong)));
        for wrong in wrong {
            self.single(address, wrong, owners);
            self.or();
        }
    }

    /// A router that the interface's node asks for in the subnet of an address, and that nobody is.
    fn asked(&self, interface: &Interface, address: IpAddr) -> Option<IpNet> {
        let net = self.map.nets(self.at(interface)?).find(|net| net.addr() == address)?;
        self.wanted(interface, net).into_iter().next().filter(|wanted| Some(*wanted) != self.free(net))
    }

    /// The topology has the address at another one of its owners, and the interface without any.
    fn is_spare(&self, interface: &Interface, address: IpAddr, owners: &[Interface]) -> bool {
        let Some(described) = self.view.described.as_ref().known() else { return false };
        let has = |owner: &Interface| {
            let port = self.port(owner);
            let own = |fact: &Fact| matches!(fact, Fact::Addr(of, net) if Some(of) == port.as_ref() && net.addr() == address);
            described.iter().any(own)
        };
        self.port(interface).is_some_and(|port| described.has(Slot::Link(&port))) && owners.iter().any(has)
    }

    /// One of several owners of an address gives it up, for its described one or for one that nobody has.
    fn single(&mut self, address: IpAddr, wrong: &Interface, owners: &[Interface]) {
        let Some(at) = self.at(wrong) else { return };
        let Some(net) = self.map.nets(at).find(|net| net.addr() == address) else { return };
        let port = self.port(wrong);
        let own = self.view.described().find_map(|fact| match fact {
            Fact::Addr(of, own) if Some(of) == port.as_ref() && own.addr().is_ipv4() == address.is_ipv4() => Some(*own),
            _ => None,
        });
        let others = self.map.nets(at).any(|other| other != net && other.addr().is_ipv4() == address.is_ipv4());
        match own.filter(|own| own.addr() != address && !self.map.owners(own.addr()).contains(&at)) {
            Some(own) => self.readdress(wrong, net, &wrong.interface, own),
            // An address beside another one is one too many; an only one is replaced.
            None if others || wrong.interface == "lo" || own.is_none() && self.is_spare(wrong, address, owners) => {
                self.step(&wrong.node, Edit::del_address(&wrong.interface, net));
            }
            None => {
                let asked = owners.iter().filter(|other| *other != wrong).find_map(|other| self.asked(other, address));
                if let Some(new) = asked.or_else(|| self.free(net)) {
                    self.readdress(wrong, net, &wrong.interface, new);
                }
            }
        }
    }

    /// Whoever has it against the description gets its own back, else the last a new one.
    pub(super) fn duplicate_mac(&mut self, mac: &str, owners: &[Interface]) {
        let described = |interface: &Interface| self.view.described.as_ref().known()?.mac(&self.port(interface)?);
        let other = owners.iter().find(|owner| described(owner).is_some_and(|own| own.to_string() != mac));
        let Some(wrong) = other.or(owners.last()) else { return };
        let fresh = || {
            let Mac(mut bytes) = mac.parse().ok()?;
            (0..=u8::MAX)
                .map(|last| {
                    bytes[5] = last;
                    Mac(bytes)
                })
                .find(|mac| self.map.owners_of_mac(*mac).is_empty())
        };
        let new = described(wrong).filter(|own| own.to_string() != mac).or_else(fresh);
        if let Some(mac) = new {
            self.step(&wrong.node, Edit::Mac { dev: wrong.interface.clone(), mac });
        }
    }
}
