//! The YAML of a file as a tree in which every part knows its place; where each part of a topology was written, and what is found there.
//!
//! Typed targets of a YAML parser stop at their first mistake. A tree takes any YAML, so that all mistakes of a file are found
//! at once, and duplicate keys still have both places.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy};
use serde_saphyr::{DefaultMessageFormatter, Error, Location, MessageFormatter, Spanned};

use crate::problem::{Finding, Problem};

/// Deepest nesting that a file may have.
const DEPTH: usize = 32;

/// Most keys, values and list items of a file: more than 16 384 containers take that are written out one by one.
const NODES: usize = 262_144;

/// A node of the file.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    /// Its place; for a mapping or list in a mapping the place of its key.
    pub(super) at: Span,
    /// What it is.
    pub(super) kind: Kind,
}

/// What a node is.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// Nothing was written, or `null`, or `~`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number as it is written; what does not fit is the nearest that does.
    Whole(i64, String),
    /// Any other number, as it is written.
    Fraction(String),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Tree>),
    /// Keys and values in the order of the file; keys may repeat.
    Map(Vec<(Tree, Tree)>),
}

impl Tree {
    /// Reads a file's text; a mistake of the YAML itself ends the reading.
    pub(super) fn read(text: &str, findings: &mut Findings) -> Option<Self> {
        match serde_saphyr::from_str_with_options::<Spanned<Node>>(text, options()) {
            Ok(node) => Some(settle(node, text)),
            Err(error) => match error.without_snippet() {
                Error::Eof { .. } if is_blank(text) => Some(Self { at: 0..0, kind: Kind::Null }),
                error => {
                    let at = error.location().map_or(0..0, |location| span(location, text));
                    findings.add(&at, fault(error));
                    None
                }
            },
        }
    }

    /// The value of a key.
    pub(super) fn entry(&self, key: &str) -> Option<&Self> {
        let Kind::Map(entries) = &self.kind else { return None };
        entries.iter().find(|(name, _)| name.text() == Some(key)).map(|(_, value)| value)
    }

    /// The entries of the mapping that is the value of a key.
    pub(super) fn entries(&self, key: &str) -> &[(Self, Self)] {
        match self.entry(key).map(|value| &value.kind) {
            Some(Kind::Map(entries)) => entries,
            _ => &[],
        }
    }

    /// A whole number that is not negative.
    pub(super) fn whole(&self) -> Option<usize> {
        if let Kind::Whole(number, _) = self.kind { usize::try_from(number).ok() } else { None }
    }

    /// The text of a scalar as it is written, whatever YAML takes it for.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) | Kind::Whole(_, text) | Kind::Fraction(text) => Some(text),
            Kind::Bool(true) => Some("true"),
            Kind::Bool(false) => Some("false"),
            Kind::Null | Kind::List(_) | Kind::Map(_) => None,
        }
    }
}

fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: DEPTH, flow_nesting_limit: DEPTH + 1, max_nodes: NODES, max_aliases: 0, max_anchors: 0 },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        merge_keys: MergeKeyPolicy::AsOrdinary,
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    }
}

fn is_blank(text: &str) -> bool {
    let blank = |line: &str| {
        let line = line.trim_start_matches('\u{feff}').trim();
        line.is_empty() || line.starts_with('#') || line == "---" || line == "..."
    };
    text.lines().all(blank)
}

fn fault(error: &Error) -> Problem {
    match error {
        Error::Budget { breach: BudgetBreach::Depth { .. }, .. } => Problem::TooDeep(DEPTH),
        Error::Budget { breach: BudgetBreach::Aliases { .. } | BudgetBreach::Anchors { .. }, .. }
        | Error::UnknownAnchor { .. } => Problem::Alias,
        Error::Budget { breach: BudgetBreach::Nodes { .. } | BudgetBreach::Events { .. }, .. } => Problem::TooMuch(NODES),
        Error::MultipleDocuments { .. } => Problem::SeveralDocuments,
        other => {
            let message = DefaultMessageFormatter.format_message(other).into_owned();
            if message.contains("nesting limit") || message.contains("recursion limit") {
                Problem::TooDeep(DEPTH)
            } else {
                Problem::Syntax(message)
            }
        }
    }
}

/// Byte offsets as the parser tells them, made safe to slice the text with.
fn span(location: Location, text: &str) -> Span {
    let whole = |n: Option<u64>| n.and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
    let floor = |mut at: usize| {
        at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let start = location.span().byte_offset().map_or_else(|| offset(location, text), |start| whole(Some(start)));
    let end = start.saturating_add(whole(location.span().byte_len()));
    let (start, end) = (floor(start), floor(end));
    let written = text.get(start..end).unwrap_or("");
    start..start + written.trim_end().len()
}

/// The offset of a place that the parser tells only as line and column, both from 1.
fn offset(location: Location, text: &str) -> usize {
    let whole = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).saturating_sub(1);
    let line: usize = text.split_inclusive('\n').take(whole(location.line())).map(str::len).sum();
    let rest = text.get(line..).unwrap_or("");
    line + rest.chars().take_while(|&c| c != '\n').take(whole(location.column())).map(char::len_utf8).sum::<usize>()
}

