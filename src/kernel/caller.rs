//! The calling process: its threads, those that may move into a namespace because they end afterwards and those that share work; how many
//! files it may have open; its terminal; its user namespace; and what is mounted in its mount namespace.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread::{Builder, ScopedJoinHandle};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};

use super::sys::{self, process};
use crate::error::{Error, Limit, Result};

/// Runs something on a thread of its own, which may move into a namespace because it ends afterwards.
pub fn thread<T: Send>(job: impl FnOnce() -> T + Send) -> Result<T> {
    std::thread::scope(|scope| joined(Builder::new().spawn_scoped(scope, || Ok(job()))))
}

/// What a thread ends with, or why it did not begin.
pub fn joined<T>(thread: std::io::Result<ScopedJoinHandle<'_, Result<T>>>) -> Result<T> {
    let handle = thread.map_err(|_| Error::Machine(Limit::Sysctl("kernel.threads-max")))?;
    handle.join().unwrap_or_else(|_| Err(Error::Internal("a thread ended without an answer".to_owned())))
}

/// Does something with each of the items, which as many threads share as are of use.
pub fn shared<T: Send>(items: &mut [T], job: impl Fn(&mut T) -> Result<()> + Sync) -> Result<()> {
    let share = items.len().div_ceil(processors()).max(1);
    let work = |share: &mut [T]| share.iter_mut().try_for_each(&job);
    std::thread::scope(|scope| {
        let started: Vec<_> = items.chunks_mut(share).map(|share| Builder::new().spawn_scoped(scope, || work(share))).collect();
        started.into_iter().try_for_each(joined)
    })
}

/// How many threads are of use: more than four only wait for each other in the kernel.
pub fn processors() -> usize {
    let set = nix::sched::sched_getaffinity(nix::unistd::Pid::this());
    let own = |set: nix::sched::CpuSet| (0..nix::sched::CpuSet::count()).filter(|&cpu| set.is_set(cpu).unwrap_or(false)).count();
    set.map_or(1, own).clamp(1, 4)
}

/// Starts nslab once more, for a process that outlives this one: it has a socket as its standard input, whose other end is handed
/// back, and writes into a log.
///
/// # Errors
/// When it cannot be started.
pub fn start_own(arguments: &[&str], log: File) -> std::io::Result<(UnixStream, Child)> {
    let (ours, theirs) = UnixStream::pair()?;
    let again = log.try_clone()?;
    let mut command = Command::new("/proc/self/exe");
    command.arg0("nslab").args(arguments).env_clear().current_dir("/");
    command.stdin(OwnedFd::from(theirs)).stdout(log).stderr(again);
    sys::process::start_clean(&mut command, false);
    // The command holds the other end until it goes.
    command.spawn().map(|child| (ours, child))
}

/// A signal has arrived: stop at the next boundary.
pub fn interrupted() -> Result<()> {
    sys::signal().map_or(Ok(()), |signal| Err(Error::Signal(signal)))
}

/// Raises the limit of open files as far as needed and allowed; how many there may be.
pub fn open_files(wanted: usize) -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 256 };
    let wanted = u64::try_from(wanted).unwrap_or(soft).clamp(soft, hard.max(soft));
    let now = if wanted > soft && setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).is_ok() { wanted } else { soft };
    usize::try_from(now).unwrap_or(usize::MAX)
}

/// Every key goes to the other end while this lives.
#[derive(Debug)]
pub struct Raw(Option<Termios>);

impl Raw {
    /// Begins.
    pub fn begin() -> Self {
        let before = tcgetattr(process::standard(0)).ok();
        if let Some(before) = &before {
            let mut raw = before.clone();
            cfmakeraw(&mut raw);
            let _ = tcsetattr(process::standard(0), SetArg::TCSANOW, &raw);
        }
        Self(before)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(process::standard(0), SetArg::TCSANOW, before);
        }
    }
}

/// The number of the user namespace that the machine starts with (`USER_NS_INIT_INO`, `linux/nsfs.h`).
const INITIAL: u64 = 0xEFFF_FFFD;

