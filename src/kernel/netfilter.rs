//! nftables in a namespace: whose tables there are and their end, the base chains that a packet may meet, and the rules, those of
//! iptables among them, as [`walk`] judges them. nslab itself keeps none.

pub mod iptables;
pub mod nat;
pub mod trace;
pub mod walk;

use nix::errno::Errno;
use walk::{NEW, Pattern, Rule, Rules, Ruleset, Test, Verdict};

use super::caller::thread;
use super::netlink::{Netlink, Raw, attributes, find, number, push, text};
use super::netns::{self, Pins, Space, is_namespace};
use super::tables::Chain;
use crate::error::Result;
use crate::plan::NodeId;

/// Message numbers of `linux/netfilter/nfnetlink.h` and `nf_tables.h`: the subsystem is the high byte.
const NEW_TABLE: u16 = 10 << 8;
const GET_TABLE: u16 = 10 << 8 | 1;
const DEL_TABLE: u16 = 10 << 8 | 2;
const NEW_CHAIN: u16 = 10 << 8 | 3;
const GET_CHAIN: u16 = 10 << 8 | 4;
const NEW_RULE: u16 = 10 << 8 | 6;
const GET_RULE: u16 = 10 << 8 | 7;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
/// `sizeof(struct nfgenmsg)`: the family, two bytes more, the subsystem of a batch.
const GENERAL: usize = 4;
/// `NLA_F_NESTED`
const NESTED: u16 = 0x8000;
/// `NFTA_TABLE_NAME`, and `NFTA_CHAIN_TABLE`, `NFTA_RULE_TABLE`.
const TABLE: u16 = 1;

/// A table: its family as in `nfgenmsg`, its name.
type Table = (u8, String);

/// The family as `nft` writes it.
fn family(number: u8) -> &'static str {
    match number {
        1 => "inet",
        2 => "ip",
        3 => "arp",
        5 => "netdev",
        7 => "bridge",
        10 => "ip6",
        _ => "other",
    }
}

/// The packet filters of nodes: each its node, family, name.
#[derive(Debug, Default)]
pub struct Tables {
    /// Of nftables.
    pub own: Vec<(NodeId, String, String)>,
    /// Of iptables as it was before, in which somebody has put something.
    pub legacy: Vec<(NodeId, String, String)>,
}

/// The tables of all these nodes; a kernel without packet filters has none.
pub fn tables(pins: &Pins, nodes: &[NodeId]) -> Tables {
    let there: Vec<&NodeId> = nodes.iter().filter(|node| is_namespace(&pins.pin(node))).collect();
    let found = thread(|| {
        let mut found = Tables::default();
        for node in there {
            let Ok(_here) = Space::open(&pins.pin(node), node) else { continue };
            let legacy = iptables::touched().into_iter();
            found.legacy.extend(legacy.map(|(family, table)| (node.clone(), family.to_owned(), table)));
            let Ok(tables) = list() else { continue };
            found.own.extend(tables.into_iter().map(|(number, name)| (node.clone(), family(number).to_owned(), name)));
        }
        found
    });
    found.unwrap_or_default()
}

/// Deletes every table of these nodes; how many there were.
pub fn flush(pins: &Pins, nodes: &[NodeId]) -> Result<usize> {
    let there: Vec<&NodeId> = nodes.iter().filter(|node| is_namespace(&pins.pin(node))).collect();
    thread(|| {
        let mut count = 0;
        for node in there {
            let _here = Space::open(&pins.pin(node), node)?;
            let tables = list().unwrap_or_default();
            count += tables.len();
            if !tables.is_empty() {
                delete(&tables).map_err(|errno| netns::error(node, "nft flush ruleset", errno))?;
            }
        }
        Ok(count)
    })?
}

/// The tables of the calling thread's namespace.
fn list() -> std::result::Result<Vec<Table>, Errno> {
    dump(GET_TABLE, NEW_TABLE, |body| Some((*body.first()?, text(find(body, GENERAL, TABLE)?))))
}

/// Deletes tables of the calling thread's namespace, all in one transaction.
fn delete(tables: &[Table]) -> std::result::Result<(), Errno> {
    let parts = tables.iter().map(|(family, name)| request(DEL_TABLE, 0, *family, &[string(TABLE, name)]));
    transact(&mut Netlink::netfilter()?, parts.collect())
}

