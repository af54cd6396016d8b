//! The processes of sandboxes: which is the init, with the lock that joining and ending take, and those of nodes, found by the namespaces
//! that they are in.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, Flock, FlockArg, OFlag, open};
use nix::sys::stat::{Mode, fstatat};
use serde::Serialize;

use super::spec::{Paths, Spec, Tried, at, error};
use crate::error::{Error, Result};
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
    pub(super) fn new(paths: &Paths, spec: &Spec) -> Self {
        let directory = paths.lab.join("sandbox");
        // The two kinds of root exclude each other in one mount namespace.
        let name = if spec.real_root { format!("{}+real", spec.node) } else { spec.node.clone() };
        let file = |end: &str| directory.join(format!("{name}{end}"));
        Self { record: file(""), draft: file(".new"), lock: file(".lock") }
    }
}

/// Opens a file of nslab's own, never through a link that somebody put there.
pub(super) fn open_own(path: &Path, truncate: bool) -> Tried<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(truncate).mode(0o600).custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC);
    options.open(path).map_err(at(format!("open {}", path.display())))
}

/// Takes a lock; who comes second waits.
///
/// # Errors
/// `Error::Busy` when somebody keeps it for five seconds, with the holder.
pub(super) fn lock(path: &Path, spec: &Spec) -> Result<Flock<File>> {
    let file = open_own(path, false).map_err(|failure| error(&spec.node, failure))?;
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
        Self::read(pid, space).ok_or_else(|| ("read /proc/self/stat".to_owned(), Errno::ESRCH))
    }

    fn read(pid: i32, space: u64) -> Option<Self> {
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
pub(super) fn claim(record: &File) -> Tried<()> {
    let copy = record.try_clone().map_err(at("dup the record"))?;
    // Never given back: the kernel does that at the end.
    Flock::lock(copy, FlockArg::LockSharedNonblock)
        .map(std::mem::forget)
        .map_err(|(_, errno)| ("flock the record".to_owned(), errno))
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
    if Identity::read(pid, own_space()) != Some(identity) || !holds(pid) {
        return None;
    }
    Some(if words.next().is_some() { Recorded::Ending(identity, handle) } else { Recorded::Living(identity, handle) })
}

/// The inits of every sandbox of a lab.
fn living_inits(paths: &Paths) -> Vec<(String, Identity, OwnedFd)> {
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

/// Where labs live.
const LABS: &str = "/run/nslab";

/// A process of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Process {
    /// The name of the node's pin: `host-a.a1`.
    pub node: String,
    /// Its number on the machine.
    pub pid: i32,
    /// Its number inside its sandbox; the same where it has none.
    pub inside: i32,
    /// The user's name, or number.
    pub user: String,
    /// Its command line.
    pub command: String,
}

/// A namespace: device and inode, which name it as long as something holds it.
type Space = (u64, u64);

/// The network namespaces of a lab's nodes, and the PID namespaces of their sandboxes.
#[derive(Debug)]
pub(super) struct Spaces {
    networks: HashMap<Space, String>,
    sandboxes: HashMap<Space, String>,
    inits: HashSet<i32>,
}

/// A process that was seen in a namespace of the lab.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) pid: i32,
    pub(super) node: String,
    /// It is the init of a sandbox, no process of the user's.
    pub(super) is_init: bool,
}

impl Spaces {
    /// The namespaces of some nodes of a lab (of all, where none is named), those included that users pinned in a
    /// node's `/run/netns`.
    pub(super) fn for_nodes(paths: &Paths, nodes: &[String]) -> Self {
        let mut networks = HashMap::new();
        pinned(&paths.lab.join("netns"), None, &mut networks);
        for entry in fs::read_dir(paths.lab.join("run")).into_iter().flatten().flatten() {
            if let Ok(node) = entry.file_name().into_string() {
                pinned(&entry.path().join("netns"), Some(&node), &mut networks);
            }
        }
        let (mut sandboxes, mut inits) = (HashMap::new(), HashSet::new());
        for (node, identity, _) in living_inits(paths) {
            inits.insert(identity.pid);
            if let Ok(meta) = fs::metadata(format!("/proc/{}/ns/pid", identity.pid)) {
                sandboxes.insert((meta.dev(), meta.ino()), node);
            }
        }
        let asked = |_: &Space, node: &mut String| nodes.is_empty() || nodes.contains(node);
        networks.retain(asked);
        sandboxes.retain(asked);
        Self { networks, sandboxes, inits }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.networks.is_empty() && self.sandboxes.is_empty()
    }

