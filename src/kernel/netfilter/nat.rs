//! The rules of a namespace that change the source of packets.

use std::net::IpAddr;
use std::path::Path;

use super::{
    CHAIN, DATA, EQUAL, EXPRESSIONS, GENERAL, GET_RULE, NAME, NEW_RULE, OIF_NAME, TABLE, UNEQUAL, count, dump, family, value,
};
use crate::kernel::netlink::{attributes, find, text};
use crate::kernel::netns::within;

/// A rule that changes the source of packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hider {
    /// The family as `nft` writes it.
    pub family: String,
    /// The table.
    pub table: String,
    /// The chain.
    pub chain: String,
    /// The rule's handle.
    pub handle: u64,
    /// Its place in the chain, from 1.
    pub number: usize,
    /// It takes the packet: none where it asks for something that nslab does not know.
    takes: Option<bool>,
}

/// A packet that leaves a namespace.
#[derive(Debug, Clone, Copy)]
pub struct Leaving<'a> {
    /// Its source address before.
    pub source: IpAddr,
    /// Its destination.
    pub destination: IpAddr,
    /// The interface that it leaves by.
    pub dev: &'a str,
}

/// The one rule of the namespace pinned there that changes the packet's source; none where it is not known which one does.
pub fn hider(pin: &Path, packet: Leaving<'_>) -> Option<Hider> {
    let rules = within(pin, "", || dump(GET_RULE, NEW_RULE, |body| rule(body, packet))).ok()?.ok()?;
    only(numbered(&rules))
}

/// The first that takes the packet for sure, where none before it might; else the only one that might.
fn only(rules: Vec<Hider>) -> Option<Hider> {
    let mut able = rules.into_iter().filter(|rule| rule.takes != Some(false));
    let first = able.next()?;
    (first.takes == Some(true) || able.next().is_none()).then_some(first)
}

/// Those that translate, with their numbers among all.
fn numbered(rules: &[(Hider, bool)]) -> Vec<Hider> {
    let place = |rule: &Hider| (rule.family.clone(), rule.table.clone(), rule.chain.clone());
    let mut found: Vec<Hider> = Vec::new();
    for (at, (rule, translates)) in rules.iter().enumerate() {
        if *translates {
            let number = rules[..=at].iter().filter(|(other, _)| place(other) == place(rule)).count();
            found.push(Hider { number, ..rule.clone() });
        }
    }
    found
}

/// A rule, and whether it changes the source (`NFTA_RULE_HANDLE` is 3).
fn rule(body: &[u8], packet: Leaving<'_>) -> Option<(Hider, bool)> {
    let mut rule = Hider {
        family: family(*body.first()?).to_owned(),
        table: String::new(),
        chain: String::new(),
        handle: 0,
        number: 0,
        takes: Some(true),
    };
    let mut translates = false;
    for (kind, value) in attributes(body, GENERAL) {
        match kind {
            TABLE => rule.table = text(value),
            CHAIN => rule.chain = text(value),
            3 => rule.handle = value.try_into().ok().map(u64::from_be_bytes)?,
            EXPRESSIONS => (translates, rule.takes) = read(value, packet),
            _ => {}
        }
    }
    Some((rule, translates))
}

