//! A host's containers, one by one or by `count:`, which makes many of one: names and addresses step along.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::{Reader, Written, gateways, mac, mtu, number, prefixes, routes, up};
use crate::name::{IfName, Mac, NodeName};
use crate::problem::{Problem, Reference};
use crate::topology::reader::{At, Item, Keys, Scope};
use crate::topology::tree::{Aspect, Part, Port};
use crate::topology::validate::MAX_NODES;
use crate::topology::values::{self, each, flag, reference, text, whole};
use crate::topology::{Attach, Container, Hop, Host, HostEnd, Instance, Nic};

/// What one entry of the file makes containers of.
struct Pattern {
    forwarding: bool,
    nics: Vec<Wired>,
    /// The subnets that its NICs are in.
    subnets: Vec<At<IpNet>>,
    gateways: Vec<At<IpAddr>>,
    routes: Vec<Written>,
    /// A NIC could not be read.
    broken: bool,
}

/// A NIC of every container that is made.
struct Wired {
    word: At<String>,
    name: Option<IfName>,
    number: Option<u8>,
    bridge: Option<At<IfName>>,
    /// The bridge is unknown.
    lost: bool,
    /// The name that the file gives the host's end.
    end: Option<At<String>>,
    end_addresses: Vec<At<IpNet>>,
    end_mac: Option<At<Mac>>,
    addresses: Vec<At<IpNet>>,
    mac: Option<At<Mac>>,
    mtu: Option<u32>,
    up: bool,
}

/// The container that is being made, of those that one entry makes.
struct ContainerBuilder<'a> {
    reader: Reader<'a>,
    scope: Scope<'a>,
    word: &'a At<String>,
    copy: Copy,
    name: NodeName,
    index: usize,
}

/// Adds the containers that an entry makes to a host with these bridges.
pub(super) fn read(reader: Reader<'_>, host: &mut Host, bridges: &[String], word: &At<String>, item: &mut Item<'_>) {
    let scope = item.scope;
    let Some((pattern, count)) = item.keys(|keys| {
        let high = i64::try_from(MAX_NODES).unwrap_or(i64::MAX);
        let about = "Makes this many: `count: 3` on `c` makes c1, c2, c3. Addresses step by one, in a /30 or /31 by the subnet.";
        let count: Option<u32> = keys.optional("count", about, whole("count", 1..=high));
        let count = keys.gives("count").then(|| count.filter(|_| reader.expand).unwrap_or(1));
        Some((pattern(keys, bridges, word), count))
    }) else {
        return;
    };
    for index in 0..count.unwrap_or(1) {
        let copy = Copy { index, count };
        let called = At { value: copy.name(&word.value), at: word.at.clone() };
        let Some(name) = scope.parsed(&called, values::name) else { break };
        let builder = ContainerBuilder { reader, scope, word, copy, name, index: host.containers.len() };
        host.containers.push(builder.container(&pattern, host.next_container));
        host.next_container = host.next_container.saturating_add(1);
    }
}

fn pattern(keys: &mut Keys<'_>, bridges: &[String], word: &At<String>) -> Pattern {
    let (scope, met) = (keys.scope, keys.scope.met());
    let forwarding = keys.optional("forwarding", "Forwards packets, IPv4 and IPv6.", flag).unwrap_or(false);
    let (mut nics, mut subnets) = (Vec::new(), Vec::new());
    let read = each(|nic, item| nics.extend(wired(nic, item, bridges, number(scope, nics.len(), word), &mut subnets)));
    let own = keys.optional("nics", "Its network cards, by interface name.", read).unwrap_or_default();
    let broken = scope.met() > met;
    Pattern { forwarding, nics, subnets, gateways: gateways(keys), routes: routes(keys, &own), broken }
}

fn wired(
    word: &At<String>,
    item: &mut Item<'_>,
    bridges: &[String],
    number: Option<u8>,
    subnets: &mut Vec<At<IpNet>>,
) -> Option<Wired> {
    let name: Option<IfName> = item.scope.parsed(word, values::name);
    item.keys(|keys| {
        let about = "The host's bridge that the other end is a port of.";
        let bridge = keys.optional("bridge", about, reference(Reference::Bridge, bridges));
        let lost = bridge.is_none() && keys.gives("bridge");
        let end = keys.optional("host", "The other end.", |item| {
            item.keys(|keys| {
                let name = keys.optional("name", "Its interface name; `veth-CONTAINER` unless given.", text);
                let about = "Its address with the prefix length, or a list of them; not on a bridge's port.";
                Some((name, prefixes(keys, about), mac(keys, "Its MAC address.")))
            })
        });
        let (end, end_addresses, end_mac) = end.unwrap_or_default();
        let addresses = prefixes(keys, "Its address with the prefix length, or a list of them.");
        subnets.extend(addresses.clone());
        let mac = mac(keys, "Its MAC address.");
        let mtu = mtu(keys, "Bytes of payload per frame, at both ends; the bridge's unless given.");
        let up = up(keys);
        let word = word.clone();
        Some(Wired { word, name, number, bridge, lost, end, end_addresses, end_mac, addresses, mac, mtu, up })
    })
}

