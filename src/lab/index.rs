//! The index of labs and nodes, names only, that anybody may read: for `list` and for completion without root.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::journal::{Journal, Phase};
use super::paths;
use super::rundir::{self, Lock};
use crate::error::{Error, Result, Thing, Usage};
use crate::name::{LabName, NodeName};
use crate::topology::Topology;

const INDEX: &str = "/run/nslab/index.json";
/// Names of labs that a command makes for itself begin so; the pid of the nslab that has made it follows, and a number.
pub(super) const PRIVATE: &str = "private";

/// A lab as anybody may see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name.
    pub lab: LabName,
    /// One line on what its topology teaches.
    pub summary: Option<String>,
    /// Its hosts and their containers.
    pub hosts: Vec<(NodeName, Vec<NodeName>)>,
    /// Its networks that are switches.
    pub switches: Vec<NodeName>,
    /// The host that this machine plays; none where the whole lab is here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<NodeName>,
    /// Hosts on other machines, each with its containers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub far: Vec<(NodeName, Vec<NodeName>)>,
    /// Its containers that are stopped, as `HOST.CONTAINER`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stopped: Vec<String>,
    /// Topologies that it is to become by hand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exercise: Vec<String>,
    /// When it was brought up, in seconds since 1970.
    pub since: u64,
    /// Counts every `up`: the greatest is the last one brought up.
    pub serial: u64,
}

impl Entry {
    fn of(topology: &Topology, whole: Option<&Topology>, since: u64, serial: u64) -> Self {
        let names = |host: &crate::topology::Host| host.containers.iter().map(|c| c.name.clone()).collect();
        let here = |host: &&crate::topology::Host| topology.host(host.name.as_str()).is_some();
        let far = whole.iter().flat_map(|whole| &whole.hosts).filter(|host| !here(host));
        Self {
            lab: topology.name.clone(),
            summary: topology.summary.clone(),
            hosts: topology.hosts.iter().map(|host| (host.name.clone(), names(host))).collect(),
            role: topology.role.as_ref().map(|role| role.host.clone()),
            far: far.map(|host| (host.name.clone(), names(host))).collect(),
            switches: topology.switches().map(|network| network.name.clone()).collect(),
            stopped: topology
                .instances()
                .filter(|(_, container)| !container.runs())
                .map(|(host, container)| format!("{}.{}", host.name, container.name))
                .collect(),
            exercise: topology.exercise.clone(),
            since,
            serial,
        }
    }
}

/// Every lab that is there, for anybody; not those that another nslab has made for itself and is about to take away.
pub fn names() -> Vec<Entry> {
    every().into_iter().filter(|entry| !is_in_use(entry.lab.as_str())).collect()
}

/// Labs that an `up` was killed in before it entered them among the others, and those that one is about to enter.
pub fn remains() -> Vec<LabName> {
    unlisted(&every()).filter(|name| !is_in_use(name.as_str())).collect()
}

/// Every lab that is there, whatever state it is in: what the index lists, and labs that are up and have lost their entry, as their
/// journals know them.
pub fn every() -> Vec<Entry> {
    let mut entries = listed().unwrap_or_default();
    let lost = unlisted(&entries).filter_map(|name| Journal::read(&name).ok().flatten()).filter(is_up);
    entries
        .extend(lost.map(|journal| Entry::of(&journal.topology, journal.whole.as_ref(), journal.since, 0)).collect::<Vec<_>>());
    entries
}

/// What the index lists.
///
/// # Errors
/// [`Error::Unlisted`] where labs may be and the index is missing, damaged or somebody else's. Of one that is not understood in
/// part, the rest counts.
fn listed() -> Result<Vec<Entry>> {
    if !paths::is_credible() {
        return Ok(Vec::new());
    }
    let lost = || Error::Unlisted(INDEX.into());
    let text = paths::read_record(Path::new(INDEX)).ok().flatten().ok_or_else(lost)?;
    let entries: Vec<serde_json::Value> = serde_json::from_slice(&text).map_err(|_| lost())?;
    let entries = entries.into_iter().filter_map(|entry| serde_json::from_value::<Entry>(entry).ok());
    Ok(entries.filter(|entry| paths::lab(&entry.lab).exists()).collect())
}

fn unlisted(entries: &[Entry]) -> impl Iterator<Item = LabName> {
    paths::labs().into_iter().filter(|name| entries.iter().all(|entry| entry.lab != *name))
}

