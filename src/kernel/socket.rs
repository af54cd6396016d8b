//! A netlink socket in one namespace: batches of serialized requests out, errors back.
//!
//! The kernel works through a batch before `send` returns, so what is then in the receive queue is all there is to hear:
//! no acknowledgement is asked for, and silence means success.

use std::os::fd::{AsRawFd, RawFd};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_ACK_TLVS, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkBuffer, NetlinkHeader, NetlinkMessage,
    NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::errno::Errno;

use super::fault;
use super::sys::fd;

/// Most bytes of one batch; the kernel takes what fits the socket's send buffer (212992 by default).
const BATCH: usize = 60 * 1024;

/// Most requests of one batch: their answers must fit the receive buffer.
pub const REQUESTS: usize = 64;

/// `linux/netlink.h`
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;

/// A request that failed.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// What the caller named the request.
    pub tag: usize,
    /// The error number.
    pub errno: Errno,
    /// The kernel's own sentence.
    pub said: Option<String>,
}

/// A socket that stays in the namespace it was opened in.
#[derive(Debug)]
pub struct Netlink {
    socket: Socket,
    out: Vec<u8>,
    tags: Vec<usize>,
    first: u32,
}

fn errno(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}

impl Netlink {
    /// Opens a socket in the calling thread's namespace.
    pub fn open() -> Result<Self, Errno> {
        let socket = Socket::new(NETLINK_ROUTE).map_err(|error| errno(&error))?;
        let _ = socket.set_ext_ack(true);
        let _ = socket.set_cap_ack(true);
        Ok(Self { socket, out: Vec::new(), tags: Vec::new(), first: 1 })
    }

    /// The file descriptor.
    pub fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// Whether an interface has the index: no message, and less than a microsecond.
    pub fn has_index(&self, index: u32) -> bool {
        fd::has_index(&self.socket, index)
    }

    /// Adds a request to the batch; `tag` names it in a refusal.
    ///
    /// # Errors
    /// Refusals of a batch that had to be sent to make room.
    pub fn push(&mut self, payload: RouteNetlinkMessage, flags: u16, tag: usize) -> Result<Vec<Refusal>, Errno> {
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        header.sequence_number = self.first + u32::try_from(self.tags.len()).unwrap_or(0);
        let mut message = NetlinkMessage::new(header, NetlinkPayload::from(payload));
        message.finalize();
        let length = message.buffer_len();
        let refused = if self.out.len() + length > BATCH || self.tags.len() >= REQUESTS { self.flush()? } else { Vec::new() };
        if !refused.is_empty() || self.out.is_empty() {
            message.header.sequence_number = self.first;
        }
        let start = self.out.len();
        self.out.resize(start + length.next_multiple_of(4), 0);
        message.serialize(&mut self.out[start..start + length]);
        self.tags.push(tag);
        Ok(refused)
    }

    /// Adds a request that is already serialized, but for its header, as [`Self::push`] does.
    pub fn push_raw(&mut self, kind: u16, body: &[u8], flags: u16, tag: usize) -> Result<Vec<Refusal>, Errno> {
        let length = (16 + body.len()).next_multiple_of(4);
        let full = self.out.len() + length > BATCH || self.tags.len() >= REQUESTS;
        let refused = if full { self.flush()? } else { Vec::new() };
        let sequence = self.first + u32::try_from(self.tags.len()).unwrap_or(0);
        self.out.extend_from_slice(&header(kind, NLM_F_REQUEST | flags, sequence, body.len()));
        self.out.extend_from_slice(body);
        self.out.resize(self.out.len().next_multiple_of(4), 0);
        self.tags.push(tag);
        Ok(refused)
    }

    /// Every object of a dump as its kind and the bytes behind the header; taken again as in [`Self::dump`].
    pub fn dump_raw(&mut self, kind: u16, body: &[u8]) -> Result<Vec<(u16, Vec<u8>)>, Errno> {
        for _ in 0..5 {
            match self.dump_raw_once(kind, body) {
                Err(Errno::EINTR) => {}
                other => return other,
            }
        }
        Err(Errno::EINTR)
    }

