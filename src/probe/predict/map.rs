//! The lab as a map: interfaces by number, cables by their two ends, owners of addresses.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::kernel::tables::{Filtering, Link, PortState, Stack, Tables, VethPeer};
use crate::name::{IfName, Mac};
use crate::plan::{Ns, Port, State};
use crate::probe::view::{Place, View};
use crate::report::machine::Kind;
use crate::report::trace::Cause;
use crate::report::wire::{Interface, Station};

/// An interface: the place of its node in the view, its own place in the node's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::probe) struct At {
    pub place: usize,
    pub link: usize,
}

/// The interfaces of a view and what joins them.
#[derive(Debug)]
pub(in crate::probe) struct Map<'a> {
    places: &'a [Place],
    described: Option<&'a State>,
    indices: HashMap<(usize, u32), At>,
    cables: HashMap<At, At>,
    ports: HashMap<At, Vec<At>>,
    lowers: HashMap<At, At>,
    uppers: HashMap<At, Vec<At>>,
    macs: HashMap<Mac, Vec<At>>,
    addresses: HashMap<IpAddr, Vec<At>>,
}

impl<'a> Map<'a> {
    pub(in crate::probe) fn new(view: &'a View) -> Self {
        let places = &view.places;
        let names: HashMap<&str, usize> =
            places.iter().enumerate().map(|(place, each)| (each.node.node.as_str(), place)).collect();
        let mut map = Self {
            places,
            described: view.described.as_ref().known().map(AsRef::as_ref),
            indices: HashMap::new(),
            cables: HashMap::new(),
            ports: HashMap::new(),
            lowers: HashMap::new(),
            uppers: HashMap::new(),
            macs: HashMap::new(),
            addresses: HashMap::new(),
        };
        for (place, each) in places.iter().enumerate() {
            for (link, found) in each.tables.links.iter().enumerate() {
                let at = At { place, link };
                map.indices.insert((place, found.index), at);
                if let Some(mac) = found.mac {
                    map.macs.entry(mac).or_default().push(at);
                }
                if found.kind != "loopback" {
                    for address in &found.addresses {
                        map.addresses.entry(address.net.addr()).or_default().push(at);
                    }
                }
            }
        }
        for (place, each) in places.iter().enumerate() {
            for (link, found) in each.tables.links.iter().enumerate() {
                let at = At { place, link };
                let end = |end: &Option<VethPeer>| {
                    let key = end.as_ref().and_then(|end| Some((*names.get(end.node.as_deref()?)?, end.index)));
                    key.and_then(|key| map.indices.get(&key).copied())
                };
                let (peer, lower) = (end(&found.peer), end(&found.lower));
                map.cables.extend(peer.map(|peer| (at, peer)));
                if let Some(lower) = lower {
                    map.lowers.insert(at, lower);
                    map.uppers.entry(lower).or_default().push(at);
                }
                if let Some(bridge) = found.master.and_then(|index| map.indices.get(&(place, index))) {
                    map.ports.entry(*bridge).or_default().push(at);
                }
            }
        }
        map
    }