/// Whether the expressions change the source, and whether the packet comes so far.
fn read(expressions: &[u8], packet: Leaving<'_>) -> (bool, Option<bool>) {
    let (mut translates, mut takes, mut loaded) = (false, Some(true), None::<Vec<u8>>);
    for (_, expression) in attributes(expressions, 0) {
        let name = find(expression, 0, NAME).map(text).unwrap_or_default();
        let data = find(expression, 0, DATA).unwrap_or_default();
        let get = |wanted: u16| find(data, 0, wanted);
        let number = |wanted: u16| get(wanted).and_then(count);
        match name.as_str() {
            "meta" => loaded = (number(2) == Some(OIF_NAME)).then(|| packet.dev.as_bytes().to_vec()),
            "payload" => loaded = field(packet, number(2), number(3), number(4)),
            "bitwise" => {
                let mask = get(4).and_then(value);
                let masked = |own: Vec<u8>, mask: &[u8]| own.iter().zip(mask).map(|(own, mask)| own & mask).collect();
                loaded = loaded.zip(mask).map(|(own, mask)| masked(own, mask));
            }
            "cmp" => {
                let known = loaded.as_deref().zip(get(3).and_then(value)).zip(number(2));
                let holds = known.and_then(|((own, asked), operator)| compared(own, asked, operator));
                takes = both(takes, holds);
            }
            "masq" => translates = true,
            // `NFTA_NAT_TYPE`: 0 is the source.
            "nat" => translates = number(1) == Some(0),
            // `NFTA_TARGET_NAME`
            "target" => translates = get(1).map(text).is_some_and(|target| ["MASQUERADE", "SNAT"].contains(&target.as_str())),
            "match" if get(1).map(text).is_some_and(|name| name == "comment") => {}
            "immediate" | "counter" | "log" => {}
            _ => takes = both(takes, None),
        }
    }
    (translates, takes)
}

/// The source or the destination in the packet's header, or as much of it as is asked for (RFC 791, RFC 8200).
fn field(packet: Leaving<'_>, base: Option<u32>, offset: Option<u32>, length: Option<u32>) -> Option<Vec<u8>> {
    const NETWORK_HEADER: u32 = 1;
    let address = match (packet.source.is_ipv4(), offset?) {
        (true, 12) | (false, 8) => packet.source,
        (true, 16) | (false, 24) => packet.destination,
        _ => return None,
    };
    let octets = match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let length = usize::try_from(length?).ok()?;
    (base == Some(NETWORK_HEADER)).then(|| octets.get(..length).map(<[u8]>::to_vec)).flatten()
}

/// A name ends with its NUL, or is the beginning of one.
fn compared(own: &[u8], asked: &[u8], operator: u32) -> Option<bool> {
    let same = match asked.iter().position(|byte| *byte == 0).filter(|_| asked.len() != own.len()) {
        Some(end) => own == &asked[..end],
        None => own.starts_with(asked),
    };
    match operator {
        EQUAL => Some(same),
        UNEQUAL => Some(!same),
        _ => None,
    }
}

fn both(one: Option<bool>, other: Option<bool>) -> Option<bool> {
    match (one, other) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(number: usize, takes: Option<bool>) -> Hider {
        let [family, table, chain] = ["ip", "nat", "POSTROUTING"].map(str::to_owned);
        Hider { family, table, chain, handle: 0, number, takes }
    }

    #[test]
    fn the_rule_that_takes_the_packet_is_known_only_where_no_other_may() {
        let found = |all: &[Option<bool>]| {
            let rules = all.iter().enumerate().map(|(at, takes)| rule(at + 1, *takes)).collect();
            only(rules).map(|rule| rule.number)
        };
        assert_eq!(found(&[Some(false), Some(true), None]), Some(2));
        assert_eq!(found(&[Some(false), None]), Some(2));
        assert_eq!(found(&[None, Some(true)]), None);
        assert_eq!(found(&[Some(false)]), None);
    }

    #[test]
    fn names_and_addresses_are_compared_as_the_kernel_does() {
        assert_eq!(compared(b"enp0s8", b"enp0s8\0\0\0\0\0\0\0\0\0\0", EQUAL), Some(true));
        assert_eq!(compared(b"enp0s3", b"enp0s8\0\0\0\0\0\0\0\0\0\0", EQUAL), Some(false));
        assert_eq!(compared(b"enp0s8", b"enp", EQUAL), Some(true));
        assert_eq!(compared(&[10, 1, 0, 0], &[10, 1, 0, 0], UNEQUAL), Some(false));
        assert_eq!(compared(&[10, 2, 0, 0], &[10, 1, 0, 0], UNEQUAL), Some(true));
    }
}
