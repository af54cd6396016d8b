//! What tables leave open: of several next hops, and of several who answer for an address, any may be the one.

use std::net::IpAddr;

use super::map::At;
use super::{Order, Prediction, follow, forget, rooted};
use crate::probe::view::View;

/// So many ways are followed at most, and then one more, which differs from the first wherever it can.
const MOST: usize = 24;

/// Where there is more than one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fork {
    /// Next hops that a node has for a destination: packets of one flow all take the same.
    Hop(usize, IpAddr),
    /// The same, when a sender looks for the source address of its packets.
    Source(usize, IpAddr),
    /// Answers that come to an interface for an address.
    Answer(At, IpAddr),
}

/// A fork, which was taken, and of how many.
type Pick = (Fork, usize, usize);

/// What is taken at each fork, in the order in which they are come to; where nothing is said, the first, or the last.
#[derive(Debug, Clone, Default)]
pub(super) struct Picks {
    all: Vec<Pick>,
    last: bool,
}

impl Picks {
    /// The last at every fork; bridges believe the last copy of a frame.
    fn last() -> Self {
        Self { all: Vec::new(), last: true }
    }

    pub(super) fn is_last(&self) -> bool {
        self.last
    }

    /// Which of so many is taken.
    pub(super) fn pick(&mut self, fork: Fork, of: usize) -> usize {
        if of < 2 {
            return 0;
        }
        let known = self.all.iter().find(|(other, ..)| *other == fork).map(|(_, taken, _)| (*taken).min(of - 1));
        known.unwrap_or_else(|| {
            let taken = if self.last { of - 1 } else { 0 };
            self.all.push((fork, taken, of));
            taken
        })
    }

    /// Those of the next way; none where all have been followed.
    fn next(mut self) -> Option<Self> {
        while let Some((fork, taken, of)) = self.all.pop() {
            if taken + 1 < of {
                self.all.push((fork, taken + 1, of));
                return Some(self);
            }
        }
        None
    }
}

/// Every way that a packet may take as the tables are: the first, with the others.
pub(super) fn ways(view: &View, order: Order<'_>) -> Prediction {
    let mut unlearned = None;
    let mut go = |picks: Picks| {
        let (prediction, picks, raced) = follow(view, order, picks);
        let root = prediction.death.is_some().then(|| {
            let cold = unlearned.get_or_insert_with(|| {
                let mut places = view.places.clone();
                forget(&mut places);
                view.with(places)
            });
            follow(cold, order, picks.clone()).0.death
        });
        (rooted(prediction, root.flatten()), picks, raced)
    };
    let (mut first, picks, mut raced) = go(Picks::default());
    let mut next = picks.next();
    while let Some(picks) = next.take_if(|_| first.others.len() < MOST) {
        let (other, picks, race) = go(picks);
        raced |= race;
        first.others.push(other);
        next = picks.next();
    }
    if raced || next.is_some() {
        first.others.push(go(Picks::last()).0);
    }
    first
}

/// The ways that next hops leave open; of several who answer, and of copies of a frame, the first is believed.
pub(super) fn by_routes<'a>(view: &'a View, order: Order<'a>) -> impl Iterator<Item = Prediction> {
    let mut next = Some(Picks::default());
    let ways = std::iter::from_fn(move || {
        let (prediction, mut picks, _) = follow(view, order, next.take()?);
        picks.all.retain(|(fork, ..)| !matches!(fork, Fork::Answer(..)));
        next = picks.next();
        Some(prediction)
    });
    ways.take(MOST)
}