/// `NFTA_CHAIN_NAME`, `_HOOK`, `_POLICY`, and in the hook `NFTA_HOOK_HOOKNUM`.
const CHAIN_NAME: u16 = 3;
const HOOK: u16 = 4;
const POLICY: u16 = 5;
const HOOK_NUMBER: u16 = 1;

/// Those of the calling thread's namespace; a kernel without nftables has none.
pub fn chains() -> Vec<Chain> {
    let base = |rules: Rules| {
        let Rules { family, table, name, hook, drops, .. } = rules;
        Some(Chain { family, table, name, hook: hook?, drops })
    };
    dump(GET_CHAIN, NEW_CHAIN, chain).unwrap_or_default().into_iter().filter_map(base).collect()
}

fn chain(body: &[u8]) -> Option<Rules> {
    let number = *body.first()?;
    let mut chain = Rules { family: family(number).to_owned(), ..Rules::default() };
    for (kind, value) in attributes(body, GENERAL) {
        match kind {
            TABLE => chain.table = text(value),
            CHAIN_NAME => chain.name = text(value),
            HOOK => {
                let place = find(value, 0, HOOK_NUMBER).and_then(count);
                chain.hook = place.map(|place| hook(number, place).to_owned());
            }
            // `NF_DROP` (`linux/netfilter.h`)
            POLICY => chain.drops = count(value) == Some(0),
            _ => {}
        }
    }
    Some(chain)
}

/// The hook as `nft` writes it (`enum nf_inet_hooks`, `nf_dev_hooks`, `NF_ARP_IN`).
fn hook(family: u8, number: u32) -> &'static str {
    match (family, number) {
        // `NF_ARP_IN`, `NF_ARP_OUT`: the numbers are others there.
        (3, 0) | (1..=2 | 7.., 1) => "input",
        (3, 1) | (_, 3) => "output",
        (5, 0) | (_, 5) => "ingress",
        (5, _) => "egress",
        (_, 0) => "prerouting",
        (_, 2) => "forward",
        (_, 4) => "postrouting",
        _ => "other",
    }
}

/// `NFTA_RULE_CHAIN`, `_EXPRESSIONS`; `NFTA_EXPR_NAME`, `_DATA`.
const CHAIN: u16 = 2;
const EXPRESSIONS: u16 = 4;
const NAME: u16 = 1;
const DATA: u16 = 2;

/// Every chain of the calling thread's namespace with its rules; a kernel without nftables has none.
pub fn read() -> Ruleset {
    let mut chains = dump(GET_CHAIN, NEW_CHAIN, chain).unwrap_or_default();
    let rules = dump(GET_RULE, NEW_RULE, rule).unwrap_or_default();
    for (of, table, name, rule) in rules {
        let same = |chain: &&mut Rules| chain.name == name && chain.table == table && chain.family == of;
        if let Some(chain) = chains.iter_mut().find(same) {
            chain.rules.push(rule);
        }
    }
    chains.extend(iptables::rules());
    Ruleset { chains }
}

/// Family, table, chain, rule.
fn rule(body: &[u8]) -> Option<(String, String, String, Rule)> {
    let family = family(*body.first()?).to_owned();
    let (mut table, mut chain, mut rule) = (None, None, Rule { tests: Vec::new(), verdict: Verdict::Continue });
    for (kind, value) in attributes(body, GENERAL) {
        match kind {
            TABLE => table = Some(text(value)),
            CHAIN => chain = Some(text(value)),
            EXPRESSIONS => rule = Reading::read(value),
            _ => {}
        }
    }
    Some((family, table?, chain?, rule))
}

/// What is in the register that a comparison reads.
#[derive(Clone, Copy)]
enum Loaded {
    /// `NFT_META_`: what of the packet.
    Meta(u32),
    /// The type of an ICMP message.
    Kind,
    /// The state of its connection, these bits of it.
    State(u32),
    Other,
}

