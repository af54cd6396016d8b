//! Values of a file: texts and numbers, lists and mappings of them; names and addresses, or what is wrong with them.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;

use ipnet::IpNet;
use serde_json::json;

use super::reader::{At, Item, entries, or_null};
use super::tree::{Kind, Span};
use crate::name::{Mac, NameFault};
use crate::problem::{AddressFault, Problem, Reference, Shape};

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
    word.parse().map_err(|()| Problem::NotAMac(word.to_owned()))
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

/// A text as it is written.
pub fn text(item: &mut Item<'_>) -> Option<At<String>> {
    let tree = item.tree(|| json!({ "type": "string" }))?;
    match tree.text() {
        Some(text) => Some(At { value: text.to_owned(), at: tree.at.clone() }),
        None => item.expected(Shape::Text),
    }
}

/// `true` or `false`.
pub fn flag(item: &mut Item<'_>) -> Option<bool> {
    match item.tree(|| json!({ "type": "boolean" }))?.kind {
        Kind::Bool(value) => Some(value),
        _ => item.expected(Shape::TrueOrFalse),
    }
}

/// A whole number in a range, which `what` is called in a finding.
pub fn whole<T: TryFrom<i64>>(what: &'static str, range: RangeInclusive<i64>) -> impl Fn(&mut Item<'_>) -> Option<T> {
    move |item| {
        let (low, high) = (*range.start(), *range.end());
        match item.tree(|| json!({ "type": "integer", "minimum": low, "maximum": high }))?.kind {
            Kind::Whole(value, _) if range.contains(&value) => T::try_from(value).ok(),
            Kind::Whole(..) => item.refused(Problem::OutOfRange { what, low, high }),
            _ => item.expected(Shape::Whole),
        }
    }
}

/// One of a few words.
pub fn word<T: Copy>(words: &[(&'static str, T)], otherwise: Shape) -> impl Fn(&mut Item<'_>) -> Option<T> {
    move |item| {
        let tree =
            item.tree(|| json!({ "oneOf": words.iter().map(|(word, _)| json!({ "const": word })).collect::<Vec<_>>() }))?;
        match words.iter().find(|(word, _)| tree.text() == Some(word)) {
            Some((_, value)) => Some(*value),
            None => item.expected(otherwise),
        }
    }
}

/// One value or a list of values; none where one of them cannot be read.
pub fn many<T>(read: impl Fn(&mut Item<'_>) -> Option<T>) -> impl Fn(&mut Item<'_>) -> Option<Vec<T>> {
    move |item| {
        let scope = item.scope;
        let tree = item.tree(|| {
            let one = Item::describe(scope, &read);
            json!({ "anyOf": [one, { "type": "array", "items": one }] })
        })?;
        match &tree.kind {
            Kind::List(items) => all(items.iter().map(|tree| read(&mut item.inner(tree)))),
            Kind::Null | Kind::Map(_) => item.expected(Shape::TextOrList),
            _ => Some(vec![read(&mut item.inner(tree))?]),
        }
    }
}

/// A list; none where one of its values cannot be read.
pub fn list<T>(read: impl Fn(&mut Item<'_>) -> Option<T>) -> impl Fn(&mut Item<'_>) -> Option<Vec<T>> {
    move |item| {
        let scope = item.scope;
        let tree = item.tree(|| json!({ "type": ["array", "null"], "items": Item::describe(scope, &read) }))?;
        match &tree.kind {
            Kind::Null => Some(Vec::new()),
            Kind::List(items) => all(items.iter().map(|tree| read(&mut item.inner(tree)))),
            _ => item.expected(Shape::List),
        }
    }
}

/// All of them, after every one was looked at.
fn all<T>(values: impl Iterator<Item = Option<T>>) -> Option<Vec<T>> {
    values.collect::<Vec<_>>().into_iter().collect()
}

/// A text that says a value, as `read` understands it.
pub fn parsed<T>(read: impl Fn(&str) -> Result<T, Problem>) -> impl Fn(&mut Item<'_>) -> Option<T> {
    move |item| {
        let word = text(item)?;
        item.scope.parsed(&word, &read)
    }
}

/// Where the last of one value or of a list is written.
pub fn last(item: &mut Item<'_>) -> Option<Span> {
    let tree = item.tree(|| json!({}))?;
    match &tree.kind {
        Kind::List(items) => items.last().map(|tree| tree.at.clone()),
        _ => Some(tree.at.clone()),
    }
}

/// A name of something that is known.
pub(super) fn reference<T: FromStr>(what: Reference, known: &[String]) -> impl Fn(&mut Item<'_>) -> Option<At<T>> {
    move |item| {
        let word = text(item)?;
        Some(At { value: item.scope.refers(what, &word, known)?, at: word.at })
    }
}

/// One value or a list of values, with their places; what cannot be read is left out.
pub(super) fn some<T>(read: impl Fn(&mut Item<'_>) -> Option<T>) -> impl Fn(&mut Item<'_>) -> Option<Vec<At<T>>> {
    let placed = move |item: &mut Item<'_>| Some(read(item).map(|value| At { value, at: item.at.clone() }));
    let all = many(placed);
    move |item| all(item).map(|values| values.into_iter().flatten().collect())
}

/// Values by their names, each handed to `read` in the order of the file; the names.
pub(super) fn each(mut read: impl FnMut(&At<String>, &mut Item<'_>)) -> impl FnOnce(&mut Item<'_>) -> Option<Vec<String>> {
    move |item| {
        let scope = item.scope;
        let tree = item.tree(|| {
            let nobody = At { value: String::new(), at: 0..0 };
            let value = Item::describe(scope, |item| {
                read(&nobody, item);
                Some(())
            });
            json!({
                "type": ["object", "null"],
                "propertyNames": { "pattern": "^[a-z][a-z0-9_-]*$" },
                "additionalProperties": or_null(value)
            })
        })?;
        let entries = entries(tree, scope);
        let Some(entries) = entries else { return item.expected(Shape::Keys) };
        for (name, tree) in &entries {
            read(name, &mut item.inner(tree));
        }
        Some(entries.into_iter().map(|(name, _)| name.value).collect())
    }
}
