//! A host's containers, one by one or by `count:`.

use ipnet::IpNet;

use super::super::count::Copy;
use super::super::decode::{At, Named};
use super::super::raw::{RawContainer, RawContainerNic, RawHost, RawHostEnd};
use super::super::values::{mac, made_interface, mtu, name, prefixes, unknown};
use super::host::Builder;
use crate::name::{IfName, Mac, NodeName};
use crate::problem::{Problem, Reference};
use crate::topology::place::Item;
use crate::topology::validate::MAX_NODES;
use crate::topology::{Attach, Container, Hop, Host, HostEnd, Instance, Nic};

/// The node that is being made, of those that one entry of the file makes.
struct Site<'a> {
    word: &'a At<String>,
    copy: Copy,
    name: NodeName,
    index: usize,
    bridges: &'a [&'a str],
}

impl Builder<'_> {
    /// All containers of the host.
    pub(super) fn containers(&mut self, host: &mut Host, raw: &RawHost) {
        let bridges: Vec<&str> = raw.bridges.iter().flat_map(Named::names).collect();
        for (word, container) in raw.containers.iter().flat_map(|containers| &containers.0) {
            let of = self.count(container);
            for index in 0..of.unwrap_or(1) {
                let copy = Copy { index, of };
                let called = At { value: copy.name(&word.value), at: word.at.clone() };
                let Some(name) = name::<NodeName>(&called, self.findings) else { break };
                let site = Site { word, copy, name, index: host.containers.len(), bridges: &bridges };
                let built = self.container(&site, container, host.next_container);
                host.containers.push(built);
                host.next_container = host.next_container.saturating_add(1);
            }
        }
    }

    fn count(&mut self, raw: &RawContainer) -> Option<u32> {
        let count = raw.count.as_ref()?;
        let high = i64::try_from(MAX_NODES).unwrap_or(i64::MAX);
        if !(1..=high).contains(&count.value) {
            self.findings.add(&count.at, Problem::OutOfRange { what: "count", low: 1, high });
            return Some(1);
        }
        if self.expand { u32::try_from(count.value).ok() } else { Some(1) }
    }

    fn container(&mut self, site: &Site<'_>, raw: &RawContainer, number: u16) -> Container {
        self.put(Some(site.index), Item::Name, site.word);
        let met = self.findings.met();
        let mut nics: Vec<Nic> = Vec::new();
        let mut subnets = Vec::new();
        for (word, nic) in raw.nics.iter().flat_map(|nics| &nics.0) {
            let given = prefixes(nic.address.as_ref(), self.findings);
            nics.extend(self.container_nic(site, word, nic, &given, nics.len()));
            subnets.extend(given);
        }
        if self.findings.met() > met {
            self.places.mark_broken(self.index, Some(site.index));
            self.places.mark_broken(self.index, None);
        }
        let known: Vec<&str> = raw.nics.iter().flat_map(Named::names).collect();
        let gateways = self.gateways(Some(site.index), raw.gateway.as_ref());
        let mut routes = self.routes(Some(site.index), raw.routes.as_ref(), &known);
        for route in &mut routes {
            if let Hop::Via(via) = &mut route.hop {
                *via = site.copy.router(*via, &subnets);
            }
        }
        Container {
            name: site.name.clone(),
            number,
            forwarding: raw.forwarding.unwrap_or(false),
            nics,
            gateways: gateways.into_iter().map(|gateway| site.copy.router(gateway, &subnets)).collect(),
            routes,
            instance: Instance::default(),
        }
    }

    fn container_nic(
        &mut self,
        site: &Site<'_>,
        word: &At<String>,
        raw: &RawContainerNic,
        given: &[At<IpNet>],
        index: usize,
    ) -> Option<Nic> {
        let name: Option<IfName> = name(word, self.findings);
        let number = self.number(index, site.word);
        let mtu = mtu(raw.mtu.as_ref(), self.findings);
        let addresses = self.stepped(site, given, |address| Item::NicAddress(index, address));
        let own = self.only_mac(site, raw.mac.as_ref(), Item::NicMac(index));
        let end = self.end(site, raw, index);
        self.put(Some(site.index), Item::Nic(index), word);
        let attach = Attach::Host(end?);
        Some(Nic { name: name?, number: number?, attach, addresses, mac: own, mtu, up: raw.up.unwrap_or(true) })
    }

    /// The host's end of a NIC.
    fn end(&mut self, site: &Site<'_>, raw: &RawContainerNic, index: usize) -> Option<HostEnd> {
        let nothing = RawHostEnd::default();
        let host = raw.host.as_ref().unwrap_or(&nothing);
        let name = self.end_name(site, host, index);
        let bridge = self.bridge_of(site, raw);
        let mut given = prefixes(host.address.as_ref(), self.findings);
        if let (Some(bridge), Some(first)) = (&raw.bridge, given.first()) {
            let port = name.as_ref().map_or_else(String::new, ToString::to_string);
            self.findings.add(&first.at, Problem::AddressOnPort { port, bridge: bridge.value.clone() });
            given.clear();
        }
        let addresses = self.stepped(site, &given, |address| Item::EndAddress(index, address));
        let mac = self.only_mac(site, host.mac.as_ref(), Item::EndMac(index));
        Some(HostEnd { name: name?, bridge: bridge?, addresses, mac })
    }

    fn end_name(&mut self, site: &Site<'_>, host: &RawHostEnd, index: usize) -> Option<IfName> {
        if let Some(word) = &host.name {
            self.put(Some(site.index), Item::End(index), word);
            let called = At { value: site.copy.name(&word.value), at: word.at.clone() };
            return name(&called, self.findings);
        }
        self.put(Some(site.index), Item::End(index), site.word);
        let name = &site.name;
        let made = if index == 0 { format!("veth-{name}") } else { format!("veth-{name}-{index}") };
        made_interface(&made, &site.word.at, self.findings)
    }

    /// The bridge that a NIC's host end is a port of: none inside where it is of no bridge, none outside where it is unknown.
    #[allow(clippy::option_option, reason = "the two meanings of none are told apart by the only caller")]
    fn bridge_of(&mut self, site: &Site<'_>, raw: &RawContainerNic) -> Option<Option<IfName>> {
        let Some(word) = &raw.bridge else { return Some(None) };
        if !site.bridges.contains(&word.value.as_str()) {
            unknown(Reference::Bridge, word, site.bridges, self.findings);
            return None;
        }
        word.value.parse().ok().map(Some)
    }

    fn stepped(&mut self, site: &Site<'_>, given: &[At<IpNet>], item: impl Fn(usize) -> Item) -> Vec<IpNet> {
        let mut found = Vec::with_capacity(given.len());
        for address in given {
            if let Some(net) = site.copy.address(address, self.findings) {
                self.put(Some(site.index), item(found.len()), address);
                found.push(net);
            }
        }
        found
    }

    fn only_mac(&mut self, site: &Site<'_>, word: Option<&At<String>>, item: Item) -> Option<Mac> {
        let found = mac(word, self.findings)?;
        if site.copy.is_one_of_many() {
            self.findings.add(&found.at, Problem::CountNeedsOne("mac"));
            return None;
        }
        self.put(Some(site.index), item, &found);
        Some(found.value)
    }
}
