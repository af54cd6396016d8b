//! The facts that hold, read back from the kernel.
//!
//! Left out is what the kernel makes by itself: addresses of `lo`, link-local ones, connected and local routes, fallback devices of
//! tunnels but for what somebody did to them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use ipnet::IpNet;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    BridgePortState, BridgeStpState, InfoBridge, InfoBridgePort, InfoData, InfoKind, InfoPortData, LinkAttribute, LinkFlags,
    LinkInfo, LinkMessage,
};
use netlink_packet_route::neighbour::{NeighbourAttribute, NeighbourMessage, NeighbourState};
use nix::errno::Errno;

use super::backend::Scope;
use super::fallback::{is_fallback, is_own};
use super::inspect::peer;
use super::read;
use super::settle::settle;
use super::space::{self, Pins, Space};
use super::sys::process;
use super::thread::{joined, processors, thread};
use crate::error::Result;
use crate::name::{IfName, Mac};
use crate::plan::{Fact, Link, NodeId, Ns, Port, State, Sysctl};

/// One namespace as read.
#[derive(Debug, Default)]
struct Seen {
    facts: Vec<Fact>,
    links: HashMap<u32, SeenLink>,
    /// The kernel's own.
    fallbacks: BTreeSet<IfName>,
}

/// One link as read.
#[derive(Debug, Clone)]
struct SeenLink {
    name: IfName,
    kind: Option<InfoKind>,
    /// Index of the other end of a pair, in its namespace.
    peer: Option<u32>,
    /// The number that its namespace gives to the other end's, where that is another one.
    elsewhere: Option<i32>,
}

/// Reads the facts of the scope.
pub fn observe(pins: &Pins, scope: &Scope) -> Result<State> {
    let there: Vec<&Ns> = scope.spaces.iter().filter(|ns| is_namespace(&pins.at(ns))).collect();
    if scope.pins_only {
        let nodes = there.into_iter().filter(|ns| **ns != Ns::Root);
        return Ok(nodes.map(|ns| Fact::Netns(ns.clone())).collect());
    }
    let threads = processors().min(there.len());
    let wanted = settings(scope);
    let shares: Vec<Vec<&Ns>> = (0..threads).map(|n| there.iter().copied().skip(n).step_by(threads).collect()).collect();
    let read: Vec<Result<Vec<(Ns, Seen)>>> = std::thread::scope(|scope| {
        let handles: Vec<_> = shares
            .iter()
            .map(|share| std::thread::Builder::new().spawn_scoped(scope, || read_share(pins, share, &wanted)))
            .collect();
        handles.into_iter().map(joined).collect()
    });
    let mut seen = BTreeMap::new();
    for share in read {
        seen.extend(share?);
    }
    Ok(join(seen, &scope.expected, &|here, number, there| is_numbered(pins, here, number, there)))
}

/// Whether one namespace gives another that number: indices alone do not tell whose other end is whose.
fn is_numbered(pins: &Pins, here: &Ns, number: i32, there: &Ns) -> bool {
    let there = pins.at(there);
    let asked = thread(|| Space::look(pins, here).ok().and_then(|mut space| peer::number(&mut space.socket, &there)));
    asked.is_ok_and(|found| found == Some(number))
}

/// Whether a path is a namespace's pin: a file of the kernel's namespace file system (`NSFS_MAGIC`, `linux/magic.h`).
pub fn is_namespace(path: &Path) -> bool {
    nix::sys::statfs::statfs(path).is_ok_and(|stat| stat.filesystem_type().0 == 0x6e73_6673)
}

/// Whether a path is the root of a mount: its parent is then on another one.
pub fn is_mount(path: &Path) -> bool {
    let parent = path.parent().unwrap_or(path);
    process::mount_id(path).is_ok_and(|id| process::mount_id(parent).is_ok_and(|parent| id != parent))
}

