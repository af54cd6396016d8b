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
mod lock;
pub mod networks;
pub mod paths;
mod record;
pub mod resolve;
pub mod role;
mod root_netns;
pub mod rundir;
pub mod sandbox;
mod status;
pub mod subject;
mod up;
pub mod watchdog;

pub use down::down;
pub use index::{Entry, every, hold, load, names, remains, whole};
pub use journal::{Journal, Phase};
pub use role::{Casting, NicChoice};
pub use status::{Status, reset, status};
pub use subject::Subject;
pub use up::{Private, Up, preview, up, up_on};
