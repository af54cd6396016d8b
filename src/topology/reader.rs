//! Reads the keys of a file one by one: what is wrong is noted and the rest read on, and the same calls describe the keys for
//! the JSON schema.

use std::cell::RefCell;
use std::collections::HashMap;
use std::str::FromStr;

use serde_json::{Map, Value, json};

use super::Topology;
use super::tree::{Findings, Kind, Span, Tree};
use crate::problem::{Problem, Reference, Shape};

/// A value and its place in the file.
#[derive(Debug, Clone)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Where it is written.
    pub at: Span,
}

/// What every value of a file is read with: the part of the topology that is known by then, and what was found to be wrong.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// What names can refer to.
    pub lab: &'a Topology,
    findings: &'a RefCell<Findings>,
}

impl<'a> Scope<'a> {
    /// Names refer to this part; mistakes are noted there.
    pub(super) fn new(lab: &'a Topology, findings: &'a RefCell<Findings>) -> Self {
        Self { lab, findings }
    }

    /// Notes a problem at a place.
    pub fn note(&self, at: &Span, problem: Problem) {
        self.findings.borrow_mut().add(at, problem);
    }

    /// Notes a problem between two places.
    pub fn clash(&self, at: &Span, other: &Span, problem: Problem) {
        self.findings.borrow_mut().clash(at, other, problem);
    }

    /// How many problems were noted so far.
    pub(super) fn met(&self) -> usize {
        self.findings.borrow().met()
    }

    /// What a word says, as `read` understands it.
    pub(super) fn parsed<T>(&self, word: &At<String>, read: impl Fn(&str) -> Result<T, Problem>) -> Option<T> {
        read(&word.value).map_err(|problem| self.note(&word.at, problem)).ok()
    }

    /// What a word refers to, among these.
    pub(super) fn refers<T: FromStr>(&self, what: Reference, word: &At<String>, known: &[String]) -> Option<T> {
        if known.contains(&word.value) {
            return word.value.parse().ok();
        }
        self.unknown(what, word, &known.iter().map(String::as_str).collect::<Vec<_>>());
        None
    }

    /// Notes a word that refers to none of the known ones.
    pub fn unknown(&self, what: Reference, word: &At<String>, known: &[&str]) {
        let meant = nearest(&word.value, known.iter().copied());
        // Nobody reads a list of a thousand names.
        let known = known.iter().take(10).map(|&name| name.to_owned()).collect();
        self.note(&word.at, Problem::UnknownReference { what, word: word.value.clone(), meant, known });
    }
}

/// One value of a file, or a place for one that is only to be described.
pub struct Item<'a> {
    /// What it is read with.
    pub scope: Scope<'a>,
    /// Where it is written.
    pub at: Span,
    tree: Option<&'a Tree>,
    spoiled: bool,
    schema: Option<Value>,
}

impl<'a> Item<'a> {
    /// The value of a tree, told of at a place.
    pub(super) fn new(scope: Scope<'a>, at: &Span, tree: &'a Tree) -> Self {
        Self { scope, at: at.clone(), tree: Some(tree), spoiled: false, schema: None }
    }

    /// What may be written where `read` reads.
    pub(super) fn describe<T>(scope: Scope<'a>, read: impl FnOnce(&mut Self) -> Option<T>) -> Value {
        let mut item = Self { scope, at: 0..0, tree: None, spoiled: false, schema: Some(json!({})) };
        read(&mut item);
        item.schema.unwrap_or_default()
    }

