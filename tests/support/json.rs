//! What `docs/json.md` promises.

use serde_json::Value;

/// Checks that every key of a JSON value, at any depth, is described in the document.
#[track_caller]
pub fn documented(value: &Value, words: &str) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let known = include_str!("../../docs/json.md").contains(&format!("`{key}`"));
                assert!(known || key == "host" || key == "containers", "docs/json.md does not describe `{key}` of nslab {words}");
                documented(value, words);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| documented(item, words)),
        _ => {}
    }
}