/// The number of the user namespace that the caller is in; none in the machine's own, and in a kernel without others.
pub fn user_namespace() -> Option<u64> {
    namespace_number("self", "user").filter(|&number| number != INITIAL)
}

/// Whether the caller is in another user namespace than the machine's own.
pub fn is_in_user_namespace() -> bool {
    user_namespace().is_some()
}

/// Whether the caller's user namespace is that of a whole container: process 1 is in it, with the same files, and other users are too.
pub fn is_in_container() -> bool {
    let same = |kind| namespace_number("1", kind).is_some_and(|number| namespace_number("self", kind) == Some(number));
    is_in_user_namespace()
        && same("user")
        && same("mnt")
        && has_others(&fs::read_to_string("/proc/self/uid_map").unwrap_or_default())
}

fn namespace_number(process: &str, kind: &str) -> Option<u64> {
    fs::metadata(format!("/proc/{process}/ns/{kind}")).ok().map(|meta| meta.ino())
}

/// Whether the root of a user namespace is another user outside, and not the only one of it.
fn has_others(map: &str) -> bool {
    let line = |line: &str| {
        let mut numbers = line.split_whitespace().map_while(|word| word.parse::<u64>().ok());
        Some((numbers.next()?, numbers.next()?, numbers.next()?))
    };
    let lines: Vec<_> = map.lines().filter_map(line).collect();
    let root_is_another = lines.iter().any(|&(inside, outside, _)| inside == 0 && outside != 0);
    root_is_another && lines.iter().map(|(_, _, many)| many).sum::<u64>() > 1
}

/// One line of `mountinfo`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mount {
    id: u64,
    parent: u64,
    /// Of the file system: major and minor.
    device: String,
    /// Which part of the file system is mounted.
    part: OsString,
    path: PathBuf,
    /// What is mounted, as whoever mounted it called it.
    source: OsString,
}

/// Every mount, in the kernel's order.
#[derive(Debug)]
pub struct Mounts(Vec<Mount>);

impl Mounts {
    /// Asks the kernel.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn read() -> std::io::Result<Self> {
        std::fs::read("/proc/self/mountinfo").map(|text| Self::parse(&text))
    }

    fn parse(text: &[u8]) -> Self {
        let mount = |line: &[u8]| {
            let mut fields = line.split(|&byte| byte == b' ');
            let mut number = || std::str::from_utf8(fields.next()?).ok()?.parse().ok();
            let (id, parent) = (number()?, number()?);
            let device = String::from_utf8_lossy(fields.next()?).into_owned();
            let (part, path) = (unescape(fields.next()?), PathBuf::from(unescape(fields.next()?)));
            // Optional fields, a hyphen, the kind of file system.
            let source = unescape(fields.skip_while(|&field| field != b"-").nth(2)?);
            Some(Mount { id, parent, device, part, path, source })
        };
        Self(text.split(|&byte| byte == b'\n').filter_map(mount).collect())
    }

    /// Whether something is mounted there, as far as this process can see.
    pub fn has(&self, path: &Path) -> bool {
        self.0.iter().any(|mount| mount.path == path)
    }

    /// What is mounted directly in the file system at a path, where that is a mount; each path once.
    pub fn directly_in(&self, path: &Path) -> Vec<&Path> {
        let Some(top) = self.0.iter().rev().find(|mount| mount.path == path) else { return Vec::new() };
        let mut found: Vec<&Path> = Vec::new();
        for mount in self.0.iter().filter(|mount| mount.parent == top.id && mount.path != path) {
            if !found.contains(&mount.path.as_path()) {
                found.push(&mount.path);
            }
        }
        found
    }

    /// What a mount was called by whoever mounted it.
    pub fn source(&self, id: u64) -> Option<&OsStr> {
        self.0.iter().find(|mount| mount.id == id).map(|mount| mount.source.as_os_str())
    }

    /// What is mounted below a mount, however deep, but for parts of the same file system: device, and part of it.
    pub fn below(&self, id: u64) -> BTreeSet<(String, OsString)> {
        let (mut ids, mut parents) = (BTreeSet::from([id]), vec![id]);
        while let Some(parent) = parents.pop() {
            let children = self.0.iter().filter(|mount| mount.parent == parent);
            parents.extend(children.map(|mount| mount.id).filter(|&id| ids.insert(id)));
        }
        let own = self.0.iter().find(|mount| mount.id == id).map(|mount| mount.device.as_str());
        let foreign = self.0.iter().filter(|mount| ids.contains(&mount.id) && Some(mount.device.as_str()) != own);
        foreign.map(|mount| (mount.device.clone(), mount.part.clone())).collect()
    }

    /// Whether what was mounted last at a path was called so.
    pub fn is_called(&self, path: &Path, source: &str) -> bool {
        self.0.iter().rev().find(|mount| mount.path == path).is_some_and(|mount| mount.source == source)
    }

    /// Where something is mounted strictly below a path, the deepest first.
    pub fn points_under(&self, path: &Path) -> Vec<&Path> {
        let points = self.0.iter().map(|mount| mount.path.as_path());
        let mut below: Vec<_> = points.filter(|point| point.starts_with(path) && *point != path).collect();
        below.sort_by_key(|point| std::cmp::Reverse(point.components().count()));
        below
    }
}

