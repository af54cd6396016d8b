//! Which MAC addresses the networks between hosts see: where to listen, who sends, and what it means.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Duration;

use nix::errno::Errno;

use super::frame::{Frame, Payload};
use super::view::{Place, View};
use super::wait;
use super::watch::Taps;
use crate::error::{Error, Result, Thing};
use crate::kernel::packet::{Buffer, Seen, Spot};
use crate::kernel::tables;
use crate::lab::resolve;
use crate::name::Mac;
use crate::plan::NodeId;
use crate::report::wire::{Entry, Interface, Kind, Network, Part, Reason, Source};
use crate::topology::{self, Topology};

/// A network between hosts.
#[derive(Debug, Clone)]
pub struct Segment {
    /// Its name.
    pub network: String,
    /// What it is.
    pub kind: Kind,
    /// Where it is heard.
    pub pin: PathBuf,
    /// The interface there, of a wire; a switch is heard at all of its ports.
    pub on: Option<u32>,
    /// The hosts' ends of it.
    pub sides: Vec<Side>,
}

/// An end of a network.
#[derive(Debug, Clone)]
pub struct Side {
    /// The host's interface.
    pub end: Interface,
    /// The port of the switch that it is plugged into: index and name.
    pub port: Option<(u32, String)>,
}

impl Segment {
    /// From which side a frame comes that was seen at an interface where it came in, or went out; none where it comes
    /// from no host, since it is seen a second time as it leaves.
    pub fn side(&self, interface: u32, outgoing: bool) -> Option<usize> {
        match self.kind {
            // Heard at the first end: what goes out there was sent there.
            Kind::Wire => Some(usize::from(!outgoing)),
            Kind::Switch if outgoing => None,
            Kind::Switch => self.sides.iter().position(|side| side.port.as_ref().is_some_and(|(index, _)| *index == interface)),
        }
    }
}

/// That a topology has the network that is wanted.
///
/// # Errors
/// `Unknown` with the networks that are.
pub fn known(topology: &Topology, wanted: Option<&str>) -> Result<()> {
    match wanted.filter(|word| !topology.networks.iter().any(|network| network.name.as_str() == *word)) {
        None => Ok(()),
        Some(word) => {
            let names = topology.networks.iter().map(|network| network.name.to_string()).collect();
            let candidates = resolve::near(word, names);
            Err(Error::Unknown { what: Thing::Network, word: word.to_owned(), candidates })
        }
    }
}

/// The networks of a lab, or the one that is wanted; one whose ends somebody has removed is left out.
pub fn segments(topology: &Topology, view: &View, wanted: Option<&str>) -> Vec<Segment> {
    let chosen = topology.networks.iter().filter(|network| wanted.is_none_or(|word| network.name.as_str() == word));
    let segment = |network: &topology::Network| match view.place(&NodeId::Switch(network.name.clone())) {
        _ if topology.is_wire(network) => wire(topology, view, network),
        Some(place) if place.remote => cable(topology, view, network, place),
        _ => switch(topology, view, network),
    };
    chosen.filter_map(segment).collect()
}

/// The ends as the hosts have them now; one that somebody removed is left out.
fn ends<'a>(
    topology: &'a Topology,
    view: &'a View,
    network: &'a topology::Network,
) -> impl Iterator<Item = (&'a Place, u32, Interface)> {
    topology.ends(&network.name).filter_map(move |(host, nic)| {
        let place = view.place(&NodeId::Host(host.name.clone()))?;
        let link = place.named(nic.name.as_str())?;
        Some((place, link.index, Interface { node: place.id.to_string(), interface: link.name.clone() }))
    })
}

fn wire(topology: &Topology, view: &View, network: &topology::Network) -> Option<Segment> {
    let mut found: Vec<_> = ends(topology, view, network).collect();
    // It is heard on this machine.
    found.sort_by_key(|(place, ..)| place.remote);
    let mut found = found.into_iter();
    let ((place, index, end), (_, _, other)) = (found.next().filter(|(place, ..)| !place.remote)?, found.next()?);
    let sides = [end, other].map(|end| Side { end, port: None }).to_vec();
    Some(Segment { network: network.name.to_string(), kind: Kind::Wire, pin: place.pin.clone(), on: Some(index), sides })
}

