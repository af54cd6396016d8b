//! Drawings: where things stand, and the formats in which they are written.

mod dot;
mod host;
mod l3;
pub(super) mod layers;
mod mermaid;
mod physical;
mod scene;
mod svg;
pub(super) mod words;

use super::escape::escape;
use super::lang::find;
use super::{Format, Style, sentences};
use crate::graph::{Drawing, Graph};
use words::Words;

/// What the topology teaches: of a built-in one in the reader's language.
pub(super) fn summary(graph: &Graph, style: Style) -> Option<&str> {
    let own = graph.summary.as_deref()?;
    find(style.lang, "topology", own).or(Some(own))
}

/// A drawing in a format other than text and JSON.
pub fn graph(graph: &Graph, format: Format, style: Style) -> String {
    let words = Words::new(style.lang);
    let title = sentences::graph::title(style.lang, graph);
    let summary = summary(graph, style).map(escape);
    let scene = || match &graph.drawing {
        Drawing::Physical(drawn) => physical::physical(drawn, words),
        Drawing::L3(drawn) => l3::l3(drawn, words),
    };
    match format {
        Format::Svg => svg::svg(scene(), &title, summary.as_deref()),
        Format::Dot => dot::dot(graph, &title, words),
        Format::Mermaid => mermaid::mermaid(graph, &title, words),
        Format::Text | Format::Json | Format::Junit => String::new(),
    }
}
