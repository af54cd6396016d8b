//! Pings in words.

use nix::errno::Errno;

use super::{count, errors};
use crate::render::escape::escape;
use crate::render::lang::{Failing, Mark, Way};
use crate::report::ping::{Event, Fault, Matrix, Party, Ping, Start, Times};
use crate::report::wire::Names;

pub(super) fn start(start: &Start) -> String {
    let source = start.source.map(|source| format!(" ({source})")).unwrap_or_default();
    let others = match start.others.as_slice() {
        [] => String::new(),
        [other] => format!("; también tiene {other}"),
        [other, rest @ ..] => format!("; también tiene {other} y {} más", rest.len()),
    };
    let from = escape(&start.names.node(&start.from)).into_owned();
    format!("PING {} desde {from}{source}, {} de datos{others}", owned(&start.to, &start.names), bytes(start.size))
}

fn bytes(number: usize) -> String {
    count(number, "byte", "bytes")
}

/// `b1 (10.0.0.21)`: the owner as it is typed, then the address.
fn owned(party: &Party, names: &Names) -> String {
    let interface = |owner| escape(&names.interface(owner)).into_owned();
    party.owner.as_ref().map_or_else(|| party.address.to_string(), |owner| format!("{} ({})", interface(owner), party.address))
}

pub(super) fn event(start: &Start, event: &Event) -> String {
    match event {
        Event::Reply(reply) => {
            let ttl = reply.ttl.map(|ttl| format!(" ttl={ttl}")).unwrap_or_default();
            let again = if reply.duplicate { " (una segunda respuesta a la misma petición)" } else { "" };
            let from = owned(&reply.from, &start.names);
            let milliseconds = reply.milliseconds;
            format!("{} de {from}: seq={}{ttl} tiempo={milliseconds:.3} ms{again}", bytes(reply.bytes), reply.sequence)
        }
        Event::Error { sequence, from: Some(from), fault } => {
            format!("De {}: seq={sequence} {}", owned(from, &start.names), said(*fault))
        }
        Event::Error { sequence, from: None, fault } => {
            format!("seq={sequence} no se ha enviado: {}", said(*fault))
        }
    }
}

fn said(fault: Fault) -> String {
    match fault {
        Fault::TimeExceeded => "se ha agotado el TTL".to_owned(),
        Fault::FragmentsMissing => "no han llegado a tiempo todos los fragmentos".to_owned(),
        Fault::NetUnreachable => "red de destino inalcanzable: no hay ruta".to_owned(),
        Fault::HostUnreachable => "host de destino inalcanzable: nadie dice su dirección MAC".to_owned(),
        Fault::ProtocolUnreachable => "protocolo de destino inalcanzable".to_owned(),
        Fault::PortUnreachable => "puerto de destino inalcanzable".to_owned(),
        Fault::Prohibited => "prohibido por un filtro o una ruta".to_owned(),
        Fault::TooBig { mtu } => format!("demasiado grande para el siguiente enlace, y no se puede fragmentar: su MTU es {mtu}"),
        Fault::Redirect { gateway } => format!("redirección: {gateway} sería mejor router"),
        Fault::Other { kind, code } => format!("error ICMP, tipo {kind}, código {code}"),
        Fault::Unsent { errno } => unsent(errno),
    }
}

/// Why the sender's kernel refuses.
fn unsent(errno: i32) -> String {
    let said = match Errno::from_raw(errno) {
        Errno::ENETUNREACH => "no hay ruta hacia esa dirección",
        Errno::EHOSTUNREACH => "una ruta unreachable, o nadie dice la dirección MAC",
        Errno::EACCES => "una ruta prohibit, o una dirección de broadcast",
        Errno::EINVAL => "una ruta blackhole",
        Errno::EPERM => "lo descarta un filtro de paquetes de quien envía",
        Errno::EMSGSIZE => "es mayor que la MTU del interfaz, o de lo que puede ser un datagrama",
        Errno::ENETDOWN => "el interfaz está desactivado (down)",
        _ => return errors::reason(errno),
    };
    said.to_owned()
}

