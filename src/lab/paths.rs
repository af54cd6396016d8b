//! Where labs are below `/run/nslab`, and whether what is there is the caller's.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::error::{Error, Limit, Owner};
use crate::kernel::mounts::Mounts;
use crate::kernel::sandbox::Paths;
use crate::kernel::sys::process::mount_id;
use crate::kernel::{Pins, sandbox, userns};
use crate::name::LabName;
use crate::plan::NodeId;

/// The machine's directory of what runs, which inside a user namespace belongs to others.
pub(super) const SYSTEM_RUN: &str = "/run";
/// Where labs live.
pub const RUN: &str = "/run/nslab";
/// Where `ip netns` looks for namespaces.
pub const NETNS: &str = "/run/netns";

/// The directory of a lab.
pub fn lab(name: &LabName) -> PathBuf {
    Path::new(RUN).join(name.as_str())
}

/// Where the namespaces of a lab are pinned.
pub fn pins(name: &LabName) -> Pins {
    Pins { lab: name.to_string(), directory: lab(name).join("netns"), index: NETNS.into() }
}

/// Where the sandboxes of a lab are.
pub fn sandboxes(name: &LabName) -> Paths {
    Paths { lab: lab(name) }
}

/// The pin of a node.
pub fn netns_path(name: &LabName, node: &NodeId) -> PathBuf {
    pins(name).pin(node)
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

/// Whether what is at a path can be the caller's labs': not where it is in `/run` and that is the machine's, for one who is in a
/// user namespace.
pub fn is_reachable(path: &Path) -> bool {
    !path.starts_with(RUN) || is_callers_run()
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

/// What a file system that labs live in is called in `mountinfo`: in a user namespace with its number, since one inside of it, or
/// around it, has labs of its own.
pub(super) fn source(name: &str) -> String {
    userns::number().map_or_else(|| name.to_owned(), |number| format!("{name}:[{number}]"))
}

/// Whether what is below `/run` can be the caller's: nobody's labs are seen in the machine's by a user namespace.
fn is_callers_run() -> bool {
    !userns::is_inside() || sandbox::around().is_some() || is_covered() || is_called(Path::new(RUN), "nslab") || is_containers()
}

/// A container's `/run` is its own already.
pub(super) fn is_containers() -> bool {
    userns::is_containers() && is_own(&run())
}

pub(super) fn is_covered() -> bool {
    is_called(&run(), "nslab-run")
}

/// Where `/run` leads to.
pub(super) fn run() -> PathBuf {
    Path::new(SYSTEM_RUN).canonicalize().unwrap_or_else(|_| SYSTEM_RUN.into())
}

/// Whether a directory is in a file system of that name that was mounted in this user namespace.
fn is_called(path: &Path, name: &str) -> bool {
    let (Ok(id), Ok(mounts)) = (mount_id(path), Mounts::read()) else { return false };
    mounts.source(id) == Some(OsStr::new(&source(name)))
}

/// The error of a step that the kernel refused.
pub(super) fn failed(tried: &str, errno: Errno) -> Error {
    Error::kernel(None, tried, errno)
}

/// The error of a system call on a path.
pub(super) fn system(tried: &str, path: &Path, errno: Errno) -> Error {
    match errno {
        Errno::EMFILE => Error::Machine(Limit::OpenFiles),
        Errno::ENFILE => Error::Machine(Limit::Sysctl("fs.file-max")),
        Errno::ENOMEM => Error::Machine(Limit::Memory),
        errno => Error::kernel(None, format!("{tried} {}", path.display()), errno),
    }
}
