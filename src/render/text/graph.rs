//! A drawing as text: a frame for each host, or subnets and routers as a tree.

mod l3;
mod physical;

use super::lines;
use crate::graph::{Drawing, Graph};
use crate::render::Style;
use crate::render::sentences::graph::Words;

/// The columns of a terminal that nobody made wider.
const WIDTH: usize = 80;

pub(super) fn graph(graph: &Graph, style: Style) -> String {
    let words = Words(style.lang);
    let mut told = vec![style.bold(&words.title(graph))];
    told.extend(words.summary(graph).into_iter().flat_map(|summary| wrapped(&summary)));
    told.push(String::new());
    let drawn = match &graph.drawing {
        Drawing::Physical(drawn) => physical::physical(drawn, words),
        Drawing::L3(drawn) => l3::l3(drawn, words),
    };
    told.extend(drawn.into_iter().map(|line| if style.unicode { line } else { plain(&line) }));
    lines(&told)
}

/// A sentence in lines that fit.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(last) if last.is_empty() => last.push_str(word),
            Some(last) if last.chars().count() + 1 + word.chars().count() <= WIDTH => {
                last.push(' ');
                last.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// The line with characters that every terminal has.
fn plain(line: &str) -> String {
    let ascii = |c: char| match c {
        '─' => '-',
        '│' => '|',
        '├' | '└' | '┌' => '+',
        c => c,
    };
    line.chars().map(ascii).collect()
}
