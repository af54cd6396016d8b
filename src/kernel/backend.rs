//! The narrow border between the plan and the world.

use std::collections::BTreeSet;

use crate::error::Result;
use crate::plan::{Ns, Op, Plan, State};

/// What to look at.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Namespaces; one that does not exist is simply not there.
    pub spaces: BTreeSet<Ns>,
    /// What is expected: its settings are read and its pairs recognised first.
    pub expected: State,
    /// Only whether the namespaces exist; all that `down` needs to know.
    pub pins_only: bool,
}

/// What can be done to the world: look at it, change it.
pub trait Backend {
    /// The facts that hold in the scope.
    fn observe(&mut self, scope: &Scope) -> Result<State>;

    /// Carries the operations out in order, and tells each that is done.
    fn apply(&mut self, plan: &Plan, tell: &mut dyn FnMut(&Op)) -> Result<()>;
}
