//! Reading a file that somebody else may have written, with no more rights than the caller has.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::libc;

use super::parse;
use crate::error::{Error, FileFault, Result};
use crate::topology::Topology;
use crate::topology::caller::Caller;
use crate::topology::reader::Choice;

/// Longest file that is read, in bytes.
const LONGEST: u64 = 1 << 20;

/// The topology that a file describes, its checks of these kinds.
///
/// Under `sudo` the file is opened with the rights of the user who typed the command, so that nslab shows nobody a file that
/// they may not read. Of that user's groups only the first counts: the others cannot be had without a look-up.
///
/// # Errors
/// [`Error::File`] where there is no text to read, [`Error::Topology`] where the text describes no lab.
pub fn read(path: &Path, kinds: &'static [Choice]) -> Result<Topology> {
    let text = text_of(path).map_err(|why| Error::File { file: path.to_owned(), why })?;
    parse(&path.to_string_lossy(), &text, kinds)
}

fn text_of(path: &Path) -> std::result::Result<String, FileFault> {
    let caller = Caller::behind_sudo();
    let user = caller.map(Caller::user);
    let fault = |errno: i32| FileFault::Read { errno, user };
    let failed = |error: &std::io::Error| fault(error.raw_os_error().unwrap_or(libc::EIO));
    let file = match caller {
        Some(caller) => caller.open(|| open(path)),
        None => open(path),
    }
    .map_err(|error| failed(&error))?;
    let meta = file.metadata().map_err(|error| failed(&error))?;
    if !meta.is_file() {
        return Err(FileFault::NotAFile);
    }
    if caller.is_some_and(|caller| !caller.may_read(&meta)) {
        return Err(fault(libc::EACCES));
    }
    if meta.len() > LONGEST {
        return Err(FileFault::TooLong(meta.len()));
    }
    let mut bytes = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(|error| failed(&error))?;
    if bytes.len() as u64 > LONGEST {
        return Err(FileFault::TooLong(bytes.len() as u64));
    }
    match String::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(text),
        _ => Err(FileFault::NotText),
    }
}

/// A FIFO does not block and a terminal does not become ours.
fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC).open(path)
}
