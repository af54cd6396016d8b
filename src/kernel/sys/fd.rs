//! Descriptors: options of sockets that nix does not know, descriptors that pass through a socket, and one that a runtime waits for.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use tokio::io::unix::AsyncFd;

/// Sets an option of a socket to these bytes.
pub fn set(socket: &impl AsFd, level: i32, name: i32, value: &[u8]) -> Result<(), Errno> {
    let length = libc::socklen_t::try_from(value.len()).map_err(|_| Errno::EINVAL)?;
    // SAFETY: the kernel reads `length` bytes of `value`, which lives for the time of the call.
    let done = unsafe { libc::setsockopt(socket.as_fd().as_raw_fd(), level, name, value.as_ptr().cast(), length) };
    Errno::result(done).map(drop)
}

/// Sets an option of a socket to a number.
pub fn set_number(socket: &impl AsFd, level: i32, name: i32, value: i32) -> Result<(), Errno> {
    set(socket, level, name, &value.to_ne_bytes())
}

/// An option of a socket: what `value` becomes, cut to the length that the kernel gave.
pub fn get(socket: &impl AsFd, level: i32, name: i32, mut value: Vec<u8>) -> Result<Vec<u8>, Errno> {
    let mut length = libc::socklen_t::try_from(value.len()).map_err(|_| Errno::EINVAL)?;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the kernel reads and writes at most `length` bytes of `value`, which lives for the time of the call, and `length`.
    let done = unsafe { libc::getsockopt(fd, level, name, value.as_mut_ptr().cast(), &raw mut length) };
    Errno::result(done)?;
    value.truncate(length as usize);
    Ok(value)
}

/// Whether an interface of the socket's namespace has the index.
pub fn has_index(socket: &impl AsRawFd, index: u32) -> bool {
    /// `SIOCGIFNAME` (`linux/sockios.h`)
    const NAME: libc::Ioctl = 0x8910;
    // `struct ifreq`: sixteen bytes for the name, then a union of twenty-four that begins with the index.
    let mut request = [0_u8; 40];
    request[16..20].copy_from_slice(&index.to_ne_bytes());
    // SAFETY: the kernel reads and writes the 40 bytes of `request`, which lives for the time of the call.
    unsafe { libc::ioctl(socket.as_raw_fd(), NAME, request.as_mut_ptr()) == 0 }
}

/// Descriptors that one message carries at most.
const MOST: usize = 4;

/// Sends bytes, which must not be none, with descriptors; how many bytes went.
pub fn send(socket: &impl AsFd, bytes: &[u8], descriptors: &[impl AsRawFd], flags: MsgFlags) -> Result<usize, Errno> {
    let numbers: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&numbers)];
    sendmsg::<()>(socket.as_fd().as_raw_fd(), &[IoSlice::new(bytes)], &rights, flags | MsgFlags::MSG_NOSIGNAL, None)
}

/// Receives bytes with the descriptors that came along; how many bytes came, none at the end.
pub fn receive(socket: &impl AsFd, bytes: &mut [u8]) -> Result<(usize, Vec<OwnedFd>), Errno> {
    let mut room = cmsg_space!([RawFd; MOST]);
    let mut slices = [IoSliceMut::new(bytes)];
    let message = recvmsg::<()>(socket.as_fd().as_raw_fd(), &mut slices, Some(&mut room), MsgFlags::MSG_CMSG_CLOEXEC)?;
    let mut came = Vec::new();
    for part in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(numbers) = part {
            // SAFETY: the kernel has just given these descriptors to this call alone.
            came.extend(numbers.into_iter().map(|number| unsafe { OwnedFd::from_raw_fd(number) }));
        }
    }
    Ok((message.bytes, came))
}

/// Lets the runtime of the calling task wait for a descriptor, which must not block.
///
/// # Errors
/// When the kernel cannot watch it.
pub fn watched(fd: OwnedFd) -> std::io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd is the same open descriptor until it is dropped, and AsyncFd gives up watching it before.
    Ok(unsafe { AsyncFd::register(fd) }?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_first_interface_is_the_loopback_and_no_namespace_has_all_indices() {
        let socket = netlink_sys::Socket::new(netlink_sys::protocols::NETLINK_ROUTE).unwrap();
        assert!(has_index(&socket, 1) && !has_index(&socket, 0) && !has_index(&socket, i32::MAX.unsigned_abs() - 7));
    }
}
