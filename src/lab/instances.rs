//! Containers as instances, launched, configured, stopped and deleted in a lab that is up, with the links that are in them while they
//! run. Each is an edit of the journal's topology; the lab follows.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ipnet::IpNet;

use super::journal::load;
use super::up::change;
use super::{down, facts, paths};
use crate::error::{Error, InstanceFault, Result, Thing};
use crate::kernel::{self, inspect, sandbox};
use crate::lxd::{devices, options};
use crate::name::{IfName, LabName, NodeName};
use crate::plan::{NodeId, Ns};
use crate::topology::{Attach, Container, Host, HostEnd, Instance, Keys, Nic, Run, Topology};

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

/// Makes a container on a host, and starts it. Its NICs, and how many operations it took.
pub fn launch(id: &InstanceId, options: &Options) -> Result<(Vec<Nic>, usize)> {
    let launched = change(&id.lab, |topology| {
        add(topology, id, options)?;
        Ok(id.find(topology)?.nics.clone())
    })?;
    if !options.stopped {
        enter_links(id, &options.devices)?;
    }
    Ok(launched)
}

/// Refuses a configuration with a key that LXD does not know, or that would do nothing here.
pub(super) fn refuse(wrong: Option<(&str, bool)>) -> Result<()> {
    wrong.map_or(Ok(()), |(key, known)| fault(InstanceFault::Config(key.to_owned(), known)))
}

