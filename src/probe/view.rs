//! The lab as it is now: the tables of every node, and who owns which address.

pub(in crate::probe) mod facts;

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;

use nix::errno::Errno;

use crate::error::{Error, Result};
use crate::kernel::inspect::{self, Pin};
use crate::kernel::netns;
use crate::kernel::tables::{self, Tables};
use crate::lab::resolve::{Netns, Prompt, Subject};
use crate::name::{IfName, LabName, Mac};
use crate::plan::{Fact, NodeId, Ns, Port, Slot, State};
use crate::report::machine::{Kind, Link, Node};
use crate::report::wire::Interface;

/// What is known of something that is looked at: what nobody could look at is not what is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looked<T> {
    /// It was seen.
    Known(T),
    /// Nobody could look.
    NotKnown,
    /// It was looked for, and is not there.
    Absent,
}

impl<T> Looked<T> {
    /// What was seen; none where nobody could look, and where nothing is.
    pub fn known(self) -> Option<T> {
        match self {
            Self::Known(seen) => Some(seen),
            Self::NotKnown | Self::Absent => None,
        }
    }

    /// Whether nobody could look.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::NotKnown)
    }

    /// The same by reference.
    pub fn as_ref(&self) -> Looked<&T> {
        match self {
            Self::Known(seen) => Looked::Known(seen),
            Self::NotKnown => Looked::NotKnown,
            Self::Absent => Looked::Absent,
        }
    }
}

/// Bridges that LXD, Incus, Docker and libvirt make, with NAT and DHCP of their own.
const MANAGED: [&str; 4] = ["lxdbr", "incusbr", "docker", "virbr"];

/// Whether the name of a bridge is one that a container manager gives.
pub fn is_managed(bridge: &str) -> bool {
    MANAGED.iter().any(|prefix| bridge.starts_with(prefix))
}

/// A node and what is in it.
#[derive(Debug, Clone)]
pub struct Place {
    /// Which; a namespace that somebody made by hand in a host counts as a container of that host.
    pub id: NodeId,
    /// Its namespace.
    pub pin: PathBuf,
    /// Somebody made it inside a host: the lab does not know its name.
    pub by_hand: bool,
    /// It is on another machine, where nobody has looked: what is in it is what the file says. A packet is followed through it
    /// so, but nothing is concluded from it: see [`View::is_unseen`].
    pub remote: bool,
    /// What is in it, as `show` tells.
    pub node: Node,
    /// What the kernel decides by there.
    pub tables: Tables,
}

impl Place {
    /// One of its interfaces.
    pub fn interface(&self, link: &Link) -> Interface {
        Interface { node: self.id.to_string(), interface: link.name.clone() }
    }

    /// That something was refused in its namespace.
    pub fn refused(&self, tried: String, errno: Errno) -> Error {
        Error::kernel(self.id.to_string().as_str(), tried, errno)
    }

    /// The interface of that name.
    pub fn named(&self, name: &str) -> Option<&Link> {
        self.node.links.iter().find(|link| link.name == name)
    }
}

/// A look at a whole lab.
#[derive(Debug)]
pub struct View {
    /// The lab.
    pub lab: LabName,
    /// Its nodes, switches first, each host before its containers.
    pub places: Vec<Place>,
    /// Nodes that it should have and whose namespaces are gone.
    pub absent: Vec<NodeId>,
    /// What its topology says of it; not known where its journal could not be read.
    pub described: Looked<Arc<State>>,
    /// What its own topology says where another one judges it, which is not made again and yet not to go.
    pub kept: Vec<Fact>,
    /// How commands are typed for its nodes.
    pub prompt: Prompt,
}

impl View {
    /// Looks at every node.
    ///
    /// # Errors
    /// When a namespace is gone or cannot be entered.
    pub fn look(subject: &Subject) -> Result<Self> {
        Self::look_at(subject, subject.nodes(), Vec::new())
    }

