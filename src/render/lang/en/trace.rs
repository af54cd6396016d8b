//! Sentences about the way of a packet.

use super::{English, causes, count};
use crate::render::lang::trace::Tracing;
use crate::report::trace::{
    Cause, Death, Deed, Difference, Frame, IcmpMessage, IcmpWord, Known, Leg, Note, Resolution, Route, Trace, Visit,
};
use crate::report::wire::Station;

impl Tracing for English {
    fn title(&self, trace: &Trace) -> String {
        let to = trace.to_node.as_ref().map(|node| format!(" ({})", trace.word(node))).unwrap_or_default();
        format!(
            "From {} to {}{to}: one echo request of {}, TTL {}.",
            trace.word(&trace.from),
            trace.to,
            count(usize::try_from(trace.size).unwrap_or(usize::MAX), "byte", "bytes"),
            trace.ttl
        )
    }

    fn leg(&self, trace: &Trace, leg: Leg) -> String {
        let name = match leg {
            Leg::Request => "The request",
            Leg::Reply => "The reply",
        };
        match trace.journey(leg) {
            Some(journey) => match journey.source {
                Some(source) => format!("{name}: {source} -> {}", journey.destination),
                None => format!("{name}: to {}", journey.destination),
            },
            None => name.to_owned(),
        }
    }

    fn route(&self, route: &Route) -> String {
        let to = if route.to.prefix_len() == 0 { "default".to_owned() } else { route.to.to_string() };
        match route.via {
            Some(via) => format!("{to} via {via} dev {}", route.dev),
            None => format!("{to} dev {}", route.dev),
        }
    }

    fn deed(&self, visit: &Visit, leg: Leg) -> String {
        match &visit.deed {
            Deed::Sends(route) | Deed::Routes { route, .. } if visit.frame.is_none() => {
                format!("its route: {}", self.route(route))
            }
            Deed::Sends(route) => {
                let sends = if leg == Leg::Request { "sends it" } else { "answers" };
                format!("{sends}: {}", self.route(route))
            }
            Deed::Bridges { bridge, floods } => {
                let ports = match (&visit.enters, &visit.leaves) {
                    (Some(enters), Some(leaves)) => format!(": {enters} -> {leaves}"),
                    _ => String::new(),
                };
                let flood = if *floods { ", to every port: it does not know the MAC yet" } else { "" };
                format!("bridged unchanged by {bridge}{ports}{flood}")
            }
            Deed::Routes { route, ttl } => {
                let left = visit.frame.as_ref().map_or_else(|| ttl.saturating_sub(1), |frame| frame.ttl);
                let rewritten = format!("; MACs rewritten, TTL\u{a0}{ttl}\u{a0}->\u{a0}{left}");
                format!("routed: {}{rewritten}", self.route(route))
            }
            Deed::Passes { .. } => match (&visit.enters, &visit.leaves) {
                (Some(enters), Some(leaves)) => format!("passes it on: {enters} -> {leaves}"),
                (None, Some(leaves)) => format!("sends it by {leaves}"),
                _ => "passes it on".to_owned(),
            },
            Deed::Receives => format!("receives {}{}", if leg == Leg::Request { "it" } else { "the reply" }, by(visit)),
            Deed::Drops => match &visit.enters {
                Some(enters) => format!("comes in by {enters} and goes no further"),
                None => "does not send it".to_owned(),
            },
        }
    }

