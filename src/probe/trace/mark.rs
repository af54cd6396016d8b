//! What tells a probe, its reply and the errors about them from all other packets.

use crate::probe::frame::{Body, Packet};
use crate::report::trace::Direction;

/// `SYN`, `RST` and `ACK` among the flags of TCP (RFC 9293).
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;
/// Port unreachable, of ICMP (RFC 792) and of `ICMPv6` (RFC 4443).
const PORT: u8 = 3;
const PORT6: u8 = 4;

/// What tells a probe from other packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// An echo request by its header.
    Echo {
        /// The identifier.
        id: u16,
        /// The sequence number.
        sequence: u16,
    },
    /// A packet of TCP or UDP by its port.
    Ports {
        /// UDP instead of TCP.
        udp: bool,
        /// The port that it comes from.
        from: u16,
    },
}

impl Mark {
    /// Which of the two a packet is.
    pub fn leg(self, packet: &Packet) -> Option<Direction> {
        match (self, &packet.body) {
            (Self::Echo { id, sequence }, Body::Echo { reply, id: own, sequence: number, .. }) => {
                let leg = if *reply { Direction::Reply } else { Direction::Request };
                (*own == id && *number == sequence).then_some(leg)
            }
            (Self::Ports { udp: false, .. }, Body::Tcp { source, destination, flags, .. }) => {
                // What comes after the answer, or is told again in its quote, is not looked at.
                let begins = flags & (SYN | ACK | RST) == SYN || *flags == 0;
                let answers = flags & RST != 0 || flags & (SYN | ACK) == SYN | ACK;
                self.between(*source, *destination).filter(|leg| match leg {
                    Direction::Request => begins,
                    Direction::Reply => answers,
                })
            }
            (Self::Ports { udp: true, .. }, Body::Udp { source, destination, .. }) => self.between(*source, *destination),
            // Nobody listens: that is the reply.
            (Self::Ports { udp: true, .. }, Body::Unreachable { code, quoted: Some(quoted), .. }) => {
                let port = if packet.source.is_ipv4() { PORT } else { PORT6 };
                let ours = self.leg(quoted) == Some(Direction::Request) && quoted.destination == packet.source;
                (*code == port && ours).then_some(Direction::Reply)
            }
            _ => None,
        }
    }

    /// By the port of the sender alone: a packet filter may translate all that is the other end's.
    fn between(self, source: u16, destination: u16) -> Option<Direction> {
        let Self::Ports { from, .. } = self else { return None };
        let reply = || (destination == from).then_some(Direction::Reply);
        if source == from { Some(Direction::Request) } else { reply() }
    }

    /// Whether a reply says that nobody listens.
    pub fn refuses(packet: &Packet) -> bool {
        match packet.body {
            Body::Tcp { flags, .. } => flags & RST != 0,
            Body::Unreachable { .. } => true,
            _ => false,
        }
    }
}