impl ContainerBuilder<'_> {
    fn container(&self, pattern: &Pattern, number: u16) -> Container {
        self.reader.put(Some(self.index), Part::Name, &self.word.at);
        let met = self.scope.met();
        let mut nics: Vec<Nic> = Vec::new();
        for wired in &pattern.nics {
            nics.extend(self.nic(wired, nics.len()));
        }
        if pattern.broken || self.scope.met() > met {
            let mut places = self.reader.places.borrow_mut();
            places.mark_broken(self.reader.index, Some(self.index));
            places.mark_broken(self.reader.index, None);
        }
        let gateways = self.reader.placed(Some(self.index), &pattern.gateways, Part::Gateway);
        let mut routes = self.reader.routes(Some(self.index), &pattern.routes);
        for route in &mut routes {
            if let Hop::Via(via) = &mut route.hop {
                *via = self.copy.router(*via, &pattern.subnets);
            }
        }
        Container {
            name: self.name.clone(),
            number,
            forwarding: pattern.forwarding,
            nics,
            gateways: gateways.into_iter().map(|gateway| self.copy.router(gateway, &pattern.subnets)).collect(),
            routes,
            instance: Instance::default(),
        }
    }

    fn nic(&self, wired: &Wired, index: usize) -> Option<Nic> {
        let addresses = self.stepped(&wired.addresses, Port::Nic(index));
        let mac = self.only_mac(wired.mac.as_ref(), Port::Nic(index));
        let end = self.end(wired, index);
        self.put(Port::Nic(index), Aspect::Name, &wired.word);
        let (name, number, attach) = (wired.name.clone()?, wired.number?, Attach::Host(end?));
        (!wired.lost).then_some(Nic { name, number, attach, addresses, mac, mtu: wired.mtu, up: wired.up })
    }

    /// The host's end of a NIC.
    fn end(&self, wired: &Wired, index: usize) -> Option<HostEnd> {
        let name = self.end_name(wired, index);
        let mut given = wired.end_addresses.as_slice();
        if let (Some(bridge), Some(first)) = (&wired.bridge, given.first()) {
            let port = name.as_ref().map_or_else(String::new, ToString::to_string);
            self.scope.note(&first.at, Problem::AddressOnPort { port, bridge: bridge.value.to_string() });
            given = &[];
        }
        let addresses = self.stepped(given, Port::End(index));
        let mac = self.only_mac(wired.end_mac.as_ref(), Port::End(index));
        Some(HostEnd { name: name?, bridge: wired.bridge.as_ref().map(|bridge| bridge.value.clone()), addresses, mac })
    }

    fn end_name(&self, wired: &Wired, index: usize) -> Option<IfName> {
        if let Some(word) = &wired.end {
            self.put(Port::End(index), Aspect::Name, word);
            return self.scope.parsed(&At { value: self.copy.name(&word.value), at: word.at.clone() }, values::name);
        }
        self.put(Port::End(index), Aspect::Name, self.word);
        let made = if index == 0 { format!("veth-{}", self.name) } else { format!("veth-{}-{index}", self.name) };
        let too_long = |_| Problem::TooLongForInterface { made: made.clone(), limit: IfName::MAX };
        made.parse().map_err(|fault| self.scope.note(&self.word.at, too_long(fault))).ok()
    }

    fn put<T>(&self, port: Port, aspect: Aspect, at: &At<T>) {
        self.reader.put(Some(self.index), Part::Interface(port, aspect), &at.at);
    }

    fn stepped(&self, given: &[At<IpNet>], port: Port) -> Vec<IpNet> {
        let mut found = Vec::with_capacity(given.len());
        for address in given {
            match self.copy.address(address) {
                Ok(net) => {
                    self.put(port, Aspect::Address(found.len()), address);
                    found.push(net);
                }
                Err(problem) => problem.into_iter().for_each(|problem| self.scope.note(&address.at, problem)),
            }
        }
        found
    }

    fn only_mac(&self, mac: Option<&At<Mac>>, port: Port) -> Option<Mac> {
        let found = mac?;
        if self.copy.is_one_of_many() {
            self.scope.note(&found.at, Problem::CountNeedsOne("mac"));
            return None;
        }
        self.put(port, Aspect::Mac, found);
        Some(found.value)
    }
}

/// One of the containers that `count:` makes.
#[derive(Debug, Clone, Copy)]
struct Copy {
    /// Which one, from 0.
    index: u32,
    /// How many there are; none where the file gives no count.
    count: Option<u32>,
}

impl Copy {
    /// A name with this one's number, which is from 1.
    fn name(self, base: &str) -> String {
        if self.count.is_some() { format!("{base}{}", self.index + 1) } else { base.to_owned() }
    }

    /// Whether more than one container is made.
    fn is_one_of_many(self) -> bool {
        self.count.is_some_and(|count| count > 1)
    }

