//! Pings that are watched on their way: every host sees what enters and leaves it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::filter::fixed;
use super::frame::{Body, Frame, Payload};
use super::ping::key;
use super::ping::packet::{self as icmp, Key};
use super::view::{Place, View};
use crate::error::Result;
use crate::kernel::echo::{Echo, Manner};
use crate::kernel::interrupted;
use crate::kernel::packet::{self, Buffer, Seen, Spot, Tap};
use crate::name::Mac;
use crate::plan::NodeId;
use crate::report::ping::Family;
use crate::report::trace::Leg;
use crate::report::wire::Interface;

/// Frames wait here until they are read.
const QUEUE: usize = 4 << 20;
/// Larger than any datagram (RFC 791).
const LARGEST: usize = 65_536;
/// Bytes of payload.
const SIZE: usize = 16;
/// How long nothing may be seen before what is unanswered is sent again, and then given up.
const PASSES: [Duration; 3] = [Duration::from_millis(60), Duration::from_millis(250), Duration::from_millis(1100)];
/// With more nodes than this, only the hosts and those that send or receive are watched.
const FEW: usize = 24;

/// A ping to send and watch.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Errand {
    /// From here.
    pub from: NodeId,
    /// To the node that has the address.
    pub to: NodeId,
    /// The address.
    pub address: IpAddr,
}

/// The ping or its answer, at an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Where.
    pub at: Interface,
    /// It leaves the node there; else it comes in.
    pub outgoing: bool,
    /// When, in nanoseconds since 1970.
    pub nanoseconds: u64,
    /// Which of the two it is.
    pub leg: Leg,
    /// The frame's source.
    pub mac: Mac,
    /// Its time to live.
    pub ttl: u8,
    /// Its source address.
    pub source: IpAddr,
}

/// What was seen of one ping.
#[derive(Debug, Clone, Default)]
pub struct Witnessed {
    /// Its answer came back.
    pub answered: bool,
    /// In the order of time.
    pub sightings: Vec<Sighting>,
}

/// A node that routed a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// Those that took one from its time to live, in order, and the last that it came to.
    pub hops: Vec<String>,
    /// Routers that nobody saw.
    pub unseen: u8,
}

impl Witnessed {
    /// The way of the ping there.
    pub fn way(&self, from: &str, to: &str) -> Way {
        let there: Vec<&Sighting> = self.sightings.iter().filter(|seen| seen.leg == Leg::Request).collect();
        let first = there.iter().find(|seen| seen.at.node == from && seen.outgoing).map(|seen| seen.ttl);
        let last = there.iter().rfind(|seen| seen.at.node == to && !seen.outgoing).map(|seen| seen.ttl);
        let mut routers: Vec<(u8, u64, String)> = Vec::new();
        for seen in there.iter().filter(|seen| !seen.outgoing && seen.at.node != to) {
            let routed = there.iter().any(|left| left.outgoing && left.at.node == seen.at.node && left.ttl + 1 == seen.ttl);
            if routed && !routers.iter().any(|(ttl, _, node)| *ttl == seen.ttl && *node == seen.at.node) {
                routers.push((seen.ttl, seen.nanoseconds, seen.at.node.clone()));
            }
        }
        routers.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        let spent = first.zip(last).map_or(0, |(first, last)| first.saturating_sub(last));
        let unseen = spent.saturating_sub(u8::try_from(routers.len()).unwrap_or(u8::MAX));
        let mut hops: Vec<String> = routers.into_iter().map(|(_, _, node)| node).collect();
        if last.is_some() {
            hops.push(to.to_owned());
        }
        Way { hops, unseen }
    }

    /// The source address that the sender put into the ping, what arrived, and the node where it changed.
    pub fn translated(&self, from: &str, to: &str) -> Option<(IpAddr, IpAddr, Option<String>)> {
        let there = || self.sightings.iter().filter(|seen| seen.leg == Leg::Request);
        let source = there().find(|seen| seen.at.node == from && seen.outgoing)?.source;
        let became = there().rfind(|seen| seen.at.node == to && !seen.outgoing)?.source;
        let changer = there().find(|seen| seen.outgoing && seen.source != source).map(|seen| seen.at.node.clone());
        (source != became).then_some((source, became, changer))
    }
}

