//! The chains of a namespace, the base chains among them: where a packet may meet a filter.

use super::family;
use super::message::{attributes, count, dump, word};
use super::walk::Rules;
use crate::kernel::tables::Chain;

/// Message numbers of `linux/netfilter/nf_tables.h`.
const GET_CHAIN: u16 = 10 << 8 | 4;
const NEW_CHAIN: u16 = 10 << 8 | 3;
/// `NFTA_CHAIN_TABLE`, `_NAME`, `_HOOK`, `_POLICY`, and in the hook `NFTA_HOOK_HOOKNUM`.
const TABLE: u16 = 1;
const NAME: u16 = 3;
const HOOK: u16 = 4;
const POLICY: u16 = 5;
const HOOK_NUMBER: u16 = 1;

/// Those of the calling thread's namespace; a kernel without nftables has none.
pub fn chains() -> Vec<Chain> {
    let base = |of: Rules| {
        let Rules { family, table, name, hook, drops, .. } = of;
        Some(Chain { family, table, name, hook: hook?, drops })
    };
    all().into_iter().filter_map(base).collect()
}

/// Every chain, without its rules.
pub(super) fn all() -> Vec<Rules> {
    dump(GET_CHAIN, NEW_CHAIN, chain).unwrap_or_default()
}

fn chain(body: &[u8]) -> Option<Rules> {
    let of = *body.first()?;
    let mut chain = Rules { family: family(of).to_owned(), ..Rules::default() };
    for (kind, value) in attributes(body.get(4..)?) {
        match kind {
            TABLE => chain.table = word(value),
            NAME => chain.name = word(value),
            HOOK => {
                let place = attributes(value).find(|(kind, _)| *kind == HOOK_NUMBER).and_then(|(_, value)| count(value));
                chain.hook = place.map(|place| hook(of, place).to_owned());
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