/// Adds the container to the topology.
fn add(topology: &mut Topology, id: &InstanceId, options: &Options) -> Result<()> {
    id.is_free(topology)?;
    refuse(options::wrong_key(&options.config))?;
    // A kill may have left files of one that was deleted.
    sandbox::forget(&paths::sandboxes(&id.lab), &id.node().to_string())?;
    let host = topology.host(id.host.as_str()).ok_or_else(|| unknown_host(topology, &id.host))?;
    let (nics, gateways) = if options.bare { Default::default() } else { profile(topology, host, id.name.as_str()) };
    let host = host_of(topology, &id.host)?;
    let number = number(host).ok_or_else(|| Error::Instance(InstanceFault::Full(id.host.to_string())))?;
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
    host.containers.push(Container { name: id.name.clone(), number, forwarding: false, nics, gateways, routes, instance });
    let last = host.containers.len() - 1;
    give(host, last, options.devices.clone(), id)
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
fn give(host: &mut Host, at: usize, own: BTreeMap<String, Keys>, id: &InstanceId) -> Result<()> {
    let wrong = |(device, why)| Error::Instance(InstanceFault::Device(device, why));
    let by_hand = if own.is_empty() { BTreeSet::new() } else { facts::bridges(&id.lab, &id.host)? };
    devices::check(host, &host.containers[at], &own, &by_hand).map_err(wrong)?;
    check_links(host, id, &own)?;
    if own != host.containers[at].instance.devices {
        devices::plug(host, at, own);
    }
    Ok(())
}

/// Configures a container: its configuration and all its own devices. A NIC of a running one is plugged in or out at once.
pub fn set(id: &InstanceId, config: &Keys, own: &BTreeMap<String, Keys>, ephemeral: bool) -> Result<usize> {
    let before = id.load()?;
    let ((), operations) = change(&id.lab, |topology| {
        let (host, at) = id.place(topology)?;
        refuse(options::wrong_key(config))?;
        give(host, at, own.clone(), id)?;
        if before.runs() {
            let stays = |name: &str, device: &Keys| own.get(name) == Some(device);
            let gone = before.instance.devices.iter().filter(|(name, device)| !stays(name, device));
            leave_links(id, &gone.map(|(name, device)| (name.clone(), device.clone())).collect())?;
        }
        let instance = &mut host.containers[at].instance;
        instance.config.clone_from(config);
        instance.ephemeral = ephemeral;
        Ok(())
    })?;
    if before.runs() {
        enter_links(id, own)?;
    }
    Ok(operations)
}

/// Removes a stopped container with its private files.
pub fn delete(id: &InstanceId) -> Result<usize> {
    let ((), operations) = change(&id.lab, |topology| {
        let (host, at) = id.place(topology)?;
        if host.containers[at].runs() {
            return fault(InstanceFault::Running(id.word()));
        }
        host.containers.remove(at);
        Ok(())
    })?;
    sandbox::forget(&paths::sandboxes(&id.lab), &id.node().to_string())?;
    Ok(operations)
}

/// As [`delete`]; with force one that runs is stopped first.
pub fn remove(id: &InstanceId, force: bool) -> Result<usize> {
    let before = id.load()?;
    if !(force && before.runs()) {
        return delete(id);
    }
    let stopped = stop(id, Some(Duration::ZERO))?;
    // An ephemeral one is gone by then.
    if before.instance.ephemeral { Ok(stopped) } else { delete(id).map(|more| stopped + more) }
}

/// Gives a stopped container another name; its number, so its MAC addresses, and its private files stay.
pub fn rename(id: &InstanceId, name: &NodeName) -> Result<()> {
    let to = InstanceId { name: name.clone(), ..id.clone() };
    change(&id.lab, |topology| {
        to.is_free(topology)?;
        let container = id.find(topology)?;
        if container.runs() {
            return fault(InstanceFault::Running(id.word()));
        }
        container.name = name.clone();
        container.instance.launched = true;
        Ok(())
    })?;
    sandbox::rename(&paths::sandboxes(&id.lab), &id.node().to_string(), &to.node().to_string())
}

/// A name that no container of the host has: `c1`, `c2` and so on.
pub fn fresh_name(lab: &LabName, host: &NodeName) -> Result<NodeName> {
    let topology = load(lab)?.topology;
    if topology.host(host.as_str()).is_none() {
        return Err(unknown_host(&topology, host));
    }
    let mut names = (1..=u32::MAX).filter_map(|number| format!("c{number}").parse::<NodeName>().ok());
    let free = |name: &NodeName| topology.container(host.as_str(), name.as_str()).is_none() && name != host;
    names.find(free).ok_or_else(|| Error::Instance(InstanceFault::Full(host.to_string())))
}

fn unknown_host(topology: &Topology, name: &NodeName) -> Error {
    let candidates = topology.hosts.iter().map(|host| host.name.to_string()).collect();
    Error::Unknown { what: Thing::Host, word: name.to_string(), candidates }
}

pub(super) fn host_of<'a>(topology: &'a mut Topology, name: &NodeName) -> Result<&'a mut Host> {
    match topology.hosts.iter().position(|host| host.name == *name) {
        Some(at) => Ok(&mut topology.hosts[at]),
        None => Err(unknown_host(topology, name)),
    }
}

/// Longer than anybody waits: a hundred years.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// A container of a lab, that is there or is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceId {
    /// The lab.
    pub lab: LabName,
    /// Its host.
    pub host: NodeName,
    /// Its name.
    pub name: NodeName,
}

impl InstanceId {
    /// The container that a node is.
    ///
    /// # Errors
    /// `NoContainer` for a host or a switch.
    pub fn from_node(lab: &LabName, node: &NodeId) -> Result<Self> {
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

    /// Nothing has its name on its host.
    fn is_free(&self, topology: &Topology) -> Result<()> {
        let taken = topology.container(self.host.as_str(), self.name.as_str()).is_some() || self.host == self.name;
        if taken { fault(InstanceFault::Exists(self.word())) } else { Ok(()) }
    }

    fn unknown(&self, host: &Host) -> Error {
        let candidates = host.containers.iter().map(|container| container.name.to_string()).collect();
        Error::Unknown { what: Thing::Container, word: self.name.to_string(), candidates }
    }

    /// Its host, and where in it the container is.
    fn place<'a>(&self, topology: &'a mut Topology) -> Result<(&'a mut Host, usize)> {
        let host = host_of(topology, &self.host)?;
        match host.containers.iter().position(|container| container.name == self.name) {
            Some(at) => Ok((host, at)),
            None => Err(self.unknown(host)),
        }
    }

