//! All that speaks LXD's API, or its words: the server over a host of a lab, the client of it, the class's `lxc`, devices, and
//! the commands that make a lab with LXD.

pub mod client;
pub mod devices;
pub mod lxc;
pub mod options;
pub mod script;
pub mod server;
pub mod tls;
