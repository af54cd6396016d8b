//! Records of labs below `/run/nslab`: written whole or not at all, and read only in the boot that they are of.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use nix::errno::Errno;
use serde::Serialize;

use super::paths::{self, system};
use crate::error::{Error, Limit, Result};
use crate::kernel::fault;
use crate::kernel::sys::process::errno;

/// Never through a link that somebody put there.
const FLAGS: i32 = libc::O_NOFOLLOW | libc::O_CLOEXEC;

/// Writes a record: who reads sees the old one or the new one. No fsync: a power cut takes the lab along.
///
/// # Errors
/// `Limit::Space` where there is no room; when it cannot be written.
pub(super) fn write(path: &Path, record: &impl Serialize, mode: u32) -> Result<()> {
    let fail = |number| match number {
        Errno::ENOSPC => Error::Machine(Limit::Space(paths::RUN.into())),
        number => system("write", path, number),
    };
    let text = serde_json::to_vec(record).map_err(|error| Error::Internal(error.to_string()))?;
    let new = path.with_extension("new");
    fault::point().map_err(fail)?;
    let opened = File::options().write(true).create(true).truncate(true).mode(mode).custom_flags(FLAGS).open(&new);
    let written = opened.and_then(|mut file| {
        // The caller's umask must not close what others read.
        file.set_permissions(Permissions::from_mode(mode))?;
        file.write_all(&text)
    });
    written.map_err(|error| fail(errno(&error)))?;
    fault::point().map_err(fail)?;
    fs::rename(&new, path).map_err(|error| fail(errno(&error)))
}

/// Opens a record to be read.
///
/// # Errors
/// When it is not there, or a link.
pub(super) fn open(path: &Path) -> std::io::Result<File> {
    File::options().read(true).custom_flags(FLAGS).open(path)
}
