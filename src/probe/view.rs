//! The lab as it is now: the tables of every node, and who owns which address.

mod far;
pub(in crate::probe) mod paper;
mod state;

use std::collections::HashSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::error::{Error, KernelError, Result};
use crate::kernel::inspect::{self, Pin};
use crate::kernel::observe;
use crate::kernel::tables::{self, Tables};
use crate::lab::{self, Entry, paths, resolve};
use crate::name::{IfName, LabName, Mac};
use crate::plan::{Key, NodeId, Ns, Port, State};
use crate::report::node::{Kind, Link, Node};
use crate::report::wire::Interface;

/// A node and what is in it.
#[derive(Debug)]
pub struct Place {
    /// Which; a namespace that somebody made by hand in a host counts as a container of that host.
    pub id: NodeId,
    /// Its namespace.
    pub pin: PathBuf,
    /// Somebody made it inside a host: the lab does not know its name.
    pub by_hand: bool,
    /// It is on another machine: what it looks like is what the file says.
    pub far: bool,
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
        Error::Kernel(KernelError { node: Some(self.id.to_string()), tried, errno: errno as i32, said: None })
    }

    /// The interface of that index.
    pub fn link(&self, index: u32) -> Option<&Link> {
        self.node.links.iter().find(|link| link.index == index)
    }
}

/// A look at a whole lab.
#[derive(Debug)]
pub struct View {
    /// The lab.
    pub lab: LabName,
    /// Its nodes, switches first, each host before its containers.
    pub places: Vec<Place>,
    /// What its topology says of it; nothing where its journal could not be read.
    pub described: State,
    /// It is not the only lab that is up: a node is to be named with its lab.
    pub several: bool,
}

impl View {
    /// Looks at every node of a lab that is up.
    ///
    /// # Errors
    /// When a namespace of it is gone or cannot be entered.
    pub fn look(entry: &Entry) -> Result<Self> {
        Self::of(entry.lab.clone(), pins(entry))
    }

    /// Looks at those nodes of a lab whose namespaces are there; the others are named beside.
    ///
    /// # Errors
    /// When a namespace cannot be entered.
    pub fn living(entry: &Entry) -> Result<(Self, Vec<NodeId>)> {
        let (here, gone): (Vec<_>, Vec<_>) = pins(entry).into_iter().partition(|(_, pin)| observe::is_namespace(pin));
        Ok((Self::of(entry.lab.clone(), here)?, gone.into_iter().map(|(id, _)| id).collect()))
    }

    fn of(lab: LabName, pins: Vec<(NodeId, PathBuf)>) -> Result<Self> {
        let others: Vec<Pin> = pins.iter().map(|(id, path)| Pin { node: id.to_string(), path: path.clone() }).collect();
        let mut places = Vec::with_capacity(pins.len());
        for ((id, pin), tables) in pins.into_iter().zip(inspect::look(&others)?) {
            let mut node = inspect::report(&tables);
            node.lab = lab.to_string();
            node.node = id.to_string();
            node.kind = kind(&id);
            let by_hand = pin != paths::netns_path(&lab, &id);
            places.push(Place { id, pin, by_hand, far: false, node, tables });
        }
        let described = match lab::load(&lab) {
            Ok(journal) => far::join(&journal, &mut places),
            Err(_) => State::new(),
        };
        let several = lab::names().len() > 1;
        Ok(Self { lab, places, described, several })
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

    /// The nodes on this machine.
    pub fn here(&self) -> impl Iterator<Item = &Place> {
        self.places.iter().filter(|place| !place.far)
    }

    /// Whether the node is on another machine.
    pub fn is_far(&self, id: &NodeId) -> bool {
        self.place(id).is_some_and(|place| place.far)
    }

    /// The interfaces of a node that the lab's cables lead to, with their bridges and what else is in those: of the machine that
    /// plays a host, all that is the lab's.
    pub fn cabled(&self, place: &Place) -> HashSet<u32> {
        let links = &place.tables.links;
        let nodes: HashSet<&str> = self.places.iter().map(|place| place.node.node.as_str()).collect();
        let plugged = |link: &&tables::Link| {
            let far = link.peer.as_ref().and_then(|far| far.node.as_deref());
            far.is_some_and(|node| node != place.node.node && nodes.contains(node))
        };
        let port = |link: &tables::Link| Port { ns: Ns::Node(place.id.clone()), dev: IfName::observed(&link.name) };
        let described = |link: &tables::Link| self.described.contains_key(&Key::Link(port(link)));
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
            let leads_away =
                |far: &tables::Far| self.places.iter().any(|other| other.far && Some(&other.node.node) == far.node.as_ref());
            place.tables.links.iter().any(|link| link.peer.as_ref().is_some_and(leads_away))
        })?;
        let now = inspect::look(&[Pin { node: machine.node.node.clone(), path: machine.pin.clone() }]).ok()?;
        let addresses: Vec<IpAddr> =
            now.first()?.neighbours.iter().filter(|one| one.mac == Some(mac)).map(|one| one.address).collect();
        let far = self.places.iter().filter(|place| place.far);
        let owns = |link: &&Link| link.addresses.iter().any(|net| addresses.contains(&net.addr()));
        far.into_iter().find_map(|place| Some(place.interface(place.node.links.iter().find(owns)?)))
    }

    /// Every interface that has the IP address.
    pub fn owners_of_address(&self, address: IpAddr) -> Vec<Interface> {
        self.interfaces(|link| link.addresses.iter().any(|net| net.addr() == address))
    }

    fn interfaces(&self, wanted: impl Fn(&Link) -> bool) -> Vec<Interface> {
        let of = |place: &Place| -> Vec<Interface> {
            place.node.links.iter().filter(|link| wanted(link)).map(|link| place.interface(link)).collect()
        };
        self.places.iter().flat_map(of).collect()
    }
}

fn kind(id: &NodeId) -> Kind {
    match id {
        NodeId::Switch(_) => Kind::Switch,
        NodeId::Host(_) => Kind::Host,
        NodeId::Container(..) => Kind::Container,
    }
}

/// Every namespace of the lab, with those that somebody made inside its hosts.
pub fn pins(entry: &Entry) -> Vec<(NodeId, PathBuf)> {
    let lab = &entry.lab;
    let mut pins = Vec::new();
    for id in resolve::living(entry) {
        pins.push((id.clone(), paths::netns_path(lab, &id)));
        if let NodeId::Host(host) = &id {
            let by_hand = made_inside(&paths::lab(lab).join("run").join(host.as_str()).join("netns"));
            pins.extend(by_hand.into_iter().filter_map(|path| {
                let name = path.file_name()?.to_str()?.parse().ok()?;
                Some((NodeId::Container(host.clone(), name), path))
            }));
        }
    }
    pins
}

/// Namespaces under a host's own `/run/netns`; nslab's entries there are links.
fn made_inside(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let files = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    let mut found: Vec<PathBuf> = files.map(|entry| entry.path()).filter(|path| observe::is_namespace(path)).collect();
    found.sort();
    found
}