/// Whether a port of a bridge of the node is still listening or learning.
pub fn is_converging(pins: &Pins, node: &NodeId) -> Result<bool> {
    let pin = pins.pin(node);
    thread(|| {
        let mut space = Space::open(&pin, node)?;
        let links = space.socket.dump(&space::all_links()).map_err(|errno| space::error(node, "ip link show", errno))?;
        Ok(links.iter().any(|message| match message {
            RouteNetlinkMessage::NewLink(link) => link.attributes.iter().any(converges),
            _ => false,
        }))
    })?
}

fn converges(attribute: &LinkAttribute) -> bool {
    let LinkAttribute::LinkInfo(info) = attribute else { return false };
    info.iter().any(|item| match item {
        LinkInfo::PortData(InfoPortData::BridgePort(flags)) => {
            flags.iter().any(|flag| matches!(flag, InfoBridgePort::State(BridgePortState::Listening | BridgePortState::Learning)))
        }
        _ => false,
    })
}

/// Reading a setting costs as much as a whole namespace's links: only those are read that are expected.
fn settings(scope: &Scope) -> BTreeMap<Ns, BTreeSet<Sysctl>> {
    let mut wanted: BTreeMap<Ns, BTreeSet<Sysctl>> = BTreeMap::new();
    for fact in &scope.expected {
        if let Fact::Sysctl(ns, setting, _) = fact {
            wanted.entry(ns.clone()).or_default().insert(*setting);
        }
    }
    wanted
}

fn read_share(pins: &Pins, share: &[&Ns], wanted: &BTreeMap<Ns, BTreeSet<Sysctl>>) -> Result<Vec<(Ns, Seen)>> {
    share
        .iter()
        .map(|&ns| {
            let mut space = Space::look(pins, ns)?;
            let none = BTreeSet::new();
            let seen = read_space(&mut space, ns, wanted.get(ns).unwrap_or(&none))
                .map_err(|(tried, errno)| space::error_in(ns, tried, errno))?;
            Ok((ns.clone(), seen))
        })
        .collect()
}

/// Everything in the calling thread's namespace.
fn read_space(space: &mut Space, ns: &Ns, settings: &BTreeSet<Sysctl>) -> std::result::Result<Seen, (&'static str, Errno)> {
    let mut seen = Seen::default();
    if *ns != Ns::Root {
        seen.facts.push(Fact::Netns(ns.clone()));
    }
    for &setting in settings {
        if let Some(value) = space::read_setting(setting) {
            seen.facts.push(Fact::Sysctl(ns.clone(), setting, value));
        }
    }
    let links = space.socket.dump(&space::all_links()).map_err(|errno| ("ip link show", errno))?;
    let links: Vec<LinkMessage> = links
        .into_iter()
        .filter_map(|message| match message {
            RouteNetlinkMessage::NewLink(link) => Some(link),
            _ => None,
        })
        .collect();
    settle(&mut space.socket, &links).map_err(|errno| ("ip link show", errno))?;
    let names: HashMap<u32, IfName> = links.iter().filter_map(|link| Some((link.header.index, name_of(link)?))).collect();
    let mut isolated = false;
    for link in &links {
        isolated |= seen.link(ns, link, &names);
    }
    let addresses = space.socket.dump(&read::all_addresses()).map_err(|errno| ("ip address show", errno))?;
    let routes = space.socket.dump(&read::all_routes()).map_err(|errno| ("ip route show", errno))?;
    let given = addresses.iter().filter_map(|message| read::address(ns, message, &names));
    let own = |fact: &Fact| matches!(fact, Fact::Addr(port, net) if seen.fallbacks.contains(&port.dev) && is_own(net.addr()));
    let given: Vec<Fact> = given.filter(|fact| !own(fact)).collect();
    seen.facts.extend(given);
    // Of several routes to one destination the one in use counts: the kernel lists it first, and a state keeps the last.
    seen.facts.extend(routes.iter().rev().filter_map(|message| read::route(ns, message, &names)));
    if isolated {
        let entries = space.socket.dump(&read::all_fdb()).map_err(|errno| ("bridge fdb show", errno))?;
        seen.facts.extend(entries.iter().filter_map(|message| fdb(ns, message, &names)));
    }
    Ok(seen)
}

