//! A host and what it has, and what hosts and containers are written with alike.

use std::cell::RefCell;
use std::net::IpAddr;

use ipnet::IpNet;

use super::containers;
use crate::name::{IfName, Mac, NodeName};
use crate::problem::{Problem, Reference};
use crate::topology::reader::{At, Item, Keys, Scope};
use crate::topology::tree::{Aspect, Part, Place, Places, Port, Span};
use crate::topology::validate::MAX_INTERFACES;
use crate::topology::values::{self, each, flag, list, parsed, reference, some, text, whole};
use crate::topology::{Attach, Bridge, Hop, Host, Nic, Route};

/// Smallest and largest MTU that the kernel gives a veth (`ETH_MIN_MTU`, `ETH_MAX_MTU`, `linux/if_ether.h`).
const MTU: std::ops::RangeInclusive<i64> = 68..=65535;

/// Reads one host.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    /// The number that it has in the list of hosts.
    pub(super) index: usize,
    /// The networks of the file.
    pub(super) networks: &'a [String],
    /// Whether `count:` makes as many containers as it says.
    pub(super) expand: bool,
    pub(super) places: &'a RefCell<Places>,
}

impl Reader<'_> {
    /// Notes where a part is written.
    pub(super) fn put(self, container: Option<usize>, part: Part, at: &Span) {
        self.places.borrow_mut().put(Place::Node(self.index, container, part), at);
    }

    /// Values whose places are noted under their numbers.
    pub(super) fn placed<T: Clone>(self, container: Option<usize>, values: &[At<T>], part: impl Fn(usize) -> Part) -> Vec<T> {
        values.iter().enumerate().for_each(|(index, value)| self.put(container, part(index), &value.at));
        values.iter().map(|value| value.value.clone()).collect()
    }

    /// The addresses and the MAC address of a host's interface, all of whose places are noted.
    fn interface(
        self,
        port: Port,
        word: &At<String>,
        addresses: &[At<IpNet>],
        mac: Option<At<Mac>>,
    ) -> (Vec<IpNet>, Option<Mac>) {
        self.put(None, Part::Interface(port, Aspect::Name), &word.at);
        if let Some(mac) = &mac {
            self.put(None, Part::Interface(port, Aspect::Mac), &mac.at);
        }
        let addresses = self.placed(None, addresses, |address| Part::Interface(port, Aspect::Address(address)));
        (addresses, mac.map(|mac| mac.value))
    }

    /// Routes whose places are noted.
    pub(super) fn routes(self, container: Option<usize>, routes: &[Written]) -> Vec<Route> {
        for (index, route) in routes.iter().enumerate() {
            self.put(container, Part::Route(index), &route.to);
            self.put(container, Part::Hop(index), &route.hop);
        }
        routes.iter().map(|route| route.route.clone()).collect()
    }
}

/// An interface's number in its node, or none where there are too many.
pub(super) fn number(scope: Scope<'_>, index: usize, node: &At<String>) -> Option<u8> {
    let number = u8::try_from(index).ok();
    if number.is_none() {
        scope.note(&node.at, Problem::TooManyInterfaces { node: node.value.clone(), limit: MAX_INTERFACES });
    }
    number
}

/// Addresses with their prefixes.
pub(super) fn prefixes(keys: &mut Keys<'_>, about: &str) -> Vec<At<IpNet>> {
    keys.optional("address", about, some(parsed(values::prefix))).unwrap_or_default()
}

/// A MAC address.
pub(super) fn mac(keys: &mut Keys<'_>, about: &str) -> Option<At<Mac>> {
    keys.optional("mac", about, |item| Some(At { value: parsed(values::mac)(item)?, at: item.at.clone() }))
}

/// Bytes of payload per frame.
pub(super) fn mtu(keys: &mut Keys<'_>, about: &str) -> Option<u32> {
    keys.optional("mtu", about, whole("mtu", MTU))
}

/// Whether it is up.
pub(super) fn up(keys: &mut Keys<'_>) -> bool {
    keys.optional("up", "Administratively up; true unless given.", flag).unwrap_or(true)
}

/// Default gateways.
pub(super) fn gateways(keys: &mut Keys<'_>) -> Vec<At<IpAddr>> {
    let about = "Its default gateway; a list of two for both families.";
    keys.optional("gateway", about, some(parsed(values::address))).unwrap_or_default()
}

/// A route, and where its destination and its next hop are written.
pub(super) struct Written {
    pub(super) route: Route,
    to: Span,
    hop: Span,
}

/// Routes by these interfaces.
pub(super) fn routes(keys: &mut Keys<'_>, known: &[String]) -> Vec<Written> {
    let read = list(|item| Some(route(item, known)));
    keys.optional("routes", "Further routes.", read).into_iter().flatten().flatten().collect()
}

