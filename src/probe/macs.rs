//! Which MAC addresses the networks between hosts see.

pub mod census;
mod listen;
pub mod segments;

pub use listen::{Tally, listen};
