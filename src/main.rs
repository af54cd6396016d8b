//! The `nslab` command.

fn main() {}
