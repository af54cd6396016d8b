//! Netlink: a socket in one namespace, its messages and their attributes.
//!
//! The kernel works through a batch before `send` returns, so what is then in the receive queue is all there is to hear:
//! no acknowledgement is asked for, and silence means success.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd};

use netlink_packet_core::{
    Emitable, NLM_F_ACK, NLM_F_ACK_TLVS, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, ParseableParametrized,
};
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::{LinkAttribute, LinkExtentMask, LinkMessage};
use netlink_packet_route::neighbour::NeighbourMessage;
use netlink_packet_route::neighbour_table::NeighbourTableMessage;
use netlink_packet_route::route::RouteMessage;
use netlink_packet_route::rule::RuleMessage;
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::{NETLINK_NETFILTER, NETLINK_ROUTE, NETLINK_XFRM};
use netlink_sys::{Socket, SocketAddr};
use nix::errno::Errno;

use super::fault;
use super::sys::fd;
use super::sys::process::errno;

/// Most bytes of one batch; the kernel takes what fits the socket's send buffer (212992 by default).
const BATCH: usize = 60 * 1024;

/// Most requests of one batch: their answers must fit the receive buffer.
pub const REQUESTS: usize = 64;

/// `linux/netlink.h`
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// `sizeof(struct nlmsghdr)`
const HEADER: usize = 16;

/// A request and its netlink flags.
pub type Request = (RouteNetlinkMessage, u16);

/// A request in bytes: its type, its flags, what follows the header.
pub type Raw = (u16, u16, Vec<u8>);

/// A request that failed.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// What the caller named the request.
    pub tag: usize,
    /// The error number.
    pub errno: Errno,
    /// The kernel's own sentence.
    pub extack: Option<String>,
}

/// A socket that stays in the namespace it was opened in.
#[derive(Debug)]
pub struct Netlink {
    socket: Socket,
    out: Vec<u8>,
    tags: Vec<usize>,
    first: u32,
}

impl Netlink {
    /// Opens a socket for links, addresses, routes and neighbours in the calling thread's namespace.
    pub fn open() -> Result<Self, Errno> {
        Self::with_protocol(NETLINK_ROUTE)
    }

    /// Opens a socket for packet filters (nfnetlink) in the calling thread's namespace.
    pub fn netfilter() -> Result<Self, Errno> {
        Self::with_protocol(NETLINK_NETFILTER)
    }

    /// Opens a socket for policies of `IPsec` in the calling thread's namespace.
    pub fn xfrm() -> Result<Self, Errno> {
        Self::with_protocol(NETLINK_XFRM)
    }

    fn with_protocol(protocol: isize) -> Result<Self, Errno> {
        let socket = Socket::new(protocol).map_err(|error| errno(&error))?;
        let _ = socket.set_ext_ack(true);
        let _ = socket.set_cap_ack(true);
        Ok(Self { socket, out: Vec::new(), tags: Vec::new(), first: 1 })
    }

    /// Hears from now on what the kernel tells these groups.
    pub fn join(mut self, groups: &[u32]) -> Result<Self, Errno> {
        self.socket.bind(&SocketAddr::new(0, 0)).map_err(|error| errno(&error))?;
        groups.iter().try_for_each(|group| self.socket.add_membership(*group).map_err(|error| errno(&error)))?;
        Ok(self)
    }

    /// Whether an interface has the index: no message, and less than a microsecond.
    pub fn has_index(&self, index: u32) -> bool {
        fd::has_index(&self.socket, index)
    }

    /// Adds a request to the batch; `tag` names it in a refusal.
    ///
    /// # Errors
    /// Refusals of a batch that had to be sent to make room.
    pub fn push(&mut self, (payload, flags): &Request, tag: usize) -> Result<Vec<Refusal>, Errno> {
        let (kind, length) = (payload.message_type(), payload.buffer_len());
        let refused = self.room(length)?;
        self.append(kind, *flags, tag, length, |room| payload.emit(room));
        Ok(refused)
    }

