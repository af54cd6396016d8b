//! Echo requests: as bytes, what comes back of them, and those from one node to one address. What comes back is untrusted.

pub mod all;
mod rounds;
pub mod stations;

use std::hash::{BuildHasher, Hasher};
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::frame::{Body, Packet, Recorded};
use crate::error::{Error, Result};
use crate::kernel::sockets::{self, Datagram, Echo, Manner};
use crate::kernel::sys;
use crate::report::probe::{Family, Fault};

/// Larger than any datagram (RFC 791).
pub const LARGEST: usize = 65_536;
/// Bytes of an ICMP echo header (RFC 792, RFC 4443).
const HEADER: usize = 8;

/// What tells the requests of one run from all others: the identifier, and the beginning of the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// The identifier of the echo header.
    pub id: u16,
    /// The payload begins so, as far as it reaches.
    pub magic: [u8; 8],
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
        route: Option<Recorded>,
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

/// A key that no other run has.
pub fn key() -> Key {
    let random = || std::collections::hash_map::RandomState::new().build_hasher().finish().to_be_bytes();
    let [high, low, ..] = random();
    Key { id: u16::from_be_bytes([high, low]), magic: random() }
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
fn checksum(bytes: &[u8]) -> u16 {
    let word = |pair: &[u8]| u64::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
    let mut sum: u64 = bytes.chunks(2).map(word).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}

/// What a socket has heard at the beginning of a buffer, with the identifier of the request that it is about; none where it
/// is about no request with that payload.
pub fn answer(heard: &Datagram, buffer: &[u8], magic: [u8; 8]) -> Option<(u16, Answer)> {
    let bytes = buffer.get(..heard.length).unwrap_or(buffer);
    let (body, ttl, route, header) = match Family::from_address(heard.from) {
        Family::Ipv4 => {
            let packet = Packet::decode(bytes)?;
            (packet.body, Some(packet.ttl), packet.route, usize::from(bytes[0] & 15) * 4)
        }
        // The kernel takes the IPv6 header away.
        Family::Ipv6 => (Body::icmp6(bytes), heard.hop_limit, None, 0),
    };
    let ours = |payload: &[u8]| payload.iter().zip(magic).all(|(byte, magic)| *byte == magic);
    if let Body::Echo { reply: true, id, sequence, payload } = body {
        let bytes = bytes.len().saturating_sub(header);
        return ours(&payload).then_some((id, Answer::Reply { sequence, ttl, bytes, route }));
    }
    let (fault, quoted) = fault(body, heard.from.is_ipv6())?;
    let Packet { destination: to, body: Body::Echo { reply: false, id, sequence, payload }, .. } = *quoted? else { return None };
    ours(&payload).then_some((id, Answer::Error { sequence, to, fault }))
}

/// What an error message says, with the packet that it is about.
fn fault(body: Body, ipv6: bool) -> Option<(Fault, Option<Box<Packet>>)> {
    let error = match body {
        Body::Unreachable { code, mtu, quoted } => {
            let fault = match (ipv6, code) {
                (false, 0 | 6) | (true, 0) => Fault::NetUnreachable,
                (false, 1 | 7) | (true, 3) => Fault::HostUnreachable,
                (false, 2) => Fault::ProtocolUnreachable,
                (false, 3) | (true, 4) => Fault::PortUnreachable,
                // The next hop's MTU (RFC 1191).
                (false, 4) => Fault::TooBig { mtu: mtu.unwrap_or_default().into() },
                (false, 9 | 10 | 13) | (true, 1 | 5 | 6) => Fault::Prohibited,
                (_, code) => Fault::Other { kind: if ipv6 { 1 } else { 3 }, code },
            };
            (fault, quoted)
        }
        Body::TimeExceeded { code, quoted } => {
            let fault = match code {
                0 => Fault::TimeExceeded,
                1 => Fault::FragmentsMissing,
                code => Fault::Other { kind: if ipv6 { 3 } else { 11 }, code },
            };
            (fault, quoted)
        }
        Body::TooBig { mtu, quoted } => (Fault::TooBig { mtu }, quoted),
        Body::Redirect { gateway, quoted } => (Fault::Redirect { gateway }, quoted),
        Body::Icmp { kind, code, quoted } => (Fault::Other { kind, code }, quoted),
        Body::Echo { .. }
        | Body::Solicitation { .. }
        | Body::Advertisement { .. }
        | Body::Udp { .. }
        | Body::Tcp { .. }
        | Body::Part
        | Body::Other
        | Body::Short => return None,
    };
    Some(error)
}

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
    let echo = Echo::open(&order.pin, &order.node, Family::from_address(order.to), order.manner)?;
    let mut run = Run { order, echo, key: key(), sent: Vec::new(), buffer: vec![0; LARGEST], too_big: false };
    let done = run.all(each);
    if run.too_big {
        sockets::forget_mtu(&order.pin, &order.node, order.to)?;
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
        let message = request(Family::from_address(order.to), self.key, number, order.size);
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
        super::wait([self.echo.as_fd()].into_iter(), Some(left)).map(drop).map_err(|errno| self.failed("poll", errno))
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::Ipv4Addr;

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

    fn read(from: IpAddr, bytes: &[u8], hop_limit: Option<u8>, key: Key) -> Option<Answer> {
        let heard = Datagram { from, hop_limit, length: bytes.len() };
        answer(&heard, bytes, key.magic).filter(|(id, _)| *id == key.id).map(|(_, answer)| answer)
    }

    fn read4(bytes: &[u8], key: Key) -> Option<Answer> {
        read([10, 0, 0, 2].into(), bytes, None, key)
    }

    fn read6(bytes: &[u8], hop_limit: Option<u8>, key: Key) -> Option<Answer> {
        read("fd00::2".parse().unwrap(), bytes, hop_limit, key)
    }

    /// The record route option of a datagram with these options.
    fn recorded(options: &[u8]) -> Option<Recorded> {
        match read4(&ip(63, options, [10, 0, 0, 2], &reply(9)), KEY)? {
            Answer::Reply { route, .. } => route,
            Answer::Error { .. } => None,
        }
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
        let answer = Answer::Reply { sequence: 9, ttl: Some(63), bytes: 24, route: None };
        assert_eq!(read4(&packet, KEY), Some(answer));
        assert_eq!(read4(&packet, Key { id: 1, ..KEY }), None);
        assert_eq!(read4(&packet, Key { magic: *b"nslab-02", ..KEY }), None);
        let mut six = request(Family::Ipv6, KEY, 3, 0);
        six[0] = 129;
        assert_eq!(read6(&six, Some(60), KEY), Some(Answer::Reply { sequence: 3, ttl: Some(60), bytes: 8, route: None }));
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
        let expected = |fault| Some(Answer::Error { sequence: 5, to: [8, 8, 8, 8].into(), fault });
        // Routers quote 8 bytes of the message at least (RFC 792), without payload.
        for quoted in [&quoted[..], &quoted[..28]] {
            assert_eq!(read4(&error(11, 0, [0; 4], quoted), KEY), expected(Fault::TimeExceeded));
            assert_eq!(read4(&error(3, 4, [0, 0, 5, 0xdc], quoted), KEY), expected(Fault::TooBig { mtu: 1500 }));
        }
        assert_eq!(read4(&error(3, 1, [0; 4], &quoted[..27]), KEY), None);
        let other = ip(1, &[], [8, 8, 8, 8], &reply(5));
        assert_eq!(read4(&error(11, 0, [0; 4], &other), KEY), None, "it quotes no request");
    }

    #[test]
    fn record_route_is_read_up_to_its_pointer() {
        let mut option = vec![7, 39, 12, 10, 0, 0, 1, 10, 0, 0, 2];
        option.resize(40, 0);
        let read = recorded(&option).unwrap();
        assert_eq!(read.addresses, [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)]);
        assert!(read.free > 0);
        option[2] = 40;
        let read = recorded(&option).unwrap();
        assert!(read.free == 0 && read.addresses.len() == 9);
        assert_eq!(
            recorded(&[1, 1, 1, 7, 7, 8, 1, 2, 3, 4, 0, 0]).unwrap(),
            Recorded { addresses: vec![[1, 2, 3, 4].into()], free: 0 }
        );
        assert_eq!(recorded(&[0, 7, 7, 8, 1, 2, 3, 4]), None);
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
                let _ = (read4(&bytes, KEY), read6(&bytes, None, KEY));
            }
        }
    }
}
