//! Points of a lab to listen at: nodes, interfaces, networks, or everything; as they are typed before a filter.

use std::collections::HashSet;
use std::path::PathBuf;

use ipnet::IpNet;

use crate::error::{Error, FilterFault, Result, Thing, Usage};
use crate::lab::{Entry, resolve};
use crate::name::{Mac, NodeName};
use crate::plan::NodeId;
use crate::probe::filter::{self, KEYWORDS, Owned};
use crate::probe::view::{Place, View};
use crate::report::machine::{Kind, Link, Peer};
use crate::report::wire::{Interface, Names};
use crate::topology::{Network, Topology, nearest};

/// The word for every cable of the lab.
pub const ALL: &str = "all";

/// An interface to listen at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    /// As it is typed: `a1.eth0`, or the network.
    pub name: String,
    /// The interface.
    pub interface: Interface,
    /// Its index.
    pub index: u32,
    /// The pin of its node.
    pub pin: PathBuf,
    /// Of a wire between hosts: the host at this end, the one at the other; of a switch's port: the switch, the host.
    pub ends: Option<(String, String)>,
    /// What it is, for files.
    pub description: String,
    /// Its MAC address.
    pub mac: Option<Mac>,
    /// Whether it is a bridge's own interface.
    pub bridge: Bridge,
}

/// Whether a point is a bridge's own interface, and how much of it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bridge {
    /// It is none.
    No,
    /// What is for its node.
    Own,
    /// All that passes it: it was asked for by name.
    Whole,
}

/// A lab that is up.
#[derive(Debug, Clone, Copy)]
pub struct Lab<'a> {
    /// Its names.
    pub entry: &'a Entry,
    /// What is in it.
    pub view: &'a View,
    /// What it was made from.
    pub topology: &'a Topology,
    /// How its nodes are typed.
    pub names: &'a Names,
}

