//! The built-in topologies: every file of `topologies/`, embedded in the program.

use std::path::Path;

/// Name and text of each, ordered by name; written by `build.rs`.
const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/catalog.rs"));

/// Whether a word means a file and none of these: it has a `/` or ends in `.yaml` or `.yml`.
pub fn is_file(word: &str) -> bool {
    let extension = Path::new(word).extension().and_then(|extension| extension.to_str());
    word.contains('/') || matches!(extension, Some("yaml" | "yml"))
}

/// The names of all built-in topologies, in order.
pub fn names() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(name, _)| *name)
}

/// The text of a built-in topology.
pub fn find(name: &str) -> Option<&'static str> {
    FILES.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// The built-in name closest to a word that is none.
pub fn nearest(word: &str) -> Option<String> {
    super::near::nearest(word, names())
}

/// The lesson that a topology's text opens with: its first comment, without the comment signs.
pub fn lesson(text: &str) -> String {
    let comment = text.lines().map_while(|line| line.strip_prefix('#'));
    comment.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect::<Vec<_>>().join("\n")
}
