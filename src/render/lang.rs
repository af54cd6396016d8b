//! The languages that nslab speaks: sentences stand in English where they are said, and in a catalogue for each other language.

mod catalogue;
mod message;
mod names;

use std::ffi::OsString;
use std::sync::OnceLock;

use catalogue::Catalogue;

pub(crate) use catalogue::{and, find, n, or, quoted, said, t, w, word, words};

pub use message::Message;
pub(super) use message::{marked, say};
pub(crate) use names::duration;
pub(super) use names::{flags, listed, protocol, reason};

/// The languages besides English: how each calls itself, and its code, which is its catalogue's name and begins its locales.
macro_rules! languages {
    ($($name:ident $own:tt $code:literal;)*) => {
        /// A language.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
        pub enum Lang {
            /// English
            #[default]
            En,
            $(#[doc = $own] #[value(name = $code)] $name,)*
        }

        impl Lang {
            fn of_code(code: &str) -> Self {
                match code {
                    $($code => Self::$name,)*
                    _ => Self::En,
                }
            }

            /// What stands in its catalogue; none in English.
            fn catalogue(self) -> Option<&'static Catalogue> {
                match self {
                    Self::En => None,
                    $(Self::$name => {
                        static READ: OnceLock<Catalogue> = OnceLock::new();
                        Some(READ.get_or_init(|| catalogue::parse(include_str!(concat!("lang/", $code, ".txt")))))
                    })*
                }
            }
        }
    };
}

languages! {
    Es "Español" "es";
}

impl Lang {
    /// The language of a locale: the first variable that POSIX looks at and that is not empty tells, `es_ES.UTF-8` for Spanish.
    pub fn of_locale(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let first = ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().filter_map(variable).find(|value| !value.is_empty());
        let locale = first.unwrap_or_default().to_string_lossy().into_owned();
        Self::of_code(locale.split(['_', '.', '@']).next().unwrap_or_default())
    }
}
