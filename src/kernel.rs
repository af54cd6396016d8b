//! The kernel: netlink, namespaces, mounts, and the model of it that tests plan against.

mod apply;
mod backend;
pub mod echo;
pub mod fallback;
pub mod fault;
pub mod feature;
pub mod flock;
pub mod inspect;
pub mod interference;
mod listen;
pub mod managers;
pub mod model;
pub mod mounts;
pub mod neighbours;
pub mod netfilter;
pub mod netlink;
pub mod netns;
pub mod news;
pub mod nic;
pub mod observe;
pub mod packet;
pub mod requests;
pub mod sandbox;
pub mod sys;
pub mod tables;
pub mod teardown;
pub mod terminal;
mod thread;
pub mod userns;

pub use backend::{Backend, Scope};
pub use listen::{keep_alive, listen, present};
pub use netns::{Pins, move_link, within};
pub use thread::{interrupted, joined, open_files, processors, shared, thread};

use crate::error::Result;
use crate::plan::{Op, Plan, State};

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

    fn apply(&mut self, plan: &Plan, tell: &mut dyn FnMut(&Op)) -> Result<()> {
        apply::carry_out(plan, &self.pins, tell)
    }
}
