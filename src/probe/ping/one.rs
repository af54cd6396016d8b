//! Echo requests from one node to one address, one after the other.

use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::{Answer, Key, LARGEST, answer, key, request};
use crate::error::{Error, Result};
use crate::kernel::echo::{self, Echo, Manner};
use crate::kernel::sys;
use crate::probe::frame::Recorded;
use crate::probe::watch;
use crate::report::ping::{Family, Fault};

/// The kernel gives up asking for a MAC address after three seconds (`mcast_solicit`, `retrans_time_ms`), and then says so.
const RESOLUTION: Duration = Duration::from_millis(3300);

/// What to send.
#[derive(Debug, Clone)]
pub struct Order {
    /// The namespace of the sender.
    pub pin: PathBuf,
    /// Its name in reports.
    pub node: String,
    /// Whom.
    pub to: IpAddr,
    /// The interface of a link-local address; else 0.
    pub scope: u32,
    /// How many.
    pub count: u64,
    /// From one to the next.
    pub interval: Duration,
    /// For the last one's answer; none: a second where others were answered, else as long as the kernel looks for a MAC address.
    pub patience: Option<Duration>,
    /// Bytes of payload.
    pub size: usize,
    /// What the packets are like.
    pub manner: Manner,
}

/// Something that came back.
#[derive(Debug, Clone, PartialEq)]
pub enum Came {
    /// An answer.
    Reply {
        /// To which request, from 1.
        sequence: u64,
        /// Who answered.
        from: IpAddr,
        /// The time to live that was left.
        ttl: Option<u8>,
        /// Bytes of the ICMP message.
        bytes: usize,
        /// After so long.
        after: Duration,
        /// Answered before.
        duplicate: bool,
        /// The record route option.
        route: Option<Recorded>,
    },
    /// An error.
    Error {
        /// Of which request.
        sequence: u64,
        /// Who says so; none: the sender's kernel.
        from: Option<IpAddr>,
        /// What.
        fault: Fault,
    },
}

/// A request on its way.
#[derive(Debug, Clone, Copy)]
struct Sent {
    at: Instant,
    answered: bool,
    settled: bool,
}

struct Run<'a> {
    order: &'a Order,
    echo: Echo,
    key: Key,
    sent: Vec<Sent>,
    buffer: Vec<u8>,
    too_big: bool,
}

/// Sends the requests and tells what comes back, until all is settled, patience ends, `each` says false, or a signal
/// arrives; returns how many were sent.
///
/// # Errors
/// When the socket cannot be made, or the kernel fails.
pub fn ping(order: &Order, each: &mut dyn FnMut(Came) -> bool) -> Result<u64> {
    let echo = Echo::open(&order.pin, &order.node, Family::of(order.to), order.manner)?;
    let mut run = Run { order, echo, key: key(), sent: Vec::new(), buffer: vec![0; LARGEST], too_big: false };
    let done = run.all(each);
    if run.too_big {
        echo::forget_mtu(&order.pin, &order.node, order.to)?;
    }
    done.map(|()| run.sent.len() as u64)
}

impl Run<'_> {
    fn all(&mut self, each: &mut dyn FnMut(Came) -> bool) -> Result<()> {
        let mut next = Instant::now();
        while sys::signal().is_none() {
            let now = Instant::now();
            let more = (self.sent.len() as u64) < self.order.count;
            if more && now >= next {
                next = now + self.order.interval;
                if !self.send(each) {
                    return Ok(());
                }
            }
            let until = if (self.sent.len() as u64) < self.order.count { next } else { self.deadline() };
            if until <= Instant::now() && !more || self.is_settled() {
                return Ok(());
            }
            self.wait(until)?;
            if !self.hear(each)? {
                return Ok(());
            }
        }
        Ok(())
    }

    fn is_settled(&self) -> bool {
        self.sent.len() as u64 == self.order.count && self.sent.iter().all(|sent| sent.settled)
    }

    /// When waiting for the last answer ends.
    fn deadline(&self) -> Instant {
        let last = self.sent.last().map_or_else(Instant::now, |sent| sent.at);
        let any = self.sent.iter().any(|sent| sent.settled);
        last + self.order.patience.unwrap_or(if any { Duration::from_secs(1) } else { RESOLUTION })
    }

    fn send(&mut self, each: &mut dyn FnMut(Came) -> bool) -> bool {
        let order = self.order;
        let sequence = self.sent.len() as u64 + 1;
        // The header has 16 bits; what comes back is matched with the latest request of that number.
        let number = u16::try_from(sequence & 0xffff).unwrap_or(0);
        let message = request(Family::of(order.to), self.key, number, order.size);
        let at = Instant::now();
        let sent = self.echo.send(order.to, order.scope, &message);
        self.sent.push(Sent { at, answered: false, settled: sent.is_err() });
        match sent {
            Ok(()) => true,
            Err(errno) => each(Came::Error { sequence, from: None, fault: Fault::Unsent { errno: errno as i32 } }),
        }
    }

    fn wait(&self, until: Instant) -> Result<()> {
        let left = until.saturating_duration_since(Instant::now());
        watch::wait([self.echo.as_fd()].into_iter(), Some(left)).map(drop).map_err(|errno| self.failed("poll", errno))
    }

    fn hear(&mut self, each: &mut dyn FnMut(Came) -> bool) -> Result<bool> {
        loop {
            let heard = match self.echo.receive(&mut self.buffer) {
                Ok(Some(heard)) => heard,
                Ok(None) => return Ok(true),
                Err(errno) => return Err(self.failed("recvmsg", errno)),
            };
            let now = Instant::now();
            let answer = answer(&heard, &self.buffer, self.key.magic).filter(|(id, _)| *id == self.key.id);
            let came = answer.and_then(|(_, answer)| self.settle(answer, heard.from, now));
            if let Some(came) = came
                && !each(came)
            {
                return Ok(false);
            }
        }
    }

    /// The request that bears a number of 16 bits: the latest one.
    fn find(&self, number: u16) -> Option<usize> {
        let last = self.sent.len();
        let back = (last & 0xffff).wrapping_sub(usize::from(number)) & 0xffff;
        last.checked_sub(back + 1)
    }

    fn settle(&mut self, answer: Answer, from: IpAddr, now: Instant) -> Option<Came> {
        match answer {
            Answer::Reply { sequence, ttl, bytes, route } => {
                let at = self.find(sequence)?;
                let sent = &mut self.sent[at];
                let duplicate = sent.answered;
                (sent.answered, sent.settled) = (true, true);
                let after = now.saturating_duration_since(sent.at);
                Some(Came::Reply { sequence: at as u64 + 1, from, ttl, bytes, after, duplicate, route })
            }
            Answer::Error { sequence, to, fault } => {
                let at = self.find(sequence).filter(|_| to == self.order.to)?;
                self.sent[at].settled |= !matches!(fault, Fault::Redirect { .. });
                self.too_big |= matches!(fault, Fault::TooBig { .. });
                Some(Came::Error { sequence: at as u64 + 1, from: Some(from), fault })
            }
        }
    }

    fn failed(&self, tried: &str, errno: Errno) -> Error {
        Error::kernel(self.order.node.as_str(), tried, errno)
    }
}
