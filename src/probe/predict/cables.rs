//! Cables that are gone, or whose end is in another node than the lab's topology says.

use std::collections::HashSet;
use std::net::IpAddr;

use super::map::{At, Map};
use crate::plan::{Fact, Link, NodeId, Ns, Port};
use crate::probe::view::View;
use crate::report::machine::Kind;
use crate::report::trace::Cause;
use crate::report::wire::Interface;

/// What a gap in the cables looks like from above: told instead is the gap, where one is between the nodes that it is about.
pub(super) fn gap(view: &View, map: &Map<'_>, (from, to): (&NodeId, IpAddr), cause: &Cause) -> Option<(String, Cause)> {
    if !is_symptom(cause) {
        return None;
    }
    let blamed = cause.blames();
    let bare = |node: &&str| {
        let place = view.places.iter().position(|place| place.node.node == *node)?;
        let cabled = map.interfaces(place).any(|at| !map.is_loopback(at));
        (!cabled && map.kind(place) == Kind::Container && !view.places[place].remote).then(|| (*node).to_owned())
    };
    if let Some(node) = blamed.iter().find_map(bare) {
        return Some((node.clone(), Cause::NoCable { node, ends: Vec::new() }));
    }
    let owners = map.owners(to).iter().map(|owner| map.name(owner.place));
    let mut concerned: HashSet<String> = owners.chain([from.to_string()]).collect();
    concerned.extend(blamed.into_iter().map(str::to_owned));
    let hosts: Vec<String> = concerned.iter().filter_map(|node| Some(node.split_once('.')?.0.to_owned())).collect();
    concerned.extend(hosts);
    let is_near = |id: &NodeId| matches!(id, NodeId::Switch(_)) || concerned.contains(&id.to_string());
    let cables = view.described().filter_map(|fact| match fact {
        Fact::Link(one, Link::Veth { peer }) => Some((one, peer)),
        _ => None,
    });
    let near = cables.filter(|(one, peer)| [one, peer].iter().all(|port| matches!(&port.ns, Ns::Node(id) if is_near(id))));
    near.into_iter().find_map(|(one, peer)| missing(view, map, one, peer))
}

/// Nothing joins the two nodes that a described cable joins.
fn missing(view: &View, map: &Map<'_>, one: &Port, peer: &Port) -> Option<(String, Cause)> {
    let place = |port: &Port| {
        let Ns::Node(id) = &port.ns else { return None };
        view.places.iter().position(|place| place.id == *id && !place.remote)
    };
    let (here, there) = (place(one)?, place(peer)?);
    if map.interfaces(here).any(|at| map.peer(at).is_some_and(|end| end.place == there)) {
        return None;
    }
    let named = |place: usize, port: &Port| map.interfaces(place).find(|at| map.link(*at).name == port.dev.as_str());
    let interface = |place: usize, port: &Port| Interface { node: map.name(place), interface: port.dev.to_string() };
    let ends = [(here, one, there, peer), (there, peer, here, one)];
    let elsewhere = ends.into_iter().find_map(|(near, own, far, other)| {
        let at: At = named(near, own).filter(|at| map.link(*at).kind == "veth")?;
        let end = map.peer(at).map(|end| map.interface(end));
        let (interface, home) = (map.interface(at), interface(far, other));
        let scene = end.as_ref().map_or(&home.node, |end| &end.node).clone();
        Some((scene, Cause::CableElsewhere { interface, end, home }))
    });
    elsewhere.or_else(|| {
        let ends = vec![interface(here, one), interface(there, peer)];
        let node = ends.iter().map(|end| &end.node).max_by_key(|node| node.contains('.'))?.clone();
        Some((node.clone(), Cause::NoCable { node, ends }))
    })
}

/// A cause that the lack of a cable brings about.
fn is_symptom(cause: &Cause) -> bool {
    matches!(
        cause,
        Cause::LinkDown { .. }
            | Cause::NotInBridge { .. }
            | Cause::WrongBridge { .. }
            | Cause::NotOnLink { .. }
            | Cause::OtherNic { .. }
            | Cause::NoRoute { .. }
            | Cause::NoAddress { .. }
            | Cause::Unresolved { .. }
            | Cause::NoSuchGateway { .. }
            | Cause::OtherSubnet { .. }
            | Cause::Loop { .. }
            | Cause::Unknown { .. }
    )
}
