//! `check`: what must hold in a lab, and what was seen.

use serde::Serialize;

use super::wire::Names;
use crate::render::lang::Lang;
use crate::render::sentences::statement::{Statement, Words};

/// `check`
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The lab.
    pub lab: String,
    /// The topology whose checkpoints they are, where it is not the lab's own.
    pub against: Option<String>,
    /// Who plays which part of that topology.
    pub roles: Vec<Role>,
    /// Containers that are not judged: they have no address that counts.
    pub spares: Vec<String>,
    /// There is nothing at all in the spares, neither a link nor an address.
    #[serde(skip)]
    pub untouched: bool,
    /// The checkpoints.
    pub checkpoints: Vec<Checkpoint>,
    /// The points that all of them give.
    pub points: u32,
    /// The points that were reached.
    pub reached: f64,
    /// Checks that passed.
    pub passed: usize,
    /// Checks that failed.
    pub failed: usize,
    /// Checks that could not run.
    pub not_run: usize,
    /// Checks that nobody asked for.
    pub skipped: usize,
    /// How long it took.
    pub milliseconds: f64,
    /// How nodes are typed.
    #[serde(skip)]
    pub names: Names,
    /// It was told while it was watched.
    #[serde(skip)]
    pub told: bool,
}

/// Who plays a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Role {
    /// The part: the node of the topology, `host` or `host.container`.
    pub role: String,
    /// The node of the lab that plays it; none where nobody can.
    pub node: Option<String>,
    /// How the node is wired.
    pub wiring: Wiring,
}

/// How a node is wired into its lab.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wiring {
    /// A bridge that also has a NIC of the host: a switch. Of a host, it has one.
    Switch {
        /// The bridge.
        bridge: String,
    },
    /// A bridge without a NIC of the host: the host is a router there.
    Gateway {
        /// The bridge.
        bridge: String,
    },
    /// A cable whose other end is an interface of the host alone.
    PointToPoint,
    /// Nothing that could be judged.
    None,
}

/// A checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Checkpoint {
    /// Its name.
    pub name: String,
    /// What it gives.
    pub points: u32,
    /// What of it was reached.
    pub reached: f64,
    /// Its checks.
    pub checks: Vec<Outcome>,
}

/// A check and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    /// The word for its kind.
    pub kind: &'static str,
    /// What must hold, in the names of the lab.
    pub check: Statement,
    /// How it ended.
    pub state: State,
    /// What was seen that is wrong, or why it could not run.
    pub evidence: Vec<Statement>,
    /// What was seen that is unusual and no fault.
    pub notes: Vec<Statement>,
    /// The commands that may mend it, as they are typed.
    pub hints: Vec<String>,
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the words explain themselves")]
pub enum State {
    Pass,
    Skipped,
    CouldNotRun,
    Fail,
}

impl Report {
    /// The words for what is in the lab.
    pub fn words(&self, lang: Lang) -> Words<'_> {
        Words { lang, lab: &self.lab, names: &self.names }
    }

    /// Every outcome.
    pub fn outcomes(&self) -> impl Iterator<Item = &Outcome> {
        self.checkpoints.iter().flat_map(|checkpoint| &checkpoint.checks)
    }

    /// 1 where a check failed, 3 where one could not run, else 0.
    pub fn exit_code(&self) -> u8 {
        match (self.failed, self.not_run) {
            (0, 0) => 0,
            (0, _) => 3,
            _ => 1,
        }
    }
}
