//! The processes of nodes, found by the namespaces that they are in.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{AtFlags, OFlag, open};
use nix::sys::stat::{Mode, fstatat};
use serde::Serialize;

use super::record::{self, TITLE, command_line};
use super::spec::{Paths, Tried, at, error};
use crate::error::Result;

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
    pub(super) fn of(paths: &Paths, nodes: &[String]) -> Self {
        let mut networks = HashMap::new();
        pinned(&paths.lab.join("netns"), None, &mut networks);
        for entry in fs::read_dir(paths.lab.join("run")).into_iter().flatten().flatten() {
            if let Ok(node) = entry.file_name().into_string() {
                pinned(&entry.path().join("netns"), Some(&node), &mut networks);
            }
        }
        let (mut sandboxes, mut inits) = (HashMap::new(), HashSet::new());
        for (node, identity, _) in record::inits(paths) {
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
    let mark = |lab: fs::DirEntry| fs::read_to_string(mark(&lab.path())).ok().filter(|text| !text.is_empty());
    labs.find_map(mark)
}

/// A file of a lab that is empty outside, and tells in a sandbox which it is.
pub(super) fn mark(lab: &Path) -> PathBuf {
    lab.join("sandbox").join("here")
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
    let seen = Spaces::of(paths, nodes).look(|pid| pid == own).map_err(|failure| error("", failure))?;
    Ok(seen.iter().filter(|seen| !seen.is_init).filter_map(describe).collect())
}

/// `/proc`, for [`Spaces::node`].
pub(super) fn proc() -> Tried<File> {
    File::open("/proc").map_err(at("open /proc"))
}
