//! What is in the nodes' namespaces: links, addresses, routes, forwarding tables, neighbours.

pub mod peer;
mod read;
mod report;
mod settings;
mod traffic;

use std::fs::File;
use std::path::PathBuf;

use netlink_packet_route::link::LinkMessage;
use netlink_packet_route::neighbour::NeighbourMessage;
use netlink_packet_route::rule::RuleMessage;
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};

pub use report::report;
pub use traffic::{Traffic, traffic};

use super::settle::settle;
use super::socket::Netlink;
use super::tables::{Link, Settings, Tables};
use super::{fault, read as facts, space};
use crate::error::{Error, Limit, Result};
use crate::report::node::Node;

/// More threads than this only wait for the kernel's one lock on its network settings.
const THREADS: usize = 4;

/// A node of the lab and the pin of its namespace.
#[derive(Debug, Clone)]
pub struct Pin {
    /// The node, `host` or `host.container`.
    pub node: String,
    /// Its pin.
    pub path: PathBuf,
}

impl Pin {
    /// The host whose container it is.
    fn host(&self) -> Option<&str> {
        self.node.split_once('.').map(|(host, _)| host)
    }
}

/// Everything in the namespace of `here`; `others` are the nodes in which a veth's other end may be.
///
/// The lab and the kind of the node are left for the caller to fill in.
///
/// # Errors
/// When the pin cannot be entered or the kernel refuses an answer.
pub fn inspect(here: &Pin, others: &[Pin]) -> Result<Node> {
    let look = || -> Result<Node> {
        let mut socket = enter(here)?;
        let mut tables = tables(&mut socket).map_err(|(tried, errno)| failed(here, tried, errno))?;
        let nodes = peer::nodes(&mut socket, &tables.links, others);
        peer::place(&mut tables.links, &here.node, &nodes);
        for far in tables.links.iter_mut().filter_map(|link| link.peer.as_mut()) {
            far.name = peer::name(&mut socket, far);
        }
        Ok(report(&tables))
    };
    // The thread that enters the namespace dies there: no other thread may find itself in it.
    std::thread::scope(|scope| scope.spawn(look).join()).unwrap_or_else(|_| Err(ended()))
}

/// The tables of all these nodes, with the other ends of their veth pairs, in the order of `pins`.
///
/// # Errors
/// When a pin cannot be entered or the kernel refuses an answer.
pub fn look(pins: &[Pin]) -> Result<Vec<Tables>> {
    let hosts: Vec<&Pin> = pins.iter().filter(|pin| pin.host().is_none()).collect();
    let mut all = shared(pins, |pin| {
        let mut socket = enter(pin)?;
        let mut tables = tables(&mut socket).map_err(|(tried, errno)| failed(pin, tried, errno))?;
        let near = hosts.iter().copied().filter(|host| pin.host().is_none_or(|name| host.node == name));
        let nodes = peer::nodes(&mut socket, &tables.links, near);
        peer::place(&mut tables.links, &pin.node, &nodes);
        Ok((pin.node.clone(), tables))
    })?;
    peer::join(&mut all);
    // Pairs that somebody made between containers.
    let lost = |links: &[Link]| links.iter().any(|link| link.peer.as_ref().is_some_and(|far| far.node.is_none()));
    let asked: Vec<Pin> =
        pins.iter().zip(&all).filter(|(_, (_, tables))| lost(&tables.links)).map(|(pin, _)| pin.clone()).collect();
    if !asked.is_empty() {
        let found = shared(&asked, |pin| {
            let mut socket = enter(pin)?;
            let links = all.iter().find(|(node, _)| *node == pin.node).map_or(&[][..], |(_, tables)| &tables.links);
            let mut links = links.to_vec();
            let nodes = peer::nodes(&mut socket, &links, pins);
            peer::place(&mut links, &pin.node, &nodes);
            Ok((pin.node.clone(), links))
        })?;
        for (node, links) in found {
            if let Some((_, tables)) = all.iter_mut().find(|(other, _)| *other == node) {
                tables.links = links;
            }
        }
        peer::join(&mut all);
    }
    Ok(all.into_iter().map(|(_, tables)| tables).collect())
}

/// What only `/proc/sys` and the packet filter of these namespaces tell, in the order of `pins`.
///
/// # Errors
/// When a pin cannot be entered.
pub fn settings(pins: &[Pin]) -> Result<Vec<Settings>> {
    shared(pins, |pin| {
        enter(pin)?;
        Ok(settings::read())
    })
}

