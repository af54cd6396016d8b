//! Drawings: where things stand, and the formats in which they are written.

pub(super) mod dot;
mod host;
mod l3;
pub(super) mod mermaid;
mod parts;
mod physical;
mod scene;
mod svg;
pub(super) mod text;
mod tree;

use super::Style;
use super::sentences::graph::Words;
use crate::graph::{Drawing, Graph};

/// As a picture.
pub fn svg(graph: &Graph, style: Style) -> String {
    let words = Words(style.lang);
    let scene = match &graph.drawing {
        Drawing::Physical(drawn) => physical::physical(drawn, words),
        Drawing::L3(drawn) => l3::l3(drawn, words),
    };
    svg::svg(scene, &words.title(graph), words.summary(graph).as_deref())
}
