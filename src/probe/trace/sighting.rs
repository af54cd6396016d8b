//! What a tap saw that belongs to the probe.

use std::net::IpAddr;

use crate::kernel::packet::Seen;
use crate::name::Mac;
use crate::probe::frame::{Body, Frame, Packet, Payload};
use crate::report::trace::{IcmpWord, Leg};

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
        Body::Echo { reply, id, sequence } if id == mark.id && sequence == mark.sequence => {
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
