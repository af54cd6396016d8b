//! Records of labs below `/run/nslab`: written whole or not at all, read only where they are one's own and of this boot.

use std::fs::{self, File, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::OnceLock;

use nix::errno::Errno;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::paths::{RUN, is_reachable, not_ours, system};
use crate::error::{Error, Limit, Result};
use crate::kernel::fault;
use crate::kernel::sys::process::errno;

/// This boot of the machine.
pub fn boot_id() -> &'static str {
    static BOOT: OnceLock<String> = OnceLock::new();
    BOOT.get_or_init(|| fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned())
}

/// Writes a record: who reads sees the old one or the new one. No fsync: a power cut takes the lab along.
///
/// # Errors
/// `Limit::Space` where there is no room; when it cannot be written.
pub(super) fn write(path: &Path, record: &impl Serialize, mode: u32) -> Result<()> {
    let fail = |number| match number {
        Errno::ENOSPC => Error::Machine(Limit::Space(RUN.into())),
        number => system("write", path, number),
    };
    let text = serde_json::to_vec(record).map_err(|error| Error::Internal(error.to_string()))?;
    let new = path.with_extension("new");
    // Never through a link that somebody put there.
    let flags = libc::O_NOFOLLOW | libc::O_CLOEXEC;
    fault::point().map_err(fail)?;
    let opened = File::options().write(true).create(true).truncate(true).mode(mode).custom_flags(flags).open(&new);
    let written = opened.and_then(|mut file| {
        // The caller's umask must not close what others read.
        file.set_permissions(Permissions::from_mode(mode))?;
        file.write_all(&text)
    });
    written.map_err(|error| fail(errno(&error)))?;
    fault::point().map_err(fail)?;
    fs::rename(&new, path).map_err(|error| fail(errno(&error)))
}

/// The text of a record; none if there is none.
///
/// # Errors
/// [`Error::Tampered`] if it is no file, [`Error::Foreign`] if it is neither the caller's nor root's.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    if !is_reachable(path) {
        return Ok(None);
    }
    let flags = libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK;
    let mut file = match File::options().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) => {
            return match error.raw_os_error() {
                Some(libc::ENOENT | libc::ENOTDIR) => Ok(None),
                Some(libc::ELOOP | libc::EACCES) => Err(not_ours(path)),
                _ => Err(system("open", path, errno(&error))),
            };
        }
    };
    let meta = file.metadata().map_err(|error| system("stat", path, errno(&error)))?;
    if !meta.is_file() || ![0, nix::unistd::geteuid().as_raw()].contains(&meta.uid()) {
        return Err(not_ours(path));
    }
    let mut text = Vec::new();
    file.read_to_end(&mut text).map_err(|error| system("read", path, errno(&error)))?;
    Ok(Some(text))
}

/// A record that counts in the boot that it was written in alone.
pub(super) trait OfBoot: DeserializeOwned {
    /// The machine's boot that it belongs to.
    fn boot_id(&self) -> &str;
}

/// A record beside the journal.
#[derive(Debug)]
pub(super) enum Beside<T> {
    /// There is none of this boot.
    None,
    /// There is one that cannot be read or understood: what it said is lost.
    Lost,
    /// What it says.
    Known(T),
}

impl<T> Beside<T> {
    /// What it says; where nothing is known, whoever asks goes by the journal and by what the kernel shows.
    pub(super) fn known(self) -> Option<T> {
        match self {
            Self::Known(record) => Some(record),
            Self::None | Self::Lost => None,
        }
    }
}

/// Reads a record beside the journal.
pub(super) fn beside<T: OfBoot>(path: &Path) -> Beside<T> {
    match read(path).map(|text| text.map(|text| serde_json::from_slice::<T>(&text))) {
        Ok(Some(Ok(record))) if record.boot_id() == boot_id() => Beside::Known(record),
        Ok(None | Some(Ok(_))) => Beside::None,
        Ok(Some(Err(_))) | Err(_) => Beside::Lost,
    }
}
