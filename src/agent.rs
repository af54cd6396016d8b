//! The server of LXD's API over one host of a lab. Its texts are the API's own, in English, as its clients expect them.

pub mod door;
pub mod exec;
pub mod files;
pub mod logs;
pub mod order;
mod pump;
pub mod sftp;