fn settle(node: Spanned<Node>, text: &str) -> Tree {
    let at = span(node.referenced, text);
    let written = || text.get(at.clone()).unwrap_or("").to_owned();
    let kind = match node.value {
        Node::Null => Kind::Null,
        Node::Bool(value) => Kind::Bool(value),
        Node::Whole(value) => Kind::Whole(value, written()),
        Node::Fraction => Kind::Fraction(written()),
        Node::Text(value) => Kind::Text(value),
        Node::List(items) => Kind::List(items.into_iter().map(|item| settle(item, text)).collect()),
        Node::Map(entries) => Kind::Map(entries.into_iter().map(|(key, value)| entry(key, value, text)).collect()),
    };
    Tree { at, kind }
}

fn entry(key: Spanned<Node>, value: Spanned<Node>, text: &str) -> (Tree, Tree) {
    let key = settle(key, text);
    let mut value = settle(value, text);
    if value.at.is_empty() || matches!(value.kind, Kind::List(_) | Kind::Map(_)) {
        value.at = key.at.clone();
    }
    (key, value)
}

/// A node as the parser gives it.
enum Node {
    Null,
    Bool(bool),
    Whole(i64),
    Fraction,
    Text(String),
    List(Vec<Spanned<Node>>),
    Map(Vec<(Spanned<Node>, Spanned<Node>)>),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("YAML")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Whole(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Whole(i64::try_from(value).unwrap_or(i64::MAX)))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Node, E> {
        let nearest = if value < 0 { i64::MIN } else { i64::MAX };
        Ok(Node::Whole(i64::try_from(value).unwrap_or(nearest)))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Node, E> {
        Ok(Node::Whole(i64::try_from(value).unwrap_or(i64::MAX)))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Fraction)
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Node::Map(entries))
    }
}

/// Bytes of the file's text.
pub type Span = Range<usize>;

/// Most findings that are kept: a file that is wrong all over is not helped by more.
const KEPT: usize = 100;

/// A list of findings that grows no longer than anybody reads.
#[derive(Debug, Default)]
pub(super) struct Findings {
    list: Vec<Finding>,
    met: usize,
}

impl Findings {
    /// Notes a problem at a place.
    pub(super) fn add(&mut self, at: &Span, problem: Problem) {
        self.note(at, None, problem);
    }

    /// Notes a problem between two places.
    pub(super) fn clash(&mut self, at: &Span, other: &Span, problem: Problem) {
        self.note(at, Some(other.clone()), problem);
    }

    fn note(&mut self, at: &Span, other: Option<Span>, problem: Problem) {
        let finding = Finding { problem, at: at.clone(), other };
        if self.list.len() < KEPT && !self.list.contains(&finding) {
            self.list.push(finding);
        }
        self.met += 1;
    }

    /// How many were noted so far.
    pub(super) fn met(&self) -> usize {
        self.met
    }

    /// All of them, in the order of the file.
    pub(super) fn in_order(mut self) -> Vec<Finding> {
        self.list.sort_by_key(|finding| finding.at.start);
        self.list
    }
}

/// A part of a topology that a finding can point at; numbers are indices of its lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// The name of the lab.
    Lab,
    /// A network.
    Network(usize),
    /// A part of a host, or of a container of it.
    Node(usize, Option<usize>, Part),
}

/// A part of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Part {
    /// Its name.
    Name,
    /// An interface that is written there.
    Interface(Port, Aspect),
    /// A port of a bridge.
    Port(usize, usize),
    /// A gateway.
    Gateway(usize),
    /// A route, by its destination.
    Route(usize),
    /// The router or interface of a route.
    Hop(usize),
}

/// An interface, by where it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Port {
    /// A NIC.
    Nic(usize),
    /// The host's end of a container's NIC.
    End(usize),
    /// A bridge.
    Bridge(usize),
}

/// What of an interface is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Aspect {
    /// It itself, by its name.
    Name,
    /// One of its addresses.
    Address(usize),
    /// Its MAC address.
    Mac,
}

/// The places of a topology's parts; empty for one that no file describes.
#[derive(Debug, Default)]
pub(super) struct Places {
    spans: HashMap<Place, Span>,
    broken: HashSet<(usize, Option<usize>)>,
}

impl Places {
    /// Notes where a part is written.
    pub(super) fn put(&mut self, place: Place, at: &Span) {
        self.spans.insert(place, at.clone());
    }

    /// Where a part is written.
    pub(super) fn at(&self, place: Place) -> Span {
        self.spans.get(&place).cloned().unwrap_or(0..0)
    }

    /// Notes that something of a node could not be read, so that what follows from its absence is no finding.
    pub(super) fn mark_broken(&mut self, host: usize, container: Option<usize>) {
        self.broken.insert((host, container));
    }

    /// Whether something of a node could not be read.
    pub(super) fn is_broken(&self, host: usize, container: Option<usize>) -> bool {
        self.broken.contains(&(host, container))
    }
}
