//! Which rule or policy drops a packet, as the kernel's own tracing tells (`meta nftrace`, `nft monitor trace`).

use std::collections::HashMap;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use netlink_packet_core::{NLM_F_APPEND, NLM_F_CREATE};
use nix::errno::Errno;

use super::{GENERAL, GET_RULE, NEW_CHAIN, NEW_RULE, NEW_TABLE, attribute, big, count, dump, nested, request, string, transact};
use crate::kernel::netlink::{Netlink, Raw, attributes, find, messages, text};
use crate::kernel::netns::within;

/// `NFT_MSG_TRACE`
const TRACE: u16 = 10 << 8 | 0x11;
/// `NFNLGRP_NFTRACE`
const TRACE_GROUP: u32 = 9;
/// `NFT_TABLE_F_OWNER`: the table ends with the socket that made it, however the process ends (Linux 5.12).
const OWNED: u32 = 2;
/// `NF_INET_PRE_ROUTING` and `NF_INET_LOCAL_OUT`; the bridge's have the same numbers.
const HOOKS: [(&str, u32); 2] = [("in", 0), ("out", 3)];
/// `NF_ARP_IN`, `NF_ARP_OUT`
const HOOKS_OF_ARP: [(&str, u32); 2] = [("in", 0), ("out", 1)];
/// Before every other chain (`NF_IP_PRI_FIRST` is the least number).
const FIRST: i32 = i32::MIN + 1;
/// The families whose hooks see IP packets, as in `nfgenmsg`.
const INET: u8 = 1;
const BRIDGE: u8 = 7;
const NETDEV: u8 = 5;
const ARP: u8 = 3;

/// The packet to trace, or its reply.
#[derive(Debug, Clone, Copy)]
pub enum Traced {
    /// An echo request.
    Echo {
        /// `ICMPv6` instead of `ICMP`.
        ipv6: bool,
        /// Its identifier.
        id: u16,
        /// The first bytes of its payload.
        magic: [u8; 8],
    },
    /// Questions for the MAC address of an address and their answers: ARP, or neighbour discovery.
    Question {
        /// The address.
        address: IpAddr,
    },
    /// A packet of TCP or UDP.
    Ports {
        /// UDP instead of TCP.
        udp: bool,
        /// The port that it comes from, to which its reply goes.
        from: u16,
    },
}

/// What a rule, or the policy of a chain, did with a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The family as `nft` writes it.
    pub family: &'static str,
    /// The table.
    pub table: String,
    /// The chain.
    pub chain: String,
    /// The rule's handle; none for a policy.
    pub rule: Option<u64>,
    /// Whether it was dropped.
    pub drops: bool,
    /// The packet was the reply, not the request.
    pub reply: bool,
}

/// A namespace in which a packet is being traced; the trace rules go when this goes, or the process.
#[derive(Debug)]
pub struct Tracer {
    socket: Netlink,
    table: String,
    packet: Traced,
}

impl AsFd for Tracer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Tracer {
    /// Begins to trace a packet in the namespace pinned there, and at devices of it from where frames come in.
    ///
    /// None where the namespace cannot be entered, or the kernel has no nftables.
    pub fn open(pin: &Path, packet: Traced, devices: &[&str]) -> Option<Self> {
        within(pin, "", || Self::begin(packet, devices)).ok()?.ok()
    }

    fn begin(packet: Traced, devices: &[&str]) -> Result<Self, Errno> {
        let mut socket = Netlink::netfilter()?.join(&[TRACE_GROUP])?;
        let table = format!("nslab-trace-{}", std::process::id());
        transact(&mut socket, rules(INET, &table, packet))?;
        // A kernel may be without tables for bridges or ARP; then nothing drops a frame there.
        let _ = transact(&mut socket, rules(BRIDGE, &table, packet));
        if matches!(packet, Traced::Question { address: IpAddr::V4(_) }) {
            let _ = transact(&mut socket, rules(ARP, &table, packet));
        }
        // What drops at a device itself has no other hook; not every kernel and device has that.
        for device in devices {
            let _ = transact(&mut socket, at_device(&table, device, packet));
        }
        Ok(Self { socket, table, packet })
    }

    /// What has happened to the packet since, in order; the trace's own rules are left out.
    ///
    /// # Errors
    /// When the socket is broken.
    pub fn read(&self) -> Result<Vec<Step>, Errno> {
        let (mut steps, mut replies) = (Vec::new(), HashMap::new());
        loop {
            let datagram = match self.socket.hear() {
                Ok(Some(datagram)) => datagram,
                Ok(None) => return Ok(steps),
                Err(Errno::ENOBUFS) => continue,
                Err(error) => return Err(error),
            };
            for message in messages(&datagram).filter(|message| message.kind == TRACE) {
                if let Some((id, reply, mut step)) = step(message.body, self.packet) {
                    // Only the first event of a chain tells the packet's headers.
                    let known = replies.entry(id).or_insert(false);
                    *known |= reply;
                    step.reply = *known;
                    steps.extend(Some(step).filter(|step| step.table != self.table));
                }
            }
        }
    }
}

