//! A host and what it has.

use std::net::IpAddr;

use super::super::decode::{At, List, Named, OneOrMany};
use super::super::raw::{RawBridge, RawHost, RawHostNic, RawRoute};
use super::super::values::{addresses, destination, mac, mtu, name, prefixes, router, unknown};
use super::place;
use crate::name::{IfName, NodeName};
use crate::problem::{Problem, Reference};
use crate::topology::findings::Findings;
use crate::topology::place::{Item, Places};
use crate::topology::validate::MAX_INTERFACES;
use crate::topology::{Attach, Bridge, Hop, Host, Nic, Route};

/// Builds one host.
pub(super) struct Builder<'a> {
    pub(super) index: usize,
    pub(super) networks: &'a [&'a str],
    pub(super) expand: bool,
    pub(super) places: &'a mut Places,
    pub(super) findings: &'a mut Findings,
}

impl Builder<'_> {
    /// The host, unless its name is none.
    pub(super) fn build(mut self, word: &At<String>, raw: &RawHost, number: u16) -> Option<Host> {
        let name: NodeName = name(word, self.findings)?;
        self.put(None, Item::Name, word);
        let met = self.findings.met();
        let (nics, bridges) = (self.nics(word, raw), self.bridges(word, raw));
        if self.findings.met() > met {
            self.places.mark_broken(self.index, None);
        }
        let mut host = Host {
            name,
            number,
            forwarding: raw.forwarding.unwrap_or(false),
            nics,
            bridges,
            gateways: self.gateways(None, raw.gateway.as_ref()),
            routes: Vec::new(),
            containers: Vec::new(),
            next_container: 1,
            agent: raw.agent.unwrap_or(false),
        };
        self.containers(&mut host, raw);
        host.routes = self.routes(None, raw.routes.as_ref(), &interfaces(&host, raw));
        Some(host)
    }

    pub(super) fn put<T>(&mut self, container: Option<usize>, item: Item, at: &At<T>) {
        self.places.put(place(self.index, container, item), &at.at);
    }

    /// Values whose places are noted under their numbers.
    fn placed<T: Clone>(&mut self, values: &[At<T>], item: impl Fn(usize) -> Item) -> Vec<T> {
        for (index, value) in values.iter().enumerate() {
            self.put(None, item(index), value);
        }
        values.iter().map(|value| value.value.clone()).collect()
    }

    /// An interface's number in its node, or none where there are too many.
    pub(super) fn number(&mut self, index: usize, node: &At<String>) -> Option<u8> {
        let number = u8::try_from(index).ok();
        if number.is_none() {
            self.findings.add(&node.at, Problem::TooManyInterfaces { node: node.value.clone(), limit: MAX_INTERFACES });
        }
        number
    }

    fn nics(&mut self, host: &At<String>, raw: &RawHost) -> Vec<Nic> {
        let mut nics = Vec::new();
        for (word, raw) in raw.nics.iter().flat_map(|nics| &nics.0) {
            nics.extend(self.nic(host, word, raw, nics.len()));
        }
        nics
    }

    fn nic(&mut self, host: &At<String>, word: &At<String>, raw: &RawHostNic, index: usize) -> Option<Nic> {
        let name = name(word, self.findings);
        let network = self.network(word, raw);
        let addresses = prefixes(raw.address.as_ref(), self.findings);
        let mac = mac(raw.mac.as_ref(), self.findings);
        let mtu = mtu(raw.mtu.as_ref(), self.findings);
        let number = self.number(index, host)?;
        let (name, network) = (name?, network?);
        self.put(None, Item::Nic(index), word);
        if let Some(mac) = &mac {
            self.put(None, Item::NicMac(index), mac);
        }
        let addresses = self.placed(&addresses, |address| Item::NicAddress(index, address));
        let attach = Attach::Network(network);
        Some(Nic { name, number, attach, addresses, mac: mac.map(|mac| mac.value), mtu, up: raw.up.unwrap_or(true) })
    }

    fn network(&mut self, nic: &At<String>, raw: &RawHostNic) -> Option<NodeName> {
        let Some(word) = &raw.network else {
            raw.missing("network", &nic.at, self.findings);
            return None;
        };
        if self.networks.contains(&word.value.as_str()) {
            return word.value.parse().ok();
        }
        unknown(Reference::Network, word, self.networks, self.findings);
        None
    }

    fn bridges(&mut self, host: &At<String>, raw: &RawHost) -> Vec<Bridge> {
        let mut bridges = Vec::new();
        for (word, bridge) in raw.bridges.iter().flat_map(|bridges| &bridges.0) {
            bridges.extend(self.bridge(host, word, bridge, raw, bridges.len()));
        }
        bridges
    }

    fn bridge(&mut self, host: &At<String>, word: &At<String>, raw: &RawBridge, of: &RawHost, index: usize) -> Option<Bridge> {
        let name = name(word, self.findings);
        let ports = self.ports(raw.ports.as_ref(), of);
        let addresses = prefixes(raw.address.as_ref(), self.findings);
        let mac = mac(raw.mac.as_ref(), self.findings);
        let mtu = mtu(raw.mtu.as_ref(), self.findings);
        let number = self.number(index, host)?;
        let name = name?;
        self.put(None, Item::Bridge(index), word);
        if let Some(mac) = &mac {
            self.put(None, Item::BridgeMac(index), mac);
        }
        Some(Bridge {
            name,
            number,
            ports: self.placed(&ports, |port| Item::Port(index, port)),
            addresses: self.placed(&addresses, |address| Item::BridgeAddress(index, address)),
            mac: mac.map(|mac| mac.value),
            mtu,
            stp: raw.stp.unwrap_or(false),
            up: raw.up.unwrap_or(true),
            managed: None,
        })
    }

    fn ports(&mut self, words: Option<&OneOrMany>, host: &RawHost) -> Vec<At<IfName>> {
        let known: Vec<&str> = host.nics.iter().flat_map(Named::names).collect();
        let mut ports = Vec::new();
        for word in words.map_or(&[][..], |words| &words.0) {
            if !known.contains(&word.value.as_str()) {
                unknown(Reference::Port, word, &known, self.findings);
            } else if let Ok(value) = word.value.parse() {
                ports.push(At { value, at: word.at.clone() });
            }
        }
        ports
    }

    pub(super) fn gateways(&mut self, container: Option<usize>, words: Option<&OneOrMany>) -> Vec<IpAddr> {
        let gateways = addresses(words, self.findings);
        for (index, gateway) in gateways.iter().enumerate() {
            self.put(container, Item::Gateway(index), gateway);
        }
        gateways.into_iter().map(|gateway| gateway.value).collect()
    }

    pub(super) fn routes(&mut self, container: Option<usize>, raw: Option<&List<RawRoute>>, known: &[&str]) -> Vec<Route> {
        let mut routes = Vec::new();
        for route in raw.map_or(&[][..], |routes| &routes.0) {
            if let Some(built) = self.route(route, known) {
                let raw = &route.value;
                let to = raw.to.as_ref().map_or(&route.at, |to| &to.at);
                let hop = raw.via.as_ref().or(raw.dev.as_ref()).map_or(to, |hop| &hop.at);
                self.places.put(place(self.index, container, Item::Route(routes.len())), to);
                self.places.put(place(self.index, container, Item::Hop(routes.len())), hop);
                routes.push(built);
            }
        }
        routes
    }

    fn route(&mut self, route: &At<RawRoute>, known: &[&str]) -> Option<Route> {
        let raw = &route.value;
        let to = if let Some(word) = &raw.to {
            destination(word, self.findings)
        } else {
            raw.missing("to", &route.at, self.findings);
            None
        };
        let hop = match (&raw.via, &raw.dev, raw.blackhole.unwrap_or(false)) {
            (Some(via), None, false) => router(via, self.findings).map(Hop::Via),
            (None, Some(dev), false) => self.device(dev, known).map(Hop::Dev),
            (None, None, true) => Some(Hop::Blackhole),
            _ if raw.spoiled => None,
            _ => {
                let at = raw.to.as_ref().map_or(&route.at, |to| &to.at);
                self.findings.add(at, Problem::OneHop);
                None
            }
        };
        Some(Route { to: to?, hop: hop? })
    }

    fn device(&mut self, word: &At<String>, known: &[&str]) -> Option<IfName> {
        if !known.contains(&word.value.as_str()) {
            unknown(Reference::Interface, word, known, self.findings);
            return None;
        }
        word.value.parse().ok()
    }
}

/// Every interface that a route of the host can name.
fn interfaces<'a>(host: &'a Host, raw: &'a RawHost) -> Vec<&'a str> {
    let own = raw.nics.iter().flat_map(Named::names).chain(raw.bridges.iter().flat_map(Named::names));
    let ends = host.containers.iter().flat_map(|container| &container.nics).filter_map(|nic| match &nic.attach {
        Attach::Host(end) => Some(end.name.as_str()),
        Attach::Network(_) => None,
    });
    own.chain(ends).collect()
}
