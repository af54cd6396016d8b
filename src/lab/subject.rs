//! What a command looks at, wherever it lives: the nodes of a lab with their namespaces, what describes it, and how a command is
//! typed there.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use super::index::{Entry, load, names};
use super::journal::Journal;
use super::{paths, resolve};
use crate::error::Result;
use crate::kernel::observe;
use crate::name::{LabName, NodeName};
use crate::plan::NodeId;

/// Who has made the nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// nslab itself, from a topology.
    Ours,
}

/// How commands are typed for a lab's nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    source: Source,
    /// The lab, where it is not the only one that is up: a node is to be named with it.
    pub lab: Option<LabName>,
}

impl Prompt {
    /// Of a lab that nslab has made.
    pub fn ours(lab: Option<LabName>) -> Self {
        Self { source: Source::Ours, lab }
    }

    /// A node by words that name it within its lab, as they are typed from everywhere.
    pub fn node(&self, word: &str) -> String {
        self.lab.as_ref().map_or_else(|| word.to_owned(), |lab| format!("{lab}/{word}"))
    }

    /// A command that is carried out in a node, which words within its lab name.
    pub fn within(&self, word: &str, command: &str) -> String {
        match self.source {
            Source::Ours => format!("sudo nslab exec {} {command}", self.node(word)),
        }
    }
}

/// A node on this machine and its namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Netns {
    /// Which; a namespace that somebody made by hand in a host counts as a container of that host.
    pub node: NodeId,
    /// Where it is pinned.
    pub pin: PathBuf,
    /// Somebody made it inside a host: the lab does not know its name.
    pub by_hand: bool,
}

/// A lab that is looked at.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The names of its nodes.
    pub entry: Entry,
    /// How commands are typed for them.
    pub prompt: Prompt,
    journal: OnceCell<Journal>,
}

impl Subject {
    /// A lab that nslab has made.
    pub fn ours(entry: Entry) -> Self {
        Self::among(entry, &names())
    }

    /// As [`Subject::ours`]; these are all labs that are up.
    pub fn among(entry: Entry, labs: &[Entry]) -> Self {
        let several = labs.len() > 1;
        Self { prompt: Prompt::ours(several.then(|| entry.lab.clone())), entry, journal: OnceCell::new() }
    }

    /// The same as it is now: containers may have come.
    ///
    /// # Errors
    /// `Unknown` where it has gone.
    pub fn again(&self) -> Result<Self> {
        match self.prompt.source {
            Source::Ours => {
                let labs = names();
                resolve::find(self.entry.lab.as_str(), &labs).cloned().map(|entry| Self::among(entry, &labs))
            }
        }
    }

    /// What nslab knows of it, read once.
    ///
    /// # Errors
    /// When its journal cannot be read.
    pub fn journal(&self) -> Result<&Journal> {
        if let Some(known) = self.journal.get() {
            return Ok(known);
        }
        let journal = match self.prompt.source {
            Source::Ours => load(&self.entry.lab)?,
        };
        Ok(self.journal.get_or_init(|| journal))
    }

    /// Every node on this machine that has a namespace, switches first, each host before its containers, and before what somebody
    /// made by hand inside it.
    pub fn nodes(&self) -> Vec<Netns> {
        match self.prompt.source {
            Source::Ours => ours(&self.entry),
        }
    }
}

fn ours(entry: &Entry) -> Vec<Netns> {
    let mut found = Vec::new();
    for node in resolve::living(entry) {
        let pin = paths::netns_path(&entry.lab, &node);
        let inside = match &node {
            NodeId::Host(host) => made_inside(&paths::lab(&entry.lab).join("run").join(host.as_str()).join("netns"), host),
            NodeId::Switch(_) | NodeId::Container(..) => Vec::new(),
        };
        found.push(Netns { node, pin, by_hand: false });
        found.extend(inside);
    }
    found
}

/// Namespaces under a host's own `/run/netns`; nslab's entries there are links.
fn made_inside(directory: &Path, host: &NodeName) -> Vec<Netns> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let files = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    let mut pins: Vec<PathBuf> = files.map(|entry| entry.path()).filter(|path| observe::is_namespace(path)).collect();
    pins.sort();
    let named = |pin: PathBuf| {
        let name = pin.file_name()?.to_str()?.parse().ok()?;
        Some(Netns { node: NodeId::Container(host.clone(), name), pin, by_hand: true })
    };
    pins.into_iter().filter_map(named).collect()
}