fn is_up(journal: &Journal) -> bool {
    journal.phase == Phase::Up || journal.phase == Phase::Coming && journal.previous.is_some()
}

/// Every lab, as [`names`], for a list that must be whole.
///
/// # Errors
/// [`Error::Unlisted`] for those who may not read the labs' journals, where the index is lost; why a journal is not read, of a lab
/// that the index does not list.
pub fn whole() -> Result<Vec<Entry>> {
    match listed() {
        Err(lost) if !paths::is_own(Path::new(paths::RUN)) => return Err(lost),
        listed => unlisted(&listed.unwrap_or_default()).try_for_each(|name| Journal::read(&name).map(drop))?,
    }
    Ok(names())
}

/// The journal of a lab that must be there.
///
/// # Errors
/// [`Error::Unknown`] with the labs that are.
pub fn load(name: &LabName) -> Result<Journal> {
    Journal::read(name)?.ok_or_else(|| Error::Unknown {
        what: Thing::Lab,
        word: name.to_string(),
        candidates: names().into_iter().map(|entry| entry.lab.to_string()).filter(|lab| lab != name.as_str()).collect(),
    })
}

/// The journal of a lab that must be there, and a lock that keeps it up while somebody is in it.
///
/// # Errors
/// [`Error::Unknown`] with the labs that are; [`Error::Busy`] while it is brought up, changed or taken down.
pub fn hold(name: &LabName) -> Result<(Lock, Journal)> {
    let lock = rundir::share_lab(name)?;
    let journal = load(name)?;
    lock.map(|lock| (lock, journal)).ok_or_else(|| Error::Usage(Usage::NotUp(name.to_string())))
}

/// Enters a lab; the lock on what labs share is held.
pub fn enter(topology: &Topology, whole: Option<&Topology>, since: u64) -> Result<()> {
    let mut entries = every();
    let serial = entries.iter().map(|entry| entry.serial).max().unwrap_or(0) + 1;
    entries.retain(|entry| entry.lab != topology.name);
    entries.push(Entry::of(topology, whole, since, serial));
    write(&entries)
}

/// Writes what a lab's names are after a change of it; it does not become the last one brought up. The lock on what labs share
/// is held.
pub fn renew(topology: &Topology, whole: Option<&Topology>) -> Result<()> {
    let mut entries = every();
    let Some(entry) = entries.iter_mut().find(|entry| entry.lab == topology.name) else { return Ok(()) };
    let new = Entry::of(topology, whole, entry.since, entry.serial);
    if *entry == new {
        return Ok(());
    }
    *entry = new;
    write(&entries)
}

/// Takes a lab out; the lock on what labs share is held.
pub fn leave(name: &LabName) -> Result<()> {
    let mut entries = every();
    let before = entries.len();
    entries.retain(|entry| entry.lab != *name);
    if entries.len() == before { Ok(()) } else { write(&entries) }
}

fn write(entries: &[Entry]) -> Result<()> {
    paths::write_record(Path::new(INDEX), &entries, 0o644)
}

/// The pid in the name of a private lab.
fn maker(lab: &str) -> Option<u32> {
    let mut parts = lab.split('-');
    let (prefix, pid, number) = (parts.next()?, parts.next()?.parse().ok()?, parts.next()?.parse::<u32>());
    (prefix == PRIVATE && number.is_ok() && parts.next().is_none()).then_some(pid)
}

/// Whether a running nslab has made the lab for itself.
pub fn is_in_use(lab: &str) -> bool {
    let Some(pid) = maker(lab) else { return false };
    let program = |pid: &str| std::fs::read(Path::new("/proc").join(pid).join("comm")).ok();
    pid == std::process::id() || program(&pid.to_string()).is_some_and(|its| program("self") == Some(its))
}

/// Whether an nslab made the lab for itself and was killed before it took it away.
pub fn is_forgotten(lab: &str) -> bool {
    maker(lab).is_some() && !is_in_use(lab)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_name_tells_its_maker() {
        assert_eq!(maker("private-12-1"), Some(12));
        for lab in ["bridged", "private", "private-12", "private-x-1", "private-12-1-2", "privates-12-1"] {
            assert_eq!(maker(lab), None, "{lab}");
        }
        let own = format!("private-{}-1", std::process::id());
        assert!(is_in_use(&own) && !is_forgotten(&own));
        // Pids end at 4 194 304 (`PID_MAX_LIMIT`).
        assert!(is_forgotten("private-4194305-1"));
    }
}