/// Does it for each, in order; the threads end in the namespaces that they entered.
fn shared<'a, T: Send>(pins: &'a [Pin], each: impl Fn(&'a Pin) -> Result<T> + Sync) -> Result<Vec<T>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS).min(pins.len()).max(1);
    let share = pins.len().div_ceil(threads).max(1);
    let work = |pins: &'a [Pin]| pins.iter().map(&each).collect::<Result<Vec<T>>>();
    let work = &work;
    let shares: Vec<Result<Vec<T>>> = std::thread::scope(|scope| {
        let start = |pins| std::thread::Builder::new().spawn_scoped(scope, move || work(pins));
        let started: Vec<_> = pins.chunks(share).map(start).collect();
        let end = |handle: std::io::Result<std::thread::ScopedJoinHandle<'_, Result<Vec<T>>>>| {
            let handle = handle.map_err(|_| Error::Machine(Limit::Sysctl("kernel.threads-max")))?;
            handle.join().unwrap_or_else(|_| Err(ended()))
        };
        started.into_iter().map(end).collect()
    });
    let mut all = Vec::with_capacity(pins.len());
    for share in shares {
        all.extend(share?);
    }
    Ok(all)
}

fn ended() -> Error {
    Error::Internal("a thread ended without an answer".to_owned())
}

/// Moves the calling thread into the namespace; the socket may leave it.
fn enter(pin: &Pin) -> Result<Netlink> {
    let path = pin.path.display();
    fault::look().map_err(|errno| failed(pin, &format!("open {path}"), errno))?;
    let namespace = File::open(&pin.path)
        .map_err(|error| failed(pin, &format!("open {path}"), Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))))?;
    setns(&namespace, CloneFlags::CLONE_NEWNET).map_err(|errno| failed(pin, &format!("setns {path}"), errno))?;
    Netlink::open().map_err(|errno| failed(pin, "netlink socket", errno))
}

fn failed(pin: &Pin, tried: &str, errno: Errno) -> Error {
    Error::kernel(pin.node.as_str(), tried, errno)
}

fn links(socket: &mut Netlink) -> std::result::Result<Vec<LinkMessage>, (&'static str, Errno)> {
    let found = socket.dump(&space::all_links()).map_err(|errno| ("ip link show", errno))?;
    let link = |message| if let RouteNetlinkMessage::NewLink(link) = message { Some(link) } else { None };
    Ok(found.into_iter().filter_map(link).collect())
}

/// The tables of the namespace that the socket is in.
fn tables(socket: &mut Netlink) -> std::result::Result<Tables, (&'static str, Errno)> {
    let mut tables = Tables::default();
    let mut links = links(socket)?;
    if settle(socket, &links).map_err(|errno| ("ip link show", errno))? {
        links = self::links(socket)?;
    }
    tables.links.extend(links.iter().map(read::link));
    tables.links.sort_by_key(|link| link.index);
    for message in socket.dump(&facts::all_addresses()).map_err(|errno| ("ip address show", errno))? {
        if let RouteNetlinkMessage::NewAddress(message) = message
            && let Some((index, address)) = read::address(&message)
            && let Some(link) = tables.links.iter_mut().find(|link| link.index == index)
        {
            link.addresses.push(address);
        }
    }
    // A fallback device that nobody has touched carries nothing, and nobody looks for it.
    tables.links.retain(|link| !link.fallback || link.up || link.master.is_some() || !link.addresses.is_empty());
    for message in socket.dump(&facts::all_routes()).map_err(|errno| ("ip route show", errno))? {
        if let RouteNetlinkMessage::NewRoute(route) = message {
            tables.routes.extend(read::route(&route));
            tables.exceptions.extend(read::exception(&route));
        }
    }
    // A kernel without policy routing refuses; then the three usual tables are looked up.
    for message in socket.dump(&RouteNetlinkMessage::GetRule(RuleMessage::default())).unwrap_or_default() {
        if let RouteNetlinkMessage::NewRule(rule) = message {
            tables.rules.extend(read::rule(&rule));
        }
    }
    let all = RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default());
    for message in socket.dump(&all).map_err(|errno| ("ip neighbour show", errno))? {
        if let RouteNetlinkMessage::NewNeighbour(neighbour) = message
            && neighbour.header.family != AddressFamily::Bridge
        {
            tables.neighbours.extend(read::neighbour(&neighbour));
        }
    }
    if tables.links.iter().any(|link| link.kind == "bridge") {
        // A kernel without bridges refuses the question; then there is nothing to show.
        for message in socket.dump(&facts::all_fdb()).unwrap_or_default() {
            if let RouteNetlinkMessage::NewNeighbour(entry) = message {
                tables.fdb.extend(read::fdb(&entry, &tables.links));
            }
        }
    }
    tables.all4 = settings::all(socket, false);
    tables.all6 = settings::all(socket, true);
    Ok(tables)
}