/// `NFT_META_`
const IIF: u32 = 4;
const OIF: u32 = 5;
const IIF_NAME: u32 = 6;
const OIF_NAME: u32 = 7;
const FAMILY: u32 = 15;
const PROTOCOL: u32 = 16;
const IN_BRIDGE: u32 = 17;
const OUT_BRIDGE: u32 = 18;
/// `NFT_CT_STATE`
const CT_STATE: u32 = 0;
/// `NFT_CMP_EQ`, `NFT_CMP_NEQ`
const EQUAL: u32 = 0;
const UNEQUAL: u32 = 1;
/// Room for an interface's name, its NUL included (`IFNAMSIZ`).
const NAME_ROOM: usize = 16;

/// A rule being read, expression by expression.
struct Reading {
    loaded: Loaded,
    rule: Rule,
}

impl Reading {
    fn read(expressions: &[u8]) -> Rule {
        let mut reading = Self { loaded: Loaded::Other, rule: Rule { tests: Vec::new(), verdict: Verdict::Continue } };
        for (_, expression) in attributes(expressions, 0) {
            let name = find(expression, 0, NAME).map(text).unwrap_or_default();
            reading.take(&name, find(expression, 0, DATA).unwrap_or_default());
        }
        reading.rule
    }

    fn take(&mut self, name: &str, data: &[u8]) {
        let get = |wanted: u16| find(data, 0, wanted);
        let number = |wanted: u16| get(wanted).and_then(count);
        match name {
            // `NFTA_META_KEY`; with a source register it sets something instead.
            "meta" if get(3).is_some() => {}
            "meta" => self.loaded = number(2).map_or(Loaded::Other, Loaded::Meta),
            // `NFTA_PAYLOAD_BASE`, `_OFFSET`, `_LEN`: the first byte of what IP carries.
            "payload" if (number(2), number(3), number(4)) == (Some(2), Some(0), Some(1)) => self.loaded = Loaded::Kind,
            // `NFTA_CT_KEY`
            "ct" => self.loaded = if number(2) == Some(CT_STATE) { Loaded::State(u32::MAX) } else { Loaded::Other },
            // `NFTA_BITWISE_MASK`: of the state the kernel's own order.
            "bitwise" => {
                let mask = get(4).and_then(value).and_then(native);
                self.loaded = match (self.loaded, mask) {
                    (Loaded::State(bits), Some(mask)) => Loaded::State(bits & mask),
                    _ => Loaded::Other,
                };
            }
            // `NFTA_CMP_OP`, `NFTA_CMP_DATA`
            "cmp" => {
                let test = match (number(2), get(3).and_then(value)) {
                    (Some(operator @ (EQUAL | UNEQUAL)), Some(value)) => self.compared(operator == UNEQUAL, value),
                    _ => Test::Unknown,
                };
                self.rule.tests.push(test);
            }
            // `NFTA_IMMEDIATE_DREG`: 0 is the verdict.
            "immediate" if number(1) == Some(0) => self.rule.verdict = get(2).map_or(Verdict::Unknown, verdict),
            "payload" | "immediate" => self.loaded = Loaded::Other,
            "reject" => self.rule.verdict = Verdict::Drop,
            "queue" => self.rule.verdict = Verdict::Unknown,
            // `NFTA_LOOKUP_DREG`: a map of verdicts. One of states says what becomes of connections that are there.
            "lookup" if number(3) == Some(0) => {
                let states = matches!(self.loaded, Loaded::State(_));
                self.rule.tests.push(if states { Test::New(false) } else { Test::Unknown });
                self.rule.verdict = Verdict::Unknown;
            }
            // `NFTA_TARGET_NAME`
            "target" => self.rule.verdict = iptables::target(&get(1).map(text).unwrap_or_default()),
            // `NFTA_MATCH_NAME`, `NFTA_MATCH_INFO`
            "match" => self.rule.tests.extend(iptables::test(&get(1).map(text).unwrap_or_default(), get(3).unwrap_or_default())),
            "counter" | "log" | "notrack" | "last" => {}
            _ => self.rule.tests.push(Test::Unknown),
        }
    }

