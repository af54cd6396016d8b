//! Frames, decoded. Their bytes are untrusted: whatever they are, something can be said about them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::name::Mac;

pub use crate::report::wire::{Body, Fragment, Frame, Packet, Payload, Recorded};

/// `EtherType`s (IEEE) that are looked into.
mod kind {
    pub(super) const IPV4: u16 = 0x0800;
    pub(super) const ARP: u16 = 0x0806;
    pub(super) const IPV6: u16 = 0x86dd;
    /// Tags of VLANs: of customers, of providers, and of providers before there was a standard.
    pub(super) const TAGS: [u16; 3] = [0x8100, 0x88a8, 0x9100];
}

/// Packets quoted within quotes: nobody sends more, and the decoder must end.
const DEEPEST: u8 = 2;

/// Bytes of an echo message's payload that are kept.
const KEPT: usize = 8;

/// The logical link header of the spanning tree protocol (IEEE 802.1D): both service access points, unnumbered information.
const SPANNING_TREE: [u8; 3] = [0x42, 0x42, 0x03];

impl Frame {
    /// Decodes a frame; none where it has no two MAC addresses and no type.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (destination, rest) = bytes.split_first_chunk::<6>()?;
        let (source, rest) = rest.split_first_chunk::<6>()?;
        let (kind, rest) = rest.split_first_chunk::<2>()?;
        let (mut kind, mut rest, mut vlan) = (u16::from_be_bytes(*kind), rest, None);
        while kind::TAGS.contains(&kind)
            && let Some(([high, low, a, b], inner)) = rest.split_first_chunk::<4>()
        {
            vlan = vlan.or(Some(u16::from_be_bytes([*high, *low]) & 0xfff));
            (kind, rest) = (u16::from_be_bytes([*a, *b]), inner);
        }
        let payload = match kind {
            kind::ARP => arp(rest).unwrap_or(Payload::Short),
            kind::IPV4 => ipv4(rest, 0).map_or(Payload::Short, Payload::Ip),
            kind::IPV6 => ipv6(rest, 0).map_or(Payload::Short, Payload::Ip),
            tag if kind::TAGS.contains(&tag) => Payload::Short,
            length if length < 1536 && rest.starts_with(&SPANNING_TREE) => Payload::SpanningTree,
            other => Payload::Other(other),
        };
        Some(Self { source: Mac(*source), destination: Mac(*destination), vlan, payload })
    }
}

impl Packet {
    /// Decodes an IP packet without a frame around it; none where it is too short to have addresses.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        packet(bytes, 0)
    }
}

impl Body {
    /// Decodes an `ICMPv6` message without a packet around it.
    pub fn icmp6(message: &[u8]) -> Self {
        icmp6(message, 0)
    }
}

fn arp(bytes: &[u8]) -> Option<Payload> {
    /// Ethernet, IPv4, addresses of six and four bytes.
    const HEAD: [u8; 6] = [0, 1, 8, 0, 6, 4];
    let (head, rest) = bytes.split_first_chunk::<6>()?;
    if *head != HEAD {
        return Some(Payload::Other(kind::ARP));
    }
    let (operation, rest) = rest.split_first_chunk::<2>()?;
    let (sender_mac, rest) = rest.split_first_chunk::<6>()?;
    let (sender_ip, rest) = rest.split_first_chunk::<4>()?;
    let (target_mac, rest) = rest.split_first_chunk::<6>()?;
    let target_ip = rest.first_chunk::<4>()?;
    Some(Payload::Arp {
        operation: u16::from_be_bytes(*operation),
        sender_mac: Mac(*sender_mac),
        sender_ip: (*sender_ip).into(),
        target_mac: Mac(*target_mac),
        target_ip: (*target_ip).into(),
    })
}

fn packet(bytes: &[u8], depth: u8) -> Option<Packet> {
    match bytes.first()? >> 4 {
        4 => ipv4(bytes, depth),
        6 => ipv6(bytes, depth),
        _ => None,
    }
}

/// RFC 791.
fn ipv4(bytes: &[u8], depth: u8) -> Option<Packet> {
    let head = bytes.first_chunk::<20>()?;
    let number = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
    let (size, length) = (usize::from(head[0] & 15) * 4, usize::from(number(2)));
    if head[0] >> 4 != 4 || size < head.len() {
        return None;
    }
    let options = bytes.get(head.len()..size)?;
    // Segmentation offload leaves a length of zero, and short frames are padded.
    let end = if length < size { bytes.len() } else { length.min(bytes.len()) };
    let (cut, protocol) = (number(6), head[9]);
    let (offset, more) = (u32::from(cut & 0x1fff) * 8, cut & 0x2000 != 0);
    let fragment = Fragment { id: number(4).into(), offset, more };
    Some(Packet {
        source: IpAddr::from([head[12], head[13], head[14], head[15]]),
        destination: IpAddr::from([head[16], head[17], head[18], head[19]]),
        ttl: head[8],
        protocol,
        length: u32::try_from(length).unwrap_or_default(),
        whole: cut & 0x4000 != 0,
        fragment: (more || offset > 0).then_some(fragment),
        route: recorded(options),
        body: if offset > 0 { Body::Part } else { body(protocol, bytes.get(size..end)?, depth) },
    })
}

