//! Packets: sent, captured, decoded and explained. Sockets are opened in a node and then run anywhere.

pub mod capture;
pub mod cure;
pub mod filter;
pub mod frame;
pub mod macs;
pub mod paths;
pub mod pcapng;
pub mod ping;
pub mod predict;
pub mod trace;
pub mod view;
pub mod watch;
