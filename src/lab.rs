//! Labs that live: their records, their locks, and the one way up and the one way down.

pub mod agents;
pub mod borrow;
mod converge;
mod down;
pub mod facts;
pub mod halves;
pub mod instances;
pub mod journal;
pub mod networks;
pub mod paths;
pub mod resolve;
pub mod role;
pub mod rundir;
mod up;

pub use down::{down, watch_nics};
pub use facts::{Status, status};
pub use journal::{Entry, Journal, Phase, every, hold, load, names, remains, whole};
pub use resolve::Subject;
pub use role::{Casting, NicChoice};
pub use up::{Private, Up, preview, reset, up, up_on};