/// RFC 8200.
fn ipv6(bytes: &[u8], depth: u8) -> Option<Packet> {
    let (head, rest) = bytes.split_first_chunk::<40>()?;
    if head[0] >> 4 != 6 {
        return None;
    }
    let length = u16::from_be_bytes([head[4], head[5]]);
    let end = if length == 0 { rest.len() } else { rest.len().min(length.into()) };
    let inside = extended(head[6], rest.get(..end)?);
    let address = |at: usize| head.get(at..at + 16)?.first_chunk::<16>().map(|bytes| IpAddr::from(*bytes));
    Some(Packet {
        source: address(8)?,
        destination: address(24)?,
        ttl: head[7],
        protocol: inside.protocol,
        length: u32::from(length) + 40,
        whole: false,
        fragment: inside.fragment.filter(|cut| cut.more || cut.offset > 0),
        route: None,
        body: match inside.payload {
            None => Body::Short,
            Some(_) if inside.fragment.is_some_and(|cut| cut.offset > 0) => Body::Part,
            Some(payload) => body(inside.protocol, payload, depth),
        },
    })
}

/// What lies behind the extension headers of an IPv6 packet.
struct Inside<'a> {
    protocol: u8,
    fragment: Option<Fragment>,
    /// None where the headers lead out of the packet.
    payload: Option<&'a [u8]>,
}

fn extended(mut protocol: u8, mut rest: &[u8]) -> Inside<'_> {
    const FRAGMENT: u8 = 44;
    const AUTHENTICATION: u8 = 51;
    let mut fragment = None;
    loop {
        let size = |units: u8| match protocol {
            // Hop-by-hop options, routing, destination options, mobility, HIP, shim6 (RFC 8200, IANA).
            0 | 43 | 60 | 135 | 139 | 140 => Some(usize::from(units) * 8 + 8),
            FRAGMENT => Some(8),
            AUTHENTICATION => Some(usize::from(units) * 4 + 8),
            _ => None,
        };
        if size(0).is_none() {
            return Inside { protocol, fragment, payload: Some(rest) };
        }
        let units = rest.get(1).copied().unwrap_or_default();
        let Some((header, behind)) = size(units).and_then(|size| rest.split_at_checked(size)) else {
            return Inside { protocol, fragment, payload: None };
        };
        if let (FRAGMENT, [_, _, high, low, a, b, c, d]) = (protocol, header) {
            let cut = u16::from_be_bytes([*high, *low]);
            let offset = u32::from(cut & 0xfff8);
            fragment = Some(Fragment { id: u32::from_be_bytes([*a, *b, *c, *d]), offset, more: cut & 1 != 0 });
            if offset > 0 {
                return Inside { protocol: header[0], fragment, payload: Some(behind) };
            }
        }
        (protocol, rest) = (header[0], behind);
    }
}

/// The record-route option among IPv4's options.
fn recorded(mut options: &[u8]) -> Option<Recorded> {
    const END: u8 = 0;
    const NOTHING: u8 = 1;
    const RECORD_ROUTE: u8 = 7;
    loop {
        match options {
            [END, ..] | [] => return None,
            [NOTHING, rest @ ..] => options = rest,
            [kind, length, ..] => {
                let (option, rest) = options.split_at_checked(usize::from(*length)).filter(|_| *length >= 2)?;
                if let (RECORD_ROUTE, [_, _, pointer, slots @ ..]) = (*kind, option) {
                    // The pointer counts from 1, at the option's first byte; 4 where nothing is recorded.
                    let used = (usize::from(*pointer).saturating_sub(4) / 4).min(slots.len() / 4);
                    let addresses =
                        slots.chunks_exact(4).take(used).map(|slot| Ipv4Addr::new(slot[0], slot[1], slot[2], slot[3]));
                    let free = u8::try_from(slots.len() / 4 - used).unwrap_or(u8::MAX);
                    return Some(Recorded { addresses: addresses.collect(), free });
                }
                options = rest;
            }
            [_] => return None,
        }
    }
}

fn body(protocol: u8, bytes: &[u8], depth: u8) -> Body {
    match i32::from(protocol) {
        libc::IPPROTO_ICMP => icmp4(bytes, depth),
        libc::IPPROTO_ICMPV6 => icmp6(bytes, depth),
        libc::IPPROTO_UDP => udp(bytes),
        libc::IPPROTO_TCP => tcp(bytes),
        _ => Body::Other,
    }
}

