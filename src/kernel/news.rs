//! What changes in a namespace, as the kernel tells it: links, addresses, routes, rules, settings, packet filters.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket};

use super::echo::within;
use crate::error::{Error, Result};

/// `RTNLGRP_LINK`, `NEIGH`, IPv4 and IPv6 `IFADDR`, `ROUTE`, `RULE`, `NETCONF` (`linux/rtnetlink.h`).
const ROUTE_GROUPS: [u32; 10] = [1, 3, 5, 7, 8, 9, 11, 19, 24, 25];
/// `NFNLGRP_NFTABLES` (`linux/netfilter/nfnetlink.h`).
const FILTER_GROUPS: [u32; 1] = [7];
/// `RTM_NEWNEIGH`, `RTM_DELNEIGH`.
const NEIGHBOUR: [u16; 2] = [28, 29];
/// `NUD_PERMANENT`, and `NUD_NOARP`, which marks what a bridge was told (`linux/neighbour.h`).
const PERMANENT: u16 = 0x80;
const STATIC: u16 = 0x40;
/// `AF_BRIDGE`
const BRIDGE: u8 = 7;

/// What was heard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Heard {
    /// Somebody changed links, addresses, routes, rules or settings.
    pub network: bool,
    /// Somebody changed the packet filter.
    pub filter: bool,
}

impl Heard {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { network: self.network || other.network, filter: self.filter || other.filter }
    }

    /// Whether anything was.
    pub fn any(self) -> bool {
        self.network || self.filter
    }
}

/// Sockets that stay in a namespace and hear what changes there.
#[derive(Debug)]
pub struct News {
    route: OwnedFd,
    /// None on a kernel without packet filters.
    filter: Option<OwnedFd>,
}

impl News {
    /// Begins to listen in the namespace behind a pin.
    ///
    /// # Errors
    /// When it cannot be entered or the kernel refuses the socket.
    pub fn open(pin: &Path, node: &str) -> Result<Self> {
        within(pin, node, || {
            let route = listen(SockProtocol::NetlinkRoute, &ROUTE_GROUPS)
                .map_err(|errno| Error::kernel(node, "socket(NETLINK_ROUTE)", errno))?;
            Ok(Self { route, filter: listen(SockProtocol::NetlinkNetFilter, &FILTER_GROUPS).ok() })
        })?
    }

    /// Where to wait for more.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        std::iter::once(self.route.as_fd()).chain(self.filter.as_ref().map(AsFd::as_fd))
    }

    /// Takes what has come since.
    pub fn hear(&self) -> Heard {
        let network = take(&self.route, &mut matters);
        let filter = self.filter.as_ref().is_some_and(|filter| take(filter, &mut |_, _| true));
        Heard { network, filter }
    }
}

fn listen(protocol: SockProtocol, groups: &[u32]) -> std::result::Result<OwnedFd, Errno> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)?;
    let mask = groups.iter().fold(0, |mask, group| mask | 1 << (group - 1));
    bind(std::os::fd::AsRawFd::as_raw_fd(&socket), &NetlinkAddr::new(0, mask))?;
    Ok(socket)
}

/// Reads until nothing is left; whether any message matters. Of lost messages nobody knows what they said: they do.
fn take(socket: &OwnedFd, matters: &mut dyn FnMut(u16, &[u8]) -> bool) -> bool {
    let mut buffer = vec![0; 1 << 16];
    let mut any = false;
    loop {
        match recv(std::os::fd::AsRawFd::as_raw_fd(socket), &mut buffer, MsgFlags::MSG_DONTWAIT) {
            Ok(0) | Err(Errno::EAGAIN) => return any,
            Ok(length) => any |= messages(&buffer[..length]).any(|(kind, body)| matters(kind, body)),
            Err(Errno::EINTR) => {}
            Err(Errno::ENOBUFS) => any = true,
            Err(_) => return any,
        }
    }
}

/// The messages of a datagram: their types and bodies.
fn messages(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::try_from(u32::from_ne_bytes(*bytes.first_chunk::<4>()?)).ok()?;
        let kind = u16::from_ne_bytes(*bytes.get(4..)?.first_chunk::<2>()?);
        let body = bytes.get(16..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, body))
    })
}

/// Of neighbours only those that somebody typed: the kernel's own come and go with every packet.
fn matters(kind: u16, body: &[u8]) -> bool {
    if !NEIGHBOUR.contains(&kind) {
        return true;
    }
    let (Some(family), Some(state)) = (body.first(), body.get(8..10)) else { return false };
    let state = u16::from_ne_bytes([state[0], state[1]]);
    if *family == BRIDGE { state & STATIC != 0 } else { state & PERMANENT != 0 }
}
