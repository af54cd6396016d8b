//! ICMP and TCP sockets: opened in a node's namespace, bound to it for good.

use std::io::IoSliceMut;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, TcpListener, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteScope};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, SockaddrIn6, SockaddrStorage,
    getsockopt, recvmsg, sendto, setsockopt, socket, sockopt,
};

use super::netlink::Netlink;
use super::netns::{failed, within};
use super::sys::fd;
use super::sys::process::errno;
use crate::error::Result;
use crate::report::probe::Family;

/// `ICMP_FILTER` of `SOL_RAW`, and `ICMPV6_FILTER` (`linux/icmp.h`, `linux/icmpv6.h`): a bit set keeps a type out.
const SOL_RAW: i32 = 255;
const FILTER: i32 = 1;
/// Echo reply, unreachable, source quench, redirect, time exceeded, parameter problem (RFC 792).
const HEARD: [u8; 6] = [0, 3, 4, 5, 11, 12];
/// Unreachable, too big, time exceeded, parameter problem, echo reply (RFC 4443).
const HEARD6: [u8; 5] = [1, 2, 3, 4, 129];
/// Record route (RFC 791): type, length, pointer to the first of nine free slots.
const RECORD_ROUTE: [u8; 3] = [7, 39, 4];
/// Writing here forgets what was learned about IPv4 routes.
const FLUSH: &str = "/proc/sys/net/ipv4/route/flush";
/// Answers to many requests at once wait here.
const BUFFER: usize = 4 << 20;

/// What the packets of a socket are like.
#[derive(Debug, Clone, Copy, Default)]
pub struct Manner {
    /// The time to live, or hop limit, where it is not the node's own.
    pub ttl: Option<u8>,
    /// With the record route option; IPv4 only.
    pub record_route: bool,
    /// No router may cut them, nor the node itself.
    pub whole: bool,
    /// The address that they come from, where it is not for the kernel to choose.
    pub source: Option<IpAddr>,
}

/// An ICMP socket in a namespace.
#[derive(Debug)]
pub struct Echo {
    socket: OwnedFd,
}

/// A datagram that came in; of an IPv4 one the bytes begin with its IP header.
#[derive(Debug, Clone, Copy)]
pub struct Datagram {
    /// Who sent it.
    pub from: IpAddr,
    /// The hop limit of an IPv6 one.
    pub hop_limit: Option<u8>,
    /// How many bytes of the buffer it fills.
    pub length: usize,
}

impl Echo {
    /// Opens a socket in the calling thread's namespace.
    ///
    /// # Errors
    /// The call that failed and its error number.
    pub fn here(family: Family, manner: Manner) -> std::result::Result<Self, (&'static str, Errno)> {
        let (domain, protocol) = match family {
            Family::Ipv4 => (AddressFamily::Inet, SockProtocol::Icmp),
            Family::Ipv6 => (AddressFamily::Inet6, SockProtocol::IcmpV6),
        };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(domain, SockType::Raw, flags, protocol).map_err(|errno| ("socket(SOCK_RAW, ICMP)", errno))?;
        let echo = Self { socket };
        echo.prepare(family, manner).map_err(|errno| ("setsockopt", errno))?;
        if let Some(source) = manner.source {
            let own = SockaddrStorage::from(SocketAddr::new(source, 0));
            nix::sys::socket::bind(echo.socket.as_raw_fd(), &own).map_err(|errno| ("bind", errno))?;
        }
        Ok(echo)
    }

    /// Opens a socket in the namespace behind a pin.
    ///
    /// # Errors
    /// Where the pin is gone or the kernel refuses; `node` is named.
    pub fn open(pin: &Path, node: &str, family: Family, manner: Manner) -> Result<Self> {
        within(pin, node, || Self::here(family, manner).map_err(|(tried, errno)| failed(node, tried, errno)))?
    }

