//! The languages that nslab speaks: sentences stand in English where they are said, and in a catalogue for each other language.

mod catalogue;
mod message;
mod names;

use std::ffi::OsString;

pub(crate) use catalogue::{and, find, n, or, quoted, said, t, w, word, words};

pub use message::Message;
pub(super) use message::{marked, say};
pub(super) use names::{flags, protocol};

/// A language.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Lang {
    /// English.
    #[default]
    En,
    /// Spanish.
    Es,
}

impl Lang {
    /// The language of a locale: the first variable that POSIX looks at and that is not empty tells, `es...` for Spanish.
    pub fn of_locale(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let first = ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().filter_map(variable).find(|value| !value.is_empty());
        let locale = first.unwrap_or_default().to_string_lossy().into_owned();
        match locale.split(['_', '.', '@']).next() {
            Some("es") => Self::Es,
            _ => Self::En,
        }
    }
}
