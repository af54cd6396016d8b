//! What reading and validation find, collected until all of it is known.

use std::ops::Range;

use crate::problem::{Finding, Problem};

/// Bytes of the file's text.
pub type Span = Range<usize>;

/// Most findings that are kept: a file that is wrong all over is not helped by more.
const KEPT: usize = 100;

/// A list of findings that grows no longer than anybody reads.
#[derive(Debug, Default)]
pub(super) struct Findings {
    list: Vec<Finding>,
    met: usize,
}

impl Findings {
    /// Notes a problem at a place.
    pub(super) fn add(&mut self, at: &Span, problem: Problem) {
        self.note(at, None, problem);
    }

    /// Notes a problem between two places.
    pub(super) fn clash(&mut self, at: &Span, other: &Span, problem: Problem) {
        self.note(at, Some(other.clone()), problem);
    }

    fn note(&mut self, at: &Span, other: Option<Span>, problem: Problem) {
        let finding = Finding { problem, at: at.clone(), other };
        if self.list.len() < KEPT && !self.list.contains(&finding) {
            self.list.push(finding);
        }
        self.met += 1;
    }

    /// How many were noted so far.
    pub(super) fn met(&self) -> usize {
        self.met
    }

    /// All of them, in the order of the file.
    pub(super) fn in_order(mut self) -> Vec<Finding> {
        self.list.sort_by_key(|finding| finding.at.start);
        self.list
    }
}
