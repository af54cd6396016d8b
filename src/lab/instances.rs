//! Containers as instances, launched, configured and deleted in a lab that is up, and networks for them: bridges of a host. Each is
//! an edit of the journal's topology; the lab follows.

mod life;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

pub use life::{Site, pause, restart, resume, start, stop};
use life::{check_links, enter_links, fault, leave_links, now};

use super::index::load;
use super::up::change;
use super::{facts, paths};
use crate::error::{Error, InstanceFault, Result, Thing};
use crate::kernel::sandbox;
use crate::lxd::devices;
use crate::name::{IfName, LabName, NodeName};
use crate::topology::{Attach, Bridge, Container, Host, HostEnd, Instance, Keys, Nic, Run, Topology};

/// How a container is launched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Its configuration.
    pub config: Keys,
    /// Its devices, beside the one that a launch gives.
    pub devices: BTreeMap<String, Keys>,
    /// A launch gives it no NIC.
    pub bare: bool,
    /// It goes when it stops.
    pub ephemeral: bool,
    /// It is made, and not started.
    pub stopped: bool,
}

/// What came of a launch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launched {
    /// Its NICs.
    pub nics: Vec<Nic>,
    /// Operations carried out.
    pub operations: usize,
}

/// Makes a container on a host, and starts it.
///
/// # Errors
/// `Exists` for a name that its host has, `Device` for a device that makes no NIC; those of `up`.
pub fn launch(site: &Site, options: &Options) -> Result<Launched> {
    let (nics, operations) = change(&site.lab, |topology| {
        launched(topology, site, options)?;
        let (host, at) = site.find(topology)?;
        Ok(host.containers[at].nics.clone())
    })?;
    if !options.stopped {
        enter_links(site, &options.devices)?;
    }
    Ok(Launched { nics, operations })
}

/// Adds the container to the topology.
fn launched(topology: &mut Topology, site: &Site, options: &Options) -> Result<()> {
    if topology.container(site.host.as_str(), site.name.as_str()).is_some() || site.host == site.name {
        return fault(InstanceFault::Exists(site.word()));
    }
    // A kill may have left files of one that was deleted.
    sandbox::forget(&paths::sandboxes(&site.lab), &site.node().to_string())?;
    let unknown = site.unknown(topology);
    let Some(host) = topology.host(site.host.as_str()) else { return Err(unknown) };
    let (nics, gateways) = if options.bare { Default::default() } else { profile(topology, host, site.name.as_str()) };
    let Some(host) = topology.hosts.iter_mut().find(|host| host.name == site.host) else { return Err(unknown) };
    let number = number(host).ok_or_else(|| Error::Instance(InstanceFault::Full(site.host.to_string())))?;
    let at = now();
    let run = if options.stopped { Run::Stopped } else { Run::Running };
    let instance = Instance {
        run,
        launched: true,
        ephemeral: options.ephemeral,
        config: options.config.clone(),
        created_at: Some(at),
        last_used_at: (run == Run::Running).then_some(at),
        ..Instance::default()
    };
    let routes = Vec::new();
    host.containers.push(Container { name: site.name.clone(), number, forwarding: false, nics, gateways, routes, instance });
    let last = host.containers.len() - 1;
    give(host, last, options.devices.clone(), site)
}

/// A number that no container of the host ever had, else one that is free again.
fn number(host: &mut Host) -> Option<u16> {
    if host.next_container < u16::MAX {
        host.next_container += 1;
        return Some(host.next_container - 1);
    }
    (1..u16::MAX).find(|number| host.containers.iter().all(|container| container.number != *number))
}

/// The bridge that a container is plugged into where nobody says more: LXD's own, else the only one.
fn home_bridge(host: &Host) -> Option<&IfName> {
    let own = host.bridges.iter().find(|bridge| bridge.name.as_str() == "lxdbr0");
    let only = || host.bridges.first().filter(|_| host.bridges.len() == 1);
    own.or_else(only).map(|bridge| &bridge.name)
}

