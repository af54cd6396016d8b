//! Descriptors that pass from one process to another through a Unix socket.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};

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
