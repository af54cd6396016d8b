//! The two ends of a talk: the half that asks, and the half that answers, a part of the process that watches the NIC.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::frame::{ETHERTYPE, Frame, Half, Heard, Message, ends};
use crate::error::Result;
use crate::kernel::interrupted;
use crate::kernel::nic::{Nic, survey};
use crate::kernel::packet::{Buffer, Tap};
use crate::kernel::socket::Netlink;
use crate::kernel::space::MACHINE;
use crate::lab::journal::Journal;
use crate::lab::paths::failed;
use crate::name::{IfName, LabName, Mac};
use crate::report::half::Frames;

/// Frames wait here until they are read, in bytes of the kernel's memory.
const QUEUE: usize = 256 << 10;
/// The destination of questions and answers: even two NICs with the same address hear each other.
const EVERYBODY: Mac = Mac([0xff; 6]);

/// How often a trial is sent before it counts as one that does not pass.
const ROUNDS: usize = 3;
/// How often a question is asked while nobody answers, at least.
const ASKED: u32 = 3;
/// How long a half that has answered once may take to answer again, at least.
const AGAIN: Duration = Duration::from_millis(250);
/// How many times as long as its first answer took: a busy machine is not called deaf.
const SLOWER: u32 = 4;

/// Another half that has answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Other {
    /// What it says of itself.
    pub half: Half,
    /// What it has heard of this one.
    pub there: Heard,
    /// What this one has heard of it.
    pub here: Heard,
    /// In which round it was heard last.
    pub(super) round: usize,
}

impl Other {
    fn is_complete(&self, me: &Half) -> bool {
        self.there.is_whole(me, &self.half) && self.here.is_whole(&self.half, me)
    }
}

/// What was learned on one NIC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Talk {
    /// The NIC.
    pub nic: IfName,
    /// This machine's half.
    pub me: Half,
    /// Those that answered.
    pub others: Vec<Other>,
}

/// Asks on a NIC who plays the rest of the lab; waits so long for the first answer of each of `expected` halves. None where
/// the lab has no half on this machine or the NIC is gone.
///
/// # Errors
/// When the kernel refuses a packet socket, or at Ctrl-C.
pub fn ask(journal: &Journal, nic: &IfName, patience: Duration, expected: usize) -> Result<Option<Talk>> {
    let mut netlink = Netlink::open().map_err(|errno| failed("socket", errno))?;
    let Some(now) = look(&mut netlink, nic)? else { return Ok(None) };
    let Some(me) = Half::here(journal, &now) else { return Ok(None) };
    let mut asking = Asking { tap: tap(&now)?, nonce: nonce()?, me, others: Vec::new(), round: 0, again: AGAIN };
    for round in 1..=ROUNDS {
        asking.round = round;
        if round == 1 {
            asking.first(patience, expected)?;
        } else {
            asking.again()?;
        }
        if asking.others.is_empty() || (round > 1 && asking.others.iter().all(|other| other.is_complete(&asking.me))) {
            break;
        }
    }
    Ok(Some(Talk { nic: nic.clone(), me: asking.me, others: asking.others }))
}

struct Asking {
    tap: Tap,
    nonce: u64,
    me: Half,
    others: Vec<Other>,
    round: usize,
    /// How long an answer is waited for after the first.
    again: Duration,
}

impl Asking {
    fn first(&mut self, patience: Duration, expected: usize) -> Result<()> {
        let began = Instant::now();
        for _ in 0..ASKED {
            self.question();
            let until = Instant::now() + patience / ASKED;
            self.hear(until, |asking| asking.others.len() >= expected)?;
            if self.others.len() >= expected {
                self.again = AGAIN.max(SLOWER * began.elapsed());
                break;
            }
        }
        Ok(())
    }

    fn again(&mut self) -> Result<()> {
        for other in &self.others {
            try_all(&self.tap, self.nonce, &self.me, &other.half);
        }
        self.question();
        self.hear(Instant::now() + self.again, |asking| asking.others.iter().all(|other| other.round == asking.round))
    }

    fn question(&self) {
        send(&self.tap, &Frame::question(self.nonce, self.me.clone()).on_the_wire(self.me.mac, EVERYBODY, 0));
    }

    /// Takes in what comes until it is enough or the time is over.
    fn hear(&mut self, until: Instant, enough: impl Fn(&Self) -> bool) -> Result<()> {
        while !enough(self) {
            interrupted()?;
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            // A NIC that has gone down is ready at once, and says so once.
            let timeout = PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
            match poll(&mut [PollFd::new(self.tap.as_fd(), PollFlags::POLLIN)], timeout) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(failed("poll", errno)),
            }
            for frame in incoming(&mut self.tap) {
                if frame.nonce == self.nonce {
                    self.take(frame.message);
                }
            }
        }
        Ok(())
    }

    /// A trial comes before the answer that it belongs to, and counts once its sender has a name.
    fn take(&mut self, message: Message) {
        match message {
            Message::Answer(half, there) => match self.others.iter_mut().find(|other| other.half.is_the_same(&half)) {
                Some(other) => (other.there, other.round) = (there, self.round),
                None => self.others.push(Other { half, there, here: Heard::default(), round: self.round }),
            },
            Message::Trial(trial, sender) => {
                self.others.iter_mut().filter(|other| other.half.mac == sender).for_each(|other| other.here.add(trial));
            }
            Message::Question(_) => {}
        }
    }
}

