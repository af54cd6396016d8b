//! Nodes watched while pings leave from some of them: what enters and leaves their interfaces, and what is answered.

use std::collections::HashMap;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::filter::Filter;
use super::ping::{self, Answer, LARGEST};
use super::view::Place;
use crate::error::Result;
use crate::kernel::echo::Echo;
use crate::kernel::interrupted;
use crate::kernel::packet::{self, Buffer, Seen, Spot, Tap};

/// Bytes of the queue that frames of a node wait in until they are read.
const QUEUE: usize = 4 << 20;

/// Taps at several spots, in their order. They close together, at the cost of closing one or two.
#[derive(Debug)]
pub struct Taps(pub Vec<Tap>);

impl Taps {
    /// Opens a tap at every spot, or at none.
    ///
    /// # Errors
    /// The number of a spot, the step that failed there, and its error number.
    pub fn open(spots: &[Spot<'_>]) -> std::result::Result<Self, (usize, String, Errno)> {
        let (mut taps, mut failure) = (Self(Vec::with_capacity(spots.len())), None);
        for (number, opened) in Tap::open_all(spots).into_iter().enumerate() {
            match opened {
                Ok(tap) => taps.0.push(tap),
                Err((tried, errno)) => failure = failure.or(Some((number, tried, errno))),
            }
        }
        failure.map_or(Ok(taps), Err)
    }
}

impl Drop for Taps {
    fn drop(&mut self) {
        packet::close(std::mem::take(&mut self.0));
    }
}

/// Sleeps until there is something to read, for so long at most, or without an end; of each socket whether there is. A signal
/// ends the wait, too.
///
/// # Errors
/// When the kernel refuses to wait.
pub fn wait<'a>(
    sockets: impl Iterator<Item = BorrowedFd<'a>>,
    at_most: Option<Duration>,
) -> std::result::Result<Vec<bool>, Errno> {
    let mut sockets: Vec<PollFd<'a>> = sockets.map(|socket| PollFd::new(socket, PollFlags::POLLIN)).collect();
    // Rounded up: poll counts whole milliseconds, and must not spin through the last one.
    let timeout = at_most
        .map_or(PollTimeout::NONE, |time| PollTimeout::try_from(time + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX));
    match poll(&mut sockets, timeout) {
        Ok(_) => Ok(sockets.iter().map(|socket| socket.any().unwrap_or(false)).collect()),
        Err(Errno::EINTR) => Ok(vec![false; sockets.len()]),
        Err(errno) => Err(errno),
    }
}

/// How long to wait for a sign of what is watched.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Since the last one.
    pub quiet: Duration,
    /// In all, where there is an end.
    pub whole: Option<Duration>,
}

/// What is made of what comes.
pub trait Watcher {
    /// A ping with this identifier was answered by an address; whether that was awaited.
    fn answer(&mut self, id: u16, by: IpAddr, answer: &Answer) -> bool;
    /// A frame was seen at an interface of a node; whether it belongs to what is watched.
    fn frame(&mut self, node: &str, interface: &str, seen: &Seen<'_>) -> bool;
    /// Nothing is awaited any more.
    fn is_done(&self) -> bool;
}

/// Taps in nodes, and the sockets that pings leave by.
#[derive(Debug)]
pub struct Watch {
    nodes: Vec<Node>,
    taps: Taps,
    /// The sockets, in the order in which they were given.
    pub echoes: Vec<Echo>,
    magic: [u8; 8],
}

/// What a node and its interfaces are called.
#[derive(Debug)]
struct Node {
    name: String,
    interfaces: HashMap<u32, String>,
}

impl Watch {
    /// Opens a tap in each of the places for what passes a filter; answers are known by the beginning of their payload.
    ///
    /// # Errors
    /// When a namespace cannot be entered or the kernel refuses a socket.
    pub fn open(places: &[&Place], filter: &str, echoes: Vec<Echo>, magic: [u8; 8]) -> Result<Self> {
        let filter = Filter::parse(filter, &())?.program()?;
        let spots: Vec<Spot<'_>> = places
            .iter()
            .map(|place| Spot { pin: &place.pin, on: None, filter: &filter, buffer: Buffer::Queue(QUEUE) })
            .collect();
        let taps = Taps::open(&spots).map_err(|(place, tried, errno)| places[place].refused(tried, errno))?;
        let node = |place: &&Place| Node {
            name: place.id.to_string(),
            interfaces: place.node.links.iter().map(|link| (link.index, link.name.clone())).collect(),
        };
        Ok(Self { nodes: places.iter().map(node).collect(), taps, echoes, magic })
    }

    /// Watches until nothing is awaited any more, or patience ends.
    ///
    /// # Errors
    /// When a signal arrives.
    pub fn run(&mut self, patience: Patience, watcher: &mut dyn Watcher) -> Result<()> {
        let began = Instant::now();
        let mut life = began;
        loop {
            if self.take(watcher) {
                life = Instant::now();
            }
            let (quiet, end) = (life + patience.quiet, patience.whole.map(|whole| began + whole));
            let until = end.map_or(quiet, |end| end.min(quiet));
            let left = until.saturating_duration_since(Instant::now());
            if watcher.is_done() || left.is_zero() {
                self.take(watcher);
                return Ok(());
            }
            interrupted()?;
            let taps = self.taps.0.iter().map(AsFd::as_fd);
            // What the kernel refuses to wait for is looked at in the next round.
            let _ = wait(taps.chain(self.echoes.iter().map(AsFd::as_fd)), Some(left));
        }
    }

    /// Takes what has come, first the answers, then the frames, since those of an answered ping are all there by then; whether
    /// anything of it belongs to what is watched.
    pub fn take(&mut self, watcher: &mut dyn Watcher) -> bool {
        let (mut any, mut buffer) = (false, vec![0; LARGEST]);
        for echo in &self.echoes {
            while let Ok(Some(heard)) = echo.receive(&mut buffer) {
                if let Some((id, answer)) = ping::answer(&heard, &buffer, self.magic) {
                    any |= watcher.answer(id, heard.from, &answer);
                }
            }
        }
        for (Node { name, interfaces }, tap) in self.nodes.iter().zip(&mut self.taps.0) {
            // An interface that goes down while somebody listens is told once; its frames are not lost by that.
            let _ = tap.read(&mut |seen| {
                let interface = interfaces.get(&seen.interface);
                any |= interface.is_some_and(|interface| watcher.frame(name, interface, &seen));
            });
        }
        any
    }
}