    /// As [`Self::push`], of a request that is in bytes already.
    pub fn push_raw(&mut self, (kind, flags, body): &Raw, tag: usize) -> Result<Vec<Refusal>, Errno> {
        let refused = self.room(body.len())?;
        self.append(*kind, *flags, tag, body.len(), |room| room.copy_from_slice(body));
        Ok(refused)
    }

    /// Sends requests that count all or none; the first refusal is the error.
    pub fn transact(&mut self, parts: &[Raw]) -> Result<(), Errno> {
        for (tag, (kind, flags, body)) in parts.iter().enumerate() {
            self.append(*kind, *flags, tag, body.len(), |room| room.copy_from_slice(body));
        }
        self.flush()?.first().map_or(Ok(()), |refusal| Err(refusal.errno))
    }

    fn room(&mut self, body: usize) -> Result<Vec<Refusal>, Errno> {
        let full = self.out.len() + HEADER + body > BATCH || self.tags.len() >= REQUESTS;
        if full { self.flush() } else { Ok(Vec::new()) }
    }

    fn append(&mut self, kind: u16, flags: u16, tag: usize, length: usize, write: impl FnOnce(&mut [u8])) {
        let sequence = self.first + u32::try_from(self.tags.len()).unwrap_or(0);
        message(&mut self.out, kind, flags, sequence, length, write);
        self.tags.push(tag);
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
        while let Some(datagram) = self.hear()? {
            for message in messages(&datagram) {
                if let (Some(errno), Some(tag)) = (message.refusal(), tags.get(message.sequence.wrapping_sub(first) as usize)) {
                    refused.push(Refusal { tag: *tag, errno, extack: message.sentence() });
                }
            }
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

    /// What is there already, a datagram of [`messages`]; `ENOBUFS` once where there was no room for some.
    pub fn hear(&self) -> Result<Option<Vec<u8>>, Errno> {
        self.receive(libc::MSG_DONTWAIT)
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

    /// One request and its answer: the type and the body; none where the kernel only says that it is done.
    pub fn ask(&mut self, kind: u16, body: &[u8]) -> Result<Option<(u16, Vec<u8>)>, Errno> {
        self.start(kind, NLM_F_ACK, body)?;
        let mut found = None;
        while let Some(datagram) = self.receive(0)? {
            for message in messages(&datagram) {
                match message.kind {
                    NLMSG_ERROR => return message.refusal().map_or(Ok(found), Err),
                    kind => found = Some((kind, message.body.to_vec())),
                }
            }
        }
        Ok(found)
    }

    /// [`Self::ask`] in the library's words.
    pub fn ask_for(&mut self, payload: &RouteNetlinkMessage) -> Result<Option<RouteNetlinkMessage>, Errno> {
        let answer = self.ask(payload.message_type(), &bytes(payload))?;
        Ok(answer.and_then(|(kind, body)| parsed(kind, &body)))
    }

    /// Every object that a dump lists, as far as it can be read; a dump that changed under way is taken again, five times at most.
    pub fn dump<T>(&mut self, kind: u16, body: &[u8], read: impl Fn(u16, &[u8]) -> Option<T>) -> Result<Vec<T>, Errno> {
        for _ in 0..5 {
            match self.dump_once(kind, body, &read) {
                Err(Errno::EINTR) => {}
                other => return other,
            }
        }
        Err(Errno::EINTR)
    }

    fn dump_once<T>(&mut self, kind: u16, body: &[u8], read: impl Fn(u16, &[u8]) -> Option<T>) -> Result<Vec<T>, Errno> {
        self.start(kind, NLM_F_DUMP, body)?;
        let (mut found, mut torn) = (Vec::new(), false);
        while let Some(datagram) = self.receive(0)?.filter(|datagram| datagram.len() >= HEADER) {
            for message in messages(&datagram) {
                torn |= message.flags & NLM_F_DUMP_INTR != 0;
                match message.kind {
                    NLMSG_DONE if torn => return Err(Errno::EINTR),
                    NLMSG_DONE => return Ok(found),
                    NLMSG_ERROR => return Err(message.refusal().unwrap_or(Errno::EBADMSG)),
                    kind => found.extend(read(kind, message.body)),
                }
            }
        }
        Err(Errno::EBADMSG)
    }

    fn start(&mut self, kind: u16, flags: u16, body: &[u8]) -> Result<(), Errno> {
        let mut bytes = Vec::with_capacity(HEADER + body.len());
        message(&mut bytes, kind, flags, self.first, body.len(), |room| room.copy_from_slice(body));
        self.first += 1;
        self.send(&bytes)
    }

    fn list<T>(
        &mut self,
        request: &RouteNetlinkMessage,
        pick: impl Fn(RouteNetlinkMessage) -> Option<T>,
    ) -> Result<Vec<T>, Errno> {
        self.dump(request.message_type(), &bytes(request), |kind, body| pick(parsed(kind, body)?))
    }

    /// Every link, without statistics.
    pub fn links(&mut self) -> Result<Vec<LinkMessage>, Errno> {
        let mut message = LinkMessage::default();
        message.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
        let link = |answer| if let RouteNetlinkMessage::NewLink(link) = answer { Some(link) } else { None };
        self.list(&RouteNetlinkMessage::GetLink(message), link)
    }

    /// Every port of a bridge, and every bridge, with its VLANs.
    pub fn port_vlans(&mut self) -> Result<Vec<LinkMessage>, Errno> {
        let mut message = LinkMessage::default();
        message.header.interface_family = AddressFamily::Bridge;
        message.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::Brvlan]));
        let link = |answer| if let RouteNetlinkMessage::NewLink(link) = answer { Some(link) } else { None };
        self.list(&RouteNetlinkMessage::GetLink(message), link)
    }

