//! The client of the API that LXD, Incus and nslab's agent speak: blocking outside, one thread of events inside.

mod exec;
mod instances;
mod remotes;
mod requests;

pub use exec::{Ends, Exec};
pub use instances::{Action, Change, File, Kind, New, Owner};
pub use remotes::{Secret, Store, Token, add, look};
pub use requests::{Answer, Client, PORT, Remote};