pub(super) fn recorded(way: Way) -> &'static str {
    match way {
        Way::There => "ida",
        Way::Back => "vuelta",
        Way::AsBefore => "Ruta: la misma que antes",
    }
}

pub(super) fn recorded_note(full: bool) -> Vec<String> {
    let mut lines = Vec::new();
    if full {
        lines.push("Los nueve huecos están llenos: quien vino después no pudo escribir su dirección.".to_owned());
    }
    lines.extend(
        [
            "Record route apunta la dirección por la que cada nodo envía el paquete.",
            "traceroute apunta aquella por la que entró, y solo a la ida: es otra lista.",
        ]
        .map(str::to_owned),
    );
    lines
}

pub(super) fn end(ping: &Ping) -> Vec<String> {
    let lost = ping.sent.saturating_sub(ping.received);
    let percent = (lost * 100).checked_div(ping.sent).unwrap_or(0);
    let time = |times: Times| format!("; mín/med/máx {:.3}/{:.3}/{:.3} ms", times.min, times.avg, times.max);
    let times = ping.times.map(time).unwrap_or_default();
    let mut lines = vec![format!("{} enviados, {} respondidos, {percent} % perdidos{times}", ping.sent, ping.received)];
    if ping.received == 0 {
        let start = &ping.start;
        let from = escape(&start.names.node(&start.from)).into_owned();
        lines.push(format!("Pruebe: nslab trace {from} {}", start.to.address));
    }
    lines
}

pub(super) fn marks(marks: &[Mark]) -> String {
    let each = marks.iter().map(|mark| match mark {
        Mark::Answered => ". respondido",
        Mark::Only4 => "4 solo por IPv4",
        Mark::Only6 => "6 solo por IPv6",
        Mark::Failed => "X sin respuesta",
        Mark::NoAddress => "? sin familia de direcciones en común",
    });
    each.collect::<Vec<_>>().join(", ")
}

pub(super) fn failing(group: &Failing) -> String {
    match group {
        Failing::Node(node) => format!("{}: no se responde a ningún ping desde él ni hacia él", escape(node)),
        Failing::Hosts(from, to, pairs) if from == to => {
            format!("entre los contenedores de {}: ninguno de {} responde", escape(from), count(*pairs, "par", "pares"))
        }
        Failing::Hosts(from, to, pairs) => format!(
            "de los contenedores de {} a los de {}: ninguno de {} responde",
            escape(from),
            escape(to),
            count(*pairs, "par", "pares")
        ),
        Failing::Pair(from, to, mark, faults) => {
            let how = match mark {
                Mark::Only4 => "sin respuesta por IPv6",
                Mark::Only6 => "sin respuesta por IPv4",
                Mark::NoAddress => "sin direcciones de una familia que tengan los dos",
                _ => "sin respuesta",
            };
            let why = faults.first().map(|fault| format!(": {}", said(*fault))).unwrap_or_default();
            format!("{} -> {}: {how}{why}", escape(from), escape(to))
        }
        Failing::More(number) => format!("y {}", count(*number, "par más", "pares más")),
    }
}

pub(super) fn matrix_end(matrix: &Matrix) -> Vec<String> {
    if matrix.pairs == 0 {
        let lab = escape(&matrix.lab);
        return vec![format!("{lab} no tiene dos contenedores que se hagan ping; --hosts añade los hosts con dirección.")];
    }
    let pairs = count(matrix.pairs, "par", "pares");
    let mut lines = vec![format!(
        "{pairs}: {} con respuesta, {} sin ella; {:.0} ms",
        matrix.answered,
        matrix.failed.len(),
        matrix.milliseconds
    )];
    if matrix.rounds > 1 {
        lines.push(format!(
            "En {} rondas: esta máquina recuerda {} vecinos como mucho (net.ipv4.neigh.default.gc_thresh3).",
            matrix.rounds, matrix.limit
        ));
    }
    if let Some(pair) = matrix.failed.first() {
        let (from, to) = (matrix.names.node(&pair.from), matrix.names.node(&pair.to));
        lines.push(format!("Pruebe: nslab trace {} {}", escape(&from), escape(&to)));
    }
    lines
}
