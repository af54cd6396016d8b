//! Frames in words, and what is said around a capture.

use std::fmt::Write;
use std::net::IpAddr;

use super::count;
use super::errors::listed;
use crate::render::lang::{flags, protocol};
use crate::report::capture::End;
use crate::report::frame::{Body, Packet, Payload, Recorded};

pub(super) fn payload(vlan: Option<u16>, payload: &Payload) -> String {
    let tag = vlan.map(|vlan| format!("VLAN {vlan} ")).unwrap_or_default();
    let text = match payload {
        Payload::Arp { operation: 1, sender_ip, target_ip, .. } if sender_ip == target_ip => {
            format!("ARP yo tengo {sender_ip}")
        }
        Payload::Arp { operation: 1, sender_ip, target_ip, .. } if sender_ip.is_unspecified() => {
            format!("ARP ¿alguien tiene {target_ip}?")
        }
        Payload::Arp { operation: 1, sender_ip, target_ip, .. } => {
            format!("ARP ¿quién tiene {target_ip}? Dígalo a {sender_ip}")
        }
        Payload::Arp { operation: 2, sender_ip, sender_mac, .. } => format!("ARP {sender_ip} está en {sender_mac}"),
        Payload::Arp { operation, sender_ip, target_ip, .. } => {
            format!("ARP operación {operation}, {sender_ip} > {target_ip}")
        }
        Payload::Ip(packet) => self::packet(packet),
        Payload::SpanningTree => "spanning tree entre bridges (STP)".to_owned(),
        // Below this a type is a length (IEEE 802.3).
        Payload::Other(length) if *length < 1536 => format!("trama 802.3, {}", bytes((*length).into())),
        Payload::Other(kind) => format!("tipo 0x{kind:04x}"),
        Payload::Short => "dañada o cortada".to_owned(),
    };
    tag + &text
}

fn bytes(number: usize) -> String {
    count(number, "byte", "bytes")
}

/// A packet: addresses, time to live, what it carries.
fn packet(packet: &Packet) -> String {
    let mut text = format!("{} > {} ttl {} {}", packet.source, packet.destination, packet.ttl, body(packet));
    // Writing to a string does not fail.
    if let Some(cut) = packet.fragment {
        let more = if cut.more { ", siguen más" } else { "" };
        let _ = write!(text, " (fragmento del paquete {}, desde el byte {}{more})", cut.id, cut.offset);
    }
    if let Some(Recorded { addresses, free }) = &packet.route {
        let way = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let way = if way.is_empty() { "nada todavía".to_owned() } else { way };
        let free = count(usize::from(*free), "hueco libre", "huecos libres");
        let _ = write!(text, "; ruta apuntada: {way} ({free})");
    }
    text
}

fn body(packet: &Packet) -> String {
    let icmp = if packet.source.is_ipv6() { "ICMPv6" } else { "ICMP" };
    match &packet.body {
        Body::Echo { reply, id, sequence } => {
            format!("{icmp} {} de eco id {id} seq {sequence}", if *reply { "respuesta" } else { "petición" })
        }
        Body::TimeExceeded { code, quoted } => {
            let what = if *code == 0 { "TTL agotado" } else { "los fragmentos llegaron tarde" };
            format!("{icmp} {what}{}", about(quoted.as_deref()))
        }
        Body::Unreachable { code, mtu, quoted } => {
            format!("{icmp} {}{}", unreachable(packet.source, *code, *mtu), about(quoted.as_deref()))
        }
        Body::TooBig { mtu, quoted } => format!("{icmp} paquete demasiado grande, MTU {mtu}{}", about(quoted.as_deref())),
        Body::Redirect { gateway, quoted } => format!("{icmp} redirección a {gateway}{}", about(quoted.as_deref())),
        Body::Solicitation { target, .. } => format!("{icmp} ¿quién tiene {target}?"),
        Body::Advertisement { target, mac: Some(mac) } => format!("{icmp} {target} está en {mac}"),
        Body::Advertisement { target, mac: None } => format!("{icmp} yo tengo {target}"),
        Body::Icmp { kind, code } => format!("{icmp} {}", message(packet.source.is_ipv6(), *kind, *code)),
        Body::Udp { source, destination, length } => {
            format!("UDP puerto {source} > {destination}, {}", bytes(usize::from(*length)))
        }
        Body::Tcp { source, destination, flags: set, sequence, length, .. } => {
            let more = if *length > 0 { format!(", {}", bytes(*length as usize)) } else { String::new() };
            format!("TCP puerto {source} > {destination} [{}] seq {sequence}{more}", flags(*set))
        }
        Body::Part => format!("{}, un fragmento posterior", named(packet.protocol)),
        Body::Other => named(packet.protocol),
        Body::Short => format!("{}, dañado o cortado", named(packet.protocol)),
    }
}

