//! A drawing in Graphviz's language: hosts are clusters.

use super::parts::{Class, Stroke};
use super::tree::{Edge, Id, Part, Syntax, quoted, written};
use crate::graph::Graph;
use crate::render::Style;
use crate::render::escape::escape;
use crate::render::sentences::graph::Words;

struct Dot;

/// The whole drawing.
pub(in crate::render) fn drawing(graph: &Graph, style: Style) -> String {
    written::<Dot>(graph, Words(style.lang)) + "}\n"
}

impl Syntax for Dot {
    const CLOSE: &str = "}";

    fn head(lab: &str, title: &str) -> String {
        format!(
            "graph {} {{\n  label={}; labelloc=t; fontname=sans\n  \
             node [shape=box, style=\"rounded,filled\", fillcolor=white, fontname=sans, fontsize=11]\n  \
             edge [fontname=sans, fontsize=11]\n",
            name(lab),
            name(title)
        )
    }

    fn open(group: &Part) -> String {
        let (id, label) = (name(&format!("cluster {}", group.id.name)), quoted(&group.lines));
        format!("subgraph {id} {{\nlabel={label}; style=filled; fillcolor=\"{}\"", group.class.fill())
    }

    fn nothing(group: &Part) -> Option<String> {
        Some(format!("{} [style=invis]", id(&group.id)))
    }

    fn leaf(part: &Part) -> String {
        let label = format!("label={}", quoted(&part.lines));
        let fill = format!("fillcolor=\"{}\"", part.class.fill());
        let dead = if part.odd { ", style=\"filled,dashed\"" } else { "" };
        let look = match part.class {
            Class::Interface | Class::Network => label + dead,
            Class::Subnet => format!("shape=ellipse, {label}, {fill}"),
            Class::Bridge | Class::Router | Class::Host | Class::Container | Class::Switch => format!("{label}, {fill}{dead}"),
        };
        format!("{} [{look}]", id(&part.id))
    }

    fn edge(edge: &Edge) -> String {
        let look = match edge.stroke {
            Stroke::Bridge => "color=\"#2f7d4f\", penwidth=3".to_owned(),
            Stroke::Cable => format!("label={}{}", quoted(&edge.lines), if edge.odd { ", style=dashed" } else { "" }),
        };
        format!("{} -- {} [{look}]", id(&edge.ends[0]), id(&edge.ends[1]))
    }
}

/// A word of letters and digits is one without quotation marks, too.
fn id(id: &Id) -> String {
    if id.name == id.number { id.name.clone() } else { name(&id.name) }
}

fn name(text: &str) -> String {
    quoted(&[escape(text).into_owned()])
}
