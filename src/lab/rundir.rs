//! `/run/nslab` and the entries in `/run/netns`: made by need, gone with the last lab.
//!
//! Inside `unshare -Urnm` the machine's `/run` belongs to others, and what of it is nslab's too: a tmpfs of the caller's own
//! mount namespace covers it, in which everything else of it is still there.
//!
//! Locks are on directories: whoever holds the directory that a path leads to holds what is in it. A directory may be removed, or
//! hidden by a mount, while somebody waits for it; so after every wait the path is looked at again. Nothing is left behind by a
//! lock, and the kernel drops it with its holder.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, Flock};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd::{UnlinkatFlags, unlinkat};
use serde::{Deserialize, Serialize};

use super::paths::{self, NETNS, RUN, SYSTEM_RUN, is_containers, is_covered, is_reachable, not_ours, run, source, system};
use crate::error::{Error, Limit, Result};
use crate::kernel::caller::{self, Mounts};
use crate::kernel::flock::{self, Patience, Untaken};
use crate::kernel::sys::process::{errno, mount_id};
use crate::kernel::{fault, feature, sandbox};
use crate::name::LabName;

/// Says that nslab made `/run/netns`, and so may remove it.
const MADE_NETNS: &str = "/run/nslab/.made-netns";
/// `TMPFS_MAGIC` of `linux/magic.h`.
const TMPFS: i64 = 0x0102_1994;

/// Makes what all labs share, under the lock that guards it.
pub fn open() -> Result<Lock> {
    let _turn = cover()?;
    loop {
        make_directory(Path::new(RUN), 0o711)?;
        let Some(lock) = lock_directory(Path::new(RUN), None)? else { continue };
        if is_mounted() {
            share()?;
            make_netns()?;
            return Ok(lock);
        }
        clear()?;
        mount_run()?;
    }
}

/// Where `/run` is on a disk, files of labs from before the machine's last restart are still in the directory that nothing
/// is mounted on; nothing of the kernel's can be left of them.
fn clear() -> Result<()> {
    let at = Path::new(RUN);
    for entry in fs::read_dir(at).map_err(|error| system("read", at, errno(&error)))?.flatten() {
        let path = entry.path();
        fault::point().map_err(|errno| system("rm -r", &path, errno))?;
        let gone =
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        gone.map_err(|error| system("rm -r", &path, errno(&error)))?;
    }
    for entry in fs::read_dir(NETNS).into_iter().flatten().flatten() {
        if fs::read_link(entry.path()).is_ok_and(|target| target.starts_with(RUN)) {
            fs::remove_file(entry.path()).map_err(|error| system("unlink", &entry.path(), errno(&error)))?;
        }
    }
    Ok(())
}

/// The lock on what all labs share, if there is anything.
pub fn existing() -> Result<Option<Lock>> {
    if is_mounted() { lock_directory(Path::new(RUN), None) } else { Ok(None) }
}

/// Whether nslab's own tmpfs is there; `/run` itself may be another.
pub fn is_mounted() -> bool {
    let device = |path: &str| fs::symlink_metadata(path).map(|meta| meta.dev()).ok();
    let tmpfs = nix::sys::statfs::statfs(RUN).is_ok_and(|stat| stat.filesystem_type().0 == TMPFS);
    is_reachable(Path::new(RUN)) && tmpfs && device(RUN) != device("/run")
}

fn mount_run() -> Result<()> {
    let at = Path::new(RUN);
    let fail = |errno| match errno {
        Errno::EPERM | Errno::EACCES => Error::Machine(refusal()),
        Errno::ENOSPC => Error::Machine(Limit::Sysctl("fs.mount-max")),
        errno => system("mount -t tmpfs", at, errno),
    };
    fault::point().map_err(fail)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    mount(Some(source("nslab").as_str()), at, Some("tmpfs"), flags, Some("mode=0711,nr_inodes=0")).map_err(fail)
}

/// What is pinned here is seen by sandboxes made earlier; said at every start, since a kill may fall before it.
fn share() -> Result<()> {
    let at = Path::new(RUN);
    fault::point().map_err(|errno| system("mount --make-shared", at, errno))?;
    let shared = mount(None::<&str>, at, None::<&str>, MsFlags::MS_SHARED, None::<&str>);
    shared.map_err(|errno| system("mount --make-shared", at, errno))
}

fn make_netns() -> Result<()> {
    if Path::new(NETNS).is_dir() {
        return Ok(());
    }
    let note = |errno| system("create", Path::new(MADE_NETNS), errno);
    fault::point().map_err(note)?;
    fs::write(MADE_NETNS, "").map_err(|error| note(errno(&error)))?;
    make_directory(Path::new(NETNS), 0o755)
}