/// The packet that an error message is about.
fn about(quoted: Option<&Packet>) -> String {
    quoted.map_or_else(String::new, |quoted| format!(", sobre: {}", packet(quoted)))
}

fn unreachable(source: IpAddr, code: u8, mtu: Option<u16>) -> String {
    let what = match (source, code) {
        (IpAddr::V4(_), 0) => "red inalcanzable",
        (IpAddr::V4(_), 1) | (IpAddr::V6(_), 3) => "host inalcanzable",
        (IpAddr::V4(_), 2) => "protocolo inalcanzable",
        (IpAddr::V4(_), 3) | (IpAddr::V6(_), 4) => "puerto inalcanzable",
        (IpAddr::V4(_), 4) => {
            return format!("demasiado grande y no se puede fragmentar, MTU {}", mtu.unwrap_or_default());
        }
        (IpAddr::V4(_), 9 | 10 | 13) | (IpAddr::V6(_), 1) => "prohibido por un filtro o una ruta",
        (IpAddr::V6(_), 0) => "no hay ruta",
        (IpAddr::V6(_), 5) => "dirección de origen rechazada",
        (IpAddr::V6(_), 6) => "ruta rechazada",
        _ => return format!("inalcanzable, código {code}"),
    };
    what.to_owned()
}

/// Messages that are no errors (IANA).
fn message(six: bool, kind: u8, code: u8) -> String {
    let what = match (six, kind) {
        (true, 130) => "pregunta por miembros de multicast",
        (true, 131 | 143) => "informe de miembro de multicast",
        (true, 132) => "fin de miembro de multicast",
        (true, 133) | (false, 10) => "solicitud de router",
        (true, 134) | (false, 9) => "anuncio de router",
        (false, 12) | (true, 4) => "problema en un parámetro",
        (false, 13) => "petición de marca de tiempo",
        (false, 14) => "respuesta de marca de tiempo",
        _ => return format!("tipo {kind} código {code}"),
    };
    what.to_owned()
}

fn named(number: u8) -> String {
    match (number, protocol(number)) {
        (_, Some(name)) => name.to_owned(),
        (59, None) => "nada".to_owned(),
        (_, None) => format!("protocolo {number}"),
    }
}

pub(super) fn listening(points: &[String]) -> String {
    format!("escuchando en {}; Ctrl-C lo termina", listed(points))
}

pub(super) fn down(points: &[String]) -> String {
    let verb = if points.len() == 1 { "está desactivado" } else { "están desactivados" };
    format!("{} {verb} (down); la captura sigue", listed(points))
}

pub(super) fn gone(points: &[String], left: usize) -> String {
    let verb = if points.len() == 1 { "ya no existe" } else { "ya no existen" };
    let after = if left == 0 { "no queda nada donde escuchar" } else { "la captura sigue" };
    format!("{} {verb}; {after}", listed(points))
}

pub(super) fn end(end: &End, file: Option<&str>) -> String {
    let frames = count(usize::try_from(end.frames).unwrap_or(usize::MAX), "trama", "tramas");
    let into = file.map(|file| format!(" en {}", crate::render::escape::escape(file))).unwrap_or_default();
    let seconds = format!("{}.{:01} s", end.milliseconds / 1000, end.milliseconds / 100 % 10);
    if end.dropped.is_empty() {
        return format!("{frames}{into}, {seconds}, ninguna perdida");
    }
    let lost: Vec<String> = end.dropped.iter().map(|dropped| format!("{} en {}", dropped.frames, dropped.point)).collect();
    format!("{frames}{into}, {seconds}; PERDIDAS por falta de sitio: {}", listed(&lost))
}