/// `mountinfo` writes blanks and backslashes as three octal digits.
fn unescape(field: &[u8]) -> OsString {
    let mut path = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        let octal = after.get(..3).filter(|_| byte == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(escaped) = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            path.push(escaped);
            rest = &after[3..];
        } else {
            path.push(byte);
            rest = after;
        }
    }
    OsString::from_vec(path)
}

/// A path of the machine, under another root.
pub fn under(root: &Path, path: &Path) -> PathBuf {
    let bytes = path.as_os_str().as_bytes();
    let start = bytes.iter().take_while(|&&byte| byte == b'/').count();
    root.join(OsStr::from_bytes(&bytes[start..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_has_a_root_of_its_own_and_other_users() {
        let containers = ["0 100000 65536", "         0       1000          1\n         1     100000      65536\n"];
        assert!(containers.into_iter().all(has_others));
        let shells = ["0 1000 1", "0 0 1", "0 0 4294967295", "1000 1000 1", ""];
        assert!(!shells.into_iter().any(has_others));
    }

    #[test]
    fn a_mount_is_known_by_its_number_and_so_is_what_is_below_it() {
        let text = b"1 0 8:1 / / rw - ext4 /dev/sda rw\n2 1 0:9 / /run rw shared:7 master:1 - tmpfs my\\040run rw\n\
                     3 2 0:8 /a /run/\xff rw - tmpfs x rw\n4 3 0:7 / /run/\xff/b rw - tmpfs y rw\n\
                     5 2 0:9 /netns /run/netns rw - tmpfs x rw\n6 5 0:4 net:[8] /run/netns/a rw - nsfs nsfs rw\n";
        let mounts = Mounts::parse(text);
        assert_eq!((mounts.source(2), mounts.source(9)), (Some(OsStr::new("my run")), None));
        let below = [("0:4", "net:[8]"), ("0:7", "/"), ("0:8", "/a")].map(|(device, part)| (device.to_owned(), part.into()));
        assert_eq!(mounts.below(2), BTreeSet::from(below));
        assert!(mounts.below(4).is_empty());
    }

    #[test]
    fn only_mounts_directly_in_the_root_are_found_and_their_names_are_read() {
        let text = b"1 0 8:1 / / rw - ext4 /dev/sda rw\n2 1 8:2 / /home rw - ext4 x rw\n3 2 8:3 / /home/a rw - ext4 x rw\n\
                     4 1 8:4 / /mnt/my\\040disk rw - ext4 x rw\n5 1 8:5 / /mnt/my\\040disk rw - ext4 x rw\n";
        let mounts = Mounts::parse(text);
        assert_eq!(mounts.directly_in(Path::new("/")), [Path::new("/home"), Path::new("/mnt/my disk")]);
        assert_eq!(mounts.points_under(Path::new("/home")), [Path::new("/home/a")]);
        assert_eq!(under(Path::new("/x"), Path::new("/home")), Path::new("/x/home"));
    }
}
