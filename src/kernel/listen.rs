//! Sockets that listen in a node's namespace, for a program that is not in it.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::path::Path;

use nix::sys::socket::{setsockopt, sockopt};

use super::netns::within;
use crate::error::Result;

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
