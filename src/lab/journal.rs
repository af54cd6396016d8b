//! What is written of labs: the journal of each, before the first operation and until after the last, so that a kill anywhere is healed; and
//! the index of labs and nodes, names only, that anybody may read: for `list` and for completion without root.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::paths::{self, boot_id, system};
use super::rundir::{self, Lock};
use crate::error::{Error, JournalFault, Result, Thing, Usage};
use crate::kernel::fault;
use crate::kernel::sys::process::errno;
use crate::name::{LabName, NodeName};
use crate::plan::{State, compile};
use crate::report::lab::Kept;
use crate::topology::{Container, Host, Instance, Run, Topology};

/// The format that this nslab writes.
pub const FORMAT: u32 = 1;

/// How far a lab has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// `up` has begun and not ended.
    Coming,
    /// `up` has ended well.
    Up,
    /// `down` has begun and not ended.
    Going,
    /// A change of the machine's NICs was taken back, and the lab with it: only its records are left.
    RolledBack,
}

/// What nslab knows of a lab; its facts are always compiled from this, never stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// The format of this file.
    pub format: u32,
    /// The nslab that wrote it.
    pub version: String,
    /// The machine's boot that the lab belongs to.
    pub boot_id: String,
    /// How far the lab has come.
    pub phase: Phase,
    /// When it was brought up first, in seconds since 1970.
    pub since: u64,
    /// What it is, with the numbers given out.
    pub topology: Topology,
    /// What it was, while `up` changes it: its facts are owned, too, until `up` has ended.
    pub previous: Option<Topology>,
    /// Where `topology` is the part of one host: what it is a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whole: Option<Topology>,
    /// What the file describes, where something was launched, stopped or configured since: `reset` goes back to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Topology>,
    /// What the machine's own facts were before the first operation; they are again when the lab is down.
    #[serde(default, skip_serializing_if = "State::is_empty")]
    pub baseline: State,
}

fn path(name: &LabName) -> PathBuf {
    paths::lab(name).join("lab.json")
}

impl Journal {
    /// A journal for a lab that begins now.
    pub fn new(topology: Topology) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let (boot_id, phase) = (boot_id().to_owned(), Phase::Coming);
        let (previous, whole, origin, baseline) = (None, None, None, State::new());
        Self { format: FORMAT, version, boot_id, phase, since, topology, previous, whole, origin, baseline }
    }

    /// The topology as a file describes it, with every host.
    pub fn described(&self) -> &Topology {
        self.whole.as_ref().unwrap_or(&self.topology)
    }

    /// The whole lab, its host on this machine under the names that NICs have here.
    pub fn laid_out(&self) -> Topology {
        self.whole.as_ref().map_or_else(|| self.topology.clone(), |whole| whole.with(&self.topology))
    }

    /// What was done to its containers since its file was brought up, if anything was.
    pub fn kept(&self) -> Option<Kept> {
        let origin = self.origin.as_ref()?;
        let gone = |(host, own): &(&Host, &Container)| self.topology.container(host.name.as_str(), own.name.as_str()).is_none();
        let count = |is: &dyn Fn(&Instance) -> bool| self.topology.instances().filter(|(_, each)| is(&each.instance)).count();
        let kept = Kept {
            launched: count(&|instance| instance.launched),
            stopped: count(&|instance| instance.run == Run::Stopped),
            configured: count(&|instance| !(instance.launched || instance.config.is_empty() && instance.devices.is_empty())),
            deleted: origin.instances().filter(gone).count(),
        };
        (kept.count() > 0).then_some(kept)
    }

    /// Every fact that nslab has made or was about to make.
    pub fn owned(&self) -> State {
        let mut owned = self.previous.as_ref().map(compile).unwrap_or_default();
        owned.extend(compile(&self.topology));
        owned
    }

    /// This machine plays a host of it, or did before the change that is under way.
    pub fn has_role(&self) -> bool {
        self.topology.role.is_some() || self.previous.as_ref().is_some_and(|previous| previous.role.is_some())
    }

    /// The lab belongs to an earlier boot: nothing of it can be left but files.
    pub fn is_stale(&self) -> bool {
        self.boot_id != boot_id()
    }

    /// Reads the journal of a lab; none if there is none.
    ///
    /// # Errors
    /// [`Error::Tampered`] if it is no file, [`Error::Foreign`] if it is somebody else's, [`Error::Journal`] if it cannot be understood.
    pub fn read(name: &LabName) -> Result<Option<Self>> {
        paths::read_record(&path(name))?.map(|text| Self::parse(name, &text)).transpose()
    }

    fn parse(name: &LabName, text: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct Head {
            format: u32,
            version: String,
        }
        let fault = |why| Error::Journal { lab: name.to_string(), why };
        let head: Head = serde_json::from_slice(text).map_err(|_| fault(JournalFault::Damaged))?;
        if head.format > FORMAT {
            return Err(fault(JournalFault::Newer(head.format, head.version)));
        }
        let journal: Self = serde_json::from_slice(text).map_err(|_| fault(JournalFault::Damaged))?;
        if journal.topology.name == *name { Ok(journal) } else { Err(fault(JournalFault::Damaged)) }
    }

    /// Writes the journal: all of it or nothing. No fsync: a power cut takes the lab along.
    pub fn write(&self) -> Result<()> {
        paths::write_record(&path(&self.topology.name), self, 0o600)
    }
}

