//! Connections and datagrams of a node's own stack, as a program there would open and send them, and who listens for them.

use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, SockaddrStorage, bind, connect, getsockname, getsockopt, recv, send, socket,
    sockopt,
};

use super::netns::{failed, within};
use super::sys::fd;
use crate::error::Result;
use crate::report::probe::Transport;

/// `TCP_LISTEN`; of UDP `TCP_CLOSE` is a socket that takes datagrams of everybody (`net/tcp_states.h`).
const LISTENS: &str = "0A";
const UNCONNECTED: &str = "07";

/// How a call is made.
#[derive(Debug, Clone, Copy)]
pub struct Caller {
    /// TCP or UDP, and the port of the other end.
    pub transport: Transport,
    /// The other end.
    pub to: IpAddr,
    /// The interface of a link-local address; else 0.
    pub scope: u32,
    /// The address that it is made from, where it is not for the kernel to choose.
    pub source: Option<IpAddr>,
    /// The time to live, or hop limit, where it is not the node's own.
    pub ttl: Option<u8>,
}

/// A socket in a namespace that has its port, and from which nothing has gone yet.
#[derive(Debug)]
pub struct Call {
    socket: OwnedFd,
    caller: Caller,
    /// Its own port.
    pub port: u16,
}

impl Call {
    /// Opens so many sockets in the namespace behind a pin.
    ///
    /// # Errors
    /// Where the pin is gone or the kernel refuses; `node` is named.
    pub fn open(pin: &Path, node: &str, caller: Caller, count: usize) -> Result<Vec<Self>> {
        within(pin, node, || {
            (0..count).map(|_| Self::here(caller).map_err(|(tried, errno)| failed(node, tried, errno))).collect()
        })?
    }

    fn here(caller: Caller) -> std::result::Result<Self, (&'static str, Errno)> {
        let six = caller.to.is_ipv6();
        let domain = if six { AddressFamily::Inet6 } else { AddressFamily::Inet };
        let kind = if matches!(caller.transport, Transport::Tcp { .. }) { SockType::Stream } else { SockType::Datagram };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(domain, kind, flags, None).map_err(|errno| ("socket", errno))?;
        prepare(&socket, six, caller).map_err(|errno| ("setsockopt", errno))?;
        let any = if six { IpAddr::from([0_u16; 8]) } else { IpAddr::from([0_u8; 4]) };
        let own = address(caller.source.unwrap_or(any), 0, caller.scope);
        bind(socket.as_raw_fd(), &own).map_err(|errno| ("bind", errno))?;
        let own: SockaddrStorage = getsockname(socket.as_raw_fd()).map_err(|errno| ("getsockname", errno))?;
        let four = own.as_sockaddr_in().map(nix::sys::socket::SockaddrIn::port);
        let port = four.or_else(|| own.as_sockaddr_in6().map(nix::sys::socket::SockaddrIn6::port)).unwrap_or(0);
        Ok(Self { socket, caller, port })
    }

    /// Begins the connection, or sends the one datagram; what comes of it is [`Call::came`].
    ///
    /// # Errors
    /// The kernel's reason why nothing goes out.
    pub fn begin(&self, payload: &[u8]) -> std::result::Result<(), Errno> {
        let Caller { transport, to, scope, .. } = self.caller;
        let port = transport.port().unwrap_or(0);
        match (connect(self.socket.as_raw_fd(), &address(to, port, scope)), transport) {
            (Ok(()), Transport::Udp { .. }) => send(self.socket.as_raw_fd(), payload, MsgFlags::empty()).map(drop),
            (Ok(()) | Err(Errno::EINPROGRESS), _) => Ok(()),
            (Err(errno), _) => Err(errno),
        }
    }

    /// What has come of it: the other end has accepted it or sent something back, or an error; none where nothing has yet. An
    /// error is told once.
    pub fn came(&self) -> Option<std::result::Result<(), Errno>> {
        match self.caller.transport {
            Transport::Udp { .. } => match recv(self.socket.as_raw_fd(), &mut [0; 1], MsgFlags::MSG_DONTWAIT) {
                Err(Errno::EAGAIN | Errno::EINTR) => None,
                came => Some(came.map(drop)),
            },
            Transport::Tcp { .. } | Transport::Icmp => {
                let mut ends = [PollFd::new(self.socket.as_fd(), PollFlags::POLLOUT)];
                if poll(&mut ends, PollTimeout::ZERO).ok()? == 0 {
                    return None;
                }
                Some(match getsockopt(&self.socket, sockopt::SocketError) {
                    Ok(0) => Ok(()),
                    Ok(errno) => Err(Errno::from_raw(errno)),
                    Err(errno) => Err(errno),
                })
            }
        }
    }

    /// Waits for what comes of it, so long at most.
    pub fn wait(&self, milliseconds: u16) -> Option<std::result::Result<(), Errno>> {
        let wanted = if matches!(self.caller.transport, Transport::Udp { .. }) { PollFlags::POLLIN } else { PollFlags::POLLOUT };
        let _ = poll(&mut [PollFd::new(self.socket.as_fd(), wanted)], milliseconds);
        self.came()
    }
}

