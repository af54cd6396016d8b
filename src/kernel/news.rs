//! What changes in a namespace, as the kernel tells it: links, addresses, routes, rules, settings, packet filters.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use nix::errno::Errno;

use super::netlink::{self, Netlink, messages};
use super::netns::{failed, within};
use crate::error::Result;

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
    route: Netlink,
    /// None on a kernel without packet filters.
    filter: Option<Netlink>,
}

impl News {
    /// Begins to listen in the namespace behind a pin.
    ///
    /// # Errors
    /// When it cannot be entered or the kernel refuses the socket.
    pub fn open(pin: &Path, node: &str) -> Result<Self> {
        within(pin, node, || {
            let route = Netlink::open().and_then(|socket| socket.join(&ROUTE_GROUPS));
            let route = route.map_err(|errno| failed(node, "socket(NETLINK_ROUTE)", errno))?;
            Ok(Self { route, filter: Netlink::netfilter().and_then(|socket| socket.join(&FILTER_GROUPS)).ok() })
        })?
    }

    /// Where to wait for more.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        std::iter::once(&self.route).chain(&self.filter).map(AsFd::as_fd)
    }

    /// Takes what has come since.
    pub fn hear(&self) -> Heard {
        let network = take(&self.route, matters);
        let filter = self.filter.as_ref().is_some_and(|filter| take(filter, |_| true));
        Heard { network, filter }
    }
}

/// Reads until nothing is left; whether any message matters. Of lost messages nobody knows what they said: they do.
fn take(socket: &Netlink, matters: impl Fn(&netlink::Heard<'_>) -> bool) -> bool {
    let mut any = false;
    loop {
        match socket.hear() {
            Ok(Some(datagram)) => any |= messages(&datagram).any(|heard| matters(&heard)),
            Err(Errno::ENOBUFS) => any = true,
            Ok(None) | Err(_) => return any,
        }
    }
}

/// Of neighbours only those that somebody typed: the kernel's own come and go with every packet.
fn matters(heard: &netlink::Heard<'_>) -> bool {
    if !NEIGHBOUR.contains(&heard.kind) {
        return true;
    }
    let (Some(family), Some(state)) = (heard.body.first(), heard.body.get(8..10)) else { return false };
    let state = u16::from_ne_bytes([state[0], state[1]]);
    if *family == BRIDGE { state & STATIC != 0 } else { state & PERMANENT != 0 }
}
