//! Which process is the init of a sandbox, and the lock that joining and ending take.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::spec::{Paths, Spec, Tried, at, error};
use crate::error::Error;
use crate::kernel::flock::{self, Patience, Untaken};
use crate::kernel::sys::process;

/// What the command line of every init begins with.
pub(super) const TITLE: &str = "nslab: init of ";

/// The files that a sandbox is known by.
#[derive(Debug, Clone)]
pub(super) struct Files {
    /// Pid and start time of the init; empty once it is about to end.
    pub(super) record: PathBuf,
    /// The same, while the sandbox is in the making.
    pub(super) draft: PathBuf,
    /// The lock.
    pub(super) lock: PathBuf,
}

impl Files {
    pub(super) fn of(paths: &Paths, spec: &Spec) -> Self {
        let directory = paths.lab.join("sandbox");
        // The two kinds of root exclude each other in one mount namespace.
        let name = if spec.real_root { format!("{}+real", spec.node) } else { spec.node.clone() };
        let file = |end: &str| directory.join(format!("{name}{end}"));
        Self { record: file(""), draft: file(".new"), lock: file(".lock") }
    }
}

/// Opens a file of nslab's own, never through a link that somebody put there.
pub(super) fn open(path: &Path, truncate: bool) -> Tried<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(truncate).mode(0o600).custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC);
    options.open(path).map_err(at(format!("open {}", path.display())))
}

/// Takes a lock; who comes second waits.
///
/// # Errors
/// `Error::Busy` when somebody keeps it for five seconds, with the holder.
pub(super) fn lock(path: &Path, spec: &Spec) -> crate::error::Result<Flock<File>> {
    let file = open(path, false).map_err(|failure| error(&spec.node, failure))?;
    // Each that takes it writes its pid.
    let written = |file: &File| file.metadata().ok().map(|meta| (meta.mtime(), meta.mtime_nsec()));
    match flock::take(file, true, Patience::USUAL, written) {
        Ok(mut lock) => {
            let _ = lock.set_len(0).and_then(|()| write!(&mut *lock, "{}", std::process::id()));
            Ok(lock)
        }
        Err(Untaken::Busy(_)) => Err(Error::Busy { lab: Some(spec.lab.clone()), holder: holder(path) }),
        Err(Untaken::Stopped(error)) => Err(error),
        Err(Untaken::Refused(errno)) => Err(error(&spec.node, (format!("flock {}", path.display()), errno))),
    }
}

/// The command line of a process; its name in brackets where it has none; nothing where it is gone.
pub(super) fn command_line(pid: i32) -> String {
    let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let line = String::from_utf8_lossy(&words).trim_end_matches('\0').replace('\0', " ");
    if !line.is_empty() {
        return line;
    }
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    if name.is_empty() { name } else { format!("[{}]", name.trim_end()) }
}

fn holder(path: &Path) -> Option<(i32, String)> {
    let pid = std::fs::read_to_string(path).ok()?.parse().ok()?;
    Some((pid, command_line(pid)))
}

/// The identity of a process: numbers are given again, but not with the same start time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) pid: i32,
    start: u64,
    /// The PID namespace that the number is of.
    space: u64,
}

/// The PID namespace of the calling process.
pub(super) fn own_space() -> u64 {
    std::fs::metadata("/proc/self/ns/pid").map_or(0, |meta| meta.ino())
}

impl Identity {
    /// This process by the number that the `/proc` of its maker shows, which counts in that PID namespace.
    pub(super) fn own(space: u64) -> Tried<Self> {
        let link = std::fs::read_link("/proc/self").map_err(at("read /proc/self"))?;
        let pid = link.to_str().and_then(|pid| pid.parse().ok()).ok_or_else(|| ("read /proc/self".to_owned(), Errno::EINVAL))?;
        Self::of(pid, space).ok_or_else(|| ("read /proc/self/stat".to_owned(), Errno::ESRCH))
    }

