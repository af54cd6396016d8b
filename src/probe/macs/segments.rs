//! The networks between the hosts of a lab, and where to listen to them.

use std::path::PathBuf;

use crate::error::{Error, Result, Thing};
use crate::lab::resolve;
use crate::name::Mac;
use crate::plan::NodeId;
use crate::probe::view::{Place, View};
use crate::report::macs::Kind;
use crate::report::wire::Interface;
use crate::topology::{Network, Topology};

/// A network between hosts.
#[derive(Debug, Clone)]
pub struct Segment {
    /// Its name.
    pub network: String,
    /// What it is.
    pub kind: Kind,
    /// Where it is heard.
    pub pin: PathBuf,
    /// The interface there, of a wire; a switch is heard at all of its ports.
    pub on: Option<u32>,
    /// The hosts' ends of it.
    pub sides: Vec<Side>,
}

/// An end of a network.
#[derive(Debug, Clone)]
pub struct Side {
    /// The host's interface.
    pub end: Interface,
    /// The port of the switch that it is plugged into: index and name.
    pub port: Option<(u32, String)>,
}

impl Segment {
    /// From which side a frame comes that was seen at an interface where it came in, or went out; none where it comes
    /// from no host, since it is seen a second time as it leaves.
    pub fn side(&self, interface: u32, outgoing: bool) -> Option<usize> {
        match self.kind {
            // Heard at the first end: what goes out there was sent there.
            Kind::Wire => Some(usize::from(!outgoing)),
            Kind::Switch if outgoing => None,
            Kind::Switch => self.sides.iter().position(|side| side.port.as_ref().is_some_and(|(index, _)| *index == interface)),
        }
    }
}

/// That a topology has the network that is wanted.
///
/// # Errors
/// `Unknown` with the networks that are.
pub fn known(topology: &Topology, wanted: Option<&str>) -> Result<()> {
    match wanted.filter(|word| !topology.networks.iter().any(|network| network.name.as_str() == *word)) {
        None => Ok(()),
        Some(word) => {
            let names = topology.networks.iter().map(|network| network.name.to_string()).collect();
            let candidates = resolve::near(word, names);
            Err(Error::Unknown { what: Thing::Network, word: word.to_owned(), candidates })
        }
    }
}

/// The networks of a lab, or the one that is wanted; one whose ends somebody has removed is left out.
pub fn segments(topology: &Topology, view: &View, wanted: Option<&str>) -> Vec<Segment> {
    let chosen = topology.networks.iter().filter(|network| wanted.is_none_or(|word| network.name.as_str() == word));
    let segment = |network: &Network| match view.place(&NodeId::Switch(network.name.clone())) {
        _ if topology.is_wire(network) => wire(topology, view, network),
        Some(place) if place.far => cable(topology, view, network, place),
        _ => switch(topology, view, network),
    };
    chosen.filter_map(segment).collect()
}

/// The ends as the hosts have them now; one that somebody removed is left out.
fn ends<'a>(topology: &'a Topology, view: &'a View, network: &'a Network) -> impl Iterator<Item = (&'a Place, u32, Interface)> {
    topology.ends(&network.name).filter_map(move |(host, nic)| {
        let place = view.place(&NodeId::Host(host.name.clone()))?;
        let link = place.tables.links.iter().find(|link| link.name == nic.name.as_str())?;
        Some((place, link.index, Interface { node: place.id.to_string(), interface: link.name.clone() }))
    })
}

fn wire(topology: &Topology, view: &View, network: &Network) -> Option<Segment> {
    let mut found: Vec<_> = ends(topology, view, network).collect();
    // It is heard on this machine.
    found.sort_by_key(|(place, ..)| place.far);
    let mut found = found.into_iter();
    let ((place, index, end), (_, _, other)) = (found.next().filter(|(place, ..)| !place.far)?, found.next()?);
    let sides = [end, other].map(|end| Side { end, port: None }).to_vec();
    Some(Segment { network: network.name.to_string(), kind: Kind::Wire, pin: place.pin.clone(), on: Some(index), sides })
}

/// A real network with several machines: it is heard at this machine's NIC, and whatever comes from there comes from the switch.
fn cable(topology: &Topology, view: &View, network: &Network, switch: &Place) -> Option<Segment> {
    let (place, index, end) = ends(topology, view, network).find(|(place, ..)| !place.far)?;
    let peer = place.node.links.iter().find(|link| link.name == end.interface)?.peer.as_ref()?;
    let port = Interface { node: switch.node.node.clone(), interface: peer.name.clone()? };
    let sides = [end, port].map(|end| Side { end, port: None }).to_vec();
    Some(Segment { network: network.name.to_string(), kind: Kind::Wire, pin: place.pin.clone(), on: Some(index), sides })
}

fn switch(topology: &Topology, view: &View, network: &Network) -> Option<Segment> {
    let place = view.place(&NodeId::Switch(network.name.clone()))?;
    let port = |end: &Interface| {
        let is_end = |far: &crate::kernel::tables::Far| {
            far.node.as_deref() == Some(end.node.as_str()) && far.name.as_deref() == Some(end.interface.as_str())
        };
        let link = place.tables.links.iter().find(|link| link.peer.as_ref().is_some_and(is_end))?;
        Some((link.index, link.name.clone()))
    };
    let sides = ends(topology, view, network).map(|(_, _, end)| Side { port: port(&end), end }).collect();
    Some(Segment { network: network.name.to_string(), kind: Kind::Switch, pin: place.pin.clone(), on: None, sides })
}

/// The entries of a switch's forwarding table that frames have made or somebody has told: port, MAC, its age.
pub fn learned(view: &View, network: &str) -> Vec<(String, Mac, Option<std::time::Duration>)> {
    let is_it = |place: &&Place| matches!(&place.id, NodeId::Switch(name) if name.as_str() == network);
    let Some(place) = view.places.iter().find(is_it) else { return Vec::new() };
    let of = |entry: &crate::kernel::tables::Fdb| {
        let port = place.tables.link(entry.port)?.name.clone();
        let told = entry.mac.is_unicast() && (!entry.own || entry.fixed);
        told.then_some((port, entry.mac, entry.age.filter(|_| !entry.fixed)))
    };
    let mut found: Vec<_> = place.tables.fdb.iter().filter_map(of).collect();
    found.sort();
    found.dedup();
    found
}