/// What LXD's default profile gives: `eth0` on the host's bridge, with an address as DHCP would give it.
fn profile(topology: &Topology, host: &Host, container: &str) -> (Vec<Nic>, Vec<IpAddr>) {
    let Some(bridge) = home_bridge(host) else { return Default::default() };
    let (mut addresses, mut gateways): (Vec<IpNet>, Vec<_>) = devices::leases(host, bridge).into_iter().unzip();
    if addresses.is_empty() {
        let taken = topology.hosts.iter().flat_map(Host::taken).collect();
        if let Some((address, via)) = devices::beside(host, bridge, &taken) {
            addresses.push(address);
            gateways.extend(via);
        }
    }
    let Ok(name) = "eth0".parse() else { return Default::default() };
    let end = HostEnd { name: host.free_end(container), bridge: Some(bridge.clone()), addresses: Vec::new(), mac: None };
    let nic = Nic { name, number: 0, attach: Attach::Host(end), addresses, mac: None, mtu: None, up: true };
    (vec![nic], gateways)
}

/// Gives the container these devices of its own, once each of them is right.
fn give(host: &mut Host, at: usize, own: BTreeMap<String, Keys>, site: &Site) -> Result<()> {
    let wrong = |(device, why)| Error::Instance(InstanceFault::Device(device, why));
    let by_hand = if own.is_empty() { BTreeSet::new() } else { facts::bridges(&site.lab, &site.host)? };
    devices::check(host, &host.containers[at], &own, &by_hand).map_err(wrong)?;
    check_links(host, site, &own)?;
    if own != host.containers[at].instance.devices {
        devices::plug(host, at, own);
    }
    Ok(())
}

/// Configures a container: its configuration and all its own devices. A NIC of a running one is plugged in or out at once.
///
/// # Errors
/// `Device` for a device that makes no NIC; those of `up`.
pub fn set(site: &Site, config: &Keys, own: &BTreeMap<String, Keys>, ephemeral: bool) -> Result<usize> {
    let before = site.load()?;
    let changed = change(&site.lab, |topology| {
        let (host, at) = site.find(topology)?;
        give(host, at, own.clone(), site)?;
        if before.runs() {
            let stays = |name: &str, device: &Keys| own.get(name) == Some(device);
            let gone = before.instance.devices.iter().filter(|(name, device)| !stays(name, device));
            leave_links(site, &gone.map(|(name, device)| (name.clone(), device.clone())).collect())?;
        }
        let instance = &mut host.containers[at].instance;
        instance.config.clone_from(config);
        instance.ephemeral = ephemeral;
        Ok(())
    });
    let ((), operations) = changed?;
    if before.runs() {
        enter_links(site, own)?;
    }
    Ok(operations)
}

/// Removes a stopped container with its private files.
///
/// # Errors
/// `Running` where it is not stopped.
pub fn delete(site: &Site) -> Result<usize> {
    let changed = change(&site.lab, |topology| {
        let (host, at) = site.find(topology)?;
        if host.containers[at].runs() {
            return fault(InstanceFault::Running(site.word()));
        }
        host.containers.remove(at);
        Ok(())
    });
    let ((), operations) = changed?;
    sandbox::forget(&paths::sandboxes(&site.lab), &site.node().to_string())?;
    Ok(operations)
}

/// As [`delete`]; with force one that runs is stopped first.
///
/// # Errors
/// As [`delete`] and [`stop`].
pub fn remove(site: &Site, force: bool) -> Result<usize> {
    let before = site.load()?;
    if !(force && before.runs()) {
        return delete(site);
    }
    let stopped = stop(site, Some(Duration::ZERO))?;
    // An ephemeral one is gone by then.
    if before.instance.ephemeral { Ok(stopped) } else { delete(site).map(|more| stopped + more) }
}