impl Lab<'_> {
    /// The points that the words name, each once.
    ///
    /// # Errors
    /// [`Error::Unknown`] and [`Error::Ambiguous`] with what could be meant.
    pub fn points(&self, words: &[String]) -> Result<Vec<Point>> {
        let mut points: Vec<Point> = Vec::new();
        for word in words {
            points.extend(self.named(word)?);
        }
        let mut seen = HashSet::new();
        points.retain(|point| seen.insert(point.interface.clone()));
        Ok(points)
    }

    fn named(&self, typed: &str) -> Result<Vec<Point>> {
        let word = typed.strip_prefix(self.entry.lab.as_str()).and_then(|rest| rest.strip_prefix('/')).unwrap_or(typed);
        if word == ALL {
            return Ok(self.all());
        }
        if let Some(wire) = self.wires().find(|network| network.name.as_str() == word) {
            return self.wire(wire).map(|point| vec![point]);
        }
        let (node, interface) = resolve::parts(word);
        let place = self.place(node, typed)?;
        if let Some(interface) = interface {
            return self.interface(place, interface, typed).map(|point| vec![point]);
        }
        let links = place.node.links.iter().filter(|link| link.mac.is_some() && link.kind != "loopback");
        // What passes a switch passes its ports.
        let links = links.filter(|link| place.node.kind != Kind::Switch || link.bridge.is_some());
        Ok(links.map(|link| self.point(place, link)).collect())
    }

    /// The node that a word names, if it is up.
    fn find(&self, word: &str) -> Result<Option<&Place>> {
        // Namespaces made by hand are in the view alone.
        if let Some(place) = self.view.places.iter().find(|place| resolve::word(&place.id) == word) {
            return Ok(Some(place));
        }
        resolve::node(word, std::slice::from_ref(self.entry), None).map(|target| self.view.place(&target.node))
    }

    fn place(&self, word: &str, typed: &str) -> Result<&Place> {
        let gone = || Error::Unknown { what: Thing::Node, word: typed.to_owned(), candidates: Vec::new() };
        match self.find(word) {
            Ok(place) => place.ok_or_else(gone),
            Err(Error::Unknown { .. }) => Err(self.unknown(typed)),
            Err(error) => Err(error),
        }
    }

    fn unknown(&self, typed: &str) -> Error {
        if let Some(error) = resolve::dotted(typed, std::slice::from_ref(self.entry)) {
            return error;
        }
        let nodes = resolve::shortest(self.entry).into_iter().map(|(_, word)| word);
        let wires = self.wires().map(|network| network.name.to_string());
        let words: Vec<String> = wires.chain(nodes).chain([ALL.to_owned()]).collect();
        // A slip in the first word of a filter makes it a point.
        let near = nearest(typed, words.iter().map(String::as_str)).or_else(|| nearest(typed, KEYWORDS));
        Error::Unknown { what: Thing::Point, word: typed.to_owned(), candidates: near.map_or(words, |word| vec![word]) }
    }

    fn interface(&self, place: &Place, interface: &str, typed: &str) -> Result<Point> {
        let Some(link) = place.named(interface) else {
            let names = place.node.links.iter().map(|link| link.name.clone()).collect();
            let candidates = resolve::near(interface, names);
            let dotted = resolve::dotted(typed, std::slice::from_ref(self.entry));
            return Err(dotted.unwrap_or(Error::Unknown { what: Thing::Interface, word: typed.to_owned(), candidates }));
        };
        if link.mac.is_none() && link.kind != "loopback" {
            return Err(Error::Usage(Usage::NotEthernet(typed.to_owned())));
        }
        let mut point = self.point(place, link);
        if point.bridge == Bridge::Own {
            point.bridge = Bridge::Whole;
        }
        Ok(point)
    }

    fn point(&self, place: &Place, link: &Link) -> Point {
        let interface = place.interface(link);
        let peer = link.peer.as_ref().and_then(|peer| peer.node.as_deref()).filter(|_| place.node.kind == Kind::Switch);
        Point {
            name: self.names.interface(&interface),
            index: link.index,
            pin: place.pin.clone(),
            ends: peer.map(|peer| (self.names.node(&place.node.node), self.names.node(peer))),
            description: self.description(link),
            mac: link.mac.as_ref().and_then(|mac| mac.parse().ok()),
            bridge: if link.kind == "bridge" { Bridge::Own } else { Bridge::No },
            interface,
        }
    }

    fn description(&self, link: &Link) -> String {
        let mut parts = vec![link.kind.clone()];
        if let Some(Peer { node: Some(node), name: Some(name) }) = &link.peer {
            let peer = Interface { node: node.clone(), interface: name.clone() };
            parts.push(format!("other end {}", self.names.interface(&peer)));
        }
        parts.extend(link.bridge.as_ref().map(|bridge| format!("port of {bridge}")));
        parts.extend(link.addresses.iter().map(ToString::to_string));
        parts.push(format!("lab {}", self.entry.lab));
        parts.join(", ")
    }

    /// Networks that are one cable between two hosts.
    fn wires(&self) -> impl Iterator<Item = &Network> {
        self.topology.networks.iter().filter(|network| self.topology.is_wire(network))
    }

    /// One end of a wire sees what the other sees.
    fn wire(&self, network: &Network) -> Result<Point> {
        let ends: Vec<(&NodeName, &str)> =
            self.topology.ends(&network.name).map(|(host, nic)| (&host.name, nic.name.as_str())).collect();
        let at = |here: usize| {
            let (host, nic) = ends.get(here)?;
            let (other, _) = ends.get(1 - here)?;
            let place = self.view.place(&NodeId::Host((*host).clone()))?;
            let link = place.named(nic)?;
            let mut point = self.point(place, link);
            point.name = network.name.to_string();
            point.ends = Some((host.to_string(), other.to_string()));
            point.description = format!("wire between {host} and {other}, at {host}.{nic}, lab {}", self.entry.lab);
            Some(point)
        };
        at(0).or_else(|| at(1)).ok_or_else(|| Error::Unknown {
            what: Thing::Interface,
            word: ends.first().map(|(host, nic)| format!("{host}.{nic}")).unwrap_or_default(),
            candidates: Vec::new(),
        })
    }

    /// Every cable once: of a pair of interfaces the container's end, or the network. A bridge's own interface is left out,
    /// since what it sees passes a cable, too.
    fn all(&self) -> Vec<Point> {
        let mut points: Vec<Point> = self.wires().filter_map(|network| self.wire(network).ok()).collect();
        let mut known: HashSet<Interface> = points.iter().map(|point| point.interface.clone()).collect();
        let containers_first = |place: &&Place| match place.node.kind {
            Kind::Container => 0,
            Kind::Host => 1,
            Kind::Switch => 2,
        };
        for point in &points {
            known.extend(self.peer(&point.interface));
        }
        let mut places: Vec<&Place> = self.view.places.iter().collect();
        places.sort_by_key(containers_first);
        for place in places {
            let wanted = |link: &&Link| link.mac.is_some() && !["loopback", "bridge"].contains(&link.kind.as_str());
            for link in place.node.links.iter().filter(wanted) {
                let here = place.interface(link);
                if known.insert(here.clone()) {
                    known.extend(self.peer(&here));
                    points.push(self.point(place, link));
                }
            }
        }
        points
    }

    /// The other end of a pair.
    fn peer(&self, interface: &Interface) -> Option<Interface> {
        let peer = self.view.interface(interface)?.peer.as_ref()?;
        let node = peer.node.clone().unwrap_or_else(|| interface.node.clone());
        Some(Interface { node, interface: peer.name.clone()? })
    }
}

