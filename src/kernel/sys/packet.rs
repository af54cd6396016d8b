//! Packet sockets: their options, and receiving with what the kernel says beside a frame.

use std::os::fd::{AsFd, AsRawFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use libc::{c_int, c_void, sockaddr_ll, socklen_t, tpacket_block_desc, tpacket3_hdr};
use nix::errno::Errno;

type Result<T> = std::result::Result<T, Errno>;

/// What the kernel says beside the bytes of a frame.
#[derive(Debug, Clone, Copy, Default)]
pub struct Beside {
    /// The interface's index.
    pub interface: u32,
    /// When, since 1970.
    pub nanoseconds: u64,
    /// It was sent there, not received.
    pub outgoing: bool,
    /// Bytes on the wire, without a tag that is kept beside the frame.
    pub length: u32,
    /// Bytes that were delivered.
    pub captured: usize,
    /// The VLAN tag that the kernel keeps beside the frame: its type and its value, as on the wire.
    pub tag: Option<[u8; 4]>,
    /// It is a packet without a frame: a tunnel's.
    pub bare: bool,
}

fn size<T>() -> socklen_t {
    socklen_t::try_from(size_of::<T>()).unwrap_or(socklen_t::MAX)
}

/// Sets an option whose value is plain data.
fn set<T: Copy>(socket: &impl AsFd, level: c_int, name: c_int, value: &T) -> Result<()> {
    let value: *const T = value;
    // SAFETY: the value and its size belong together and live for the time of the call.
    let done = unsafe { libc::setsockopt(socket.as_fd().as_raw_fd(), level, name, value.cast::<c_void>(), size::<T>()) };
    Errno::result(done).map(drop)
}

/// Reads an option whose value is plain data.
fn get<T: Copy + Default>(socket: &impl AsFd, level: c_int, name: c_int) -> Result<T> {
    let (mut value, mut length) = (T::default(), size::<T>());
    let (at, room): (*mut T, *mut socklen_t) = (&raw mut value, &raw mut length);
    // SAFETY: the kernel writes at most `length` bytes, which the value has.
    let done = unsafe { libc::getsockopt(socket.as_fd().as_raw_fd(), level, name, at.cast::<c_void>(), room) };
    Errno::result(done).map(|_| value)
}

/// Lets only frames through that the program accepts.
pub fn attach_filter(socket: &impl AsFd, program: &[libc::sock_filter]) -> Result<()> {
    let len = u16::try_from(program.len()).map_err(|_| Errno::EINVAL)?;
    // The kernel reads the program only.
    set(socket, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &libc::sock_fprog { len, filter: program.as_ptr().cast_mut() })
}

/// Asks for the time in nanoseconds and for VLAN tags beside each frame.
pub fn request_metadata(socket: &impl AsFd) -> Result<()> {
    set(socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, &1)?;
    set(socket, libc::SOL_PACKET, libc::PACKET_AUXDATA, &1)
}

/// Makes the receive buffer so many bytes large; without the right to exceed `net.core.rmem_max`, as large as that.
pub fn receive_buffer(socket: &impl AsFd, bytes: usize) -> Result<()> {
    let bytes = c_int::try_from(bytes).unwrap_or(c_int::MAX);
    set(socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &bytes)
        .or_else(|_| set(socket, libc::SOL_SOCKET, libc::SO_RCVBUF, &bytes))
}

/// Asks for a ring of version 3.
pub(super) fn request_ring(socket: &impl AsFd, request: &libc::tpacket_req3) -> Result<()> {
    set(socket, libc::SOL_PACKET, libc::PACKET_VERSION, &(libc::tpacket_versions::TPACKET_V3 as c_int))?;
    set(socket, libc::SOL_PACKET, libc::PACKET_RX_RING, request)
}

fn address(interface: u32) -> Result<libc::sockaddr_ll> {
    let protocol = u16::try_from(libc::ETH_P_ALL).map_err(|_| Errno::EINVAL)?.to_be();
    Ok(libc::sockaddr_ll {
        sll_family: u16::try_from(libc::AF_PACKET).map_err(|_| Errno::EINVAL)?,
        sll_protocol: protocol,
        sll_ifindex: c_int::try_from(interface).map_err(|_| Errno::ENODEV)?,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    })
}

/// From now on frames of every protocol are queued, of one interface or (0) of all.
pub fn bind(socket: &impl AsFd, interface: u32) -> Result<()> {
    let address = address(interface)?;
    let at: *const libc::sockaddr_ll = &raw const address;
    // SAFETY: the address and its size belong together and live for the time of the call.
    let done = unsafe { libc::bind(socket.as_fd().as_raw_fd(), at.cast::<libc::sockaddr>(), size::<libc::sockaddr_ll>()) };
    Errno::result(done).map(drop)
}

/// The index of the interface that the socket is bound to: 0 for all, none once it is gone.
pub fn bound(socket: &impl AsFd) -> Result<Option<u32>> {
    let (mut address, mut length) = (address(0)?, size::<libc::sockaddr_ll>());
    let at: *mut libc::sockaddr_ll = &raw mut address;
    // SAFETY: the kernel writes at most `length` bytes, which the address has.
    let done = unsafe { libc::getsockname(socket.as_fd().as_raw_fd(), at.cast::<libc::sockaddr>(), &raw mut length) };
    Errno::result(done).map(|_| u32::try_from(address.sll_ifindex).ok())
}

/// Takes unicast for others, too, for as long as the socket is open.
pub fn promiscuous(socket: &impl AsFd, interface: u32) -> Result<()> {
    let index = c_int::try_from(interface).map_err(|_| Errno::ENODEV)?;
    let kind = u16::try_from(libc::PACKET_MR_PROMISC).map_err(|_| Errno::EINVAL)?;
    let membership = libc::packet_mreq { mr_ifindex: index, mr_type: kind, mr_alen: 0, mr_address: [0; 8] };
    set(socket, libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &membership)
}

/// Frames that passed the filter and those of them that found no room, since the last time this was asked.
pub fn statistics(socket: &impl AsFd) -> Result<(u32, u32)> {
    // A socket without a ring of version 3 fills in the first two numbers only.
    let numbers: [u32; 3] = get(socket, libc::SOL_PACKET, libc::PACKET_STATISTICS)?;
    Ok((numbers[0], numbers[1]))
}

/// Takes the error that waits on a socket: `ENETDOWN` once its interface went down or away.
pub fn pending_error(socket: &impl AsFd) -> Result<()> {
    match get::<c_int>(socket, libc::SOL_SOCKET, libc::SO_ERROR)? {
        0 => Ok(()),
        number => Err(Errno::from_raw(number)),
    }
}

/// Room for a time stamp and the auxiliary data, aligned as control messages are.
#[repr(C, align(8))]
struct Control([u8; 128]);

/// Takes one frame without waiting.
///
/// # Errors
/// `EAGAIN` where there is none.
pub fn receive(socket: &impl AsFd, buffer: &mut [u8]) -> Result<Beside> {
    let mut from = address(0)?;
    let mut control = Control([0; 128]);
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast::<c_void>(), iov_len: buffer.len() };
    let at: *mut libc::sockaddr_ll = &raw mut from;
    let beside: *mut Control = &raw mut control;
    // SAFETY: an all-zero message is a valid one; every pointer and length put into it belong together and live until
    // the control messages are read, which the libc macros walk within the length that the kernel wrote.
    unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_name = at.cast::<c_void>();
        message.msg_namelen = size::<libc::sockaddr_ll>();
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = beside.cast::<c_void>();
        message.msg_controllen = size_of::<Control>();
        let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
        let length = Errno::result(libc::recvmsg(socket.as_fd().as_raw_fd(), &raw mut message, flags))?;
        let length = length.unsigned_abs();
        let mut received = Beside {
            interface: u32::try_from(from.sll_ifindex).unwrap_or(0),
            outgoing: from.sll_pkttype == libc::PACKET_OUTGOING,
            length: u32::try_from(length).unwrap_or(u32::MAX),
            captured: length.min(buffer.len()),
            bare: is_bare(from.sll_hatype),
            ..Beside::default()
        };
        let mut header = libc::CMSG_FIRSTHDR(&raw const message);
        while !header.is_null() {
            read_control(header, &mut received);
            header = libc::CMSG_NXTHDR(&raw const message, header);
        }
        Ok(received)
    }
}

