//! Frames, what is said around a capture, and which MAC addresses cross a network.

use std::net::IpAddr;

use crate::render::lang::{Lang, and, flags, listed, n, protocol, t, w};
use crate::report::wire::{Body, Census, Direction, End, Kind, Network, Packet, Part, Payload, Reason, Recorded};

/// What a frame carries.
pub fn payload(lang: Lang, vlan: Option<u16>, payload: &Payload) -> String {
    let tag = vlan.map(|vlan| format!("VLAN {vlan} ")).unwrap_or_default();
    let text = match payload {
        Payload::Arp { operation: 1, sender_ip: sender, target_ip, .. } if sender == target_ip => {
            t!(lang, "ARP I have {sender}", sender)
        }
        Payload::Arp { operation: 1, sender_ip: sender, target_ip: target, .. } if sender.is_unspecified() => {
            t!(lang, "ARP has anybody {target}?", target)
        }
        Payload::Arp { operation: 1, sender_ip: sender, target_ip: target, .. } => {
            t!(lang, "ARP who has {target}? Tell {sender}", target, sender)
        }
        Payload::Arp { operation: 2, sender_ip: sender, sender_mac: mac, .. } => {
            t!(lang, "ARP {sender} is at {mac}", sender, mac)
        }
        Payload::Arp { operation, sender_ip: sender, target_ip: target, .. } => {
            t!(lang, "ARP operation {operation}, {sender} > {target}", operation, sender, target)
        }
        Payload::Ip(packet) => self::packet(lang, packet),
        Payload::SpanningTree => t!(lang, "spanning tree of bridges (STP)"),
        // Below this a type is a length (IEEE 802.3).
        Payload::Other(length) if *length < 1536 => t!(lang, "802.3 frame, {bytes}", bytes = bytes(lang, (*length).into())),
        Payload::Other(kind) => t!(lang, "type {kind}", kind = format!("0x{kind:04x}")),
        Payload::Short => t!(lang, "damaged, or cut short"),
    };
    tag + &text
}

fn bytes(lang: Lang, number: usize) -> String {
    n!(lang, number, "byte", "bytes")
}

/// A packet: addresses, time to live, what it carries.
fn packet(lang: Lang, packet: &Packet) -> String {
    let mut text = format!("{} > {} ttl {} {}", packet.source, packet.destination, packet.ttl, body(lang, packet));
    if let Some(cut) = packet.fragment {
        let (id, offset) = (cut.id, cut.offset);
        text = if cut.more {
            t!(lang, "{text} (part of packet {id}, from byte {offset}, more follow)", text, id, offset)
        } else {
            t!(lang, "{text} (part of packet {id}, from byte {offset})", text, id, offset)
        };
    }
    if let Some(Recorded { addresses, free }) = &packet.route {
        let way = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let way = if way.is_empty() { w!(lang, "nothing yet") } else { &way };
        let free = n!(lang, *free, "slot free", "slots free");
        text = t!(lang, "{text}; route recorded: {way} ({free})", text, way, free);
    }
    text
}