    /// Looks at those nodes whose namespaces are there; the others are absent.
    ///
    /// # Errors
    /// When a namespace cannot be entered.
    pub fn living(subject: &Subject) -> Result<Self> {
        let (here, gone): (Vec<_>, Vec<_>) = subject.nodes().into_iter().partition(|one| netns::is_namespace(&one.pin));
        Self::look_at(subject, here, gone.into_iter().map(|one| one.node).collect())
    }

    fn look_at(subject: &Subject, nodes: Vec<Netns>, absent: Vec<NodeId>) -> Result<Self> {
        let lab = subject.entry.lab.clone();
        let pins: Vec<Pin> = nodes.iter().map(|one| Pin { node: one.node.to_string(), path: one.pin.clone() }).collect();
        let mut places = Vec::with_capacity(nodes.len());
        for (Netns { node: id, pin, by_hand }, tables) in nodes.into_iter().zip(inspect::look(&pins)?) {
            let mut node = tables::report(&tables);
            node.lab = lab.to_string();
            node.node = id.to_string();
            node.kind = Kind::from_node(&id);
            places.push(Place { id, pin, by_hand, remote: false, node, tables });
        }
        // Where the journal is damaged what is there can be looked at all the same.
        let described =
            subject.journal().map_or(Looked::NotKnown, |journal| Looked::Known(Arc::new(facts::join(journal, &mut places))));
        Ok(Self { lab, places, absent, described, kept: Vec::new(), prompt: subject.prompt.clone() })
    }

    /// Reads what costs more than the tables, of those nodes of which it is not known yet: `/proc/sys`, packet filters.
    ///
    /// # Errors
    /// When a namespace is gone or cannot be entered.
    pub fn read_settings(&mut self, nodes: &[String]) -> Result<()> {
        let wanted = |place: &&mut Place| place.tables.settings.is_none() && nodes.contains(&place.node.node);
        let mut places: Vec<&mut Place> = self.places.iter_mut().filter(wanted).collect();
        let pins: Vec<Pin> = places.iter().map(|place| Pin { node: place.node.node.clone(), path: place.pin.clone() }).collect();
        for (place, settings) in places.iter_mut().zip(inspect::settings(&pins)?) {
            place.tables.settings = Some(settings);
        }
        Ok(())
    }

    /// Asks nodes for what routers have told them of the ways to addresses, as far as it is not known yet.
    ///
    /// # Errors
    /// When a namespace is gone or cannot be entered.
    pub fn read_redirects(&mut self, ways: &[(String, IpAddr)]) -> Result<()> {
        let mut asked: Vec<(&mut Place, Vec<Ipv4Addr>)> = Vec::new();
        for place in self.places.iter_mut().filter(|place| !place.remote) {
            let known = |to: IpAddr| place.tables.redirects.iter().any(|(other, _)| *other == to);
            let own = ways.iter().filter(|(node, to)| *node == place.node.node && !known(*to));
            let to: Vec<Ipv4Addr> = own.filter_map(|(_, to)| if let IpAddr::V4(to) = to { Some(*to) } else { None }).collect();
            if !to.is_empty() {
                asked.push((place, to));
            }
        }
        let pin = |place: &Place| Pin { node: place.node.node.clone(), path: place.pin.clone() };
        let pins: Vec<(Pin, Vec<Ipv4Addr>)> = asked.iter().map(|(place, to)| (pin(place), to.clone())).collect();
        for ((place, _), redirects) in asked.into_iter().zip(inspect::redirects(&pins)?) {
            place.tables.redirects.extend(redirects);
        }
        Ok(())
    }

    /// The same lab with these nodes in place of its own.
    pub(crate) fn with(&self, places: Vec<Place>) -> Self {
        let (lab, absent, prompt) = (self.lab.clone(), self.absent.clone(), self.prompt.clone());
        Self { lab, places, absent, described: self.described.clone(), kept: self.kept.clone(), prompt }
    }

    /// The nodes on this machine.
    pub fn here(&self) -> impl Iterator<Item = &Place> {
        self.places.iter().filter(|place| !place.remote)
    }

    /// The node of that name, `host` or `host.container`.
    pub fn named(&self, node: &str) -> Option<&Place> {
        self.places.iter().find(|place| place.node.node == node)
    }

