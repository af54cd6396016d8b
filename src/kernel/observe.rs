//! The facts that hold, read back from the kernel.
//!
//! Left out is what the kernel makes by itself: addresses of `lo`, link-local ones, connected and local routes, fallback devices of
//! tunnels but for what somebody did to them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ipnet::IpNet;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::link::{BridgePortState, InfoBridgePort, InfoPortData, LinkAttribute, LinkInfo, LinkMessage};
use netlink_packet_route::neighbour::{NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState};
use netlink_packet_route::route::{RouteProtocol, RouteType};
use nix::errno::Errno;

use super::Scope;
use super::caller::{joined, processors, thread};
use super::fallback::is_own;
use super::hands::{self, Fresh, Sight};
use super::inspect::namespace_number;
use super::netlink::Netlink;
use super::netns::{self, Pins, Space, is_namespace};
use super::requests::settle;
use super::tables::{self, LOCAL_TABLE, read};
use crate::error::Result;
use crate::name::IfName;
use crate::plan::{Fact, Link, NodeId, Ns, Port, RouteTo, Slot, State, Sysctl};

/// The metric that the kernel gives an IPv6 route by itself (`IP6_RT_PRIO_USER`, `net/ip6_route.h`).
const DEFAULT_METRIC_6: u32 = 1024;