/// A tap, and what its node and interfaces are called.
struct Post {
    node: String,
    interfaces: HashMap<u32, String>,
    tap: Tap,
}

struct Run<'a> {
    errands: &'a [Errand],
    keys: Vec<Key>,
    /// By identifier.
    marks: HashMap<u16, usize>,
    sockets: HashMap<(NodeId, Family), Echo>,
    posts: Vec<Post>,
    seen: Vec<Witnessed>,
}

/// Sends every ping and watches all of them at once.
///
/// # Errors
/// When a namespace or socket cannot be had, or a signal arrives.
pub fn witness(view: &View, errands: &[Errand]) -> Result<Vec<Witnessed>> {
    if errands.is_empty() {
        return Ok(Vec::new());
    }
    let mut run = Run::open(view, errands)?;
    let done = run.all();
    let posts = std::mem::take(&mut run.posts);
    // Closing waits for the kernel; nobody needs to wait for that.
    std::thread::spawn(move || packet::close(posts.into_iter().map(|post| post.tap).collect()));
    done?;
    for witnessed in &mut run.seen {
        witnessed.sightings.sort_by_key(|seen| seen.nanoseconds);
    }
    Ok(run.seen)
}

impl<'a> Run<'a> {
    fn open(view: &View, errands: &'a [Errand]) -> Result<Self> {
        let first = key();
        let keys: Vec<Key> = (0..errands.len())
            .map(|at| Key { id: first.id.wrapping_add(u16::try_from(at).unwrap_or(u16::MAX)), magic: first.magic })
            .collect();
        let marks = keys.iter().enumerate().map(|(at, key)| (key.id, at)).collect();
        let mut sockets = HashMap::new();
        for errand in errands {
            let family = Family::of(errand.address);
            let entry = (errand.from.clone(), family);
            if let (Entry::Vacant(entry), Some(place)) =
                (sockets.entry(entry), view.place(&errand.from).filter(|place| !place.far))
            {
                entry.insert(Echo::open(&place.pin, &errand.from.to_string(), family, Manner::default())?);
            }
        }
        let seen = vec![Witnessed::default(); errands.len()];
        Ok(Self { errands, keys, marks, sockets, posts: posts(view, errands)?, seen })
    }

    fn all(&mut self) -> Result<()> {
        for patience in PASSES {
            let open: Vec<usize> = (0..self.errands.len()).filter(|at| !self.seen[*at].answered).collect();
            if open.is_empty() {
                break;
            }
            self.pass(&open, patience)?;
        }
        Ok(())
    }

    fn pass(&mut self, open: &[usize], patience: Duration) -> Result<()> {
        for &at in open {
            let errand = &self.errands[at];
            let family = Family::of(errand.address);
            // What was seen of an earlier try says nothing about this one.
            self.seen[at].sightings.clear();
            if let Some(socket) = self.sockets.get(&(errand.from.clone(), family)) {
                // What the kernel refuses goes nowhere, and that is seen.
                let _ = socket.send(errand.address, 0, &icmp::request(family, self.keys[at], 1, SIZE));
            }
            self.look();
        }
        let mut life = Instant::now();
        loop {
            interrupted()?;
            if self.look() {
                life = Instant::now();
            }
            let left = patience.saturating_sub(life.elapsed());
            if left.is_zero() || open.iter().all(|at| self.seen[*at].answered) {
                // The frames of an answered ping are all there.
                self.look();
                return Ok(());
            }
            self.wait(left);
        }
    }

