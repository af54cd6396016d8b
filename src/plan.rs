//! Facts, and the one planner: describe, then subtract.

pub mod compile;
pub mod diff;
pub mod fact;
pub mod line;
pub mod link;
pub mod steps;

pub use compile::{compile, compile_nodes};
pub use diff::diff;
pub use fact::{Key, MAIN_TABLE, NodeId, Ns, Op, Plan, Port, RouteTo, State, Sysctl, Value};
pub use link::Link;
