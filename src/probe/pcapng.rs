//! Files of frames in the pcapng format (draft-ietf-opsawg-pcapng), which Wireshark, tshark and tcpdump read.
//!
//! Everything here makes whole blocks: whoever writes them one after the other has a valid file at every moment.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::error::{Error, FileFault, Result, Usage};
use crate::kernel::packet::{Counts, Seen};
use crate::kernel::sys;
use crate::name::Mac;
use crate::topology::Caller;

/// Most bytes of a frame that are kept: no frame has more.
const LONGEST: u32 = 1 << 18;

/// The block that begins a file: which program wrote it.
pub fn section(program: &str) -> Vec<u8> {
    /// Tells the byte order; then version 1.0, and a section of unknown length.
    const MAGIC: u32 = 0x1a2b_3c4d;
    const APPLICATION: u16 = 4;
    let mut block = Block::new(0x0a0d_0d0a);
    block.number(MAGIC);
    block.bytes(&[1, 0, 0, 0]);
    block.bytes(&[0xff; 8]);
    block.option(APPLICATION, program.as_bytes());
    block.end()
}

/// The block of an interface that frames come from: its name as it is typed, what it is, its MAC address, and the filter of the
/// capture, empty where there is none.
pub fn interface(name: &str, description: &str, mac: Option<Mac>, filter: &str) -> Vec<u8> {
    const ETHERNET: u32 = 1;
    const NAME: u16 = 2;
    const DESCRIPTION: u16 = 3;
    const MAC: u16 = 6;
    const RESOLUTION: u16 = 9;
    const FILTER: u16 = 11;
    let mut block = Block::new(1);
    block.number(ETHERNET);
    block.number(LONGEST);
    block.option(NAME, name.as_bytes());
    block.option(DESCRIPTION, description.as_bytes());
    if let Some(Mac(mac)) = mac {
        block.option(MAC, &mac);
    }
    // Times count in 10^-9 seconds.
    block.option(RESOLUTION, &[9]);
    if !filter.is_empty() {
        // 0: the text is a filter in libpcap's language.
        block.option(FILTER, &[&[0], filter.as_bytes()].concat());
    }
    block.end()
}

/// Appends the block of a frame at the interface of that number, in the order in which they were written.
pub fn frame(interface: u32, frame: &Seen<'_>, to: &mut Vec<u8>) {
    const FLAGS: u16 = 2;
    let mut block = Block::within(6, std::mem::take(to));
    block.number(interface);
    block.time(frame.nanoseconds);
    block.number(u32::try_from(frame.bytes.len()).unwrap_or(u32::MAX));
    block.number(frame.length);
    block.bytes(frame.bytes);
    block.pad();
    // The two lowest bits: 1 inbound, 2 outbound.
    block.option(FLAGS, &(if frame.outgoing { 2_u32 } else { 1 }).to_le_bytes());
    *to = block.end();
}

/// The block that tells what became of the frames of an interface, and when the capture began and ended, in nanoseconds since 1970.
pub fn counts(interface: u32, (start, end): (u64, u64), counts: Counts) -> Vec<u8> {
    const START: u16 = 2;
    const END: u16 = 3;
    const RECEIVED: u16 = 4;
    const DROPPED: u16 = 5;
    let mut block = Block::new(5);
    block.number(interface);
    block.time(end);
    for (code, time) in [(START, start), (END, end)] {
        block.option(code, &halves(time));
    }
    block.option(RECEIVED, &counts.seen.to_le_bytes());
    block.option(DROPPED, &counts.dropped.to_le_bytes());
    block.end()
}

/// A time is written as two numbers, the higher one first.
fn halves(time: u64) -> [u8; 8] {
    time.rotate_left(32).to_le_bytes()
}

/// A block being written: its type and length, its body, its length again.
struct Block {
    buffer: Vec<u8>,
    start: usize,
    options: bool,
}

