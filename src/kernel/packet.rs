//! Packet sockets that stay in a node's namespace and are read from anywhere.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::netns::enter;
pub use super::sys::packet::bare_passes;
use super::sys::packet::{self, Beside, Ring};

/// Bytes that one frame may have: more than 64 KiB with headers, as segmentation offload makes them.
const LONGEST: usize = 1 << 18;

/// Frames of one read, after which the caller may look elsewhere.
const BATCH: usize = 4096;

/// Where frames wait until they are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Buffer {
    /// In the socket's queue, of so many bytes of the kernel's memory: cheap to open and close.
    Queue(usize),
    /// In a ring of so many bytes that is shared with the kernel: nothing is lost under a flood.
    Ring(usize),
}

/// Where to listen, and for what.
#[derive(Debug, Clone, Copy)]
pub struct Spot<'a> {
    /// The pin of the namespace.
    pub pin: &'a Path,
    /// The index of an interface; none: every interface there, also those that come later.
    pub on: Option<u32>,
    /// What passes, as a classic BPF program for Ethernet; empty: everything.
    pub filter: &'a [libc::sock_filter],
    /// Where frames wait.
    pub buffer: Buffer,
}

/// A frame, as it is seen at an interface.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// The interface's index.
    pub interface: u32,
    /// When, in nanoseconds since 1970, as the kernel's clock says.
    pub nanoseconds: u64,
    /// The node sent it there; else it came in.
    pub outgoing: bool,
    /// Its bytes on the wire.
    pub length: u32,
    /// Its bytes from the destination MAC address on, with its VLAN tag; fewer than `length` where it is too long.
    pub bytes: &'a [u8],
}

/// How many frames passed the filter, and how many of them were lost for want of room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// All that passed, lost ones included.
    pub seen: u64,
    /// Those that were lost.
    pub dropped: u64,
}

/// A packet socket in a node's namespace. It sees every frame that its node sends or receives there from the moment
/// it is open. Closing one waits for the kernel's network code to let go, some milliseconds: [`close`] closes many at once.
#[derive(Debug)]
pub struct Tap {
    // The mapping goes before the socket.
    ring: Option<Ring>,
    socket: OwnedFd,
    counts: Counts,
    room: Vec<u8>,
}

impl Tap {
    /// Opens a tap. `on`, `filter` and `buffer` are those of a [`Spot`].
    ///
    /// # Errors
    /// The step that failed, with its error number.
    pub fn open(pin: &Path, on: Option<u32>, filter: &[libc::sock_filter], buffer: Buffer) -> Result<Self, (String, Errno)> {
        let mut all = Self::open_all(&[Spot { pin, on, filter, buffer }]);
        all.pop().unwrap_or_else(|| Err(("socket(AF_PACKET)".to_owned(), Errno::EIO)))
    }

