//! The journal of a lab: written before the first operation, deleted after the last, so that a kill anywhere is healed.

use std::fs;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::paths::{self, boot_id, system};
use crate::error::{Error, JournalFault, Result};
use crate::kernel::fault;
use crate::kernel::sys::process::errno;
use crate::name::LabName;
use crate::plan::{State, compile};
use crate::report::lab::Kept;
use crate::topology::{Instance, Run, Topology};

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
        self.origin.as_ref()?;
        let of = |is: &dyn Fn(&Instance) -> bool| self.topology.instances().filter(|(_, each)| is(&each.instance)).count();
        let kept = Kept {
            launched: of(&|instance| instance.launched),
            stopped: of(&|instance| instance.run == Run::Stopped),
            configured: of(&|instance| !(instance.launched || instance.config.is_empty() && instance.devices.is_empty())),
        };
        (kept.launched + kept.stopped + kept.configured > 0).then_some(kept)
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::topology::Checkpoint;
    use crate::topology::{self, catalog};

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
}