/// # Safety
/// The header is that of a whole control message from the kernel.
unsafe fn read_control(header: *const libc::cmsghdr, received: &mut Beside) {
    // SAFETY: the kernel writes a timespec for the one and a tpacket_auxdata for the other.
    unsafe {
        match ((*header).cmsg_level, (*header).cmsg_type) {
            (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                let time = libc::CMSG_DATA(header).cast::<libc::timespec>().read_unaligned();
                received.nanoseconds = nanoseconds(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs());
            }
            (libc::SOL_PACKET, libc::PACKET_AUXDATA) => {
                let data = libc::CMSG_DATA(header).cast::<libc::tpacket_auxdata>().read_unaligned();
                received.tag = tag(data.tp_status, data.tp_vlan_tci, data.tp_vlan_tpid);
            }
            _ => {}
        }
    }
}

/// Kinds of hardware whose frames begin with two MAC addresses (`linux/if_arp.h`).
const FRAMED: [u16; 2] = [libc::ARPHRD_ETHER, libc::ARPHRD_LOOPBACK];

/// Whether frames of that kind of hardware have no header of their own.
pub(super) fn is_bare(hardware: u16) -> bool {
    !FRAMED.contains(&hardware)
}

/// Before a filter of frames: what comes without a frame passes it.
pub fn bare_passes(filter: &mut Vec<libc::sock_filter>) {
    /// `SKF_AD_OFF + SKF_AD_HATYPE` (`linux/filter.h`)
    const HARDWARE: u32 = 0xffff_f01c;
    const LOAD: u16 = 0x20;
    const EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let [ether, loopback] = FRAMED.map(u32::from);
    let first = [step(LOAD, 0, 0, HARDWARE), step(EQUAL, 2, 0, ether), step(EQUAL, 1, 0, loopback), step(RETURN, 0, 0, u32::MAX)];
    filter.splice(..0, first);
}

