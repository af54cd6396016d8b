//! One probe sent, and what was seen of it on every segment.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::Order;
use crate::error::{Error, Result};
use crate::kernel::echo::{Echo, Manner};
use crate::kernel::packet::Seen;
use crate::name::Mac;
use crate::probe::frame::{Body, Frame, Packet, Payload};
use crate::probe::ping::{self, Answer, Key};
use crate::probe::view::Place;
use crate::probe::watch::{Patience, Watch, Watcher};
use crate::report::ping::Family;
use crate::report::trace::{IcmpWord, Leg};

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

/// Taps in the namespaces that matter, and the socket that probes leave by.
pub struct Prober {
    watch: Watch,
    to: IpAddr,
    scope: u32,
    payload: usize,
    key: Key,
    sequence: u16,
}

impl Prober {
    /// Opens a tap in each of the places; the probes will leave from the first.
    ///
    /// # Errors
    /// When a namespace cannot be entered or the kernel refuses a socket.
    pub fn open(places: &[&Place], order: &Order<'_>) -> Result<Self> {
        let Some(from) = places.first() else { return Err(Error::Internal("a trace from nowhere".to_owned())) };
        let Order { to, scope, payload, ttl, .. } = *order;
        let manner = Manner { ttl, record_route: false, whole: true };
        let echo = Echo::open(&from.pin, &from.id.to_string(), Family::of(to), manner)?;
        let key = ping::key();
        let watch = Watch::open(places, "arp or icmp or icmp6", vec![echo], key.magic)?;
        Ok(Self { watch, to, scope, payload: payload.into(), key, sequence: 0 })
    }

    /// Whether the probe is of IPv6.
    pub fn is_ipv6(&self) -> bool {
        self.to.is_ipv6()
    }

    /// What tells the next probe from other packets.
    pub fn key(&self) -> Key {
        self.key
    }

    /// Sends a probe and watches it until its reply is there, or patience ends.
    ///
    /// # Errors
    /// When a signal arrives.
    pub fn shoot(&mut self, patience: Patience) -> Result<Shot> {
        self.sequence += 1;
        let mark = Mark { id: self.key.id, sequence: self.sequence };
        // What the last probe left behind is none of this one's.
        self.watch.take(&mut Flight { mark, shot: Shot::default() });
        let message = ping::request(Family::of(self.to), self.key, self.sequence, self.payload);
        let (began, mut flight) = (Instant::now(), Flight { mark, shot: Shot::default() });
        for echo in &self.watch.echoes {
            // What the kernel refuses goes nowhere, and that is seen.
            let _ = echo.send(self.to, self.scope, &message);
        }
        self.watch.run(patience, &mut flight)?;
        let mut shot = flight.shot;
        shot.took = began.elapsed();
        shot.sightings.sort_by_key(|sighting| sighting.nanoseconds);
        Ok(shot)
    }
}

/// A probe under way.
struct Flight {
    mark: Mark,
    shot: Shot,
}

impl Watcher for Flight {
    fn answer(&mut self, id: u16, _by: IpAddr, answer: &Answer) -> bool {
        let answered = matches!(answer, Answer::Reply { sequence, .. } if Mark { id, sequence: *sequence } == self.mark);
        self.shot.answered |= answered;
        answered
    }

    fn frame(&mut self, node: &str, interface: &str, seen: &Seen<'_>) -> bool {
        let sighting = Sighting::of(seen, node, interface, self.mark);
        let any = sighting.is_some();
        self.shot.sightings.extend(sighting);
        any
    }

    fn is_done(&self) -> bool {
        self.shot.answered
    }
}

/// What tells the probe, its reply and the errors about them from all other packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The identifier of the echo header.
    pub id: u16,
    /// Its sequence number.
    pub sequence: u16,
}

/// A frame of the probe's, at an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// The node, `host` or `host.container`.
    pub node: String,
    /// Its interface.
    pub interface: String,
    /// It leaves the node there; else it comes in.
    pub outgoing: bool,
    /// When, in nanoseconds since 1970.
    pub nanoseconds: u64,
    /// The frame's source.
    pub source: Mac,
    /// The frame's destination.
    pub destination: Mac,
    /// What it carries.
    pub what: What,
}