/// Makes a directory, or takes the one that is there if it is the caller's own.
pub fn make_directory(path: &Path, mode: u32) -> Result<()> {
    fault::point().map_err(|errno| system("mkdir", path, errno))?;
    match fs::DirBuilder::new().mode(mode).create(path) {
        Ok(()) => {
            // The caller's umask must not close a directory that others look into.
            let _ = fs::set_permissions(path, fs::Permissions::from_mode(mode));
            Ok(())
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let meta = fs::symlink_metadata(path).map_err(|error| system("stat", path, errno(&error)))?;
            let own = meta.is_dir() && meta.uid() == nix::unistd::geteuid().as_raw();
            if own || path == Path::new(NETNS) { Ok(()) } else { Err(not_ours(path)) }
        }
        Err(error) => Err(match errno(&error) {
            Errno::ENOSPC => Error::Machine(Limit::Space(RUN.into())),
            errno => system("mkdir", path, errno),
        }),
    }
}

/// Removes what all labs shared, if no lab is left; the lock is held.
pub fn close(lock: Lock) -> Result<()> {
    let at = Path::new(RUN);
    if is_mounted() {
        // A directory that cannot be read is not one without labs.
        fs::read_dir(at).map_err(|error| system("read", at, errno(&error)))?;
        if !paths::labs().is_empty() {
            return Ok(());
        }
        if Path::new(MADE_NETNS).exists() {
            let gone = remove(|| unlinkat(AT_FDCWD, NETNS, UnlinkatFlags::RemoveDir));
            gone.map_err(|errno| system("rmdir", Path::new(NETNS), errno))?;
        }
        let gone = remove(|| umount2(at, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW));
        gone.map_err(|errno| system("umount", at, errno))?;
    }
    drop(lock);
    // Whoever waited for the mount's root now finds the directory below it; who locks that first goes on with it.
    if let Ok(Some(_below)) = lock_directory(at, None)
        && !is_mounted()
    {
        remove(|| unlinkat(AT_FDCWD, at, UnlinkatFlags::RemoveDir)).map_err(|errno| system("rmdir", at, errno))?;
    }
    uncover()
}

/// Removes what a killed or failed start left, or a restart of the machine, if no lab is there.
pub fn tidy() -> Result<()> {
    match lock_directory(Path::new(RUN), None) {
        Ok(Some(lock)) => {
            let cleared = if is_mounted() { Ok(()) } else { clear() };
            close(lock).and(cleared)
        }
        Ok(None) => uncover(),
        Err(error @ Error::Machine(_)) => {
            // Without a file descriptor for the lock at least an empty directory goes.
            if is_reachable(Path::new(RUN)) && !is_mounted() {
                let _ = fs::remove_dir(RUN);
            }
            Err(error)
        }
        Err(error) => Err(error),
    }
}

/// A removal that may find its work done, or somebody else's things in the way.
fn remove(act: impl Fn() -> nix::Result<()>) -> nix::Result<()> {
    fault::point()?;
    match act() {
        Err(Errno::ENOENT | Errno::ENOTEMPTY | Errno::EEXIST | Errno::EBUSY | Errno::EINVAL) => Ok(()),
        other => other,
    }
}
/// A lab under its lock, its directory made.
pub(super) fn hold(name: &LabName) -> Result<Lock> {
    let path = paths::lab(name);
    loop {
        let all = open()?;
        if let Err(error) = make_directory(&path, 0o700) {
            let _ = close(all);
            return Err(error);
        }
        drop(all);
        // Between the two locks a `down` may remove the directory: then it is made again.
        if let Some(lock) = lock_lab(name)? {
            return Ok(lock);
        }
    }
}
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

/// Covers `/run` where labs could not live in it; as long as the lock is held nobody takes it away.
fn cover() -> Result<Option<Lock>> {
    if !caller::is_in_user_namespace() || is_containers() || sandbox::around().is_some() {
        return Ok(None);
    }
    let turn = lock_file(Path::new(TURN))?;
    if is_covered() {
        if Path::new(NOTE).exists() {
            return Ok(Some(turn));
        }
        // Whoever made it was killed before it was whole.
        take_away()?;
    } else if is_reachable(Path::new(RUN)) {
        return Ok(Some(turn));
    }
    let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
    let old = File::options().read(true).custom_flags(flags).open(SYSTEM_RUN);
    let old = old.map_err(|error| system("open", Path::new(SYSTEM_RUN), errno(&error)))?;
    fault::point().map_err(not_covered)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some(source("nslab-run").as_str()), SYSTEM_RUN, Some("tmpfs"), flags, Some("mode=0755,nr_inodes=0"))
        .map_err(not_covered)?;
    let shown = fault::point().and_then(|()| show(&old)).and_then(|()| note());
    if shown.is_err() {
        let _ = umount2(SYSTEM_RUN, MntFlags::MNT_DETACH);
    }
    shown.map(|()| Some(turn)).map_err(not_covered)
}

fn not_covered(errno: Errno) -> Error {
    match errno {
        Errno::EPERM | Errno::EACCES => Error::Machine(refusal()),
        Errno::ENOSPC => Error::Machine(Limit::Sysctl("fs.mount-max")),
        errno => system("mount -t tmpfs", Path::new(SYSTEM_RUN), errno),
    }
}