impl Block {
    fn new(kind: u32) -> Self {
        Self::within(kind, Vec::new())
    }

    fn within(kind: u32, buffer: Vec<u8>) -> Self {
        let mut block = Self { start: buffer.len(), buffer, options: false };
        block.number(kind);
        block.number(0);
        block
    }

    fn number(&mut self, number: u32) {
        self.bytes(&number.to_le_bytes());
    }

    fn time(&mut self, time: u64) {
        self.bytes(&halves(time));
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Everything begins at a multiple of four bytes.
    fn pad(&mut self) {
        let missing = (self.buffer.len() - self.start).next_multiple_of(4) - (self.buffer.len() - self.start);
        self.bytes(&[0; 3][..missing]);
    }

    /// An option; of a longer value the first 65532 bytes.
    fn option(&mut self, code: u16, value: &[u8]) {
        let value = value.get(..usize::from(u16::MAX) - 3).unwrap_or(value);
        self.bytes(&code.to_le_bytes());
        self.bytes(&u16::try_from(value.len()).unwrap_or_default().to_le_bytes());
        self.bytes(value);
        self.pad();
        self.options = true;
    }

    fn end(mut self) -> Vec<u8> {
        if self.options {
            self.number(0);
        }
        let length = u32::try_from(self.buffer.len() - self.start + 4).unwrap_or(u32::MAX);
        self.number(length);
        self.buffer[self.start + 4..self.start + 8].copy_from_slice(&length.to_le_bytes());
        self.buffer
    }
}

/// A pipe that says it takes something takes so many bytes at least (`PIPE_BUF`).
const PIECE: usize = 4096;

/// After a signal a reader that does not read gets so long to take the rest of a block.
const GRACE: Duration = Duration::from_secs(1);

/// A file or pipe being written.
#[derive(Debug)]
pub struct Sink {
    file: File,
    /// None: standard output.
    path: Option<PathBuf>,
    is_file: bool,
}

impl Sink {
    /// Standard output.
    ///
    /// # Errors
    /// [`Usage::Terminal`] where it is one: a terminal can show no pcapng.
    pub fn standard_output() -> Result<Self> {
        let standard = sys::process::standard(1);
        if nix::unistd::isatty(standard).unwrap_or(false) {
            return Err(Error::Usage(Usage::Terminal));
        }
        let copied = standard.try_clone_to_owned().map(File::from);
        copied.map(|file| Self::new(file, None)).map_err(|error| Error::Output { errno: number(&error) })
    }

    /// A file, made or emptied. Under `sudo` it is opened with the rights of the user who typed the command, and is theirs.
    ///
    /// # Errors
    /// [`Error::File`] where that cannot be.
    pub fn file(path: &Path) -> Result<Self> {
        let fault = |why| Error::File { file: path.to_owned(), why };
        let failed = |error: &io::Error| fault(FileFault::Write(number(error)));
        if std::fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_block_device()) {
            return Err(fault(FileFault::NotAFile));
        }
        let flags = libc::O_NOFOLLOW | libc::O_NOCTTY | libc::O_CLOEXEC;
        let open = || OpenOptions::new().write(true).create(true).truncate(true).custom_flags(flags).mode(0o644).open(path);
        let file = match Caller::behind_sudo() {
            Some(caller) => caller.open(open),
            None => open(),
        };
        file.map(|file| Self::new(file, Some(path.to_owned()))).map_err(|error| failed(&error))
    }

    fn new(file: File, path: Option<PathBuf>) -> Self {
        let is_file = file.metadata().is_ok_and(|meta| meta.is_file());
        Self { file, path, is_file }
    }

