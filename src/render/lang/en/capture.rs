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
        Payload::Arp { operation: 1, sender_ip, target_ip, .. } if sender_ip == target_ip => format!("ARP I have {sender_ip}"),
        Payload::Arp { operation: 1, sender_ip, target_ip, .. } if sender_ip.is_unspecified() => {
            format!("ARP has anybody {target_ip}?")
        }
        Payload::Arp { operation: 1, sender_ip, target_ip, .. } => format!("ARP who has {target_ip}? Tell {sender_ip}"),
        Payload::Arp { operation: 2, sender_ip, sender_mac, .. } => format!("ARP {sender_ip} is at {sender_mac}"),
        Payload::Arp { operation, sender_ip, target_ip, .. } => format!("ARP operation {operation}, {sender_ip} > {target_ip}"),
        Payload::Ip(packet) => self::packet(packet),
        Payload::SpanningTree => "spanning tree of bridges (STP)".to_owned(),
        // Below this a type is a length (IEEE 802.3).
        Payload::Other(length) if *length < 1536 => format!("802.3 frame, {}", count((*length).into(), "byte", "bytes")),
        Payload::Other(kind) => format!("type 0x{kind:04x}"),
        Payload::Short => "damaged, or cut short".to_owned(),
    };
    tag + &text
}

/// A packet: addresses, time to live, what it carries.
fn packet(packet: &Packet) -> String {
    let mut text = format!("{} > {} ttl {} {}", packet.source, packet.destination, packet.ttl, body(packet));
    // Writing to a string does not fail.
    if let Some(cut) = packet.fragment {
        let more = if cut.more { ", more follow" } else { "" };
        let _ = write!(text, " (part of packet {}, from byte {}{more})", cut.id, cut.offset);
    }
    if let Some(Recorded { addresses, free }) = &packet.route {
        let way = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let way = if way.is_empty() { "nothing yet".to_owned() } else { way };
        let _ = write!(text, "; route recorded: {way} ({} free)", count(usize::from(*free), "slot", "slots"));
    }
    text
}

fn body(packet: &Packet) -> String {
    let icmp = if packet.source.is_ipv6() { "ICMPv6" } else { "ICMP" };
    match &packet.body {
        Body::Echo { reply, id, sequence } => {
            format!("{icmp} echo {} id {id} seq {sequence}", if *reply { "reply" } else { "request" })
        }
        Body::TimeExceeded { code, quoted } => {
            let what = if *code == 0 { "time to live ran out" } else { "parts came too late" };
            format!("{icmp} {what}{}", about(quoted.as_deref()))
        }
        Body::Unreachable { code, mtu, quoted } => {
            format!("{icmp} {}{}", unreachable(packet.source, *code, *mtu), about(quoted.as_deref()))
        }
        Body::TooBig { mtu, quoted } => format!("{icmp} packet too big, MTU {mtu}{}", about(quoted.as_deref())),
        Body::Redirect { gateway, quoted } => format!("{icmp} redirect to {gateway}{}", about(quoted.as_deref())),
        Body::Solicitation { target, .. } => format!("{icmp} who has {target}?"),
        Body::Advertisement { target, mac: Some(mac) } => format!("{icmp} {target} is at {mac}"),
        Body::Advertisement { target, mac: None } => format!("{icmp} I have {target}"),
        Body::Icmp { kind, code } => format!("{icmp} {}", message(packet.source.is_ipv6(), *kind, *code)),
        Body::Udp { source, destination, length } => {
            format!("UDP port {source} > {destination}, {}", count(usize::from(*length), "byte", "bytes"))
        }
        Body::Tcp { source, destination, flags, sequence, length, .. } => {
            let flags = self::flags(*flags);
            let bytes = if *length > 0 { format!(", {}", count(*length as usize, "byte", "bytes")) } else { String::new() };
            format!("TCP port {source} > {destination} [{flags}] seq {sequence}{bytes}")
        }
        Body::Part => format!("{}, a later part", named(packet.protocol)),
        Body::Other => named(packet.protocol),
        Body::Short => format!("{}, damaged or cut short", named(packet.protocol)),
    }
}

/// The packet that an error message is about.
fn about(quoted: Option<&Packet>) -> String {
    quoted.map_or_else(String::new, |quoted| format!(", about: {}", packet(quoted)))
}

fn unreachable(source: IpAddr, code: u8, mtu: Option<u16>) -> String {
    let what = match (source, code) {
        (IpAddr::V4(_), 0) => "network unreachable",
        (IpAddr::V4(_), 1) | (IpAddr::V6(_), 3) => "host unreachable",
        (IpAddr::V4(_), 2) => "protocol unreachable",
        (IpAddr::V4(_), 3) | (IpAddr::V6(_), 4) => "port unreachable",
        (IpAddr::V4(_), 4) => return format!("too big and may not be cut, MTU {}", mtu.unwrap_or_default()),
        (IpAddr::V4(_), 9 | 10 | 13) | (IpAddr::V6(_), 1) => "prohibited by a filter or route",
        (IpAddr::V6(_), 0) => "no route",
        (IpAddr::V6(_), 5) => "source address refused",
        (IpAddr::V6(_), 6) => "route rejected",
        _ => return format!("unreachable, code {code}"),
    };
    what.to_owned()
}

/// Messages that are no errors (IANA).
fn message(six: bool, kind: u8, code: u8) -> String {
    let what = match (six, kind) {
        (true, 130) => "multicast listener query",
        (true, 131 | 143) => "multicast listener report",
        (true, 132) => "multicast listener done",
        (true, 133) | (false, 10) => "router solicitation",
        (true, 134) | (false, 9) => "router advertisement",
        (false, 12) | (true, 4) => "parameter problem",
        (false, 13) => "timestamp request",
        (false, 14) => "timestamp reply",
        _ => return format!("type {kind} code {code}"),
    };
    what.to_owned()
}

fn named(number: u8) -> String {
    match (number, protocol(number)) {
        (_, Some(name)) => name.to_owned(),
        (59, None) => "nothing".to_owned(),
        (_, None) => format!("protocol {number}"),
    }
}

pub(super) fn listening(points: &[String]) -> String {
    format!("listening at {}; Ctrl-C ends it", listed(points))
}

pub(super) fn down(points: &[String]) -> String {
    let verb = if points.len() == 1 { "is" } else { "are" };
    format!("{} {verb} down; the capture goes on", listed(points))
}

pub(super) fn gone(points: &[String], left: usize) -> String {
    let verb = if points.len() == 1 { "is" } else { "are" };
    let after = if left == 0 { "nothing is left to listen at" } else { "the capture goes on" };
    format!("{} {verb} gone; {after}", listed(points))
}

pub(super) fn end(end: &End, file: Option<&str>) -> String {
    let frames = count(usize::try_from(end.frames).unwrap_or(usize::MAX), "frame", "frames");
    let into = file.map(|file| format!(" in {}", crate::render::escape::escape(file))).unwrap_or_default();
    let seconds = format!("{}.{:01} s", end.milliseconds / 1000, end.milliseconds / 100 % 10);
    if end.dropped.is_empty() {
        return format!("{frames}{into}, {seconds}, none lost");
    }
    let lost: Vec<String> = end.dropped.iter().map(|dropped| format!("{} at {}", dropped.frames, dropped.point)).collect();
    format!("{frames}{into}, {seconds}; LOST for want of room: {}", listed(&lost))
}