/// Why a file system may not be mounted here.
fn refusal() -> Limit {
    if caller::is_in_user_namespace() && feature::mounts() { Limit::MountNamespace } else { Limit::Mounting }
}

/// Shows what was in the old `/run` in the new one, but for labs: those are of another user namespace.
fn show(old: &File) -> std::result::Result<(), Errno> {
    let below = PathBuf::from(format!("/proc/self/fd/{}", old.as_raw_fd()));
    let netns = Path::new(NETNS);
    for entry in listed(&below) {
        let shown = Path::new(SYSTEM_RUN).join(entry.file_name().unwrap_or_default());
        if [RUN, NOTE, NEW].iter().any(|own| shown == Path::new(own)) {
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
            Ok(target) if !target.starts_with(RUN) => symlink(target, to).map_err(|error| errno(&error)),
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
    let all = listed(Path::new(SYSTEM_RUN)).into_iter().chain(listed(Path::new(NETNS)));
    let number = |path: PathBuf| fs::symlink_metadata(path).map(|meta| (meta.dev(), meta.ino())).ok();
    all.filter(|path| path != Path::new(NOTE)).filter_map(number).collect()
}

/// Shows the old `/run` again, when no lab is left; what somebody else has put into the new one meanwhile keeps it.
fn uncover() -> Result<()> {
    if !caller::is_in_user_namespace() || !is_covered() {
        return Ok(());
    }
    let _turn = lock_file(Path::new(TURN))?;
    // Another nslab may have been faster, or may have begun anew.
    if !is_covered() || fs::symlink_metadata(RUN).is_ok() || is_in_use() { Ok(()) } else { take_away() }
}

/// Whether there is anything in it that it was not made with.
fn is_in_use() -> bool {
    let note: Option<Note> = fs::read(NOTE).ok().and_then(|text| serde_json::from_slice(&text).ok());
    let Some(note) = note else { return false };
    let mounts = mount_id(&run()).ok().zip(Mounts::read().ok()).map(|(id, mounts)| mounts.below(id)).unwrap_or_default();
    !entries().is_subset(&note.entries) || !mounts.is_subset(&note.mounts)
}

fn take_away() -> Result<()> {
    let fail = |errno| system("umount", Path::new(SYSTEM_RUN), errno);
    fault::point().map_err(fail)?;
    umount2(SYSTEM_RUN, MntFlags::MNT_DETACH).map_err(fail)
}

/// A held lock.
#[derive(Debug)]
pub struct Lock {
    _held: Flock<File>,
}

/// Locks a lab; none if there is none.
///
/// # Errors
/// [`Error::Busy`] when somebody keeps it for five seconds, naming the holder; [`Error::Tampered`] if its directory is none,
/// [`Error::Foreign`] if it is somebody else's.
pub(super) fn lock_lab(lab: &LabName) -> Result<Option<Lock>> {
    lock_lab_within(lab, Patience::USUAL)
}

/// As [`lock_lab`], but waits no longer than that for whoever comes before.
pub(super) fn lock_lab_within(lab: &LabName, patience: Patience) -> Result<Option<Lock>> {
    take(&paths::lab(lab), Some(lab), true, patience)
}

/// As [`lock_lab`], but others may share the lock.
pub(super) fn share_lab(lab: &LabName) -> Result<Option<Lock>> {
    take(&paths::lab(lab), Some(lab), false, Patience::USUAL)
}

/// Locks a directory as [`lock_lab`] does; one that waits for it is told of that lab.
pub(super) fn lock_directory(path: &Path, lab: Option<&LabName>) -> Result<Option<Lock>> {
    take(path, lab, true, Patience::USUAL)
}

/// Locks a file that always is there.
fn lock_file(path: &Path) -> Result<Lock> {
    let file = File::open(path).map_err(|error| system("open", path, errno(&error)))?;
    hold_lock(file, path, None, true, Patience::USUAL).map(|held| Lock { _held: held })
}

fn take(path: &Path, lab: Option<&LabName>, exclusive: bool, patience: Patience) -> Result<Option<Lock>> {
    loop {
        let Some(file) = open_directory(path)? else { return Ok(None) };
        let held = hold_lock(file, path, lab, exclusive, patience)?;
        if is_same(&held, path) {
            return Ok(Some(Lock { _held: held }));
        }
    }
}

fn hold_lock(file: File, path: &Path, lab: Option<&LabName>, exclusive: bool, patience: Patience) -> Result<Flock<File>> {
    flock::take(file, exclusive, patience, |file| holder(file).map(|(pid, _)| pid)).map_err(|why| match why {
        Untaken::Busy(file) => Error::Busy { lab: lab.map(ToString::to_string), holder: holder(&file) },
        Untaken::Stopped(error) => error,
        Untaken::Refused(errno) => system("flock", path, errno),
    })
}

fn open_directory(path: &Path) -> Result<Option<File>> {
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

fn is_same(file: &File, path: &Path) -> bool {
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
