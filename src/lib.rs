//! nslab rehearses a networking lab of hosts with containers on network namespaces.
//!
//! A topology file becomes a [`topology::Topology`], that a [`plan::State`] of facts; `up` and `down` are differences
//! between states, applied to the kernel.

pub mod check;
pub mod cli;
pub mod commands;
pub mod error;
pub mod graph;
pub mod kernel;
pub mod lab;
pub mod lxd;
pub mod name;
pub mod plan;
pub mod probe;
pub mod problem;

pub mod render;
pub mod report;
pub mod topology;
pub mod typed;
