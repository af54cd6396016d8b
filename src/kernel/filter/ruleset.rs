//! The rules of nftables, those of iptables among them, as [`walk`](super::walk) judges them.

use super::family;
use super::message::{attributes, count, dump, word};
use super::walk::{NEW, Pattern, Rule, Rules, Ruleset, Test, Verdict};
use super::{chains, xtables};

/// Message numbers of `linux/netfilter/nf_tables.h`.
const GET_RULE: u16 = 10 << 8 | 7;
const NEW_RULE: u16 = 10 << 8 | 6;
/// `NFTA_RULE_TABLE`, `_CHAIN`, `_EXPRESSIONS`; `NFTA_EXPR_NAME`, `_DATA`.
const TABLE: u16 = 1;
const CHAIN: u16 = 2;
const EXPRESSIONS: u16 = 4;
const NAME: u16 = 1;
const DATA: u16 = 2;

/// Every chain of the calling thread's namespace with its rules; a kernel without nftables has none.
pub fn read() -> Ruleset {
    let mut chains = chains::all();
    let rules = dump(GET_RULE, NEW_RULE, rule).unwrap_or_default();
    for (of, table, name, rule) in rules {
        let same = |chain: &&mut Rules| chain.name == name && chain.table == table && chain.family == of;
        if let Some(chain) = chains.iter_mut().find(same) {
            chain.rules.push(rule);
        }
    }
    chains.extend(super::legacy::rules());
    Ruleset { chains }
}

/// Family, table, chain, rule.
fn rule(body: &[u8]) -> Option<(String, String, String, Rule)> {
    let of = family(*body.first()?).to_owned();
    let (mut table, mut chain, mut rule) = (None, None, Rule { tests: Vec::new(), verdict: Verdict::Continue });
    for (kind, value) in attributes(body.get(4..)?) {
        match kind {
            TABLE => table = Some(word(value)),
            CHAIN => chain = Some(word(value)),
            EXPRESSIONS => rule = Reading::of(value),
            _ => {}
        }
    }
    Some((of, table?, chain?, rule))
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
    fn of(expressions: &[u8]) -> Rule {
        let mut reading = Self { loaded: Loaded::Other, rule: Rule { tests: Vec::new(), verdict: Verdict::Continue } };
        for (_, expression) in attributes(expressions) {
            let (mut name, mut data) = (String::new(), &[][..]);
            for (kind, value) in attributes(expression) {
                match kind {
                    NAME => name = word(value),
                    DATA => data = value,
                    _ => {}
                }
            }
            reading.take(&name, data);
        }
        reading.rule
    }

    fn take(&mut self, name: &str, data: &[u8]) {
        let get = |wanted: u16| attributes(data).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
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
            "target" => self.rule.verdict = xtables::verdict(&get(1).map(word).unwrap_or_default()),
            // `NFTA_MATCH_NAME`, `NFTA_MATCH_INFO`
            "match" => self.rule.tests.extend(xtables::test(&get(1).map(word).unwrap_or_default(), get(3).unwrap_or_default())),
            "counter" | "log" | "notrack" | "last" => {}
            _ => self.rule.tests.push(Test::Unknown),
        }
    }

    fn compared(&self, inverted: bool, value: &[u8]) -> Test {
        let pattern = || {
            // A name that ends without a NUL is a beginning.
            let open = value.len() < NAME_ROOM && !value.contains(&0);
            Pattern { name: word_to_nul(value), open, inverted }
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
            (Loaded::Kind, _, Some(kind)) if !inverted => Test::Echo(xtables::REQUESTS.contains(&kind)),
            // `ct state new` is a mask and "not nothing".
            (Loaded::State(bits), Some(0), _) => Test::New((bits & NEW != 0) == inverted),
            (Loaded::State(u32::MAX), Some(state), _) => Test::New((state == NEW) != inverted),
            _ => Test::Unknown,
        }
    }
}

fn word_to_nul(value: &[u8]) -> String {
    let end = value.iter().position(|&byte| byte == 0).unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}

/// `NFTA_DATA_VALUE` in an attribute.
fn value(data: &[u8]) -> Option<&[u8]> {
    attributes(data).find(|(kind, _)| *kind == 1).map(|(_, value)| value)
}

fn native(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_ne_bytes)
}

/// `NFTA_DATA_VERDICT` with `NFTA_VERDICT_CODE` and `NFTA_VERDICT_CHAIN`.
fn verdict(data: &[u8]) -> Verdict {
    let Some((_, inner)) = attributes(data).find(|(kind, _)| *kind == 2) else { return Verdict::Unknown };
    let get = |wanted: u16| attributes(inner).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
    let chain = || get(2).map(word).unwrap_or_default();
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