/// The place of a step's rule in its chain, from 1, as `iptables --line-numbers` counts; none where it is gone meanwhile.
pub fn number_of(pin: &Path, step: &Step) -> Option<usize> {
    let handles = within(pin, "", || dump(GET_RULE, NEW_RULE, |body| handle(body, step))).ok()?.ok()?;
    handles.iter().position(|handle| Some(*handle) == step.rule).map(|at| at + 1)
}

/// The handle of a rule, where it is of the step's chain (`NFTA_RULE_TABLE`, `_CHAIN`, `_HANDLE`).
fn handle(body: &[u8], step: &Step) -> Option<u64> {
    let value = |wanted: u16| find(body, GENERAL, wanted);
    let here = (super::family(*body.first()?), text(value(1)?), text(value(2)?));
    if here != (step.family, step.table.clone(), step.chain.clone()) {
        return None;
    }
    value(3)?.try_into().ok().map(u64::from_be_bytes)
}

/// The table of a device with one chain, where its frames come in first.
fn at_device(table: &str, device: &str, packet: Traced) -> Vec<Raw> {
    let place = nested(4, &[big(1, 0), attribute(2, &FIRST.to_be_bytes()), string(3, device)]);
    let names = [string(1, table), string(3, device), place, string(7, "filter")];
    let mut parts = vec![
        request(NEW_TABLE, NLM_F_CREATE, NETDEV, &[string(1, table), big(2, OWNED)]),
        request(NEW_CHAIN, NLM_F_CREATE, NETDEV, &names),
    ];
    parts.extend(marked(NETDEV, table, device, packet));
    parts
}

/// The table of a family with its two chains and their rule.
fn rules(family: u8, table: &str, packet: Traced) -> Vec<Raw> {
    let mut parts = vec![request(NEW_TABLE, NLM_F_CREATE, family, &[string(1, table), big(2, OWNED)])];
    for (chain, hook) in if family == ARP { HOOKS_OF_ARP } else { HOOKS } {
        let place = nested(4, &[big(1, hook), attribute(2, &FIRST.to_be_bytes())]);
        parts.push(request(NEW_CHAIN, NLM_F_CREATE, family, &[string(1, table), string(3, chain), place, string(7, "filter")]));
        parts.extend(marked(family, table, chain, packet));
    }
    parts
}

/// A place in the transport header, and the bytes that are there.
type Field = (u32, Vec<u8>);

/// The rules of a chain that mark a packet and its reply.
fn marked(family: u8, table: &str, chain: &str, packet: Traced) -> Vec<Raw> {
    /// Neighbour solicitation and advertisement (RFC 4861), and where both have the address.
    const QUESTIONS: [u8; 2] = [135, 136];
    const TARGET: u32 = 8;
    /// Where ARP has the address of the one who asks or answers, and of the one who is asked (RFC 826).
    const OF_ARP: [u32; 2] = [14, 24];
    let add = |expressions: &[Vec<u8>]| {
        let rule = [string(1, table), string(2, chain), nested(4, expressions)];
        request(NEW_RULE, NLM_F_CREATE | NLM_F_APPEND, family, &rule)
    };
    let (protocol, kinds): (i32, Vec<Vec<Field>>) = match packet {
        Traced::Echo { ipv6, id, magic } => {
            let protocol = if ipv6 { libc::IPPROTO_ICMPV6 } else { libc::IPPROTO_ICMP };
            (protocol, vec![vec![(4, id.to_be_bytes().to_vec()), (8, magic.to_vec())]])
        }
        Traced::Question { address: IpAddr::V6(address) } => {
            let fields = |kind: &u8| vec![(0, vec![*kind]), (TARGET, address.octets().to_vec())];
            (libc::IPPROTO_ICMPV6, QUESTIONS.iter().map(fields).collect())
        }
        Traced::Question { address: IpAddr::V4(address) } => {
            return OF_ARP.iter().map(|at| add(&of_arp(&(*at, address.octets().to_vec())))).collect();
        }
        Traced::Ports { udp, from } => {
            let port = from.to_be_bytes().to_vec();
            let protocol = if udp { libc::IPPROTO_UDP } else { libc::IPPROTO_TCP };
            (protocol, vec![vec![(0, port.clone())], vec![(2, port)]])
        }
    };
    let protocol = u8::try_from(protocol).unwrap_or_default();
    kinds.iter().map(|fields| add(&expressions(protocol, fields))).collect()
}

/// `NFT_REG_1`
const REGISTER: u32 = 1;

/// `meta l4proto PROTOCOL @th,AT,LENGTH BYTES ... meta nftrace set 1`
fn expressions(protocol: u8, fields: &[Field]) -> Vec<Vec<u8>> {
    const TRANSPORT_HEADER: u32 = 2;
    const L4PROTO: u32 = 16;
    let mut all = vec![meta(L4PROTO), equals(&[protocol])];
    all.extend(fields.iter().flat_map(|field| has(TRANSPORT_HEADER, field)));
    all.extend(traced());
    all
}

