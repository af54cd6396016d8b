//! Containers as instances: launched, started, stopped and configured in a lab that is up. Each is an edit of the journal's
//! topology; the lab follows.

mod network;
mod physical;
mod running;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ipnet::IpNet;

pub use network::{Address, create_network, delete_network, set_network};
pub use running::{pause, restart, resume, start, stop};

use super::change::change;
use super::{by_hand, home, load};
use crate::error::{Error, InstanceFault, Result, Thing};
use crate::kernel::sandbox;
use crate::lxd::devices;
use crate::name::{IfName, LabName, NodeName};
use crate::plan::NodeId;
use crate::topology::{Attach, Container, Host, HostEnd, Instance, Keys, Nic, Run, Topology};

/// A container of a lab, that is there or is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// The lab.
    pub lab: LabName,
    /// Its host.
    pub host: NodeName,
    /// Its name.
    pub name: NodeName,
}

impl Site {
    /// The container that a node is.
    ///
    /// # Errors
    /// `NoContainer` for a host or a switch.
    pub fn of(lab: &LabName, node: &NodeId) -> Result<Self> {
        match node {
            NodeId::Container(host, name) => Ok(Self { lab: lab.clone(), host: host.clone(), name: name.clone() }),
            NodeId::Host(name) | NodeId::Switch(name) => fault(InstanceFault::NoContainer(name.to_string())),
        }
    }

    /// The node.
    pub fn node(&self) -> NodeId {
        NodeId::Container(self.host.clone(), self.name.clone())
    }

    /// `HOST/NAME`, as it is typed.
    pub fn word(&self) -> String {
        format!("{}/{}", self.host, self.name)
    }

    fn unknown(&self, topology: &Topology) -> Error {
        let Some(host) = topology.host(self.host.as_str()) else {
            let candidates = topology.hosts.iter().map(|host| host.name.to_string()).collect();
            return Error::Unknown { what: Thing::Host, word: self.host.to_string(), candidates };
        };
        let candidates = host.containers.iter().map(|container| container.name.to_string()).collect();
        Error::Unknown { what: Thing::Container, word: self.name.to_string(), candidates }
    }

    /// Its host, and where in it the container is.
    fn find<'a>(&self, topology: &'a mut Topology) -> Result<(&'a mut Host, usize)> {
        let unknown = self.unknown(topology);
        let host = topology.hosts.iter_mut().find(|host| host.name == self.host);
        let Some(host) = host else { return Err(unknown) };
        match host.containers.iter().position(|container| container.name == self.name) {
            Some(at) => Ok((host, at)),
            None => Err(unknown),
        }
    }

    /// The container, as the journal has it.
    ///
    /// # Errors
    /// `Unknown` where there is none.
    pub fn load(&self) -> Result<Container> {
        let journal = load(&self.lab)?;
        let found = journal.topology.container(self.host.as_str(), self.name.as_str());
        found.cloned().ok_or_else(|| self.unknown(&journal.topology))
    }
}

fn fault<T>(fault: InstanceFault) -> Result<T> {
    Err(Error::Instance(fault))
}

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

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
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
        physical::enter(site, &options.devices)?;
    }
    Ok(Launched { nics, operations })
}

/// Adds the container to the topology.
fn launched(topology: &mut Topology, site: &Site, options: &Options) -> Result<()> {
    if topology.container(site.host.as_str(), site.name.as_str()).is_some() || site.host == site.name {
        return fault(InstanceFault::Exists(site.word()));
    }
    // A kill may have left files of one that was deleted.
    sandbox::forget(&paths(&site.lab), &site.node().to_string())?;
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
fn profile(topology: &Topology, host: &Host, container: &str) -> (Vec<Nic>, Vec<std::net::IpAddr>) {
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
    let by_hand = if own.is_empty() { BTreeSet::new() } else { by_hand::bridges(&site.lab, &site.host)? };
    devices::check(host, &host.containers[at], &own, &by_hand).map_err(wrong)?;
    physical::check(host, site, &own)?;
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
            physical::leave(site, &gone.map(|(name, device)| (name.clone(), device.clone())).collect())?;
        }
        let instance = &mut host.containers[at].instance;
        instance.config.clone_from(config);
        instance.ephemeral = ephemeral;
        Ok(())
    });
    let ((), operations) = changed?;
    if before.runs() {
        physical::enter(site, own)?;
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
    sandbox::forget(&paths(&site.lab), &site.node().to_string())?;
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
    sandbox::rename(&paths(&site.lab), &site.node().to_string(), &to.node().to_string())
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

fn paths(lab: &LabName) -> sandbox::Paths {
    sandbox::Paths { lab: home::lab(lab) }
}
