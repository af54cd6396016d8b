//! `/run/nslab`, where labs live, and the entries in `/run/netns`: made by need, gone with the last lab.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::lock::{self, Lock};
use super::{errno, rootless, system};
use crate::error::{Error, Limit, Owner, Result};
use crate::kernel::{Pins, fault, sandbox, userns};
use crate::name::LabName;

/// Where labs live.
pub const RUN: &str = "/run/nslab";
/// Where `ip netns` looks for namespaces.
pub const NETNS: &str = "/run/netns";
/// Says that nslab made `/run/netns`, and so may remove it.
const MADE_NETNS: &str = "/run/nslab/.made-netns";
/// `TMPFS_MAGIC` of `linux/magic.h`.
const TMPFS: i64 = 0x0102_1994;

/// The directory of a lab.
pub fn lab(name: &LabName) -> PathBuf {
    Path::new(RUN).join(name.as_str())
}

/// Where the namespaces of a lab are pinned.
pub fn pins(name: &LabName) -> Pins {
    Pins { lab: name.to_string(), directory: lab(name).join("netns"), index: NETNS.into() }
}

/// Makes what all labs share, under the lock that guards it.
pub fn open() -> Result<Lock> {
    let _turn = rootless::cover()?;
    loop {
        make_directory(Path::new(RUN), 0o711)?;
        let Some(lock) = lock::directory(Path::new(RUN), None)? else { continue };
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

/// Whether what is at a path can be the caller's labs': not where it is in `/run` and that is the machine's, for one who is in a
/// user namespace.
pub fn is_reachable(path: &Path) -> bool {
    !path.starts_with(RUN) || rootless::is_reachable()
}

/// Why nslab does not use what is at a path: it is somebody else's, or the caller's own but not as nslab makes it.
pub fn not_ours(path: &Path) -> Error {
    let owner = path.ancestors().find_map(|path| fs::symlink_metadata(path).ok()).map(|meta| meta.uid());
    match owner.filter(|&owner| owner != nix::unistd::geteuid().as_raw()) {
        Some(owner) => Error::Foreign { path: path.to_owned(), owner: named(owner) },
        None => Error::Tampered(path.to_owned()),
    }
}

/// Whether what is at a path is the caller's.
pub fn is_own(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|meta| meta.uid() == nix::unistd::geteuid().as_raw())
}

fn named(owner: u32) -> Owner {
    /// Stands for everybody who is not in a user namespace (`DEFAULT_OVERFLOWUID`, `linux/highuid.h`).
    const OUTSIDE: u32 = 65534;
    match owner {
        OUTSIDE if userns::is_inside() => Owner::Outside,
        0 => Owner::Root,
        owner => Owner::User(sandbox::user(owner)),
    }
}

/// Why nslab does not use what is where it keeps its own, where something is.
pub fn whose() -> Option<Error> {
    let at = Path::new(RUN);
    let there = is_reachable(at) && fs::symlink_metadata(at).is_ok();
    (there && !is_own(at)).then(|| not_ours(at))
}

/// Whether labs in `/run/nslab` are the caller's or, which anybody may see, root's.
pub fn is_credible() -> bool {
    let own = [0, nix::unistd::geteuid().as_raw()];
    is_reachable(Path::new(RUN)) && fs::symlink_metadata(RUN).is_ok_and(|meta| own.contains(&meta.uid()))
}

/// The lock on what all labs share, if there is anything.
pub fn existing() -> Result<Option<Lock>> {
    if is_mounted() { lock::directory(Path::new(RUN), None) } else { Ok(None) }
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
        Errno::EPERM | Errno::EACCES => Error::Machine(rootless::refusal()),
        Errno::ENOSPC => Error::Machine(Limit::Sysctl("fs.mount-max")),
        errno => system("mount -t tmpfs", at, errno),
    };
    fault::point().map_err(fail)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    mount(Some(rootless::source("nslab").as_str()), at, Some("tmpfs"), flags, Some("mode=0711,nr_inodes=0")).map_err(fail)
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

/// The names of all labs of which there is anything.
pub fn labs() -> Vec<LabName> {
    let at = Path::new(RUN);
    if !is_reachable(at) || !is_own(at) {
        return Vec::new();
    }
    let Ok(entries) = fs::read_dir(at) else { return Vec::new() };
    let directories = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let mut names: Vec<LabName> = directories.filter_map(|entry| entry.file_name().into_string().ok()?.parse().ok()).collect();
    names.sort();
    names
}

/// Removes what all labs shared, if no lab is left; the lock is held.
pub fn close(lock: Lock) -> Result<()> {
    let at = Path::new(RUN);
    if is_mounted() {
        // A directory that cannot be read is not one without labs.
        fs::read_dir(at).map_err(|error| system("read", at, errno(&error)))?;
        if !labs().is_empty() {
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
    if let Ok(Some(_below)) = lock::directory(at, None)
        && !is_mounted()
    {
        remove(|| unlinkat(AT_FDCWD, at, UnlinkatFlags::RemoveDir)).map_err(|errno| system("rmdir", at, errno))?;
    }
    rootless::uncover()
}

/// Removes what a killed or failed start left, or a restart of the machine, if no lab is there.
pub fn tidy() -> Result<()> {
    match lock::directory(Path::new(RUN), None) {
        Ok(Some(lock)) => {
            let cleared = if is_mounted() { Ok(()) } else { clear() };
            close(lock).and(cleared)
        }
        Ok(None) => rootless::uncover(),
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
