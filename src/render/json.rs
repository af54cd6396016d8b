//! Reports as JSON: their own shape, indented.

use crate::report::Report;

/// A report as one JSON value.
pub fn report(report: &Report) -> String {
    // Reports hold no maps with keys that are no strings, and nothing else fails to serialize.
    serde_json::to_string_pretty(report).map_or_else(|_| "null\n".to_owned(), |json| json + "\n")
}
