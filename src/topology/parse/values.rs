//! Single values of a file: names, addresses, numbers.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

use super::decode::{At, OneOrMany};
use crate::name::{IfName, Mac, NameFault};
use crate::problem::{AddressFault, Problem, Reference};
use crate::topology::findings::{Findings, Span};
use crate::topology::near::nearest;

/// Smallest and largest MTU that the kernel gives a veth (`ETH_MIN_MTU`, `ETH_MAX_MTU`, `linux/if_ether.h`).
const MTU: (i64, i64) = (68, 65535);

/// A name of its kind.
pub(super) fn name<T: FromStr<Err = NameFault>>(word: &At<String>, findings: &mut Findings) -> Option<T> {
    let fault = match word.value.parse() {
        Ok(name) => return Some(name),
        Err(fault) => fault,
    };
    findings.add(&word.at, Problem::BadName { word: word.value.clone(), fault });
    None
}

/// An interface name, given or made of a container's name.
pub(super) fn made_interface(made: &str, at: &Span, findings: &mut Findings) -> Option<IfName> {
    if let Ok(name) = made.parse() {
        return Some(name);
    }
    findings.add(at, Problem::TooLongForInterface { made: made.to_owned(), limit: IfName::MAX });
    None
}

/// Addresses with their prefixes.
pub(super) fn prefixes(words: Option<&OneOrMany>, findings: &mut Findings) -> Vec<At<IpNet>> {
    all(words, prefix, |word, fault| Problem::NotAPrefix { word, fault }, findings)
}

/// Addresses without prefixes.
pub(super) fn addresses(words: Option<&OneOrMany>, findings: &mut Findings) -> Vec<At<IpAddr>> {
    all(words, address, |word, fault| Problem::NotAnAddress { word, fault }, findings)
}

fn all<T>(
    words: Option<&OneOrMany>,
    read: fn(&str) -> Result<T, AddressFault>,
    problem: fn(String, AddressFault) -> Problem,
    findings: &mut Findings,
) -> Vec<At<T>> {
    let mut values = Vec::new();
    for word in words.map_or(&[][..], |words| &words.0) {
        match read(&word.value) {
            Ok(value) => values.push(At { value, at: word.at.clone() }),
            Err(fault) => findings.add(&word.at, problem(word.value.clone(), fault)),
        }
    }
    values
}

/// One destination of a route.
pub(super) fn destination(word: &At<String>, findings: &mut Findings) -> Option<IpNet> {
    let given = match prefix(&word.value) {
        Ok(given) => given,
        Err(fault) => {
            findings.add(&word.at, Problem::NotAPrefix { word: word.value.clone(), fault });
            return None;
        }
    };
    if is_mapped(given.addr()) {
        findings.add(&word.at, Problem::NotAHostAddress(given.addr()));
        return None;
    }
    if given.trunc() != given {
        findings.add(&word.at, Problem::HostBits { given, meant: given.trunc() });
        return None;
    }
    Some(given)
}

/// One address without a prefix.
pub(super) fn router(word: &At<String>, findings: &mut Findings) -> Option<IpAddr> {
    let fault = match address(&word.value) {
        Ok(router) => return Some(router),
        Err(fault) => fault,
    };
    findings.add(&word.at, Problem::NotAnAddress { word: word.value.clone(), fault });
    None
}

fn is_mapped(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some())
}

fn prefix(word: &str) -> Result<IpNet, AddressFault> {
    let Some((address, len)) = word.split_once('/') else {
        return Err(bare(word).err().unwrap_or(AddressFault::NoPrefix));
    };
    let address = bare(address)?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let plain = !len.is_empty() && len.bytes().all(|byte| byte.is_ascii_digit()) && (len.len() == 1 || !len.starts_with('0'));
    let len = if plain { len.parse().ok() } else { None };
    len.and_then(|len| IpNet::new(address, len).ok()).ok_or(AddressFault::PrefixRange(longest))
}

fn address(word: &str) -> Result<IpAddr, AddressFault> {
    match word.split_once('/') {
        Some((address, _)) if bare(address).is_ok() => Err(AddressFault::Prefix),
        _ => bare(word),
    }
}

fn bare(word: &str) -> Result<IpAddr, AddressFault> {
    let fault = || {
        let zero = |part: &str| part.len() > 1 && part.starts_with('0') && part.bytes().all(|byte| byte.is_ascii_digit());
        let four = word.split('.').count() == 4;
        if four && word.split('.').any(zero) { AddressFault::LeadingZero } else { AddressFault::Malformed }
    };
    word.parse().map_err(|_| fault())
}

/// A MAC address.
pub(super) fn mac(word: Option<&At<String>>, findings: &mut Findings) -> Option<At<Mac>> {
    let word = word?;
    if let Ok(value) = word.value.parse() {
        return Some(At { value, at: word.at.clone() });
    }
    findings.add(&word.at, Problem::NotAMac(word.value.clone()));
    None
}

/// Bytes of payload per frame.
pub(super) fn mtu(number: Option<&At<i64>>, findings: &mut Findings) -> Option<u32> {
    let number = number?;
    let (low, high) = MTU;
    if (low..=high).contains(&number.value) {
        return u32::try_from(number.value).ok();
    }
    findings.add(&number.at, Problem::OutOfRange { what: "mtu", low, high });
    None
}

/// Notes a word that refers to nothing.
pub(super) fn unknown(what: Reference, word: &At<String>, known: &[&str], findings: &mut Findings) {
    let meant = nearest(&word.value, known.iter().copied());
    // Nobody reads a list of a thousand names.
    let known = known.iter().take(10).map(|&name| name.to_owned()).collect();
    findings.add(&word.at, Problem::UnknownReference { what, word: word.value.clone(), meant, known });
}
