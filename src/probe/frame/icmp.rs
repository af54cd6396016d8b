//! Messages of ICMP (RFC 792) and `ICMPv6` (RFC 4443, RFC 4861).

use std::net::{Ipv4Addr, Ipv6Addr};

use super::ip::{DEEPEST, packet};
use super::{Body, Packet};
use crate::name::Mac;

/// The first eight bytes of every message that is read here.
fn head(bytes: &[u8]) -> Option<([u8; 8], &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<8>()?;
    Some((*head, rest))
}

fn quote(bytes: &[u8], depth: u8) -> Option<Box<Packet>> {
    if depth >= DEEPEST { None } else { packet(bytes, depth + 1).map(Box::new) }
}

pub(super) fn v4(bytes: &[u8], depth: u8) -> Body {
    let Some(([kind, code, _, _, a, b, c, d], rest)) = head(bytes) else { return Body::Short };
    let second = u16::from_be_bytes([c, d]);
    let quoted = || quote(rest, depth);
    match kind {
        0 | 8 => Body::Echo { reply: kind == 0, id: u16::from_be_bytes([a, b]), sequence: second },
        3 => Body::Unreachable { code, mtu: (code == 4).then_some(second), quoted: quoted() },
        5 => Body::Redirect { gateway: Ipv4Addr::new(a, b, c, d).into(), quoted: quoted() },
        11 => Body::TimeExceeded { code, quoted: quoted() },
        _ => Body::Icmp { kind, code },
    }
}

pub(super) fn v6(bytes: &[u8], depth: u8) -> Body {
    let Some(([kind, code, _, _, a, b, c, d], rest)) = head(bytes) else { return Body::Short };
    let quoted = || quote(rest, depth);
    match kind {
        1 => Body::Unreachable { code, mtu: None, quoted: quoted() },
        2 => Body::TooBig { mtu: u32::from_be_bytes([a, b, c, d]), quoted: quoted() },
        3 => Body::TimeExceeded { code, quoted: quoted() },
        128 | 129 => Body::Echo { reply: kind == 129, id: u16::from_be_bytes([a, b]), sequence: u16::from_be_bytes([c, d]) },
        135 | 136 => neighbour(kind == 136, rest),
        137 => rest.first_chunk::<16>().map_or(Body::Short, |gateway| Body::Redirect {
            gateway: Ipv6Addr::from(*gateway).into(),
            quoted: option(rest.get(32..).unwrap_or_default(), 4).and_then(|packet| quote(packet.get(6..)?, depth)),
        }),
        _ => Body::Icmp { kind, code },
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
