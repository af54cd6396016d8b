//! The kernel: netlink, namespaces, mounts. What is known of it above is a [`Backend`], which tests have a model of.

mod apply;
pub mod caller;
pub mod calls;
pub mod fallback;
pub mod fault;
pub mod feature;
pub mod flock;
pub mod hands;
pub mod inspect;
pub mod interference;
pub mod managers;
pub mod neighbours;
pub mod netfilter;
pub mod netlink;
pub mod netns;
pub mod nic;
pub mod observe;
pub mod packet;
pub mod requests;
pub mod sandbox;
pub mod sockets;
pub mod sys;
pub mod tables;
pub mod teardown;

use std::collections::BTreeSet;

pub use caller::{interrupted, joined, open_files, processors, shared, thread};
pub use netns::{Pins, move_link, within};
pub use sockets::{keep_alive, listen, present};

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
    /// Also what hands can change and no topology says; nothing that `up` and `down` need to know.
    pub hands: bool,
}

/// What can be done to the world: look at it, change it.
pub trait Backend {
    /// The facts that hold in the scope.
    fn observe(&mut self, scope: &Scope) -> Result<State>;

    /// Carries the operations out in order, and tells each that is done.
    fn apply(&mut self, plan: &Plan, report: &mut dyn FnMut(&Op)) -> Result<()>;
}

/// The running kernel, for the namespaces of one lab.
#[derive(Debug)]
pub struct Kernel {
    pins: Pins,
}

impl Kernel {
    /// The kernel's side of a lab whose namespaces are pinned there.
    pub fn new(pins: Pins) -> Self {
        Self { pins }
    }
}

impl Backend for Kernel {
    fn observe(&mut self, scope: &Scope) -> Result<State> {
        observe::observe(&self.pins, scope)
    }

    fn apply(&mut self, plan: &Plan, report: &mut dyn FnMut(&Op)) -> Result<()> {
        apply::carry_out(plan, &self.pins, report)
    }
}