/// Seconds and nanoseconds as one number.
pub(super) fn nanoseconds(seconds: u64, rest: u64) -> u64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(rest)
}

/// The four bytes of a VLAN tag that is kept beside the frame.
pub(super) fn tag(status: u32, control: u16, kind: u16) -> Option<[u8; 4]> {
    if status & libc::TP_STATUS_VLAN_VALID == 0 {
        return None;
    }
    let kind = if status & libc::TP_STATUS_VLAN_TPID_VALID == 0 { 0x8100 } else { kind };
    let ([a, b], [c, d]) = (kind.to_be_bytes(), control.to_be_bytes());
    Some([a, b, c, d])
}

/// Bytes of a block: some frames of 64 KiB fit, as segmentation offload makes them.
const BLOCK: usize = 1 << 18;

/// The kernel hands a block over that is not full after so many milliseconds.
const RETIRE: u32 = 10;

/// A ring of blocks, mapped into memory.
#[derive(Debug)]
pub struct Ring {
    base: NonNull<c_void>,
    blocks: usize,
    next: usize,
}

// SAFETY: the mapping belongs to this value alone, wherever it is.
unsafe impl Send for Ring {}

impl Ring {
    /// Gives a packet socket a ring of about so many bytes.
    pub fn new(socket: &impl AsFd, bytes: usize) -> Result<Self> {
        let blocks = bytes.div_ceil(BLOCK).max(2);
        let number = |value: usize| u32::try_from(value).map_err(|_| Errno::EINVAL);
        let request = libc::tpacket_req3 {
            tp_block_size: number(BLOCK)?,
            tp_block_nr: number(blocks)?,
            tp_frame_size: number(BLOCK)?,
            tp_frame_nr: number(blocks)?,
            tp_retire_blk_tov: RETIRE,
            tp_sizeof_priv: 0,
            tp_feature_req_word: 0,
        };
        request_ring(socket, &request)?;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let fd = socket.as_fd().as_raw_fd();
        // SAFETY: a new mapping at an address that the kernel chooses.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), blocks * BLOCK, access, libc::MAP_SHARED, fd, 0) };
        if at == libc::MAP_FAILED {
            return Err(Errno::last());
        }
        let base = NonNull::new(at).ok_or(Errno::ENOMEM)?;
        Ok(Self { base, blocks, next: 0 })
    }

