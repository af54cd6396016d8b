//! What commands return: plain data, the shape of `--format json`. Sentences are made of it in `render`.

pub mod capture;
pub mod check;
pub mod doctor;
pub mod frame;
pub mod half;
pub mod interference;
pub mod lab;
pub mod macs;
pub mod nic;
pub mod node;
pub mod notice;
pub mod ping;
pub mod trace;
pub mod wire;
