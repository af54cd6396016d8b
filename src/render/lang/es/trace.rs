//! Sentences about the way of a packet.

use super::{Spanish, causes, count};
use crate::render::lang::trace::Tracing;
use crate::report::trace::{
    Cause, Death, Deed, Difference, Frame, IcmpMessage, IcmpWord, Known, Leg, Note, Resolution, Route, Trace, Visit,
};
use crate::report::wire::Station;

impl Tracing for Spanish {
    fn title(&self, trace: &Trace) -> String {
        let to = trace.to_node.as_ref().map(|node| format!(" ({})", trace.word(node))).unwrap_or_default();
        format!(
            "De {} a {}{to}: una petición de eco de {}, TTL {}.",
            trace.word(&trace.from),
            trace.to,
            count(usize::try_from(trace.size).unwrap_or(usize::MAX), "byte", "bytes"),
            trace.ttl
        )
    }

    fn leg(&self, trace: &Trace, leg: Leg) -> String {
        let name = match leg {
            Leg::Request => "La petición",
            Leg::Reply => "La respuesta",
        };
        match trace.journey(leg) {
            Some(journey) => match journey.source {
                Some(source) => format!("{name}: {source} -> {}", journey.destination),
                None => format!("{name}: a {}", journey.destination),
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
                format!("su ruta: {}", self.route(route))
            }
            Deed::Sends(route) => {
                let sends = if leg == Leg::Request { "envía" } else { "responde" };
                format!("{sends}: {}", self.route(route))
            }
            Deed::Bridges { bridge, floods } => {
                let ports = match (&visit.enters, &visit.leaves) {
                    (Some(enters), Some(leaves)) => format!(": {enters} -> {leaves}"),
                    _ => String::new(),
                };
                let flood = if *floods { ", por todos los puertos: aún no conoce la MAC" } else { "" };
                format!("puenteada sin cambios por {bridge}{ports}{flood}")
            }
            Deed::Routes { route, ttl } => {
                let left = visit.frame.as_ref().map_or_else(|| ttl.saturating_sub(1), |frame| frame.ttl);
                let rewritten = format!("; MACs reescritas, TTL\u{a0}{ttl}\u{a0}->\u{a0}{left}");
                format!("enrutada: {}{rewritten}", self.route(route))
            }
            Deed::Passes { .. } => match (&visit.enters, &visit.leaves) {
                (Some(enters), Some(leaves)) => format!("la pasa: {enters} -> {leaves}"),
                (None, Some(leaves)) => format!("la envía por {leaves}"),
                _ => "la pasa".to_owned(),
            },
            Deed::Receives => format!("recibe {}{}", leg_word(leg), by(visit)),
            Deed::Drops => match &visit.enters {
                Some(enters) => format!("entra por {enters} y no sigue"),
                None => "no la envía".to_owned(),
            },
        }
    }

