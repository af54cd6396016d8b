//! A picture: boxes, lines and texts, and how wide a text is; written as SVG, one file without scripts or fonts of its own, for light
//! and dark pages and for paper.

use std::fmt::{Debug, Write};

use super::{Class, Stroke, wrapped};
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

/// The style sheet of every picture.
const STYLE: &str = include_str!("svg.css");

/// The picture with its title.
pub(super) fn svg(scene: Scene, title: &str, summary: Option<&str>) -> String {
    let scene = framed(scene, title, summary);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w} {h}\" width=\"{w}\" height=\"{h}\" role=\"img\" aria-labelledby=\"title\">\n\
         <title id=\"title\">{}</title>\n<style>\n{STYLE}</style>\n<rect class=\"paper\" x=\"0\" y=\"0\" width=\"{w}\" height=\"{h}\"/>\n",
        xml(title),
        w = scene.width,
        h = scene.height,
    );
    let mut rects = scene.rects;
    rects.sort_by_key(|rect| rect.class);
    let (below, above): (Vec<Rect>, Vec<Rect>) = rects.into_iter().partition(|rect| rect.class < Class::Container);
    for rect in &below {
        write_rect(&mut out, rect);
    }
    for line in &scene.lines {
        let path: Vec<String> = line.points.iter().map(|(x, y)| format!("{x} {y}")).collect();
        let member = if line.stroke == Stroke::Bridge { "member" } else { "cable" };
        let _ = writeln!(out, "<path class=\"{member}{}\" d=\"M{}\"/>", look(line.look), path.join(" L"));
    }
    for rect in &above {
        write_rect(&mut out, rect);
    }
    for text in &scene.texts {
        write_text(&mut out, text);
    }
    out + "</svg>\n"
}

/// The picture below its title and summary, with a margin.
fn framed(scene: Scene, title: &str, summary: Option<&str>) -> Scene {
    let width = scene.width.max(Font::Title.width(title)).max(300);
    let mut lines = vec![(Font::Title, title.to_owned())];
    lines.extend(
        summary
            .into_iter()
            .flat_map(|summary| wrapped(summary, |line| Font::Note.width(line) <= width))
            .map(|line| (Font::Note, line)),
    );
    let mut framed = Scene::default();
    let top = framed.lines_at(PAD, PAD / 2, &lines) + GAP;
    framed.width = width + 2 * PAD;
    framed.height = top + scene.height + PAD;
    let left = PAD + (width - scene.width) / 2;
    framed.include(scene, (left, top));
    framed
}

/// The style sheet's name of a kind of box or of letters: as it is called here.
fn css(kind: impl Debug) -> String {
    format!("{kind:?}").to_lowercase()
}

/// The classes that show how a thing is.
fn look(look: Look) -> String {
    let mark = match look.mark {
        Mark::Described => "",
        Mark::Missing | Mark::File => " missing",
        Mark::Changed => " changed",
        Mark::ByHand => " byhand",
    };
    let dead = if look.dead && look.mark != Mark::Missing { " dead" } else { "" };
    format!("{mark}{dead}")
}

fn write_rect(out: &mut String, rect: &Rect) {
    let Rect { x, y, w, h, class, .. } = rect;
    // Writing to a string does not fail.
    let _ = writeln!(
        out,
        "<rect class=\"{}{}\" x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" rx=\"4\"/>",
        css(class),
        look(rect.look)
    );
}

fn write_text(out: &mut String, text: &Text) {
    let middle = if text.middle { " middle" } else { "" };
    let _ =
        writeln!(out, "<text class=\"{}{middle}\" x=\"{}\" y=\"{}\">{}</text>", css(text.font), text.x, text.y, xml(&text.words));
}

/// Text as XML takes it.
fn xml(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
        out
    })
}