    /// Every address.
    pub fn addresses(&mut self) -> Result<Vec<AddressMessage>, Errno> {
        let address = |answer| if let RouteNetlinkMessage::NewAddress(address) = answer { Some(address) } else { None };
        self.list(&RouteNetlinkMessage::GetAddress(AddressMessage::default()), address)
    }

    /// Every route of both families.
    pub fn routes(&mut self) -> Result<Vec<RouteMessage>, Errno> {
        let route = |answer| if let RouteNetlinkMessage::NewRoute(route) = answer { Some(route) } else { None };
        self.list(&RouteNetlinkMessage::GetRoute(RouteMessage::default()), route)
    }

    /// Every policy rule of both families.
    pub fn rules(&mut self) -> Result<Vec<RuleMessage>, Errno> {
        let rule = |answer| if let RouteNetlinkMessage::NewRule(rule) = answer { Some(rule) } else { None };
        self.list(&RouteNetlinkMessage::GetRule(RuleMessage::default()), rule)
    }

    /// The neighbours of a family, of all where it is not specified; of `Bridge` the forwarding tables of all bridges.
    pub fn neighbours(&mut self, family: AddressFamily) -> Result<Vec<NeighbourMessage>, Errno> {
        let mut message = NeighbourMessage::default();
        message.header.family = family;
        let neighbour = |answer| if let RouteNetlinkMessage::NewNeighbour(entry) = answer { Some(entry) } else { None };
        self.list(&RouteNetlinkMessage::GetNeighbour(message), neighbour)
    }

    /// How the neighbour tables of a family are kept, which all namespaces share.
    pub fn neighbour_tables(&mut self, family: AddressFamily) -> Result<Vec<NeighbourTableMessage>, Errno> {
        let mut message = NeighbourTableMessage::default();
        message.header.family = family;
        let table = |answer| if let RouteNetlinkMessage::NewNeighbourTable(table) = answer { Some(table) } else { None };
        self.list(&RouteNetlinkMessage::GetNeighbourTable(message), table)
    }
}

impl AsFd for Netlink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The name of a link.
pub fn name_of(link: &LinkMessage) -> Option<&str> {
    link.attributes
        .iter()
        .find_map(|attribute| if let LinkAttribute::IfName(name) = attribute { Some(name.as_str()) } else { None })
}

fn bytes(payload: &RouteNetlinkMessage) -> Vec<u8> {
    let mut body = vec![0; payload.buffer_len()];
    payload.emit(&mut body);
    body
}

