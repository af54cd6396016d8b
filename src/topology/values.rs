//! Single values of a file: names and addresses, or what is wrong with them.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

use crate::name::{Mac, NameFault};
use crate::problem::{AddressFault, Problem};

/// A name of its kind.
pub fn name<T: FromStr<Err = NameFault>>(word: &str) -> Result<T, Problem> {
    word.parse().map_err(|fault| Problem::BadName { word: word.to_owned(), fault })
}

/// An address with its prefix.
pub fn prefix(word: &str) -> Result<IpNet, Problem> {
    net(word).map_err(|fault| Problem::NotAPrefix { word: word.to_owned(), fault })
}

/// An address without a prefix.
pub fn address(word: &str) -> Result<IpAddr, Problem> {
    let found = match word.split_once('/') {
        Some((address, _)) if bare(address).is_ok() => Err(AddressFault::Prefix),
        _ => bare(word),
    };
    found.map_err(|fault| Problem::NotAnAddress { word: word.to_owned(), fault })
}

/// The destination of a route.
pub fn destination(word: &str) -> Result<IpNet, Problem> {
    let given = prefix(word)?;
    if is_mapped(given.addr()) {
        return Err(Problem::NotAHostAddress(given.addr()));
    }
    if given.trunc() == given { Ok(given) } else { Err(Problem::HostBits { given, meant: given.trunc() }) }
}

/// A MAC address.
pub fn mac(word: &str) -> Result<Mac, Problem> {
    word.parse().map_err(|_| Problem::NotAMac(word.to_owned()))
}

fn is_mapped(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some())
}

fn net(word: &str) -> Result<IpNet, AddressFault> {
    let Some((address, len)) = word.split_once('/') else {
        return Err(bare(word).err().unwrap_or(AddressFault::NoPrefix));
    };
    let address = bare(address)?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let plain = !len.is_empty() && len.bytes().all(|byte| byte.is_ascii_digit()) && (len.len() == 1 || !len.starts_with('0'));
    let len = if plain { len.parse().ok() } else { None };
    len.and_then(|len| IpNet::new(address, len).ok()).ok_or(AddressFault::PrefixRange(longest))
}

fn bare(word: &str) -> Result<IpAddr, AddressFault> {
    let fault = || {
        let zero = |part: &str| part.len() > 1 && part.starts_with('0') && part.bytes().all(|byte| byte.is_ascii_digit());
        let four = word.split('.').count() == 4;
        if four && word.split('.').any(zero) { AddressFault::LeadingZero } else { AddressFault::Malformed }
    };
    word.parse().map_err(|_| fault())
}
