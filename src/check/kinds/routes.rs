//! `routes`: where a node sends packets for a destination.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::check::evidence::{Bench, Common, Evidence, Seen};
use crate::check::kinds::{Kind, Stage, Target, Verdict};
use crate::check::players::Players;
use crate::check::players::{Machine, node};
use crate::check::scene::Scene;
use crate::plan::NodeId;
use crate::probe::cure::{cure, lead_over};
use crate::probe::is_link_local;
use crate::probe::predict::{Probe, predict};
use crate::probe::view::Place;
use crate::render::lang::t;
use crate::render::sentences::causes;
use crate::render::sentences::statement::{Say, Words};
use crate::report::machine::Link;
use crate::report::trace::{Action, Cause, Route};
use crate::report::wire::Interface;
use crate::topology::reader::Item;
use crate::topology::values::{self, parsed, text};

/// A route of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Routes {
    /// The node.
    node: Machine,
    /// Where to.
    to: Destination,
    /// Over whom; none where it is on the node's own segment.
    via: Option<Router>,
}

/// Where a route leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Destination {
    /// Wherever a node is: by a route of its own or by the default route.
    Node(Machine),
    /// A route to exactly this prefix; `default` is a prefix without bits.
    Prefix(IpNet),
}

/// The next router of a route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Router {
    /// Any address of this node on the segment.
    Node(Machine),
    /// This address.
    Address(IpAddr),
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Found {
    /// The node has no route there.
    NoRoute { node: String, to: String },
    /// The node's route leads over somebody else.
    RouteVia {
        node: String,
        to: String,
        route: Route,
        over: Option<String>,
        #[serde(skip)]
        right: Option<Way>,
    },
    /// The node's route is right, but a router has redirected it to somebody else.
    Redirected { node: String, to: String, via: IpAddr, over: Option<String> },
    /// The next router's address is not on the interface that the cable leads to; the one in the node's subnet that is.
    RouterElsewhere {
        address: IpAddr,
        on: Interface,
        belongs: Interface,
        instead: Option<IpAddr>,
        #[serde(skip)]
        way: (String, Route),
    },
    /// A route of its own instead of a default route, which is no fault.
    Specific { node: String, to: IpNet },
}

/// An address, and that of a router on the node's own segment that is to be asked.
#[derive(Debug, Clone, Copy)]
struct Way {
    to: IpAddr,
    via: IpAddr,
}

impl Seen for Found {
    fn cures(&self, bench: &Bench<'_>) -> Vec<String> {
        match self {
            Self::RouteVia { node, route, right: Some(way), .. } => lead_over(bench.view, node, route, way.to, way.via),
            Self::RouteVia { node, route, over: None, .. } if route.via.is_some() => {
                let gateway = route.via.unwrap_or(route.to.addr());
                cure(bench.view, &Cause::NoSuchGateway { node: node.clone(), gateway, route: route.clone() })
            }
            Self::Redirected { node, via, .. } => {
                vec![bench.exec(node, if via.is_ipv4() { "ip route flush cache" } else { "ip -6 route flush cache" })]
            }
            Self::RouterElsewhere { instead: Some(via), way: (node, route), .. } => {
                lead_over(bench.view, node, route, route.to.addr(), *via)
            }
            Self::RouterElsewhere { address, on, belongs, instead: None, .. } => {
                // Whether a port is in its bridge by mistake, or its address, others know.
                let link = bench.view.interface(on).filter(|link| link.bridge.is_none());
                let own = link.and_then(|link| link.addresses.iter().find(|own| own.addr() == *address));
                let (interface, belongs) = (on.clone(), belongs.clone());
                let moved = own.map(|own| Cause::AddressElsewhere { interface, address: *own, belongs, instead: None });
                moved.map_or_else(Vec::new, |cause| cure(bench.view, &cause))
            }
            _ => Vec::new(),
        }
    }
}

impl Say for Found {
    fn sentence(&self, words: &Words<'_>) -> String {
        let lang = words.lang;
        match self {
            Self::NoRoute { node, to } => t!(lang, "{node} has no route to {to}.", node = words.node(node), to = words.node(to)),
            Self::RouteVia { node, to, route, over, .. } => {
                let (node, to, route) = (words.node(node), words.node(to), causes::route(route));
                match over {
                    Some(over) => {
                        let over = words.node(over);
                        t!(lang, "{node} sends packets for {to} by: {route}, which is {over}.", node, to, route, over)
                    }
                    None => t!(lang, "{node} sends packets for {to} by: {route}.", node, to, route),
                }
            }
            Self::Redirected { node, to, via, over } => {
                let over = over.as_ref().map_or_else(|| via.to_string(), |over| words.node(over));
                t!(
                    lang,
                    "A router has redirected {node}: it sends packets for {to} to {over} until the redirect expires.",
                    node = words.node(node),
                    to = words.node(to),
                    over
                )
            }
            Self::RouterElsewhere { address, on, belongs, instead: Some(instead), .. } => t!(
                lang,
                "{address} is on {interface}; the cable leads to {other}, which has {instead}.",
                address,
                interface = words.interface(on),
                other = words.interface(belongs),
                instead
            ),
            Self::RouterElsewhere { address, on, belongs, instead: None, .. } => t!(
                lang,
                "{address} is on {interface}; the cable leads to {other}, so it belongs there.",
                address,
                interface = words.interface(on),
                other = words.interface(belongs)
            ),
            Self::Specific { node, to } => t!(
                lang,
                "{node} has a route of its own for {to} instead of a default route; that is as good.",
                node = words.node(node),
                to
            ),
        }
    }
}

