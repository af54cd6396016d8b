//! Which rule or policy drops a packet, as the kernel's own tracing tells (`meta nftrace`, `nft monitor trace`).

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use netlink_sys::{Socket, SocketAddr};
use nix::errno::Errno;

use super::message::{attributes, count, dump, errno, nested, number, open, receive, split, text, transact, word};
use crate::kernel::fault;

/// Message numbers of `linux/netfilter/nf_tables.h`: the subsystem is the high byte.
const NEW_TABLE: u16 = 10 << 8;
const NEW_CHAIN: u16 = 10 << 8 | 3;
const NEW_RULE: u16 = 10 << 8 | 6;
const GET_RULE: u16 = 10 << 8 | 7;
const TRACE: u16 = 10 << 8 | 0x11;
/// `NFNLGRP_NFTRACE`
const TRACE_GROUP: u32 = 9;
/// `NFT_TABLE_F_OWNER`: the table ends with the socket that made it, however the process ends (Linux 5.12).
const OWNED: u32 = 2;
/// `NLM_F_APPEND`
const APPEND: u16 = 0x800;
const CREATE: u16 = super::message::CREATE;
/// `NF_INET_PRE_ROUTING` and `NF_INET_LOCAL_OUT`; the bridge's have the same numbers.
const HOOKS: [(&str, u32); 2] = [("in", 0), ("out", 3)];
/// Before every other chain (`NF_IP_PRI_FIRST` is the least number).
const FIRST: i32 = i32::MIN + 1;
/// The families whose hooks see IP packets, as in `nfgenmsg`.
const INET: u8 = 1;
const BRIDGE: u8 = 7;
const NETDEV: u8 = 5;

/// The packet to trace: an echo request or its reply.
#[derive(Debug, Clone, Copy)]
pub struct Traced {
    /// `ICMPv6` instead of `ICMP`.
    pub ipv6: bool,
    /// Its identifier.
    pub id: u16,
    /// The first bytes of its payload.
    pub magic: [u8; 8],
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
pub struct Tracer {
    socket: Socket,
    table: String,
}

impl std::fmt::Debug for Tracer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tracer").field("table", &self.table).finish_non_exhaustive()
    }
}

impl AsFd for Tracer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Tracer {
    /// Begins to trace a packet in the namespace pinned there, and at one device of it from where frames come in.
    ///
    /// # Errors
    /// When the namespace cannot be entered, or the kernel has no nftables.
    pub fn open(pin: &Path, packet: Traced, device: Option<&str>) -> Result<Self, Errno> {
        let namespace = File::open(pin).map_err(|error| errno(&error))?;
        let begin = || {
            nix::sched::setns(&namespace, nix::sched::CloneFlags::CLONE_NEWNET)?;
            Self::begin(packet, device)
        };
        std::thread::scope(|scope| scope.spawn(begin).join()).unwrap_or(Err(Errno::EIO))
    }

    fn begin(packet: Traced, device: Option<&str>) -> Result<Self, Errno> {
        let mut socket = open()?;
        socket.bind(&SocketAddr::new(0, 0)).map_err(|error| errno(&error))?;
        socket.add_membership(TRACE_GROUP).map_err(|error| errno(&error))?;
        let table = format!("nslab-trace-{}", std::process::id());
        fault::point()?;
        transact(&socket, &rules(INET, &table, packet))?;
        fault::point()?;
        // A kernel may be without bridge tables; then nothing drops a frame there.
        let _ = transact(&socket, &rules(BRIDGE, &table, packet));
        // What drops at a device itself has no other hook; not every kernel and device has that.
        if let Some(device) = device {
            let _ = transact(&socket, &at_device(&table, device, packet));
        }
        socket.set_non_blocking(true).map_err(|error| errno(&error))?;
        Ok(Self { socket, table })
    }

    /// What has happened to the packet since, in order; the trace's own rules are left out.
    ///
    /// # Errors
    /// When the socket is broken.
    pub fn read(&self) -> Result<Vec<Step>, Errno> {
        let (mut steps, mut replies) = (Vec::new(), HashMap::new());
        loop {
            let datagram = match receive(&self.socket, 32 * 1024) {
                Ok(datagram) => datagram,
                Err(Errno::EAGAIN) => return Ok(steps),
                Err(Errno::EINTR | Errno::ENOBUFS) => continue,
                Err(error) => return Err(error),
            };
            let mut rest = &datagram[..];
            while let Some((kind, body, next)) = split(rest) {
                if let (TRACE, Some((id, reply, mut step))) = (kind, step(body)) {
                    // Only the first event of a chain tells the packet's headers.
                    let known = replies.entry(id).or_insert(false);
                    *known |= reply;
                    step.reply = *known;
                    steps.extend(Some(step).filter(|step| step.table != self.table));
                }
                rest = next;
            }
        }
    }
}

/// The place of a step's rule in its chain, from 1, as `iptables --line-numbers` counts; none where it is gone meanwhile.
pub fn number_of(pin: &Path, step: &Step) -> Option<usize> {
    let namespace = File::open(pin).ok()?;
    let rules = || {
        nix::sched::setns(&namespace, nix::sched::CloneFlags::CLONE_NEWNET)?;
        dump(GET_RULE, NEW_RULE, |body| handle(body, step))
    };
    let handles = std::thread::scope(|scope| scope.spawn(rules).join()).ok()?.ok()?;
    handles.iter().position(|handle| Some(*handle) == step.rule).map(|at| at + 1)
}