    /// The address of this one. Leaving the subnet is a problem once, at the last.
    fn address(self, given: &At<IpNet>) -> Result<IpNet, Option<Problem>> {
        let count = self.count.unwrap_or(1);
        let left = || Problem::CountLeavesSubnet { subnet: given.value.trunc(), count, fit: room(given.value) };
        step(given.value, self.index).ok_or_else(|| (self.index + 1 == count).then(left))
    }

    /// The router of this one: it steps along with the small subnet that it is in, and stays in a shared one.
    fn router(self, given: IpAddr, subnets: &[At<IpNet>]) -> IpAddr {
        let small = subnets.iter().find(|subnet| is_small(subnet.value) && subnet.value.contains(&given));
        let Some(small) = small else { return given };
        add(given, u128::from(self.index) << host_bits(small.value)).unwrap_or(given)
    }
}

/// A point-to-point subnet (RFC 3021 for /31, RFC 6164 for /127) or a single address.
fn is_small(net: IpNet) -> bool {
    host_bits(net) <= 2
}

fn host_bits(net: IpNet) -> u8 {
    net.max_prefix_len() - net.prefix_len()
}

fn step(given: IpNet, index: u32) -> Option<IpNet> {
    let width = if is_small(given) { host_bits(given) } else { 0 };
    let stepped = IpNet::new(add(given.addr(), u128::from(index) << width)?, given.prefix_len()).ok()?;
    let inside = is_small(given) || stepped.trunc() == given.trunc();
    let is_broadcast = stepped.addr().is_ipv4() && stepped.addr() == stepped.broadcast();
    (index == 0 || (inside && (is_small(given) || !is_broadcast))).then_some(stepped)
}

/// How many steps there are before the subnet, or the whole space of addresses, ends.
fn room(given: IpNet) -> u32 {
    let left = match (given.addr(), is_small(given)) {
        (IpAddr::V4(addr), true) => u128::from(u32::MAX - addr.to_bits()) >> host_bits(given),
        (IpAddr::V6(addr), true) => (u128::MAX - addr.to_bits()) >> host_bits(given),
        (addr, false) => bits(given.broadcast()) - bits(addr) - u128::from(addr.is_ipv4() && addr != given.broadcast()),
    };
    u32::try_from(left.saturating_add(1)).unwrap_or(u32::MAX)
}

fn bits(addr: IpAddr) -> u128 {
    match addr {
        IpAddr::V4(addr) => u128::from(addr.to_bits()),
        IpAddr::V6(addr) => addr.to_bits(),
    }
}

fn add(addr: IpAddr, offset: u128) -> Option<IpAddr> {
    match addr {
        IpAddr::V4(addr) => {
            let offset = u32::try_from(offset).ok()?;
            addr.to_bits().checked_add(offset).map(|bits| Ipv4Addr::from_bits(bits).into())
        }
        IpAddr::V6(addr) => addr.to_bits().checked_add(offset).map(|bits| Ipv6Addr::from_bits(bits).into()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn addresses_step_by_one_and_small_subnets_as_a_whole() {
        let cases = [
            ("10.0.0.11/24", 4, Some("10.0.0.15/24")),
            ("10.0.0.11/16", 300, Some("10.0.1.55/16")),
            ("10.2.0.2/30", 2, Some("10.2.0.10/30")),
            ("10.2.0.0/31", 3, Some("10.2.0.6/31")),
            ("10.2.0.1/32", 3, Some("10.2.0.4/32")),
            ("10.0.0.250/24", 4, Some("10.0.0.254/24")),
            ("10.0.0.250/24", 5, None),
            ("10.0.0.250/24", 6, None),
            ("255.255.255.253/30", 1, None),
            ("fd00::10/64", 16, Some("fd00::20/64")),
            ("fd00::2/126", 1, Some("fd00::6/126")),
            ("fd00::ffff:ffff:ffff:ffff/64", 1, None),
        ];
        for (given, index, expected) in cases {
            let expected = expected.map(|net| net.parse::<IpNet>().unwrap());
            assert_eq!(step(given.parse().unwrap(), index), expected, "{given} + {index}");
        }
    }

    #[test]
    fn the_room_is_what_fits() {
        let cases = [("10.0.0.250/24", 5), ("10.0.0.254/24", 1), ("10.0.0.255/24", 1), ("255.255.255.249/30", 2)];
        for (given, expected) in cases {
            assert_eq!(room(given.parse().unwrap()), expected, "{given}");
        }
    }

    #[test]
    fn a_router_steps_along_only_in_a_small_subnet() {
        let at = |net: &str| At { value: net.parse().unwrap(), at: 0..0 };
        let third = Copy { index: 2, count: Some(5) };
        let router = |given: &str, net: &str| third.router(given.parse().unwrap(), &[at(net)]).to_string();
        assert_eq!(router("10.2.0.1", "10.2.0.2/30"), "10.2.0.9");
        assert_eq!(router("10.0.0.1", "10.0.0.11/24"), "10.0.0.1");
        assert_eq!(router("fd00::1", "fd00::/127"), "fd00::5");
    }
}
