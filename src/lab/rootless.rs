//! Inside `unshare -Urnm` the machine's `/run` belongs to others, and what of it is nslab's too: a tmpfs of the caller's own
//! mount namespace covers it, in which everything else of it is still there.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use serde::{Deserialize, Serialize};

use super::lock::{self, Lock};
use super::{errno, home, system};
use crate::error::{Error, Limit, Result};
use crate::kernel::mounts::Mounts;
use crate::kernel::sys::process::mount_id;
use crate::kernel::{fault, feature, sandbox, userns};

const RUN: &str = "/run";
/// Written when everything is in the cover: what of it is nslab's work.
const NOTE: &str = "/run/.nslab-run";
/// The same while it is written.
const NEW: &str = "/run/.nslab-run.new";
/// The mount namespace, which only one process at a time covers or uncovers `/run` of.
const TURN: &str = "/proc/self/ns/mnt";

/// What covers `/run`, as it was when it was made.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Note {
    /// Device and number of each entry.
    entries: BTreeSet<(u64, u64)>,
    /// What is mounted below it: the device, and which part of it.
    mounts: BTreeSet<(String, OsString)>,
}

/// What a file system that labs live in is called in `mountinfo`: in a user namespace with its number, since one inside of it, or
/// around it, has labs of its own.
pub fn source(name: &str) -> String {
    userns::number().map_or_else(|| name.to_owned(), |number| format!("{name}:[{number}]"))
}

/// Whether what is below `/run` can be the caller's: nobody's labs are seen in the machine's by a user namespace.
pub fn is_reachable() -> bool {
    !userns::is_inside() || sandbox::around().is_some() || is_covered() || is_called(Path::new(home::RUN), "nslab") || is_own()
}

/// A container's `/run` is its own already.
fn is_own() -> bool {
    userns::is_containers() && home::is_own(&run())
}

fn is_covered() -> bool {
    is_called(&run(), "nslab-run")
}

/// Where `/run` leads to.
fn run() -> PathBuf {
    Path::new(RUN).canonicalize().unwrap_or_else(|_| RUN.into())
}

/// Whether a directory is in a file system of that name that was mounted in this user namespace.
fn is_called(path: &Path, name: &str) -> bool {
    let (Ok(id), Ok(mounts)) = (mount_id(path), Mounts::read()) else { return false };
    mounts.source(id) == Some(OsStr::new(&source(name)))
}

/// Covers `/run` where labs could not live in it; as long as the lock is held nobody takes it away.
pub fn cover() -> Result<Option<Lock>> {
    if !userns::is_inside() || is_own() || sandbox::around().is_some() {
        return Ok(None);
    }
    let turn = lock::file(Path::new(TURN))?;
    if is_covered() {
        if Path::new(NOTE).exists() {
            return Ok(Some(turn));
        }
        // Whoever made it was killed before it was whole.
        take_away()?;
    } else if is_reachable() {
        return Ok(Some(turn));
    }
    let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
    let old = File::options().read(true).custom_flags(flags).open(RUN);
    let old = old.map_err(|error| system("open", Path::new(RUN), errno(&error)))?;
    fault::point().map_err(failed)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some(source("nslab-run").as_str()), RUN, Some("tmpfs"), flags, Some("mode=0755,nr_inodes=0")).map_err(failed)?;
    let shown = fault::point().and_then(|()| show(&old)).and_then(|()| note());
    if shown.is_err() {
        let _ = umount2(RUN, MntFlags::MNT_DETACH);
    }
    shown.map(|()| Some(turn)).map_err(failed)
}

fn failed(errno: Errno) -> Error {
    match errno {
        Errno::EPERM | Errno::EACCES => Error::Machine(refusal()),
        Errno::ENOSPC => Error::Machine(Limit::Sysctl("fs.mount-max")),
        errno => system("mount -t tmpfs", Path::new(RUN), errno),
    }
}

/// Why a file system may not be mounted here.
pub fn refusal() -> Limit {
    if userns::is_inside() && feature::mounts() { Limit::MountNamespace } else { Limit::Mounting }
}