fn parsed(kind: u16, body: &[u8]) -> Option<RouteNetlinkMessage> {
    RouteNetlinkMessage::parse_with_param(body, kind).ok()
}

/// Appends `struct nlmsghdr` and a body of that length, padded.
fn message(out: &mut Vec<u8>, kind: u16, flags: u16, sequence: u32, length: usize, write: impl FnOnce(&mut [u8])) {
    out.extend_from_slice(&u32::try_from(HEADER + length).unwrap_or(0).to_ne_bytes());
    out.extend_from_slice(&kind.to_ne_bytes());
    out.extend_from_slice(&(NLM_F_REQUEST | flags).to_ne_bytes());
    out.extend_from_slice(&sequence.to_ne_bytes());
    out.extend_from_slice(&[0; 4]);
    let start = out.len();
    out.resize((start + length).next_multiple_of(4), 0);
    write(&mut out[start..start + length]);
}

/// A message that came.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// Its type.
    pub kind: u16,
    flags: u16,
    sequence: u32,
    /// What follows its header.
    pub body: &'a [u8],
}

impl Message<'_> {
    /// The error number of an `NLMSG_ERROR`; none where it is an acknowledgement.
    fn refusal(&self) -> Option<Errno> {
        let code = number(self.body).filter(|code| self.kind == NLMSG_ERROR && *code != 0)?;
        Some(Errno::from_raw(code.cast_signed().wrapping_neg()))
    }

    /// The kernel's sentence: attribute 1 (`NLMSGERR_ATTR_MSG`) behind the capped echo of the request's header.
    fn sentence(&self) -> Option<String> {
        let has_attributes = self.flags & NLM_F_ACK_TLVS != 0;
        find(self.body, 4 + HEADER, 1).filter(|_| has_attributes).map(text)
    }
}

/// The messages of a datagram.
pub fn messages(datagram: &[u8]) -> impl Iterator<Item = Message<'_>> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        let [l0, l1, l2, l3, k0, k1, f0, f1, s0, s1, s2, s3, ..] = *rest else { return None };
        let length = u32::from_ne_bytes([l0, l1, l2, l3]) as usize;
        let body = rest.get(HEADER..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        let (kind, flags) = (u16::from_ne_bytes([k0, k1]), u16::from_ne_bytes([f0, f1]));
        Some(Message { kind, flags, sequence: u32::from_ne_bytes([s0, s1, s2, s3]), body })
    })
}

/// The attributes behind a header of that length, each its type without flags and its value; damaged ones end it.
pub fn attributes(message: &[u8], header: usize) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = message.get(header..).unwrap_or_default();
    std::iter::from_fn(move || {
        let [l0, l1, k0, k1, ..] = *rest else { return None };
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        let value = rest.get(4..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        // NLA_TYPE_MASK of linux/netlink.h
        Some((u16::from_ne_bytes([k0, k1]) & 0x3fff, value))
    })
}

/// The value of an attribute.
pub fn find(message: &[u8], header: usize, kind: u16) -> Option<&[u8]> {
    attributes(message, header).find(|(found, _)| *found == kind).map(|(_, value)| value)
}

/// A number of four bytes.
pub fn number(value: &[u8]) -> Option<u32> {
    value.first_chunk().copied().map(u32::from_ne_bytes)
}

/// A text that ends with a zero.
pub fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).trim_end_matches('\0').to_owned()
}

/// An IP address in its bytes.
pub fn ip(value: &[u8]) -> Option<IpAddr> {
    match value.len() {
        4 => <[u8; 4]>::try_from(value).ok().map(|bytes| Ipv4Addr::from(bytes).into()),
        16 => <[u8; 16]>::try_from(value).ok().map(|bytes| Ipv6Addr::from(bytes).into()),
        _ => None,
    }
}

/// Appends an attribute.
pub fn push(message: &mut Vec<u8>, kind: u16, value: &[u8]) {
    message.extend_from_slice(&u16::try_from(4 + value.len()).unwrap_or(0).to_ne_bytes());
    message.extend_from_slice(&kind.to_ne_bytes());
    message.extend_from_slice(value);
    message.resize(message.len().next_multiple_of(4), 0);
}
