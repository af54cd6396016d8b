//! The topology file: types, parsing, validation, and the catalogue of built-in ones.

mod apart;
pub mod caller;
mod carry;
pub mod catalog;
pub mod checks;
mod findings;
mod inherit;
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
pub(crate) use near::nearest;
pub use parse::{parse, read, schema};
pub use types::{
    Attach, Bridge, Checkpoint, Container, Hop, Host, HostEnd, Instance, Keys, Network, Nic, Nics, Promiscuous, Role, Route, Run,
    Topology,
};
pub use validate::problems;