fn body(lang: Lang, packet: &Packet) -> String {
    let icmp = if packet.source.is_ipv6() { "ICMPv6" } else { "ICMP" };
    let named = || named(lang, packet.protocol);
    match &packet.body {
        Body::Echo { reply: true, id, sequence, .. } => t!(lang, "{icmp} echo reply id {id} seq {sequence}", icmp, id, sequence),
        Body::Echo { reply: false, id, sequence, .. } => {
            t!(lang, "{icmp} echo request id {id} seq {sequence}", icmp, id, sequence)
        }
        Body::TimeExceeded { code: 0, quoted } => about(lang, t!(lang, "{icmp} time to live ran out", icmp), quoted.as_deref()),
        Body::TimeExceeded { quoted, .. } => about(lang, t!(lang, "{icmp} parts came too late", icmp), quoted.as_deref()),
        Body::Unreachable { code, mtu, quoted } => {
            about(lang, format!("{icmp} {}", unreachable(lang, packet.source, *code, *mtu)), quoted.as_deref())
        }
        Body::TooBig { mtu, quoted } => about(lang, t!(lang, "{icmp} packet too big, MTU {mtu}", icmp, mtu), quoted.as_deref()),
        Body::Redirect { gateway, quoted } => {
            about(lang, t!(lang, "{icmp} redirect to {gateway}", icmp, gateway), quoted.as_deref())
        }
        Body::Solicitation { target, .. } => t!(lang, "{icmp} who has {target}?", icmp, target),
        Body::Advertisement { target, mac: Some(mac) } => t!(lang, "{icmp} {target} is at {mac}", icmp, target, mac),
        Body::Advertisement { target, mac: None } => t!(lang, "{icmp} I have {target}", icmp, target),
        Body::Icmp { kind, code, .. } => format!("{icmp} {}", message(lang, packet.source.is_ipv6(), *kind, *code)),
        Body::Udp { source, destination, length } => {
            let bytes = bytes(lang, usize::from(*length));
            t!(lang, "UDP port {source} > {destination}, {bytes}", source, destination, bytes)
        }
        Body::Tcp { source, destination, flags, sequence, length, .. } => {
            let flags = self::flags(*flags);
            let bytes = if *length > 0 { format!(", {}", bytes(lang, *length as usize)) } else { String::new() };
            t!(
                lang,
                "TCP port {source} > {destination} [{flags}] seq {sequence}{bytes}",
                source,
                destination,
                flags,
                sequence,
                bytes
            )
        }
        Body::Part => t!(lang, "{protocol}, a later part", protocol = named()),
        Body::Other => named(),
        Body::Short => t!(lang, "{protocol}, damaged or cut short", protocol = named()),
    }
}

/// An error message, and the packet that it is about.
fn about(lang: Lang, what: String, quoted: Option<&Packet>) -> String {
    match quoted {
        Some(quoted) => t!(lang, "{what}, about: {packet}", what, packet = packet(lang, quoted)),
        None => what,
    }
}

fn unreachable(lang: Lang, source: IpAddr, code: u8, mtu: Option<u16>) -> String {
    match (source, code) {
        (IpAddr::V4(_), 0) => t!(lang, "network unreachable"),
        (IpAddr::V4(_), 1) | (IpAddr::V6(_), 3) => t!(lang, "host unreachable"),
        (IpAddr::V4(_), 2) => t!(lang, "protocol unreachable"),
        (IpAddr::V4(_), 3) | (IpAddr::V6(_), 4) => t!(lang, "port unreachable"),
        (IpAddr::V4(_), 4) => t!(lang, "too big and may not be cut, MTU {mtu}", mtu = mtu.unwrap_or_default()),
        (IpAddr::V4(_), 9 | 10 | 13) | (IpAddr::V6(_), 1) => t!(lang, "prohibited by a filter or route"),
        (IpAddr::V6(_), 0) => t!(lang, "no route"),
        (IpAddr::V6(_), 5) => t!(lang, "source address refused"),
        (IpAddr::V6(_), 6) => t!(lang, "route rejected"),
        _ => t!(lang, "unreachable, code {code}", code),
    }
}

/// Messages that are no errors (IANA).
fn message(lang: Lang, six: bool, kind: u8, code: u8) -> String {
    match (six, kind) {
        (true, 130) => t!(lang, "multicast listener query"),
        (true, 131 | 143) => t!(lang, "multicast listener report"),
        (true, 132) => t!(lang, "multicast listener done"),
        (true, 133) | (false, 10) => t!(lang, "router solicitation"),
        (true, 134) | (false, 9) => t!(lang, "router advertisement"),
        (false, 12) | (true, 4) => t!(lang, "parameter problem"),
        (false, 13) => t!(lang, "timestamp request"),
        (false, 14) => t!(lang, "timestamp reply"),
        _ => t!(lang, "type {kind} code {code}", kind, code),
    }
}

fn named(lang: Lang, number: u8) -> String {
    match (number, protocol(number)) {
        (_, Some(name)) => name.to_owned(),
        (59, None) => t!(lang, ["protocol"] "nothing"),
        (_, None) => t!(lang, "protocol {number}", number),
    }
}

/// Where a capture listens.
pub fn listening(lang: Lang, points: &[String]) -> String {
    t!(lang, "listening at {points}; Ctrl-C ends it", points = listed(lang, points))
}

/// That interfaces where a capture listens are down.
pub fn down(lang: Lang, points: &[String]) -> String {
    if let [point] = points {
        t!(lang, "{point} is down; the capture goes on", point)
    } else {
        t!(lang, "{points} are down; the capture goes on", points = listed(lang, points))
    }
}

