//! Where a topology's text comes from: every file of `topologies/`, embedded in the program, or a file that somebody else may have
//! written, read with no more rights than the caller has.

use std::fs::{File, Metadata, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::libc;
use nix::unistd::{Gid, Uid, setfsgid, setfsuid};

use crate::error::FileFault;

/// Name and text of each, ordered by name; written by `build.rs`.
const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/catalog.rs"));

/// Whether a word means a file and none of these: it has a `/` or ends in `.yaml` or `.yml`.
pub fn is_file(word: &str) -> bool {
    let extension = Path::new(word).extension().and_then(|extension| extension.to_str());
    word.contains('/') || matches!(extension, Some("yaml" | "yml"))
}

/// The names of all built-in topologies, in order.
pub fn names() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(name, _)| *name)
}

/// The text of a built-in topology.
pub fn find(name: &str) -> Option<&'static str> {
    FILES.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// The lesson that a topology's text opens with: its first comment, without the comment signs.
pub fn lesson(text: &str) -> String {
    let comment = text.lines().map_while(|line| line.strip_prefix('#'));
    comment.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

/// Longest file that is read, in bytes.
const LONGEST: u64 = 1 << 20;

/// The text of a file.
///
/// Under `sudo` the file is opened with the rights of the user who typed the command, so that nslab shows nobody a file that
/// they may not read. Of that user's groups only the first counts: the others cannot be had without a look-up.
pub(super) fn text_of(path: &Path) -> Result<String, FileFault> {
    let caller = Caller::behind_sudo();
    let fault = |errno| FileFault::Read { errno, user: caller.map(Caller::user) };
    let failed = |error: std::io::Error| fault(error.raw_os_error().unwrap_or(libc::EIO));
    let opened = caller.map_or_else(|| open(path), |caller| caller.open(|| open(path)));
    let file = opened.map_err(failed)?;
    let meta = file.metadata().map_err(failed)?;
    if !meta.is_file() {
        return Err(FileFault::NotAFile);
    }
    if caller.is_some_and(|caller| !caller.may_read(&meta)) {
        return Err(fault(libc::EACCES));
    }
    let mut bytes = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
    let length = meta.len().max(bytes.len() as u64);
    if length > LONGEST {
        return Err(FileFault::TooLong(length));
    }
    let text = String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
    text.ok_or(FileFault::NotText)
}

/// A FIFO does not block and a terminal does not become ours.
fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC).open(path)
}

/// The user who typed `sudo`.
#[derive(Debug, Clone, Copy)]
pub struct Caller {
    uid: Uid,
    gid: Gid,
}

impl Caller {
    /// Who that is, where root was had by `sudo`.
    pub fn behind_sudo() -> Option<Self> {
        let number = |name| std::env::var(name).ok().and_then(|value| value.parse().ok());
        if !Uid::effective().is_root() {
            return None;
        }
        let uid = Uid::from_raw(number("SUDO_UID")?);
        let gid = Gid::from_raw(number("SUDO_GID")?);
        (!uid.is_root()).then_some(Self { uid, gid })
    }

    /// Their number.
    pub fn user(self) -> u32 {
        self.uid.as_raw()
    }

    /// Opens a file with their rights, which this thread has for that time alone; a new file is theirs.
    ///
    /// # Errors
    /// Those of opening.
    pub fn open(self, opening: impl FnOnce() -> std::io::Result<File>) -> std::io::Result<File> {
        let gid = setfsgid(self.gid);
        let uid = setfsuid(self.uid);
        let file = opening();
        setfsuid(uid);
        setfsgid(gid);
        file
    }

    /// Root's other groups stay with the thread, and a user that this namespace does not know cannot be taken on: what let the
    /// file be opened must be a right of the caller.
    pub fn may_read(self, meta: &Metadata) -> bool {
        let owner = meta.uid() == self.uid.as_raw() && meta.mode() & 0o400 != 0;
        let group = meta.gid() == self.gid.as_raw() && meta.mode() & 0o040 != 0;
        owner || group || meta.mode() & 0o004 != 0
    }
}
