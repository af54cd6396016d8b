//! All that is wrong with a topology file: each finding with its place and the line that it is in.

use annotate_snippets::renderer::DEFAULT_TERM_WIDTH;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::Style;
use super::escape::escape;
use super::lang::w;
use crate::problem::Finding;
use crate::render::sentences;

/// Most findings that are shown.
const SHOWN: usize = 20;

/// Most characters of a line that are shown before and after the place in it, and of the place itself.
const AROUND: usize = 50;

/// The findings, one after the other, in their order.
pub fn findings(file: &str, text: &str, findings: &[Finding], style: Style) -> String {
    let renderer = if style.colour { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.term_width(DEFAULT_TERM_WIDTH.max(4 * AROUND));
    let one = |finding: &Finding| Shown::new(file, text, finding, style).render(&renderer);
    let mut shown: Vec<String> = findings.iter().take(SHOWN).map(one).collect();
    if findings.len() > SHOWN {
        shown.push(sentences::findings::unshown(style.lang, findings.len() - SHOWN));
    }
    shown.iter().map(|text| text.trim_end().to_owned() + "\n").collect()
}

/// One finding in words, and the piece of the file that it is about.
struct Shown {
    title: String,
    piece: Option<Piece>,
    notes: Vec<String>,
    advice: Option<(String, &'static str)>,
}

impl Shown {
    fn new(file: &str, text: &str, finding: &Finding, style: Style) -> Self {
        let file = escape(file);
        let piece = Piece::from_finding(text, finding);
        let place = piece.as_ref().map_or_else(String::new, |piece| format!(":{}:{}", piece.line, piece.column));
        let other = finding.other.as_ref().map(|other| line_of(text, other.start));
        Self {
            title: format!("{file}{place}: {}", sentences::findings::problem(style.lang, &finding.problem)),
            notes: other.map(|line| sentences::findings::elsewhere(style.lang, line)).into_iter().collect(),
            advice: sentences::findings::advice(style.lang, &finding.problem).map(|advice| (advice, w!(style.lang, "try"))),
            piece,
        }
    }

    fn render(&self, renderer: &Renderer) -> String {
        let group = Group::with_title(Level::ERROR.no_name().primary_title(&self.title));
        let Some(piece) = &self.piece else {
            let advice = self.advice.as_ref().map(|(advice, label)| format!("\n  = {label}: {advice}"));
            return renderer.render(&[group]) + &advice.unwrap_or_default();
        };
        let mark = AnnotationKind::Primary.span(piece.mark.clone());
        let mut group = group.element(Snippet::source(&piece.source).line_start(piece.line).annotation(mark));
        group = group.elements(self.notes.iter().map(|note| Level::NOTE.no_name().message(note)));
        if let Some((advice, label)) = &self.advice {
            group = group.element(Level::HELP.with_name(*label).message(advice));
        }
        renderer.render(&[group])
    }
}

/// A line of the file, or what is around the place where it is long, safe to print.
struct Piece {
    line: usize,
    column: usize,
    source: String,
    mark: std::ops::Range<usize>,
}

impl Piece {
    /// None where a finding is about the whole file.
    fn from_finding(text: &str, finding: &Finding) -> Option<Self> {
        if finding.at == (0..0) {
            return None;
        }
        let start = finding.at.start.min(text.len());
        let begin = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
        let (before, rest) = (&text[begin..start], &text[start..end]);
        let (marked, after) = rest.split_at(finding.at.len().min(rest.len()));
        let skipped = before.chars().count().saturating_sub(AROUND);
        let mut source: String = before.chars().skip(skipped).collect::<String>();
        source = format!("{}{}", dots(skipped > 0), escape(&source));
        let from = source.len();
        source += &escape(&clipped(marked));
        let mark = from..source.len();
        source += &escape(&clipped(after.trim_end()));
        Some(Self { line: line_of(text, start), column: before.chars().count() + 1, source, mark })
    }
}

fn clipped(text: &str) -> String {
    let short: String = text.chars().take(AROUND).collect();
    let dots = dots(short.len() < text.len());
    short + dots
}

fn dots(cut: bool) -> &'static str {
    if cut { "..." } else { "" }
}

fn line_of(text: &str, offset: usize) -> usize {
    let before = text.get(..offset).unwrap_or(text);
    before.bytes().filter(|&byte| byte == b'\n').count() + 1
}