/// What a frame of the probe's carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The probe, or its reply.
    Packet {
        /// Which.
        leg: Leg,
        /// Its time to live.
        ttl: u8,
        /// Its source address.
        source: IpAddr,
        /// Its destination address.
        destination: IpAddr,
    },
    /// An ICMP error about one of them.
    Error {
        /// About which.
        leg: Leg,
        /// Who says so.
        from: IpAddr,
        /// What.
        says: IcmpWord,
    },
    /// The question for the MAC address of an address.
    Asks {
        /// The address.
        address: IpAddr,
    },
    /// An answer to it.
    Answers {
        /// The address.
        address: IpAddr,
        /// Where it is.
        mac: Mac,
    },
}

impl Sighting {
    /// What a tap saw; none where it has nothing to do with the probe.
    pub fn of(seen: &Seen<'_>, node: &str, interface: &str, mark: Mark) -> Option<Self> {
        let frame = Frame::decode(seen.bytes)?;
        Some(Self {
            node: node.to_owned(),
            interface: interface.to_owned(),
            outgoing: seen.outgoing,
            nanoseconds: seen.nanoseconds,
            source: frame.source,
            destination: frame.destination,
            what: what(&frame.payload, mark)?,
        })
    }

    /// The probe or its reply: which, and its time to live.
    pub fn packet(&self) -> Option<(Leg, u8)> {
        match self.what {
            What::Packet { leg, ttl, .. } => Some((leg, ttl)),
            _ => None,
        }
    }
}

fn what(payload: &Payload, mark: Mark) -> Option<What> {
    match payload {
        Payload::Arp { operation: 1, target_ip, .. } => Some(What::Asks { address: (*target_ip).into() }),
        Payload::Arp { operation: 2, sender_ip, sender_mac, .. } => {
            Some(What::Answers { address: (*sender_ip).into(), mac: *sender_mac })
        }
        Payload::Ip(packet) => in_packet(packet, mark),
        _ => None,
    }
}

fn in_packet(packet: &Packet, mark: Mark) -> Option<What> {
    let about = |quoted: &Option<Box<Packet>>| quoted.as_ref().and_then(|quoted| leg(quoted, mark));
    let error = |quoted, says| Some(What::Error { leg: about(quoted)?, from: packet.source, says });
    match &packet.body {
        Body::Echo { .. } => Some(What::Packet {
            leg: leg(packet, mark)?,
            ttl: packet.ttl,
            source: packet.source,
            destination: packet.destination,
        }),
        Body::TimeExceeded { quoted, .. } => error(quoted, IcmpWord::TimeExceeded),
        Body::TooBig { mtu, quoted } => error(quoted, IcmpWord::TooBig { mtu: *mtu }),
        Body::Unreachable { code, mtu, quoted } => {
            error(quoted, if packet.source.is_ipv4() { unreachable4(*code, *mtu) } else { unreachable6(*code) })
        }
        Body::Solicitation { target, .. } => Some(What::Asks { address: (*target).into() }),
        Body::Advertisement { target, mac } => Some(What::Answers { address: (*target).into(), mac: (*mac)? }),
        _ => None,
    }
}

/// Which of the two a packet is.
fn leg(packet: &Packet, mark: Mark) -> Option<Leg> {
    match packet.body {
        Body::Echo { reply, id, sequence, .. } if id == mark.id && sequence == mark.sequence => {
            Some(if reply { Leg::Reply } else { Leg::Request })
        }
        _ => None,
    }
}

/// RFC 792 and 1122.
fn unreachable4(code: u8, mtu: Option<u16>) -> IcmpWord {
    match code {
        0 | 6 | 11 => IcmpWord::NoRoute,
        1 | 7 | 12 => IcmpWord::HostUnreachable,
        3 => IcmpWord::PortUnreachable,
        4 => IcmpWord::TooBig { mtu: mtu.unwrap_or_default().into() },
        9 | 10 | 13 => IcmpWord::Prohibited,
        _ => IcmpWord::Other { kind: 3, code },
    }
}

/// RFC 4443.
fn unreachable6(code: u8) -> IcmpWord {
    match code {
        0 => IcmpWord::NoRoute,
        1 | 5 | 6 => IcmpWord::Prohibited,
        3 => IcmpWord::HostUnreachable,
        4 => IcmpWord::PortUnreachable,
        _ => IcmpWord::Other { kind: 1, code },
    }
}
