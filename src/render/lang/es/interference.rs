//! Lo que estorba a un laboratorio que tiene un papel en la máquina, en palabras.

use crate::render::escape::escape;
use crate::render::lang::{Message, say};
use crate::report::interference::{Filter, Interference, Obstacle, Traffic};

pub(super) fn message(found: &Interference) -> Message {
    let lab = found.lab.as_deref();
    let message = match &found.obstacle {
        Obstacle::Filter { traffic, filter } => filtered(found, traffic, filter),
        Obstacle::Manager { interface, service, pid, certain } => {
            let (nic, name) = (escape(interface), service.name());
            let process = pid.map_or(String::new(), |pid| format!(" (proceso {pid})"));
            let what = if *certain {
                format!("{}{name}{process} configura {nic}", of(lab))
            } else {
                format!("{}{name}{process} no nombra ninguna interfaz, y puede configurar {nic}", of(lab))
            };
            let refuses = if lab.is_none() && *certain { " Con --role nslab la rechaza." } else { "" };
            say(what).why(format!("Puede cambiar sus direcciones, sus rutas y su estado en cualquier momento.{refuses}"))
        }
        Obstacle::ReversePath { interface, from, leaves } => {
            let way = leaves.as_ref().map_or("no sabe llegar allí".to_owned(), |way| format!("llega allí por {}", escape(way)));
            say(format!("{}los paquetes de {from} que entran por {} se descartan", of(lab), escape(interface)))
                .why(format!("El filtro de camino inverso es estricto (rp_filter=1), y esta máquina {way}."))
        }
        Obstacle::Ipv6Off { interface } => say(format!("{}IPv6 está apagado en {}", of(lab), escape(interface)))
            .why("El laboratorio tiene allí direcciones IPv6 (disable_ipv6=1)."),
    };
    found.cures.iter().fold(message, |message, way| message.hint(way.join(" && ")))
}

/// El laboratorio, antes de lo que se dice de él.
fn of(lab: Option<&str>) -> String {
    lab.map_or(String::new(), |lab| format!("{}: ", escape(lab)))
}

fn filtered(found: &Interference, traffic: &Traffic, filter: &Filter) -> Message {
    let lab = found.lab.as_deref();
    let family = |ipv6: bool| if ipv6 { " IPv6" } else { "" };
    let (dropped, netfilter) = match traffic {
        Traffic::Bridged { bridge, netfilter, ipv6, .. } => {
            let which = bridge.as_ref().map_or("un bridge".to_owned(), |bridge| escape(bridge).into_owned());
            (format!("las tramas{} entre los puertos de {which}", family(*ipv6)), *netfilter)
        }
        Traffic::Routed { interfaces, ipv6 } => {
            (format!("los paquetes{} que reenvía esta máquina{}", family(*ipv6), from(lab, interfaces)), false)
        }
        Traffic::Received { interfaces, ipv6 } => {
            (format!("los pings{} a las direcciones de esta máquina{}", family(*ipv6), from(lab, interfaces)), false)
        }
    };
    let drops = if filter.certain { "descarta" } else { "puede descartar" };
    let mut why = Vec::new();
    if lab.is_none() {
        why.push("No afecta a un laboratorio en una sola máquina, sí a uno con --role.");
    }
    why.push(match (filter.policy, filter.certain) {
        (true, true) => "Su política es descartar, y ninguna regla suya lo impide.",
        (false, true) => "Lo dice una regla suya.",
        (true, false) => "Su política es descartar; nslab no sabe si alguna regla suya lo impide.",
        (false, false) => "Lo dice una regla suya; nslab no sabe si otra anterior lo impide.",
    });
    why.extend(filter.passes.iter().map(|load| if *load == "ping" { "Los pings pasan." } else { "TCP pasa." }));
    if netfilter {
        why.push("Ve las tramas de los bridges por br_netfilter.");
    }
    if found.cures.is_empty() {
        why.push("nslab up --role dice qué escribir, con los nombres del laboratorio.");
    }
    say(format!("{}{} {drops} {dropped}", of(lab), chain(filter))).why(why.join(" "))
}

fn from(lab: Option<&str>, interfaces: &[String]) -> String {
    let names: Vec<_> = interfaces.iter().take(4).map(|name| escape(name)).collect();
    let more = if interfaces.len() > names.len() { ", ..." } else { "" };
    match lab {
        None => " para un laboratorio".to_owned(),
        Some(_) if names.is_empty() => String::new(),
        Some(_) => format!(" desde {}{more}", names.join(", ")),
    }
}

/// La cadena que descarta, y de quién parece.
fn chain(filter: &Filter) -> String {
    let legacy = if filter.legacy { " de iptables-legacy" } else { "" };
    let makers = match filter.makers.as_slice() {
        [] => String::new(),
        [one] => format!(", donde tiene reglas {one},"),
        many => format!(", donde tienen reglas {},", many.join(" y ")),
    };
    format!("la cadena {} de la tabla {} {}{legacy}{makers}", escape(&filter.chain), filter.family, escape(&filter.table))
}