    pub(in crate::probe) fn places(&self) -> &'a [Place] {
        self.places
    }

    pub(in crate::probe) fn tables(&self, place: usize) -> &'a Tables {
        &self.places[place].tables
    }

    pub(in crate::probe) fn link(&self, at: At) -> &'a Link {
        &self.places[at.place].tables.links[at.link]
    }

    pub(in crate::probe) fn kind(&self, place: usize) -> Kind {
        self.places[place].node.kind
    }

    /// The node's name, `host` or `host.container`.
    pub(in crate::probe) fn name(&self, place: usize) -> String {
        self.places[place].node.node.clone()
    }

    pub(in crate::probe) fn interface(&self, at: At) -> Interface {
        Interface { node: self.name(at.place), interface: self.link(at).name.clone() }
    }

    /// The interface of that name in the node, `host` or `host.container`.
    pub(in crate::probe) fn named(&self, node: &str, dev: &str) -> Option<At> {
        let place = self.places.iter().position(|place| place.node.node == node)?;
        self.interfaces(place).find(|at| self.link(*at).name == dev)
    }

    pub(in crate::probe) fn at(&self, place: usize, index: u32) -> Option<At> {
        self.indices.get(&(place, index)).copied()
    }

    /// The addresses of an interface with their prefixes.
    pub(in crate::probe) fn nets(&self, at: At) -> impl Iterator<Item = IpNet> + Clone + use<'a> {
        self.link(at).addresses.iter().map(|address| address.net)
    }

    /// All interfaces of a node.
    pub(in crate::probe) fn interfaces(&self, place: usize) -> impl Iterator<Item = At> + use<> {
        (0..self.places[place].tables.links.len()).map(move |link| At { place, link })
    }

    /// All interfaces of the lab.
    pub(in crate::probe) fn everywhere(&self) -> impl Iterator<Item = At> {
        (0..self.places.len()).flat_map(|place| self.interfaces(place))
    }

    /// It has no IPv4 address.
    pub(in crate::probe) fn lacks_ipv4(&self, at: At) -> bool {
        self.nets(at).all(|net| net.addr().is_ipv6())
    }

    /// The other end of the cable.
    pub(in crate::probe) fn peer(&self, at: At) -> Option<At> {
        self.cables.get(&at).copied()
    }

    /// The ports of a bridge.
    pub(in crate::probe) fn ports(&self, bridge: At) -> &[At] {
        self.ports.get(&bridge).map_or(&[], Vec::as_slice)
    }

    /// The bridge that it is a port of.
    pub(in crate::probe) fn bridge(&self, port: At) -> Option<At> {
        self.link(port).master.and_then(|index| self.at(port.place, index)).filter(|bridge| self.is_bridge(*bridge))
    }

    /// The topology says that the port is in that bridge.
    pub(in crate::probe) fn belongs(&self, port: At, bridge: At) -> bool {
        let ns = Ns::Node(self.places[port.place].id.clone());
        let key = Port { ns, dev: IfName::observed(&self.link(port).name) };
        let said = self.described.and_then(|state| state.master(&key));
        said.is_some_and(|said| said.as_str() == self.link(bridge).name)
    }

    /// The link that it stands on.
    pub(in crate::probe) fn lower(&self, at: At) -> Option<At> {
        self.lowers.get(&at).copied()
    }

    /// One is a link above the other, with others between or not.
    pub(in crate::probe) fn stands_on(&self, upper: At, lower: At) -> bool {
        let below = |at: &At| self.lower(*at).or_else(|| self.active(*at));
        std::iter::successors(below(&upper), below).take(self.uppers.len() + 1).any(|at| at == lower)
    }

    /// What is down at the bottom of a link: a VLAN goes down with the link that it stands on, and comes up with it.
    pub(in crate::probe) fn lowest_down(&self, mut at: At) -> At {
        for _ in 0..self.uppers.len() {
            let Some(lower) = self.lower(at).filter(|lower| !self.link(*lower).up) else { break };
            at = lower;
        }
        at
    }

    /// The links that stand on it: VLANs, macvlans.
    pub(in crate::probe) fn uppers(&self, at: At) -> &[At] {
        self.uppers.get(&at).map_or(&[], Vec::as_slice)
    }

    /// The bond that it is a slave of.
    pub(in crate::probe) fn bond(&self, slave: At) -> Option<At> {
        let bond = self.link(slave).master.and_then(|index| self.at(slave.place, index))?;
        (self.link(bond).kind == "bond").then_some(bond)
    }

    /// The slave by which a bond's frames leave, and by which they have to come in.
    pub(in crate::probe) fn active(&self, bond: At) -> Option<At> {
        match self.link(bond).stack {
            Stack::Bond { active } => self.at(bond.place, active?),
            _ => None,
        }
    }

    /// The tag of a frame that came to a bridge by that port, or from its own interface, within it; none where it is not let in.
    pub(in crate::probe) fn ingress(&self, bridge: At, port: At, tag: u16) -> Option<u16> {
        if self.link(bridge).filtering != Filtering::On {
            return Some(tag);
        }
        let index = self.link(port).index;
        let mut own = self.tables(port.place).vlans.iter().filter(|vlan| vlan.port == index);
        own.find(|vlan| if tag == 0 { vlan.pvid } else { vlan.id == tag }).map(|vlan| vlan.id)
    }

    /// The tag with which a frame leaves a bridge by that port, or to its own interface; none where it does not leave there.
    pub(in crate::probe) fn egress(&self, bridge: At, port: At, tag: u16) -> Option<u16> {
        if self.link(bridge).filtering != Filtering::On {
            return Some(tag);
        }
        let index = self.link(port).index;
        let own = self.tables(port.place).vlans.iter().find(|vlan| vlan.port == index && vlan.id == tag)?;
        Some(if own.untagged { 0 } else { tag })
    }

    /// The VLAN for which a bridge's forwarding table has entries of frames that have the tag within it.
    pub(in crate::probe) fn sorted(&self, bridge: At, tag: u16) -> u16 {
        if self.link(bridge).filtering == Filtering::On { tag } else { 0 }
    }

    pub(in crate::probe) fn is_bridge(&self, at: At) -> bool {
        self.link(at).kind == "bridge"
    }

    /// It is of a kind whose frames are known to come out at the other end of a cable, or at the ports of a bridge.
    pub(in crate::probe) fn is_followed(&self, at: At) -> bool {
        is_followed(self.link(at))
    }

    pub(in crate::probe) fn is_loopback(&self, at: At) -> bool {
        self.link(at).kind == "loopback"
    }

    /// Every interface that has the address, used or not.
    pub(in crate::probe) fn owners(&self, address: IpAddr) -> &[At] {
        self.addresses.get(&address).map_or(&[], Vec::as_slice)
    }

    /// Every interface that has the MAC address.
    pub(in crate::probe) fn owners_of_mac(&self, mac: Mac) -> &[At] {
        self.macs.get(&mac).map_or(&[], Vec::as_slice)
    }

    /// A port passes frames on as far as the spanning tree is concerned.
    pub(in crate::probe) fn forwards(&self, port: At) -> bool {
        self.link(port).port.unwrap_or_default().state == PortState::Forwarding
    }

    /// What a stacked link stands on at last, or the bond that it is a slave of.
    fn base(&self, mut at: At) -> At {
        for _ in 0..=self.uppers.len() {
            let same = |lower: &At| self.link(*lower).mac == self.link(at).mac;
            let Some(lower) = self.bond(at).or_else(|| self.lower(at)).filter(same) else { break };
            at = lower;
        }
        at
    }

    /// Every interface that has the MAC address; stacked links that share it are one.
    fn stations(&self, mac: Mac) -> Vec<At> {
        let mut all: Vec<At> = Vec::new();
        for base in self.owners_of_mac(mac).iter().map(|at| self.base(*at)) {
            if !all.contains(&base) {
                all.push(base);
            }
        }
        all
    }

    /// The MAC address with its owner; a bridge that shares its port's counts as one with it.
    pub(in crate::probe) fn station(&self, mac: Mac) -> Station {
        let owner = match self.stations(mac).as_slice() {
            [one] => Some(*one),
            many => {
                let bridge = many.iter().find(|at| self.is_bridge(**at)).copied();
                bridge.filter(|bridge| many.iter().all(|at| at == bridge || self.bridge(*at) == Some(*bridge)))
            }
        };
        Station { mac: mac.to_string(), owner: owner.map(|at| self.interface(at)) }
    }

    /// What is wrong where several interfaces have the MAC address.
    pub(in crate::probe) fn shared(&self, mac: Mac) -> Option<Cause> {
        let owners = self.stations(mac);
        if owners.len() < 2 || self.station(mac).owner.is_some() {
            return None;
        }
        let is_nic = |at: &At| {
            self.kind(at.place) == Kind::Host && self.peer(*at).is_some_and(|peer| self.kind(peer.place) != Kind::Container)
        };
        let mut hosts: Vec<usize> = owners.iter().map(|at| at.place).collect();
        hosts.dedup();
        let cloned = hosts.len() > 1 && owners.iter().all(is_nic);
        let (mac, owners) = (mac.to_string(), owners.iter().map(|at| self.interface(*at)).collect());
        Some(if cloned { Cause::ClonedMac { mac, owners } } else { Cause::DuplicateMac { mac, owners } })
    }
}

/// Kinds of links that are followed; `device` is a real NIC.
const FOLLOWED: [&str; 4] = ["veth", "bridge", "loopback", "device"];

/// Whether the link is of a kind that is followed, with what it is set to.
pub(in crate::probe) fn is_followed(link: &Link) -> bool {
    link.stack != Stack::Unknown || FOLLOWED.contains(&link.kind.as_str()) && link.filtering != Filtering::Unknown
}
