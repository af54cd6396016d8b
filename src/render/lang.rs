//! The languages that nslab speaks: sentences stand in English where they are said, and in a catalogue for each other language.

mod catalogue;

use std::ffi::OsString;
use std::ops::Range;
use std::sync::OnceLock;

use nix::errno::Errno;

use super::escape::escape;
use crate::typed;
use catalogue::Catalogue;

pub(crate) use catalogue::{and, find, n, or, quoted, t, translate, w, word, words};

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

impl Message {
    /// A message under construction.
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), why: None, hints: Vec::new() }
    }

    pub(super) fn why(mut self, why: impl Into<String>) -> Self {
        self.why = Some(why.into());
        self
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(typed::here(&hint.into()));
        self
    }
}

/// A text with a place marked under it.
pub(super) fn marked(text: &str, at: &Range<usize>) -> String {
    let width = |range: Range<usize>| text.get(range).map_or(0, |part| escape(part).chars().count());
    let (before, below) = (width(0..at.start), width(at.clone()).max(1));
    format!("{}\n  {}{}", escape(text), " ".repeat(before), "^".repeat(below))
}

/// The flags of TCP, from the lowest bit (RFC 9293).
pub(super) fn flags(flags: u8) -> String {
    const NAMES: [&str; 8] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];
    let set: Vec<&str> = (0..).zip(NAMES).filter(|(bit, _)| flags >> bit & 1 == 1).map(|(_, name)| name).collect();
    set.join(" ")
}

/// The protocol of a packet (IANA); none where the number has no short name.
pub(super) fn protocol(number: u8) -> Option<&'static str> {
    Some(match i32::from(number) {
        libc::IPPROTO_ICMP => "ICMP",
        libc::IPPROTO_IGMP => "IGMP",
        libc::IPPROTO_TCP => "TCP",
        libc::IPPROTO_UDP => "UDP",
        libc::IPPROTO_GRE => "GRE",
        libc::IPPROTO_ESP => "ESP",
        libc::IPPROTO_ICMPV6 => "ICMPv6",
        libc::IPPROTO_SCTP => "SCTP",
        89 => "OSPF",
        _ => return None,
    })
}

/// Milliseconds, or seconds where there are many.
pub(crate) fn duration(milliseconds: f64) -> String {
    if milliseconds < 1000.0 { format!("{milliseconds:.0} ms") } else { format!("{:.1} s", milliseconds / 1000.0) }
}

/// The system's sentence for an error number.
pub(super) fn reason(lang: Lang, errno: i32) -> String {
    match Errno::from_raw(errno) {
        Errno::UnknownErrno => format!("error {errno}"),
        known => find(lang, "errno", known.desc()).unwrap_or(known.desc()).to_owned(),
    }
}

/// Names in a row; of many the first ones.
pub(super) fn listed(lang: Lang, names: &[String]) -> String {
    const SHOWN: usize = 12;
    match names.get(..SHOWN) {
        Some(first) if names.len() > SHOWN => {
            t!(lang, "{names}, and {more} more", names = first.join(", "), more = names.len() - SHOWN)
        }
        _ => escape(&names.join(", ")).into_owned(),
    }
}
