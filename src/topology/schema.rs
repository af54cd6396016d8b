//! The JSON schema of the topology file, for editors: made of the same list of keys that the reader has.

use serde_json::Value;

/// The schema, in JSON Schema draft 2020-12.
pub fn schema() -> Value {
    let mut schema = super::parse::schema();
    schema.insert("title".to_owned(), "nslab topology".into());
    schema.into()
}
