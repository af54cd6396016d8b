//! Where a pcapng goes: a file, or a pipe that somebody follows. Whatever happens, whole blocks are in it.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::error::{Error, FileFault, Result, Usage};
use crate::kernel::sys;
use crate::topology::caller::Caller;

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
    use crate::probe::pcapng;

    #[test]
    fn blocks_that_fit_stay_whole() {
        let first = pcapng::section("nslab");
        let both = [first.clone(), first.clone()].concat();
        for cut in 0..both.len() {
            assert_eq!(whole(&both[..cut]), if cut >= first.len() { first.len() } else { 0 });
        }
        assert_eq!(whole(&both), both.len());
    }
}
