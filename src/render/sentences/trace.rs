//! Sentences about the way of a packet.

use super::causes::{self, route};
use crate::render::lang::{Lang, n, t, w};
use crate::report::trace::{
    Cause, Death, Deed, Difference, Frame, IcmpMessage, IcmpWord, Known, Leg, Note, Resolution, Trace, Visit,
};
use crate::report::wire::Station;

/// From where to where, and what the packet is.
pub fn title(lang: Lang, trace: &Trace) -> String {
    let to = trace.to_node.as_ref().map(|node| format!(" ({})", trace.word(node))).unwrap_or_default();
    t!(
        lang,
        "From {from} to {to}: one echo request of {size}, TTL {ttl}.",
        from = trace.word(&trace.from),
        to = format!("{}{to}", trace.to),
        size = n!(lang, trace.size, "byte", "bytes"),
        ttl = trace.ttl
    )
}

/// The heading of one direction.
pub fn leg(lang: Lang, trace: &Trace, leg: Leg) -> String {
    let name = match leg {
        Leg::Request => w!(lang, "The request"),
        Leg::Reply => w!(lang, "The reply"),
    };
    let Some(journey) = trace.journey(leg) else { return name.to_owned() };
    match journey.source {
        Some(source) => format!("{name}: {source} -> {}", journey.destination),
        None => t!(lang, "{name}: to {address}", name, address = journey.destination),
    }
}

/// What a node does with the packet.
pub fn deed(lang: Lang, visit: &Visit, leg: Leg) -> String {
    match &visit.deed {
        Deed::Sends(taken) | Deed::Routes { route: taken, .. } if visit.frame.is_none() => {
            t!(lang, "its route: {route}", route = route(taken))
        }
        Deed::Sends(taken) if leg == Leg::Request => t!(lang, "sends it: {route}", route = route(taken)),
        Deed::Sends(taken) => t!(lang, "answers: {route}", route = route(taken)),
        Deed::Bridges { bridge, floods } => {
            let by = match (&visit.enters, &visit.leaves) {
                (Some(enters), Some(leaves)) => format!("{bridge}: {enters} -> {leaves}"),
                _ => bridge.clone(),
            };
            if *floods {
                t!(lang, "bridged unchanged by {by}, to every port: it does not know the MAC yet", by)
            } else {
                t!(lang, "bridged unchanged by {by}", by)
            }
        }
        Deed::Routes { route: taken, ttl } => {
            let left = visit.frame.as_ref().map_or_else(|| ttl.saturating_sub(1), |frame| frame.ttl);
            t!(lang, "routed: {route}; MACs rewritten, TTL\u{a0}{ttl}\u{a0}->\u{a0}{left}", route = route(taken), ttl, left)
        }
        Deed::Passes { .. } => match (&visit.enters, &visit.leaves) {
            (Some(enters), Some(leaves)) => t!(lang, "passes it on: {enters} -> {leaves}", enters, leaves),
            (None, Some(leaves)) => t!(lang, "sends it by {leaves}", leaves),
            _ => t!(lang, "passes it on"),
        },
        Deed::Receives => match (leg, &visit.enters) {
            (Leg::Request, Some(enters)) => t!(lang, "receives it by {enters}", enters),
            (Leg::Request, None) => t!(lang, "receives it"),
            (Leg::Reply, Some(enters)) => t!(lang, "receives the reply by {enters}", enters),
            (Leg::Reply, None) => t!(lang, "receives the reply"),
        },
        Deed::Drops => match &visit.enters {
            Some(enters) => t!(lang, "comes in by {enters} and goes no further", enters),
            None => t!(lang, "does not send it"),
        },
    }
}

/// Whether the visit is not both predicted and seen.
pub fn known(lang: Lang, known: Known) -> Option<&'static str> {
    match known {
        Known::Both => None,
        Known::Predicted => Some(w!(lang, "(expected, not seen)")),
        Known::Observed => Some(w!(lang, "(seen; the tables say otherwise)")),
        Known::File => Some(w!(lang, "(on the other machine: from the file)")),
    }
}

/// An ARP or neighbour discovery exchange.
pub fn resolution(lang: Lang, trace: &Trace, resolution: &Resolution) -> String {
    let (protocol, address) = (if resolution.address.is_ipv6() { "ND" } else { "ARP" }, resolution.address);
    match &resolution.answer {
        Some(Station { mac, owner: Some(owner) }) => {
            let owner = trace.interface(owner);
            t!(lang, "{protocol} first: who has {address}? {owner}, at {mac}", protocol, address, owner, mac)
        }
        Some(Station { mac, owner: None }) => {
            t!(lang, "{protocol} first: who has {address}? It is at {mac}", protocol, address, mac)
        }
        None => t!(lang, "{protocol} first: who has {address}? Nobody answers", protocol, address),
    }
}

/// How often a frame was seen on a segment.
pub fn seen(lang: Lang, times: u32) -> String {
    t!(lang, "seen {times} times", times)
}

