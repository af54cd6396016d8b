//! From what is asked of a frame to a program; offsets are those of an untagged Ethernet frame.

use std::net::IpAddr;

use ipnet::IpNet;
use libc::sock_filter;

use super::bpf::{Label, Program};
use super::{Expression, Side, Test, kind, protocol};
use crate::name::Mac;

/// Where the `EtherType` is.
const KIND: u32 = 12;
/// Where the IPv4 or IPv6 header begins.
const HEADER: u32 = 14;
/// Next header of IPv6: a part of a packet that was cut.
const FRAGMENT: u8 = 44;

/// The program of an expression.
pub(super) fn program(expression: &Expression) -> Vec<sock_filter> {
    let mut program = Program::default();
    let (yes, no) = (program.label(), program.label());
    write(expression, &mut program, yes, no);
    program.finish(yes, no)
}

fn write(expression: &Expression, to: &mut Program, yes: Label, no: Label) {
    match expression {
        Expression::And(first, second) => {
            let next = to.label();
            write(first, to, next, no);
            to.mark(next);
            write(second, to, yes, no);
        }
        Expression::Or(first, second) => {
            let next = to.label();
            write(first, to, yes, next);
            to.mark(next);
            write(second, to, yes, no);
        }
        Expression::Not(inner) => write(inner, to, no, yes),
        Expression::Is(test) => match test {
            Test::Kind(wanted) => {
                to.half(KIND);
                to.equal((*wanted).into(), yes, no);
            }
            Test::Protocol { v4, v6 } => carries(*v4, *v6, to, yes, no),
            Test::Address { kinds, side, nets } => addresses(kinds, *side, nets, to, yes, no),
            Test::Port { protocols, side, port } => ports(protocols, *side, *port, to, yes, no),
            Test::Ether { side, macs } => {
                let pairs: Vec<(u32, u32)> = macs
                    .iter()
                    .map(|Mac([a, b, c, d, e, f])| (u32::from_be_bytes([*c, *d, *e, *f]), u32::from_be_bytes([0, 0, *a, *b])))
                    .collect();
                sides(*side, [6, 0], to, yes, no, |at, to, yes, no| mac(at, &pairs, to, yes, no));
            }
        },
    }
}

/// Asks for the source, the destination, either or both; `at` are the places of the two.
fn sides(
    side: Side,
    at: [u32; 2],
    to: &mut Program,
    yes: Label,
    no: Label,
    mut ask: impl FnMut(u32, &mut Program, Label, Label),
) {
    let [source, destination] = at;
    match side {
        Side::Source => ask(source, to, yes, no),
        Side::Destination => ask(destination, to, yes, no),
        Side::Either | Side::Both => {
            let next = to.label();
            let (first_yes, first_no) = if side == Side::Either { (yes, next) } else { (next, no) };
            ask(source, to, first_yes, first_no);
            to.mark(next);
            ask(destination, to, yes, no);
        }
    }
}

/// Goes to a label of its own for each of the `EtherType`s.
fn by_kind(kinds: &[(u16, Label)], to: &mut Program, no: Label) {
    to.half(KIND);
    one_of(kinds.iter().map(|(kind, label)| (u32::from(*kind), *label)), to, no);
}

/// Whether what was loaded is one of the values, with a way to go for each.
fn one_of(values: impl IntoIterator<Item = (u32, Label)>, to: &mut Program, no: Label) {
    for (value, label) in values {
        let next = to.label();
        to.equal(value, label, next);
        to.mark(next);
    }
    to.jump(no);
}

fn carries(v4: Option<u8>, v6: Option<u8>, to: &mut Program, yes: Label, no: Label) {
    let (four, six) = (to.label(), to.label());
    let kinds: Vec<(u16, Label)> = v4.map(|_| (kind::IP, four)).into_iter().chain(v6.map(|_| (kind::IP6, six))).collect();
    by_kind(&kinds, to, no);
    to.mark(four);
    if let Some(wanted) = v4 {
        to.byte(HEADER + 9);
        to.equal(wanted.into(), yes, no);
    }
    to.mark(six);
    if let Some(wanted) = v6 {
        let (cut, other) = (to.label(), to.label());
        to.byte(HEADER + 6);
        to.equal(wanted.into(), yes, other);
        to.mark(other);
        to.equal(FRAGMENT.into(), cut, no);
        to.mark(cut);
        to.byte(HEADER + 40);
        to.equal(wanted.into(), yes, no);
    }
}

fn addresses(kinds: &[u16], side: Side, nets: &[IpNet], to: &mut Program, yes: Label, no: Label) {
    let (mut four, mut six): (Vec<Masked>, Vec<Masked>) = (Vec::new(), Vec::new());
    for net in nets {
        if net.addr().is_ipv4() { &mut four } else { &mut six }.push(masked(*net));
    }
    let (ip, arp, ip6) = (to.label(), to.label(), to.label());
    let ways = [(kind::IP, ip, &four), (kind::ARP, arp, &four), (kind::RARP, arp, &four), (kind::IP6, ip6, &six)];
    let ways = ways.into_iter().filter(|(kind, _, nets)| kinds.contains(kind) && !nets.is_empty());
    let ways: Vec<(u16, Label)> = ways.map(|(kind, label, _)| (kind, label)).collect();
    by_kind(&ways, to, no);
    for (label, places, nets) in [(ip, [26, 30], &four), (arp, [28, 38], &four), (ip6, [22, 38], &six)] {
        to.mark(label);
        if ways.iter().any(|(_, way)| *way == label) {
            sides(side, places, to, yes, no, |at, to, yes, no| in_one(at, nets, to, yes, no));
        }
    }
}

