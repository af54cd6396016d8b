//! The topology file: types, parsing, validation, and the catalogue of built-in ones.

mod apart;
pub mod caller;
mod carry;
pub mod catalog;
pub mod checks;
mod findings;
mod inherit;
mod instance;
pub mod mac;
mod near;
mod parse;
mod place;
pub mod reader;
mod role;
mod tree;
mod types;
mod validate;
pub mod values;

pub use apart::Inside;
pub use instance::{Instance, Keys, Run};
pub(crate) use near::nearest;
pub use parse::{parse, read, schema};
pub use role::{Nics, Role};
pub use types::{Attach, Bridge, Container, Hop, Host, HostEnd, Network, Nic, Promiscuous, Route, Topology};
pub use validate::problems;
