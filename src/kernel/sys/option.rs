//! Socket options that nix does not know.

use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;

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