    /// Opens several taps on one thread, which enters each namespace in turn; the answers are in the order of the spots.
    pub fn open_all(spots: &[Spot<'_>]) -> Vec<Result<Self, (String, Errno)>> {
        // The thread that enters the namespaces dies there: no other thread may find itself in one.
        let opening = || {
            let (mut here, mut taps) = (None, Vec::with_capacity(spots.len()));
            for spot in spots {
                let entered = if here == Some(spot.pin) { Ok(()) } else { enter(spot.pin).map(drop) };
                here = entered.is_ok().then_some(spot.pin);
                taps.push(entered.and_then(|()| Self::here(spot)));
            }
            taps
        };
        let lost = |_| spots.iter().map(|_| Err(("open packet sockets".to_owned(), Errno::EIO))).collect();
        std::thread::scope(|scope| scope.spawn(opening).join()).unwrap_or_else(lost)
    }

    /// Opens a tap in the calling thread's namespace.
    fn here(spot: &Spot<'_>) -> Result<Self, (String, Errno)> {
        fn step<T>(what: &str, done: Result<T, Errno>) -> Result<T, (String, Errno)> {
            done.map_err(|errno| (what.to_owned(), errno))
        }
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        // Without a protocol nothing is queued before the filter is there and the interface is chosen.
        let socket = step("socket(AF_PACKET)", socket(AddressFamily::Packet, SockType::Raw, flags, None))?;
        if !spot.filter.is_empty() {
            step("setsockopt(SO_ATTACH_FILTER)", packet::attach_filter(&socket, spot.filter))?;
        }
        step("setsockopt(SO_TIMESTAMPNS)", packet::request_metadata(&socket))?;
        let ring = match spot.buffer {
            Buffer::Queue(bytes) => {
                step("setsockopt(SO_RCVBUF)", packet::receive_buffer(&socket, bytes))?;
                None
            }
            Buffer::Ring(bytes) => Some(step("setsockopt(PACKET_RX_RING)", Ring::new(&socket, bytes))?),
        };
        step("bind(AF_PACKET)", packet::bind(&socket, spot.on.unwrap_or(0)))?;
        Ok(Self { ring, socket, counts: Counts::default(), room: Vec::new() })
    }

    /// Takes the frames that are there, without waiting; how many. A flood does not keep the caller for ever.
    ///
    /// # Errors
    /// `ENETDOWN` once after the interface went down or away; [`Tap::is_gone`] tells which.
    pub fn read(&mut self, each: &mut dyn FnMut(Seen<'_>)) -> Result<usize, Errno> {
        let number = match &mut self.ring {
            Some(ring) => ring.take(&mut |beside, bytes| restore(beside, bytes, each)),
            None => return self.queued(each),
        };
        if number == 0 {
            packet::pending_error(&self.socket)?;
        }
        Ok(number)
    }

    fn queued(&mut self, each: &mut dyn FnMut(Seen<'_>)) -> Result<usize, Errno> {
        if self.room.is_empty() {
            self.room = vec![0; LONGEST];
        }
        for number in 0..BATCH {
            match packet::receive(&self.socket, &mut self.room) {
                Ok(beside) => restore(beside, &self.room[..beside.captured], each),
                Err(Errno::EAGAIN) => return Ok(number),
                Err(Errno::EINTR) => {}
                // What was read before counts; the error was taken off the socket and is told now or never.
                Err(errno) => return Err(errno),
            }
        }
        Ok(BATCH)
    }

    /// How many frames passed the filter and how many were lost, since the tap was opened.
    pub fn counts(&mut self) -> Counts {
        // The kernel counts from zero after each question.
        if let Ok((seen, dropped)) = packet::statistics(&self.socket) {
            self.counts.seen += u64::from(seen);
            self.counts.dropped += u64::from(dropped);
        }
        self.counts
    }

    /// Whether the one interface that the tap listens on does not exist any more.
    pub fn is_gone(&self) -> bool {
        packet::bound(&self.socket).is_ok_and(|index| index.is_none())
    }

    /// Sees unicast for others, too, where the interface filters by address: a bridge's own, a real NIC. It ends with the tap.
    ///
    /// # Errors
    /// `ENODEV` where there is no such interface.
    pub fn promiscuous(&self, interface: u32) -> Result<(), Errno> {
        packet::promiscuous(&self.socket, interface)
    }
}

impl AsFd for Tap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Closes many taps at the cost of closing one or two.
pub fn close(taps: Vec<Tap>) {
    std::thread::scope(|scope| {
        for tap in taps {
            let closing = std::thread::Builder::new().stack_size(1 << 16);
            // Where no thread can be had, the tap is closed here.
            let _ = closing.spawn_scoped(scope, move || drop(tap));
        }
    });
}

/// Where a VLAN tag is: after the two MAC addresses.
const TAG: usize = 12;

/// Puts an Ethernet header without addresses before a packet that came without one.
fn framed(beside: Beside, bytes: &[u8], each: &mut dyn FnMut(Seen<'_>)) {
    let Beside { interface, nanoseconds, outgoing, length, .. } = beside;
    let kind: [u8; 2] = if bytes.first().is_some_and(|first| first >> 4 == 6) { [0x86, 0xdd] } else { [0x08, 0x00] };
    let whole = [&[0; TAG][..], &kind, bytes].concat();
    let length = length + u32::try_from(TAG + kind.len()).unwrap_or(0);
    each(Seen { interface, nanoseconds, outgoing, length, bytes: &whole });
}

/// Puts the VLAN tag back to where it is on the wire.
fn restore(beside: Beside, bytes: &[u8], each: &mut dyn FnMut(Seen<'_>)) {
    let Beside { interface, nanoseconds, outgoing, length, .. } = beside;
    if beside.bare {
        return framed(beside, bytes, each);
    }
    match beside.tag {
        Some(tag) if bytes.len() >= TAG => {
            let tagged = [&bytes[..TAG], &tag, &bytes[TAG..]].concat();
            each(Seen { interface, nanoseconds, outgoing, length: length + 4, bytes: &tagged });
        }
        _ => each(Seen { interface, nanoseconds, outgoing, length, bytes }),
    }
}
