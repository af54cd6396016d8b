//! Reports, errors and notices as text or JSON; the only place that knows how they look.

pub mod escape;
mod findings;
pub mod graph;
mod junit;
pub mod lang;
pub mod sentences;
mod show;
pub(crate) mod table;

use crate::error::Error;
use crate::report::lab::{Notice, Question};
use lang::{Lang, w};
pub(crate) use show::shapes;
pub use show::{Format, Printed, Show, Writer, json, json_line, lines};

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

/// An error: what happened, why, and what to type, each on lines of its own.
pub fn error(error: &Error, style: Style) -> String {
    let message = sentences::errors::error(style.lang, error);
    let shown = match error {
        Error::Topology { file, text, findings } => findings::findings(file, text, findings, style),
        _ => String::new(),
    };
    shown + &message_text(&message, &style.red("nslab:"), style)
}

/// A command line that nslab does not take, and what to type instead.
pub fn refusal(what: String, why: Option<String>, hints: &[String], style: Style) -> String {
    let hints = hints.iter().map(|line| escape::escape(line).into_owned()).collect();
    message_text(&lang::Message { what, why, hints }, &style.red("nslab:"), style)
}

/// What happened, why, and what to type, each on lines of its own.
fn message_text(message: &lang::Message, who: &str, style: Style) -> String {
    let mut lines = vec![format!("{who} {}", message.what)];
    lines.extend(message.why.iter().map(|why| format!("  {why}")));
    lines.extend(message.hints.iter().map(|hint| format!("  {}: {hint}", w!(style.lang, "try"))));
    lines.join("\n") + "\n"
}

/// A notice for stderr.
pub fn notice(notice: &Notice, style: Style) -> String {
    match notice {
        Notice::Interference(found) => message_text(&sentences::doctor::interference(style.lang, found), "nslab:", style),
        _ => format!("nslab: {}\n", sentences::usage::notice(style.lang, notice)),
    }
}

/// A question for the terminal, without a line end.
pub fn question(question: &Question, style: Style) -> String {
    format!("{} ", sentences::usage::question(style.lang, question))
}
