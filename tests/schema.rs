//! The JSON schema says the same as the reader.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use nslab::check::KINDS;
use nslab::topology::{self, catalog};
use serde_json::Value;

/// Whether a value is what a schema allows, as far as nslab's schema goes.
fn allows(root: &Value, schema: &Value, value: &Value) -> bool {
    if let Some(name) = schema["$ref"].as_str() {
        return allows(root, &root["$defs"][name.strip_prefix("#/$defs/").unwrap()], value);
    }
    let of_any = |key: &str| schema[key].as_array().is_none_or(|some| some.iter().any(|one| allows(root, one, value)));
    of_any("anyOf")
        && of_any("oneOf")
        && schema.get("const").is_none_or(|only| only == value)
        && is_of_type(&schema["type"], value)
        && in_range(schema, value)
        && value
            .as_array()
            .is_none_or(|items| items.iter().all(|item| schema.get("items").is_none_or(|one| allows(root, one, item))))
        && has_the_keys(root, schema, value)
}

fn is_of_type(types: &Value, value: &Value) -> bool {
    let is = |name: &Value| match name.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("{other}"),
    };
    match types {
        Value::Null => true,
        Value::Array(names) => names.iter().any(is),
        name => is(name),
    }
}

fn in_range(schema: &Value, value: &Value) -> bool {
    let Some(number) = value.as_i64() else { return true };
    schema["minimum"].as_i64().is_none_or(|low| number >= low) && schema["maximum"].as_i64().is_none_or(|high| number <= high)
}

fn has_the_keys(root: &Value, schema: &Value, value: &Value) -> bool {
    let Some(entries) = value.as_object() else { return true };
    let required = schema["required"].as_array().map_or(&[][..], |keys| keys);
    let entry = |(key, value): (&String, &Value)| match (&schema["properties"][key], &schema["additionalProperties"]) {
        (Value::Null, Value::Bool(more)) => *more,
        (Value::Null, Value::Null) => true,
        (Value::Null, more) => allows(root, more, value),
        (property, _) => allows(root, property, value),
    };
    required.iter().all(|key| entries.contains_key(key.as_str().unwrap())) && entries.iter().all(entry)
}

fn is_allowed(text: &str) -> bool {
    let schema = topology::schema(KINDS);
    allows(&schema, &schema, &serde_saphyr::from_str(text).unwrap())
}

#[test]
fn the_schema_allows_every_shipped_topology() {
    for name in catalog::names() {
        assert!(is_allowed(catalog::find(name).unwrap()), "{name}");
    }
}

#[test]
fn the_schema_refuses_wrong_keys_and_shapes() {
    let bad = [
        "hosts: { host-a: {} }",
        "name: lab",
        "name: lab\nhosts: { host-a: { nic: {} } }",
        "name: lab\nhosts: { host-a: { forwarding: maybe } }",
        "name: lab\nhosts: { host-a: { nics: { eth0: {} } } }",
        "name: lab\nhosts: { host-a: { nics: { eth0: { network: x, mtu: 67 } } } }",
        "name: lab\nhosts: { host-a: { containers: { c: { count: 20000 } } } }",
        "name: lab\nnetworks: { x: { promiscuous: maybe } }\nhosts: { host-a: {} }",
        "name: lab\nhosts: { host-a: { routes: [ { via: 10.0.0.1 } ] } }",
        "name: lab\nhosts: [host-a]",
    ];
    for text in bad {
        assert!(!is_allowed(text), "{text}");
        assert!(topology::parse("lab.yaml", text, KINDS).is_err(), "{text}");
    }
    for file in ["a4-unknown-keys", "a4-wrong-shapes", "a1-no-name"] {
        let text = std::fs::read_to_string(Path::new("tests/bad").join(file).with_extension("yaml")).unwrap();
        assert!(!is_allowed(&text), "{file}");
    }
}

#[test]
fn a_key_with_nothing_after_it_says_nothing() {
    let text = "name: lab\nsummary:\nnetworks:\nhosts:\n  host-a:\n    forwarding:\n    nics:\n    gateway:\n    bridges:\n    \
                routes:\n    containers:\n      a1:\n        count:\n        nics: { eth0: { address:, mac:, host: } }\n";
    let lab = topology::parse("lab.yaml", text, KINDS).unwrap();
    assert_eq!(lab.hosts[0].containers[0].name.as_str(), "a1");
    assert!(is_allowed(text));
}

#[test]
fn every_key_is_described() {
    /// Everywhere in the schema; how many keys there are.
    fn undescribed(at: &str, schema: &Value, found: &mut Vec<String>) -> usize {
        let own = schema["properties"].as_object().into_iter().flatten().map(|(key, property)| {
            if property["description"].as_str().is_none_or(str::is_empty) {
                found.push(format!("{at}.{key}"));
            }
            1
        });
        let own: usize = own.sum();
        let inner: Vec<(String, &Value)> = match schema {
            Value::Object(all) => all.iter().map(|(key, value)| (format!("{at}.{key}"), value)).collect(),
            Value::Array(all) => all.iter().map(|value| (at.to_owned(), value)).collect(),
            _ => Vec::new(),
        };
        own + inner.into_iter().map(|(at, value)| undescribed(&at, value, found)).sum::<usize>()
    }
    let mut found = Vec::new();
    let keys = undescribed("", &topology::schema(KINDS), &mut found);
    assert!(found.is_empty(), "{found:?}");
    assert!(keys > 80, "only {keys} keys are in the schema");
}