    /// Hands out the frames of every block that is ready, then gives the blocks back; how many frames.
    ///
    /// At most one round, so that a flood does not keep the caller for ever.
    pub fn take(&mut self, each: &mut dyn FnMut(Beside, &[u8])) -> usize {
        let mut frames = 0;
        for _ in 0..self.blocks {
            // SAFETY: `next` is below `blocks`, so the whole block is in the mapping; blocks begin at page boundaries.
            let (block, status) = unsafe {
                let block = self.base.as_ptr().byte_add(self.next * BLOCK);
                let description = block.cast::<tpacket_block_desc>();
                (block, AtomicU32::from_ptr(&raw mut (*description).hdr.bh1.block_status))
            };
            if status.load(Ordering::Acquire) & libc::TP_STATUS_USER == 0 {
                break;
            }
            // SAFETY: the kernel has handed the block over and keeps off it until the status says otherwise.
            frames += unsafe { walk(block, each) };
            status.store(libc::TP_STATUS_KERNEL, Ordering::Release);
            self.next = (self.next + 1) % self.blocks;
        }
        frames
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: this mapping was made by `new`, and nothing borrows from it beyond `take`.
        unsafe { libc::munmap(self.base.as_ptr(), self.blocks * BLOCK) };
    }
}

/// # Safety
/// `block` is a block of `BLOCK` bytes that belongs to this process for the time of the call.
unsafe fn walk(block: *const c_void, each: &mut dyn FnMut(Beside, &[u8])) -> usize {
    // SAFETY: see above; offsets that would lead out of the block end the walk.
    unsafe {
        let head = (*block.cast::<tpacket_block_desc>()).hdr.bh1;
        let (count, mut at) = (head.num_pkts as usize, head.offset_to_first_pkt as usize);
        for done in 0..count {
            if at + size_of::<tpacket3_hdr>() + 16 + size_of::<sockaddr_ll>() > BLOCK {
                return done;
            }
            let header = block.byte_add(at).cast::<tpacket3_hdr>().read_unaligned();
            // TPACKET_ALIGN(sizeof(struct tpacket3_hdr)): the address follows at a multiple of 16.
            let from = block.byte_add(at + size_of::<tpacket3_hdr>().next_multiple_of(16)).cast::<sockaddr_ll>().read_unaligned();
            let (start, captured) = (at + usize::from(header.tp_mac), header.tp_snaplen as usize);
            if start + captured > BLOCK {
                return done;
            }
            let control = u16::try_from(header.hv1.tp_vlan_tci).unwrap_or_default();
            let beside = Beside {
                interface: u32::try_from(from.sll_ifindex).unwrap_or(0),
                nanoseconds: nanoseconds(header.tp_sec.into(), header.tp_nsec.into()),
                bare: is_bare(from.sll_hatype),
                outgoing: from.sll_pkttype == libc::PACKET_OUTGOING,
                length: header.tp_len,
                captured,
                tag: tag(header.tp_status, control, header.hv1.tp_vlan_tpid),
            };
            each(beside, std::slice::from_raw_parts(block.byte_add(start).cast::<u8>(), captured));
            at += header.tp_next_offset as usize;
        }
        count
    }
}
