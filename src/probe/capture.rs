//! Frames of many points in one stream, in the order of time.

pub mod points;

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant, UNIX_EPOCH};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::frame::{Frame, Payload};
use super::view::View;
use super::watch::Taps;
use crate::error::{Error, Limit, Result};
use crate::kernel::packet::{self, Buffer, Counts, Seen, Spot, Tap};
use crate::kernel::sys;
use crate::name::Mac;
use crate::report::lab::Notice;
use crate::report::wire::{Direction, Interface, Line, Station};
use points::{Bridge, Point};

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
    let mut taps = open(points, filter)?;
    let listeners = std::mem::take(&mut taps.0)
        .into_iter()
        .map(|tap| Listener { tap: Some(tap), leaves: None, counts: Counts::default() })
        .collect();
    let mut run = Run { points, listeners, pending: Vec::new(), frames: 0, limit: bounds.frames.unwrap_or(u64::MAX) };
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
struct Listener {
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
    listeners: Vec<Listener>,
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
            if self.frames >= self.limit || self.listeners.iter().all(|listener| listener.tap.is_none()) {
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
        if !self.pending.is_empty() || self.listeners.iter().any(|listener| listener.leaves.is_some()) {
            time = time.min(WINDOW / 4);
        }
        if let Some(until) = until {
            time = time.min(until.saturating_duration_since(Instant::now()) + Duration::from_millis(1));
        }
        let open = self.listeners.iter().filter_map(|listener| listener.tap.as_ref());
        let mut fds: Vec<PollFd<'_>> = open.map(|tap| PollFd::new(tap.as_fd(), PollFlags::POLLIN)).collect();
        let reader = watcher.reader();
        fds.extend(reader.as_ref().map(|reader| PollFd::new(*reader, PollFlags::empty())));
        let _ = poll(&mut fds, PollTimeout::try_from(time).unwrap_or(PollTimeout::ZERO));
        let lost =
            |fd: &PollFd<'_>| fd.revents().is_some_and(|events| events.intersects(PollFlags::POLLERR | PollFlags::POLLHUP));
        !(reader.is_some() && fds.last().is_some_and(lost))
    }

    /// Takes what is there, up to a time, and passes on what waited long enough.
    fn round(&mut self, newest: u64, watcher: &mut dyn Watcher) {
        let ripe = now().saturating_sub(u64::try_from(WINDOW.as_nanos()).unwrap_or(u64::MAX));
        let alone = self.listeners.len() == 1;
        let (mut down, mut gone) = (Vec::new(), Vec::new());
        for (point, listener) in self.listeners.iter_mut().enumerate() {
            let Some(tap) = &mut listener.tap else { continue };
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
            if read.is_err() && listener.leaves.is_none() {
                if tap.is_gone() { &mut gone } else { &mut down }.push(point);
            }
        }
        let names = |points: &[usize]| points.iter().map(|point| self.points[*point].name.clone()).collect::<Vec<_>>();
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
        let vanished = |(_, listener): &(usize, &Listener)| listener.tap.as_ref().is_some_and(Tap::is_gone);
        self.listeners.iter().enumerate().filter(vanished).map(|(point, _)| point).collect()
    }

    /// Their interfaces are gone.
    fn leave(&mut self, gone: &[usize], watcher: &mut dyn Watcher) {
        let new: Vec<usize> = gone
            .iter()
            .copied()
            .filter(|point| self.listeners[*point].tap.is_some() && self.listeners[*point].leaves.is_none())
            .collect();
        if new.is_empty() {
            return;
        }
        for point in &new {
            self.listeners[*point].leaves = Some(Instant::now() + WINDOW);
        }
        let left = self.listeners.iter().filter(|listener| listener.tap.is_some() && listener.leaves.is_none()).count();
        let points = new.iter().map(|point| self.points[*point].name.clone()).collect();
        watcher.notice(&Notice::PointsGone { points, left });
    }

    /// Closes the taps whose time has come.
    fn part(&mut self) {
        let now = Instant::now();
        let due = self.listeners.iter_mut().filter(|listener| listener.leaves.is_some_and(|leaves| leaves <= now));
        let taps: Vec<Tap> = due.filter_map(Listener::end).collect();
        if !taps.is_empty() {
            packet::close(taps);
        }
    }

    fn close(&mut self) -> Vec<Counts> {
        packet::close(self.listeners.iter_mut().filter_map(Listener::end).collect());
        self.listeners.iter().map(|listener| listener.counts).collect()
    }
}

impl Listener {
    fn end(&mut self) -> Option<Tap> {
        let mut tap = self.tap.take()?;
        self.counts = tap.counts();
        Some(tap)
    }
}

/// Bytes of all rings together; a ring has 1 MiB at least.
const RINGS: usize = 64 << 20;

/// With more points than this each has a queue instead, which takes memory only when it is used.
const MOST_RINGS: usize = 64;

/// Bytes of such a queue.
const QUEUE: usize = 4 << 20;