/// `meta protocol arp @nh,AT,LENGTH BYTES meta nftrace set 1`
fn of_arp(field: &Field) -> Vec<Vec<u8>> {
    const NETWORK_HEADER: u32 = 1;
    const PROTOCOL: u32 = 1;
    const ETHERTYPE: [u8; 2] = [8, 6];
    let mut all = vec![meta(PROTOCOL), equals(&ETHERTYPE)];
    all.extend(has(NETWORK_HEADER, field));
    all.extend(traced());
    all
}

/// A header has these bytes at that place.
fn has(header: u32, (offset, bytes): &Field) -> [Vec<u8>; 2] {
    let length = u32::try_from(bytes.len()).unwrap_or_default();
    let place = [big(1, REGISTER), big(2, header), big(3, *offset), big(4, length)];
    [expression("payload", &place), equals(bytes)]
}

fn expression(name: &str, data: &[Vec<u8>]) -> Vec<u8> {
    nested(1, &[string(1, name), nested(2, data)])
}

fn value(kind: u16, bytes: &[u8]) -> Vec<u8> {
    nested(kind, &[attribute(1, bytes)])
}

fn equals(bytes: &[u8]) -> Vec<u8> {
    expression("cmp", &[big(1, REGISTER), big(2, 0), value(3, bytes)])
}

fn meta(key: u32) -> Vec<u8> {
    expression("meta", &[big(2, key), big(1, REGISTER)])
}

fn traced() -> Vec<Vec<u8>> {
    const NFTRACE: u32 = 12;
    let one = expression("immediate", &[big(1, REGISTER), value(2, &[1])]);
    vec![one, expression("meta", &[big(2, NFTRACE), big(3, REGISTER)])]
}

/// Whether a transport header is that of the reply: its first byte is the ICMP type, 0 or 129; or the port is the other one.
fn is_reply(header: &[u8], packet: Traced) -> bool {
    match packet {
        Traced::Echo { .. } => matches!(header.first(), Some(0 | 129)),
        Traced::Question { .. } => false,
        Traced::Ports { from, .. } => header.get(2..4) == Some(&from.to_be_bytes()),
    }
}

/// A trace event: the packet's number, whether it is seen to be a reply, and the rule that matched, or the policy.
fn step(body: &[u8], packet: Traced) -> Option<(u32, bool, Step)> {
    const RULE: u32 = 3;
    let mut step = Step {
        family: super::family(*body.first()?),
        table: String::new(),
        chain: String::new(),
        rule: None,
        drops: false,
        reply: false,
    };
    let (mut kind, mut verdict, mut policy, mut id, mut reply) = (0, None, None, 0, false);
    for (attribute, value) in attributes(body, GENERAL) {
        match attribute {
            1 => step.table = text(value),
            2 => step.chain = text(value),
            3 => step.rule = value.try_into().ok().map(u64::from_be_bytes),
            4 => kind = count(value)?,
            5 => verdict = find(value, 0, 1).and_then(count),
            6 => id = count(value)?,
            // The transport header.
            9 => reply = is_reply(value, packet),
            16 => policy = count(value),
            _ => {}
        }
    }
    // `NF_DROP` is 0; what goes on, accepts, jumps or returns is not.
    step.drops = if kind == RULE { verdict == Some(0) } else { policy == Some(0) };
    step.rule = step.rule.filter(|_| kind == RULE);
    Some((id, reply, step))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const ECHO: Traced = Traced::Echo { ipv6: false, id: 1, magic: [0; 8] };

    fn event(attributes: &[Vec<u8>]) -> Vec<u8> {
        request(TRACE, 0, INET, attributes).2
    }

    #[test]
    fn a_drop_is_told_from_what_goes_on() {
        let names = [string(1, "t"), string(2, "c")];
        let rule = |code: i32| {
            let verdict = nested(5, &[attribute(1, &code.to_be_bytes())]);
            let of_rule = [attribute(3, &7_u64.to_be_bytes()), big(4, 3), verdict];
            step(&event(&[names.to_vec(), of_rule.to_vec()].concat()), ECHO).unwrap().2
        };
        assert_eq!((rule(0).rule, rule(0).drops), (Some(7), true));
        assert!(!rule(1).drops && !rule(-1).drops && !rule(-3).drops);
        let policy = |code: u32| step(&event(&[names.to_vec(), vec![big(4, 1), big(16, code)]].concat()), ECHO).unwrap().2;
        assert_eq!((policy(0).rule, policy(0).drops, policy(1).drops), (None, true, false));
    }

    #[test]
    fn a_damaged_event_is_no_panic() {
        let whole = event(&[string(1, "t"), big(4, 3), nested(5, &[big(1, 0)])]);
        for cut in 0..whole.len() {
            let _ = step(&whole[..cut], ECHO);
        }
    }

    #[test]
    fn the_reply_of_a_connection_is_known_by_its_ports() {
        let packet = Traced::Ports { udp: false, from: 0x1234 };
        let header = |from: [u8; 2], to: [u8; 2]| step(&event(&[attribute(9, &[from, to].concat())]), packet).unwrap().1;
        assert!(header([0, 80], [0x12, 0x34]) && !header([0x12, 0x34], [0, 80]));
    }
}
