//! Frames of many points in one stream, in the order of time.

pub mod line;
mod pins;
pub mod points;
pub mod sink;
mod taps;
pub mod words;

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant, UNIX_EPOCH};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::error::Result;
use crate::kernel::packet::{self, Counts, Seen, Tap};
use crate::kernel::sys;
use crate::report::notice::Notice;
use pins::Pins;
use points::Point;

/// Frames of several points wait so long for earlier ones of other points: a ring hands over what it has after 10 ms.
const WINDOW: Duration = Duration::from_millis(60);

/// How often the pins are looked at, and how long a signal may wait that came at a bad moment.
const TICK: Duration = Duration::from_millis(250);

/// What ends a capture, beside a signal.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bounds {
    /// After so many frames.
    pub frames: Option<u64>,
    /// After so long.
    pub time: Option<Duration>,
}

/// Whoever takes the frames.
pub trait Watcher {
    /// The taps are open: from this time on, in nanoseconds since 1970, every frame is seen.
    ///
    /// # Errors
    /// When the output cannot be written.
    fn begin(&mut self, start: u64) -> Result<bool>;
    /// A frame at the point of that number.
    fn frame(&mut self, point: usize, seen: &Seen<'_>);
    /// No more frames for now; false when nobody reads any more.
    ///
    /// # Errors
    /// When the output cannot be written.
    fn settle(&mut self) -> Result<bool>;
    /// Something happened that is no frame.
    fn notice(&mut self, notice: &Notice);
    /// What tells to `poll` that nobody reads any more.
    fn reader(&self) -> Option<BorrowedFd<'_>>;
}

/// How a capture ended.
#[derive(Debug)]
pub struct Ended {
    /// When it began and ended, in nanoseconds since 1970.
    pub span: (u64, u64),
    /// Frames that were passed on.
    pub frames: u64,
    /// By point.
    pub counts: Vec<Counts>,
    /// The signal that ended it.
    pub signal: Option<i32>,
}

/// Nanoseconds since 1970.
fn now() -> u64 {
    UNIX_EPOCH.elapsed().map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// Listens at the points until something ends it.
///
/// # Errors
/// When a point cannot be listened at, or the output cannot be written.
pub fn capture(points: &[Point], filter: &[libc::sock_filter], bounds: Bounds, watcher: &mut dyn Watcher) -> Result<Ended> {
    crate::kernel::open_files(points.len() + 64);
    let taps = taps::open(points, filter)?;
    let ears = taps.into_iter().map(|tap| Ear { tap: Some(tap), leaves: None, counts: Counts::default() }).collect();
    let mut run = Run { points, ears, pending: Vec::new(), frames: 0, limit: bounds.frames.unwrap_or(u64::MAX) };
    let (start, began) = (now(), Instant::now());
    let listened = match watcher.begin(start) {
        Ok(true) => run.listen(bounds.time.map(|time| began + time), watcher),
        Ok(false) => Ok(None),
        Err(error) => Err(error),
    };
    let end = now();
    let counts = run.close();
    listened.map(|signal| Ended { span: (start, end), frames: run.frames, counts, signal })
}

/// A point's tap, while it has one.
struct Ear {
    tap: Option<Tap>,
    /// Its interface is gone: what was seen before may still come until then.
    leaves: Option<Instant>,
    counts: Counts,
}

/// A frame that waits for earlier ones.
struct Held {
    point: usize,
    interface: u32,
    nanoseconds: u64,
    outgoing: bool,
    length: u32,
    bytes: Vec<u8>,
}

struct Run<'a> {
    points: &'a [Point],
    ears: Vec<Ear>,
    pending: Vec<Held>,
    frames: u64,
    limit: u64,
}

impl Run<'_> {
    /// Until the end; the signal that brought it.
    fn listen(&mut self, until: Option<Instant>, watcher: &mut dyn Watcher) -> Result<Option<i32>> {
        let pins = Pins::new(self.points);
        let mut looked = Instant::now();
        loop {
            let signal = sys::signal();
            let over = until.is_some_and(|until| Instant::now() >= until);
            if signal.is_some() || over {
                self.last_words(watcher)?;
                return Ok(signal);
            }
            if self.frames >= self.limit || self.ears.iter().all(|ear| ear.tap.is_none()) {
                self.pass(u64::MAX, watcher);
                watcher.settle()?;
                return Ok(None);
            }
            if !self.wait(until, watcher) {
                return Ok(None);
            }
            self.round(u64::MAX, watcher);
            if looked.elapsed() >= TICK {
                looked = Instant::now();
                self.leave(&pins.gone(), watcher);
                self.leave(&self.vanished(), watcher);
            }
            self.part();
            if !watcher.settle()? {
                return Ok(None);
            }
        }
    }

