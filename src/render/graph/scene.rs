//! What a picture is made of, before it is written down: boxes, lines, texts, and how wide a text is.

use super::parts::{Class, Stroke};
use crate::graph::{Mark, State};

/// As small as letters on paper may be: 11 pixels are 7 points then, with room for the title.
pub(super) const READABLE: f64 = 0.9;
/// Around the picture, and between a box and what is in it.
pub(super) const PAD: i32 = 12;
/// Between neighbours.
pub(super) const GAP: i32 = 12;
/// Between a card's edge and its text.
const INSET: i32 = 6;

/// A picture; lengths are CSS pixels, from the upper left corner.
#[derive(Debug, Default)]
pub(super) struct Scene {
    pub width: i32,
    pub height: i32,
    pub rects: Vec<Rect>,
    pub lines: Vec<Line>,
    pub texts: Vec<Text>,
}

/// A box.
#[derive(Debug, Clone)]
pub(super) struct Rect {
    pub x: i32,
    pub y: i32,
    pub w: i32,
    pub h: i32,
    pub class: Class,
    pub look: Look,
}

/// Whether a thing is as it should be; told by words beside it, shown by its line as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Look {
    pub mark: Mark,
    pub dead: bool,
}

impl Look {
    pub(super) fn new(mark: Mark, state: State) -> Self {
        Self { mark, dead: state != State::Up }
    }
}

/// A line with corners.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub points: Vec<(i32, i32)>,
    pub stroke: Stroke,
    pub look: Look,
}

/// The look of letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Font {
    Title,
    Name,
    Strong,
    Mono,
    Note,
}

impl Font {
    /// Its name in the style sheet.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Title => "title",
            Self::Name => "name",
            Self::Strong => "strong",
            Self::Mono => "mono",
            Self::Note => "note",
        }
    }

    /// Pixels from one line to the next.
    fn line(self) -> i32 {
        match self {
            Self::Title => 21,
            Self::Name => 18,
            Self::Strong | Self::Mono | Self::Note => 14,
        }
    }

    /// Its size in pixels.
    fn size(self) -> i32 {
        match self {
            Self::Title => 16,
            Self::Name => 14,
            Self::Strong | Self::Mono | Self::Note => 11,
        }
    }

    /// How wide a text is at most, in whichever of the usual fonts: those of `DejaVu` are the widest of them.
    pub(super) fn width(self, text: &str) -> i32 {
        let em: i32 = match self {
            Self::Strong | Self::Mono => text.chars().map(monospaced).sum(),
            Self::Title | Self::Name | Self::Note => text.chars().map(proportional).sum(),
        };
        (em * self.size() + 99) / 100
    }
}

/// Hundredths of the font's size.
fn monospaced(c: char) -> i32 {
    if is_wide(c) { 125 } else { 62 }
}

fn proportional(c: char) -> i32 {
    match c {
        ' ' | 'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' | '/' => 41,
        'f' | 't' | 'r' | '-' | '(' | ')' | '_' => 53,
        'm' | 'w' | 'M' | 'W' | '@' | '%' => 111,
        'a'..='z' | '0'..='9' => 73,
        c if is_wide(c) => 125,
        _ => 100,
    }
}

/// Letters that take two columns begin here.
fn is_wide(c: char) -> bool {
    c >= '\u{1100}'
}

/// A text; `x` is its left edge or its middle, `y` its base line.
#[derive(Debug, Clone)]
pub(super) struct Text {
    pub x: i32,
    pub y: i32,
    pub middle: bool,
    pub font: Font,
    pub words: String,
}

/// Lines of text with a box around them.
#[derive(Debug, Clone)]
pub(super) struct Card {
    pub lines: Vec<(Font, String)>,
    pub class: Class,
    pub look: Look,
}

impl Card {
    /// How wide it has to be.
    pub(super) fn width(&self) -> i32 {
        width_of(&self.lines) + 2 * INSET
    }

    /// How high it has to be.
    pub(super) fn height(&self) -> i32 {
        height_of(&self.lines) + INSET
    }
}

/// How wide lines of text are.
pub(super) fn width_of(lines: &[(Font, String)]) -> i32 {
    lines.iter().map(|(font, text)| font.width(text)).max().unwrap_or(0)
}

/// How high lines of text are.
pub(super) fn height_of(lines: &[(Font, String)]) -> i32 {
    lines.iter().map(|(font, _)| font.line()).sum()
}

impl Scene {
    /// A box; its texts are for the caller to add.
    pub(super) fn rect(&mut self, (x, y): (i32, i32), (w, h): (i32, i32), class: Class, look: Look) {
        self.rects.push(Rect { x, y, w, h, class, look });
    }

    /// A line.
    pub(super) fn line(&mut self, points: Vec<(i32, i32)>, stroke: Stroke, look: Look) {
        self.lines.push(Line { points, stroke, look });
    }

    /// Lines of text from the left edge `x`, the first below `y`; where the next would begin.
    pub(super) fn lines_at(&mut self, x: i32, mut y: i32, lines: &[(Font, String)]) -> i32 {
        for (font, text) in lines {
            y += font.line();
            self.texts.push(Text { x, y: y - 3, middle: false, font: *font, words: text.clone() });
        }
        y
    }

    /// A card of that size, its texts in the middle.
    pub(super) fn card(&mut self, card: &Card, (x, y): (i32, i32), (w, h): (i32, i32)) {
        self.rect((x, y), (w, h), card.class, card.look);
        let mut at = y + (h - height_of(&card.lines)) / 2 - 1;
        for (font, text) in &card.lines {
            at += font.line();
            self.texts.push(Text { x: x + w / 2, y: at - 2, middle: true, font: *font, words: text.clone() });
        }
    }

    /// Everything of another picture, moved.
    pub(super) fn include(&mut self, other: Self, (dx, dy): (i32, i32)) {
        self.rects.extend(other.rects.into_iter().map(|rect| Rect { x: rect.x + dx, y: rect.y + dy, ..rect }));
        self.texts.extend(other.texts.into_iter().map(|text| Text { x: text.x + dx, y: text.y + dy, ..text }));
        self.lines.extend(other.lines.into_iter().map(|line| {
            let points = line.points.iter().map(|(x, y)| (x + dx, y + dy)).collect();
            Line { points, ..line }
        }));
    }

    /// How much it grows, or below 1 shrinks, to fill a sheet of A4 with margins of 1 cm, the better way round: 190 by 277 mm
    /// at 96 dpi.
    pub(super) fn fit(&self) -> f64 {
        let (w, h) = (f64::from(self.width.max(1)), f64::from(self.height.max(1)));
        let upright = (718.0 / w).min(1047.0 / h);
        upright.max((1047.0 / w).min(718.0 / h))
    }
}