    fn wait(&self, left: Duration) {
        let mut fds: Vec<PollFd<'_>> = self.posts.iter().map(|post| PollFd::new(post.tap.as_fd(), PollFlags::POLLIN)).collect();
        fds.extend(self.sockets.values().map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN)));
        let milliseconds = u16::try_from(left.as_millis()).unwrap_or(u16::MAX).max(1);
        // A signal ends the wait; the caller looks whether one came.
        let _ = poll(&mut fds, PollTimeout::from(milliseconds));
    }

    /// Takes what has come, first the answers, then the frames; whether there was any.
    fn look(&mut self) -> bool {
        let mut any = false;
        let mut buffer = vec![0; LARGEST];
        for socket in self.sockets.values() {
            while let Ok(Some(heard)) = socket.receive(&mut buffer) {
                let datagram = buffer.get(..heard.length).unwrap_or_default();
                let id = identifier(datagram, heard.from);
                let Some(&at) = id.and_then(|id| self.marks.get(&id)) else { continue };
                let answer = match heard.from {
                    IpAddr::V4(_) => icmp::read4(datagram, self.keys[at]),
                    IpAddr::V6(_) => icmp::read6(datagram, heard.hop_limit, self.keys[at]),
                };
                if matches!(answer, Some(icmp::Answer::Reply { .. })) && heard.from == self.errands[at].address {
                    self.seen[at].answered = true;
                    any = true;
                }
            }
        }
        let Self { posts, marks, seen: all, .. } = self;
        for Post { node, interfaces, tap } in posts {
            let _ = tap.read(&mut |seen| {
                if let Some((at, sighting)) = sighting(&seen, node, interfaces, marks) {
                    all[at].sightings.push(sighting);
                    any = true;
                }
            });
        }
        any
    }
}

/// The identifier of an echo reply; an IPv4 datagram begins with its IP header.
fn identifier(datagram: &[u8], from: IpAddr) -> Option<u16> {
    let header = if from.is_ipv4() { usize::from(datagram.first()? & 0xf) * 4 } else { 0 };
    let id = datagram.get(header + 4..header + 6)?;
    Some(u16::from_be_bytes([id[0], id[1]]))
}

fn sighting(
    seen: &Seen<'_>,
    node: &str,
    interfaces: &HashMap<u32, String>,
    marks: &HashMap<u16, usize>,
) -> Option<(usize, Sighting)> {
    let frame = Frame::decode(seen.bytes)?;
    let Payload::Ip(packet) = &frame.payload else { return None };
    let Body::Echo { reply, id, .. } = packet.body else { return None };
    let at = Interface { node: node.to_owned(), interface: interfaces.get(&seen.interface)?.clone() };
    let sighting = Sighting {
        at,
        outgoing: seen.outgoing,
        nanoseconds: seen.nanoseconds,
        leg: if reply { Leg::Reply } else { Leg::Request },
        mac: frame.source,
        ttl: packet.ttl,
        source: packet.source,
    };
    Some((*marks.get(&id)?, sighting))
}

/// Taps in the hosts and switches, and in who sends and receives; in all nodes of a small lab.
fn posts(view: &View, errands: &[Errand]) -> Result<Vec<Post>> {
    let few = view.places.len() <= FEW;
    let is_end = |id: &NodeId| errands.iter().any(|errand| errand.from == *id || errand.to == *id);
    let wanted = |place: &&Place| few || !matches!(place.id, NodeId::Container(..)) || is_end(&place.id);
    let places: Vec<&Place> = view.here().filter(wanted).collect();
    let filter = fixed::icmp();
    let spots: Vec<Spot<'_>> =
        places.iter().map(|place| Spot { pin: &place.pin, on: None, filter: &filter, buffer: Buffer::Queue(QUEUE) }).collect();
    let mut posts = Vec::with_capacity(spots.len());
    for (tap, place) in Tap::open_all(&spots).into_iter().zip(&places) {
        let tap = tap.map_err(|(tried, errno)| place.refused(tried, errno))?;
        let interfaces = place.node.links.iter().map(|link| (link.index, link.name.clone())).collect();
        posts.push(Post { node: place.id.to_string(), interfaces, tap });
    }
    Ok(posts)
}
