//! The formats of results, and what a result must be able to do to be printed in them.

use clap::ValueEnum;
use serde::Serialize;

use super::{Style, graph, junit};
use crate::error::Error;
use crate::graph::Graph;
use crate::report::probe::Report;

/// What writes a format.
#[derive(Debug, Clone, Copy)]
pub enum Writer {
    /// [`Show::text`], which every result has.
    Text,
    /// Its own shape as one JSON value, which every result has.
    Json,
    /// One that draws a lab.
    Drawing(fn(&Graph, Style) -> String),
    /// One for what a check found.
    Checks(fn(&Report, Style) -> String),
}

/// The formats: for each what it is for, the endings of files in it, and what writes it.
macro_rules! formats {
    ($($(#[$about:meta])* $name:ident [$($ending:literal),*] => $writer:expr),* $(,)?) => {
        /// The shape of the output.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
        pub enum Format {
            $($(#[$about])* $name),*
        }

        impl Format {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// What writes it.
            pub fn writer(self) -> Writer {
                match self {
                    $(Self::$name => $writer),*
                }
            }

            /// The endings of files in it, the usual one first.
            pub fn endings(self) -> &'static [&'static str] {
                match self {
                    $(Self::$name => &[$($ending),*]),*
                }
            }
        }
    };
}

formats! {
    /// For people
    #[default]
    Text ["txt"] => Writer::Text,
    /// For programs: stable, described in docs/json.md
    Json ["json"] => Writer::Json,
    /// Of graph: a picture to look at or print
    Svg ["svg"] => Writer::Drawing(graph::svg),
    /// Of graph: for Graphviz
    Dot ["dot", "gv"] => Writer::Drawing(graph::tree::dot),
    /// Of graph: for Markdown pages that draw Mermaid
    Mermaid ["mmd"] => Writer::Drawing(graph::tree::mermaid),
    /// Of check: for programs that read test results
    Junit [] => Writer::Checks(junit::check),
}

impl Format {
    /// The word on the command line.
    pub fn word(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// What a command found or did.
pub trait Show: Serialize {
    /// As people read it, each line ended.
    fn text(&self, style: Style) -> String;

    /// Whether it can be written in a format.
    fn takes(format: Format) -> bool
    where
        Self: Sized,
    {
        matches!(format.writer(), Writer::Text | Writer::Json)
    }

    /// In a format that it takes.
    fn written(&self, format: Format, style: Style) -> String {
        match format.writer() {
            Writer::Text => self.text(style),
            Writer::Json => json(self),
            Writer::Drawing(_) | Writer::Checks(_) => String::new(),
        }
    }

    /// The process's exit code: that of the first error that it carries.
    fn exit_code(&self) -> u8 {
        self.errors().first().map_or(0, |error| error.exit_code())
    }

    /// Whether it only tells that the work is done.
    fn is_talk(&self) -> bool {
        false
    }

    /// The errors that it carries, to be told on stderr.
    fn errors(&self) -> Vec<&Error> {
        Vec::new()
    }
}

/// A value as JSON, indented.
pub fn json(value: &(impl Serialize + ?Sized)) -> String {
    // Results hold no maps with keys that are no strings, and nothing else fails to serialize.
    serde_json::to_string_pretty(value).map_or_else(|_| "null\n".to_owned(), |json| json + "\n")
}

/// A value as JSON on one line.
pub fn json_line(value: &(impl Serialize + ?Sized)) -> String {
    serde_json::to_string(value).map_or_else(|_| "null\n".to_owned(), |json| json + "\n")
}

/// Lines, each ended.
pub fn lines(lines: &[String]) -> String {
    lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
}

impl Show for Graph {
    fn text(&self, style: Style) -> String {
        graph::text::drawing(self, style)
    }

    fn takes(format: Format) -> bool {
        !matches!(format.writer(), Writer::Checks(_))
    }

    fn written(&self, format: Format, style: Style) -> String {
        match format.writer() {
            Writer::Text => self.text(style),
            Writer::Json => json(self),
            Writer::Drawing(draw) => draw(self, style),
            Writer::Checks(_) => String::new(),
        }
    }
}

/// Text that is printed as it is, whatever the format, and an exit code.
#[derive(Debug, Default, Serialize)]
pub struct Printed {
    text: String,
    code: u8,
}

impl Printed {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), code: 0 }
    }

    /// Nothing but the exit code.
    pub fn exit(code: u8) -> Self {
        Self { text: String::new(), code }
    }
}

impl Show for Printed {
    fn text(&self, _: Style) -> String {
        self.text.clone()
    }

    fn written(&self, _: Format, _: Style) -> String {
        self.text.clone()
    }

    fn exit_code(&self) -> u8 {
        self.code
    }
}

/// A result that has one of several shapes: `shapes! { /// About it. pub enum Found { One(One), Many(Many) } }`.
macro_rules! shapes {
    ($(#[$about:meta])* $vis:vis enum $name:ident { $($shape:ident($inner:ty)),* $(,)? }) => {
        $(#[$about])*
        #[derive(Debug, serde::Serialize)]
        #[serde(untagged)]
        #[allow(missing_docs, reason = "each shape says itself what it is")]
        $vis enum $name {
            $($shape($inner)),*
        }

        impl $crate::render::Show for $name {
            fn text(&self, style: $crate::render::Style) -> String {
                match self { $(Self::$shape(inner) => inner.text(style)),* }
            }

            fn takes(format: $crate::render::Format) -> bool {
                false $(|| <$inner as $crate::render::Show>::takes(format))*
            }

            fn written(&self, format: $crate::render::Format, style: $crate::render::Style) -> String {
                match self { $(Self::$shape(inner) => inner.written(format, style)),* }
            }

            fn exit_code(&self) -> u8 {
                match self { $(Self::$shape(inner) => inner.exit_code()),* }
            }

            fn is_talk(&self) -> bool {
                match self { $(Self::$shape(inner) => inner.is_talk()),* }
            }

            fn errors(&self) -> Vec<&$crate::error::Error> {
                match self { $(Self::$shape(inner) => inner.errors()),* }
            }
        }
    };
}

pub(crate) use shapes;