fn prepare(socket: &OwnedFd, six: bool, caller: Caller) -> std::result::Result<(), Errno> {
    // Nobody may cut the datagram on its way, nor the node itself.
    if six {
        fd::set_number(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_PROBE)?;
        fd::set_number(socket, libc::IPPROTO_IPV6, libc::IPV6_DONTFRAG, 1)?;
    } else {
        fd::set_number(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_PROBE)?;
    }
    let (level, option) = if six { (libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS) } else { (libc::IPPROTO_IP, libc::IP_TTL) };
    caller.ttl.map_or(Ok(()), |ttl| fd::set_number(socket, level, option, i32::from(ttl)))
}

fn address(address: IpAddr, port: u16, scope: u32) -> SockaddrStorage {
    match address {
        IpAddr::V4(four) => SocketAddr::from((four, port)).into(),
        IpAddr::V6(six) => SocketAddr::V6(SocketAddrV6::new(six, port, 0, scope)).into(),
    }
}

/// The addresses at which somebody listens for it in the namespace behind a pin, by the kernel's lists of sockets; none where
/// these cannot be read.
pub fn listeners(pin: &Path, transport: Transport) -> Option<Vec<IpAddr>> {
    within(pin, "", || {
        let mut found = Vec::new();
        for name in lists(transport) {
            match std::fs::read_to_string(format!("/proc/thread-self/net/{name}")) {
                Ok(list) => found.extend(list.lines().skip(1).filter_map(|line| listener(line, transport))),
                // A kernel without IPv6 has no list of it.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && name.ends_with('6') => {}
                Err(_) => return None,
            }
        }
        found.sort_unstable();
        found.dedup();
        Some(found)
    })
    .ok()?
}

/// Every end of TCP and UDP at which somebody listens in the namespace behind a pin, to be compared with those of another time.
pub fn ends(pin: &Path) -> Vec<String> {
    let read = || {
        let list = |name: &str| std::fs::read_to_string(format!("/proc/thread-self/net/{name}")).unwrap_or_default();
        let end = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().skip(1).take(3).collect();
            words.get(2).is_some_and(|state| [LISTENS, UNCONNECTED].contains(state)).then(|| words.join(" "))
        };
        let mut found: Vec<String> = ["tcp", "tcp6", "udp", "udp6"]
            .iter()
            .flat_map(|name| list(name).lines().filter_map(end).collect::<Vec<_>>())
            .collect();
        found.sort_unstable();
        found
    };
    within(pin, "", read).unwrap_or_default()
}

fn lists(transport: Transport) -> [&'static str; 2] {
    if matches!(transport, Transport::Udp { .. }) { ["udp", "udp6"] } else { ["tcp", "tcp6"] }
}

/// `SL: ADDRESS:PORT ADDRESS:PORT STATE ...`, the address in words of the machine's own order (`net/ipv4/tcp_ipv4.c`).
fn listener(line: &str, transport: Transport) -> Option<IpAddr> {
    let mut words = line.split_whitespace().skip(1);
    let (own, _, state) = (words.next()?, words.next()?, words.next()?);
    let wanted = if matches!(transport, Transport::Udp { .. }) { UNCONNECTED } else { LISTENS };
    let (address, port) = own.split_once(':')?;
    if state != wanted || u16::from_str_radix(port, 16).ok() != transport.port() {
        return None;
    }
    let word = |at: usize| u32::from_str_radix(address.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
    if address.len() == 8 {
        return word(0).map(IpAddr::from);
    }
    let words: Vec<[u8; 4]> = (0..4).map(|number| word(number * 8)).collect::<Option<_>>()?;
    let bytes: [u8; 16] = words.concat().try_into().ok()?;
    let six = std::net::Ipv6Addr::from(bytes);
    Some(six.to_ipv4_mapped().map_or(six.into(), IpAddr::from))
}

/// Whether a listener at one of these addresses takes what is sent to an address.
pub fn takes(at: &[IpAddr], to: IpAddr) -> bool {
    // A socket of IPv6 for every address takes IPv4, too, unless it is told not to.
    at.iter().any(|own| *own == to || own.is_unspecified() && (own.is_ipv6() || to.is_ipv4()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const TCP: Transport = Transport::Tcp { port: 80 };

    #[test]
    fn listeners_are_read_from_the_kernels_list_and_connections_are_none() {
        let own = |four: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(four));
        let line =
            |address: &str, state: &str| format!("   0: {address}:0050 00000000:0000 {state} 00000000:00000000 00:0 0 0 0 1");
        assert_eq!(listener(&line(&own([127, 0, 0, 1]), "0A"), TCP), Some("127.0.0.1".parse().unwrap()));
        assert_eq!(listener(&line(&own([10, 0, 0, 1]), "01"), TCP), None);
        assert_eq!(listener(&line(&own([0; 4]), "0A"), Transport::Tcp { port: 81 }), None);
        assert_eq!(listener(&line(&"0".repeat(32), "0A"), TCP), Some("::".parse().unwrap()));
        assert_eq!(listener(&line(&own([0; 4]), "07"), Transport::Udp { port: 80 }), Some("0.0.0.0".parse().unwrap()));
        for cut in ["", "0: 0100007F", "0: 0100:0050 0:0 0A", "0: é:0050 0:0 0A"] {
            assert_eq!(listener(cut, TCP), None);
        }
    }

    #[test]
    fn who_listens_at_one_address_takes_nothing_for_another() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let to = address("10.0.0.2");
        assert!(takes(&[address("0.0.0.0")], to) && takes(&[address("::")], to) && takes(&[to], to));
        assert!(!takes(&[address("127.0.0.1")], to) && !takes(&[], to) && !takes(&[address("0.0.0.0")], address("fd00::1")));
    }
}
