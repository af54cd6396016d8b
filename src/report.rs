//! What commands return: plain data, the shape of `--format json`. Sentences are made of it in `render`.

pub mod lab;
pub mod machine;
pub mod probe;
pub mod trace;
pub mod wire;