/// The words of an address that count: which one, its mask, its value.
type Masked = Vec<(u32, u32, u32)>;

fn masked(net: IpNet) -> Masked {
    let octets = |address: IpAddr| match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let words = |address: IpAddr| -> Vec<u32> {
        octets(address).chunks_exact(4).map(|four| u32::from_be_bytes([four[0], four[1], four[2], four[3]])).collect()
    };
    let (masks, values) = (words(net.netmask()), words(net.network()));
    let all = (0_u32..).zip(masks).zip(values).map(|((number, mask), value)| (number * 4, mask, value));
    all.filter(|(_, mask, _)| *mask != 0).collect()
}

/// Whether the address at that place is in one of the networks.
fn in_one(at: u32, nets: &[Masked], to: &mut Program, yes: Label, no: Label) {
    // The whole word that is loaded already, when the next network is asked for.
    let mut loaded = None;
    for net in nets {
        let next = to.label();
        for (number, (offset, mask, value)) in net.iter().enumerate() {
            if loaded != Some(*offset) {
                to.word(at + offset);
            }
            if *mask != u32::MAX {
                to.and(*mask);
            }
            let more = to.label();
            to.equal(*value, if number + 1 == net.len() { yes } else { more }, next);
            to.mark(more);
            loaded = (net.len() == 1 && *mask == u32::MAX).then_some(*offset);
        }
        if net.is_empty() {
            to.jump(yes);
        }
        to.mark(next);
    }
    to.jump(no);
}

fn mac(at: u32, macs: &[(u32, u32)], to: &mut Program, yes: Label, no: Label) {
    for (low, high) in macs {
        let (half, next) = (to.label(), to.label());
        to.word(at + 2);
        to.equal(*low, half, next);
        to.mark(half);
        to.half(at);
        to.equal(*high, yes, next);
        to.mark(next);
    }
    to.jump(no);
}

fn ports(protocols: &[u8], side: Side, port: u16, to: &mut Program, yes: Label, no: Label) {
    let (four, six) = (to.label(), to.label());
    by_kind(&[(kind::IP6, six), (kind::IP, four)], to, no);
    let known = |label: Label, to: &mut Program| one_of(protocols.iter().map(|number| (u32::from(*number), label)), to, no);
    to.mark(six);
    let ours = to.label();
    to.byte(HEADER + 6);
    known(ours, to);
    to.mark(ours);
    sides(side, [HEADER + 40, HEADER + 42], to, yes, no, |at, to, yes, no| {
        to.half(at);
        to.equal(port.into(), yes, no);
    });
    to.mark(four);
    let (ours, first) = (to.label(), to.label());
    to.byte(HEADER + 9);
    known(ours, to);
    to.mark(ours);
    to.half(HEADER + 6);
    to.has(0x1fff, no, first);
    to.mark(first);
    to.index_header(HEADER);
    sides(side, [HEADER, HEADER + 2], to, yes, no, |at, to, yes, no| {
        to.half_indexed(at);
        to.equal(port.into(), yes, no);
    });
}

/// Whether some frame could pass, by its `EtherType` and its protocol.
pub(super) fn can_hold(expression: &Expression) -> bool {
    const OTHER: u16 = 0;
    const PROTOCOLS: [u8; 6] = [protocol::ICMP, protocol::TCP, protocol::UDP, protocol::ICMP6, protocol::SCTP, 0];
    let kinds = [kind::IP, kind::ARP, kind::RARP, kind::IP6, OTHER];
    kinds.iter().any(|kind| PROTOCOLS.iter().any(|protocol| ways(expression, *kind, *protocol).0))
}

/// Whether it can be so, and whether it can be otherwise, for frames of that `EtherType` and protocol.
fn ways(expression: &Expression, kind: u16, protocol: u8) -> (bool, bool) {
    match expression {
        Expression::And(first, second) => {
            let (a, b) = (ways(first, kind, protocol), ways(second, kind, protocol));
            (a.0 && b.0, a.1 || b.1)
        }
        Expression::Or(first, second) => {
            let (a, b) = (ways(first, kind, protocol), ways(second, kind, protocol));
            (a.0 || b.0, a.1 && b.1)
        }
        Expression::Not(inner) => {
            let (can, cannot) = ways(inner, kind, protocol);
            (cannot, can)
        }
        Expression::Is(test) => {
            let certain = |so: bool| (so, !so);
            match test {
                Test::Kind(wanted) => certain(*wanted == kind),
                Test::Protocol { v4, .. } if kind == kind::IP => certain(*v4 == Some(protocol)),
                Test::Protocol { v6, .. } if kind == kind::IP6 => certain(*v6 == Some(protocol)),
                Test::Protocol { .. } => certain(false),
                Test::Address { kinds, .. } => (kinds.contains(&kind), true),
                Test::Port { protocols, .. } => ([kind::IP, kind::IP6].contains(&kind) && protocols.contains(&protocol), true),
                Test::Ether { .. } => (true, true),
            }
        }
    }
}
