//! What hosts and containers are written with alike.

use std::cell::RefCell;
use std::net::IpAddr;

use crate::problem::{Problem, Reference};
use crate::topology::findings::Span;
use crate::topology::place::{Part, Place, Places};
use crate::topology::reader::{At, Item, Keys, Scope};
use crate::topology::validate::MAX_INTERFACES;
use crate::topology::values::{self, flag, list, parsed, some, text, whole};
use crate::topology::{Hop, Route};

/// Smallest and largest MTU that the kernel gives a veth (`ETH_MIN_MTU`, `ETH_MAX_MTU`, `linux/if_ether.h`).
const MTU: std::ops::RangeInclusive<i64> = 68..=65535;

/// Reads one host.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    /// The number that it has in the list of hosts.
    pub(super) index: usize,
    /// The networks of the file.
    pub(super) networks: &'a [String],
    /// Whether `count:` makes as many containers as it says.
    pub(super) expand: bool,
    pub(super) places: &'a RefCell<Places>,
}

impl Reader<'_> {
    /// Notes where a part is written.
    pub(super) fn put(self, container: Option<usize>, part: Part, at: &Span) {
        let place = match container {
            None => Place::Host(self.index, part),
            Some(container) => Place::Container(self.index, container, part),
        };
        self.places.borrow_mut().put(place, at);
    }

    /// Values whose places are noted under their numbers.
    pub(super) fn placed<T: Clone>(self, container: Option<usize>, values: &[At<T>], part: impl Fn(usize) -> Part) -> Vec<T> {
        values.iter().enumerate().for_each(|(index, value)| self.put(container, part(index), &value.at));
        values.iter().map(|value| value.value.clone()).collect()
    }

    /// Routes whose places are noted.
    pub(super) fn routes(self, container: Option<usize>, routes: &[Written]) -> Vec<Route> {
        for (index, route) in routes.iter().enumerate() {
            self.put(container, Part::Route(index), &route.to);
            self.put(container, Part::Hop(index), &route.hop);
        }
        routes.iter().map(|route| route.route.clone()).collect()
    }
}

/// An interface's number in its node, or none where there are too many.
pub(super) fn number(scope: Scope<'_>, index: usize, node: &At<String>) -> Option<u8> {
    let number = u8::try_from(index).ok();
    if number.is_none() {
        scope.note(&node.at, Problem::TooManyInterfaces { node: node.value.clone(), limit: MAX_INTERFACES });
    }
    number
}

/// Addresses with their prefixes.
pub(super) fn prefixes(keys: &mut Keys<'_>, about: &str) -> Vec<At<ipnet::IpNet>> {
    keys.optional("address", about, some(parsed(values::prefix))).unwrap_or_default()
}

/// A MAC address.
pub(super) fn mac(keys: &mut Keys<'_>, about: &str) -> Option<At<crate::name::Mac>> {
    keys.optional("mac", about, |item| Some(At { value: parsed(values::mac)(item)?, at: item.at.clone() }))
}

/// Bytes of payload per frame.
pub(super) fn mtu(keys: &mut Keys<'_>, about: &str) -> Option<u32> {
    keys.optional("mtu", about, whole("mtu", MTU))
}

/// Whether it is up.
pub(super) fn up(keys: &mut Keys<'_>) -> bool {
    keys.optional("up", "Administratively up; true unless given.", flag).unwrap_or(true)
}

/// Default gateways.
pub(super) fn gateways(keys: &mut Keys<'_>) -> Vec<At<IpAddr>> {
    let about = "Its default gateway; a list of two for both families.";
    keys.optional("gateway", about, some(parsed(values::address))).unwrap_or_default()
}

/// A route, and where its destination and its next hop are written.
pub(super) struct Written {
    pub(super) route: Route,
    to: Span,
    hop: Span,
}

/// Routes by these interfaces.
pub(super) fn routes(keys: &mut Keys<'_>, known: &[String]) -> Vec<Written> {
    let mut routes = Vec::new();
    let read = RefCell::new(&mut routes);
    keys.optional(
        "routes",
        "Further routes.",
        list(|item| {
            let route = route(item, known);
            read.borrow_mut().extend(route);
            Some(())
        }),
    );
    routes
}

fn route(item: &mut Item<'_>, known: &[String]) -> Option<Written> {
    item.keys(|keys| {
        let to = keys.required("to", "The destination, as 10.0.0.0/8.", text);
        let via = keys.optional("via", "The router's address.", text);
        let dev = keys.optional("dev", "The interface that the destination is on.", text);
        let blackhole = keys.optional("blackhole", "Drops the packets in silence.", flag);
        let at = to.as_ref().map_or(keys.at.clone(), |to| to.at.clone());
        let at_hop = via.as_ref().or(dev.as_ref()).map_or(at.clone(), |hop| hop.at.clone());
        let scope = keys.scope;
        let destination = to.and_then(|word| scope.parsed(&word, values::destination));
        let hop = match (via, dev, blackhole.unwrap_or(false)) {
            (Some(via), None, false) => scope.parsed(&via, values::address).map(Hop::Via),
            (None, Some(dev), false) => scope.refers(Reference::Interface, &dev, known).map(Hop::Dev),
            (None, None, true) => Some(Hop::Blackhole),
            _ => {
                keys.note_unless_spoiled(&at, Problem::OneHop);
                None
            }
        };
        Some(Written { route: Route { to: destination?, hop: hop? }, to: at, hop: at_hop })
    })
}