/// One namespace as read.
#[derive(Debug, Default)]
struct Seen {
    facts: Vec<Fact>,
    /// Links but for the loopback and the kernel's own.
    links: HashMap<IfName, tables::Link>,
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
    let fresh = Fresh::default();
    let wide = scope.hands.then_some((&scope.expected, &fresh));
    let shares: Vec<Vec<&Ns>> = (0..threads).map(|n| there.iter().copied().skip(n).step_by(threads).collect()).collect();
    let read: Vec<Result<Vec<(Ns, Seen)>>> = std::thread::scope(|scope| {
        let handles: Vec<_> = shares
            .iter()
            .map(|share| std::thread::Builder::new().spawn_scoped(scope, || read_share(pins, share, &wanted, wide)))
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
    let asked = thread(|| Space::look(pins, here).ok().and_then(|mut space| namespace_number(&mut space.socket, &there)));
    asked.is_ok_and(|found| found == Some(number))
}

/// Whether a port of a bridge of the node is still listening or learning.
pub fn is_converging(pins: &Pins, node: &NodeId) -> Result<bool> {
    let links = netns::within(&pins.pin(node), &node.to_string(), || Netlink::open().and_then(|mut socket| socket.links()))?;
    let links = links.map_err(|errno| netns::error(node, "ip link show", errno))?;
    Ok(links.iter().flat_map(|link| &link.attributes).any(converges))
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

/// What is described, and what new namespaces have: where it is looked for what hands can change.
type Wide<'a> = Option<(&'a State, &'a Fresh)>;

fn read_share(pins: &Pins, share: &[&Ns], wanted: &BTreeMap<Ns, BTreeSet<Sysctl>>, wide: Wide<'_>) -> Result<Vec<(Ns, Seen)>> {
    share
        .iter()
        .map(|&ns| {
            let mut space = Space::look(pins, ns)?;
            let none = BTreeSet::new();
            let seen = read_space(&mut space, ns, wanted.get(ns).unwrap_or(&none), wide)
                .map_err(|(tried, errno)| netns::error_in(ns, tried, errno))?;
            Ok((ns.clone(), seen))
        })
        .collect()
}

/// Everything in the calling thread's namespace.
fn read_space(
    space: &mut Space,
    ns: &Ns,
    settings: &BTreeSet<Sysctl>,
    wide: Wide<'_>,
) -> std::result::Result<Seen, (&'static str, Errno)> {
    let mut facts = Vec::new();
    if *ns != Ns::Root {
        facts.push(Fact::Netns(ns.clone()));
    }
    for &setting in settings {
        facts.extend(netns::read_setting(setting).map(|value| Fact::Sysctl(ns.clone(), setting, value)));
    }
    let socket = &mut space.socket;
    let mut messages = socket.links().map_err(|errno| ("ip link show", errno))?;
    settle(socket, &messages).map_err(|errno| ("ip link show", errno))?;
    let addresses = socket.addresses().map_err(|errno| ("ip address show", errno))?;
    let routes = socket.routes().map_err(|errno| ("ip route show", errno))?;
    messages.sort_by_key(|message| message.header.index);
    let links = read::links(&messages, &addresses);
    // Only the bridge of a port that does not learn has static entries.
    let bridges = |link: &tables::Link| wide.is_some() && link.kind == "bridge";
    let isolated = links.iter().any(|link| link.port.is_some_and(|port| !port.floods) || bridges(link));
    let entries =
        if isolated { socket.neighbours(AddressFamily::Bridge).map_err(|errno| ("bridge fdb show", errno))? } else { Vec::new() };
    let names: HashMap<u32, IfName> = links.iter().map(|link| (link.index, IfName::observed(&link.name))).collect();
    let port = |index: u32| Some(Port { ns: ns.clone(), dev: names.get(&index)?.clone() });
    for (link, message) in links.iter().zip(&messages) {
        let Some(port) = port(link.index) else { continue };
        let found = Slot::of_port(&port).filter_map(|slot| of_link(slot, link, message, &names));
        let halfway = wide.is_some_and(|(expected, _)| hands::is_half_isolated(link, &port, expected));
        let found = found.filter(|fact| !(halfway && matches!(fact, Fact::Isolated(_))));
        facts.extend(found.filter(|fact| !link.fallback || !fact.comes_with_a_link()));
        let given = link.addresses.iter().map(|address| address.net);
        let given = given.filter(|net| !(net.addr().is_loopback() || link.fallback && is_own(net.addr())));
        facts.extend(given.map(|net| Fact::Addr(port.clone(), net)));
    }
    // Of several routes to one destination the one in use counts: the kernel lists it first, and a state keeps the last.
    facts.extend(routes.iter().rev().filter_map(read::route).filter_map(|seen| route(ns, &seen, &names)));
    if let Some((expected, fresh)) = wide {
        let (messages, routes, entries) = (&messages, &routes, &entries);
        let sight = Sight { ns, links: &links, messages, routes, entries, names: &names, expected, fresh };
        facts.extend(hands::look(socket, &sight)?);
    }
    // A port's own address is the kernel's doing and permanent; what else is special about an entry is a hand's.
    let plain =
        |entry: &&NeighbourMessage| wide.is_none() || !entry.header.flags.contains(NeighbourFlags::Sticky) && !has_vlan(entry);
    let fixed = entries.iter().filter(|entry| entry.header.state == NeighbourState::Noarp).filter(plain);
    let fixed = fixed.filter_map(|entry| read::fdb(entry, &links));
    facts.extend(fixed.filter_map(|entry| Some(Fact::Fdb(port(entry.port)?, entry.mac))));
    let made = links.into_iter().filter(|link| !link.fallback && link.kind != "loopback");
    Ok(Seen { facts, links: made.map(|link| (IfName::observed(&link.name), link)).collect() })
}

fn has_vlan(entry: &NeighbourMessage) -> bool {
    entry.attributes.iter().any(|attribute| matches!(attribute, NeighbourAttribute::Vlan(_)))
}

/// What an interface says in a slot; nothing where another dump than that of links does.
fn of_link(slot: Slot<'_>, link: &tables::Link, message: &LinkMessage, names: &HashMap<u32, IfName>) -> Option<Fact> {
    let real = |fact| Some(fact).filter(|_| link.kind != "loopback");
    match slot {
        Slot::Mac(port) => link.mac.and_then(|mac| real(Fact::Mac(port.clone(), mac))),
        Slot::Mtu(port) => real(Fact::Mtu(port.clone(), link.mtu)),
        Slot::Stp(port) => message.attributes.iter().any(read::runs_stp).then(|| Fact::Stp(port.clone())),
        Slot::Member(port) => Some(Fact::Member(port.clone(), names.get(&link.master?)?.clone())),
        Slot::Isolated(port) => link.port.filter(|port| !port.floods).map(|_| Fact::Isolated(port.clone())),
        Slot::Up(port) => link.up.then(|| Fact::Up(port.clone())),
        // Both ends of a pair tell which link it is: [`join`].
        Slot::Link(_)
        | Slot::Netns(_)
        | Slot::Sysctl(..)
        | Slot::Fdb(..)
        | Slot::Addr(..)
        | Slot::Route(..)
        | Slot::OfPort(..)
        | Slot::OfSpace(..) => None,
    }
}

/// A route that somebody gave.
fn route(ns: &Ns, seen: &tables::Route, names: &HashMap<u32, IfName>) -> Option<Fact> {
    let by_itself = matches!(seen.protocol, RouteProtocol::Kernel | RouteProtocol::IcmpRedirect | RouteProtocol::Ra);
    // `RT_TABLE_UNSPEC`
    if by_itself || [LOCAL_TABLE, 0].contains(&seen.table) {
        return None;
    }
    let v6 = seen.to.addr().is_ipv6();
    let dev = |hop: &tables::NextHop| names.get(&hop.dev).cloned();
    let via = |hop: &tables::NextHop| hop.via.filter(|via| via.is_ipv6() == v6);
    let hop = match (seen.kind, seen.hops.as_slice()) {
        (RouteType::BlackHole, _) => RouteTo::Blackhole,
        (RouteType::Unreachable, _) => RouteTo::Unreachable,
        (RouteType::Prohibit, _) => RouteTo::Prohibit,
        (RouteType::Unicast, [hop]) => match via(hop) {
            Some(via) => RouteTo::Via(via, dev(hop)?),
            None => RouteTo::Dev(dev(hop)?),
        },
        (RouteType::Unicast, hops @ [_, ..]) => {
            RouteTo::Many(hops.iter().filter_map(|hop| Some((via(hop)?, dev(hop)?))).collect())
        }
        _ => return None,
    };
    let metric = seen.metric.filter(|metric| !(v6 && *metric == DEFAULT_METRIC_6)).unwrap_or(0);
    Some(Fact::Route(ns.clone(), seen.table, seen.to, metric, hop))
}

/// All namespaces together: the ends of pairs find each other.
fn join(seen: BTreeMap<Ns, Seen>, expected: &State, is_numbered: &dyn Fn(&Ns, i32, &Ns) -> bool) -> State {
    let mut facts = Vec::new();
    let mut paired: BTreeSet<Port> = BTreeSet::new();
    let mut alone: BTreeSet<Port> = BTreeSet::new();
    for fact in expected {
        let Fact::Link(near, Link::Veth { peer }) = fact else { continue };
        if let (Some(a), Some(b)) = (end(&seen, near), end(&seen, peer))
            && leads_to(a, b)
            && leads_to(b, a)
        {
            paired.extend([near.clone(), peer.clone()]);
            facts.push(fact.clone());
        }
    }
    let links =
        seen.iter().flat_map(|(ns, seen)| seen.links.iter().map(|(dev, link)| (Port { ns: ns.clone(), dev: dev.clone() }, link)));
    let rest: Vec<(Port, &tables::Link)> = links.filter(|(port, _)| !paired.contains(port)).collect();
    for (port, link) in &rest {
        let other_end = link.peer.as_ref().and_then(|peer| {
            rest.iter().map(|(other, theirs)| (other, *theirs)).find(|(other, theirs)| {
                let is_there = |number| port.ns != other.ns && is_numbered(&port.ns, number, &other.ns);
                let meets = *other != port && leads_to(link, theirs) && leads_to(theirs, link);
                meets && peer.namespace.map_or(port.ns == other.ns, is_there)
            })
        });
        facts.extend(match (link.kind.as_str(), other_end) {
            ("bridge", _) => Some(Fact::Link(port.clone(), Link::Bridge)),
            (_, Some((peer, _))) if peer < port => None,
            (_, Some((peer, _))) => Some(Fact::Link(port.clone(), Link::Veth { peer: peer.clone() })),
            (kind, None) => {
                if kind == "veth" {
                    alone.insert(port.clone());
                }
                let kind = if kind == "device" { "physical" } else { kind };
                Some(Fact::Link(port.clone(), Link::Other(kind.to_owned())))
            }
        });
    }
    facts.extend(seen.into_values().flat_map(|seen| seen.facts));
    let mut halves = halves(expected, &paired);
    halves.retain(|port| alone.contains(port));
    facts.retain(|fact| {
        let is_described = || expected.has(fact.slot());
        // Of the machine itself nothing counts but what the lab speaks of.
        let of_the_lab = *fact.ns() != Ns::Root || is_described() || fact.is_by_hand();
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

fn end<'a>(seen: &'a BTreeMap<Ns, Seen>, port: &Port) -> Option<&'a tables::Link> {
    seen.get(&port.ns)?.links.get(&port.dev)
}

/// Whether the other end of a pair has the index of that link.
fn leads_to(link: &tables::Link, other: &tables::Link) -> bool {
    link.peer.as_ref().is_some_and(|peer| peer.index == other.index)
}