fn name_of(link: &LinkMessage) -> Option<IfName> {
    link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(IfName::observed(name)),
        _ => None,
    })
}

/// A static entry at a port; the port's own address is the kernel's doing and permanent.
fn fdb(ns: &Ns, message: &RouteNetlinkMessage, names: &HashMap<u32, IfName>) -> Option<Fact> {
    let RouteNetlinkMessage::NewNeighbour(NeighbourMessage { header, attributes, .. }) = message else { return None };
    if header.state != NeighbourState::Noarp {
        return None;
    }
    let mac = attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::LinkLayerAddress(bytes) => <[u8; 6]>::try_from(bytes.as_slice()).ok(),
        _ => None,
    })?;
    let dev = names.get(&header.ifindex)?.clone();
    Some(Fact::Fdb(Port { ns: ns.clone(), dev }, Mac(mac)))
}

impl Seen {
    /// Notes a link; says whether it is a port that does not learn, whose bridge then has static entries.
    fn link(&mut self, ns: &Ns, link: &LinkMessage, names: &HashMap<u32, IfName>) -> bool {
        let Some(name) = names.get(&link.header.index) else { return false };
        let port = Port { ns: ns.clone(), dev: name.clone() };
        if link.header.flags.contains(LinkFlags::Up) {
            self.facts.push(Fact::Up(port.clone()));
        }
        if *name == IfName::loopback() {
            return false;
        }
        let fallback = is_fallback(link);
        if fallback {
            self.fallbacks.insert(name.clone());
        }
        let mut found = SeenLink { name: name.clone(), kind: None, peer: None, elsewhere: None };
        let mut isolated = false;
        for attribute in &link.attributes {
            match attribute {
                LinkAttribute::Address(bytes) if !fallback => {
                    if let Ok(bytes) = <[u8; 6]>::try_from(bytes.as_slice()) {
                        self.facts.push(Fact::Mac(port.clone(), Mac(bytes)));
                    }
                }
                LinkAttribute::Mtu(mtu) if !fallback => {
                    self.facts.push(Fact::Mtu(port.clone(), *mtu));
                }
                LinkAttribute::Controller(index) => {
                    if let Some(master) = names.get(index) {
                        self.facts.push(Fact::Member(port.clone(), master.clone()));
                    }
                }
                LinkAttribute::Link(index) => found.peer = Some(*index),
                LinkAttribute::LinkNetNsId(number) => found.elsewhere = Some(*number),
                LinkAttribute::LinkInfo(info) => isolated |= self.kind(&port, info, &mut found),
                _ => {}
            }
        }
        if !fallback {
            self.links.insert(link.header.index, found);
        }
        isolated
    }

    fn kind(&mut self, port: &Port, info: &[LinkInfo], found: &mut SeenLink) -> bool {
        let mut isolated = false;
        for item in info {
            match item {
                LinkInfo::Kind(kind) => found.kind = Some(kind.clone()),
                LinkInfo::Data(InfoData::Bridge(options)) => {
                    let stp =
                        |option: &InfoBridge| matches!(option, InfoBridge::StpState(state) if *state != BridgeStpState::Disabled);
                    if options.iter().any(stp) {
                        self.facts.push(Fact::Stp(port.clone()));
                    }
                }
                LinkInfo::PortData(InfoPortData::BridgePort(flags)) => {
                    let off = |flag: &InfoBridgePort| matches!(flag, InfoBridgePort::UnicastFlood(false));
                    if flags.iter().any(off) {
                        self.facts.push(Fact::Isolated(port.clone()));
                        isolated = true;
                    }
                }
                _ => {}
            }
        }
        isolated
    }
}

