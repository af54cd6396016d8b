//! Probes, sent from a node while every segment is watched.

use std::net::IpAddr;
use std::time::Instant;

use super::Order;
use super::mark::Mark;
use super::sighting::{Probed, Sighting};
use crate::error::{Error, Result};
use crate::kernel::calls::{Call, Caller};
use crate::kernel::netfilter::trace::Traced;
use crate::kernel::packet::Seen;
use crate::kernel::sockets::{Echo, Manner};
use crate::probe::ping::{self, Answer, Key};
use crate::probe::view::Place;
use crate::probe::watch::{Patience, Watch, Watcher};
use crate::report::probe::{Family, Transport};

/// Probes of one trace: the first, one while the kernel traces it, and two with more and more patience.
const PROBES: usize = 4;

/// Taps in the namespaces that matter, and the sockets that probes leave by.
pub struct Prober {
    watch: Watch,
    to: IpAddr,
    scope: u32,
    payload: usize,
    key: Key,
    sequence: u16,
    transport: Transport,
    /// Of TCP and UDP a socket for each probe; the last is the next.
    calls: Vec<Call>,
}

impl Prober {
    /// Opens a tap in each of the places; the probes will leave from the first.
    ///
    /// # Errors
    /// When a namespace cannot be entered or the kernel refuses a socket.
    pub fn open(places: &[&Place], order: &Order<'_>) -> Result<Self> {
        let Some(from) = places.first() else { return Err(Error::Internal("a trace from nowhere".to_owned())) };
        let Order { to, scope, payload, ttl, transport, source, .. } = *order;
        let (key, node) = (ping::key(), from.id.to_string());
        let (mut echoes, mut calls) = (Vec::new(), Vec::new());
        if transport == Transport::Icmp {
            let manner = Manner { ttl, record_route: false, whole: true, source };
            echoes.push(Echo::open(&from.pin, &node, Family::from_address(to), manner)?);
        } else {
            calls = Call::open(&from.pin, &node, Caller { transport, to, scope, source, ttl }, PROBES)?;
        }
        let ports = calls.iter().map(|call| format!("{} port {}", transport.name().to_lowercase(), call.port));
        let filter = ["arp", "icmp", "icmp6"].map(str::to_owned).into_iter().chain(ports).collect::<Vec<_>>().join(" or ");
        let watch = Watch::open(places, &filter, echoes, key.magic)?;
        Ok(Self { watch, to, scope, payload: payload.into(), key, sequence: 0, transport, calls })
    }

    /// What the kernel traces the next probe by.
    pub fn traced(&self) -> Traced {
        match (self.transport, self.calls.last()) {
            (Transport::Tcp { .. } | Transport::Udp { .. }, Some(call)) => {
                Traced::Ports { udp: matches!(self.transport, Transport::Udp { .. }), from: call.port }
            }
            _ => Traced::Echo { ipv6: self.to.is_ipv6(), id: self.key.id, magic: self.key.magic },
        }
    }

    /// Sends a probe and watches it until its reply is there, or patience ends.
    ///
    /// # Errors
    /// When a signal arrives.
    pub fn probe(&mut self, patience: Patience) -> Result<Probed> {
        self.sequence += 1;
        let call = self.calls.pop();
        let mark = match &call {
            Some(call) => Mark::Ports { udp: matches!(self.transport, Transport::Udp { .. }), from: call.port },
            None => Mark::Echo { id: self.key.id, sequence: self.sequence },
        };
        // What the last probe left behind is none of this one's.
        self.watch.take(&mut Flight { mark, call: None, probed: Probed::default() });
        let began = Instant::now();
        let payload: Vec<u8> = (0..self.payload).map(|at| at.to_le_bytes()[0]).collect();
        let failed = call.as_ref().and_then(|call| call.begin(&payload).err());
        // What the kernel refuses goes nowhere, and that is seen.
        let message = ping::request(Family::from_address(self.to), self.key, self.sequence, self.payload);
        for echo in &self.watch.echoes {
            let _ = echo.send(self.to, self.scope, &message);
        }
        let mut flight = Flight { mark, call, probed: Probed { failed, ..Probed::default() } };
        self.watch.run(patience, &mut flight)?;
        let mut probed = flight.probed;
        probed.took = began.elapsed();
        probed.sightings.sort_by_key(|sighting| sighting.nanoseconds);
        Ok(probed)
    }
}

/// A probe under way.
struct Flight {
    mark: Mark,
    call: Option<Call>,
    probed: Probed,
}

impl Watcher for Flight {
    fn answer(&mut self, id: u16, _by: IpAddr, answer: &Answer) -> bool {
        let answered = matches!(answer, Answer::Reply { sequence, .. } if Mark::Echo { id, sequence: *sequence } == self.mark);
        self.probed.answered |= answered;
        answered
    }

    fn frame(&mut self, node: &str, interface: &str, seen: &Seen<'_>) -> bool {
        let sighting = Sighting::from_frame(seen, node, interface, self.mark);
        let any = sighting.is_some();
        self.probed.sightings.extend(sighting);
        any
    }

    fn is_done(&mut self) -> bool {
        let open = !self.probed.answered && self.probed.failed.is_none();
        if let Some(came) = self.call.as_ref().filter(|_| open).and_then(Call::came) {
            self.probed.answered = came.is_ok();
            self.probed.failed = came.err();
        }
        self.probed.answered || self.probed.failed.is_some()
    }
}
