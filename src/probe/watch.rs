//! Nodes watched while pings leave from some of them: what enters and leaves their interfaces, and what is answered.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::filter::Filter;
use super::frame::{Body, Frame, Payload};
use super::ping::{self, Answer, Key, LARGEST};
use super::view::{Place, View};
use crate::error::Result;
use crate::kernel::interrupted;
use crate::kernel::packet::{self, Buffer, Seen, Spot, Tap};
use crate::kernel::sockets::{Echo, Manner};
use crate::name::Mac;
use crate::plan::NodeId;
use crate::report::probe::Family;
use crate::report::trace::Direction;
use crate::report::wire::Interface;

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
    fn is_done(&mut self) -> bool;
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
        let mut filter = Filter::parse(filter, &())?.program()?;
        packet::bare_passes(&mut filter);
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
            let _ = super::wait(taps.chain(self.echoes.iter().map(AsFd::as_fd)), Some(left));
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

/// Bytes of payload.
const SIZE: usize = 16;
/// How long nothing may be seen before what is unanswered is sent again, and then given up.
const PASSES: [Duration; 3] = [Duration::from_millis(60), Duration::from_millis(250), Duration::from_millis(1100)];
/// With more nodes than this, only the hosts and those that send or receive are watched.
const FEW: usize = 24;

/// A ping to send and watch.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WatchedPing {
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
    pub leg: Direction,
    /// The frame's source.
    pub mac: Mac,
    /// Its time to live.
    pub ttl: u8,
    /// Its source address.
    pub source: IpAddr,
}

/// What was seen of one ping.
#[derive(Debug, Clone, Default)]
pub struct Watched {
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

impl Watched {
    /// The way of the ping there.
    pub fn way(&self, from: &str, to: &str) -> Way {
        let there: Vec<&Sighting> = self.sightings.iter().filter(|seen| seen.leg == Direction::Request).collect();
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
        let there = || self.sightings.iter().filter(|seen| seen.leg == Direction::Request);
        let source = there().find(|seen| seen.at.node == from && seen.outgoing)?.source;
        let became = there().rfind(|seen| seen.at.node == to && !seen.outgoing)?.source;
        let changer = there().find(|seen| seen.outgoing && seen.source != source).map(|seen| seen.at.node.clone());
        (source != became).then_some((source, became, changer))
    }
}

/// Sends every ping and watches all of them at once.
///
/// # Errors
/// When a namespace or socket cannot be had, or a signal arrives.
pub fn watch_pings(view: &View, pings: &[WatchedPing]) -> Result<Vec<Watched>> {
    if pings.is_empty() {
        return Ok(Vec::new());
    }
    let key = ping::key();
    let (mut echoes, mut senders) = (Vec::new(), HashMap::new());
    for ping in pings {
        let family = Family::from_address(ping.address);
        let sender = senders.entry((&ping.from, family));
        if let (Entry::Vacant(sender), Some(place)) = (sender, view.place(&ping.from).filter(|place| !place.remote)) {
            echoes.push(Echo::open(&place.pin, &ping.from.to_string(), family, Manner::default())?);
            sender.insert(echoes.len() - 1);
        }
    }
    let mut watch = Watch::open(&places(view, pings), "icmp or icmp6", echoes, key.magic)?;
    let mut underway = Underway { pings, first: key.id, open: Vec::new(), seen: vec![Watched::default(); pings.len()] };
    let done = PASSES.into_iter().try_for_each(|quiet| {
        underway.open = (0..pings.len()).filter(|at| !underway.seen[*at].answered).collect();
        for &at in &underway.open.clone() {
            let WatchedPing { from, address, .. } = &pings[at];
            // What was seen of an earlier try says nothing about this one.
            underway.seen[at].sightings.clear();
            if let Some(sender) = senders.get(&(from, Family::from_address(*address))) {
                let message = ping::request(Family::from_address(*address), Key { id: underway.id(at), ..key }, 1, SIZE);
                // What the kernel refuses goes nowhere, and that is seen.
                let _ = watch.echoes[*sender].send(*address, 0, &message);
            }
            watch.take(&mut underway);
        }
        let patience = Patience { quiet, whole: None };
        if underway.open.is_empty() { Ok(()) } else { watch.run(patience, &mut underway) }
    });
    // Closing waits for the kernel; nobody needs to wait for that.
    std::thread::spawn(move || drop(watch));
    done?;
    for watched in &mut underway.seen {
        watched.sightings.sort_by_key(|seen| seen.nanoseconds);
    }
    Ok(underway.seen)
}

/// Pings under way; each has an identifier of its own, counted from the first.
struct Underway<'a> {
    pings: &'a [WatchedPing],
    first: u16,
    /// Those that were sent in this pass.
    open: Vec<usize>,
    seen: Vec<Watched>,
}

impl Underway<'_> {
    fn id(&self, at: usize) -> u16 {
        self.first.wrapping_add(u16::try_from(at).unwrap_or(u16::MAX))
    }

    fn find(&self, id: u16) -> Option<usize> {
        Some(usize::from(id.wrapping_sub(self.first))).filter(|at| *at < self.pings.len())
    }
}

impl Watcher for Underway<'_> {
    fn answer(&mut self, id: u16, by: IpAddr, answer: &Answer) -> bool {
        let reply = matches!(answer, Answer::Reply { .. });
        let Some(at) = self.find(id).filter(|at| reply && by == self.pings[*at].address) else { return false };
        self.seen[at].answered = true;
        true
    }

    fn frame(&mut self, node: &str, interface: &str, seen: &Seen<'_>) -> bool {
        let Some(Frame { source: mac, payload: Payload::Ip(packet), .. }) = Frame::decode(seen.bytes) else { return false };
        let Body::Echo { reply, id, .. } = packet.body else { return false };
        let Some(at) = self.find(id) else { return false };
        self.seen[at].sightings.push(Sighting {
            at: Interface { node: node.to_owned(), interface: interface.to_owned() },
            outgoing: seen.outgoing,
            nanoseconds: seen.nanoseconds,
            leg: if reply { Direction::Reply } else { Direction::Request },
            mac,
            ttl: packet.ttl,
            source: packet.source,
        });
        true
    }

    fn is_done(&mut self) -> bool {
        self.open.iter().all(|at| self.seen[*at].answered)
    }
}

/// The hosts and switches, and who sends and receives; all nodes of a small lab.
fn places<'a>(view: &'a View, pings: &[WatchedPing]) -> Vec<&'a Place> {
    let few = view.places.len() <= FEW;
    let is_end = |id: &NodeId| pings.iter().any(|ping| ping.from == *id || ping.to == *id);
    view.here().filter(|place| few || !matches!(place.id, NodeId::Container(..)) || is_end(&place.id)).collect()
}