/// Gives a stopped container another name; its number, so its MAC addresses, and its private files stay.
///
/// # Errors
/// `Running` where it is not stopped, `Exists` where its host has one of that name.
pub fn rename(site: &Site, name: &NodeName) -> Result<()> {
    let to = Site { name: name.clone(), ..site.clone() };
    change(&site.lab, |topology| {
        if topology.container(to.host.as_str(), to.name.as_str()).is_some() || to.host == to.name {
            return fault(InstanceFault::Exists(to.word()));
        }
        let (host, at) = site.find(topology)?;
        if host.containers[at].runs() {
            return fault(InstanceFault::Running(site.word()));
        }
        host.containers[at].name = name.clone();
        host.containers[at].instance.launched = true;
        Ok(())
    })?;
    sandbox::rename(&paths::sandboxes(&site.lab), &site.node().to_string(), &to.node().to_string())
}

/// A name that no container of the host has: `c1`, `c2` and so on.
///
/// # Errors
/// `Unknown` where there is no such lab or host.
pub fn fresh_name(lab: &LabName, host: &NodeName) -> Result<NodeName> {
    let topology = load(lab)?.topology;
    let names = (1..=u32::MAX).filter_map(|number| format!("c{number}").parse::<NodeName>().ok());
    let taken = |name: &NodeName| topology.container(host.as_str(), name.as_str()).is_some() || name == host;
    let site = |name| Site { lab: lab.clone(), host: host.clone(), name };
    match names.into_iter().find(|name| !taken(name)) {
        Some(name) if topology.host(host.as_str()).is_some() => Ok(name),
        Some(name) => Err(site(name).unknown(&topology)),
        None => fault(InstanceFault::Full(host.to_string())),
    }
}

/// What a network's `ipv4.address` or `ipv6.address` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address {
    /// The host has none on it.
    None,
    /// One of a subnet that nothing else in the lab has.
    Auto,
    /// This one.
    Given(IpNet),
}

impl Address {
    /// Reads the value of a key; a missing one says `otherwise`.
    fn of(config: &Keys, key: &str, otherwise: Self) -> Result<Self> {
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

fn host_of<'a>(topology: &'a mut Topology, name: &NodeName) -> Result<&'a mut Host> {
    let candidates = topology.hosts.iter().map(|host| host.name.to_string()).collect();
    let unknown = || Error::Unknown { what: Thing::Host, word: name.to_string(), candidates };
    topology.hosts.iter_mut().find(|host| host.name == *name).ok_or_else(unknown)
}

/// The configuration with every `auto` replaced, and the addresses.
fn resolve(topology: &Topology, config: &Keys, otherwise: Address) -> Result<(Keys, Vec<IpNet>)> {
    let mut resolved = config.clone();
    let mut addresses = Vec::new();
    for key in ["ipv4.address", "ipv6.address"] {
        let address = match Address::of(config, key, otherwise)? {
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
///
/// # Errors
/// `NetworkExists` for a name that an interface of the host has, `NetworkValue` for a wrong address; those of `up`.
pub fn create_network(lab: &LabName, on: &NodeName, name: &IfName, config: &Keys) -> Result<usize> {
    let changed = change(lab, |topology| {
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
    });
    changed.map(|((), operations)| operations)
}

/// Configures a network anew; where nothing is said of an address there is none.
///
/// # Errors
/// `NoNetwork` for a bridge of the file or none at all; those of [`create_network`].
pub fn set_network(lab: &LabName, on: &NodeName, name: &IfName, config: &Keys) -> Result<usize> {
    let changed = change(lab, |topology| {
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
    });
    changed.map(|((), operations)| operations)
}

/// Removes a network that no NIC is plugged into.
///
/// # Errors
/// `NoNetwork` for a bridge of the file or none at all, `NetworkInUse` with the containers that are on it.
pub fn delete_network(lab: &LabName, on: &NodeName, name: &IfName) -> Result<usize> {
    let changed = change(lab, |topology| {
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
    });
    changed.map(|((), operations)| operations)
}