    /// What is written; none where it is only described, as this.
    pub(super) fn tree(&mut self, schema: impl FnOnce() -> Value) -> Option<&'a Tree> {
        if let Some(described) = &mut self.schema {
            *described = schema();
        }
        self.tree
    }

    /// Notes that something else is written than what may be.
    pub(super) fn expected<T>(&mut self, shape: Shape) -> Option<T> {
        self.spoiled = true;
        let at = self.tree.map_or(&self.at, |tree| &tree.at);
        self.scope.note(at, Problem::Expected(shape));
        None
    }

    /// Notes that the value cannot be meant, although it is of the right shape.
    pub fn refused<T>(&self, problem: Problem) -> Option<T> {
        self.scope.note(self.tree.map_or(&self.at, |tree| &tree.at), problem);
        None
    }

    pub(super) fn inner(&self, tree: &'a Tree) -> Self {
        Self::new(self.scope, &tree.at, tree)
    }

    /// A mapping with fixed keys, which `read` asks for; nothing written is an empty one.
    pub fn keys<T>(&mut self, read: impl FnOnce(&mut Keys<'a>) -> Option<T>) -> Option<T> {
        let entries = match self.tree {
            None => Vec::new(),
            Some(tree) => match entries(tree, self.scope) {
                Some(entries) => entries,
                None => return self.expected(Shape::Keys),
            },
        };
        let mut keys = Keys {
            scope: self.scope,
            at: self.at.clone(),
            entries,
            asked: Vec::new(),
            missing: Vec::new(),
            spoiled: false,
            schema: self.schema.as_ref().map(|_| (Map::new(), Vec::new())),
        };
        let found = read(&mut keys);
        self.schema = keys.end();
        found
    }

    /// The same, with names that refer to another part of a topology.
    pub(super) fn within<T>(&mut self, lab: &Topology, read: impl FnOnce(&mut Item<'_>) -> Option<T>) -> Option<T> {
        let scope = Scope { lab, findings: self.scope.findings };
        let mut item = Item { scope, at: self.at.clone(), tree: self.tree, spoiled: false, schema: self.schema.take() };
        let found = read(&mut item);
        self.spoiled |= item.spoiled;
        self.schema = item.schema;
        found
    }

    /// One of several forms: `all` instead of what `read` reads.
    pub fn or_word<T>(&mut self, word: &str, otherwise: Shape, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        let Some(tree) = self.tree else {
            read(self);
            self.schema = self.schema.take().map(|schema| json!({ "anyOf": [{ "const": word }, schema] }));
            return None;
        };
        match &tree.kind {
            Kind::List(_) => read(self).map(Some),
            _ if tree.text() == Some(word) => Some(None),
            _ => self.expected(otherwise),
        }
    }
}

/// A key of which a mapping has one alone, and how its value is read.
pub struct Choice {
    /// The key.
    pub word: &'static str,
    /// What it means, for who writes the file.
    pub about: &'static str,
    /// Reads the value.
    pub read: fn(&mut Item<'_>) -> Option<Value>,
}

/// A mapping with exactly one of these keys; `otherwise` is noted where it has more or fewer.
pub fn only_key(choices: &'static [Choice], otherwise: Problem) -> impl Fn(&mut Item<'_>) -> Option<Value> {
    move |item| {
        let scope = item.scope;
        let tree = item.tree(|| {
            let described = |choice: &Choice| {
                let mut schema = Item::describe(scope, choice.read);
                schema["description"] = choice.about.into();
                (choice.word.to_owned(), schema)
            };
            let properties: Map<String, Value> = choices.iter().map(described).collect();
            json!({ "type": "object", "properties": properties, "additionalProperties": false, "minProperties": 1, "maxProperties": 1 })
        })?;
        let entries = entries(tree, scope);
        let Some(entries) = entries else { return item.expected(Shape::Keys) };
        let [(key, value)] = entries.as_slice() else { return item.refused(otherwise.clone()) };
        let Some(choice) = choices.iter().find(|choice| choice.word == key.value) else {
            let known: Vec<&str> = choices.iter().map(|choice| choice.word).collect();
            unknown_key(key, &known, scope);
            return None;
        };
        // What is missing in the value is told of the whole.
        (choice.read)(&mut Item::new(scope, &item.at, value))
    }
}

/// The keys of one mapping.
pub struct Keys<'a> {
    /// What they are read with.
    pub scope: Scope<'a>,
    /// Where the mapping is written.
    pub at: Span,
    entries: Vec<(At<String>, &'a Tree)>,
    asked: Vec<&'static str>,
    missing: Vec<Problem>,
    spoiled: bool,
    schema: Option<(Map<String, Value>, Vec<&'static str>)>,
}

impl<'a> Keys<'a> {
    /// The value of a key that must be there.
    pub fn required<T>(&mut self, key: &'static str, about: &str, read: impl FnOnce(&mut Item<'a>) -> Option<T>) -> Option<T> {
        self.must(Some(Problem::Missing(key)), key, about, read)
    }

    /// The value of a key that must be there, with what is said where it is not, unless that is said elsewhere.
    pub fn must<T>(
        &mut self,
        missing: Option<Problem>,
        key: &'static str,
        about: &str,
        read: impl FnOnce(&mut Item<'a>) -> Option<T>,
    ) -> Option<T> {
        if let Some((_, required)) = &mut self.schema {
            required.push(key);
        }
        if !self.gives(key) {
            self.missing.extend(missing);
        }
        self.read(key, about, false, read)
    }

    /// The value of a key that may be left out. A key with nothing after it says nothing.
    pub fn optional<T>(&mut self, key: &'static str, about: &str, read: impl FnOnce(&mut Item<'a>) -> Option<T>) -> Option<T> {
        self.read(key, about, true, read)
    }

    /// Notes that a key is not given where none of these is.
    pub fn need_one_of(&mut self, keys: &[&'static str]) {
        if !keys.iter().any(|key| self.gives(key)) {
            self.missing.extend(keys.first().map(|key| Problem::Missing(key)));
        }
    }

    /// Says nothing of what is missing: something worse is wrong.
    pub(super) fn give_up(&mut self) {
        self.spoiled = true;
    }

    /// Notes a problem, unless a value could not be read, so that it may only follow from that.
    pub(super) fn note_unless_spoiled(&self, at: &Span, problem: Problem) {
        if !self.spoiled {
            self.scope.note(at, problem);
        }
    }

    fn given(&self, key: &str) -> Option<&'a Tree> {
        self.entries.iter().find(|(given, _)| given.value == key).map(|(_, tree)| *tree)
    }

    /// Whether a key has a value, of whatever kind.
    pub fn gives(&self, key: &str) -> bool {
        self.given(key).is_some_and(|tree| !matches!(tree.kind, Kind::Null))
    }

    fn read<T>(
        &mut self,
        key: &'static str,
        about: &str,
        nothing: bool,
        read: impl FnOnce(&mut Item<'a>) -> Option<T>,
    ) -> Option<T> {
        self.asked.push(key);
        if let Some((properties, _)) = &mut self.schema {
            let mut schema = Item::describe(self.scope, read);
            if nothing {
                schema = or_null(schema);
            }
            schema["description"] = about.into();
            properties.insert(key.to_owned(), schema);
            return None;
        }
        let tree = self.given(key).filter(|tree| !matches!(tree.kind, Kind::Null))?;
        let mut item = Item::new(self.scope, &tree.at, tree);
        let found = read(&mut item);
        self.spoiled |= item.spoiled;
        found
    }

    /// Notes what is missing and what is unknown; the schema, where it was only described.
    fn end(self) -> Option<Value> {
        for (key, _) in self.entries.iter().filter(|(key, _)| !self.asked.contains(&key.value.as_str())) {
            unknown_key(key, &self.asked, self.scope);
        }
        let (properties, required) = match self.schema {
            Some(described) => described,
            // What is absent may only be unread.
            None if self.spoiled => return None,
            None => {
                self.missing.into_iter().for_each(|problem| self.scope.note(&self.at, problem));
                return None;
            }
        };
        let mut schema = json!({ "type": "object", "properties": properties, "additionalProperties": false });
        if !required.is_empty() {
            schema["required"] = required.into();
        }
        Some(schema)
    }
}

/// The same, or nothing.
pub(super) fn or_null(schema: Value) -> Value {
    match &schema["type"] {
        Value::String(one) if schema["enum"].is_null() => {
            let types = json!([one, "null"]);
            let mut schema = schema;
            schema["type"] = types;
            schema
        }
        Value::Array(_) => schema,
        _ => json!({ "anyOf": [schema, { "type": "null" }] }),
    }
}

/// The entries of a mapping, each key once; nothing written is an empty mapping. None where it is no mapping.
pub(super) fn entries<'a>(tree: &'a Tree, scope: Scope<'_>) -> Option<Vec<(At<String>, &'a Tree)>> {
    let entries = match &tree.kind {
        Kind::Null => return Some(Vec::new()),
        Kind::Map(entries) => entries,
        _ => return None,
    };
    let mut seen: HashMap<&str, &Span> = HashMap::new();
    let mut unique = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        let Some(text) = key.text() else {
            scope.note(&key.at, Problem::Expected(Shape::Text));
            continue;
        };
        if let Some(first) = seen.insert(text, &key.at) {
            scope.clash(&key.at, first, Problem::DuplicateKey(text.to_owned()));
            seen.insert(text, first);
            continue;
        }
        unique.push((At { value: text.to_owned(), at: key.at.clone() }, value));
    }
    Some(unique)
}

/// Notes a key that is not among the known ones.
fn unknown_key(key: &At<String>, known: &[&str], scope: Scope<'_>) {
    let problem = Problem::UnknownKey {
        key: key.value.clone(),
        known: known.iter().map(|&key| key.to_owned()).collect(),
        meant: nearest(&key.value, known.iter().copied()),
    };
    scope.note(&key.at, problem);
}

/// The nearest of the known words, if it is near enough to be a slip.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    // A slip changes a letter or two; a word of 31 characters is the longest that can be meant.
    if word.len() > 40 {
        return None;
    }
    let allowed = (word.chars().count() / 3).clamp(1, 3);
    let lower = word.to_lowercase();
    let distance = |known: &str| strsim::damerau_levenshtein(&lower, known);
    let near = known.into_iter().map(|known| (distance(known), known)).min_by_key(|(distance, _)| *distance);
    near.filter(|(distance, _)| *distance <= allowed).map(|(_, known)| known.to_owned())
}
