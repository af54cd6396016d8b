//! From the tree to typed values that know their places; every mistake is noted and the rest read on.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::problem::{Problem, Shape};
use crate::topology::Promiscuous;
use crate::topology::findings::Findings;
use crate::topology::reader;
pub(super) use crate::topology::reader::At;
use crate::topology::tree::{Kind, Tree};

/// One value or a list of values.
#[derive(Debug)]
pub(super) struct OneOrMany(pub(super) Vec<At<String>>);

/// A list.
#[derive(Debug)]
pub(super) struct List<T>(pub(super) Vec<At<T>>);

/// Values by their names, in the order of the file, each name once.
#[derive(Debug)]
pub(super) struct Named<T>(pub(super) Vec<(At<String>, T)>);

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Named<T> {
    /// The names.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.value.as_str())
    }
}

/// Reads itself from a tree.
pub(super) trait Decode: Sized {
    /// The value, or a finding and none.
    fn decode(tree: &Tree, findings: &mut Findings) -> Option<Self>;
}

fn expected<T>(shape: Shape, tree: &Tree, findings: &mut Findings) -> Option<T> {
    findings.add(&tree.at, Problem::Expected(shape));
    None
}

impl Decode for String {
    fn decode(tree: &Tree, findings: &mut Findings) -> Option<Self> {
        tree.text().map(str::to_owned).or_else(|| expected(Shape::Text, tree, findings))
    }
}

impl Decode for bool {
    fn decode(tree: &Tree, findings: &mut Findings) -> Option<Self> {
        match tree.kind {
            Kind::Bool(value) => Some(value),
            _ => expected(Shape::TrueOrFalse, tree, findings),
        }
    }
}

impl Decode for i64 {
    fn decode(tree: &Tree, findings: &mut Findings) -> Option<Self> {
        match tree.kind {
            Kind::Whole(value, _) => Some(value),
            _ => expected(Shape::Whole, tree, findings),
        }
    }
}

impl Decode for Promiscuous {
    fn decode(tree: &Tree, findings: &mut Findings) -> Option<Self> {
        match tree.text() {
            Some("allow") => Some(Self::Allow),
            Some("deny") => Some(Self::Deny),
            _ => expected(Shape::AllowOrDeny, tree, findings),
        }
    }
}

impl Decode for Tree {
    fn decode(tree: &Tree, _: &mut Findings) -> Option<Self> {
        Some(tree.clone())
    }
}

impl<T: Decode> Decode for At<T> {
    fn decode(tree: &Tree, findings: &mut Findings) -> Option<Self> {
        T::decode(tree, findings).map(|value| Self { value, at: tree.at.clone() })
    }
}

impl Decode for OneOrMany {
    fn decode(tree: &Tree, findings: &mut Findings) -> Option<Self> {
        match &tree.kind {
            Kind::List(items) => Some(Self(items.iter().filter_map(|item| At::decode(item, findings)).collect())),
            Kind::Null | Kind::Map(_) => expected(Shape::TextOrList, tree, findings),
            _ => At::decode(tree, findings).map(|one| Self(vec![one])),
        }
    }
}

impl<T: Decode> Decode for List<T> {
    fn decode(tree: &Tree, findings: &mut Findings) -> Option<Self> {
        match &tree.kind {
            Kind::Null => Some(Self(Vec::new())),
            Kind::List(items) => Some(Self(items.iter().filter_map(|item| At::decode(item, findings)).collect())),
            _ => expected(Shape::List, tree, findings),
        }
    }
}

impl<T: Decode> Decode for Named<T> {
    fn decode(tree: &Tree, findings: &mut Findings) -> Option<Self> {
        let mut named = Self::default();
        for (key, value) in entries(tree, findings)? {
            if let Some(value) = T::decode(value, findings) {
                named.0.push((key, value));
            }
        }
        Some(named)
    }
}

/// The entries of a mapping, or a finding and none.
pub(super) fn entries<'a>(tree: &'a Tree, findings: &mut Findings) -> Option<Vec<(At<String>, &'a Tree)>> {
    reader::entries(tree, findings).or_else(|| expected(Shape::Keys, tree, findings))
}

/// A mapping with fixed keys: the struct, its schema and its reader from one list of fields.
macro_rules! record {
    ($(#[$doc:meta])* $name:ident($title:tt) { $($(#[$about:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Default, schemars::JsonSchema)]
        #[schemars(rename = $title, deny_unknown_fields)]
        pub(super) struct $name {
            $($(#[$about])* pub(super) $field: Option<$type>,)*
            /// A value could not be read, so that what is absent may only be unread.
            #[schemars(skip)]
            pub(super) spoiled: bool,
        }

        impl $name {
            const KEYS: &'static [&'static str] = &[$(stringify!($field)),*];

            /// Notes that a key is not given.
            #[allow(dead_code, reason = "not every mapping has a key that must be there")]
            pub(super) fn missing(
                &self,
                key: &'static str,
                at: &$crate::topology::findings::Span,
                findings: &mut $crate::topology::findings::Findings,
            ) {
                if !self.spoiled {
                    findings.add(at, $crate::problem::Problem::Missing(key));
                }
            }
        }

        impl $crate::topology::parse::decode::Decode for $name {
            fn decode(
                tree: &$crate::topology::tree::Tree,
                findings: &mut $crate::topology::findings::Findings,
            ) -> Option<Self> {
                let mut record = Self::default();
                for (key, value) in $crate::topology::parse::decode::entries(tree, findings)? {
                    let empty = matches!(value.kind, $crate::topology::tree::Kind::Null);
                    match key.value.as_str() {
                        // A key with nothing after it says nothing.
                        key if empty && Self::KEYS.contains(&key) => {}
                        $(stringify!($field) => {
                            record.$field = $crate::topology::parse::decode::Decode::decode(value, findings);
                            record.spoiled |= record.$field.is_none();
                        })*
                        _ => $crate::topology::reader::unknown_key(&key, Self::KEYS, findings),
                    }
                }
                Some(record)
            }
        }
    };
}
pub(super) use record;

impl JsonSchema for Tree {
    fn schema_name() -> Cow<'static, str> {
        "Any".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({})
    }
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<T>()
    }
}

impl JsonSchema for OneOrMany {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "OneOrMany".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] })
    }
}

impl<T: JsonSchema> JsonSchema for List<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("List_of_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["array", "null"], "items": generator.subschema_for::<T>() })
    }
}

impl<T: JsonSchema> JsonSchema for Named<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Named_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = generator.subschema_for::<T>();
        json_schema!({
            "type": ["object", "null"],
            "propertyNames": { "pattern": "^[a-z][a-z0-9_-]*$" },
            "additionalProperties": { "anyOf": [value, { "type": "null" }] }
        })
    }
}