    fn dump_raw_once(&mut self, kind: u16, body: &[u8]) -> Result<Vec<(u16, Vec<u8>)>, Errno> {
        let mut bytes = header(kind, NLM_F_REQUEST | NLM_F_DUMP, self.first, body.len()).to_vec();
        bytes.extend_from_slice(body);
        self.first += 1;
        self.send(&bytes)?;
        let (mut found, mut torn) = (Vec::new(), false);
        while let Some(datagram) = self.receive(0)? {
            let mut rest = datagram.as_slice();
            while let [l0, l1, l2, l3, k0, k1, f0, f1, ..] = *rest {
                let length = u32::from_ne_bytes([l0, l1, l2, l3]) as usize;
                let Some(body) = rest.get(16..length) else { return Err(Errno::EBADMSG) };
                torn |= u16::from_ne_bytes([f0, f1]) & NLM_F_DUMP_INTR != 0;
                match u16::from_ne_bytes([k0, k1]) {
                    NLMSG_DONE if torn => return Err(Errno::EINTR),
                    NLMSG_DONE => return Ok(found),
                    NLMSG_ERROR => {
                        let code = body.get(..4).and_then(|code| code.try_into().ok()).map_or(0, i32::from_ne_bytes);
                        return Err(Errno::from_raw(-code));
                    }
                    kind => found.push((kind, body.to_vec())),
                }
                rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
            }
        }
        Err(Errno::EBADMSG)
    }

    /// Sends the batch and collects what the kernel refused.
    pub fn flush(&mut self) -> Result<Vec<Refusal>, Errno> {
        if self.out.is_empty() {
            return Ok(Vec::new());
        }
        let (first, tags) = (self.first, std::mem::take(&mut self.tags));
        self.first += u32::try_from(tags.len()).unwrap_or(0);
        let out = std::mem::take(&mut self.out);
        fault::point()?;
        self.send(&out)?;
        let mut refused = Vec::new();
        while let Some(datagram) = self.receive(libc::MSG_DONTWAIT)? {
            each(&datagram, |message, bytes| {
                if let NetlinkPayload::Error(error) = &message.payload {
                    let index = message.header.sequence_number.wrapping_sub(first) as usize;
                    if let (Some(tag), Some(code)) = (tags.get(index), error.code) {
                        let errno = Errno::from_raw(-code.get());
                        refused.push(Refusal { tag: *tag, errno, said: sentence(message, bytes) });
                    }
                }
                true
            });
        }
        Ok(refused)
    }

    fn send(&self, bytes: &[u8]) -> Result<(), Errno> {
        let kernel = SocketAddr::new(0, 0);
        for _ in 0..8 {
            match self.socket.send_to(bytes, &kernel, 0).map_err(|error| errno(&error)) {
                Ok(_) => return Ok(()),
                Err(Errno::EINTR | Errno::EAGAIN) => {}
                Err(errno) => return Err(errno),
            }
        }
        Err(Errno::EAGAIN)
    }