/// All namespaces together: the ends of pairs find each other.
fn join(seen: BTreeMap<Ns, Seen>, expected: &State, is_numbered: &dyn Fn(&Ns, i32, &Ns) -> bool) -> State {
    let mut facts = Vec::new();
    let mut paired: BTreeSet<Port> = BTreeSet::new();
    let mut alone: BTreeSet<Port> = BTreeSet::new();
    for fact in expected {
        let Fact::Link(near, Link::Veth { peer: far }) = fact else { continue };
        if let (Some(a), Some(b)) = (end(&seen, near), end(&seen, far))
            && a.1.peer == Some(b.0)
            && b.1.peer == Some(a.0)
        {
            paired.extend([near.clone(), far.clone()]);
            facts.push(fact.clone());
        }
    }
    let rest: Vec<(Port, u32, SeenLink)> = seen
        .iter()
        .flat_map(|(ns, seen)| {
            seen.links.iter().map(|(index, link)| (Port { ns: ns.clone(), dev: link.name.clone() }, *index, link.clone()))
        })
        .filter(|(port, ..)| !paired.contains(port))
        .collect();
    for (port, index, link) in &rest {
        match &link.kind {
            Some(InfoKind::Bridge) => {
                facts.push(Fact::Link(port.clone(), Link::Bridge));
            }
            Some(InfoKind::Veth) => {
                let far = rest.iter().find(|(other, far_index, far)| {
                    far.kind == link.kind
                        && other != port
                        && link.peer == Some(*far_index)
                        && far.peer == Some(*index)
                        && match (link.elsewhere, &port.ns, &other.ns) {
                            (None, here, there) => here == there,
                            (Some(number), here, there) => here != there && is_numbered(here, number, there),
                        }
                });
                match far {
                    Some((far, ..)) if far < port => {}
                    Some((far, ..)) => {
                        facts.push(Fact::Link(port.clone(), Link::Veth { peer: far.clone() }));
                    }
                    None => {
                        alone.insert(port.clone());
                        facts.push(Fact::Link(port.clone(), Link::Other("veth".to_owned())));
                    }
                }
            }
            kind => {
                let kind = kind.as_ref().map_or_else(|| "physical".to_owned(), ToString::to_string);
                facts.push(Fact::Link(port.clone(), Link::Other(kind)));
            }
        }
    }
    facts.extend(seen.into_values().flat_map(|seen| seen.facts));
    let mut halves = halves(expected, &paired);
    halves.retain(|port| alone.contains(port));
    facts.retain(|fact| {
        let is_described = || expected.has(fact.slot());
        // Of the machine itself nothing counts but what the lab speaks of.
        let of_the_lab = *fact.ns() != Ns::Root || is_described();
        let stays = !rests_on(fact, &halves) || matches!(fact, Fact::Link(Port { ns: Ns::Root, .. }, _));
        // The kernel gives an interface a link-local address by itself; one that was described counts.
        let by_itself = matches!(fact, Fact::Addr(_, IpNet::V6(net)) if net.addr().is_unicast_link_local());
        of_the_lab && stays && (!by_itself || is_described())
    });
    facts.into_iter().collect()
}

/// Ends of described pairs whose other end is gone or another one's: they go soon by themselves, and count as gone.
fn halves(expected: &State, paired: &BTreeSet<Port>) -> BTreeSet<Port> {
    let pairs = expected.links().filter_map(|(near, link)| Some([near, link.peer()?]));
    pairs.flatten().filter(|port| !paired.contains(port)).cloned().collect()
}

fn rests_on(fact: &Fact, ports: &BTreeSet<Port>) -> bool {
    let dev = if let Fact::Route(.., hop) = fact { hop.dev() } else { None };
    let through = dev.is_some_and(|dev| ports.contains(&Port { ns: fact.ns().clone(), dev: dev.clone() }));
    through || fact.port().is_some_and(|port| ports.contains(port))
}

fn end<'a>(seen: &'a BTreeMap<Ns, Seen>, port: &Port) -> Option<(u32, &'a SeenLink)> {
    let found = seen.get(&port.ns)?.links.iter().find(|(_, link)| link.name == port.dev && link.kind == Some(InfoKind::Veth))?;
    Some((*found.0, found.1))
}
