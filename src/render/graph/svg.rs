//! A picture as SVG: one file without scripts or fonts of its own, for light and dark pages and for paper.

use std::fmt::Write;

use super::parts::{Class, Stroke, wrapped};
use super::scene::{Font, GAP, Look, PAD, Rect, Scene, Text};
use crate::graph::Mark;

const STYLE: &str = "\
text { fill: #1b2733 }
.title, .name, .note { font-family: Verdana, 'DejaVu Sans', Helvetica, Arial, sans-serif }
.strong, .mono { font-family: Menlo, Consolas, 'DejaVu Sans Mono', 'Liberation Mono', monospace }
.title { font-size: 16px; font-weight: bold }
.name { font-size: 14px; font-weight: bold }
.strong { font-size: 11px; font-weight: bold }
.mono, .note { font-size: 11px }
.note { font-style: italic }
.middle { text-anchor: middle }
rect { stroke-width: 1.2 }
.paper { fill: #ffffff }
.host { fill: #eef3f8; stroke: #46627f }
.container { fill: #fdf3dc; stroke: #a67c1e }
.bridge, .router { fill: #dcefe2; stroke: #2f7d4f }
.switch { fill: #e9e2f5; stroke: #6a4c9c }
.subnet { fill: #e9e2f5; stroke: #6a4c9c }
.interface, .network { fill: #ffffff; stroke: #5c6b7a }
path { fill: none; stroke: #1b2733; stroke-width: 1.6 }
path.member { stroke: #2f7d4f; stroke-width: 3 }
.missing { stroke: #c0341d; stroke-dasharray: 5 4 }
.byhand { stroke: #0b62b0; stroke-dasharray: 9 3 2 3 }
.changed { stroke: #b26a00; stroke-width: 2.5 }
.dead { stroke-dasharray: 2 3 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.paper { fill: #12181f }
.host { fill: #1b2530; stroke: #7d9bb8 }
.container { fill: #3a2f14; stroke: #d0a44a }
.bridge, .router { fill: #173524; stroke: #5fbf86 }
.switch, .subnet { fill: #2a2140; stroke: #a98be0 }
.interface, .network { fill: #12181f; stroke: #8b9aa9 }
path { stroke: #c9d4de }
path.member { stroke: #5fbf86 }
.missing { stroke: #ff8a75 }
.byhand { stroke: #6db3f2 }
.changed { stroke: #ffb454 }
}
";

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
        class.name(),
        look(rect.look)
    );
}

fn write_text(out: &mut String, text: &Text) {
    let middle = if text.middle { " middle" } else { "" };
    let _ = writeln!(
        out,
        "<text class=\"{}{middle}\" x=\"{}\" y=\"{}\">{}</text>",
        text.font.name(),
        text.x,
        text.y,
        xml(&text.words)
    );
}

/// Text as XML takes it.
pub(super) fn xml(text: &str) -> String {
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