    /// An interface.
    pub fn interface(&self, interface: &Interface) -> Option<&Link> {
        self.named(&interface.node)?.named(&interface.interface)
    }

    /// Whether the node, `host` or `host.container`, is where nobody has looked.
    pub fn is_unseen(&self, node: &str) -> bool {
        self.named(node).is_some_and(|place| place.remote)
    }

    /// What the topology says of the lab, fact by fact; nothing where that is not known.
    pub fn described(&self) -> impl Iterator<Item = &Fact> {
        self.described.as_ref().known().into_iter().flat_map(|state| state.iter())
    }

    /// Whether the node is on another machine.
    pub fn is_remote(&self, id: &NodeId) -> bool {
        self.place(id).is_some_and(|place| place.remote)
    }

    /// The interfaces of a node that the lab's cables lead to, with their bridges and what else is in those: of the machine that
    /// plays a host, all that is the lab's.
    pub fn cabled(&self, place: &Place) -> HashSet<u32> {
        let links = &place.tables.links;
        let nodes: HashSet<&str> = self.places.iter().map(|place| place.node.node.as_str()).collect();
        let plugged = |link: &&tables::Link| {
            let peer = link.peer.as_ref().and_then(|peer| peer.node.as_deref());
            peer.is_some_and(|node| node != place.node.node && nodes.contains(node))
        };
        let port = |link: &tables::Link| Port { ns: Ns::Node(place.id.clone()), dev: IfName::observed(&link.name) };
        let described =
            |link: &tables::Link| self.described.as_ref().known().is_some_and(|state| state.has(Slot::Link(&port(link))));
        let mut found: HashSet<u32> =
            links.iter().filter(|link| plugged(link) || described(link)).map(|link| link.index).collect();
        let bridges: HashSet<u32> =
            links.iter().filter(|link| found.contains(&link.index)).filter_map(|link| link.master).collect();
        found.extend(
            links.iter().filter(|link| link.master.is_some_and(|bridge| bridges.contains(&bridge))).map(|link| link.index),
        );
        found.extend(bridges);
        found
    }

    /// A node.
    pub fn place(&self, id: &NodeId) -> Option<&Place> {
        self.places.iter().find(|place| place.id == *id)
    }

    /// Every interface that has the MAC address; a bridge shares that of a port at times, and clones share theirs.
    pub fn owners_of_mac(&self, mac: Mac) -> Vec<Interface> {
        let mac = mac.to_string();
        self.interfaces(|link| link.mac.as_deref() == Some(mac.as_str()))
    }

    /// The NIC of a host on another machine that the MAC address is known to be of by now: nobody knew it before the first packet.
    pub fn learned_since(&self, mac: Mac) -> Option<Interface> {
        let machine = self.here().find(|place| {
            let leads_away = |peer: &tables::VethPeer| {
                self.places.iter().any(|other| other.remote && Some(&other.node.node) == peer.node.as_ref())
            };
            place.tables.links.iter().any(|link| link.peer.as_ref().is_some_and(leads_away))
        })?;
        let now = inspect::look(&[Pin { node: machine.node.node.clone(), path: machine.pin.clone() }]).ok()?;
        let addresses: Vec<IpAddr> =
            now.first()?.neighbours.iter().filter(|one| one.mac == Some(mac)).map(|one| one.address).collect();
        let remote = self.places.iter().filter(|place| place.remote);
        let owns = |link: &&Link| link.addresses.iter().any(|net| addresses.contains(&net.addr()));
        remote.into_iter().find_map(|place| Some(place.interface(place.node.links.iter().find(owns)?)))
    }

    /// Every interface that has the IP address.
    pub fn owners_of_address(&self, address: IpAddr) -> Vec<Interface> {
        self.interfaces(|link| link.addresses.iter().any(|net| net.addr() == address))
    }

    fn interfaces(&self, wanted: impl Fn(&Link) -> bool) -> Vec<Interface> {
        let found = |place: &Place| -> Vec<Interface> {
            place.node.links.iter().filter(|link| wanted(link)).map(|link| place.interface(link)).collect()
        };
        self.places.iter().flat_map(found).collect()
    }
}
