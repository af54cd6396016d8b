//! What a prediction knows and what the nodes of it learn while the packet is on its way.

use std::collections::HashMap;
use std::net::IpAddr;

use super::Choice;
use super::frame::Fabric;
use super::lookup::{Flow, Found, lookup};
use super::map::{At, Map};
use crate::name::Mac;
use crate::report::trace::Cause;

/// One prediction under way.
#[derive(Debug)]
pub(super) struct World<'a> {
    pub map: &'a Map<'a>,
    pub fabric: Fabric<'a>,
    /// Neighbours that nodes met on the way.
    pub met: HashMap<(At, IpAddr), Mac>,
    pub notes: Vec<Cause>,
    pub choices: Vec<Choice>,
}

impl<'a> World<'a> {
    pub(super) fn new(map: &'a Map<'a>) -> Self {
        Self { map, fabric: Fabric::new(map), met: HashMap::new(), notes: Vec::new(), choices: Vec::new() }
    }

    /// Whether the node takes packets for the address.
    pub(super) fn has(&self, place: usize, address: IpAddr) -> bool {
        matches!(lookup(self.map.tables(place), Flow { to: address, from: None, enters: None }), Found::Local(_))
    }

    /// Notes something odd, once.
    pub(super) fn note(&mut self, cause: Cause) {
        if !self.notes.contains(&cause) {
            self.notes.push(cause);
        }
    }

    /// What is odd about the MAC address of a frame.
    pub(super) fn note_mac(&mut self, mac: Mac) {
        if let Some(cause) = self.map.shared(mac) {
            self.note(cause);
        }
    }
}