/// Opens a tap at every point, or at none.
fn open(points: &[Point], filter: &[libc::sock_filter]) -> Result<Taps> {
    let queue = Buffer::Queue(QUEUE);
    let ring = Buffer::Ring((RINGS / points.len().max(1)).max(1 << 20));
    let wanted = if points.len() > MOST_RINGS { queue } else { ring };
    match open_with(points, filter, wanted) {
        // Memory for the rings could not be had in one piece.
        Err((_, tried, Errno::ENOMEM)) if tried.contains("RING") => open_with(points, filter, queue),
        other => other,
    }
    .map_err(|(point, tried, errno)| match errno {
        Errno::EMFILE => Error::Machine(Limit::OpenFiles),
        Errno::EPERM if tried.starts_with("socket") => Error::Machine(Limit::Capability("CAP_NET_RAW")),
        // The kernel keeps filters in memory of this limit.
        Errno::ENOMEM if tried.contains("FILTER") => Error::Machine(Limit::Sysctl("net.core.optmem_max")),
        Errno::ENOMEM => Error::Machine(Limit::Memory),
        errno => Error::kernel(point.as_str(), tried, errno),
    })
}

fn open_with(
    points: &[Point],
    filter: &[libc::sock_filter],
    buffer: Buffer,
) -> std::result::Result<Taps, (String, String, Errno)> {
    let spots: Vec<Spot<'_>> =
        points.iter().map(|point| Spot { pin: &point.pin, on: Some(point.index), filter, buffer }).collect();
    let failed = |point: usize, tried, errno| (points[point].name.clone(), tried, errno);
    let taps = Taps::open(&spots).map_err(|(point, tried, errno)| failed(point, tried, errno))?;
    for (number, (point, tap)) in points.iter().zip(&taps.0).enumerate().filter(|(_, (point, _))| point.bridge == Bridge::Whole) {
        tap.promiscuous(point.index).map_err(|errno| failed(number, "promiscuous mode".to_owned(), errno))?;
    }
    Ok(taps)
}

/// Which namespace is pinned there: its device and inode.
type Identity = Option<(u64, u64)>;

/// Every pin, with what it pinned at the start and the points behind it: when one is gone, so is its node, though a tap keeps
/// the namespace.
struct Pins<'a>(HashMap<&'a Path, (Identity, Vec<usize>)>);

fn identity(pin: &Path) -> Identity {
    std::fs::metadata(pin).ok().map(|meta| (meta.dev(), meta.ino()))
}

impl<'a> Pins<'a> {
    fn new(points: &'a [Point]) -> Self {
        let mut pins: HashMap<&Path, (Identity, Vec<usize>)> = HashMap::new();
        for (number, point) in points.iter().enumerate() {
            pins.entry(&point.pin).or_insert_with(|| (identity(&point.pin), Vec::new())).1.push(number);
        }
        Self(pins)
    }

    /// The points whose node is gone.
    fn gone(&self) -> Vec<usize> {
        let gone = self.0.iter().filter(|(pin, (then, _))| identity(pin) != *then);
        let mut points: Vec<usize> = gone.flat_map(|(_, (_, points))| points.iter().copied()).collect();
        points.sort_unstable();
        points
    }
}

/// Who has which MAC address; none where several nodes have it.
#[derive(Debug, Default)]
pub struct Owners(HashMap<Mac, Option<Interface>>);

impl Owners {
    /// The owners in a lab.
    pub fn from_view(view: &View) -> Self {
        let mut owners: HashMap<Mac, Option<Interface>> = HashMap::new();
        for place in &view.places {
            for link in &place.node.links {
                let Some(mac) = link.mac.as_ref().and_then(|mac| mac.parse().ok()) else { continue };
                let here = place.interface(link);
                let same_node = |known: &Option<Interface>| known.as_ref().is_some_and(|known| known.node == here.node);
                let owner = owners.entry(mac).or_insert_with(|| Some(here.clone()));
                if !same_node(owner) {
                    *owner = None;
                }
            }
        }
        Self(owners)
    }

    fn station(&self, mac: Mac) -> Station {
        Station { mac: mac.to_string(), owner: self.0.get(&mac).cloned().flatten() }
    }

    /// The line of a frame at a point.
    pub fn line(&self, point: &Point, seen: &Seen<'_>) -> Line {
        let frame = Frame::decode(seen.bytes);
        let ends = point.ends.clone().map(|(here, peer)| if seen.outgoing { (here, peer) } else { (peer, here) });
        Line {
            nanoseconds: seen.nanoseconds,
            point: point.name.clone(),
            seen: point.interface.clone(),
            direction: if seen.outgoing { Direction::Out } else { Direction::In },
            ends,
            length: seen.length,
            source: frame.as_ref().map(|frame| self.station(frame.source)),
            destination: frame.as_ref().map(|frame| self.station(frame.destination)),
            vlan: frame.as_ref().and_then(|frame| frame.vlan),
            payload: frame.map_or(Payload::Short, |frame| frame.payload),
        }
    }
}
