//! A host and what it has.

use super::container;
use super::nodes::{Reader, gateways, mac, mtu, number, prefixes, routes, up};
use crate::name::{IfName, NodeName};
use crate::problem::Reference;
use crate::topology::place::Part;
use crate::topology::reader::{At, Item};
use crate::topology::values::{self, each, flag, reference, some};
use crate::topology::{Attach, Bridge, Host, Nic};

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
            let containers = each(|word, item| container::read(self, &mut host, &joined, word, item));
            keys.optional("containers", "Its containers, by name.", containers);
            let ends = host.containers.iter().flat_map(|container| &container.nics).filter_map(|nic| nic.attach.host_end());
            let known = [own, joined, ends.map(|end| end.name.to_string()).collect()].concat();
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
            self.put(None, Part::Nic(index), &word.at);
            if let Some(mac) = &mac {
                self.put(None, Part::NicMac(index), &mac.at);
            }
            let addresses = self.placed(None, &addresses, |address| Part::NicAddress(index, address));
            let attach = Attach::Network(network.value);
            Some(Nic { name, number, attach, addresses, mac: mac.map(|mac| mac.value), mtu, up })
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
            self.put(None, Part::Bridge(index), &word.at);
            if let Some(mac) = &mac {
                self.put(None, Part::BridgeMac(index), &mac.at);
            }
            Some(Bridge {
                name,
                number,
                ports: self.placed(None, &ports, |port| Part::Port(index, port)),
                addresses: self.placed(None, &addresses, |address| Part::BridgeAddress(index, address)),
                mac: mac.map(|mac| mac.value),
                mtu,
                stp: stp.unwrap_or(false),
                up,
                managed: None,
            })
        })
    }
}
