//! Reports, errors and notices as text or JSON; the only place that knows how they look.

pub mod escape;
mod findings;
pub mod graph;
pub mod json;
mod junit;
pub mod lang;
pub mod script;
pub mod sentences;
pub mod text;

use crate::error::Error;
use crate::report::notice::{Notice, Question};
use crate::report::{Piece, Report};
use lang::{Lang, w};

/// The shape of the output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// For programs: stable, described in docs/json.md
    Json,
    /// Of graph: a picture to look at or print
    Svg,
    /// Of graph: for Graphviz
    Dot,
    /// Of graph: for Markdown pages that draw Mermaid
    Mermaid,
    /// Of check: for programs that read test results
    Junit,
}

impl Format {
    /// What every command that reports something can print.
    pub const PLAIN: [Self; 2] = [Self::Text, Self::Json];
    /// What `check` can print.
    pub const JUDGED: [Self; 3] = [Self::Text, Self::Json, Self::Junit];
    /// What `graph` can print.
    pub const DRAWN: [Self; 5] = [Self::Text, Self::Json, Self::Svg, Self::Dot, Self::Mermaid];

    /// The word on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
            Self::Svg => "svg",
            Self::Dot => "dot",
            Self::Mermaid => "mermaid",
            Self::Junit => "junit",
        }
    }
}

/// How text looks: its language, and whether it is for a terminal that shows colours.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// The language.
    pub lang: Lang,
    /// Whether escape codes may be used.
    pub colour: bool,
    /// How many columns long texts in tables may take; none where no person reads.
    pub width: Option<u16>,
    /// Whether lines may be drawn with box drawing characters.
    pub unicode: bool,
}

impl Style {
    /// Text that stands out where the terminal can show it.
    pub fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// Text that warns where the terminal can show it.
    pub fn red(self, text: &str) -> String {
        self.paint("1;31", text)
    }

    /// Text that all is well with, where the terminal can show it.
    pub fn green(self, text: &str) -> String {
        self.paint("1;32", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// A report, ready to print.
pub fn report(report: &Report, format: Format, style: Style) -> String {
    match (report, format) {
        (Report::Exit(_), _) => String::new(),
        (Report::Text(text), _) => text.clone(),
        (_, Format::Text) => text::report(report, style),
        (_, Format::Json) => json::report(report),
        (Report::Check(checked), Format::Junit) => junit::check(checked, style),
        (Report::Graph(graph), format) => graph::graph(graph, format, style),
        // Refused before the command began.
        (_, Format::Svg | Format::Dot | Format::Mermaid | Format::Junit) => String::new(),
    }
}

/// A part of a result, ready to print; empty where the whole result tells it.
pub fn piece(piece: Piece, format: Format, style: Style) -> String {
    match (piece, format) {
        (Piece::Text(text), _) => text.to_owned(),
        (_, Format::Text) => text::piece(piece, style),
        (_, Format::Json) => json::piece(piece),
        _ => String::new(),
    }
}

/// An error: what happened, why, and what to type, each on lines of its own.
pub fn error(error: &Error, style: Style) -> String {
    let message = sentences::errors::error(style.lang, error);
    let shown = match error {
        Error::Topology { file, text, findings } => findings::findings(file, text, findings, style),
        _ => String::new(),
    };
    shown + &told(&message, &style.red("nslab:"), style)
}

/// A command line that nslab does not take, and what to type instead.
pub fn refusal(what: String, why: Option<String>, hints: &[String], style: Style) -> String {
    let hints = hints.iter().map(|line| escape::escape(line).into_owned()).collect();
    told(&lang::Message { what, why, hints }, &style.red("nslab:"), style)
}

/// What happened, why, and what to type, each on lines of its own.
fn told(message: &lang::Message, who: &str, style: Style) -> String {
    let mut lines = vec![format!("{who} {}", message.what)];
    lines.extend(message.why.iter().map(|why| format!("  {why}")));
    lines.extend(message.hints.iter().map(|hint| format!("  {}: {hint}", w!(style.lang, "try"))));
    lines.join("\n") + "\n"
}

/// A notice for stderr.
pub fn notice(notice: &Notice, style: Style) -> String {
    match notice {
        Notice::Interference(found) => told(&sentences::interference::message(style.lang, found), "nslab:", style),
        _ => format!("nslab: {}\n", sentences::notices::notice(style.lang, notice)),
    }
}

/// A question for the terminal, without a line end.
pub fn question(question: &Question, style: Style) -> String {
    format!("{} ", sentences::notices::question(style.lang, question))
}
