//! Messages of nfnetlink (`linux/netfilter/nfnetlink.h`): a header, four bytes of `nfgenmsg`, attributes in attributes.

use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};
use nix::errno::Errno;

pub(super) const REQUEST: u16 = 1;
pub(super) const ACK: u16 = 4;
pub(super) const DUMP: u16 = 0x300;
pub(super) const CREATE: u16 = 0x400;
pub(super) const ERROR: u16 = 2;
pub(super) const DONE: u16 = 3;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
/// `NLA_F_NESTED`
const NESTED: u16 = 0x8000;

/// One attribute, padded.
pub(super) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
    let mut bytes = Vec::with_capacity(value.len() + 8);
    bytes.extend_from_slice(&length.to_ne_bytes());
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// A string with the NUL that the kernel expects.
pub(super) fn text(kind: u16, value: &str) -> Vec<u8> {
    attribute(kind, &[value.as_bytes(), &[0]].concat())
}

/// A number; nftables has them in network order.
pub(super) fn number(kind: u16, value: u32) -> Vec<u8> {
    attribute(kind, &value.to_be_bytes())
}

/// Attributes in an attribute.
pub(super) fn nested(kind: u16, inner: &[Vec<u8>]) -> Vec<u8> {
    attribute(kind | NESTED, &inner.concat())
}

/// A whole message.
pub(super) fn message(kind: u16, flags: u16, sequence: u32, general: [u8; 4], attributes: &[Vec<u8>]) -> Vec<u8> {
    let body = attributes.concat();
    let mut bytes = Vec::with_capacity(20 + body.len());
    bytes.extend_from_slice(&u32::try_from(20 + body.len()).unwrap_or(0).to_ne_bytes());
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(&flags.to_ne_bytes());
    bytes.extend_from_slice(&sequence.to_ne_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&general);
    bytes.extend(body);
    bytes
}

/// Messages that count all or not at all: kind, flags, family, attributes of each.
pub(super) fn batch(parts: &[(u16, u16, u8, Vec<Vec<u8>>)]) -> Vec<u8> {
    let subsystem = [0, 0, 0, 10];
    let mut bytes = message(BATCH_BEGIN, REQUEST, 1, subsystem, &[]);
    for (number, (kind, flags, family, attributes)) in parts.iter().enumerate() {
        let sequence = u32::try_from(number + 2).unwrap_or(0);
        bytes.extend(message(*kind, REQUEST | ACK | flags, sequence, [*family, 0, 0, 0], attributes));
    }
    bytes.extend(message(BATCH_END, REQUEST, u32::MAX, subsystem, &[]));
    bytes
}

pub(super) fn errno(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}

/// A socket in the namespace of the calling thread.
pub(super) fn open() -> Result<Socket, Errno> {
    Socket::new(NETLINK_NETFILTER).map_err(|error| errno(&error))
}

pub(super) fn send(socket: &Socket, bytes: &[u8]) -> Result<(), Errno> {
    socket.send_to(bytes, &SocketAddr::new(0, 0), 0).map(|_| ()).map_err(|error| errno(&error))
}

/// What has come, at most `room` bytes of it.
pub(super) fn receive(socket: &Socket, room: usize) -> Result<Vec<u8>, Errno> {
    let mut datagram: Vec<u8> = Vec::with_capacity(room);
    socket.recv(&mut datagram, 0).map_err(|error| errno(&error))?;
    Ok(datagram)
}

/// Every object that a dump lists, as far as it is one of those wanted.
pub(super) fn dump<T>(get: u16, new: u16, read: impl Fn(&[u8]) -> Option<T>) -> Result<Vec<T>, Errno> {
    let socket = open()?;
    send(&socket, &message(get, REQUEST | DUMP, 1, [0; 4], &[]))?;
    let mut found = Vec::new();
    loop {
        let datagram = receive(&socket, 32 * 1024)?;
        let mut rest = &datagram[..];
        if rest.len() < 16 {
            return Err(Errno::EIO);
        }
        while let Some((kind, body, next)) = split(rest) {
            match kind {
                DONE => return Ok(found),
                ERROR => return Err(refusal(body)),
                kind if kind == new => found.extend(read(body)),
                _ => {}
            }
            rest = next;
        }
    }
}

/// Sends a batch and takes an answer to each of its parts; the first refusal.
pub(super) fn transact(socket: &Socket, parts: &[(u16, u16, u8, Vec<Vec<u8>>)]) -> Result<(), Errno> {
    send(socket, &batch(parts))?;
    let (mut answers, mut failed) = (0, None);
    while answers < parts.len() {
        let datagram = receive(socket, 16 * 1024)?;
        let mut rest = &datagram[..];
        while let Some((kind, body, next)) = split(rest) {
            if kind == ERROR {
                answers += 1;
                let code = refusal(body);
                failed = failed.or((code != Errno::from_raw(0)).then_some(code));
            }
            rest = next;
        }
        if failed.is_some() {
            break;
        }
    }
    failed.map_or(Ok(()), Err)
}

/// The error number of an `NLMSG_ERROR`; 0 is an acknowledgement.
pub(super) fn refusal(body: &[u8]) -> Errno {
    Errno::from_raw(-i32::from_ne_bytes(first(body).unwrap_or([0; 4])))
}

pub(super) fn first(body: &[u8]) -> Option<[u8; 4]> {
    body.get(..4)?.try_into().ok()
}

/// The first message of a datagram: kind, what follows its header, the next messages.
pub(super) fn split(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = u32::from_ne_bytes(first(bytes)?) as usize;
    let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
    let body = bytes.get(16..length)?;
    Some((kind, body, bytes.get(length.next_multiple_of(4)..).unwrap_or(&[])))
}

/// The attributes of a message's body, or of an attribute: kind, value.
pub(super) fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(rest.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(rest.get(2..4)?.try_into().ok()?) & 0x3fff;
        let value = rest.get(4..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some((kind, value))
    })
}

/// A string attribute's value.
pub(super) fn word(value: &[u8]) -> String {
    String::from_utf8_lossy(value).trim_end_matches('\0').to_owned()
}

/// A number attribute's value.
pub(super) fn count(value: &[u8]) -> Option<u32> {
    first(value).map(u32::from_be_bytes)
}