    /// Writes whole blocks; false when nobody reads any more.
    ///
    /// # Errors
    /// [`Error::Capture`] or [`Error::Output`] when they do not fit; the blocks that did fit are kept whole.
    pub fn write(&mut self, blocks: &[u8]) -> Result<bool> {
        let written = if self.is_file { self.store(blocks) } else { self.send(blocks) };
        match written {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(match &self.path {
                Some(path) => Error::Capture { file: path.clone(), errno: number(&error) },
                None => Error::Output { errno: number(&error) },
            }),
        }
    }

    fn store(&mut self, blocks: &[u8]) -> io::Result<()> {
        let mut done = 0;
        while done < blocks.len() {
            match self.file.write(&blocks[done..]) {
                Ok(number) if number > 0 => done += number,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => {
                    // Half a block would make the file unreadable.
                    let excess = done - whole(&blocks[..done]);
                    let end = self.file.stream_position()?.saturating_sub(excess as u64);
                    self.file.set_len(end)?;
                    self.file.seek(SeekFrom::Start(end))?;
                    return Err(other.err().unwrap_or_else(|| io::Error::from_raw_os_error(libc::ENOSPC)));
                }
            }
        }
        Ok(())
    }

    fn send(&mut self, blocks: &[u8]) -> io::Result<()> {
        let mut done = 0;
        let mut signalled: Option<Instant> = None;
        while done < blocks.len() {
            let mut fds = [PollFd::new(self.file.as_fd(), PollFlags::POLLOUT)];
            let ready = poll(&mut fds, PollTimeout::from(100_u8)).unwrap_or(0);
            if ready > 0 {
                let end = blocks.len().min(done + PIECE);
                match self.file.write(&blocks[done..end]) {
                    Ok(number) => done += number,
                    Err(error) if [io::ErrorKind::Interrupted, io::ErrorKind::WouldBlock].contains(&error.kind()) => {}
                    Err(error) => return Err(error),
                }
            } else if sys::signal().is_some() && signalled.get_or_insert_with(Instant::now).elapsed() > GRACE {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
        }
        Ok(())
    }
}

impl AsFd for Sink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// The length of the whole blocks at the beginning: each has its own in its second four bytes.
fn whole(blocks: &[u8]) -> usize {
    let mut at = 0;
    while let Some(length) = blocks.get(at + 4..at + 8).and_then(|four| four.first_chunk::<4>()) {
        let next = at + u32::from_le_bytes(*length) as usize;
        if next > blocks.len() || next == at {
            break;
        }
        at = next;
    }
    at
}

fn number(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(bytes: &[u8], at: usize) -> usize {
        usize::from(bytes[at]) | usize::from(bytes[at + 1]) << 8 | usize::from(bytes[at + 2]) << 16
    }

    #[test]
    fn every_block_has_its_length_at_both_ends_and_at_a_multiple_of_four() {
        let mut file = section("nslab 1");
        for name in ["a", "ab", "abc", "abcd"] {
            let mac = Some(Mac([2, 0, 1, 0, 1, 0]));
            file.extend(interface(name, "", mac, name));
        }
        for length in 0..70 {
            let bytes = vec![7; length];
            frame(0, &Seen { interface: 0, nanoseconds: 1, outgoing: true, length: 70, bytes: &bytes }, &mut file);
        }
        file.extend(counts(0, (1, 2), Counts { seen: 70, dropped: 0 }));
        let (mut at, mut blocks) = (0, 0);
        while at < file.len() {
            let length = number(&file, at + 4);
            assert!(length.is_multiple_of(4) && number(&file, at + length - 4) == length, "block {blocks}");
            (at, blocks) = (at + length, blocks + 1);
        }
        assert_eq!((at, blocks), (file.len(), 1 + 4 + 70 + 1));
    }

    #[test]
    fn blocks_that_fit_stay_whole() {
        let first = section("nslab");
        let both = [first.clone(), first.clone()].concat();
        for cut in 0..both.len() {
            assert_eq!(whole(&both[..cut]), if cut >= first.len() { first.len() } else { 0 });
        }
        assert_eq!(whole(&both), both.len());
    }
}
