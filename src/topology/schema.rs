//! The JSON schema of the topology file, for editors: made of the same list of keys that the reader has.

use serde_json::Value;

use super::reader::Choice;

/// The schema with these kinds of checks, in JSON Schema draft 2020-12.
pub fn schema(kinds: &'static [Choice]) -> Value {
    let mut schema = super::parse::schema(kinds);
    schema.insert("title".to_owned(), "nslab topology".into());
    schema.into()
}