/// What a router said.
pub fn message(lang: Lang, trace: &Trace, message: &IcmpMessage) -> String {
    let who = match &message.node {
        Some(node) => format!("{} ({})", trace.word(node), message.from),
        None => message.from.to_string(),
    };
    let what = match message.says {
        IcmpWord::NoRoute => t!(lang, "destination net unreachable"),
        IcmpWord::HostUnreachable => t!(lang, "destination host unreachable"),
        IcmpWord::PortUnreachable => t!(lang, "destination port unreachable"),
        IcmpWord::Prohibited => t!(lang, "communication prohibited"),
        IcmpWord::TooBig { mtu } => t!(lang, "the packet is too big, at most {mtu} bytes pass", mtu),
        IcmpWord::TimeExceeded => t!(lang, "time to live exceeded"),
        IcmpWord::Other { kind, code } => t!(lang, "type {kind}, code {code}", kind, code),
    };
    match message.leg {
        Leg::Request => t!(lang, "ICMP from {who}: {what}", who, what),
        Leg::Reply => t!(lang, "ICMP from {who}: {what} (about the reply)", who, what),
    }
}

/// Where sight and tables differ.
pub fn difference(lang: Lang, trace: &Trace, difference: &Difference) -> String {
    match difference {
        Difference::Way { leg, node, predicted, observed } => {
            let (leg, node) = (leg_word(lang, *leg), trace.word(node));
            let foretold = match predicted {
                Some(interface) => t!(lang, "By the tables {leg} leaves {node} by {interface}", leg, node, interface),
                None => t!(lang, "By the tables {leg} goes no further than {node}", leg, node),
            };
            let seen = match observed {
                Some(interface) => t!(lang, "it was seen otherwise: it leaves {node} by {interface}.", node, interface),
                None => t!(lang, "it was seen otherwise: it goes no further than {node}.", node),
            };
            format!("{foretold}; {seen}")
        }
        Difference::Frame { leg, interface, predicted, observed } => t!(
            lang,
            "By the tables {leg} leaves {interface} with {foretold}; it was seen with {seen}.",
            leg = leg_word(lang, *leg),
            interface = trace.interface(interface),
            foretold = frame(trace, predicted),
            seen = frame(trace, observed)
        ),
        Difference::Translation { leg, node, before: (from, to), after: (new_from, new_to) } => t!(
            lang,
            "{node} puts other addresses into {leg} (NAT): {before} becomes {after}.",
            node = trace.word(node),
            leg = leg_word(lang, *leg),
            before = format!("{from} -> {to}"),
            after = format!("{new_from} -> {new_to}")
        ),
        Difference::Lives { cause } => {
            t!(lang, "By the tables it should not have been answered: {cause}", cause = causes::cause(lang, trace, cause))
        }
    }
}

/// The reply came back.
pub fn answered(lang: Lang, trace: &Trace, milliseconds: f64) -> String {
    let everywhere = |leg| trace.journey(leg).is_some_and(|way| way.visits.iter().all(|visit| visit.known == Known::Both));
    let agreed = trace.differences.is_empty() && everywhere(Leg::Request) && everywhere(Leg::Reply);
    let milliseconds = format!("{milliseconds:.2}");
    if agreed {
        t!(lang, "Answered after {milliseconds} ms. Seen on every segment, as the tables say.", milliseconds)
    } else {
        t!(lang, "Answered after {milliseconds} ms.", milliseconds)
    }
}

/// Where the packet or its reply died.
pub fn died(lang: Lang, trace: &Trace, death: &Death) -> String {
    let node = trace.word(trace.furthest(death));
    match death.leg {
        Leg::Request => t!(lang, "No answer: the request gets as far as {node}.", node),
        Leg::Reply => t!(lang, "No answer: the request arrives, its reply gets as far as {node}.", node),
    }
}

/// What belongs to it, each on a line of its own.
pub fn details(trace: &Trace, cause: &Cause) -> Vec<String> {
    match cause {
        Cause::Loop { routes, .. } => {
            routes.iter().map(|(node, taken)| format!("{}: {}", trace.word(node), route(taken))).collect()
        }
        _ => Vec::new(),
    }
}

/// Something odd.
pub fn note(lang: Lang, trace: &Trace, note: &Note) -> String {
    t!(lang, "Note: {cause}", cause = causes::cause(lang, trace, &note.cause))
}

/// The word before a cause: sure, or likely.
pub fn because(lang: Lang, certain: bool) -> &'static str {
    if certain { w!(lang, "Cause:") } else { w!(lang, "Perhaps:") }
}

/// The word before the commands that mend it.
pub fn cure(lang: Lang) -> &'static str {
    w!(lang, "Cure:")
}

fn leg_word(lang: Lang, leg: Leg) -> &'static str {
    match leg {
        Leg::Request => w!(lang, "the request"),
        Leg::Reply => w!(lang, "the reply"),
    }
}

fn frame(trace: &Trace, frame: &Frame) -> String {
    let station = |station: &Station| match &station.owner {
        Some(owner) => format!("{} ({})", station.mac, trace.interface(owner)),
        None => station.mac.clone(),
    };
    format!("{} -> {}, TTL {}", station(&frame.source), station(&frame.destination), frame.ttl)
}
