//! The interface by which packets to an address leave.

use std::net::IpAddr;

use nix::errno::Errno;

use super::attributes::{find, number, push};
use super::put::{RTA_DST, RTA_OIF, RTMSG};
use crate::kernel::socket::Netlink;

const GETROUTE: u16 = 26;

/// The interface's index, as `ip route get` tells it; none where there is no way.
pub fn to(socket: &mut Netlink, address: IpAddr) -> Result<Option<u32>, Errno> {
    let (family, bytes) = match address {
        IpAddr::V4(v4) => (libc::AF_INET, v4.octets().to_vec()),
        IpAddr::V6(v6) => (libc::AF_INET6, v6.octets().to_vec()),
    };
    let mut body = vec![0; RTMSG];
    body[0] = u8::try_from(family).unwrap_or_default();
    body[1] = u8::try_from(bytes.len() * 8).unwrap_or_default();
    push(&mut body, RTA_DST, &bytes);
    match socket.ask_raw(GETROUTE, &body) {
        Ok(answer) => Ok(find(&answer, RTMSG, RTA_OIF).and_then(number)),
        Err(Errno::ENETUNREACH | Errno::EHOSTUNREACH | Errno::EINVAL | Errno::EACCES) => Ok(None),
        Err(errno) => Err(errno),
    }
}