fn udp(bytes: &[u8]) -> Body {
    let Some([a, b, c, d, high, low, _, _]) = bytes.first_chunk::<8>() else { return Body::Short };
    Body::Udp {
        source: u16::from_be_bytes([*a, *b]),
        destination: u16::from_be_bytes([*c, *d]),
        length: u16::from_be_bytes([*high, *low]).saturating_sub(8),
    }
}

fn tcp(bytes: &[u8]) -> Body {
    // A quote in an error message may end after these eight bytes (RFC 792).
    let Some((head, rest)) = bytes.split_first_chunk::<8>() else { return Body::Short };
    let (acknowledged, offset, flags) = match rest {
        [a, b, c, d, offset, flags, ..] => (u32::from_be_bytes([*a, *b, *c, *d]), *offset >> 4, *flags),
        _ => (0, 5, 0),
    };
    Body::Tcp {
        source: u16::from_be_bytes([head[0], head[1]]),
        destination: u16::from_be_bytes([head[2], head[3]]),
        flags,
        sequence: u32::from_be_bytes([head[4], head[5], head[6], head[7]]),
        acknowledged,
        length: u32::try_from(bytes.len().saturating_sub(usize::from(offset) * 4)).unwrap_or(u32::MAX),
    }
}

fn begin(payload: &[u8]) -> Vec<u8> {
    payload[..payload.len().min(KEPT)].to_vec()
}

fn quote(bytes: &[u8], depth: u8) -> Option<Box<Packet>> {
    if depth >= DEEPEST { None } else { packet(bytes, depth + 1).map(Box::new) }
}

/// RFC 792.
fn icmp4(bytes: &[u8], depth: u8) -> Body {
    let Some((&[kind, code, _, _, a, b, c, d], rest)) = bytes.split_first_chunk() else { return Body::Short };
    let second = u16::from_be_bytes([c, d]);
    let quoted = || quote(rest, depth);
    match kind {
        0 | 8 => Body::Echo { reply: kind == 0, id: u16::from_be_bytes([a, b]), sequence: second, payload: begin(rest) },
        4 | 12 => Body::Icmp { kind, code, quoted: quoted() },
        3 => Body::Unreachable { code, mtu: (code == 4).then_some(second), quoted: quoted() },
        5 => Body::Redirect { gateway: Ipv4Addr::new(a, b, c, d).into(), quoted: quoted() },
        11 => Body::TimeExceeded { code, quoted: quoted() },
        _ => Body::Icmp { kind, code, quoted: None },
    }
}

/// RFC 4443, RFC 4861.
fn icmp6(bytes: &[u8], depth: u8) -> Body {
    let Some((&[kind, code, _, _, a, b, c, d], rest)) = bytes.split_first_chunk() else { return Body::Short };
    let quoted = || quote(rest, depth);
    match kind {
        1 => Body::Unreachable { code, mtu: None, quoted: quoted() },
        2 => Body::TooBig { mtu: u32::from_be_bytes([a, b, c, d]), quoted: quoted() },
        3 => Body::TimeExceeded { code, quoted: quoted() },
        4 => Body::Icmp { kind, code, quoted: quoted() },
        128 | 129 => {
            let (id, sequence) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            Body::Echo { reply: kind == 129, id, sequence, payload: begin(rest) }
        }
        135 | 136 => neighbour(kind == 136, rest),
        137 => rest.first_chunk::<16>().map_or(Body::Short, |gateway| Body::Redirect {
            gateway: Ipv6Addr::from(*gateway).into(),
            quoted: option(rest.get(32..).unwrap_or_default(), 4).and_then(|packet| quote(packet.get(6..)?, depth)),
        }),
        _ => Body::Icmp { kind, code, quoted: None },
    }
}

fn neighbour(answer: bool, rest: &[u8]) -> Body {
    let Some((target, options)) = rest.split_first_chunk::<16>() else { return Body::Short };
    let target = Ipv6Addr::from(*target);
    let mac = option(options, if answer { 2 } else { 1 }).and_then(|value| value.first_chunk::<6>().copied().map(Mac));
    if answer { Body::Advertisement { target, mac } } else { Body::Solicitation { target, mac } }
}

/// The value of an option of neighbour discovery: type, length in units of eight bytes, value.
fn option(mut options: &[u8], wanted: u8) -> Option<&[u8]> {
    while let [kind, units, ..] = *options {
        let (option, rest) = options.split_at_checked(usize::from(units) * 8).filter(|_| units > 0)?;
        if kind == wanted {
            return option.get(2..);
        }
        options = rest;
    }
    None
}