fn route(item: &mut Item<'_>, known: &[String]) -> Option<Written> {
    item.keys(|keys| {
        let to = keys.required("to", "The destination, as 10.0.0.0/8.", text);
        let via = keys.optional("via", "The router's address.", text);
        let dev = keys.optional("dev", "The interface that the destination is on.", text);
        let blackhole = keys.optional("blackhole", "Drops the packets in silence.", flag);
        let at = to.as_ref().map_or(keys.at.clone(), |to| to.at.clone());
        let at_hop = via.as_ref().or(dev.as_ref()).map_or(at.clone(), |hop| hop.at.clone());
        let scope = keys.scope;
        let destination = to.and_then(|word| scope.parsed(&word, values::destination));
        let hop = match (via, dev, blackhole.unwrap_or(false)) {
            (Some(via), None, false) => scope.parsed(&via, values::address).map(Hop::Via),
            (None, Some(dev), false) => scope.refers(Reference::Interface, &dev, known).map(Hop::Dev),
            (None, None, true) => Some(Hop::Blackhole),
            _ => {
                keys.note_unless_spoiled(&at, Problem::OneHop);
                None
            }
        };
        Some(Written { route: Route { to: destination?, hop: hop? }, to: at, hop: at_hop })
    })
}

impl Reader<'_> {
    /// The host, unless its name is none.
    pub(super) fn host(self, word: &At<String>, item: &mut Item<'_>, number: u16) -> Option<Host> {
        let scope = item.scope;
        let name: Option<NodeName> = scope.parsed(word, values::name);
        self.put(None, Part::Name, &word.at);
        item.keys(|keys| {
            let forwarding = keys.optional("forwarding", "Forwards packets, IPv4 and IPv6.", flag);
            let about = "Runs an agent that speaks LXD's API, so that `lxc` commands its containers.";
            let agent = keys.optional("agent", about, flag);
            let (mut nics, mut bridges) = (Vec::new(), Vec::new());
            let met = scope.met();
            let own = each(|nic, item| nics.extend(self.nic(word, nic, item, nics.len())));
            let own = keys.optional("nics", "Its network cards, by interface name.", own).unwrap_or_default();
            let mut broken = scope.met() > met;
            let gateways = gateways(keys);
            let met = scope.met();
            let joined = each(|bridge, item| bridges.extend(self.bridge(word, bridge, item, &own, bridges.len())));
            let joined = keys.optional("bridges", "Its bridges, by interface name.", joined).unwrap_or_default();
            broken |= scope.met() > met;
            if broken {
                self.places.borrow_mut().mark_broken(self.index, None);
            }
            let mut host = Host {
                name: name.clone().unwrap_or_else(NodeName::unnamed),
                number,
                forwarding: forwarding.unwrap_or(false),
                nics,
                bridges,
                gateways: self.placed(None, &gateways, Part::Gateway),
                routes: Vec::new(),
                containers: Vec::new(),
                next_container: 1,
                agent: agent.unwrap_or(false),
            };
            let containers = each(|word, item| containers::read(self, &mut host, &joined, word, item));
            keys.optional("containers", "Its containers, by name.", containers);
            let known = [own, joined, host.ends().map(|end| end.name.to_string()).collect()].concat();
            host.routes = self.routes(None, &routes(keys, &known));
            name.map(|_| host)
        })
    }

    fn nic(self, host: &At<String>, word: &At<String>, item: &mut Item<'_>, index: usize) -> Option<Nic> {
        let name = item.scope.parsed(word, values::name);
        let number = number(item.scope, index, host);
        item.keys(|keys| {
            let about = "The network that it is plugged into.";
            let network = keys.required("network", about, reference(Reference::Network, self.networks));
            let addresses = prefixes(keys, "Its address with the prefix length, or a list of them.");
            let mac = mac(keys, "Its MAC address; nslab gives a readable one unless given.");
            let mtu = mtu(keys, "Bytes of payload per frame; the network's unless given.");
            let up = up(keys);
            let (name, number, network) = (name?, number?, network?);
            let (addresses, mac) = self.interface(Port::Nic(index), word, &addresses, mac);
            Some(Nic { name, number, attach: Attach::Network(network.value), addresses, mac, mtu, up })
        })
    }

    fn bridge(self, host: &At<String>, word: &At<String>, item: &mut Item<'_>, nics: &[String], index: usize) -> Option<Bridge> {
        let name = item.scope.parsed(word, values::name);
        let number = number(item.scope, index, host);
        item.keys(|keys| {
            let about = "The host's NICs that are its ports; containers name their bridge themselves.";
            let ports = keys.optional("ports", about, some(reference::<IfName>(Reference::Port, nics)));
            let ports: Vec<At<IfName>> = ports.into_iter().flatten().map(|port| port.value).collect();
            let addresses = prefixes(keys, "The host's own address on the bridge, or a list of them.");
            let mac = mac(keys, "Its MAC address.");
            let mtu = mtu(keys, "Bytes of payload per frame, also for the containers on it; 1500 unless given.");
            let stp = keys.optional("stp", "Runs the spanning tree protocol, which a loop needs.", flag);
            let up = up(keys);
            let (name, number) = (name?, number?);
            let ports = self.placed(None, &ports, |port| Part::Port(index, port));
            let (addresses, mac) = self.interface(Port::Bridge(index), word, &addresses, mac);
            Some(Bridge { name, number, ports, addresses, mac, mtu, stp: stp.unwrap_or(false), up, managed: None })
        })
    }
}
