//! Names in a filter: nodes and interfaces of the lab.

use super::{Names, Owned};
use crate::error::{Error, FilterFault};
use crate::lab::{Entry, resolve};
use crate::name::Mac;
use crate::probe::view::{Place, View};

/// A lab that is up, and what is in it.
#[derive(Debug, Clone, Copy)]
pub struct Lab<'a> {
    /// Its names.
    pub entry: &'a Entry,
    /// Its nodes and their tables.
    pub view: &'a View,
}

impl Names for Lab<'_> {
    fn owned(&self, name: &str) -> Result<Owned, FilterFault> {
        let (word, interface) = resolve::parts(name);
        let place = self.place(word)?;
        let links = place.node.links.iter().filter(|link| link.kind != "loopback");
        let mut owned = Owned::default();
        let mut known = Vec::new();
        for link in links {
            known.push(link.name.clone());
            if interface.is_none_or(|interface| interface == link.name) {
                owned.addresses.extend(link.addresses.iter().map(ipnet::IpNet::addr));
                owned.macs.extend(link.mac.as_ref().and_then(|mac| mac.parse::<Mac>().ok()));
            }
        }
        owned.macs.sort_unstable();
        owned.macs.dedup();
        match interface {
            Some(interface) if !known.iter().any(|name| name == interface) => {
                let candidates = resolve::near(interface, known);
                Err(FilterFault::NoInterface(candidates.into_iter().map(|name| format!("{word}.{name}")).collect()))
            }
            _ => Ok(owned),
        }
    }
}

impl Lab<'_> {
    fn place(&self, word: &str) -> Result<&Place, FilterFault> {
        let none = || FilterFault::NoNode(Vec::new());
        // Namespaces made by hand are in the view alone.
        if let Some(place) = self.view.places.iter().find(|place| resolve::word(&place.id) == word) {
            return Ok(place);
        }
        match resolve::node(word, std::slice::from_ref(self.entry), None) {
            Ok(target) => self.view.place(&target.node).ok_or_else(none),
            Err(Error::Ambiguous { candidates, .. }) => Err(FilterFault::Ambiguous(candidates)),
            Err(Error::Unknown { candidates, .. }) => Err(FilterFault::NoNode(candidates)),
            Err(_) => Err(none()),
        }
    }
}