impl filter::Names for Lab<'_> {
    fn owned(&self, name: &str) -> std::result::Result<Owned, FilterFault> {
        let (word, interface) = resolve::parts(name);
        let place = match self.find(word) {
            Ok(place) => place.ok_or(FilterFault::NoNode(Vec::new()))?,
            Err(Error::Ambiguous { candidates, .. }) => return Err(FilterFault::Ambiguous(candidates)),
            Err(Error::Unknown { candidates, .. }) => return Err(FilterFault::NoNode(candidates)),
            Err(_) => return Err(FilterFault::NoNode(Vec::new())),
        };
        let links = place.node.links.iter().filter(|link| link.kind != "loopback");
        let mut owned = Owned::default();
        let mut known = Vec::new();
        for link in links {
            known.push(link.name.clone());
            if interface.is_none_or(|interface| interface == link.name) {
                owned.addresses.extend(link.addresses.iter().map(IpNet::addr));
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

/// Splits the words where the filter begins: at the first that begins one.
///
/// Every word of the filter language is a word of its own there; a filter in quotation marks has blanks, which no name has.
pub fn split(words: &[String]) -> (&[String], &[String]) {
    words.split_at(words.iter().position(|word| begins_filter(word)).unwrap_or(words.len()))
}

/// Whether a filter begins with the word, wherever it stands.
pub fn begins_filter(word: &str) -> bool {
    KEYWORDS.contains(&word) || word.starts_with(['(', '!']) || word.contains(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_begins_at_its_first_word() {
        let split = |text: &str| {
            let words: Vec<String> = text.split('|').map(str::to_owned).collect();
            let (points, filter) = split(&words);
            format!("{} / {}", points.join(" "), filter.join(" "))
        };
        assert_eq!(split("a1|b1.eth0"), "a1 b1.eth0 / ");
        assert_eq!(split("all|icmp|and|host|a1"), "all / icmp and host a1");
        assert_eq!(split("a1|not|arp"), "a1 / not arp");
        assert_eq!(split("a1|!arp"), "a1 / !arp");
        assert_eq!(split("a1|(|arp|)"), "a1 / ( arp )");
        assert_eq!(split("internal|icmp and host a1"), "internal / icmp and host a1");
        assert_eq!(split("icmp"), " / icmp");
    }
}
