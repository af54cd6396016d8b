//! What is asked for, one file for each kind of thing.

#![allow(clippy::unused_async, reason = "the table holds handlers of one type")]

pub mod certificates;
pub mod described;
pub mod instances;
pub mod networks;
pub mod operations;
pub mod server;
pub mod sessions;
pub mod statics;