    fn known(&self, known: Known) -> Option<&'static str> {
        match known {
            Known::Both => None,
            Known::Predicted => Some("(expected, not seen)"),
            Known::Observed => Some("(seen; the tables say otherwise)"),
            Known::File => Some("(on the other machine: from the file)"),
        }
    }

    fn resolution(&self, trace: &Trace, resolution: &Resolution) -> String {
        let protocol = if resolution.address.is_ipv6() { "ND" } else { "ARP" };
        let asked = format!("{protocol} first: who has {}?", resolution.address);
        match &resolution.answer {
            Some(Station { mac, owner: Some(owner) }) => format!("{asked} {}, at {mac}", trace.interface(owner)),
            Some(Station { mac, owner: None }) => format!("{asked} It is at {mac}"),
            None => format!("{asked} Nobody answers"),
        }
    }

    fn seen(&self, times: u32) -> String {
        format!("seen {times} times")
    }

    fn message(&self, trace: &Trace, message: &IcmpMessage) -> String {
        let who = match &message.node {
            Some(node) => format!("{} ({})", trace.word(node), message.from),
            None => message.from.to_string(),
        };
        let what = match message.says {
            IcmpWord::NoRoute => "destination net unreachable".to_owned(),
            IcmpWord::HostUnreachable => "destination host unreachable".to_owned(),
            IcmpWord::PortUnreachable => "destination port unreachable".to_owned(),
            IcmpWord::Prohibited => "communication prohibited".to_owned(),
            IcmpWord::TooBig { mtu } => format!("the packet is too big, at most {mtu} bytes pass"),
            IcmpWord::TimeExceeded => "time to live exceeded".to_owned(),
            IcmpWord::Other { kind, code } => format!("type {kind}, code {code}"),
        };
        let about = if message.leg == Leg::Reply { " (about the reply)" } else { "" };
        format!("ICMP from {who}: {what}{about}")
    }

    fn difference(&self, trace: &Trace, difference: &Difference) -> String {
        match difference {
            Difference::Way { leg, node, predicted, observed } => {
                let node = trace.word(node);
                let it = leg_word(*leg);
                let by = |interface: &Option<String>| match interface {
                    Some(interface) => format!("leaves {node} by {interface}"),
                    None => format!("goes no further than {node}"),
                };
                format!("By the tables the {it} {}; it was seen otherwise: it {}.", by(predicted), by(observed))
            }
            Difference::Frame { leg, interface, predicted, observed } => format!(
                "By the tables the {} leaves {} with {}; it was seen with {}.",
                leg_word(*leg),
                trace.interface(interface),
                frame(trace, predicted),
                frame(trace, observed)
            ),
            Difference::Translation { leg, node, before: (from, to), after: (new_from, new_to) } => format!(
                "{} puts other addresses into the {} (NAT): {from} -> {to} becomes {new_from} -> {new_to}.",
                trace.word(node),
                leg_word(*leg)
            ),
            Difference::Lives { cause } => {
                format!("By the tables it should not have been answered: {}", causes::cause(self, trace, cause))
            }
        }
    }

    fn answered(&self, trace: &Trace, milliseconds: f64) -> String {
        let everywhere = |leg| trace.journey(leg).is_some_and(|way| way.visits.iter().all(|visit| visit.known == Known::Both));
        let agreed = trace.differences.is_empty() && everywhere(Leg::Request) && everywhere(Leg::Reply);
        let seen = if agreed { " Seen on every segment, as the tables say." } else { "" };
        format!("Answered after {milliseconds:.2} ms.{seen}")
    }

    fn died(&self, trace: &Trace, death: &Death) -> String {
        let node = trace.word(trace.furthest(death));
        match death.leg {
            Leg::Request => format!("No answer: the request gets as far as {node}."),
            Leg::Reply => format!("No answer: the request arrives, its reply gets as far as {node}."),
        }
    }

    fn cause(&self, trace: &Trace, cause: &Cause) -> String {
        causes::cause(self, trace, cause)
    }

    fn details(&self, trace: &Trace, cause: &Cause) -> Vec<String> {
        match cause {
            Cause::Loop { routes, .. } => {
                routes.iter().map(|(node, route)| format!("{}: {}", trace.word(node), self.route(route))).collect()
            }
            _ => Vec::new(),
        }
    }

    fn advice(&self, trace: &Trace, cause: &Cause) -> Option<String> {
        causes::advice(trace, cause)
    }

    fn note(&self, trace: &Trace, note: &Note) -> String {
        format!("Note: {}", causes::cause(self, trace, &note.cause))
    }

    fn because(&self, certain: bool) -> &'static str {
        if certain { "Cause:" } else { "Perhaps:" }
    }

    fn cure(&self) -> &'static str {
        "Cure:"
    }
}

fn leg_word(leg: Leg) -> &'static str {
    match leg {
        Leg::Request => "request",
        Leg::Reply => "reply",
    }
}

fn by(visit: &Visit) -> String {
    visit.enters.as_ref().map(|enters| format!(" by {enters}")).unwrap_or_default()
}

fn frame(trace: &Trace, frame: &Frame) -> String {
    let station = |station: &Station| match &station.owner {
        Some(owner) => format!("{} ({})", station.mac, trace.interface(owner)),
        None => station.mac.clone(),
    };
    format!("{} -> {}, TTL {}", station(&frame.source), station(&frame.destination), frame.ttl)
}
