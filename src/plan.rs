//! Facts, and the one planner: describe, then subtract.

pub mod compile;
pub mod diff;
pub mod fact;
pub mod line;
mod state;
pub mod steps;

pub use compile::{compile, compile_nodes};
pub use diff::diff;
pub use fact::{Fact, Link, MAIN_TABLE, NodeId, Ns, Op, Plan, Port, RouteTo, Slot, Sysctl};
pub use state::State;
