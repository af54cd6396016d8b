//! Echo requests as bytes, and what comes back of them. Everything that comes back is untrusted.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::report::ping::{Family, Fault};

/// Bytes of an ICMP echo header (RFC 792, RFC 4443).
pub const HEADER: usize = 8;
/// The first byte of an IPv4 option (RFC 791).
const END: u8 = 0;
const NO_OPERATION: u8 = 1;
const RECORD_ROUTE: u8 = 7;

/// What tells the requests of one run from all others: the identifier, and the beginning of the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// The identifier of the echo header.
    pub id: u16,
    /// The payload begins so, as far as it reaches.
    pub magic: [u8; 8],
}

/// The record route option of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slots {
    /// What is written in it.
    pub addresses: Vec<Ipv4Addr>,
    /// No slot is free.
    pub full: bool,
}

/// What came back of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It was answered.
    Reply {
        /// The request's sequence number.
        sequence: u16,
        /// The time to live that was left.
        ttl: Option<u8>,
        /// Bytes of the ICMP message.
        bytes: usize,
        /// The record route option, if there is one.
        slots: Option<Slots>,
    },
    /// It went no further, or another way.
    Error {
        /// The request's sequence number.
        sequence: u16,
        /// Where it was going.
        to: IpAddr,
        /// What happened.
        fault: Fault,
    },
}