/// A real network with several machines: it is heard at this machine's NIC, and whatever comes from there comes from the switch.
fn cable(topology: &Topology, view: &View, network: &topology::Network, switch: &Place) -> Option<Segment> {
    let (place, index, end) = ends(topology, view, network).find(|(place, ..)| !place.remote)?;
    let peer = place.named(&end.interface)?.peer.as_ref()?;
    let port = Interface { node: switch.node.node.clone(), interface: peer.name.clone()? };
    let sides = [end, port].map(|end| Side { end, port: None }).to_vec();
    Some(Segment { network: network.name.to_string(), kind: Kind::Wire, pin: place.pin.clone(), on: Some(index), sides })
}

fn switch(topology: &Topology, view: &View, network: &topology::Network) -> Option<Segment> {
    let place = view.place(&NodeId::Switch(network.name.clone()))?;
    let port = |end: &Interface| {
        let is_end = |peer: &tables::VethPeer| {
            peer.node.as_deref() == Some(end.node.as_str()) && peer.name.as_deref() == Some(end.interface.as_str())
        };
        let link = place.tables.links.iter().find(|link| link.peer.as_ref().is_some_and(is_end))?;
        Some((link.index, link.name.clone()))
    };
    let sides = ends(topology, view, network).map(|(_, _, end)| Side { port: port(&end), end }).collect();
    Some(Segment { network: network.name.to_string(), kind: Kind::Switch, pin: place.pin.clone(), on: None, sides })
}

/// The entries of a switch's forwarding table that frames have made or somebody has told: port, MAC, its age.
pub fn learned(view: &View, network: &str) -> Vec<(String, Mac, Option<Duration>)> {
    let Some(place) = network.parse().ok().and_then(|name| view.place(&NodeId::Switch(name))) else { return Vec::new() };
    let row = |entry: &tables::Fdb| {
        let port = place.tables.link(entry.port)?.name.clone();
        let counts = entry.mac.is_unicast() && (!entry.own || entry.fixed);
        counts.then_some((port, entry.mac, entry.age.filter(|_| !entry.fixed)))
    };
    let mut found: Vec<_> = place.tables.fdb.iter().filter_map(row).collect();
    found.sort();
    found.dedup();
    found
}

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
    let mut taps = Taps::open(&spots).map_err(|(segment, tried, errno)| failed(&segments[segment], tried, errno))?;
    let (ended, running) = std::io::pipe().map_err(|error| Error::Internal(format!("pipe: {error}")))?;
    let mut tallies: Vec<Tally> = segments.iter().map(|_| Tally::default()).collect();
    let result = std::thread::scope(|scope| {
        let (taps, tallies) = (&mut taps, &mut tallies);
        let hearing = scope.spawn(move || hear(segments, taps, tallies, &ended));
        let result = job();
        drop(running);
        let heard = hearing.join().unwrap_or_else(|_| Err(Error::Internal("the listening thread panicked".to_owned())));
        heard.and(result)
    })?;
    Ok((result, tallies))
}

/// Hears until the pipe's other end is closed, and then what is still there.
fn hear(segments: &[Segment], Taps(taps): &mut Taps, tallies: &mut [Tally], ended: &impl AsFd) -> Result<()> {
    loop {
        let sockets = taps.iter().map(AsFd::as_fd).chain([ended.as_fd()]);
        let ready = wait(sockets, None).map_err(|errno| Error::Internal(format!("poll: {errno}")))?;
        let over = ready.last().is_some_and(|ready| *ready);
        let mut heard = 0;
        for ((segment, tap), tally) in segments.iter().zip(taps.iter_mut()).zip(tallies.iter_mut()) {
            heard += match tap.read(&mut |seen| tally.hear(segment, seen)) {
                // Somebody has unplugged it.
                Err(Errno::ENETDOWN | Errno::ENODEV) => 0,
                read => read.map_err(|errno| failed(segment, "recv(AF_PACKET)".to_owned(), errno))?,
            };
        }
        if over && heard == 0 {
            for (tap, tally) in taps.iter_mut().zip(tallies) {
                tally.missed += tap.counts().dropped;
            }
            return Ok(());
        }
    }
}

