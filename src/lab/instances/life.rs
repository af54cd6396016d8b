//! Whether a container of a lab runs, and the links that are in it while it does.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::error::{Error, InstanceFault, Left, Result, Thing};
use crate::kernel::{self, inspect, sandbox};
use crate::lab::index::load;
use crate::lab::paths;
use crate::lab::up::change;
use crate::lxd::devices;
use crate::name::{IfName, LabName, NodeName};
use crate::plan::{NodeId, Ns};
use crate::topology::{Container, Host, Keys, Run, Topology};

/// Longer than anybody waits: a hundred years.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

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

    pub(super) fn unknown(&self, topology: &Topology) -> Error {
        let Some(host) = topology.host(self.host.as_str()) else {
            let candidates = topology.hosts.iter().map(|host| host.name.to_string()).collect();
            return Error::Unknown { what: Thing::Host, word: self.host.to_string(), candidates };
        };
        let candidates = host.containers.iter().map(|container| container.name.to_string()).collect();
        Error::Unknown { what: Thing::Container, word: self.name.to_string(), candidates }
    }

    /// Its host, and where in it the container is.
    pub(super) fn find<'a>(&self, topology: &'a mut Topology) -> Result<(&'a mut Host, usize)> {
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

pub(super) fn fault<T>(fault: InstanceFault) -> Result<T> {
    Err(Error::Instance(fault))
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// What is in the way of a container that runs, is stopped or is paused.
fn is(site: &Site, run: Run) -> InstanceFault {
    match run {
        Run::Running => InstanceFault::Running(site.word()),
        Run::Stopped => InstanceFault::Stopped(site.word()),
        Run::Frozen => InstanceFault::Frozen(site.word()),
    }
}

/// Brings a stopped container back, with its NICs as they were; a paused one goes on.
///
/// # Errors
/// `Running` where it runs; those of `up`.
pub fn start(site: &Site) -> Result<usize> {
    let ((was, own), operations) = change(&site.lab, |topology| {
        let (host, at) = site.find(topology)?;
        let instance = &mut host.containers[at].instance;
        if instance.run == Run::Running {
            return fault(is(site, Run::Running));
        }
        let own = instance.devices.clone();
        check_links(host, site, &own)?;
        let instance = &mut host.containers[at].instance;
        let was = std::mem::take(&mut instance.run);
        if was == Run::Stopped {
            instance.last_used_at = Some(now());
        }
        Ok((was, own))
    })?;
    enter_links(site, &own)?;
    if was == Run::Frozen {
        sandbox::thaw(&paths::sandboxes(&site.lab), &[site.node().to_string()])?;
    }
    Ok(operations)
}

/// Ends every process of a container and takes its links away; an ephemeral one goes with its files. Processes are asked to
/// end, and killed after the grace; without one they may take as long as they want.
///
/// # Errors
/// `Stopped` where it is; `Left` where a process does not even die of a kill.
pub fn stop(site: &Site, grace: Option<Duration>) -> Result<usize> {
    let before = site.load()?.instance;
    if before.run == Run::Stopped {
        return fault(is(site, Run::Stopped));
    }
    // Before the lab is locked: others go on working in it meanwhile.
    end(site, grace.unwrap_or(FOREVER))?;
    leave_links(site, &before.devices)?;
    let (gone, operations) = change(&site.lab, |topology| {
        let (host, at) = site.find(topology)?;
        host.containers[at].instance.run = Run::Stopped;
        let ephemeral = host.containers[at].instance.ephemeral;
        if ephemeral {
            host.containers.remove(at);
        }
        Ok(ephemeral)
    })?;
    if gone {
        sandbox::forget(&paths::sandboxes(&site.lab), &site.node().to_string())?;
    }
    Ok(operations)
}

fn end(site: &Site, grace: Duration) -> Result<()> {
    let (_, left) = sandbox::end(&paths::sandboxes(&site.lab), &[site.node().to_string()], grace)?;
    if left.is_empty() {
        return Ok(());
    }
    Err(Error::Left(left.into_iter().map(|process| Left::Process(process.pid, process.command)).collect()))
}

/// Stops a container that runs, and starts it: an ephemeral one stays, too.
///
/// # Errors
/// `Stopped` where it does not run; those of [`stop`] and [`start`].
pub fn restart(site: &Site, grace: Option<Duration>) -> Result<usize> {
    let before = site.load()?.instance;
    if before.run == Run::Stopped {
        return fault(is(site, Run::Stopped));
    }
    end(site, grace.unwrap_or(FOREVER))?;
    leave_links(site, &before.devices)?;
    let ((), down) = change(&site.lab, |topology| {
        let (host, at) = site.find(topology)?;
        host.containers[at].instance.run = Run::Stopped;
        Ok(())
    })?;
    start(site).map(|up| down + up)
}

/// Lets every process of a container stand still.
///
/// # Errors
/// `Stopped` and `Frozen` where it does not run.
pub fn pause(site: &Site) -> Result<()> {
    change(&site.lab, |topology| {
        let (host, at) = site.find(topology)?;
        let run = &mut host.containers[at].instance.run;
        if *run != Run::Running {
            return fault(is(site, *run));
        }
        *run = Run::Frozen;
        Ok(())
    })?;
    sandbox::freeze(&paths::sandboxes(&site.lab), &[site.node().to_string()])
}

/// Lets the processes of a paused container go on.
///
/// # Errors
/// `Running` and `Stopped` where it is not paused.
pub fn resume(site: &Site) -> Result<()> {
    let run = site.load()?.instance.run;
    if run == Run::Frozen { start(site).map(drop) } else { fault(is(site, run)) }
}

/// The links that devices ask for: the name in the host, the name inside.
fn links(own: &BTreeMap<String, Keys>) -> Vec<(IfName, IfName)> {
    let link = |(name, device): (&String, &Keys)| match devices::kind(device) {
        Ok(devices::Kind::Physical(parent)) => Some((parent, devices::interface(name, device).ok()?)),
        _ => None,
    };
    own.iter().filter_map(link).collect()
}

fn has(site: &Site, node: &NodeId, link: &IfName) -> bool {
    let pin = inspect::Pin { node: node.to_string(), path: paths::netns_path(&site.lab, node) };
    inspect::inspect(&pin, &[]).is_ok_and(|seen| seen.links.iter().any(|one| one.name == link.as_str()))
}

/// Checks that every link that devices ask for is one that somebody made by hand, and is in the host or in the container.
///
/// # Errors
/// `NoLink` with the first that is not.
pub(super) fn check_links(host: &Host, site: &Site, own: &BTreeMap<String, Keys>) -> Result<()> {
    let at = NodeId::Host(site.host.clone());
    let missing =
        |(parent, inner): &(IfName, IfName)| !host.is_free(parent) || !(has(site, &at, parent) || has(site, &site.node(), inner));
    match links(own).into_iter().find(missing) {
        Some((parent, _)) => fault(InstanceFault::NoLink(site.host.to_string(), parent.to_string())),
        None => Ok(()),
    }
}

/// Brings the links that devices ask for into the container, up; what is there already stays.
///
/// # Errors
/// When the kernel refuses.
pub(super) fn enter_links(site: &Site, own: &BTreeMap<String, Keys>) -> Result<()> {
    let (host, inside) = (Ns::Node(NodeId::Host(site.host.clone())), Ns::Node(site.node()));
    links(own)
        .iter()
        .try_for_each(|(parent, inner)| kernel::move_link(&paths::pins(&site.lab), (&host, parent), (&inside, inner)).map(drop))
}

/// Gives the links of devices back to the host, under the names that they had there.
///
/// # Errors
/// When the kernel refuses.
pub(super) fn leave_links(site: &Site, own: &BTreeMap<String, Keys>) -> Result<()> {
    let (host, inside) = (Ns::Node(NodeId::Host(site.host.clone())), Ns::Node(site.node()));
    links(own)
        .iter()
        .try_for_each(|(parent, inner)| kernel::move_link(&paths::pins(&site.lab), (&inside, inner), (&host, parent)).map(drop))
}
