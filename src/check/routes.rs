//! `routes`: where a node sends packets for a destination.

use ipnet::IpNet;

use super::Stage;
use super::pinged::address;
use super::scene::id;
use super::verdict::Verdict;
use crate::plan::NodeId;
use crate::probe::predict::{Probe, predict};
use crate::report::check::{Evidence, Note};
use crate::report::trace::{Cause, Deed, Route};
use crate::report::wire::Interface;
use crate::topology::checks::{Destination, Router, Routes};

pub(super) fn check(routes: &Routes, stage: &Stage<'_>) -> Verdict {
    let scene = stage.scene;
    let place = match scene.machine(&routes.node) {
        Ok(place) => place,
        Err(gone) => return Verdict::wrong(gone),
    };
    let (node, from) = (routes.node.to_string(), id(&routes.node));
    let (to, route) = match &routes.to {
        Destination::Prefix(prefix) => (prefix.to_string(), exact(place, *prefix)),
        Destination::Node(machine) => {
            if let Err(gone) = scene.machine(machine) {
                return Verdict::wrong(gone);
            }
            let Some(address) = address(scene, &from, &id(machine)) else {
                return Verdict::wrong(scene.unmet(&from, &id(machine)));
            };
            let probe = Probe { size: 84, ttl: 64, may_fragment: true, source: None };
            let prediction = predict(scene.view, &from, address, &probe);
            let first = prediction.request.visits.into_iter().next();
            let route = first.and_then(|visit| if let Deed::Sends(route) = visit.deed { Some(route) } else { None });
            if let (None, Some(death)) = (&route, prediction.death)
                && !matches!(death.cause, Cause::Unknown { .. })
            {
                return Verdict::wrong(Evidence::Because { cause: death.cause, certain: true });
            }
            (machine.to_string(), route)
        }
    };
    let Some(route) = route else { return Verdict::wrong(Evidence::NoRoute { node, to }) };
    let mut verdict = Verdict::default();
    if let Some(evidence) = over(routes, &to, &route, stage) {
        verdict.evidence.push(evidence);
    } else if stage.scene.against
        && matches!(routes.to, Destination::Node(_))
        && routes.via.is_some()
        && route.to.prefix_len() > 0
    {
        verdict.notes.push(Note::Specific { node, to: route.to });
    }
    verdict
}

/// The node's own route to a prefix.
fn exact(place: &crate::probe::view::Place, prefix: IpNet) -> Option<Route> {
    let found = place.node.routes.iter().filter(|route| route.to == prefix && route.kind == "unicast");
    let best = found.min_by_key(|route| (route.table != 254, route.metric.unwrap_or(0)))?;
    Some(Route { to: best.to, via: best.via, dev: best.dev.clone().unwrap_or_default() })
}

/// What is wrong with the next router.
fn over(routes: &Routes, to: &str, route: &Route, stage: &Stage<'_>) -> Option<Evidence> {
    let owner = route.via.and_then(|via| stage.scene.owners(via).into_iter().next());
    let otherwise = || Evidence::RouteVia {
        node: routes.node.to_string(),
        to: to.to_owned(),
        route: route.clone(),
        over: owner.as_ref().map(|owner| owner.node.clone()),
    };
    match (&routes.via, route.via) {
        (None, None) => None,
        (Some(Router::Address(wanted)), Some(via)) if *wanted == via => None,
        (Some(Router::Node(machine)), Some(via)) => {
            let right: Vec<Interface> =
                stage.scene.owners(via).into_iter().filter(|owner| owner.node == machine.to_string()).collect();
            if right.is_empty() {
                return Some(otherwise());
            }
            let belongs = far_end(routes, route, stage)?;
            let on = right.iter().find(|owner| **owner == belongs).or(right.first())?;
            let same = *on == belongs || on.node != belongs.node;
            (!same).then(|| Evidence::RouterElsewhere { address: via, on: on.clone(), belongs })
        }
        _ => Some(otherwise()),
    }
}

/// The host's interface that a container's cable leads to: its bridge, or the other end itself.
fn far_end(routes: &Routes, route: &Route, stage: &Stage<'_>) -> Option<Interface> {
    let from = id(&routes.node);
    let NodeId::Container(..) = &from else { return None };
    let cable = stage.scene.cables(&from).into_iter().find(|cable| cable.inner.name == route.dev)?;
    let (place, link) = cable.end?;
    Some(Interface { node: place.node.node.clone(), interface: link.bridge.clone().unwrap_or_else(|| link.name.clone()) })
}