    fn of(pid: i32, space: u64) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // proc_pid_stat(5): the state is field 3, the start time field 22.
        let mut fields = stat.rsplit(") ").next()?.split(' ');
        if matches!(fields.next()?, "Z" | "X") {
            return None;
        }
        Some(Self { pid, start: fields.nth(18)?.parse().ok()?, space })
    }

    pub(super) fn write(self, mut file: &File) -> std::io::Result<()> {
        write!(file, "{} {} {}", self.pid, self.start, self.space)
    }
}

/// Holds a record as long as this process lives, for those who cannot see it: other PID namespaces.
pub(super) fn claim(record: &File) -> Result<(), Errno> {
    let copy = record.try_clone().map_err(|fault| process::errno(&fault))?;
    // Never given back: the kernel does that at the end.
    Flock::lock(copy, FlockArg::LockSharedNonblock).map(std::mem::forget).map_err(|(_, errno)| errno)
}

/// Notes in a record that its init is about to end: nobody joins it any more.
pub(super) fn note_end(mut record: &File) {
    let _ = record.write_all(b" ending");
}

/// Whether a process still holds its namespaces. An init without any may linger for a parent outside its sandbox that
/// is stopped and so does not reap.
pub(super) fn holds(pid: i32) -> bool {
    std::fs::metadata(format!("/proc/{pid}/ns/net")).is_ok()
}

/// Waits until a process has ended or let go of its namespaces, at most so long.
pub(super) fn wait_gone(pid: i32, handle: &OwnedFd, limit: Duration) -> bool {
    let began = Instant::now();
    loop {
        let rest = limit.saturating_sub(began.elapsed());
        let slice = rest.min(Duration::from_millis(5));
        if process::wait_end(handle, i32::try_from(slice.as_millis()).unwrap_or_default()) || !holds(pid) {
            return true;
        }
        if rest.is_zero() {
            return false;
        }
    }
}

/// What a record says of its sandbox.
pub(super) enum Recorded {
    /// Its init lives.
    Living(Identity, OwnedFd),
    /// Its init lives, but not in this PID namespace: nobody here can join it.
    Elsewhere,
    /// Its init will be gone in a moment.
    Ending(Identity, OwnedFd),
    /// There is none.
    Nothing,
}

/// The init that the record names, verified: the same number with the same start time.
pub(super) fn living(record: &Path) -> Recorded {
    read(record).unwrap_or(Recorded::Nothing)
}

fn read(record: &Path) -> Option<Recorded> {
    let mut text = String::new();
    let mut file = File::open(record).ok()?;
    file.read_to_string(&mut text).ok()?;
    let mut words = text.split(' ');
    let (pid, start, space) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let identity = Identity { pid, start, space };
    if space != own_space() {
        let held = Flock::lock(file, FlockArg::LockExclusiveNonblock).is_err();
        return held.then_some(Recorded::Elsewhere);
    }
    let handle = process::handle(pid).ok()?;
    if Identity::of(pid, own_space()) != Some(identity) || !holds(pid) {
        return None;
    }
    Some(if words.next().is_some() { Recorded::Ending(identity, handle) } else { Recorded::Living(identity, handle) })
}

/// The inits of every sandbox of a lab.
pub(super) fn inits(paths: &Paths) -> Vec<(String, Identity, OwnedFd)> {
    let entries = std::fs::read_dir(paths.lab.join("sandbox")).into_iter().flatten().flatten();
    let mut found = Vec::new();
    for entry in entries {
        let Ok(name) = entry.file_name().into_string() else { continue };
        if entry.path().extension().is_some_and(|end| end == "lock") {
            continue;
        }
        if let Recorded::Living(identity, handle) | Recorded::Ending(identity, handle) = living(&entry.path()) {
            let node = name.trim_end_matches(".new").trim_end_matches("+real").to_owned();
            found.push((node, identity, handle));
        }
    }
    found
}
