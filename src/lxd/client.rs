//! The client of the API that LXD, Incus and nslab's agent speak: blocking outside, one thread of events inside.

mod answer;
mod client;
mod events;
mod exec;
mod files;
mod identity;
mod instance;
mod store;
mod terminal;
mod tls;
mod token;
mod trust;
mod wire;

pub use answer::Answer;
pub use client::Client;
pub use exec::{Ends, Exec};
pub use files::{File, Kind, Owner};
pub use identity::Identity;
pub use instance::{Action, Change, New};
pub use store::{Remote, Store};
pub use tls::fingerprint;
pub use token::Token;
pub use trust::{Secret, add, look};

/// The port of LXD, Incus and the agent.
pub const PORT: u16 = 8443;