    fn find<'a>(&self, topology: &'a mut Topology) -> Result<&'a mut Container> {
        self.place(topology).map(|(host, at)| &mut host.containers[at])
    }

    /// The container, as the journal has it.
    ///
    /// # Errors
    /// `Unknown` where there is none.
    pub fn load(&self) -> Result<Container> {
        let mut topology = load(&self.lab)?.topology;
        self.find(&mut topology).cloned()
    }
}

pub(super) fn fault<T>(fault: InstanceFault) -> Result<T> {
    Err(Error::Instance(fault))
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// What is in the way of a container that runs, is stopped or is paused.
fn is(id: &InstanceId, run: Run) -> InstanceFault {
    match run {
        Run::Running => InstanceFault::Running(id.word()),
        Run::Stopped => InstanceFault::Stopped(id.word()),
        Run::Frozen => InstanceFault::Frozen(id.word()),
    }
}

/// Brings a stopped container back, with its NICs as they were; a paused one goes on.
pub fn start(id: &InstanceId) -> Result<usize> {
    let ((was, own), operations) = change(&id.lab, |topology| {
        let (host, at) = id.place(topology)?;
        let instance = &host.containers[at].instance;
        if instance.run == Run::Running {
            return fault(is(id, Run::Running));
        }
        let own = instance.devices.clone();
        check_links(host, id, &own)?;
        let instance = &mut host.containers[at].instance;
        let was = std::mem::take(&mut instance.run);
        if was == Run::Stopped {
            instance.last_used_at = Some(now());
        }
        Ok((was, own))
    })?;
    enter_links(id, &own)?;
    if was == Run::Frozen {
        sandbox::thaw(&paths::sandboxes(&id.lab), &[id.node().to_string()])?;
    }
    Ok(operations)
}

/// Ends every process of a container and takes its links away; an ephemeral one goes with its files. Processes are asked to
/// end, and killed after the grace; without one they may take as long as they want.
pub fn stop(id: &InstanceId, grace: Option<Duration>) -> Result<usize> {
    end(id, grace)?;
    let (gone, operations) = change(&id.lab, |topology| {
        let (host, at) = id.place(topology)?;
        host.containers[at].instance.run = Run::Stopped;
        let ephemeral = host.containers[at].instance.ephemeral;
        if ephemeral {
            host.containers.remove(at);
        }
        Ok(ephemeral)
    })?;
    if gone {
        sandbox::forget(&paths::sandboxes(&id.lab), &id.node().to_string())?;
    }
    Ok(operations)
}

/// Ends the processes of a container that runs, and takes its links out; before the lab is locked: others go on working in it
/// meanwhile.
fn end(id: &InstanceId, grace: Option<Duration>) -> Result<()> {
    let before = id.load()?.instance;
    if before.run == Run::Stopped {
        return fault(is(id, Run::Stopped));
    }
    down::end_processes(&id.lab, &[id.node()], grace.unwrap_or(FOREVER))?;
    leave_links(id, &before.devices)
}

/// Stops a container that runs, and starts it: an ephemeral one stays, too.
pub fn restart(id: &InstanceId, grace: Option<Duration>) -> Result<usize> {
    end(id, grace)?;
    let ((), down) = change(&id.lab, |topology| {
        id.find(topology)?.instance.run = Run::Stopped;
        Ok(())
    })?;
    start(id).map(|up| down + up)
}

/// Lets every process of a container stand still.
pub fn pause(id: &InstanceId) -> Result<()> {
    change(&id.lab, |topology| {
        let run = &mut id.find(topology)?.instance.run;
        if *run != Run::Running {
            return fault(is(id, *run));
        }
        *run = Run::Frozen;
        Ok(())
    })?;
    sandbox::freeze(&paths::sandboxes(&id.lab), &[id.node().to_string()])
}

/// Lets the processes of a paused container go on.
pub fn resume(id: &InstanceId) -> Result<()> {
    let run = id.load()?.instance.run;
    if run == Run::Frozen { start(id).map(drop) } else { fault(is(id, run)) }
}

/// The links that devices ask for: the name in the host, the name inside.
fn links(own: &BTreeMap<String, Keys>) -> Vec<(IfName, IfName)> {
    let link = |(name, device): (&String, &Keys)| match devices::kind(device) {
        Ok(devices::Kind::Physical(parent)) => Some((parent, devices::interface(name, device).ok()?)),
        _ => None,
    };
    own.iter().filter_map(link).collect()
}

fn has(id: &InstanceId, node: &NodeId, link: &IfName) -> bool {
    let pin = inspect::Pin { node: node.to_string(), path: paths::netns_path(&id.lab, node) };
    inspect::inspect(&pin, &[]).is_ok_and(|seen| seen.links.iter().any(|one| one.name == link.as_str()))
}

/// The links in a container that somebody made by hand, and that end with its namespace.
pub fn links_by_hand(id: &InstanceId) -> Vec<String> {
    let Ok(container) = id.load() else { return Vec::new() };
    let pin = inspect::Pin { node: id.node().to_string(), path: paths::netns_path(&id.lab, &id.node()) };
    let seen = inspect::inspect(&pin, &[]).map(|seen| seen.links).unwrap_or_default();
    let moved = links(&container.instance.devices);
    let own = |name: &str| {
        container.nics.iter().any(|nic| nic.name.as_str() == name) || moved.iter().any(|(_, inner)| inner.as_str() == name)
    };
    seen.into_iter().filter(|link| link.kind != "loopback" && !own(&link.name)).map(|link| link.name).collect()
}

/// Checks that every link that devices ask for is one that somebody made by hand, and is in the host or in the container.
fn check_links(host: &Host, id: &InstanceId, own: &BTreeMap<String, Keys>) -> Result<()> {
    let at = NodeId::Host(id.host.clone());
    let missing =
        |(parent, inner): &(IfName, IfName)| !host.is_free(parent) || !(has(id, &at, parent) || has(id, &id.node(), inner));
    match links(own).into_iter().find(missing) {
        Some((parent, _)) => fault(InstanceFault::NoLink(id.host.to_string(), parent.to_string())),
        None => Ok(()),
    }
}

/// Brings the links that devices ask for into the container, up; what is there already stays.
fn enter_links(id: &InstanceId, own: &BTreeMap<String, Keys>) -> Result<()> {
    let (host, inside) = (Ns::Node(NodeId::Host(id.host.clone())), Ns::Node(id.node()));
    let enter = |(parent, inner): &_| kernel::move_link(&paths::pins(&id.lab), (&host, parent), (&inside, inner)).map(drop);
    links(own).iter().try_for_each(enter)
}

/// Gives the links of devices back to the host, under the names that they had there, or where somebody has taken one, under that
/// which the link had inside.
fn leave_links(id: &InstanceId, own: &BTreeMap<String, Keys>) -> Result<()> {
    let (host, inside) = (Ns::Node(NodeId::Host(id.host.clone())), Ns::Node(id.node()));
    let is_back = |inner: &IfName| !has(id, &id.node(), inner) && has(id, &NodeId::Host(id.host.clone()), inner);
    let leave = |(parent, inner): &(IfName, IfName)| {
        let left = kernel::move_link(&paths::pins(&id.lab), (&inside, inner), (&host, parent));
        left.map(drop).or_else(|error| if is_back(inner) { Ok(()) } else { Err(error) })
    };
    links(own).iter().try_for_each(leave)
}