impl Kind for Routes {
    const ABOUT: &'static str = "Where a node sends packets.";

    fn read(item: &mut Item<'_>) -> Option<Self> {
        item.keys(|keys| {
            let node = keys.required("node", "The node.", node);
            let about = "The next router: a node or an address; left out where the destination is on the node's own segment.";
            let via = keys.optional("via", about, router);
            let six = matches!(via, Some(Router::Address(via)) if via.is_ipv6());
            let to = keys.required("to", "A node, a prefix, or `default`.", |item| destination(item, six));
            Some(Self { node: node?, to: to?, via })
        })
    }

    fn wanted(&self, words: &Words<'_>) -> String {
        let (lang, node) = (words.lang, words.node(&self.node));
        let router = self.via.as_ref().map(|via| match via {
            Router::Node(router) => words.node(router),
            Router::Address(address) => address.to_string(),
        });
        match (&self.to, router) {
            (Destination::Node(to), Some(router)) => {
                t!(lang, "{node} sends packets for {to} over {router}", node, to = words.node(to), router)
            }
            (Destination::Node(to), None) => {
                t!(lang, "{node} sends packets for {to} without a router", node, to = words.node(to))
            }
            (Destination::Prefix(to), Some(router)) if to.prefix_len() == 0 => {
                t!(lang, "{node} has a default route over {router}", node, router)
            }
            (Destination::Prefix(to), None) if to.prefix_len() == 0 => {
                t!(lang, "{node} has a default route without a router", node)
            }
            (Destination::Prefix(to), Some(router)) => t!(lang, "{node} has a route to {to} over {router}", node, to, router),
            (Destination::Prefix(to), None) => t!(lang, "{node} has a route to {to} without a router", node, to),
        }
    }

    fn played_by(&self, players: &Players<'_>) -> Result<Self, Common> {
        Ok(Self {
            node: players.machine(&self.node)?,
            to: match &self.to {
                Destination::Node(role) => Destination::Node(players.machine(role)?),
                Destination::Prefix(prefix) => Destination::Prefix(*prefix),
            },
            via: match &self.via {
                Some(Router::Node(role)) => Some(Router::Node(players.machine(role)?)),
                other => other.clone(),
            },
        })
    }

    fn target(&self, _: &Scene<'_>) -> Target {
        Target::Tables(vec![self.node.0.clone()])
    }

    fn judge(&self, stage: &Stage<'_>) -> Result<Verdict, Evidence> {
        let scene = stage.scene;
        let place = scene.place(&self.node.0)?;
        let (node, from) = (self.node.to_string(), self.node.0.clone());
        let (to, address, route) = match &self.to {
            Destination::Prefix(prefix) => (prefix.to_string(), prefix.addr(), exact(place, *prefix)),
            Destination::Node(machine) => {
                scene.place(&machine.0)?;
                let Some(address) = scene.address(&from, &machine.0) else {
                    return Err(scene.unmet(&from, &machine.0).into());
                };
                let probe = Probe { size: 84, ttl: 64, may_fragment: true, source: None };
                let prediction = predict(scene.view, &from, address, &probe);
                let first = prediction.request.visits.into_iter().next();
                let route = first.and_then(|visit| if let Action::Sends(route) = visit.deed { Some(route) } else { None });
                if let (None, Some(death)) = (&route, prediction.death)
                    && !matches!(death.cause, Cause::Unknown { .. })
                {
                    return Err(Common::because(death.cause, true).into());
                }
                (machine.to_string(), address, route)
            }
        };
        let Some(route) = route else { return Err(Found::NoRoute { node, to }.into()) };
        let mut verdict = Verdict::default();
        if let Some(evidence) = over(self, (&to, address), &route, stage) {
            verdict.add(evidence);
        } else if stage.scene.against
            && matches!(self.to, Destination::Node(_))
            && self.via.is_some()
            && route.to.prefix_len() > 0
        {
            verdict.notes.push(Found::Specific { node, to: route.to }.into());
        }
        Ok(verdict)
    }
}

/// A node, a prefix, or `default`, of the router's family.
fn destination(item: &mut Item<'_>, six: bool) -> Option<Destination> {
    match text(item)?.value.as_str() {
        "default" => {
            let all = if six { "::/0" } else { "0.0.0.0/0" };
            all.parse().ok().map(Destination::Prefix)
        }
        word if is_address(word) => parsed(values::destination)(item).map(Destination::Prefix),
        _ => node(item).map(Destination::Node),
    }
}

