//! One probe sent, and watched on every segment at once.

use std::collections::HashMap;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::Order;
use super::sighting::{Mark, Sighting, What};
use crate::error::{Error, Result};
use crate::kernel::echo::{Echo, Manner};
use crate::kernel::packet::{self, Buffer, Spot, Tap};
use crate::probe::filter::fixed;
use crate::probe::ping::packet as icmp;
use crate::probe::view::Place;
use crate::report::ping::Family;
use crate::report::trace::Leg;

/// Frames of a probe that floods a large bridge wait here.
const QUEUE: usize = 1 << 20;
/// Larger than any datagram (RFC 791).
const LARGEST: usize = 65_536;

/// How long to wait for a sign of life.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Since the last one.
    pub quiet: Duration,
    /// In all.
    pub whole: Duration,
}

/// What became of one probe.
#[derive(Debug, Clone, Default)]
pub struct Shot {
    /// What was seen of it, in the order of time.
    pub sightings: Vec<Sighting>,
    /// Its reply came back to the socket that sent it.
    pub answered: bool,
    /// From when it was sent until it was answered or given up.
    pub took: Duration,
}

impl Shot {
    /// Adds the questions for MAC addresses of a probe before: their answers still hold.
    pub fn after(mut self, before: &Self) -> Self {
        let resolved = before.sightings.iter().filter(|seen| matches!(seen.what, What::Asks { .. } | What::Answers { .. }));
        self.sightings.splice(..0, resolved.cloned());
        self
    }

    /// From when the packet left its sender until its reply came back there, in milliseconds: by the stamps of the frames, or
    /// where the kernel did not stamp both, until the reply was read.
    pub fn milliseconds(&self) -> f64 {
        let of = |seen: &&Sighting, wanted| seen.packet().is_some_and(|(leg, _)| leg == wanted);
        let left = self.sightings.iter().find(|seen| of(seen, Leg::Request));
        let back = self.sightings.iter().rfind(|seen| of(seen, Leg::Reply));
        let stamped = left.zip(back).and_then(|(left, back)| back.nanoseconds.checked_sub(left.nanoseconds));
        let between = stamped.map(Duration::from_nanos).filter(|between| *between < self.took && !between.is_zero());
        between.unwrap_or(self.took).as_secs_f64() * 1000.0
    }
}

/// A tap, and what its node and interfaces are called.
struct Post {
    node: String,
    interfaces: HashMap<u32, String>,
    tap: Tap,
}

/// Taps in the namespaces that matter, and the socket that the probe leaves by.
pub struct Watch {
    posts: Vec<Post>,
    echo: Echo,
    to: IpAddr,
    scope: u32,
    payload: usize,
    key: icmp::Key,
    sequence: u16,
}

impl Watch {
    /// Opens a tap in each of the places; the probe will leave from the first.
    ///
    /// # Errors
    /// When a namespace cannot be entered or the kernel refuses a socket.
    pub fn open(places: &[&Place], order: &Order<'_>) -> Result<Self> {
        let Some(from) = places.first() else { return Err(Error::Internal("a trace from nowhere".to_owned())) };
        let manner = Manner { ttl: order.ttl, record_route: false, whole: true };
        let echo = Echo::open(&from.pin, &from.id.to_string(), Family::of(order.to), manner)?;
        let filter = fixed::icmp_and_resolution();
        let spots: Vec<Spot<'_>> = places
            .iter()
            .map(|place| Spot { pin: &place.pin, on: None, filter: &filter, buffer: Buffer::Queue(QUEUE) })
            .collect();
        let mut posts = Vec::with_capacity(spots.len());
        for (tap, place) in Tap::open_all(&spots).into_iter().zip(places) {
            let interfaces = place.node.links.iter().map(|link| (link.index, link.name.clone())).collect();
            let tap = tap.map_err(|(tried, errno)| place.refused(tried, errno))?;
            posts.push(Post { node: place.id.to_string(), interfaces, tap });
        }
        let Order { to, scope, payload, .. } = *order;
        Ok(Self { posts, echo, to, scope, payload: payload.into(), key: crate::probe::ping::key(), sequence: 0 })
    }

    /// Whether the probe is of IPv6.
    pub fn is_ipv6(&self) -> bool {
        self.to.is_ipv6()
    }

    /// What tells the next probe from other packets.
    pub fn key(&self) -> icmp::Key {
        self.key
    }

    /// Sends a probe and watches it until its reply is there, or patience ends.
    ///
    /// # Errors
    /// When a signal arrives.
    pub fn shoot(&mut self, patience: Patience) -> Result<Shot> {
        let mut shot = Shot::default();
        // What the last probe left behind is none of this one's.
        self.look(&mut Shot::default());
        self.sequence += 1;
        let message = icmp::request(Family::of(self.to), self.key, self.sequence, self.payload);
        let began = Instant::now();
        // What the kernel refuses goes nowhere, and that is seen.
        let _ = self.echo.send(self.to, self.scope, &message);
        let mut life = Instant::now();
        loop {
            if self.look(&mut shot) {
                life = Instant::now();
            }
            if shot.answered {
                break;
            }
            let until = (life + patience.quiet).min(began + patience.whole);
            let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) else { break };
            crate::kernel::interrupted()?;
            self.wait(left);
        }
        shot.took = began.elapsed();
        shot.sightings.sort_by_key(|sighting| sighting.nanoseconds);
        Ok(shot)
    }

    fn wait(&self, left: Duration) {
        let mut fds: Vec<PollFd<'_>> = self.posts.iter().map(|post| PollFd::new(post.tap.as_fd(), PollFlags::POLLIN)).collect();
        fds.push(PollFd::new(self.echo.as_fd(), PollFlags::POLLIN));
        let milliseconds = u16::try_from(left.as_millis()).unwrap_or(u16::MAX).max(1);
        // A signal ends the wait; the caller looks whether one came.
        let _ = poll(&mut fds, PollTimeout::from(milliseconds));
    }

    /// Takes what has come, first whether the reply is there, then the frames: those of an answered probe are all there.
    fn look(&mut self, shot: &mut Shot) -> bool {
        let mut buffer = vec![0; LARGEST];
        while let Ok(Some(heard)) = self.echo.receive(&mut buffer) {
            let datagram = buffer.get(..heard.length).unwrap_or_default();
            let answer = match self.to {
                IpAddr::V4(_) => icmp::read4(datagram, self.key),
                IpAddr::V6(_) => icmp::read6(datagram, heard.hop_limit, self.key),
            };
            shot.answered |= matches!(answer, Some(icmp::Answer::Reply { sequence, .. }) if sequence == self.sequence);
        }
        let mark = Mark { id: self.key.id, sequence: self.sequence };
        let before = shot.sightings.len();
        for Post { node, interfaces, tap } in &mut self.posts {
            // An interface that goes down while somebody listens is told once; its frames are not lost by that.
            let _ = tap.read(&mut |seen| {
                let Some(interface) = interfaces.get(&seen.interface) else { return };
                shot.sightings.extend(Sighting::of(&seen, node, interface, mark));
            });
        }
        shot.sightings.len() > before
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        packet::close(self.posts.drain(..).map(|post| post.tap).collect());
    }
}
