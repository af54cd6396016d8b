//! Labs that live: their records, their locks, and the one way up and the one way down.

pub mod agents;
pub mod borrow;
mod converge;
mod down;
pub mod facts;
pub mod halves;
pub mod index;
pub mod instances;
mod journal;
pub mod networks;
pub mod paths;
pub mod resolve;
pub mod role;
pub mod rundir;
pub mod sandbox;
mod up;
pub mod watchdog;

pub use down::down;
pub use facts::{Status, status};
pub use index::{Entry, every, hold, load, names, remains, whole};
pub use journal::{Journal, Phase};
pub use resolve::Subject;
pub use role::{Casting, NicChoice};
pub use up::{Private, Up, preview, reset, up, up_on};
