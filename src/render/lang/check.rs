//! What a language must be able to say about checks.

use crate::report::check::{Checkpoint, Evidence, Note, Report, Role, State};
use crate::topology::checks::Check;

/// The sentences of `check`.
pub trait Checking: Sync {
    /// What is checked against what.
    fn title(&self, report: &Report) -> String;
    /// Who plays a part.
    fn role(&self, report: &Report, role: &Role) -> String;
    /// Containers that are not judged.
    fn spares(&self, report: &Report) -> String;
    /// The heading of a checkpoint.
    fn checkpoint(&self, checkpoint: &Checkpoint) -> String;
    /// The word for how a check ended, in capitals.
    fn state(&self, state: State) -> &'static str;
    /// What must hold.
    fn asked(&self, report: &Report, check: &Check) -> String;
    /// What was seen that is wrong.
    fn evidence(&self, report: &Report, evidence: &Evidence) -> String;
    /// What was seen that is unusual and no fault.
    fn note(&self, report: &Report, note: &Note) -> String;
    /// The sum of points and checks.
    fn sum(&self, report: &Report) -> Vec<String>;
    /// That nslab waits for changes.
    fn watching(&self) -> &'static str;
}