fn failed(segment: &Segment, tried: String, errno: Errno) -> Error {
    Error::kernel(segment.network.as_str(), tried, errno)
}

/// The report on a network; `after` is the lab as it is once everything was heard.
pub fn network(segment: &Segment, tally: &Tally, after: &View) -> Network {
    let blocked = tally.blocked();
    let source = |(&(side, mac), count): (&(usize, Mac), &Count)| {
        let owners = owners(mac, after);
        Some(Source {
            mac: mac.to_string(),
            reason: reason(&owners, count, after),
            owners,
            side: segment.sides.get(side)?.end.clone(),
            frames: count.frames,
            broadcasts: count.broadcasts,
            blocked: blocked.get(&(side, mac)).copied().unwrap_or(0),
        })
    };
    let sources: Vec<Source> = tally.sources.iter().filter_map(source).collect();
    Network {
        network: segment.network.clone(),
        kind: segment.kind,
        ends: segment.sides.iter().map(|side| side.end.clone()).collect(),
        frames: sources.iter().map(|source| source.frames).sum(),
        broadcasts: sources.iter().map(|source| source.broadcasts).sum(),
        missed: tally.missed,
        table: table(segment, tally, after),
        hosts: parts(&sources),
        sources,
    }
}

/// The interfaces that have a MAC address. A bridge that somebody made by hand takes that of one of its ports: both are
/// one station then, and the bridge is what speaks.
fn owners(mac: Mac, view: &View) -> Vec<Interface> {
    let owners = view.owners_of_mac(mac);
    let is_port_of_owner = |owner: &Interface| {
        let bridge = view.interface(owner).and_then(|link| link.bridge.as_ref());
        bridge.is_some_and(|bridge| owners.iter().any(|other| other.node == owner.node && other.interface == *bridge))
    };
    owners.iter().filter(|owner| !is_port_of_owner(owner)).cloned().collect()
}

fn reason(owners: &[Interface], count: &Count, view: &View) -> Reason {
    let [owner] = owners else { return if owners.is_empty() { Reason::Unknown } else { Reason::Cloned } };
    let Some(place) = view.named(&owner.node) else { return Reason::Unknown };
    if matches!(place.id, NodeId::Container(..)) {
        return Reason::Bridged;
    }
    let own = |address| place.node.links.iter().any(|link| link.addresses.iter().any(|net| net.addr() == address));
    if count.addresses.iter().any(|address| !own(*address)) { Reason::Routed } else { Reason::Own }
}

/// A switch's own table; for a wire every address at the end that it was last seen at, as a switch would learn it.
fn table(segment: &Segment, tally: &Tally, view: &View) -> Vec<Entry> {
    if segment.kind == Kind::Switch {
        let entry = |(port, mac, age): (String, Mac, Option<Duration>)| Entry {
            port,
            mac: mac.to_string(),
            owners: owners(mac, view),
            age: age.map(|age| age.as_secs_f64()),
        };
        return learned(view, &segment.network).into_iter().map(entry).collect();
    }
    let mut last: BTreeMap<Mac, (u64, usize)> = BTreeMap::new();
    for (&(side, mac), count) in &tally.sources {
        let latest = last.entry(mac).or_insert((count.last, side));
        *latest = (*latest).max((count.last, side));
    }
    let mut entries: Vec<(usize, Mac)> =
        last.into_iter().filter(|(mac, _)| mac.is_unicast()).map(|(mac, (_, side))| (side, mac)).collect();
    entries.sort_unstable();
    let entry = |(side, mac): (usize, Mac)| {
        let port = segment.sides.get(side)?.end.node.clone();
        Some(Entry { port, mac: mac.to_string(), owners: owners(mac, view), age: None })
    };
    entries.into_iter().filter_map(entry).collect()
}

/// What each side has to do with the addresses that came from it: bridging shows even where the host also speaks itself.
fn parts(sources: &[Source]) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for source in sources {
        match parts.iter_mut().find(|part| part.host == source.side.node) {
            None => parts.push(Part { host: source.side.node.clone(), how: source.reason, macs: 1 }),
            Some(part) => {
                part.how = part.how.min(source.reason);
                part.macs += 1;
            }
        }
    }
    parts
}