/// Deletes the journal, and one that was being written.
pub fn delete(name: &LabName) -> Result<()> {
    for path in [path(name).with_extension("new"), path(name)] {
        fault::point().map_err(|errno| system("unlink", &path, errno))?;
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(system("unlink", &path, errno(&error))),
            _ => {}
        }
    }
    Ok(())
}

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
    #[serde(rename = "far", default, skip_serializing_if = "Vec::is_empty")]
    pub remote: Vec<(NodeName, Vec<NodeName>)>,
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
    fn from_topology(topology: &Topology, whole: Option<&Topology>, since: u64, serial: u64) -> Self {
        let names = |host: &crate::topology::Host| host.containers.iter().map(|c| c.name.clone()).collect();
        let here = |host: &&crate::topology::Host| topology.host(host.name.as_str()).is_some();
        let remote = whole.iter().flat_map(|whole| &whole.hosts).filter(|host| !here(host));
        Self {
            lab: topology.name.clone(),
            summary: topology.summary.clone(),
            hosts: topology.hosts.iter().map(|host| (host.name.clone(), names(host))).collect(),
            role: topology.role.as_ref().map(|role| role.host.clone()),
            remote: remote.map(|host| (host.name.clone(), names(host))).collect(),
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
    not_in_use(every())
}

fn not_in_use(mut entries: Vec<Entry>) -> Vec<Entry> {
    entries.retain(|entry| !is_in_use(entry.lab.as_str()));
    entries
}

/// Labs that an `up` was killed in before it entered them among the others, and those that one is about to enter.
pub fn remains() -> Vec<LabName> {
    unlisted(&every()).filter(|name| !is_in_use(name.as_str())).collect()
}

/// Every lab that is there, whatever state it is in: what the index lists, and labs that are up and have lost their entry, as their
/// journals know them.
pub fn every() -> Vec<Entry> {
    let entries = listed().unwrap_or_default();
    let journals: Vec<Journal> = unlisted(&entries).filter_map(|name| Journal::read(&name).ok().flatten()).collect();
    with_lost(entries, &journals)
}

/// What the index lists, and of labs that it does not list those that are up.
fn with_lost(mut entries: Vec<Entry>, journals: &[Journal]) -> Vec<Entry> {
    let lost = journals.iter().filter(|journal| is_up(journal));
    entries.extend(lost.map(|journal| Entry::from_topology(&journal.topology, journal.whole.as_ref(), journal.since, 0)));
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
    let entries = match listed() {
        Err(lost) if !paths::is_own(Path::new(paths::RUN)) => return Err(lost),
        listed => listed.unwrap_or_default(),
    };
    let journals = unlisted(&entries).filter_map(|name| Journal::read(&name).transpose()).collect::<Result<Vec<_>>>()?;
    Ok(not_in_use(with_lost(entries, &journals)))
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
pub(super) fn add_to_index(topology: &Topology, whole: Option<&Topology>, since: u64) -> Result<()> {
    let mut entries = every();
    let serial = entries.iter().map(|entry| entry.serial).max().unwrap_or(0) + 1;
    entries.retain(|entry| entry.lab != topology.name);
    entries.push(Entry::from_topology(topology, whole, since, serial));
    write_index(&entries)
}

/// Writes what a lab's names are after a change of it; it does not become the last one brought up. The lock on what labs share
/// is held.
pub(super) fn renew_in_index(topology: &Topology, whole: Option<&Topology>) -> Result<()> {
    let mut entries = every();
    let Some(entry) = entries.iter_mut().find(|entry| entry.lab == topology.name) else { return Ok(()) };
    let new = Entry::from_topology(topology, whole, entry.since, entry.serial);
    if *entry == new {
        return Ok(());
    }
    *entry = new;
    write_index(&entries)
}

/// Takes a lab out; the lock on what labs share is held.
pub(super) fn remove_from_index(name: &LabName) -> Result<()> {
    let mut entries = every();
    let before = entries.len();
    entries.retain(|entry| entry.lab != *name);
    if entries.len() == before { Ok(()) } else { write_index(&entries) }
}

fn write_index(entries: &[Entry]) -> Result<()> {
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
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::topology::{self, Checkpoint, catalog};

    fn written(name: &LabName) -> Vec<u8> {
        let text = catalog::find(name.as_str()).unwrap().split("checkpoints:").next().unwrap();
        let mut topology = topology::parse("bridged", text, &[]).unwrap();
        let checks = vec![serde_json::json!({ "reach": "all" })];
        topology.checkpoints.push(Checkpoint { name: "all".to_owned(), points: 1, checks });
        serde_json::to_vec(&Journal::new(topology)).unwrap()
    }

    #[test]
    fn a_journal_cut_at_any_byte_is_damaged() {
        let name = "bridged".parse().unwrap();
        let whole = written(&name);
        assert!(Journal::parse(&name, &whole).is_ok());
        for length in 0..whole.len() {
            let cut = Journal::parse(&name, &whole[..length]);
            assert!(matches!(cut, Err(Error::Journal { why: JournalFault::Damaged, .. })), "cut at byte {length}: {cut:?}");
        }
    }

    #[test]
    fn a_journal_with_any_bit_flipped_is_damaged_newer_or_about_the_same_lab() {
        let name: LabName = "bridged".parse().unwrap();
        let whole = written(&name);
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            match Journal::parse(&name, &flipped) {
                Ok(journal) => assert_eq!(journal.topology.name, name),
                Err(error) => assert!(matches!(error, Error::Journal { .. }), "bit {bit}: {error:?}"),
            }
        }
    }

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