/// Shows what was in the old `/run` in the new one, but for labs: those are of another user namespace.
fn show(old: &File) -> std::result::Result<(), Errno> {
    let below = PathBuf::from(format!("/proc/self/fd/{}", old.as_raw_fd()));
    let netns = Path::new(home::NETNS);
    for entry in listed(&below) {
        let shown = Path::new(RUN).join(entry.file_name().unwrap_or_default());
        if [home::RUN, NOTE, NEW].iter().any(|own| shown == Path::new(own)) {
            continue;
        }
        if shown != netns || !is_directory(&entry) {
            place(&entry, &shown)?;
            continue;
        }
        // One's own, so that labs can enter their namespaces.
        fs::create_dir(netns).map_err(|error| errno(&error))?;
        for entry in listed(&entry) {
            place(&entry, &netns.join(entry.file_name().unwrap_or_default()))?;
        }
    }
    Ok(())
}

/// The entries of a directory, as far as one may look into it.
fn listed(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn is_directory(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir())
}

/// Shows a file, a directory or a link elsewhere too.
fn place(from: &Path, to: &Path) -> std::result::Result<(), Errno> {
    // It may have gone meanwhile.
    let Ok(meta) = fs::symlink_metadata(from) else { return Ok(()) };
    if meta.is_symlink() {
        return match fs::read_link(from) {
            // Those into the labs of others would lead nowhere, or into a lab of the same name.
            Ok(target) if !target.starts_with(home::RUN) => symlink(target, to).map_err(|error| errno(&error)),
            _ => Ok(()),
        };
    }
    let made = if meta.is_dir() { fs::create_dir(to) } else { fs::write(to, "") };
    made.map_err(|error| errno(&error))?;
    match mount(Some(from), to, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>) {
        Ok(()) => Ok(()),
        Err(errno @ (Errno::ENOSPC | Errno::ENOMEM)) => Err(errno),
        // It has gone, or may not be shown twice: what would be written in its place would not get there.
        Err(_) => if meta.is_dir() { fs::remove_dir(to) } else { fs::remove_file(to) }.map_err(|error| errno(&error)),
    }
}

fn note() -> std::result::Result<(), Errno> {
    let id = mount_id(&run())?;
    let mounts = Mounts::read().map_err(|error| errno(&error))?.below(id);
    let note = serde_json::to_vec(&Note { entries: entries(), mounts }).map_err(|_| Errno::EIO)?;
    fault::point()?;
    fs::write(NEW, note).and_then(|()| fs::rename(NEW, NOTE)).map_err(|error| errno(&error))
}

/// Device and number of everything in `/run` and `/run/netns`.
fn entries() -> BTreeSet<(u64, u64)> {
    let all = listed(Path::new(RUN)).into_iter().chain(listed(Path::new(home::NETNS)));
    let number = |path: PathBuf| fs::symlink_metadata(path).map(|meta| (meta.dev(), meta.ino())).ok();
    all.filter(|path| path != Path::new(NOTE)).filter_map(number).collect()
}

/// Shows the old `/run` again, when no lab is left; what somebody else has put into the new one meanwhile keeps it.
pub fn uncover() -> Result<()> {
    if !userns::is_inside() || !is_covered() {
        return Ok(());
    }
    let _turn = lock::file(Path::new(TURN))?;
    // Another nslab may have been faster, or may have begun anew.
    if !is_covered() || fs::symlink_metadata(home::RUN).is_ok() || is_in_use() { Ok(()) } else { take_away() }
}

/// Whether there is anything in it that it was not made with.
fn is_in_use() -> bool {
    let note: Option<Note> = fs::read(NOTE).ok().and_then(|text| serde_json::from_slice(&text).ok());
    let Some(note) = note else { return false };
    let mounts = mount_id(&run()).ok().zip(Mounts::read().ok()).map(|(id, mounts)| mounts.below(id)).unwrap_or_default();
    !entries().is_subset(&note.entries) || !mounts.is_subset(&note.mounts)
}

fn take_away() -> Result<()> {
    let fail = |errno| system("umount", Path::new(RUN), errno);
    fault::point().map_err(fail)?;
    umount2(RUN, MntFlags::MNT_DETACH).map_err(fail)
}