/// The handle of a rule, where it is of the step's chain (`NFTA_RULE_TABLE`, `_CHAIN`, `_HANDLE`).
fn handle(body: &[u8], step: &Step) -> Option<u64> {
    let value = |wanted: u16| attributes(body.get(4..)?).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
    let here = (super::family(*body.first()?), word(value(1)?), word(value(2)?));
    if here != (step.family, step.table.clone(), step.chain.clone()) {
        return None;
    }
    value(3)?.try_into().ok().map(u64::from_be_bytes)
}

/// The table of a device with one chain, where its frames come in first.
fn at_device(table: &str, device: &str, packet: Traced) -> Vec<(u16, u16, u8, Vec<Vec<u8>>)> {
    let place = nested(4, &[number(1, 0), super::message::attribute(2, &FIRST.to_be_bytes()), text(3, device)]);
    let names = [text(1, table), text(3, device), place, text(7, "filter")];
    vec![
        (NEW_TABLE, CREATE, NETDEV, vec![text(1, table), number(2, OWNED)]),
        (NEW_CHAIN, CREATE, NETDEV, names.to_vec()),
        (NEW_RULE, CREATE | APPEND, NETDEV, vec![text(1, table), text(2, device), nested(4, &expressions(packet))]),
    ]
}

/// The table of a family with its two chains and their rule.
fn rules(family: u8, table: &str, packet: Traced) -> Vec<(u16, u16, u8, Vec<Vec<u8>>)> {
    let mut parts = vec![(NEW_TABLE, CREATE, family, vec![text(1, table), number(2, OWNED)])];
    for (chain, hook) in HOOKS {
        let place = nested(4, &[number(1, hook), super::message::attribute(2, &FIRST.to_be_bytes())]);
        parts.push((NEW_CHAIN, CREATE, family, vec![text(1, table), text(3, chain), place, text(7, "filter")]));
        let rule = vec![text(1, table), text(2, chain), nested(4, &expressions(packet))];
        parts.push((NEW_RULE, CREATE | APPEND, family, rule));
    }
    parts
}

/// `meta l4proto PROTOCOL @th,32,16 ID @th,64,64 MAGIC meta nftrace set 1`
fn expressions(packet: Traced) -> Vec<Vec<u8>> {
    /// `NFT_REG_1`
    const REGISTER: u32 = 1;
    const TRANSPORT_HEADER: u32 = 2;
    const NFTRACE: u32 = 12;
    const L4PROTO: u32 = 16;
    let expression = |name: &str, data: &[Vec<u8>]| nested(1, &[text(1, name), nested(2, data)]);
    let value = |kind: u16, bytes: &[u8]| nested(kind, &[super::message::attribute(1, bytes)]);
    let equals = |bytes: &[u8]| expression("cmp", &[number(1, REGISTER), number(2, 0), value(3, bytes)]);
    let load = |offset: u32, length: u32| {
        let place = [number(1, REGISTER), number(2, TRANSPORT_HEADER), number(3, offset), number(4, length)];
        expression("payload", &place)
    };
    let protocol = if packet.ipv6 { libc::IPPROTO_ICMPV6 } else { libc::IPPROTO_ICMP };
    vec![
        expression("meta", &[number(2, L4PROTO), number(1, REGISTER)]),
        equals(&[u8::try_from(protocol).unwrap_or_default()]),
        load(4, 2),
        equals(&packet.id.to_be_bytes()),
        load(8, 8),
        equals(&packet.magic),
        expression("immediate", &[number(1, REGISTER), value(2, &[1])]),
        expression("meta", &[number(2, NFTRACE), number(3, REGISTER)]),
    ]
}

/// A trace event: the packet's number, whether it is seen to be a reply, and the rule that matched, or the policy.
fn step(body: &[u8]) -> Option<(u32, bool, Step)> {
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
    for (attribute, value) in attributes(body.get(4..)?) {
        match attribute {
            1 => step.table = word(value),
            2 => step.chain = word(value),
            3 => step.rule = value.try_into().ok().map(u64::from_be_bytes),
            4 => kind = count(value)?,
            5 => verdict = attributes(value).find(|(kind, _)| *kind == 1).and_then(|(_, code)| count(code)),
            6 => id = count(value)?,
            // The transport header: its first byte is the ICMP type, 0 or 129 for a reply.
            9 => reply = matches!(value.first(), Some(0 | 129)),
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
    use super::super::message::{attribute, message};
    use super::*;

    fn event(attributes: &[Vec<u8>]) -> Vec<u8> {
        message(TRACE, 0, 0, [INET, 0, 0, 0], attributes)[16..].to_vec()
    }

    #[test]
    fn a_drop_is_told_from_what_goes_on() {
        let names = [text(1, "t"), text(2, "c")];
        let rule = |code: i32| {
            let verdict = nested(5, &[attribute(1, &code.to_be_bytes())]);
            let of_rule = [attribute(3, &7_u64.to_be_bytes()), number(4, 3), verdict];
            step(&event(&[names.to_vec(), of_rule.to_vec()].concat())).unwrap().2
        };
        assert_eq!((rule(0).rule, rule(0).drops), (Some(7), true));
        assert!(!rule(1).drops && !rule(-1).drops && !rule(-3).drops);
        let policy = |code: u32| step(&event(&[names.to_vec(), vec![number(4, 1), number(16, code)]].concat())).unwrap().2;
        assert_eq!((policy(0).rule, policy(0).drops, policy(1).drops), (None, true, false));
    }

    #[test]
    fn a_damaged_event_is_no_panic() {
        let whole = event(&[text(1, "t"), number(4, 3), nested(5, &[number(1, 0)])]);
        for cut in 0..whole.len() {
            let _ = step(&whole[..cut]);
        }
    }
}
