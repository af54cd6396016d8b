//! What every kind of check has in common: how a file says it, what it looks at, what it concludes.

use std::collections::HashMap;
use std::net::IpAddr;

use super::evidence::{Common, Evidence, Seen};
use super::nodes::Machine;
use super::pings::Pinged;
use super::players::Players;
use super::scene::Scene;
use crate::plan::NodeId;
use crate::probe::watch::{Errand, Witnessed};
use crate::render::sentences::statement::Words;
use crate::report::check::State;
use crate::topology::reader::Item;

/// A kind of check. Its value is what a file wants; as JSON it is kept with the lab and told in reports.
pub(super) trait Kind: Sized {
    /// What it checks, for who writes a file.
    const ABOUT: &'static str;

    /// Reads what a file wants, and notes what is wrong with it; the same calls describe it for editors.
    fn read(item: &mut Item<'_>) -> Option<Self>;

    /// What is wanted, in a sentence.
    fn wanted(&self, words: &Words<'_>) -> String;

    /// The same with those who play its parts, or why nobody can.
    fn played_by(&self, players: &Players<'_>) -> Result<Self, Common>;

    /// The nodes that it names.
    fn names(&self) -> Vec<Machine>;

    /// The node that acts, as by running a command; none where it only pings and looks at tables.
    fn acts_on(&self) -> Option<NodeId>;

    /// The nodes whose own tables it looks at.
    fn looks_at(&self, scene: &Scene<'_>) -> Vec<NodeId>;

    /// The pings that it needs, from whom to whom.
    fn pings(&self, _: &Scene<'_>) -> Vec<(NodeId, NodeId)> {
        Vec::new()
    }

    /// The pings that are to be watched on their way.
    fn watched(&self, _: &Scene<'_>) -> Vec<Errand> {
        Vec::new()
    }

    /// Looks at what is there.
    fn judge(&self, stage: &Stage<'_>) -> Verdict;
}

/// What the checks look at.
pub(super) struct Stage<'a> {
    pub scene: &'a Scene<'a>,
    pub pinged: Pinged,
    pub witnessed: HashMap<Errand, Witnessed>,
}

/// The outcome of one check, before hints are looked for.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// What is wrong, or why it could not run.
    pub evidence: Vec<Evidence>,
    /// What is unusual and no fault.
    pub notes: Vec<Evidence>,
    /// A ping that should be answered and is not: a trace of it tells why.
    pub suspect: Option<(NodeId, IpAddr)>,
}

impl Verdict {
    /// One thing is wrong.
    pub(super) fn wrong(evidence: impl Into<Evidence>) -> Self {
        Self { evidence: vec![evidence.into()], ..Self::default() }
    }

    /// One more thing is wrong.
    pub(super) fn add(&mut self, evidence: impl Seen + 'static) {
        self.evidence.push(evidence.into());
    }

    /// The same, but nothing is said twice.
    pub(super) fn add_once(&mut self, evidence: impl Into<Evidence>) {
        let evidence = evidence.into();
        if !self.evidence.contains(&evidence) {
            self.evidence.push(evidence);
        }
    }

    /// A check fails on whatever is wrong, and could not run where it only met obstacles.
    pub(super) fn state(&self) -> State {
        match self.evidence.as_slice() {
            [] => State::Pass,
            all if all.iter().all(|evidence| evidence.0.is_obstacle()) => State::CouldNotRun,
            _ => State::Fail,
        }
    }
}