/// An echo request with so many bytes of payload.
pub fn request(family: Family, key: Key, sequence: u16, size: usize) -> Vec<u8> {
    let mut message = Vec::with_capacity(HEADER + size);
    message.push(if family == Family::Ipv4 { 8 } else { 128 });
    message.extend_from_slice(&[0; 3]);
    message.extend_from_slice(&key.id.to_be_bytes());
    message.extend_from_slice(&sequence.to_be_bytes());
    message.extend((0..size).map(|at| key.magic.get(at).copied().unwrap_or_else(|| at.to_le_bytes()[0])));
    if family == Family::Ipv4 {
        let sum = checksum(&message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    message
}

/// The Internet checksum (RFC 1071).
pub fn checksum(bytes: &[u8]) -> u16 {
    let word = |pair: &[u8]| u64::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
    let mut sum: u64 = bytes.chunks(2).map(word).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}

/// Reads an IPv4 datagram, with its header, as a raw socket delivers it; none where it is not about a request with the key.
pub fn read4(datagram: &[u8], key: Key) -> Option<Answer> {
    let length = header4(datagram)?;
    let message = datagram.get(length..)?;
    match *message.first()? {
        0 => {
            let sequence = echo(message, key)?;
            let slots = slots(datagram.get(20..length)?);
            Some(Answer::Reply { sequence, ttl: Some(datagram[8]), bytes: message.len(), slots })
        }
        kind => {
            let quoted = message.get(HEADER..)?;
            let inner = quoted.get(header4(quoted)?..)?;
            // A fragment other than the first has no echo header.
            let later = u16::from_be_bytes([quoted[6], quoted[7]]) & 0x1fff != 0;
            if quoted[9] != 1 || later || *inner.first()? != 8 {
                return None;
            }
            let sequence = echo(inner, key)?;
            let to = Ipv4Addr::new(quoted[16], quoted[17], quoted[18], quoted[19]).into();
            Some(Answer::Error { sequence, to, fault: fault4(kind, message)? })
        }
    }
}

/// Reads an `ICMPv6` message as a raw socket delivers it; none where it is not about a request with the key.
pub fn read6(message: &[u8], hop_limit: Option<u8>, key: Key) -> Option<Answer> {
    match *message.first()? {
        129 => Some(Answer::Reply { sequence: echo(message, key)?, ttl: hop_limit, bytes: message.len(), slots: None }),
        kind @ 1..=4 => {
            let quoted = message.get(HEADER..)?;
            let to: [u8; 16] = quoted.get(24..40)?.try_into().ok()?;
            let inner = echo6(quoted)?;
            if *inner.first()? != 128 {
                return None;
            }
            let sequence = echo(inner, key)?;
            Some(Answer::Error { sequence, to: Ipv6Addr::from(to).into(), fault: fault6(kind, message)? })
        }
        _ => None,
    }
}

/// The `ICMPv6` message in a quoted packet, behind the fragment header that a large one has.
fn echo6(quoted: &[u8]) -> Option<&[u8]> {
    const FRAGMENT: u8 = 44;
    const ICMPV6: u8 = 58;
    let body = quoted.get(40..)?;
    match quoted[6] {
        ICMPV6 => Some(body),
        FRAGMENT if *body.first()? == ICMPV6 && u16::from_be_bytes([*body.get(2)?, *body.get(3)?]) & 0xfff8 == 0 => body.get(8..),
        _ => None,
    }
}

/// Bytes of an IPv4 header.
fn header4(packet: &[u8]) -> Option<usize> {
    let first = *packet.first()?;
    let length = usize::from(first & 15) * 4;
    (first >> 4 == 4 && length >= 20 && packet.len() >= length).then_some(length)
}

/// The sequence number of an echo message with the key, of which the end may be missing.
fn echo(message: &[u8], key: Key) -> Option<u16> {
    let id = u16::from_be_bytes([*message.get(4)?, *message.get(5)?]);
    let sequence = u16::from_be_bytes([*message.get(6)?, *message.get(7)?]);
    let same = message[HEADER..].iter().zip(key.magic).all(|(byte, magic)| *byte == magic);
    (id == key.id && same).then_some(sequence)
}

fn fault4(kind: u8, message: &[u8]) -> Option<Fault> {
    let code = *message.get(1)?;
    Some(match (kind, code) {
        (3, 0 | 6) => Fault::NetUnreachable,
        (3, 1 | 7) => Fault::HostUnreachable,
        (3, 2) => Fault::ProtocolUnreachable,
        (3, 3) => Fault::PortUnreachable,
        // The next hop's MTU (RFC 1191).
        (3, 4) => Fault::TooBig { mtu: u32::from(u16::from_be_bytes([message[6], message[7]])) },
        (3, 9 | 10 | 13) => Fault::Prohibited,
        (5, _) => Fault::Redirect { gateway: Ipv4Addr::new(message[4], message[5], message[6], message[7]).into() },
        (11, 0) => Fault::TimeExceeded,
        (11, 1) => Fault::FragmentsMissing,
        _ => Fault::Other { kind, code },
    })
}

fn fault6(kind: u8, message: &[u8]) -> Option<Fault> {
    let code = *message.get(1)?;
    Some(match (kind, code) {
        (1, 0) => Fault::NetUnreachable,
        (1, 1 | 5 | 6) => Fault::Prohibited,
        (1, 3) => Fault::HostUnreachable,
        (1, 4) => Fault::PortUnreachable,
        (2, _) => Fault::TooBig { mtu: u32::from_be_bytes(message.get(4..8)?.try_into().ok()?) },
        (3, 0) => Fault::TimeExceeded,
        (3, 1) => Fault::FragmentsMissing,
        _ => Fault::Other { kind, code },
    })
}

/// What is written in the record route option among the options of a header.
pub fn slots(mut options: &[u8]) -> Option<Slots> {
    loop {
        match *options.first()? {
            END => return None,
            NO_OPERATION => options = &options[1..],
            kind => {
                let length = usize::from(*options.get(1)?);
                let option = options.get(..length).filter(|option| option.len() >= 2)?;
                if kind == RECORD_ROUTE {
                    return record_route(option);
                }
                options = &options[length..];
            }
        }
    }
}

/// The pointer counts from 1 and points behind what is written.
fn record_route(option: &[u8]) -> Option<Slots> {
    let pointer = usize::from(*option.get(2)?);
    let written = option.get(3..pointer.saturating_sub(1).clamp(3, option.len()))?;
    let addresses = written.chunks_exact(4).map(|four| Ipv4Addr::new(four[0], four[1], four[2], four[3])).collect();
    Some(Slots { addresses, full: pointer + 3 > option.len() })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const KEY: Key = Key { id: 0x1234, magic: *b"nslab-01" };

    fn ip(ttl: u8, options: &[u8], to: [u8; 4], body: &[u8]) -> Vec<u8> {
        let words = u8::try_from(5 + options.len() / 4).unwrap();
        let mut packet = vec![0x40 | words, 0, 0, 0, 0, 0, 0, 0, ttl, 1, 0, 0, 10, 0, 0, 1];
        packet.extend(to);
        packet.extend(options);
        packet.extend(body);
        packet
    }

    fn reply(sequence: u16) -> Vec<u8> {
        let mut message = request(Family::Ipv4, KEY, sequence, 16);
        message[0] = 0;
        message
    }

    #[test]
    fn a_request_has_a_right_checksum_and_its_size() {
        for size in [0, 1, 8, 55, 56, 1472] {
            let message = request(Family::Ipv4, KEY, 7, size);
            assert_eq!(message.len(), HEADER + size);
            assert_eq!(checksum(&message), 0, "size {size}");
        }
        // The example of RFC 1071, section 3.
        assert_eq!(checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
    }

    #[test]
    fn an_answer_is_known_by_identifier_and_payload() {
        let packet = ip(63, &[], [10, 0, 0, 2], &reply(9));
        let answer = Answer::Reply { sequence: 9, ttl: Some(63), bytes: 24, slots: None };
        assert_eq!(read4(&packet, KEY), Some(answer));
        assert_eq!(read4(&packet, Key { id: 1, ..KEY }), None);
        assert_eq!(read4(&packet, Key { magic: *b"nslab-02", ..KEY }), None);
        let mut six = request(Family::Ipv6, KEY, 3, 0);
        six[0] = 129;
        assert_eq!(read6(&six, Some(60), KEY), Some(Answer::Reply { sequence: 3, ttl: Some(60), bytes: 8, slots: None }));
    }

    #[test]
    fn an_error_is_matched_by_the_header_that_it_quotes() {
        let error = |kind: u8, code: u8, rest: [u8; 4], quoted: &[u8]| {
            let mut message = vec![kind, code, 0, 0];
            message.extend(rest);
            message.extend(quoted);
            ip(64, &[], [10, 0, 0, 1], &message)
        };
        let quoted = ip(1, &[], [8, 8, 8, 8], &request(Family::Ipv4, KEY, 5, 56));
        let told = |fault| Some(Answer::Error { sequence: 5, to: [8, 8, 8, 8].into(), fault });
        // Routers quote 8 bytes of the message at least (RFC 792), without payload.
        for quoted in [&quoted[..], &quoted[..28]] {
            assert_eq!(read4(&error(11, 0, [0; 4], quoted), KEY), told(Fault::TimeExceeded));
            assert_eq!(read4(&error(3, 4, [0, 0, 5, 0xdc], quoted), KEY), told(Fault::TooBig { mtu: 1500 }));
        }
        assert_eq!(read4(&error(3, 1, [0; 4], &quoted[..27]), KEY), None);
        let other = ip(1, &[], [8, 8, 8, 8], &reply(5));
        assert_eq!(read4(&error(11, 0, [0; 4], &other), KEY), None, "it quotes no request");
    }

    #[test]
    fn record_route_is_read_up_to_its_pointer() {
        let mut option = vec![7, 39, 12, 10, 0, 0, 1, 10, 0, 0, 2];
        option.resize(40, 0);
        let read = slots(&option).unwrap();
        assert_eq!(read.addresses, [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)]);
        assert!(!read.full);
        option[2] = 40;
        let read = slots(&option).unwrap();
        assert!(read.full && read.addresses.len() == 9);
        assert_eq!(
            slots(&[1, 1, 1, 7, 7, 8, 1, 2, 3, 4, 0, 0]).unwrap(),
            Slots { addresses: vec![[1, 2, 3, 4].into()], full: true }
        );
        assert_eq!(slots(&[0, 7, 7, 8, 1, 2, 3, 4]), None);
    }

    #[test]
    fn no_bytes_make_the_readers_panic() {
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        let mut roll = move || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed
        };
        let mut option = vec![7, 39, 12, 10, 0, 0, 1, 10, 0, 0, 2];
        option.resize(40, 0);
        let quoted = ip(1, &option, [8, 8, 8, 8], &request(Family::Ipv4, KEY, 5, 56));
        let four = ip(64, &option, [10, 0, 0, 1], &[&[11, 0, 0, 0, 0, 0, 0, 0][..], &quoted].concat());
        let six =
            [&[3, 0, 0, 0, 0, 0, 0, 0][..], &[0x60, 0, 0, 0, 0, 0, 58, 1], &[0; 32], &request(Family::Ipv6, KEY, 1, 9)].concat();
        assert!(read4(&four, KEY).is_some() && read6(&six, None, KEY).is_some());
        for _ in 0..100_000 {
            for whole in [&four, &six] {
                let mut bytes = whole.clone();
                for _ in 0..=roll() % 6 {
                    let at = usize::try_from(roll()).unwrap() % bytes.len();
                    bytes[at] = roll().to_le_bytes()[0];
                }
                bytes.truncate(usize::try_from(roll()).unwrap() % (bytes.len() + 1));
                let _ = (read4(&bytes, KEY), read6(&bytes, None, KEY), slots(&bytes));
            }
        }
    }
}
