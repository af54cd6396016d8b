//! The ring of blocks that a packet socket shares with the kernel (`packet_mmap`, version 3).

use std::os::fd::{AsFd, AsRawFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use libc::{c_void, sockaddr_ll, tpacket_block_desc, tpacket3_hdr};
use nix::errno::Errno;

use super::packet::{Beside, nanoseconds, request_ring, tag};

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
    pub fn new(socket: &impl AsFd, bytes: usize) -> Result<Self, Errno> {
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
            let told = Beside {
                interface: u32::try_from(from.sll_ifindex).unwrap_or(0),
                nanoseconds: nanoseconds(header.tp_sec.into(), header.tp_nsec.into()),
                outgoing: from.sll_pkttype == libc::PACKET_OUTGOING,
                length: header.tp_len,
                captured,
                tag: tag(header.tp_status, control, header.hv1.tp_vlan_tpid),
            };
            each(told, std::slice::from_raw_parts(block.byte_add(start).cast::<u8>(), captured));
            at += header.tp_next_offset as usize;
        }
        count
    }
}