impl Half {
    /// Two answers of one machine.
    fn is_the_same(&self, other: &Self) -> bool {
        (self.mac, self.machine, &self.lab, &self.role, &self.hostname)
            == (other.mac, other.machine, &other.lab, &other.role, &other.hostname)
    }
}

fn nonce() -> Result<u64> {
    let mut bytes = [0; 8];
    let random = ring::rand::SystemRandom::new();
    ring::rand::SecureRandom::fill(&random, &mut bytes).map_err(|_| failed("getrandom", Errno::EIO))?;
    Ok(u64::from_be_bytes(bytes))
}

/// Questions that are answered in a second: a storm of them gets no storm of answers.
const ALLOWANCE: u32 = 20;
/// Questions whose trials are remembered.
const MEMORY: usize = 16;

/// Answers on one NIC.
#[derive(Debug)]
pub struct Answerer {
    lab: LabName,
    nic: IfName,
    tap: Tap,
    heard: VecDeque<(u64, Heard)>,
    since: Instant,
    spent: u32,
}

impl Answerer {
    /// Listens on a NIC of the machine that a lab borrows; none where there is no such NIC.
    ///
    /// # Errors
    /// When the kernel refuses a packet socket.
    pub fn open(lab: &LabName, nic: &IfName, netlink: &mut Netlink) -> Result<Option<Self>> {
        let Some(now) = look(netlink, nic)? else { return Ok(None) };
        let (lab, nic, tap) = (lab.clone(), nic.clone(), tap(&now)?);
        Ok(Some(Self { lab, nic, tap, heard: VecDeque::new(), since: Instant::now(), spent: 0 }))
    }

    /// Answers what has come in, without waiting. `false` when the NIC is gone.
    pub fn serve(&mut self, netlink: &mut Netlink) -> bool {
        for Frame { nonce, message } in incoming(&mut self.tap) {
            match message {
                Message::Trial(trial, _) => self.note(nonce, trial),
                Message::Question(from) if self.may() => self.answer(nonce, &from, netlink),
                Message::Question(_) | Message::Answer(..) => {}
            }
        }
        !self.tap.is_gone()
    }

    fn answer(&self, nonce: u64, from: &Half, netlink: &mut Netlink) {
        // A half that does not know itself is silent.
        let Ok(Some(journal)) = Journal::read(&self.lab) else { return };
        let Ok(Some(nic)) = look(netlink, &self.nic) else { return };
        let Some(half) = Half::here(&journal, &nic) else { return };
        try_all(&self.tap, nonce, &half, from);
        let heard = self.heard.iter().find(|(known, _)| *known == nonce).map(|(_, heard)| *heard).unwrap_or_default();
        let source = half.mac;
        send(&self.tap, &Frame::answer(nonce, half, heard).on_the_wire(source, EVERYBODY, 0));
    }

    fn note(&mut self, nonce: u64, trial: Frames) {
        if let Some((_, heard)) = self.heard.iter_mut().find(|(known, _)| *known == nonce) {
            heard.add(trial);
            return;
        }
        let mut heard = Heard::default();
        heard.add(trial);
        self.heard.push_front((nonce, heard));
        self.heard.truncate(MEMORY);
    }

    fn may(&mut self) -> bool {
        if self.since.elapsed() >= Duration::from_secs(1) {
            (self.since, self.spent) = (Instant::now(), 0);
        }
        self.spent += 1;
        self.spent <= ALLOWANCE
    }
}

impl AsFd for Answerer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.tap.as_fd()
    }
}

/// A packet socket on a NIC of the machine that hears what halves say, and nothing else.
fn tap(nic: &Nic) -> Result<Tap> {
    // As `tcpdump -d ether proto 0x88b5` has it.
    let program = [
        libc::sock_filter { code: 0x28, jt: 0, jf: 0, k: 12 },
        libc::sock_filter { code: 0x15, jt: 0, jf: 1, k: u32::from(ETHERTYPE) },
        libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: u32::MAX },
        libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: 0 },
    ];
    Tap::open(MACHINE.as_ref(), Some(nic.index), &program, Buffer::Queue(QUEUE)).map_err(|(tried, errno)| failed(&tried, errno))
}

/// The NIC as it is now.
fn look(netlink: &mut Netlink, name: &IfName) -> Result<Option<Nic>> {
    let nics = survey(netlink).map_err(|errno| failed("ip addr", errno))?;
    Ok(nics.into_iter().find(|nic| nic.name == *name))
}

/// Sends a frame; one for which there is no room or no carrier is lost, as on any network.
fn send(tap: &Tap, frame: &[u8]) {
    let _ = nix::unistd::write(tap.as_fd(), frame);
}

/// Sends every trial that one half has for the other.
fn try_all(tap: &Tap, nonce: u64, from: &Half, to: &Half) {
    for trial in Frames::ALL {
        let Some((source, destination)) = ends(trial, from, to) else { continue };
        let room = if trial == Frames::Full { from.mtu.min(to.mtu) } else { 0 };
        send(tap, &Frame::trial(nonce, trial, from.mac).on_the_wire(source, destination, room));
    }
}

/// The frames that have come in, without waiting.
fn incoming(tap: &mut Tap) -> Vec<Frame> {
    let mut frames = Vec::new();
    // An interface that has gone down says so once, and is listened at as before.
    let _ = tap.read(&mut |seen| {
        if !seen.outgoing && frames.len() < 256 {
            frames.extend(Frame::read(seen.bytes));
        }
    });
    frames
}
