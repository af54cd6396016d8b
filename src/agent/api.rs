//! What is asked for, one file for each kind of thing.

pub mod certificates;
pub mod operations;
pub mod server;
pub mod statics;
