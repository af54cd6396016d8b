//! Whom a word of the command line means, for a node that sends.

use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use super::stations::{self, Station, Stations};
use crate::error::{Error, Result, Takes, Thing, Usage};
use crate::lab::{Entry, resolve};
use crate::report::ping::Family;

/// Whom to send to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Goal {
    /// The address.
    pub address: IpAddr,
    /// The index of the sender's interface, for a link-local address; else 0.
    pub scope: u32,
    /// Further addresses that the word could have meant.
    pub others: Vec<IpAddr>,
}

impl Goal {
    /// The address with its interface; the port means nothing.
    pub fn socket_address(&self) -> SocketAddr {
        match self.address {
            IpAddr::V4(four) => (four, 9).into(),
            IpAddr::V6(six) => SocketAddrV6::new(six, 9, 0, self.scope).into(),
        }
    }
}

/// What `word` means for the sender: an address, `ADDRESS%INTERFACE`, a node or `NODE.INTERFACE` of the same lab, by one of these
/// families; of several addresses of a node the one that is reached best.
///
/// # Errors
/// When it names nothing, or has no address of the families.
pub fn goal(word: &str, families: &[Family], from: &Station, stations: &Stations, entry: &Entry) -> Result<Goal> {
    let (bare, interface) = word.split_once('%').map_or((word, None), |(bare, interface)| (bare, Some(interface)));
    if let Ok(address) = bare.parse::<IpAddr>() {
        check(address, families)?;
        return Ok(Goal { address, scope: scope(address, interface, from)?, others: Vec::new() });
    }
    if word.starts_with(|first: char| first.is_ascii_digit()) || word.contains("::") {
        return Err(Error::Usage(Usage::NotAnAddress(word.to_owned())));
    }
    let (node, interface) = resolve::parts(word);
    let id = resolve::anywhere(node, entry)?;
    let to = stations.get(&id)?;
    if let Some(interface) = interface.filter(|interface| to.index(interface).is_none()) {
        let dotted = resolve::dotted(word, std::slice::from_ref(entry));
        return Err(dotted.unwrap_or_else(|| no_interface(interface, to)));
    }
    let mut candidates: Vec<IpAddr> = Vec::new();
    for family in families {
        let here = to.reachable(*family).filter(|(name, _)| interface.is_none_or(|interface| interface == *name));
        candidates.extend(here.map(|(_, net)| net.addr()));
    }
    let version = if let [only] = families { Some(if *only == Family::Ipv4 { 4 } else { 6 }) } else { None };
    let address = stations::best(from, &candidates)?;
    let address = address.ok_or_else(|| Error::Usage(Usage::NoAddress(word.to_owned(), version)))?;
    let others = candidates.into_iter().filter(|other| *other != address).collect();
    Ok(Goal { address, scope: 0, others })
}

fn check(address: IpAddr, families: &[Family]) -> Result<()> {
    match families {
        [Family::Ipv4] if address.is_ipv6() => Err(Error::Usage(Usage::Option("-4", Takes::Ipv4))),
        [Family::Ipv6] if address.is_ipv4() => Err(Error::Usage(Usage::Option("-6", Takes::Ipv6))),
        _ => Ok(()),
    }
}

/// The interface that a link-local address needs; 0 for any other address.
fn scope(address: IpAddr, interface: Option<&str>, from: &Station) -> Result<u32> {
    match (interface, from.interfaces.as_slice()) {
        (Some(interface), _) => from.index(interface).ok_or_else(|| no_interface(interface, from)),
        (None, _) if !stations::is_link_local(address) => Ok(0),
        (None, [(_, only)]) => Ok(*only),
        _ => Err(Error::Usage(Usage::NeedsInterface(address.to_string()))),
    }
}

fn no_interface(word: &str, node: &Station) -> Error {
    let names = node.interfaces.iter().map(|(name, _)| name.clone()).collect();
    Error::Unknown { what: Thing::Interface, word: word.to_owned(), candidates: resolve::near(word, names) }
}