    fn compared(&self, inverted: bool, value: &[u8]) -> Test {
        let pattern = || {
            // A name that ends without a NUL is a beginning.
            let open = value.len() < NAME_ROOM && !value.contains(&0);
            Pattern { name: iptables::to_nul(value), open, inverted }
        };
        let byte = value.first().copied();
        match (self.loaded, native(value), byte) {
            (Loaded::Meta(IIF_NAME), ..) => Test::Enters(pattern()),
            (Loaded::Meta(OIF_NAME), ..) => Test::Leaves(pattern()),
            (Loaded::Meta(IN_BRIDGE | OUT_BRIDGE), ..) => Test::Crosses(pattern()),
            (Loaded::Meta(IIF), Some(index), _) => Test::EntersIndex(index, inverted),
            (Loaded::Meta(OIF), Some(index), _) => Test::LeavesIndex(index, inverted),
            (Loaded::Meta(FAMILY), _, Some(family)) => Test::Ipv6((i32::from(family) == libc::AF_INET6) != inverted),
            (Loaded::Meta(PROTOCOL), _, Some(protocol)) => Test::Protocol(protocol, inverted),
            (Loaded::Kind, _, Some(kind)) if !inverted => Test::Echo(iptables::REQUESTS.contains(&kind)),
            // `ct state new` is a mask and "not nothing".
            (Loaded::State(bits), Some(0), _) => Test::New((bits & NEW != 0) == inverted),
            (Loaded::State(u32::MAX), Some(state), _) => Test::New((state == NEW) != inverted),
            _ => Test::Unknown,
        }
    }
}

/// `NFTA_DATA_VALUE` in an attribute.
fn value(data: &[u8]) -> Option<&[u8]> {
    find(data, 0, 1)
}

fn native(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_ne_bytes)
}

/// `NFTA_DATA_VERDICT` with `NFTA_VERDICT_CODE` and `NFTA_VERDICT_CHAIN`.
fn verdict(data: &[u8]) -> Verdict {
    let Some(inner) = find(data, 0, 2) else { return Verdict::Unknown };
    let get = |wanted: u16| find(inner, 0, wanted);
    let chain = || get(2).map(text).unwrap_or_default();
    // `NF_DROP`, `NF_ACCEPT` of `linux/netfilter.h`, `NFT_CONTINUE` and so on of `nf_tables.h`.
    match get(1).and_then(count).map(u32::cast_signed) {
        Some(0) => Verdict::Drop,
        Some(1) => Verdict::Accept,
        Some(-1) => Verdict::Continue,
        Some(-3) => Verdict::Jump(chain()),
        Some(-4) => Verdict::Goto(chain()),
        Some(-5) => Verdict::Return,
        _ => Verdict::Unknown,
    }
}

/// One attribute.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(value.len() + 8);
    push(&mut bytes, kind, value);
    bytes
}

/// A string with the NUL that the kernel expects.
fn string(kind: u16, value: &str) -> Vec<u8> {
    attribute(kind, &[value.as_bytes(), &[0]].concat())
}

/// A number; nftables has them in network order.
fn big(kind: u16, value: u32) -> Vec<u8> {
    attribute(kind, &value.to_be_bytes())
}

/// Attributes in an attribute.
fn nested(kind: u16, inner: &[Vec<u8>]) -> Vec<u8> {
    attribute(kind | NESTED, &inner.concat())
}

/// A number attribute's value.
fn count(value: &[u8]) -> Option<u32> {
    number(value).map(u32::from_be)
}

/// A request about something of a family.
fn request(kind: u16, flags: u16, family: u8, attributes: &[Vec<u8>]) -> Raw {
    (kind, flags, [&[family, 0, 0, 0], attributes.concat().as_slice()].concat())
}

/// Every object of the calling thread's namespace that a dump lists.
fn dump<T>(get: u16, new: u16, read: impl Fn(&[u8]) -> Option<T>) -> std::result::Result<Vec<T>, Errno> {
    Netlink::netfilter()?.dump(get, &[0; GENERAL], |kind, body| if kind == new { read(body) } else { None })
}

/// Requests that count all or not at all.
fn transact(socket: &mut Netlink, parts: Vec<Raw>) -> std::result::Result<(), Errno> {
    let edge = |kind| (kind, 0, vec![0, 0, 0, 10]);
    let all: Vec<Raw> = std::iter::once(edge(BATCH_BEGIN)).chain(parts).chain([edge(BATCH_END)]).collect();
    socket.transact(&all)
}
