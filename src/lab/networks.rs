//! Networks of a host: bridges that are made, configured and removed in a lab that is up, each by an edit of the journal's topology.

use std::collections::BTreeSet;

use ipnet::IpNet;

use super::instances::{fault, host_of, refuse};
use super::up::change;
use crate::error::{Error, InstanceFault, Result};
use crate::lxd::options;
use crate::name::{IfName, LabName, NodeName};
use crate::topology::{Attach, Bridge, Host, Keys, Topology};

/// What a network's `ipv4.address` or `ipv6.address` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Address {
    /// The host has none on it.
    None,
    /// One of a subnet that nothing else in the lab has.
    Auto,
    /// This one.
    Given(IpNet),
}

impl Address {
    /// Reads the value of a key; a missing one says `otherwise`.
    fn from_config(config: &Keys, key: &str, otherwise: Self) -> Result<Self> {
        let wrong = |value: &str| Error::Instance(InstanceFault::NetworkValue(key.to_owned(), value.to_owned()));
        match config.get(key).map(String::as_str) {
            None | Some("") => Ok(otherwise),
            Some("none") => Ok(Self::None),
            Some("auto") => Ok(Self::Auto),
            Some(value) => {
                let net: IpNet = value.parse().map_err(|_| wrong(value))?;
                let host = net.addr() != net.network() || net.max_prefix_len() - net.prefix_len() < 2;
                if net.addr().is_ipv4() == (key == "ipv4.address") && host { Ok(Self::Given(net)) } else { Err(wrong(value)) }
            }
        }
    }
}

/// The configuration with every `auto` replaced, and the addresses.
fn resolve(topology: &Topology, config: &Keys, otherwise: Address) -> Result<(Keys, Vec<IpNet>)> {
    let mut resolved = config.clone();
    let mut addresses = Vec::new();
    for key in ["ipv4.address", "ipv6.address"] {
        let address = match Address::from_config(config, key, otherwise)? {
            Address::None => None,
            Address::Given(net) => Some(net),
            Address::Auto => Some(fresh(topology, key == "ipv4.address")?),
        };
        let text = address.map_or_else(|| "none".to_owned(), |net| net.to_string());
        resolved.insert(key.to_owned(), text);
        addresses.extend(address);
    }
    Ok((resolved, addresses))
}

/// The first address of a subnet that nothing in the lab overlaps.
fn fresh(topology: &Topology, v4: bool) -> Result<IpNet> {
    let taken: BTreeSet<IpNet> = topology.hosts.iter().flat_map(Host::subnets).collect();
    let text = |number: u16| if v4 { format!("10.155.{number}.1/24") } else { format!("fd42:155:0:{number:x}::1/64") };
    let free = |net: &IpNet| taken.iter().all(|other| !other.contains(net) && !net.contains(other));
    let nets = (100..=255).filter_map(|number| text(number).parse::<IpNet>().ok());
    nets.into_iter().find(free).ok_or_else(|| Error::Instance(InstanceFault::Full(text(0))))
}

/// The key with the host's NICs that a network joins.
const JOINED: &str = "bridge.external_interfaces";

/// The host's NICs that are to be ports of a network, and come up for it: those without addresses that no other bridge has.
fn joined(host: &mut Host, network: &IfName, config: &Keys) -> Result<Vec<IfName>> {
    let words = config.get(JOINED).map(String::as_str).unwrap_or_default();
    let mut ports = Vec::new();
    for word in words.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        let taken = |bridge: &Bridge| bridge.name != *network && bridge.ports.iter().any(|port| port.as_str() == word);
        let taken = host.bridges.iter().any(taken);
        let nic = host.nics.iter_mut().find(|nic| nic.name.as_str() == word && nic.addresses.is_empty() && !taken);
        let Some(nic) = nic else { return fault(InstanceFault::NetworkValue(JOINED.to_owned(), word.to_owned())) };
        nic.up = true;
        ports.push(nic.name.clone());
    }
    Ok(ports)
}

/// Makes a network: a bridge of the host, with the addresses that its configuration says; without a word on them both are
/// chosen.
pub fn create(lab: &LabName, on: &NodeName, name: &IfName, config: &Keys) -> Result<usize> {
    refuse(options::wrong_network_key(config))?;
    let ((), operations) = change(lab, |topology| {
        let (config, addresses) = resolve(topology, config, Address::Auto)?;
        let host = host_of(topology, on)?;
        if !host.is_free(name) {
            return fault(InstanceFault::NetworkExists(on.to_string(), name.to_string()));
        }
        let taken: BTreeSet<u8> = host.bridges.iter().map(|bridge| bridge.number).collect();
        let full = || Error::Instance(InstanceFault::Full(on.to_string()));
        let number = (0..=u8::MAX).find(|number| !taken.contains(number)).ok_or_else(full)?;
        let mtu = config.get("bridge.mtu").and_then(|mtu| mtu.parse().ok());
        let ports = joined(host, name, &config)?;
        let managed = Some(config);
        host.bridges.push(Bridge { name: name.clone(), number, ports, addresses, mac: None, mtu, stp: false, up: true, managed });
        Ok(())
    })?;
    Ok(operations)
}

/// Configures a network anew; where nothing is said of an address there is none.
pub fn set(lab: &LabName, on: &NodeName, name: &IfName, config: &Keys) -> Result<usize> {
    refuse(options::wrong_network_key(config))?;
    let ((), operations) = change(lab, |topology| {
        let (config, addresses) = resolve(topology, config, Address::None)?;
        let host = host_of(topology, on)?;
        let ports = joined(host, name, &config)?;
        let own = host.bridges.iter_mut().find(|bridge| bridge.name == *name && bridge.managed.is_some());
        let Some(bridge) = own else { return fault(InstanceFault::NoNetwork(on.to_string(), name.to_string())) };
        bridge.mtu = config.get("bridge.mtu").and_then(|mtu| mtu.parse().ok());
        bridge.ports = ports;
        bridge.addresses = addresses;
        bridge.managed = Some(config);
        Ok(())
    })?;
    Ok(operations)
}

/// Removes a network that no NIC is plugged into.
pub fn delete(lab: &LabName, on: &NodeName, name: &IfName) -> Result<usize> {
    let ((), operations) = change(lab, |topology| {
        let host = host_of(topology, on)?;
        let own = host.bridges.iter().position(|bridge| bridge.name == *name && bridge.managed.is_some());
        let Some(at) = own else { return fault(InstanceFault::NoNetwork(on.to_string(), name.to_string())) };
        let on_it = |attach: &Attach| matches!(attach, Attach::Host(end) if end.bridge.as_ref() == Some(name));
        let using = host.containers.iter().filter(|container| container.nics.iter().any(|nic| on_it(&nic.attach)));
        let using: Vec<String> = using.map(|container| container.name.to_string()).collect();
        if !using.is_empty() {
            return fault(InstanceFault::NetworkInUse(name.to_string(), using));
        }
        host.bridges.remove(at);
        Ok(())
    })?;
    Ok(operations)
}
