//! Locks on directories: whoever holds the directory that a path leads to holds what is in it.
//!
//! A directory may be removed, or hidden by a mount, while somebody waits for it; so after every wait the path is looked
//! at again. Nothing is left behind by a lock, and the kernel drops it with its holder.

use std::fs::File;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::Flock;

use super::paths::{self, system};
use crate::error::{Error, Result};
use crate::kernel::flock::{self, Patience, Untaken};
use crate::kernel::sys::process::errno;

/// A held lock.
#[derive(Debug)]
pub struct Lock {
    _held: Flock<File>,
}

/// Locks the directory at `path`; none if there is none.
///
/// # Errors
/// [`Error::Busy`] when somebody keeps it for five seconds, naming the holder; [`Error::Tampered`] if it is no
/// directory, [`Error::Foreign`] if it is somebody else's.
pub fn directory(path: &Path, lab: Option<&str>) -> Result<Option<Lock>> {
    take(path, lab, true, Patience::USUAL)
}

/// Locks a file that always is there.
///
/// # Errors
/// [`Error::Busy`] as of [`directory`].
pub fn file(path: &Path) -> Result<Lock> {
    let file = File::open(path).map_err(|error| system("open", path, errno(&error)))?;
    hold(file, path, None, true, Patience::USUAL).map(|held| Lock { _held: held })
}

/// Like [`directory`], but others may share the lock.
pub fn shared(path: &Path, lab: Option<&str>) -> Result<Option<Lock>> {
    take(path, lab, false, Patience::USUAL)
}

/// Like [`directory`], but waits no longer than that for whoever comes before.
pub fn within(path: &Path, lab: Option<&str>, patience: Patience) -> Result<Option<Lock>> {
    take(path, lab, true, patience)
}

fn take(path: &Path, lab: Option<&str>, exclusive: bool, patience: Patience) -> Result<Option<Lock>> {
    loop {
        let Some(file) = open(path)? else { return Ok(None) };
        let held = hold(file, path, lab, exclusive, patience)?;
        if same(&held, path) {
            return Ok(Some(Lock { _held: held }));
        }
    }
}

fn hold(file: File, path: &Path, lab: Option<&str>, exclusive: bool, patience: Patience) -> Result<Flock<File>> {
    flock::take(file, exclusive, patience, |file| holder(file).map(|(pid, _)| pid)).map_err(|why| match why {
        Untaken::Busy(file) => Error::Busy { lab: lab.map(str::to_owned), holder: holder(&file) },
        Untaken::Stopped(error) => error,
        Untaken::Refused(errno) => system("flock", path, errno),
    })
}

fn open(path: &Path) -> Result<Option<File>> {
    if !paths::is_reachable(path) {
        return Ok(None);
    }
    let flags = libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    match File::options().read(true).custom_flags(flags).open(path) {
        Ok(file) => {
            let owner = file.metadata().map_or(u32::MAX, |meta| meta.uid());
            if owner == nix::unistd::geteuid().as_raw() { Ok(Some(file)) } else { Err(paths::not_ours(path)) }
        }
        Err(error) => match error.raw_os_error() {
            Some(libc::ENOENT) => Ok(None),
            Some(libc::ELOOP | libc::ENOTDIR | libc::EACCES) => Err(paths::not_ours(path)),
            _ => Err(system("open", path, errno(&error))),
        },
    }
}

fn same(file: &File, path: &Path) -> bool {
    let (Ok(held), Ok(now)) = (file.metadata(), std::fs::symlink_metadata(path)) else { return false };
    held.dev() == now.dev() && held.ino() == now.ino()
}

/// Who holds a lock on this file, from `/proc/locks`.
fn holder(file: &File) -> Option<(i32, String)> {
    let meta = file.metadata().ok()?;
    let (major, minor) = (nix::sys::stat::major(meta.dev()), nix::sys::stat::minor(meta.dev()));
    let wanted = format!(" {major:02x}:{minor:02x}:{} ", meta.ino());
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let line = locks.lines().find(|line| line.contains(" FLOCK ") && !line.contains("->") && line.contains(&wanted))?;
    let pid: i32 = line.split_whitespace().nth(4)?.parse().ok()?;
    let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let command = String::from_utf8_lossy(&command).trim_end_matches('\0').replace('\0', " ");
    Some((pid, command))
}
