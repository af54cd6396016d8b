//! Which MAC addresses cross a network, in words.

use super::{and, count};
use crate::render::escape::escape;
use crate::render::lang::Beside;
use crate::report::macs::{Census, Kind, Network, Part, Reason};

pub(super) fn network(lab: &Census, network: &Network) -> Vec<String> {
    let ends: Vec<String> = network.ends.iter().map(|end| escape(&lab.names.interface(end)).into_owned()).collect();
    let what = match network.kind {
        Kind::Wire => "un cable",
        Kind::Switch => "un switch",
    };
    let mut lines = vec![format!("{} de {}: {what} entre {}", escape(&network.network), escape(&lab.lab), and(&ends))];
    let pings = lab.pings.map(|pings| format!("{} de {} pings entre los hosts respondidos; ", pings.answered, pings.pairs));
    let frames = usize::try_from(network.frames).unwrap_or(usize::MAX);
    let crossed = if frames == 1 { "ha cruzado" } else { "han cruzado" };
    lines.push(format!(
        "{}{crossed} {}, {} de ellas a todos",
        pings.unwrap_or_default(),
        count(frames, "trama", "tramas"),
        network.broadcasts
    ));
    if network.missed > 0 {
        lines.push(format!("Otras {} pasaron demasiado deprisa para poder mirarlas.", network.missed));
    }
    lines
}

pub(super) fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::Bridged => "puenteado",
        Reason::Routed => "enrutado",
        Reason::Own => "propia",
        Reason::Cloned => "clonada",
        Reason::Unknown => "desconocida",
    }
}

pub(super) fn reasons(lab: &Census, network: &Network) -> Vec<String> {
    let mut lines = Vec::new();
    for reason in [Reason::Bridged, Reason::Routed, Reason::Own, Reason::Cloned, Reason::Unknown] {
        let hosts: Vec<String> = network.hosts_of(reason).map(|host| escape(&lab.names.node(host)).into_owned()).collect();
        if hosts.is_empty() {
            continue;
        }
        let one = hosts.len() == 1;
        let names = and(&hosts);
        lines.push(match reason {
            Reason::Bridged if one => format!(
                "puenteado: el bridge de {names} pasa las tramas sin cambiarlas, así que cruzan las MACs de los propios contenedores."
            ),
            Reason::Bridged => format!(
                "puenteado: los bridges de {names} pasan las tramas sin cambiarlas, así que cruzan las MACs de los propios contenedores."
            ),
            Reason::Routed if one => format!(
                "enrutado: {names} saca cada paquete de su trama y lo pone en una nueva, con su propia MAC; las de los contenedores no salen de ahí."
            ),
            Reason::Routed => format!(
                "enrutado: {names} sacan cada paquete de su trama y lo ponen en una nueva, con su propia MAC; las de los contenedores no salen de ahí."
            ),
            Reason::Own if one => format!("propia: {names} habla por sí mismo."),
            Reason::Own => format!("propia: {names} hablan por sí mismos."),
            Reason::Cloned => {
                "clonada: varios tienen la misma MAC; un switch los toma por uno solo, allí donde la oyó por última vez.".to_owned()
            }
            Reason::Unknown => {
                "desconocida: nadie del laboratorio tiene esta MAC; es inventada, o su dueño la ha cambiado.".to_owned()
            }
        });
    }
    lines
}

pub(super) fn forwarding_table(kind: Kind) -> &'static str {
    match kind {
        Kind::Wire => "Un switch en el lugar del cable tendría en su tabla",
        Kind::Switch => "La tabla de direcciones MAC del switch",
    }
}

pub(super) fn lesson(lab: &Census, network: &Network) -> Vec<String> {
    if network.sources.is_empty() {
        return vec!["No ha cruzado nada.".to_owned()];
    }
    let mut lines = blocked(lab, network);
    if !lines.is_empty() {
        return lines;
    }
    let of = |how: Reason| -> Vec<&Part> { network.hosts.iter().filter(|part| part.how == how).collect() };
    let (bridged, routed) = (of(Reason::Bridged), of(Reason::Routed));
    if !bridged.is_empty() {
        let addresses = network.addresses_of(Reason::Bridged);
        let whose = if routed.is_empty() { String::new() } else { format!(" de {}", and(&names(lab, &bridged))) };
        lines.push(format!(
            "Cada contenedor más{whose} añade una MAC a las {addresses} que hay aquí. Un puerto de switch que permite solo unas \
             pocas (port security) dejaría contenedores sin red, y un broadcast de cualquier contenedor llega a todos: un solo \
             dominio de broadcast."
        ));
    }
    if !routed.is_empty() {
        let addresses = network.addresses_of(Reason::Routed);
        let whose = if bridged.is_empty() { String::new() } else { format!(" de {}", and(&names(lab, &routed))) };
        lines.push(format!(
            "Un contenedor más{whose} no añade ninguna a las {addresses} que hay aquí, sean cuantos sean. Port security no tiene \
             nada que objetar, y los broadcast de los contenedores acaban en su host."
        ));
    }
    lines
}

fn names(lab: &Census, parts: &[&Part]) -> Vec<String> {
    parts.iter().map(|part| escape(&lab.names.node(&part.host)).into_owned()).collect()
}

/// What a lab teaches in which no ping is answered.
fn blocked(lab: &Census, network: &Network) -> Vec<String> {
    let blocked: u64 = network.sources.iter().map(|source| source.blocked).sum();
    let mut lines = Vec::new();
    if blocked > 0 {
        lines.push(format!(
            "El switch no ha entregado {blocked} tramas dirigidas a una sola MAC: esas las da únicamente a las tarjetas de los \
             propios hosts, como hace VirtualBox con el modo promiscuo en «Denegar». Los broadcast sí pasan."
        ));
    }
    match lab.pings {
        Some(pings) if pings.pairs > 0 && pings.answered == 0 => {
            lines.push(
                "No se ha respondido a ningún ping: lo que ha cruzado son preguntas por direcciones MAC y lo que salió de ellas."
                    .to_owned(),
            );
        }
        _ => {}
    }
    lines
}

pub(super) fn growth(bridged: bool, routed: bool) -> &'static str {
    match (bridged, routed) {
        (true, false) => "+1 MAC",
        (false, true) => "+0 MACs",
        (true, true) => "+1 MAC o +0",
        (false, false) => "-",
    }
}

pub(super) fn beside(row: Beside) -> &'static str {
    match row {
        Beside::Network => "red",
        Beside::Addresses => "MACs",
        Beside::Each => "otro contenedor",
        Beside::Answered => "pings respondidos",
        Beside::From => "desde",
    }
}
