//! The index of labs and nodes, names only, that anybody may read: for `list` and for completion without root.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{home, record};
use crate::error::Result;
use crate::name::LabName;
use crate::topology::Topology;

const INDEX: &str = "/run/nslab/index.json";

/// A lab as anybody may see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name.
    pub lab: String,
    /// One line on what its topology teaches.
    pub summary: Option<String>,
    /// Its hosts and their containers.
    pub hosts: Vec<(String, Vec<String>)>,
    /// Its networks that are switches.
    pub switches: Vec<String>,
    /// The host that this machine plays; none where the whole lab is here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Hosts on other machines, each with its containers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub far: Vec<(String, Vec<String>)>,
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
        let names = |host: &crate::topology::Host| host.containers.iter().map(|c| c.name.to_string()).collect();
        let here = |host: &&crate::topology::Host| topology.host(host.name.as_str()).is_some();
        let far = whole.iter().flat_map(|whole| &whole.hosts).filter(|host| !here(host));
        Self {
            lab: topology.name.to_string(),
            summary: topology.summary.clone(),
            hosts: topology.hosts.iter().map(|host| (host.name.to_string(), names(host))).collect(),
            role: topology.role.as_ref().map(|role| role.host.to_string()),
            far: far.map(|host| (host.name.to_string(), names(host))).collect(),
            switches: topology.switches().map(|network| network.name.to_string()).collect(),
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

/// Every lab that is there, whatever state it is in.
pub fn read() -> Vec<Entry> {
    if !home::is_credible() {
        return Vec::new();
    }
    let entries: Vec<Entry> = fs::read(INDEX).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    entries.into_iter().filter(|entry| Path::new(home::RUN).join(&entry.lab).exists()).collect()
}

/// Enters a lab; the lock on what labs share is held.
pub fn enter(topology: &Topology, whole: Option<&Topology>, since: u64) -> Result<()> {
    let mut entries = read();
    let serial = entries.iter().map(|entry| entry.serial).max().unwrap_or(0) + 1;
    entries.retain(|entry| entry.lab != topology.name.as_str());
    entries.push(Entry::of(topology, whole, since, serial));
    write(&entries)
}

/// Writes what a lab's names are after a change of it; it does not become the last one brought up. The lock on what labs share
/// is held.
pub fn renew(topology: &Topology, whole: Option<&Topology>) -> Result<()> {
    let mut entries = read();
    let Some(entry) = entries.iter_mut().find(|entry| entry.lab == topology.name.as_str()) else { return Ok(()) };
    let new = Entry::of(topology, whole, entry.since, entry.serial);
    if *entry == new {
        return Ok(());
    }
    *entry = new;
    write(&entries)
}

/// Takes a lab out; the lock on what labs share is held.
pub fn leave(name: &LabName) -> Result<()> {
    let mut entries = read();
    let before = entries.len();
    entries.retain(|entry| entry.lab != name.as_str());
    if entries.len() == before { Ok(()) } else { write(&entries) }
}

fn write(entries: &[Entry]) -> Result<()> {
    record::write(Path::new(INDEX), &entries, 0o644)
}