    fn known(&self, known: Known) -> Option<&'static str> {
        match known {
            Known::Both => None,
            Known::Predicted => Some("(previsto, no visto)"),
            Known::Observed => Some("(visto; las tablas dicen otra cosa)"),
            Known::File => Some("(en la otra máquina: según el fichero)"),
        }
    }

    fn resolution(&self, trace: &Trace, resolution: &Resolution) -> String {
        let protocol = if resolution.address.is_ipv6() { "ND" } else { "ARP" };
        let asked = format!("Antes, {protocol}: ¿quién tiene {}?", resolution.address);
        match &resolution.answer {
            Some(Station { mac, owner: Some(owner) }) => format!("{asked} {}, en {mac}", trace.interface(owner)),
            Some(Station { mac, owner: None }) => format!("{asked} Está en {mac}"),
            None => format!("{asked} No responde nadie"),
        }
    }

    fn seen(&self, times: u32) -> String {
        format!("vista {times} veces")
    }

    fn message(&self, trace: &Trace, message: &IcmpMessage) -> String {
        let who = match &message.node {
            Some(node) => format!("{} ({})", trace.word(node), message.from),
            None => message.from.to_string(),
        };
        let what = match message.says {
            IcmpWord::NoRoute => "red de destino inalcanzable".to_owned(),
            IcmpWord::HostUnreachable => "host de destino inalcanzable".to_owned(),
            IcmpWord::PortUnreachable => "puerto de destino inalcanzable".to_owned(),
            IcmpWord::Prohibited => "comunicación prohibida".to_owned(),
            IcmpWord::TooBig { mtu } => format!("el paquete es demasiado grande, pasan {mtu} bytes como mucho"),
            IcmpWord::TimeExceeded => "TTL agotado".to_owned(),
            IcmpWord::Other { kind, code } => format!("tipo {kind}, código {code}"),
        };
        let about = if message.leg == Leg::Reply { " (sobre la respuesta)" } else { "" };
        format!("ICMP de {who}: {what}{about}")
    }

    fn difference(&self, trace: &Trace, difference: &Difference) -> String {
        match difference {
            Difference::Way { leg, node, predicted, observed } => {
                let node = trace.word(node);
                let it = leg_word(*leg);
                let by = |interface: &Option<String>, leaves: &str, stays: &str| match interface {
                    Some(interface) => format!("{leaves} de {node} por {interface}"),
                    None => format!("no {stays} de {node}"),
                };
                let (expected, seen) = (by(predicted, "saldría", "pasaría"), by(observed, "sale", "pasa"));
                format!("Según las tablas {it} {expected}; se ha visto otra cosa: {seen}.")
            }
            Difference::Frame { leg, interface, predicted, observed } => format!(
                "Según las tablas {} sale de {} con {}; se ha visto con {}.",
                leg_word(*leg),
                trace.interface(interface),
                frame(trace, predicted),
                frame(trace, observed)
            ),
            Difference::Translation { leg, node, before: (from, to), after: (new_from, new_to) } => format!(
                "{} pone otras direcciones en {} (NAT): {from} -> {to} pasa a ser {new_from} -> {new_to}.",
                trace.word(node),
                leg_word(*leg)
            ),
            Difference::Lives { cause } => {
                format!("Según las tablas no debería haber habido respuesta: {}", causes::cause(self, trace, cause))
            }
        }
    }

    fn answered(&self, trace: &Trace, milliseconds: f64) -> String {
        let everywhere = |leg| trace.journey(leg).is_some_and(|way| way.visits.iter().all(|visit| visit.known == Known::Both));
        let agreed = trace.differences.is_empty() && everywhere(Leg::Request) && everywhere(Leg::Reply);
        let seen = if agreed { " Se ha visto en todos los segmentos, como dicen las tablas." } else { "" };
        format!("Respondido en {milliseconds:.2} ms.{seen}")
    }

    fn died(&self, trace: &Trace, death: &Death) -> String {
        let node = trace.word(trace.furthest(death));
        match death.leg {
            Leg::Request => format!("Sin respuesta: la petición no pasa de {node}."),
            Leg::Reply => format!("Sin respuesta: la petición llega, pero su respuesta no pasa de {node}."),
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
        format!("Nota: {}", causes::cause(self, trace, &note.cause))
    }

    fn because(&self, certain: bool) -> &'static str {
        if certain { "Causa:" } else { "Quizá:" }
    }

    fn cure(&self) -> &'static str {
        "Remedio:"
    }
}

fn leg_word(leg: Leg) -> &'static str {
    match leg {
        Leg::Request => "la petición",
        Leg::Reply => "la respuesta",
    }
}

fn by(visit: &Visit) -> String {
    visit.enters.as_ref().map(|enters| format!(" por {enters}")).unwrap_or_default()
}

fn frame(trace: &Trace, frame: &Frame) -> String {
    let station = |station: &Station| match &station.owner {
        Some(owner) => format!("{} ({})", station.mac, trace.interface(owner)),
        None => station.mac.clone(),
    };
    format!("{} -> {}, TTL {}", station(&frame.source), station(&frame.destination), frame.ttl)
}
