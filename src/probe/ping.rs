//! Echo requests: from one node to one address, and between every pair of containers.

pub mod all;
pub mod goal;
pub mod one;
pub mod packet;
mod rounds;
pub mod stations;

use std::hash::{BuildHasher, Hasher};

use packet::Key;

/// A key that no other run has.
pub fn key() -> Key {
    let random = || std::collections::hash_map::RandomState::new().build_hasher().finish().to_be_bytes();
    let [high, low, ..] = random();
    Key { id: u16::from_be_bytes([high, low]), magic: random() }
}