    fn prepare(&self, family: Family, manner: Manner) -> std::result::Result<(), Errno> {
        let socket = &self.socket;
        // Without the right to force it the default buffer must do.
        let _ = setsockopt(socket, sockopt::RcvBufForce, &BUFFER).or_else(|_| setsockopt(socket, sockopt::RcvBuf, &BUFFER));
        match family {
            Family::Ipv4 => {
                let blocked = HEARD.iter().fold(u32::MAX, |blocked, kind| blocked & !(1 << kind));
                fd::set(socket, SOL_RAW, FILTER, &blocked.to_ne_bytes())?;
                if let Some(ttl) = manner.ttl {
                    fd::set_number(socket, libc::IPPROTO_IP, libc::IP_TTL, i32::from(ttl))?;
                }
                if manner.record_route {
                    let mut bytes = [0; 40];
                    bytes[..3].copy_from_slice(&RECORD_ROUTE);
                    fd::set(socket, libc::IPPROTO_IP, libc::IP_OPTIONS, &bytes)?;
                }
                let cut = if manner.whole { libc::IP_PMTUDISC_PROBE } else { libc::IP_PMTUDISC_DONT };
                fd::set_number(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, cut)
            }
            Family::Ipv6 => {
                let mut blocked = [u32::MAX; 8];
                for kind in HEARD6 {
                    blocked[usize::from(kind >> 5)] &= !(1 << (kind & 31));
                }
                let bytes: Vec<u8> = blocked.iter().flat_map(|word| word.to_ne_bytes()).collect();
                fd::set(socket, libc::IPPROTO_ICMPV6, FILTER, &bytes)?;
                fd::set_number(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVHOPLIMIT, 1)?;
                if let Some(ttl) = manner.ttl {
                    fd::set_number(socket, libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS, i32::from(ttl))?;
                }
                if manner.whole {
                    fd::set_number(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_PROBE)?;
                    fd::set_number(socket, libc::IPPROTO_IPV6, libc::IPV6_DONTFRAG, 1)?;
                }
                Ok(())
            }
        }
    }

    /// Sends an ICMP message; of `ICMPv6` the kernel fills in the checksum. `scope` is the interface of a link-local address.
    pub fn send(&self, to: IpAddr, scope: u32, message: &[u8]) -> std::result::Result<(), Errno> {
        let fd = self.socket.as_raw_fd();
        let sent = match to {
            IpAddr::V4(to) => sendto(fd, message, &SockaddrIn::from(std::net::SocketAddrV4::new(to, 0)), MsgFlags::empty()),
            IpAddr::V6(to) => sendto(fd, message, &SockaddrIn6::from(SocketAddrV6::new(to, 0, 0, scope)), MsgFlags::empty()),
        };
        sent.map(drop)
    }

    /// Takes a datagram that is there, without waiting.
    pub fn receive(&self, buffer: &mut [u8]) -> std::result::Result<Option<Datagram>, Errno> {
        let mut control = nix::cmsg_space!(i32);
        let mut parts = [IoSliceMut::new(buffer)];
        loop {
            match recvmsg::<SockaddrStorage>(self.socket.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::MSG_DONTWAIT) {
                Err(Errno::EAGAIN) => return Ok(None),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
                Ok(message) => {
                    let Some(from) = message.address.as_ref().and_then(address) else { return Ok(None) };
                    let hop_limit = message.cmsgs()?.find_map(|control| match control {
                        ControlMessageOwned::Ipv6HopLimit(limit) => u8::try_from(limit).ok(),
                        _ => None,
                    });
                    return Ok(Some(Datagram { from, hop_limit, length: message.bytes }));
                }
            }
        }
    }
}

