//! What must hold in a lab, checked on the live kernel: its tables, its answers to pings, the frames on its wires; and again
//! whenever something has changed in the lab.

mod evidence;
mod kinds;
mod players;
mod run;
mod scene;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::error::{Error, Result};
use crate::kernel::calls;
use crate::kernel::inspect::{Changes, News};
use crate::kernel::netns::is_namespace;
use crate::kernel::sys;
use crate::lab::Subject;
use crate::plan::NodeId;
use crate::report::probe::Report;

pub use kinds::KINDS;
pub use run::{Order, check, words};

/// How often the lab is looked at for new namespaces.
const LOOK: Duration = Duration::from_millis(250);
/// So long nothing more may change before what has changed is checked: a script changes much at once.
const SETTLED: Duration = Duration::from_millis(100);
/// But no longer than this.
const LATEST: Duration = Duration::from_secs(1);

/// The sockets that hear what changes, by node.
#[derive(Default)]
struct Listeners {
    all: Vec<(NodeId, PathBuf, News)>,
    /// Where checks are about ports: who listened in the nodes when they were looked at last. No socket tells that.
    ends: Option<Vec<Vec<String>>>,
}

impl Listeners {
    /// Listens in namespaces that are new, and no more in those that are gone; whether there was either.
    fn follow(&mut self, subject: &Subject) -> Result<bool> {
        let pins: Vec<_> =
            subject.nodes().into_iter().filter(|one| is_namespace(&one.pin)).map(|one| (one.node, one.pin)).collect();
        let before = self.all.len();
        self.all.retain(|(id, path, _)| pins.iter().any(|(other, pin)| other == id && pin == path));
        let mut changed = self.all.len() != before;
        for (id, pin) in pins {
            if !self.all.iter().any(|(known, _, _)| *known == id) {
                let news = News::open(&pin, &id.to_string())?;
                self.all.push((id, pin, news));
                changed = true;
            }
        }
        Ok(changed)
    }

    /// Whether somebody listens who did not, or the other way round.
    fn ends_changed(&mut self) -> bool {
        let Some(before) = &mut self.ends else { return false };
        let now: Vec<Vec<String>> = self.all.iter().map(|(_, pin, _)| calls::ends(pin)).collect();
        let changed = now != *before;
        *before = now;
        changed
    }

    fn hear(&self) -> Changes {
        self.all.iter().fold(Changes::default(), |heard, (_, _, news)| heard.and(news.hear()))
    }

    fn wait(&self, at_most: Duration) {
        let mut fds: Vec<PollFd<'_>> =
            self.all.iter().flat_map(|(_, _, news)| news.fds()).map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        let milliseconds = u16::try_from(at_most.as_millis()).unwrap_or(u16::MAX).max(1);
        // A signal ends the wait; the caller looks whether one came.
        let _ = poll(&mut fds, PollTimeout::from(milliseconds));
    }

    /// Waits until something changes and nothing more does; false when a signal came.
    fn until_changed(&mut self, subject: &Subject) -> Result<bool> {
        loop {
            if sys::signal().is_some() {
                return Ok(false);
            }
            if self.follow(subject)? || self.hear().any() || self.ends_changed() {
                self.settle();
                return Ok(sys::signal().is_none());
            }
            self.wait(LOOK);
        }
    }

    fn settle(&self) {
        let (began, mut quiet) = (Instant::now(), Instant::now());
        while quiet.elapsed() < SETTLED && began.elapsed() < LATEST && sys::signal().is_none() {
            self.wait(SETTLED.saturating_sub(quiet.elapsed()));
            if self.hear().any() {
                quiet = Instant::now();
            }
        }
    }
}

/// Checks, reports, and checks again on every change, until all passes, a signal comes, or `report` says false; the last report.
///
/// # Errors
/// As [`check`]; when the lab is gone.
pub fn watch(order: Order<'_>, report: &mut dyn FnMut(&Report, Option<&Report>) -> Result<bool>) -> Result<Report> {
    let mut listeners = Listeners::default();
    listeners.follow(order.subject)?;
    let mut checks = order.against.unwrap_or(order.lab).checkpoints.iter().flat_map(|checkpoint| &checkpoint.checks);
    if checks.any(|check| check.get("tcp").or(check.get("udp")).is_some()) {
        listeners.ends = Some(Vec::new());
        listeners.ends_changed();
    }
    let mut subject = order.subject.clone();
    let mut last = check(order)?;
    if !report(&last, None)? {
        return Ok(last);
    }
    // What the check itself did to the packet filter, to trace a packet, is no news; what others did meanwhile is.
    let mut again = listeners.hear().network;
    while last.exit_code() != 0 {
        if !std::mem::take(&mut again) && !listeners.until_changed(&subject)? {
            break;
        }
        subject = subject.again()?;
        let next = match check(Order { subject: &subject, ..order }) {
            Ok(next) => next,
            Err(Error::Signal(_)) => break,
            Err(error) => {
                // A namespace may go while it is looked at.
                if listeners.follow(&subject.again()?)? {
                    again = true;
                    continue;
                }
                return Err(error);
            }
        };
        again = listeners.hear().network;
        let go_on = report(&next, Some(&last))?;
        last = next;
        if !go_on {
            break;
        }
    }
    Ok(last)
}
