//! Single values of hosts and containers.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

use super::decode::{At, OneOrMany};
use crate::name::{IfName, Mac, NameFault};
use crate::problem::{Problem, Reference};
use crate::topology::findings::{Findings, Span};
use crate::topology::near::nearest;
use crate::topology::values;

/// Smallest and largest MTU that the kernel gives a veth (`ETH_MIN_MTU`, `ETH_MAX_MTU`, `linux/if_ether.h`).
const MTU: (i64, i64) = (68, 65535);

/// A name of its kind.
pub(super) fn name<T: FromStr<Err = NameFault>>(word: &At<String>, findings: &mut Findings) -> Option<T> {
    one(word, values::name, findings)
}

fn one<T>(word: &At<String>, read: impl Fn(&str) -> Result<T, Problem>, findings: &mut Findings) -> Option<T> {
    read(&word.value).map_err(|problem| findings.add(&word.at, problem)).ok()
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
    all(words, values::prefix, findings)
}

/// Addresses without prefixes.
pub(super) fn addresses(words: Option<&OneOrMany>, findings: &mut Findings) -> Vec<At<IpAddr>> {
    all(words, values::address, findings)
}

fn all<T>(words: Option<&OneOrMany>, read: fn(&str) -> Result<T, Problem>, findings: &mut Findings) -> Vec<At<T>> {
    let words = words.map_or(&[][..], |words| &words.0);
    words.iter().filter_map(|word| Some(At { value: one(word, read, findings)?, at: word.at.clone() })).collect()
}

/// One destination of a route.
pub(super) fn destination(word: &At<String>, findings: &mut Findings) -> Option<IpNet> {
    one(word, values::destination, findings)
}

/// One address without a prefix.
pub(super) fn router(word: &At<String>, findings: &mut Findings) -> Option<IpAddr> {
    one(word, values::address, findings)
}

/// A MAC address.
pub(super) fn mac(word: Option<&At<String>>, findings: &mut Findings) -> Option<At<Mac>> {
    let word = word?;
    Some(At { value: one(word, values::mac, findings)?, at: word.at.clone() })
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