    /// Every process in one of the namespaces, but those.
    pub(super) fn look(&self, but: impl Fn(i32) -> bool) -> Tried<Vec<Seen>> {
        if self.is_empty() {
            return Ok(Vec::new());
        }
        let directory = open("/proc", OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty()).map_err(at("open /proc"))?;
        let mut seen = Vec::new();
        for entry in fs::read_dir("/proc").map_err(at("ls /proc"))?.flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            if let Some(node) = self.node(&directory, pid)
                && !but(pid)
            {
                seen.push(Seen { pid, node: node.to_owned(), is_init: self.is_init(pid) });
            }
        }
        seen.sort_by_key(|seen| seen.pid);
        Ok(seen)
    }

    /// Seen from inside of a sandbox its own init has another number than the one recorded.
    fn is_init(&self, pid: i32) -> bool {
        self.inits.contains(&pid) || (pid == 1 && titled().is_some())
    }

    /// The node that a process belongs to.
    pub(super) fn node(&self, proc: &impl AsFd, pid: i32) -> Option<&str> {
        let space = |kind: &str| {
            let stat = fstatat(proc, format!("{pid}/ns/{kind}").as_str(), AtFlags::empty()).ok()?;
            Some((stat.st_dev, stat.st_ino))
        };
        // Who has let go of its network is as good as gone, though its PID namespace stays to the end.
        let network = space("net")?;
        let sandbox = || if self.sandboxes.is_empty() { None } else { self.sandboxes.get(&space("pid")?) };
        let found = self.networks.get(&network).or_else(sandbox);
        found.map(String::as_str)
    }
}

/// Adds the network namespaces that are pinned in a directory: what is mounted there is of the one file system that namespaces are in.
fn pinned(directory: &Path, node: Option<&str>, found: &mut HashMap<Space, String>) {
    let Ok(spaces) = fs::metadata("/proc/self/ns/net").map(|meta| meta.dev()) else { return };
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        if let Ok(meta) = entry.metadata()
            && meta.dev() == spaces
        {
            found.entry((meta.dev(), meta.ino())).or_insert_with(|| node.map_or(name, str::to_owned));
        }
    }
}

/// This process and those that it descends from; process 1 always is among them.
pub(super) fn ancestors() -> HashSet<i32> {
    let mut found = HashSet::from([1]);
    let mut pid = i32::try_from(std::process::id()).unwrap_or_default();
    while pid > 0 && found.insert(pid) {
        let parent = status(pid, "PPid:").and_then(|text| text.parse().ok());
        pid = parent.unwrap_or_default();
    }
    found
}

/// A line of `/proc/PID/status`.
fn status(pid: i32, name: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned())
}

/// The sandbox that this process is in: `LAB/NODE`, where there is one.
///
/// A PID namespace within it has another process 1; then what is mounted on the lab's mark tells.
pub fn around() -> Option<String> {
    titled().or_else(marked)
}

/// Of the sandbox whose init is process 1.
fn titled() -> Option<String> {
    command_line(1).strip_prefix(TITLE).map(str::to_owned)
}

fn marked() -> Option<String> {
    let mut labs = fs::read_dir(LABS).into_iter().flatten().flatten();
    let mark = |lab: fs::DirEntry| fs::read_to_string(Paths { lab: lab.path() }.mark()).ok().filter(|text| !text.is_empty());
    labs.find_map(mark)
}

/// What there is to tell of a process; nothing where it is gone.
pub(super) fn describe(seen: &Seen) -> Option<Process> {
    let owner = fs::metadata(format!("/proc/{}", seen.pid)).ok()?.uid();
    let inside = status(seen.pid, "NSpid:")?.split_whitespace().next_back()?.parse().ok()?;
    Some(Process { pid: seen.pid, inside, node: seen.node.clone(), user: user(owner), command: command_line(seen.pid) })
}

/// The name of a user, or the number of one without.
pub fn user(number: u32) -> String {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let text = number.to_string();
    let found = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1) == Some(text.as_str())).then(|| name.to_owned())
    });
    found.unwrap_or(text)
}

/// The processes of some nodes (of all, where none is named), with or without a sandbox.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn processes(paths: &Paths, nodes: &[String]) -> Result<Vec<Process>> {
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    let seen = Spaces::for_nodes(paths, nodes).look(|pid| pid == own).map_err(|failure| error("", failure))?;
    Ok(seen.iter().filter(|seen| !seen.is_init).filter_map(describe).collect())
}

/// `/proc`, for [`Spaces::node`].
pub(super) fn proc() -> Tried<File> {
    File::open("/proc").map_err(at("open /proc"))
}