    fn receive(&self, flags: i32) -> Result<Option<Vec<u8>>, Errno> {
        loop {
            let mut datagram = Vec::with_capacity(32 * 1024);
            match self.socket.recv(&mut datagram, flags).map_err(|error| errno(&error)) {
                Ok(_) => return Ok(Some(datagram)),
                Err(Errno::EAGAIN) => return Ok(None),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }

    /// Every object that a dump request lists; a dump that changed under way is taken again, five times at most.
    pub fn dump(&mut self, payload: &RouteNetlinkMessage) -> Result<Vec<RouteNetlinkMessage>, Errno> {
        for _ in 0..5 {
            match self.dump_once(payload.clone()) {
                Err(Errno::EINTR) => {}
                other => return other,
            }
        }
        Err(Errno::EINTR)
    }

    fn dump_once(&mut self, payload: RouteNetlinkMessage) -> Result<Vec<RouteNetlinkMessage>, Errno> {
        self.request(payload, NLM_F_DUMP)?;
        let (mut found, mut failed, mut done, mut torn) = (Vec::new(), None, false, false);
        while !done {
            let Some(datagram) = self.receive(0)? else { break };
            each(&datagram, |message, _| {
                torn |= message.header.flags & NLM_F_DUMP_INTR != 0;
                match &message.payload {
                    NetlinkPayload::InnerMessage(inner) => found.push(inner.clone()),
                    NetlinkPayload::Done(_) => done = true,
                    NetlinkPayload::Error(error) => {
                        failed = error.code.map(|code| Errno::from_raw(-code.get()));
                        done = true;
                    }
                    _ => {}
                }
                !done
            });
        }
        match failed {
            Some(errno) => Err(errno),
            None if torn => Err(Errno::EINTR),
            None => Ok(found),
        }
    }

    fn request(&mut self, payload: RouteNetlinkMessage, flags: u16) -> Result<(), Errno> {
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        header.sequence_number = self.first;
        self.first += 1;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::from(payload));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.send(&bytes)
    }

    /// One request of a kind that the library does not know; what follows the header of the answer.
    pub fn ask_raw(&mut self, kind: u16, body: &[u8]) -> Result<Vec<u8>, Errno> {
        let mut bytes = header(kind, NLM_F_REQUEST, self.first, body.len()).to_vec();
        bytes.extend_from_slice(body);
        self.first += 1;
        self.send(&bytes)?;
        let datagram = self.receive(0)?.unwrap_or_default();
        match decode(&datagram).map(|message| message.payload) {
            Some(NetlinkPayload::Error(error)) => Err(error.code.map_or(Errno::EIO, |code| Errno::from_raw(-code.get()))),
            _ => Ok(datagram.get(16..).unwrap_or_default().to_vec()),
        }
    }

    /// One request, answered by one object or by an error.
    pub fn ask(&mut self, payload: RouteNetlinkMessage) -> Result<Option<RouteNetlinkMessage>, Errno> {
        self.request(payload, NLM_F_ACK)?;
        let (mut found, mut failed, mut done) = (None, None, false);
        while !done {
            let Some(datagram) = self.receive(0)? else { break };
            each(&datagram, |message, _| {
                match &message.payload {
                    NetlinkPayload::InnerMessage(inner) => found = Some(inner.clone()),
                    NetlinkPayload::Error(error) => {
                        failed = error.code.map(|code| Errno::from_raw(-code.get()));
                        done = true;
                    }
                    _ => {}
                }
                true
            });
        }
        failed.map_or(Ok(found), Err)
    }
}

/// `struct nlmsghdr` of a request with a body of that length.
fn header(kind: u16, flags: u16, sequence: u32, body: usize) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&u32::try_from(16 + body).unwrap_or(0).to_ne_bytes());
    bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
    bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
    bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
    bytes
}

fn each(datagram: &[u8], mut visit: impl FnMut(&NetlinkMessage<RouteNetlinkMessage>, &[u8]) -> bool) {
    let mut at = 0;
    while let Some(rest) = datagram.get(at..).filter(|rest| rest.len() >= 16) {
        let length = NetlinkBuffer::new(&rest).length() as usize;
        if length < 16 || length > rest.len() {
            return;
        }
        if let Some(message) = decode(&rest[..length])
            && !visit(&message, &rest[..length])
        {
            return;
        }
        at += length.next_multiple_of(4);
    }
}

fn decode(bytes: &[u8]) -> Option<NetlinkMessage<RouteNetlinkMessage>> {
    NetlinkMessage::<RouteNetlinkMessage>::deserialize(bytes).ok()
}

/// The kernel's sentence: attribute 1 (`NLMSGERR_ATTR_MSG`) behind the capped echo of the request's header.
fn sentence(message: &NetlinkMessage<RouteNetlinkMessage>, bytes: &[u8]) -> Option<String> {
    if message.header.flags & NLM_F_ACK_TLVS == 0 {
        return None;
    }
    let mut rest = bytes.get(16 + 4 + 16..)?;
    while rest.len() >= 4 {
        let length = usize::from(u16::from_ne_bytes([rest[0], rest[1]]));
        let kind = u16::from_ne_bytes([rest[2], rest[3]]) & 0x3fff;
        let value = rest.get(4..length)?;
        if kind == 1 {
            return Some(String::from_utf8_lossy(value).trim_end_matches('\0').to_owned());
        }
        rest = rest.get(length.next_multiple_of(4)..)?;
    }
    None
}
