//! How text looks: its language, colours, width.

use super::lang::Lang;

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