/// That interfaces where a capture listened are gone: how many are left.
pub fn gone(lang: Lang, points: &[String], left: usize) -> String {
    match (points, left) {
        ([point], 0) => t!(lang, "{point} is gone; nothing is left to listen at", point),
        ([point], _) => t!(lang, "{point} is gone; the capture goes on", point),
        (_, 0) => t!(lang, "{points} are gone; nothing is left to listen at", points = listed(lang, points)),
        _ => t!(lang, "{points} are gone; the capture goes on", points = listed(lang, points)),
    }
}

/// What was captured, and what was lost.
pub fn end(lang: Lang, end: &End, file: Option<&str>) -> String {
    let frames = n!(lang, end.frames, "frame", "frames");
    let frames = match file {
        Some(file) => t!(lang, "{frames} in {file}", frames, file),
        None => frames,
    };
    let time = format!("{}.{:01} s", end.milliseconds / 1000, end.milliseconds / 100 % 10);
    if end.dropped.is_empty() {
        return t!(lang, "{frames}, {time}, none lost", frames, time);
    }
    let lost = end.dropped.iter().map(|lost| t!(lang, "{number} at {point}", number = lost.frames, point = lost.point));
    let lost = listed(lang, &lost.collect::<Vec<_>>());
    t!(lang, "{frames}, {time}; LOST for want of room: {lost}", frames, time, lost)
}

/// Which way a frame went.
pub fn direction(lang: Lang, direction: Direction) -> &'static str {
    match direction {
        Direction::In => w!(lang, ["direction"] "in"),
        Direction::Out => w!(lang, ["direction"] "out"),
    }
}

/// Everybody, or a group: what a MAC address that is no interface's means.
pub fn group(lang: Lang, everybody: bool) -> &'static str {
    if everybody { w!(lang, "everybody") } else { w!(lang, "multicast") }
}

/// The title of a network: its lab, its ends, what crossed it.
pub fn network(lang: Lang, census: &Census, network: &Network) -> Vec<String> {
    let ends: Vec<String> = network.ends.iter().map(|end| census.names.interface(end)).collect();
    let (name, lab, ends) = (&network.network, &census.lab, and(lang, &ends));
    let title = match network.kind {
        Kind::Wire => t!(lang, "{name} of {lab}: a wire between {ends}", name, lab, ends),
        Kind::Switch => t!(lang, "{name} of {lab}: a switch between {ends}", name, lab, ends),
    };
    let crossed = match network.frames {
        1 => t!(lang, "1 frame crossed, {all} of them to all", all = network.broadcasts),
        frames => t!(lang, "{frames} frames crossed, {all} of them to all", frames, all = network.broadcasts),
    };
    let crossed = match census.pings {
        Some(pings) => {
            let (answered, pairs) = (pings.answered, pings.pairs);
            t!(lang, "{answered} of {pairs} pings between the hosts answered; {crossed}", answered, pairs, crossed)
        }
        None => crossed,
    };
    let missed =
        (network.missed > 0).then(|| t!(lang, "{missed} more went by too fast to be looked at.", missed = network.missed));
    [title, crossed].into_iter().chain(missed).collect()
}

/// Why a MAC address crosses, in a word.
pub fn reason(lang: Lang, reason: Reason) -> &'static str {
    match reason {
        Reason::Bridged => w!(lang, ["MAC"] "bridged"),
        Reason::Routed => w!(lang, ["MAC"] "routed"),
        Reason::Own => w!(lang, ["MAC"] "its own"),
        Reason::Cloned => w!(lang, ["MAC"] "cloned"),
        Reason::Unknown => w!(lang, ["MAC"] "unknown"),
    }
}

