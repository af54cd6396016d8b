//! Drawings: where things stand, and the formats in which they are written.

mod dot;
mod host;
mod l3;
mod mermaid;
mod parts;
mod physical;
mod scene;
mod svg;
pub(super) mod text;
mod tree;

use super::sentences::graph::Words;
use super::{Format, Style};
use crate::graph::{Drawing, Graph};

/// A drawing in a format other than text and JSON.
pub fn graph(graph: &Graph, format: Format, style: Style) -> String {
    let words = Words(style.lang);
    let scene = || match &graph.drawing {
        Drawing::Physical(drawn) => physical::physical(drawn, words),
        Drawing::L3(drawn) => l3::l3(drawn, words),
    };
    match format {
        Format::Svg => svg::svg(scene(), &words.title(graph), words.summary(graph).as_deref()),
        Format::Dot => dot::drawing(graph, style),
        Format::Mermaid => mermaid::drawing(graph, style),
        Format::Text | Format::Json | Format::Junit => String::new(),
    }
}
