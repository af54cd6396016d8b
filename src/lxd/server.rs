//! The server of LXD's API over one host of a lab. Its texts are the API's own, in English, as its clients expect them.

mod agent;
pub mod answer;
pub mod command;
mod config;
pub mod exec;
pub mod files;
mod operations;
mod request;
pub mod routes;
pub mod serve;
pub mod sftp;
pub mod streams;
mod trust;

/// What is asked for, one file for each kind of thing.
#[allow(clippy::unused_async, reason = "the table holds handlers of one type")]
mod api {
    pub mod certificates;
    pub mod instances;
    pub mod networks;
    pub mod server;
    pub mod sessions;
}
