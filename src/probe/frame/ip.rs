//! IP packets (RFC 791, RFC 8200) and what they carry.

use std::net::{IpAddr, Ipv4Addr};

use super::{Body, Fragment, Packet, Recorded, icmp};

/// Packets quoted within quotes: nobody sends more, and the decoder must end.
pub(super) const DEEPEST: u8 = 2;

pub(super) fn packet(bytes: &[u8], depth: u8) -> Option<Packet> {
    match bytes.first()? >> 4 {
        4 => v4(bytes, depth),
        6 => v6(bytes, depth),
        _ => None,
    }
}

pub(super) fn v4(bytes: &[u8], depth: u8) -> Option<Packet> {
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

pub(super) fn v6(bytes: &[u8], depth: u8) -> Option<Packet> {
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
        libc::IPPROTO_ICMP => icmp::v4(bytes, depth),
        libc::IPPROTO_ICMPV6 => icmp::v6(bytes, depth),
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
