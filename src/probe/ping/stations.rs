//! Who has which address, and which of them a ping goes to.

use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::path::PathBuf;

use ipnet::IpNet;

use crate::error::{Error, Result, Takes, Thing, Usage};
use crate::kernel::{inspect, sockets};
use crate::lab::{Entry, Subject, resolve};
use crate::plan::NodeId;
use crate::probe::is_link_local;
use crate::probe::view::View;
use crate::report::machine::Link;
use crate::report::probe::{Family, Party};
use crate::report::wire::{Interface, Names};

/// A node, its namespace and its addresses.
#[derive(Debug, Clone)]
pub struct Station {
    /// Which.
    pub id: NodeId,
    /// Its namespace.
    pub pin: PathBuf,
    /// It is on another machine: it can be sent to, and sends nothing that is seen here.
    pub remote: bool,
    /// Its interfaces with their indices, the loopback left out.
    pub interfaces: Vec<(String, u32)>,
    /// Their addresses.
    pub addresses: Vec<(String, IpNet)>,
}

/// The addresses of a whole lab, made by hand or not.
#[derive(Debug)]
pub struct Stations {
    /// Every node, switches first, each host before its containers.
    pub all: Vec<Station>,
    /// How they are typed.
    pub names: Names,
    /// Containers that have no namespace because they are stopped, as `host.container`.
    stopped: Vec<String>,
}

impl Station {
    /// Addresses that others can send to; link-local ones mean nothing without an interface.
    pub fn reachable(&self, family: Family) -> impl Iterator<Item = (&str, IpNet)> {
        let wanted = move |net: &IpNet| Family::from_address(net.addr()) == family && !is_link_local(net.addr());
        self.addresses.iter().filter(move |(_, net)| wanted(net)).map(|(name, net)| (name.as_str(), *net))
    }

    /// The index of an interface.
    pub fn index(&self, interface: &str) -> Option<u32> {
        self.interfaces.iter().find(|(name, _)| name == interface).map(|(_, index)| *index)
    }

    /// Whether the address is on one of the node's own segments.
    pub fn is_near(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|(_, net)| net.contains(&address))
    }
}

impl Stations {
    /// Asks every node of a lab that is up.
    ///
    /// # Errors
    /// When a namespace of it is gone or cannot be entered.
    pub fn look(subject: &Subject) -> Result<Self> {
        let entry = &subject.entry;
        if entry.role.is_some() {
            return Ok(Self::from_view(&View::look(subject)?, entry));
        }
        let pins: Vec<(NodeId, PathBuf)> = subject.nodes().into_iter().map(|one| (one.node, one.pin)).collect();
        let found = inspect::addresses(&pins)?;
        let station = |((id, pin), (interfaces, addresses))| Station { id, pin, remote: false, interfaces, addresses };
        let all = pins.into_iter().zip(found).map(station).collect();
        Ok(Self { all, names: names(entry), stopped: entry.stopped.clone() })
    }

    /// From what is known of a lab already.
    pub fn from_view(view: &View, entry: &Entry) -> Self {
        let all = view.places.iter().map(|place| {
            let own = entry.role.as_ref().filter(|role| **role == place.id.to_string()).map(|_| view.cabled(place));
            let counts = |link: &&Link| link.kind != "loopback" && own.as_ref().is_none_or(|own| own.contains(&link.index));
            let links = || place.node.links.iter().filter(counts);
            let addresses = |link: &Link| link.addresses.iter().map(|net| (link.name.clone(), *net)).collect::<Vec<_>>();
            Station {
                id: place.id.clone(),
                pin: place.pin.clone(),
                remote: place.remote,
                interfaces: links().map(|link| (link.name.clone(), link.index)).collect(),
                addresses: links().flat_map(addresses).collect(),
            }
        });
        Self { all: all.collect(), names: names(entry), stopped: entry.stopped.clone() }
    }

    /// Containers that are stopped, as `host.container`: they have no address.
    pub fn stopped(&self) -> &[String] {
        &self.stopped
    }

    /// A node of the lab.
    ///
    /// # Errors
    /// A stopped container; else `Internal`: whoever asks has the node from the same index.
    pub fn get(&self, id: &NodeId) -> Result<&Station> {
        resolve::running(&self.stopped, id)?;
        let found = self.all.iter().find(|station| station.id == *id);
        found.ok_or_else(|| Error::Internal(format!("{id} has no namespace")))
    }

    /// The address with the one interface that has it.
    pub fn party(&self, address: IpAddr) -> Party {
        let mut found = self.all.iter().flat_map(|station| {
            let here = station.addresses.iter().filter(move |(_, net)| net.addr() == address);
            here.map(|(name, _)| Interface { node: station.id.to_string(), interface: name.clone() })
        });
        let first = found.next();
        Party { address, owner: if found.next().is_some() { None } else { first } }
    }
}

fn names(entry: &Entry) -> Names {
    Names::new(resolve::shortest(entry).into_iter().map(|(node, word)| (node.to_string(), word)))
}

/// The address by which `from` best reaches a node that has `candidates`: of a family that can be reached, IPv4 before
/// IPv6, on a segment of its own before one behind a router; none where there is no candidate.
///
/// # Errors
/// When the namespace of `from` cannot be entered.
pub fn best(from: &Station, candidates: &[IpAddr]) -> Result<Option<IpAddr>> {
    let ends: Vec<SocketAddr> = candidates.iter().map(|address| SocketAddr::new(*address, 9)).collect();
    let sources = sockets::sources(&from.pin, &from.id.to_string(), &ends)?;
    let rank = |at: usize| {
        let address = candidates[at];
        (sources[at].is_err(), address.is_ipv6(), !from.is_near(address))
    };
    Ok((0..candidates.len()).min_by_key(|at| rank(*at)).map(|at| candidates[at]))
}

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
    // An address that the sender has itself leads to the sender.
    let is_own = |address: &IpAddr| id != from.id && from.addresses.iter().any(|(_, net)| net.addr() == *address);
    if let Some(own) = candidates.first().copied().filter(|_| candidates.iter().all(is_own)) {
        return Err(Error::Usage(Usage::OwnAddress(word.to_owned(), own.to_string())));
    }
    candidates.retain(|address| !is_own(address));
    let version = if let [only] = families { Some(if *only == Family::Ipv4 { 4 } else { 6 }) } else { None };
    let address = best(from, &candidates)?;
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
        (None, _) if !is_link_local(address) => Ok(0),
        (None, [(_, only)]) => Ok(*only),
        _ => Err(Error::Usage(Usage::NeedsInterface(address.to_string()))),
    }
}

fn no_interface(word: &str, node: &Station) -> Error {
    let names = node.interfaces.iter().map(|(name, _)| name.clone()).collect();
    Error::Unknown { what: Thing::Interface, word: word.to_owned(), candidates: resolve::near(word, names) }
}
