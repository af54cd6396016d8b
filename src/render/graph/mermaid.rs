//! A drawing in Mermaid's flowchart language, kept to what every version of it takes.

use super::parts::{Class, Stroke};
use super::tree::{Edge, Part, Syntax, written};
use crate::graph::Graph;
use crate::render::Style;
use crate::render::sentences::graph::Words;

struct Mermaid;

/// The whole drawing.
pub(in crate::render) fn drawing(graph: &Graph, style: Style) -> String {
    written::<Mermaid>(graph, Words(style.lang))
}

impl Syntax for Mermaid {
    const CLOSE: &str = "end";

    fn head(_: &str, title: &str) -> String {
        format!("%% {}\nflowchart TB\n", title.replace(['{', '}'], " "))
    }

    fn open(group: &Part) -> String {
        format!("subgraph {}[{}]", group.id.number, text(&group.lines))
    }

    fn nothing(group: &Part) -> Option<String> {
        Some(format!("{}e[\"-\"]", group.id.number))
    }

    fn leaf(part: &Part) -> String {
        let (open, close) = if part.class == Class::Subnet { ("([", "])") } else { ("[", "]") };
        format!("{}{open}{}{close}", part.id.number, text(&part.lines))
    }

    fn edge(edge: &Edge) -> String {
        let line = match edge.stroke {
            Stroke::Bridge => "===",
            Stroke::Cable if edge.odd => "-.-",
            Stroke::Cable => "---",
        };
        let label = if edge.lines.is_empty() { String::new() } else { format!("|{}|", text(&edge.lines)) };
        format!("{} {line}{label} {}", edge.ends[0].number, edge.ends[1].number)
    }
}

/// Lines in quotation marks; what Mermaid would take for markup becomes a numeric entity of its own kind (`#35;`).
fn text(lines: &[String]) -> String {
    let plain = |c: char| c.is_alphanumeric() || " .,:/-_+()".contains(c);
    let entity = |c: char| if plain(c) { c.to_string() } else { format!("#{};", u32::from(c)) };
    let lines: Vec<String> = lines.iter().map(|line| line.chars().map(entity).collect()).collect();
    format!("\"{}\"", lines.join("<br/>"))
}
