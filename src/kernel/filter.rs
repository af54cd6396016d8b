//! The packet filter tables (nftables) of a namespace: whose there are, and their end. nslab itself makes none.

use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};
use nix::errno::Errno;

use super::apply::thread;
use super::fault;
use super::observe::is_namespace;
use super::space::{self, Pins, Space};
use crate::error::Result;
use crate::plan::NodeId;

/// Message numbers of `linux/netfilter/nfnetlink.h` and `nf_tables.h`: the subsystem is the high byte.
const GET_TABLE: u16 = 10 << 8 | 1;
const NEW_TABLE: u16 = 10 << 8;
const DEL_TABLE: u16 = 10 << 8 | 2;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
/// `NFTA_TABLE_NAME`
const TABLE_NAME: u16 = 1;
const REQUEST: u16 = 1;
const ACK: u16 = 4;
const DUMP: u16 = 0x300;
const ERROR: u16 = 2;
const DONE: u16 = 3;

/// A table: its family as in `nfgenmsg`, its name.
type Table = (u8, String);

/// The family as `nft` writes it.
fn family(number: u8) -> &'static str {
    match number {
        1 => "inet",
        2 => "ip",
        3 => "arp",
        5 => "netdev",
        7 => "bridge",
        10 => "ip6",
        _ => "other",
    }
}

/// The tables of all these nodes; a kernel without nftables has none.
pub fn tables(pins: &Pins, nodes: &[NodeId]) -> Vec<(NodeId, String, String)> {
    let there: Vec<&NodeId> = nodes.iter().filter(|node| is_namespace(&pins.pin(node))).collect();
    let found = thread(|| {
        let mut found = Vec::new();
        for node in there {
            let Ok(_here) = Space::open(&pins.pin(node), node) else { continue };
            let Ok(tables) = list() else { continue };
            found.extend(tables.into_iter().map(|(number, name)| (node.clone(), family(number).to_owned(), name)));
        }
        found
    });
    found.unwrap_or_default()
}

/// Deletes every table of these nodes; how many there were.
pub fn flush(pins: &Pins, nodes: &[NodeId]) -> Result<usize> {
    let there: Vec<&NodeId> = nodes.iter().filter(|node| is_namespace(&pins.pin(node))).collect();
    thread(|| {
        let mut count = 0;
        for node in there {
            let _here = Space::open(&pins.pin(node), node)?;
            let tables = list().unwrap_or_default();
            count += tables.len();
            if !tables.is_empty() {
                delete(&tables).map_err(|errno| space::error(node, "nft flush ruleset", errno))?;
            }
        }
        Ok(count)
    })?
}

fn errno(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}

fn open() -> std::result::Result<Socket, Errno> {
    Socket::new(NETLINK_NETFILTER).map_err(|error| errno(&error))
}

/// A message: header, `nfgenmsg`, attributes.
fn message(kind: u16, flags: u16, sequence: u32, general: [u8; 4], name: Option<&str>) -> Vec<u8> {
    let mut body = general.to_vec();
    if let Some(name) = name {
        let length = u16::try_from(name.len() + 5).unwrap_or(u16::MAX);
        body.extend_from_slice(&length.to_ne_bytes());
        body.extend_from_slice(&TABLE_NAME.to_ne_bytes());
        body.extend_from_slice(name.as_bytes());
        body.push(0);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    let mut bytes = Vec::with_capacity(16 + body.len());
    bytes.extend_from_slice(&u32::try_from(16 + body.len()).unwrap_or(0).to_ne_bytes());
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(&flags.to_ne_bytes());
    bytes.extend_from_slice(&sequence.to_ne_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend(body);
    bytes
}

fn send(socket: &Socket, bytes: &[u8]) -> std::result::Result<(), Errno> {
    socket.send_to(bytes, &SocketAddr::new(0, 0), 0).map(|_| ()).map_err(|error| errno(&error))
}

/// The tables of the calling thread's namespace.
fn list() -> std::result::Result<Vec<Table>, Errno> {
    let socket = open()?;
    send(&socket, &message(GET_TABLE, REQUEST | DUMP, 1, [0; 4], None))?;
    let mut tables = Vec::new();
    loop {
        let mut datagram: Vec<u8> = Vec::with_capacity(32 * 1024);
        socket.recv(&mut datagram, 0).map_err(|error| errno(&error))?;
        let mut rest = &datagram[..];
        if rest.len() < 16 {
            return Err(Errno::EIO);
        }
        while let Some((kind, body, next)) = split(rest) {
            match kind {
                DONE => return Ok(tables),
                ERROR => return Err(Errno::from_raw(-i32::from_ne_bytes(first(body).unwrap_or([0; 4])))),
                NEW_TABLE => tables.extend(table(body)),
                _ => {}
            }
            rest = next;
        }
    }
}

fn first(body: &[u8]) -> Option<[u8; 4]> {
    body.get(..4)?.try_into().ok()
}

/// The first message of a datagram: kind, what follows its header, the next messages.
fn split(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = u32::from_ne_bytes(first(bytes)?) as usize;
    let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
    let body = bytes.get(16..length)?;
    Some((kind, body, bytes.get(length.next_multiple_of(4)..).unwrap_or(&[])))
}

fn table(body: &[u8]) -> Option<Table> {
    let family = *body.first()?;
    let mut rest = body.get(4..)?;
    loop {
        let length = usize::from(u16::from_ne_bytes(rest.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(rest.get(2..4)?.try_into().ok()?) & 0x3fff;
        let value = rest.get(4..length)?;
        if kind == TABLE_NAME {
            return Some((family, String::from_utf8_lossy(value).trim_end_matches('\0').to_owned()));
        }
        rest = rest.get(length.next_multiple_of(4)..)?;
    }
}

/// Deletes tables of the calling thread's namespace, all in one transaction.
fn delete(tables: &[Table]) -> std::result::Result<(), Errno> {
    let socket = open()?;
    let subsystem = [0, 0, 0, 10];
    let mut bytes = message(BATCH_BEGIN, REQUEST, 1, subsystem, None);
    for (number, (family, name)) in tables.iter().enumerate() {
        let sequence = u32::try_from(number + 2).unwrap_or(0);
        bytes.extend(message(DEL_TABLE, REQUEST | ACK, sequence, [*family, 0, 0, 0], Some(name)));
    }
    bytes.extend(message(BATCH_END, REQUEST, u32::MAX, subsystem, None));
    fault::point()?;
    send(&socket, &bytes)?;
    let mut failed = None;
    for _ in tables {
        let mut datagram: Vec<u8> = Vec::with_capacity(8 * 1024);
        socket.recv(&mut datagram, 0).map_err(|error| errno(&error))?;
        if let Some((ERROR, body, _)) = split(&datagram) {
            let code = i32::from_ne_bytes(first(body).unwrap_or([0; 4]));
            if code != 0 {
                failed = Some(Errno::from_raw(-code));
            }
        }
    }
    failed.map_or(Ok(()), Err)
}
