//! The half that asks.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::frame::{Frame, Message};
use super::{EVERYBODY, Half, Heard, failed, incoming, look, send, tap, try_all};
use crate::error::Result;
use crate::kernel::interrupted;
use crate::kernel::packet::Tap;
use crate::kernel::socket::Netlink;
use crate::lab::Journal;
use crate::name::IfName;

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
