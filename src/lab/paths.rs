//! Where labs are below `/run/nslab`, whether what is there is the caller's, and their records: written whole or not at all, read only
//! where they are one's own and of this boot.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use nix::errno::Errno;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Limit, Owner, Result};
use crate::kernel::caller::{self, Mounts};
use crate::kernel::sandbox::{self, Paths};
use crate::kernel::sys::process::{errno, mount_id};
use crate::kernel::{Pins, fault};
use crate::name::{LabName, NodeName};
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

/// Where a host has the namespaces that `ip netns add` in its shell makes: what it sees as `/run/netns`.
pub fn host_netns(name: &LabName, host: &NodeName) -> PathBuf {
    lab(name).join("run").join(host.as_str()).join("netns")
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
        OUTSIDE if caller::is_in_user_namespace() => Owner::Outside,
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
    caller::user_namespace().map_or_else(|| name.to_owned(), |number| format!("{name}:[{number}]"))
}

/// Whether what is below `/run` can be the caller's: nobody's labs are seen in the machine's by a user namespace.
fn is_callers_run() -> bool {
    !caller::is_in_user_namespace()
        || sandbox::around().is_some()
        || is_covered()
        || is_called(Path::new(RUN), "nslab")
        || is_containers()
}

/// A container's `/run` is its own already.
pub(super) fn is_containers() -> bool {
    caller::is_in_container() && is_own(&run())
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

/// This boot of the machine.
pub fn boot_id() -> &'static str {
    static BOOT: OnceLock<String> = OnceLock::new();
    BOOT.get_or_init(|| fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned())
}

/// Writes a record: who reads sees the old one or the new one. No fsync: a power cut takes the lab along.
///
/// # Errors
/// `Limit::Space` where there is no room; when it cannot be written.
pub(super) fn write_record(path: &Path, record: &impl Serialize, mode: u32) -> Result<()> {
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
pub(super) fn read_record(path: &Path) -> Result<Option<Vec<u8>>> {
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
pub(super) enum BootRecord<T> {
    /// There is none of this boot.
    None,
    /// There is one that cannot be read or understood: what it said is lost.
    Lost,
    /// What it says.
    Known(T),
}

impl<T> BootRecord<T> {
    /// What it says; where nothing is known, whoever asks goes by the journal and by what the kernel shows.
    pub(super) fn known(self) -> Option<T> {
        match self {
            Self::Known(record) => Some(record),
            Self::None | Self::Lost => None,
        }
    }
}

/// Reads a record beside the journal.
pub(super) fn record_of_boot<T: OfBoot>(path: &Path) -> BootRecord<T> {
    match read_record(path).map(|text| text.map(|text| serde_json::from_slice::<T>(&text))) {
        Ok(Some(Ok(record))) if record.boot_id() == boot_id() => BootRecord::Known(record),
        Ok(None | Some(Ok(_))) => BootRecord::None,
        Ok(Some(Err(_))) | Err(_) => BootRecord::Lost,
    }
}