/// A node or an address.
fn router(item: &mut Item<'_>) -> Option<Router> {
    match text(item)?.value.as_str() {
        word if is_address(word) => parsed(values::address)(item).map(Router::Address),
        _ => node(item).map(Router::Node),
    }
}

/// Whether a word can only mean an address, since no name begins so.
fn is_address(word: &str) -> bool {
    word.contains(':') || word.starts_with(|c: char| c.is_ascii_digit())
}

/// The node's own route to a prefix.
fn exact(place: &Place, prefix: IpNet) -> Option<Route> {
    let found = place.node.routes.iter().filter(|route| route.to == prefix && route.kind == "unicast");
    let best = found.min_by_key(|route| (route.table != 254, route.metric.unwrap_or(0)))?;
    Some(Route { to: best.to, via: best.via, dev: best.dev.clone().unwrap_or_default() })
}

/// What is wrong with the next router.
fn over(routes: &Routes, (to, address): (&str, IpAddr), route: &Route, stage: &Stage<'_>) -> Option<Found> {
    let view = stage.scene.view;
    let owners = |via: IpAddr| {
        let has = |place: &Place| {
            let links = place.node.links.iter().filter(|link| link.addresses.iter().any(|own| own.addr() == via));
            links.map(|link| place.interface(link)).collect::<Vec<_>>()
        };
        view.places.iter().flat_map(has).collect::<Vec<_>>()
    };
    let otherwise = || {
        let over = route.via.and_then(|via| owners(via).into_iter().next()).map(|owner| owner.node);
        let (node, to) = (routes.node.to_string(), to.to_owned());
        let told = |place: &Place| {
            let hops = place.tables.redirects.iter().filter(|(to, _)| *to == address).map(|(_, hop)| hop.via);
            hops.flatten().find(|via| Some(*via) == route.via)
        };
        if let Some(via) = view.place(&routes.node.0).and_then(told) {
            return Found::Redirected { node, to, via, over };
        }
        let right = router_at(routes, route, stage).map(|via| Way { to: address, via });
        Found::RouteVia { node, to, route: route.clone(), over, right }
    };
    match (&routes.via, route.via) {
        (None, None) => None,
        (Some(Router::Address(wanted)), Some(via)) if *wanted == via => None,
        (Some(Router::Node(machine)), Some(via)) => {
            let right: Vec<Interface> = owners(via).into_iter().filter(|owner| owner.node == machine.to_string()).collect();
            if right.is_empty() {
                return Some(otherwise());
            }
            let belongs = host_interface(routes, route, stage)?;
            let on = right.iter().find(|owner| **owner == belongs).or(right.first())?;
            if *on == belongs || on.node != belongs.node {
                return None;
            }
            let here = view.interface(&belongs).map(|link| link.addresses.as_slice()).unwrap_or_default();
            let instead = here.iter().map(IpNet::addr).find(|own| is_near(routes, route, *own, stage));
            let way = (routes.node.to_string(), route.clone());
            Some(Found::RouterElsewhere { address: via, on: on.clone(), belongs, instead, way })
        }
        _ => Some(otherwise()),
    }
}

/// Whether an address is in a subnet of the interface that the route leaves by.
fn is_near(routes: &Routes, route: &Route, address: IpAddr, stage: &Stage<'_>) -> bool {
    let link = stage.scene.view.place(&routes.node.0).and_then(|place| place.named(&route.dev));
    link.is_some_and(|link| shares(link, address))
}

/// Whether an address is another one in a subnet of the interface.
fn shares(link: &Link, address: IpAddr) -> bool {
    link.addresses.iter().any(|own| own.contains(&address) && own.addr() != address)
}

/// An address of the router that should be asked, in a subnet of the node's own.
fn router_at(routes: &Routes, route: &Route, stage: &Stage<'_>) -> Option<IpAddr> {
    let Some(Router::Node(machine)) = &routes.via else { return None };
    let from = stage.scene.view.place(&routes.node.0)?;
    let links = &stage.scene.view.place(&machine.0)?.node.links;
    let all = links.iter().flat_map(|link| &link.addresses).map(IpNet::addr);
    let mut near = all.filter(|address| address.is_ipv4() == route.to.addr().is_ipv4() && !is_link_local(*address));
    near.find(|address| !address.is_loopback() && from.node.links.iter().any(|link| shares(link, *address)))
}

/// The host's interface that a container's cable leads to: its bridge, or the other end itself.
fn host_interface(routes: &Routes, route: &Route, stage: &Stage<'_>) -> Option<Interface> {
    let from = &routes.node.0;
    let NodeId::Container(..) = from else { return None };
    let cable = stage.scene.cables(from).into_iter().find(|cable| cable.inner.name == route.dev)?;
    let (place, link) = cable.end?;
    Some(Interface { node: place.node.node.clone(), interface: link.bridge.clone().unwrap_or_else(|| link.name.clone()) })
}
