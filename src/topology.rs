//! The topology file: types, parsing, validation, and the catalogue of built-in ones.

mod inherit;
pub mod mac;
mod types;

pub use types::{Attach, Bridge, Container, Hop, Host, HostEnd, Network, Nic, Promiscuous, Route, Topology};