    /// Sleeps until there is something to do; false when nobody reads any more.
    fn wait(&self, until: Option<Instant>, watcher: &dyn Watcher) -> bool {
        let mut time = TICK;
        if !self.pending.is_empty() || self.ears.iter().any(|ear| ear.leaves.is_some()) {
            time = time.min(WINDOW / 4);
        }
        if let Some(until) = until {
            time = time.min(until.saturating_duration_since(Instant::now()) + Duration::from_millis(1));
        }
        let open = self.ears.iter().filter_map(|ear| ear.tap.as_ref());
        let mut fds: Vec<PollFd<'_>> = open.map(|tap| PollFd::new(tap.as_fd(), PollFlags::POLLIN)).collect();
        let reader = watcher.reader();
        fds.extend(reader.as_ref().map(|reader| PollFd::new(*reader, PollFlags::empty())));
        let _ = poll(&mut fds, PollTimeout::try_from(time).unwrap_or(PollTimeout::ZERO));
        let lost = |fd: &PollFd<'_>| fd.revents().is_some_and(|told| told.intersects(PollFlags::POLLERR | PollFlags::POLLHUP));
        !(reader.is_some() && fds.last().is_some_and(lost))
    }

    /// Takes what is there, up to a time, and passes on what waited long enough.
    fn round(&mut self, newest: u64, watcher: &mut dyn Watcher) {
        let ripe = now().saturating_sub(u64::try_from(WINDOW.as_nanos()).unwrap_or(u64::MAX));
        let alone = self.ears.len() == 1;
        let (mut down, mut gone) = (Vec::new(), Vec::new());
        for (point, ear) in self.ears.iter_mut().enumerate() {
            let Some(tap) = &mut ear.tap else { continue };
            let (pending, frames, limit) = (&mut self.pending, &mut self.frames, self.limit);
            let read = tap.read(&mut |seen| {
                if seen.nanoseconds > newest {
                } else if alone {
                    if *frames < limit {
                        *frames += 1;
                        watcher.frame(point, &seen);
                    }
                } else {
                    let Seen { interface, nanoseconds, outgoing, length, bytes } = seen;
                    pending.push(Held { point, interface, nanoseconds, outgoing, length, bytes: bytes.to_vec() });
                }
            });
            if read.is_err() && ear.leaves.is_none() {
                if tap.is_gone() { &mut gone } else { &mut down }.push(point);
            }
        }
        let names = |of: &[usize]| of.iter().map(|point| self.points[*point].name.clone()).collect::<Vec<_>>();
        if !down.is_empty() {
            watcher.notice(&Notice::PointsDown(names(&down)));
        }
        self.leave(&gone, watcher);
        self.pass(ripe, watcher);
    }

    /// Passes on what waited, up to a time, in the order of time.
    fn pass(&mut self, ripe: u64, watcher: &mut dyn Watcher) {
        // A frame that came in by a port keeps its time on the way into the bridge.
        self.pending.sort_by_key(|held| (held.nanoseconds, self.points[held.point].bridge));
        let number = self.pending.partition_point(|held| held.nanoseconds <= ripe);
        for held in self.pending.drain(..number) {
            if self.frames < self.limit {
                self.frames += 1;
                let Held { interface, nanoseconds, outgoing, length, .. } = held;
                watcher.frame(held.point, &Seen { interface, nanoseconds, outgoing, length, bytes: &held.bytes });
            }
        }
    }

    /// What was seen before now and has not been handed over yet.
    fn last_words(&mut self, watcher: &mut dyn Watcher) -> Result<()> {
        let newest = now();
        std::thread::sleep(WINDOW / 2);
        self.round(newest, watcher);
        self.pass(u64::MAX, watcher);
        watcher.settle().map(drop)
    }

    /// The points whose interface does not exist any more; one that was down goes in silence.
    fn vanished(&self) -> Vec<usize> {
        let vanished = |(_, ear): &(usize, &Ear)| ear.tap.as_ref().is_some_and(Tap::is_gone);
        self.ears.iter().enumerate().filter(vanished).map(|(point, _)| point).collect()
    }

    /// Their interfaces are gone.
    fn leave(&mut self, gone: &[usize], watcher: &mut dyn Watcher) {
        let new: Vec<usize> =
            gone.iter().copied().filter(|point| self.ears[*point].tap.is_some() && self.ears[*point].leaves.is_none()).collect();
        if new.is_empty() {
            return;
        }
        for point in &new {
            self.ears[*point].leaves = Some(Instant::now() + WINDOW);
        }
        let left = self.ears.iter().filter(|ear| ear.tap.is_some() && ear.leaves.is_none()).count();
        let points = new.iter().map(|point| self.points[*point].name.clone()).collect();
        watcher.notice(&Notice::PointsGone { points, left });
    }

    /// Closes the taps whose time has come.
    fn part(&mut self) {
        let now = Instant::now();
        let due = self.ears.iter_mut().filter(|ear| ear.leaves.is_some_and(|leaves| leaves <= now));
        let taps: Vec<Tap> = due.filter_map(Ear::end).collect();
        if !taps.is_empty() {
            packet::close(taps);
        }
    }

    fn close(&mut self) -> Vec<Counts> {
        packet::close(self.ears.iter_mut().filter_map(Ear::end).collect());
        self.ears.iter().map(|ear| ear.counts).collect()
    }
}

impl Ear {
    fn end(&mut self) -> Option<Tap> {
        let mut tap = self.tap.take()?;
        self.counts = tap.counts();
        Some(tap)
    }
}
