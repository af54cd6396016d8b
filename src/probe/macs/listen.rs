//! Who sends into the networks while something else goes on.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::segments::Segment;
use crate::error::{Error, KernelError, Result};
use crate::kernel::packet::{self, Buffer, Seen, Spot, Tap};
use crate::name::Mac;
use crate::probe::frame::{Frame, Payload};

/// Bytes of the queue that frames wait in; what is in it can be read at once, while a ring holds the last ones back.
const QUEUE: usize = 16 << 20;
/// More senders than a bridge has room for in its table: whoever invents addresses does not fill our memory.
const SENDERS: usize = 1 << 16;
/// Enough of a sender's IP addresses to see that it sends for others.
const ADDRESSES: usize = 64;

/// What was heard of one network.
#[derive(Debug, Default)]
pub struct Tally {
    /// By side and MAC address.
    pub sources: BTreeMap<(usize, Mac), Count>,
    /// Frames that were lost before they could be looked at, and those of senders too many.
    pub missed: u64,
    /// Frames for one address, by their bytes: how often they came in and went out, their sender and whom they were for.
    unicast: HashMap<u64, Passage>,
}

/// What a source has sent.
#[derive(Debug, Default)]
pub struct Count {
    /// Frames.
    pub frames: u64,
    /// Those of them for everybody or for a group.
    pub broadcasts: u64,
    /// When the last one was seen, in nanoseconds since 1970.
    pub last: u64,
    /// The source addresses of the IP packets in them.
    pub addresses: BTreeSet<IpAddr>,
}

/// The same frame on its way through a switch.
#[derive(Debug)]
struct Passage {
    side: usize,
    from: Mac,
    to: Mac,
    came: u64,
    left: u64,
}

impl Tally {
    fn hear(&mut self, segment: &Segment, seen: Seen<'_>) {
        let Some(frame) = Frame::decode(seen.bytes) else { return };
        let single = frame.destination.is_unicast();
        let mut hash = DefaultHasher::new();
        seen.bytes.hash(&mut hash);
        let Some(side) = segment.side(seen.interface, seen.outgoing) else {
            if let Some(passage) = self.unicast.get_mut(&hash.finish()).filter(|_| seen.outgoing) {
                passage.left += 1;
            }
            return;
        };
        if self.sources.len() >= SENDERS && !self.sources.contains_key(&(side, frame.source)) {
            self.missed += 1;
            return;
        }
        let count = self.sources.entry((side, frame.source)).or_default();
        count.frames += 1;
        count.last = seen.nanoseconds;
        count.broadcasts += u64::from(!single);
        if let Payload::Ip(packet) = &frame.payload
            && !packet.source.is_unspecified()
            && count.addresses.len() < ADDRESSES
        {
            count.addresses.insert(packet.source);
        }
        if segment.on.is_none() && single && self.unicast.len() < SENDERS {
            let new = Passage { side, from: frame.source, to: frame.destination, came: 0, left: 0 };
            self.unicast.entry(hash.finish()).or_insert(new).came += 1;
        }
    }

    /// By source the frames for one address that the switch did not pass on, although their target is not where they came from.
    pub fn blocked(&self) -> HashMap<(usize, Mac), u64> {
        let mut blocked: HashMap<(usize, Mac), u64> = HashMap::new();
        for passage in self.unicast.values() {
            if !self.sources.contains_key(&(passage.side, passage.to)) {
                *blocked.entry((passage.side, passage.from)).or_default() += passage.came.saturating_sub(passage.left);
            }
        }
        blocked
    }
}

/// Listens to the networks while `job` runs.
///
/// # Errors
/// When a network cannot be heard, or `job` fails.
pub fn listen<T>(segments: &[Segment], job: impl FnOnce() -> Result<T>) -> Result<(T, Vec<Tally>)> {
    let buffer = Buffer::Queue(QUEUE);
    let spots: Vec<Spot> =
        segments.iter().map(|segment| Spot { pin: &segment.pin, on: segment.on, filter: &[], buffer }).collect();
    let mut taps = Vec::with_capacity(spots.len());
    for (tap, segment) in Tap::open_all(&spots).into_iter().zip(segments) {
        taps.push(tap.map_err(|(tried, errno)| failed(segment, tried, errno))?);
    }
    let (ended, running) = std::io::pipe().map_err(|error| Error::Internal(format!("pipe: {error}")))?;
    let mut ears: Vec<Ear> =
        segments.iter().zip(taps).map(|(segment, tap)| Ear { segment, tap, tally: Tally::default() }).collect();
    let result = std::thread::scope(|scope| {
        let ears = &mut ears;
        let hearing = scope.spawn(move || hear(ears, &ended));
        let result = job();
        drop(running);
        let heard = hearing.join().unwrap_or_else(|_| Err(Error::Internal("the listening thread panicked".to_owned())));
        heard.and(result)
    });
    let (taps, tallies) = ears.into_iter().map(|ear| (ear.tap, ear.tally)).unzip();
    packet::close(taps);
    Ok((result?, tallies))
}

/// A tap with what it is on and what it has heard.
struct Ear<'a> {
    segment: &'a Segment,
    tap: Tap,
    tally: Tally,
}

impl Ear<'_> {
    fn take(&mut self) -> Result<usize> {
        let Self { segment, tap, tally } = self;
        match tap.read(&mut |seen| tally.hear(segment, seen)) {
            Ok(number) => Ok(number),
            // Somebody has unplugged it.
            Err(Errno::ENETDOWN | Errno::ENODEV) => Ok(0),
            Err(errno) => Err(failed(segment, "recv(AF_PACKET)".to_owned(), errno)),
        }
    }
}

/// Hears until the pipe's other end is closed, and then what is still there.
fn hear(ears: &mut [Ear<'_>], ended: &impl AsFd) -> Result<()> {
    loop {
        let mut fds: Vec<PollFd> = ears.iter().map(|ear| PollFd::new(ear.tap.as_fd(), PollFlags::POLLIN)).collect();
        fds.push(PollFd::new(ended.as_fd(), PollFlags::POLLIN));
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(Error::Internal(format!("poll: {errno}"))),
        }
        let over = fds.last().and_then(PollFd::any).unwrap_or(false);
        let mut heard = 0;
        for ear in ears.iter_mut() {
            heard += ear.take()?;
        }
        if over && heard == 0 {
            for ear in ears.iter_mut() {
                ear.tally.missed += ear.tap.counts().dropped;
            }
            return Ok(());
        }
    }
}

fn failed(segment: &Segment, tried: String, errno: Errno) -> Error {
    Error::Kernel(KernelError { node: Some(segment.network.clone()), tried, errno: errno as i32, said: None })
}