/// Why those MAC addresses cross, in sentences.
pub fn reasons(lang: Lang, census: &Census, network: &Network) -> Vec<String> {
    let sentence = |reason: Reason| {
        let hosts: Vec<String> = network.hosts_of(reason).map(|host| census.names.node(host)).collect();
        let names = and(lang, &hosts);
        Some(match (reason, hosts.len()) {
            (_, 0) => return None,
            (Reason::Bridged, 1) => {
                t!(lang, "bridged: the bridge of {names} passes frames on unchanged, so the containers' own MACs cross.", names)
            }
            (Reason::Bridged, _) => {
                t!(lang, "bridged: the bridges of {names} pass frames on unchanged, so the containers' own MACs cross.", names)
            }
            (Reason::Routed, 1) => t!(
                lang,
                "routed: {names} takes each packet out of its frame and puts it into a new one, with its own MAC; the containers' stay behind.",
                names
            ),
            (Reason::Routed, _) => t!(
                lang,
                "routed: {names} take each packet out of its frame and put it into a new one, with their own MAC; the containers' stay behind.",
                names
            ),
            (Reason::Own, 1) => t!(lang, "its own: {names} speaks for itself.", names),
            (Reason::Own, _) => t!(lang, "its own: {names} speak for themselves.", names),
            (Reason::Cloned, _) => {
                t!(lang, "cloned: several have the same MAC; a switch takes them for one, wherever it heard it last.")
            }
            (Reason::Unknown, _) => {
                t!(lang, "unknown: nobody in the lab has this MAC; it was made up, or its owner has changed it.")
            }
        })
    };
    [Reason::Bridged, Reason::Routed, Reason::Own, Reason::Cloned, Reason::Unknown].into_iter().filter_map(sentence).collect()
}

/// What follows for the switch and for the containers.
pub fn lesson(lang: Lang, census: &Census, network: &Network) -> Vec<String> {
    if network.sources.is_empty() {
        return vec![if census.pings.is_some() {
            t!(lang, "Nothing crossed. nslab ping --all tells which pings are answered.")
        } else {
            t!(lang, "Nothing crossed.")
        }];
    }
    let mut lines = blocked(lang, census, network);
    if !lines.is_empty() {
        return lines;
    }
    let parts_by = |how: Reason| -> Vec<&Part> { network.hosts.iter().filter(|part| part.how == how).collect() };
    let names = |parts: &[&Part]| and(lang, &parts.iter().map(|part| census.names.node(&part.host)).collect::<Vec<_>>());
    let (bridged, routed) = (parts_by(Reason::Bridged), parts_by(Reason::Routed));
    if !bridged.is_empty() {
        let addresses = network.addresses_of(Reason::Bridged);
        let grows = if routed.is_empty() {
            t!(lang, "Each further container adds one MAC to the {addresses} here.", addresses)
        } else {
            let hosts = names(&bridged);
            t!(lang, "Each further container of {hosts} adds one MAC to the {addresses} here.", hosts, addresses)
        };
        let hence = w!(
            lang,
            "A switch port that allows only a few (port security) would cut containers off, and a broadcast of any container \
             reaches all: one broadcast domain."
        );
        lines.push(format!("{grows} {hence}"));
    }
    if !routed.is_empty() {
        let addresses = network.addresses_of(Reason::Routed);
        let grows = if bridged.is_empty() {
            t!(lang, "A further container adds none to the {addresses} here, however many there are.", addresses)
        } else {
            let hosts = names(&routed);
            t!(
                lang,
                "A further container of {hosts} adds none to the {addresses} here, however many there are.",
                hosts,
                addresses
            )
        };
        let hence = w!(lang, "Port security has nothing to object to, and the containers' broadcasts end at their host.");
        lines.push(format!("{grows} {hence}"));
    }
    lines
}

/// What a lab teaches in which no ping is answered.
fn blocked(lang: Lang, census: &Census, network: &Network) -> Vec<String> {
    let blocked: u64 = network.sources.iter().map(|source| source.blocked).sum();
    let denied = (blocked > 0).then(|| {
        t!(
            lang,
            "The switch did not pass on {blocked} frames for one MAC: it delivers those to the hosts' own NICs alone, as \
             VirtualBox does with promiscuous mode \"Deny\". Broadcasts pass.",
            blocked
        )
    });
    let unanswered = census
        .pings
        .filter(|pings| pings.pairs > 0 && pings.answered == 0)
        .map(|_| t!(lang, "No ping was answered: what crossed are questions for MAC addresses and what came of them."));
    denied.into_iter().chain(unanswered).collect()
}

/// That so many rows are not shown.
pub fn more(lang: Lang, number: usize) -> String {
    t!(lang, "... and {number} more (--format json has all)", number)
}
