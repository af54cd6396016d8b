//! An error in words, whatever the language.

use std::ops::Range;

use crate::render::escape::escape;
use crate::typed;

/// An error in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What happened.
    pub what: String,
    /// The likely cause, where there is more to say.
    pub why: Option<String>,
    /// What to type.
    pub hints: Vec<String>,
}

/// A message under construction.
pub(in crate::render) fn say(what: impl Into<String>) -> Message {
    Message { what: what.into(), why: None, hints: Vec::new() }
}

impl Message {
    pub(in crate::render) fn why(mut self, why: impl Into<String>) -> Self {
        self.why = Some(why.into());
        self
    }

    pub(in crate::render) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(typed::here(&hint.into()));
        self
    }
}

/// A text with a place marked under it.
pub(in crate::render) fn marked(text: &str, at: &Range<usize>) -> String {
    let width = |range: Range<usize>| text.get(range).map_or(0, |part| escape(part).chars().count());
    let (before, below) = (width(0..at.start), width(at.clone()).max(1));
    format!("{}\n  {}{}", escape(text), " ".repeat(before), "^".repeat(below))
}