impl AsFd for Echo {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn address(storage: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = storage.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
    v4.or_else(|| storage.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
}

/// The address that a packet to each of these would bear as its source, by the routes of the namespace; no packet is sent.
///
/// # Errors
/// Where the pin cannot be entered; for each address the kernel's reason why no packet can go there.
pub fn sources(pin: &Path, node: &str, to: &[SocketAddr]) -> Result<Vec<std::result::Result<IpAddr, Errno>>> {
    within(pin, node, || to.iter().map(source).collect())
}

fn source(to: &SocketAddr) -> std::result::Result<IpAddr, Errno> {
    let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).map_err(|error| errno(&error))?;
    socket.connect(to).map_err(|error| errno(&error))?;
    socket.local_addr().map(|address| address.ip()).map_err(|error| errno(&error))
}

/// Bytes that a packet to an address may have by what a node knows of the way; none where it knows no way. A dump of the routes
/// lists what routers have told only after somebody has asked for the way since.
///
/// # Errors
/// Where the pin is gone.
pub fn path_mtu(pin: &Path, node: &str, to: Ipv4Addr) -> Result<Option<u32>> {
    within(pin, node, || {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
        // To connect sends nothing: it looks the way up.
        socket.connect((to, DISCARD)).ok()?;
        getsockopt(&socket, sockopt::IpMtu).ok().and_then(|mtu| u32::try_from(mtu).ok())
    })
}

/// The port of a service that answers nothing (RFC 863).
const DISCARD: u16 = 9;

/// Forgets what routers have said about the MTU of the path to an address. Of IPv4 the kernel knows no way but to forget
/// that of every path, as `ip route flush cache` does.
///
/// # Errors
/// Where the pin is gone or the kernel refuses.
pub fn forget_mtu(pin: &Path, node: &str, to: IpAddr) -> Result<()> {
    within(pin, node, || match to {
        IpAddr::V4(_) => std::fs::write(FLUSH, "-1").map_err(|error| failed(node, &format!("write {FLUSH}"), errno(&error))),
        IpAddr::V6(six) => match Netlink::open().and_then(|mut socket| socket.ask_for(&cached_route(six))) {
            Ok(_) | Err(Errno::ESRCH | Errno::ENOENT) => Ok(()),
            Err(errno) => Err(failed(node, &format!("ip -6 route del cached {six}"), errno)),
        },
    })?
}

/// That the exception for an address from its route is to be deleted.
fn cached_route(to: Ipv6Addr) -> RouteNetlinkMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = netlink_packet_route::AddressFamily::Inet6;
    message.header.destination_prefix_length = 128;
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.scope = RouteScope::NoWhere;
    message.header.flags = RouteFlags::Cloned;
    message.attributes.push(RouteAttribute::Destination(RouteAddress::Inet6(to)));
    RouteNetlinkMessage::DelRoute(message)
}

/// Seconds without a word after which the other end of a connection is asked whether it is there, and between such questions.
const ASKED_AFTER: u32 = 5;
/// Questions without an answer after which a connection ends: 20 seconds after a cable is pulled.
const ASKED: u32 = 3;

/// Lets the kernel end a connection whose other end is there no more. A reader that is only slow answers, and stays.
///
/// # Errors
/// Those of setsockopt(2).
pub fn keep_alive(socket: &impl AsFd) -> std::io::Result<()> {
    setsockopt(socket, sockopt::KeepAlive, &true)?;
    setsockopt(socket, sockopt::TcpKeepIdle, &ASKED_AFTER)?;
    setsockopt(socket, sockopt::TcpKeepInterval, &ASKED_AFTER)?;
    Ok(setsockopt(socket, sockopt::TcpKeepCount, &ASKED)?)
}

/// Listens on an address of the namespace that is pinned at a path; the socket stays there, and does not block. Its connections are kept
/// alive ([`keep_alive`]).
///
/// # Errors
/// The outer one where the namespace cannot be entered, the inner one where the address cannot be listened on.
pub fn listen(pin: &Path, at: SocketAddr) -> Result<std::io::Result<TcpListener>> {
    within(pin, "", || {
        let socket = TcpListener::bind(at)?;
        socket.set_nonblocking(true)?;
        // Those that it accepts have it from it.
        keep_alive(&socket)?;
        Ok(socket)
    })
}

/// The addresses of the namespace that is pinned at a path which other machines could reach: neither the loopback's nor link-local ones.
///
/// # Errors
/// The outer one where the namespace cannot be entered, the inner one where it cannot be asked.
pub fn present(pin: &Path) -> Result<std::io::Result<Vec<IpAddr>>> {
    within(pin, "", || {
        let all = nix::ifaddrs::getifaddrs()?.filter_map(|one| one.address).filter_map(|address| {
            let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
        });
        let reached = all.filter(|ip| match ip {
            IpAddr::V4(ip) => !ip.is_loopback() && !ip.is_link_local(),
            IpAddr::V6(ip) => !ip.is_loopback() && !ip.is_unicast_link_local(),
        });
        Ok(reached.collect())
    })
}
