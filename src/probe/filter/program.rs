//! From what is asked of a frame to a classic BPF program (`bpf(4)`, `linux/filter.h`) whose jumps reach as far as they must.
//! Offsets are those of an untagged Ethernet frame.

use std::net::IpAddr;

use ipnet::IpNet;
use libc::sock_filter;

use super::{Expression, Side, Test, kind, protocol};
use crate::name::Mac;

/// Where the `EtherType` is.
const KIND: u32 = 12;
/// Where the IPv4 or IPv6 header begins.
const HEADER: u32 = 14;
/// Next header of IPv6: a part of a packet that was cut.
const FRAGMENT: u8 = 44;

/// The kernel takes so many instructions (`BPF_MAXINSNS`).
pub(super) const LONGEST: usize = 4096;

/// Bytes of an accepted frame that are kept: more than any frame has.
const KEPT: u32 = 0x4_0000;

/// Loads four bytes, two, or one; two behind the index; the length of the IPv4 header that begins there as the index.
const LOAD_WORD: u16 = 0x20;
const LOAD_HALF: u16 = 0x28;
const LOAD_BYTE: u16 = 0x30;
const LOAD_HALF_INDEXED: u16 = 0x48;
const LOAD_HEADER_LENGTH: u16 = 0xb1;
/// Keeps only these bits of what was loaded.
const AND: u16 = 0x54;
const JUMP: u16 = 0x05;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_SET: u16 = 0x45;
const RETURN: u16 = 0x06;

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
                to.step(LOAD_HALF, KIND);
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
    to.step(LOAD_HALF, KIND);
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
        to.step(LOAD_BYTE, HEADER + 9);
        to.equal(wanted.into(), yes, no);
    }
    to.mark(six);
    if let Some(wanted) = v6 {
        let (cut, other) = (to.label(), to.label());
        to.step(LOAD_BYTE, HEADER + 6);
        to.equal(wanted.into(), yes, other);
        to.mark(other);
        to.equal(FRAGMENT.into(), cut, no);
        to.mark(cut);
        to.step(LOAD_BYTE, HEADER + 40);
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
                to.step(LOAD_WORD, at + offset);
            }
            if *mask != u32::MAX {
                to.step(AND, *mask);
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
        to.step(LOAD_WORD, at + 2);
        to.equal(*low, half, next);
        to.mark(half);
        to.step(LOAD_HALF, at);
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
    to.step(LOAD_BYTE, HEADER + 6);
    known(ours, to);
    to.mark(ours);
    sides(side, [HEADER + 40, HEADER + 42], to, yes, no, |at, to, yes, no| {
        to.step(LOAD_HALF, at);
        to.equal(port.into(), yes, no);
    });
    to.mark(four);
    let (ours, first) = (to.label(), to.label());
    to.step(LOAD_BYTE, HEADER + 9);
    known(ours, to);
    to.mark(ours);
    to.step(LOAD_HALF, HEADER + 6);
    to.steps.push(Step::Branch { code: JUMP_SET, value: 0x1fff, yes: no, no: first });
    to.mark(first);
    to.step(LOAD_HEADER_LENGTH, HEADER);
    sides(side, [HEADER, HEADER + 2], to, yes, no, |at, to, yes, no| {
        to.step(LOAD_HALF_INDEXED, at);
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

/// A place in the program that is jumped to, always forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Label(usize);

#[derive(Debug)]
enum Step {
    Plain(u16, u32),
    Branch { code: u16, value: u32, yes: Label, no: Label },
    Mark(Label),
}

/// A program being written.
#[derive(Debug, Default)]
struct Program {
    steps: Vec<Step>,
    labels: usize,
}

impl Program {
    /// A new label, to be marked later.
    fn label(&mut self) -> Label {
        self.labels += 1;
        Label(self.labels - 1)
    }

    /// Puts the label here.
    fn mark(&mut self, label: Label) {
        self.steps.push(Step::Mark(label));
    }

    /// A step that leads on to the next one: what is loaded from where, or kept.
    fn step(&mut self, code: u16, value: u32) {
        self.steps.push(Step::Plain(code, value));
    }

    /// Whether what was loaded is the value.
    fn equal(&mut self, value: u32, yes: Label, no: Label) {
        self.steps.push(Step::Branch { code: JUMP_EQUAL, value, yes, no });
    }

    /// Goes on elsewhere.
    fn jump(&mut self, to: Label) {
        self.steps.push(Step::Branch { code: JUMP, value: 0, yes: to, no: to });
    }

    /// Ends the program: frames that reach `yes` pass.
    fn finish(mut self, yes: Label, no: Label) -> Vec<sock_filter> {
        self.mark(yes);
        self.step(RETURN, KEPT);
        self.mark(no);
        self.step(RETURN, 0);
        self.assemble()
    }

    fn assemble(&self) -> Vec<sock_filter> {
        // A conditional jump reaches 255 instructions far; a way that is longer leads over a jump behind it, which moves
        // what follows: repeated until nothing moves.
        let mut long = vec![[false; 2]; self.steps.len()];
        loop {
            let (starts, labels) = self.places(&long);
            let mut moved = false;
            for (at, step) in self.steps.iter().enumerate() {
                let Step::Branch { code, yes, no, .. } = step else { continue };
                for (way, label) in [yes, no].into_iter().enumerate() {
                    if *code != JUMP && !long[at][way] && labels[label.0] - starts[at] > usize::from(u8::MAX) {
                        long[at][way] = true;
                        moved = true;
                    }
                }
            }
            if !moved {
                return self.emit(&long, &starts, &labels);
            }
        }
    }

    /// Where each step begins, and where each label is.
    fn places(&self, long: &[[bool; 2]]) -> (Vec<usize>, Vec<usize>) {
        let (mut at, mut starts, mut labels) = (0, Vec::with_capacity(long.len()), vec![0; self.labels]);
        for (step, long) in self.steps.iter().zip(long) {
            starts.push(at);
            match step {
                Step::Mark(label) => labels[label.0] = at,
                _ => at += 1 + long.iter().filter(|long| **long).count(),
            }
        }
        (starts, labels)
    }

    fn emit(&self, long: &[[bool; 2]], starts: &[usize], labels: &[usize]) -> Vec<sock_filter> {
        // Jumps count from the next instruction.
        let distance = |place: usize, to: &Label| labels[to.0].saturating_sub(place + 1);
        let jump = |place: usize, to: &Label| sock_filter {
            code: JUMP,
            jt: 0,
            jf: 0,
            k: u32::try_from(distance(place, to)).unwrap_or(u32::MAX),
        };
        let mut program = Vec::new();
        for ((step, long), &at) in self.steps.iter().zip(long).zip(starts) {
            match step {
                Step::Mark(_) => {}
                Step::Plain(code, k) => program.push(sock_filter { code: *code, jt: 0, jf: 0, k: *k }),
                Step::Branch { code: JUMP, yes, .. } => program.push(jump(at, yes)),
                Step::Branch { code, value, yes, no } => {
                    let mut behind = Vec::new();
                    let [jt, jf] = [(yes, long[0]), (no, long[1])].map(|(label, long)| {
                        let reach = if long { behind.len() } else { distance(at, label) };
                        if long {
                            behind.push(jump(at + 1 + behind.len(), label));
                        }
                        u8::try_from(reach).unwrap_or(u8::MAX)
                    });
                    program.push(sock_filter { code: *code, jt, jf, k: *value });
                    program.extend(behind);
                }
            }
        }
        program
    }
}
