//! Network namespaces: made, pinned, entered; the socket that stays in one, and a link that moves to another.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::stat::Mode;

use super::caller::thread;
use super::netlink::{self, Netlink, Refusal, Request};
use super::sys::process::{self, errno};
use super::{fault, requests};
use crate::error::{Error, Feature, Limit, Result};
use crate::name::IfName;
use crate::plan::{NodeId, Ns, Sysctl};

/// The machine's own network namespace: that of this process's first thread, which never enters another one.
pub const MACHINE: &str = "/proc/self/ns/net";

/// The calling thread's own network namespace.
const OWN: &str = "/proc/thread-self/ns/net";

/// Where the namespaces of one lab are pinned, and where `ip netns` looks for them.
#[derive(Debug, Clone)]
pub struct Pins {
    /// The lab's name.
    pub lab: String,
    /// `/run/nslab/LAB/netns`: one mount that holds every pin.
    pub directory: PathBuf,
    /// `/run/netns`
    pub index: PathBuf,
}

impl Pins {
    /// The pin of a node.
    pub fn pin(&self, node: &NodeId) -> PathBuf {
        self.directory.join(node.to_string())
    }

    /// Where a namespace is found.
    pub fn at(&self, ns: &Ns) -> PathBuf {
        match ns {
            Ns::Root => MACHINE.into(),
            Ns::Node(node) => self.pin(node),
        }
    }

    /// Makes the machine itself the node, for whoever looks for its pin. Nothing that ends pinned namespaces follows the link,
    /// and `ip netns` is not told of it.
    ///
    /// # Errors
    /// The step that failed and its error number.
    pub fn play(&self, node: &NodeId) -> std::result::Result<(), (String, Errno)> {
        symlink(Path::new(MACHINE), &self.pin(node))
    }

    /// Whether the machine itself is one of the nodes.
    pub fn has_role(&self) -> bool {
        let entries = std::fs::read_dir(&self.directory).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).any(|pin| std::fs::read_link(pin).is_ok_and(|target| target == Path::new(MACHINE)))
    }

    /// What `ip netns` calls the node.
    pub fn link(&self, node: &NodeId) -> PathBuf {
        self.index.join(format!("{}.{node}", self.lab))
    }

    /// Pins the calling thread's namespace under the node's name.
    ///
    /// # Errors
    /// The step that failed and its error number.
    pub fn keep(&self, node: &NodeId) -> std::result::Result<(), (String, Errno)> {
        let pin = self.pin(node);
        let step = |what: &str, path: &Path| format!("{what} {}", path.display());
        let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        fault::point().map_err(|errno| (step("create", &pin), errno))?;
        match open(&pin, flags, Mode::from_bits_truncate(0o444)) {
            // A placeholder that a killed nslab left is as good as a new one.
            Ok(_) | Err(Errno::EEXIST) => {}
            Err(errno) => return Err((step("create", &pin), errno)),
        }
        let bind = |errno| (step("mount --bind", &pin), errno);
        fault::point().map_err(bind)?;
        mount(Some(OWN), &pin, None::<&str>, MsFlags::MS_BIND, None::<&str>).map_err(bind)?;
        self.list(node)
    }

    /// Whether there is anything at the node's entry in `/run/netns`.
    pub fn is_listed(&self, node: &NodeId) -> bool {
        std::fs::symlink_metadata(self.link(node)).is_ok()
    }

    /// Enters the node into `/run/netns`.
    ///
    /// # Errors
    /// The step that failed and its error number.
    pub fn list(&self, node: &NodeId) -> std::result::Result<(), (String, Errno)> {
        symlink(&self.pin(node), &self.link(node))
    }
}

/// A symbolic link; one that is there already is as good.
fn symlink(target: &Path, link: &Path) -> std::result::Result<(), (String, Errno)> {
    let to_failure = |errno| (format!("ln -s {} {}", target.display(), link.display()), errno);
    fault::point().map_err(to_failure)?;
    match std::os::unix::fs::symlink(target, link) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(to_failure(errno(&error))),
        _ => Ok(()),
    }
}

/// Whether a path is a namespace's pin: a file of the kernel's namespace file system (`NSFS_MAGIC`, `linux/magic.h`).
pub fn is_namespace(path: &Path) -> bool {
    nix::sys::statfs::statfs(path).is_ok_and(|stat| stat.filesystem_type().0 == 0x6e73_6673)
}

/// Whether a path is the root of a mount: its parent is then on another one.
pub fn is_mount(path: &Path) -> bool {
    let parent = path.parent().unwrap_or(path);
    process::mount_id(path).is_ok_and(|id| process::mount_id(parent).is_ok_and(|parent| id != parent))
}

/// The first index after that of `lo`: the kernel gives it to the first device that a namespace is born with.
const FIRST: u32 = 2;

/// The greatest index that links are numbered on from; the kernel's own greatest is `i32::MAX`.
const LAST: u32 = i32::MAX as u32 - (1 << 20);

/// The indices to give to new links of a namespace.
#[derive(Debug)]
struct Numbers {
    next: AtomicU32,
    taken: HashSet<u32>,
}

impl Numbers {
    /// After the greatest that is taken: what is free below may be a link's that is just going.
    fn after(taken: HashSet<u32>) -> Self {
        let most = taken.iter().copied().max().unwrap_or(FIRST - 1);
        Self { next: AtomicU32::new(if most < LAST { most + 1 } else { FIRST }), taken }
    }

    fn give(&self) -> u32 {
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            if !self.taken.contains(&index) {
                return index;
            }
        }
    }
}

/// A namespace at hand: a socket in it, and the indices of its links.
#[derive(Debug)]
pub struct Space {
    /// Keeps the namespace, and names it in requests.
    pub file: File,
    /// A socket in it.
    pub socket: Netlink,
    /// Interface indices by name.
    pub indices: HashMap<IfName, u32>,
    /// The indices to give; shared by everybody who makes links here.
    numbers: Arc<Numbers>,
    /// nslab has just made it: no link in it is older.
    pub fresh: bool,
}

/// Moves the calling thread into the namespace behind a pin; it must end soon after, so that nothing else finds itself there.
///
/// # Errors
/// The step that failed and its error number.
pub fn enter(pin: &Path) -> std::result::Result<File, (String, Errno)> {
    let file = File::open(pin).map_err(|error| (format!("open {}", pin.display()), errno(&error)))?;
    setns(file.as_fd(), CloneFlags::CLONE_NEWNET).map_err(|errno| (format!("setns {}", pin.display()), errno))?;
    Ok(file)
}

/// Does something in the namespace behind a pin, on a thread that ends there: sockets that it opens stay there.
///
/// # Errors
/// Where there can be no thread, or the namespace cannot be entered; `node` is named.
pub fn within<T: Send>(pin: &Path, node: &str, job: impl FnOnce() -> T + Send) -> Result<T> {
    thread(|| enter(pin).map(|_| job()).map_err(|(tried, errno)| failed(node, &tried, errno)))?
}

/// The error of a system call for a node that is known by its name, or for none, with its cause where the number tells it.
pub fn failed(node: &str, tried: &str, errno: Errno) -> Error {
    let limit = match (errno, tried.split([' ', '(']).next()) {
        (Errno::ENOSPC, Some("unshare")) => Some(Limit::Sysctl("user.max_net_namespaces")),
        (Errno::ENOSPC, Some("mount")) => Some(Limit::Sysctl("fs.mount-max")),
        (Errno::EMFILE, _) => Some(Limit::OpenFiles),
        (Errno::ENFILE, _) => Some(Limit::Sysctl("fs.file-max")),
        (Errno::ENOMEM, _) => Some(Limit::Memory),
        (Errno::EPERM, Some("unshare" | "setns" | "mount")) => Some(Limit::Capability("CAP_SYS_ADMIN")),
        (Errno::EINVAL, Some("unshare")) => Some(Limit::Feature(Feature::NetworkNamespaces)),
        _ => None,
    };
    limit.map_or_else(|| Error::kernel(Some(node).filter(|node| !node.is_empty()), tried, errno), Error::Machine)
}

/// The error of a system call for a node, with its cause where the kernel's number tells it.
pub fn error(node: &NodeId, tried: &str, errno: Errno) -> Error {
    failed(&node.to_string(), tried, errno)
}

/// The error of a system call in a namespace; of the machine's own no node is named.
pub fn error_in(ns: &Ns, tried: &str, errno: Errno) -> Error {
    failed(&name(ns), tried, errno)
}

fn name(ns: &Ns) -> String {
    match ns {
        Ns::Root => String::new(),
        Ns::Node(node) => node.to_string(),
    }
}

impl Space {
    fn here(file: File, fresh: bool) -> std::result::Result<Self, Errno> {
        let socket = Netlink::open()?;
        let indices = HashMap::from([(IfName::loopback(), 1)]);
        Ok(Self { file, socket, indices, numbers: Arc::new(Numbers::after(HashSet::new())), fresh })
    }

    /// Makes a namespace, moves the calling thread into it, writes its settings and pins it.
    ///
    /// The thread must end soon after: there is no way back that cannot fail.
    pub fn make(pins: &Pins, node: &NodeId, settings: &[(Sysctl, u32)], host: bool) -> Result<Self> {
        fault::point().map_err(|errno| error(node, "unshare(CLONE_NEWNET)", errno))?;
        unshare(CloneFlags::CLONE_NEWNET).map_err(|errno| error(node, "unshare(CLONE_NEWNET)", errno))?;
        let file = File::open(OWN).map_err(|e| error(node, &format!("open {OWN}"), errno(&e)))?;
        if host {
            // No link in a host or switch makes itself an address; containers get this by netlink, which costs less.
            write("net/ipv6/conf/default/addr_gen_mode", "1").or_else(absent).map_err(|(p, e)| error(node, &p, e))?;
        }
        for (setting, value) in settings {
            write_setting(*setting, *value).map_err(|(tried, errno)| error(node, &tried, errno))?;
        }
        let mut space = Self::here(file, true).map_err(|errno| error(node, "socket(AF_NETLINK)", errno))?;
        if space.socket.has_index(FIRST) {
            // Born with devices, as with some of the kernel's modules: asking for them all would cost each namespace without any.
            space.learn().map_err(|errno| error(node, "ip link show", errno))?;
        }
        // Last, so that what is pinned has its settings: no later `up` would see that they are missing.
        pins.keep(node).map_err(|(tried, errno)| error(node, &tried, errno))?;
        Ok(space)
    }

    /// Opens the namespace behind a pin, with the indices of its links.
    ///
    /// The calling thread moves into it and must end soon after.
    pub fn enter(pins: &Pins, ns: &Ns) -> Result<Self> {
        let mut space = Self::look(pins, ns)?;
        space.learn().map_err(|errno| error_in(ns, "ip link show", errno))?;
        Ok(space)
    }

    /// Like [`Space::enter`], without asking for its links.
    pub fn look(pins: &Pins, ns: &Ns) -> Result<Self> {
        Self::behind(&pins.at(ns), &name(ns))
    }

    /// Like [`Space::enter`], without asking for its links.
    pub fn open(pin: &Path, node: &NodeId) -> Result<Self> {
        Self::behind(pin, &node.to_string())
    }

    fn behind(pin: &Path, node: &str) -> Result<Self> {
        let file = enter(pin).map_err(|(tried, errno)| failed(node, &tried, errno))?;
        Self::here(file, false).map_err(|errno| failed(node, "socket(AF_NETLINK)", errno))
    }

    /// A second handle with a socket of its own; the calling thread moves into the namespace and must end soon after.
    pub fn again(&self, ns: &Ns) -> Result<Self> {
        let file = self.file.try_clone().map_err(|e| error_in(ns, "dup", errno(&e)))?;
        setns(file.as_fd(), CloneFlags::CLONE_NEWNET).map_err(|errno| error_in(ns, "setns(CLONE_NEWNET)", errno))?;
        let mut space = Self::here(file, self.fresh).map_err(|errno| error_in(ns, "socket(AF_NETLINK)", errno))?;
        space.indices.clone_from(&self.indices);
        space.numbers = self.numbers.clone();
        Ok(space)
    }

    /// Asks for every link's index.
    pub fn learn(&mut self) -> std::result::Result<(), Errno> {
        let links = self.socket.links()?;
        let named = |link| netlink::name_of(link).map(|name| (IfName::observed(name), link.header.index));
        self.indices.extend(links.iter().filter_map(named));
        self.numbers = Arc::new(Numbers::after(links.iter().map(|link| link.header.index).collect()));
        Ok(())
    }

    /// The same, with indices that the kernel is not about to give to somebody else.
    #[must_use]
    pub fn further(self, steps: u32) -> Self {
        self.numbers.next.fetch_add(steps * 64, Ordering::Relaxed);
        self
    }

    /// Removes a link whose name is needed: where the namespace of the other end is gone, this end goes too, but later.
    /// What was pushed before must have been flushed.
    pub fn make_room(&mut self, dev: &IfName) -> std::result::Result<(), Errno> {
        let Some(index) = self.indices.remove(dev).filter(|_| !self.fresh) else { return Ok(()) };
        // A refusal says that it has gone meanwhile.
        self.send(&requests::del_link(index)).map(drop)
    }

    /// The index that a new link gets, always the same for one name.
    pub fn assign(&mut self, dev: &IfName) -> u32 {
        if let Some(index) = self.indices.get(dev) {
            return *index;
        }
        let index = self.numbers.give();
        self.indices.insert(dev.clone(), index);
        index
    }

    /// The index of a link; 0 where there is none, which the kernel refuses.
    pub fn index(&self, dev: &IfName) -> u32 {
        self.indices.get(dev).copied().unwrap_or(0)
    }

    /// One request by itself, and whether it was refused. What was pushed before goes along.
    pub fn send(&mut self, request: &Request) -> std::result::Result<Option<Refusal>, Errno> {
        let mut refusals = self.socket.push(request, 0)?;
        refusals.extend(self.socket.flush()?);
        Ok(refusals.into_iter().next())
    }

    /// What a request names the namespace by.
    pub fn fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}

/// Writes a setting in the calling thread's namespace. An IPv6 setting is absent where IPv6 is off: that is no fault.
pub fn write_setting(setting: Sysctl, value: u32) -> std::result::Result<(), (String, Errno)> {
    let written = write(setting.path(), &value.to_string());
    if setting == Sysctl::Forward6 { written.or_else(absent) } else { written }
}

/// Reads a setting in the calling thread's namespace.
pub fn read_setting(setting: Sysctl) -> Option<u32> {
    std::fs::read_to_string(format!("/proc/sys/{}", setting.path())).ok()?.trim().parse().ok()
}

fn absent(failure: (String, Errno)) -> std::result::Result<(), (String, Errno)> {
    if failure.1 == Errno::ENOENT { Ok(()) } else { Err(failure) }
}

fn write(path: &str, text: &str) -> std::result::Result<(), (String, Errno)> {
    let path = format!("/proc/sys/{path}");
    let to_failure = |errno| (format!("write {path}"), errno);
    fault::point().map_err(to_failure)?;
    std::fs::write(&path, text).map_err(|e| to_failure(errno(&e)))
}

/// Moves a link to another namespace, under a name that it has there, and up; false where there is no such link.
///
/// # Errors
/// When a namespace is not there, or the kernel refuses.
pub fn move_link(pins: &Pins, (from, name): (&Ns, &IfName), (to, called): (&Ns, &IfName)) -> Result<bool> {
    let tried = |ns: &Ns, errno: Errno| error_in(ns, &format!("ip link set {name} netns ... name {called}"), errno);
    let send = |space: &mut Space, ns: &Ns, request: &Request| {
        let refused = space.send(request).map_err(|errno| tried(ns, errno))?;
        refused.map_or(Ok(()), |refusal| Err(tried(ns, refusal.errno)))
    };
    let moved = thread(|| {
        let mut near = Space::enter(pins, from)?;
        let index = near.index(name);
        if index == 0 {
            return Ok(false);
        }
        let target = File::open(pins.at(to)).map_err(|error| tried(to, errno(&error)))?;
        send(&mut near, from, &requests::carry(index, target.as_raw_fd(), called)).map(|()| true)
    })??;
    if moved {
        thread(|| {
            let mut there = Space::enter(pins, to)?;
            let index = there.index(called);
            send(&mut there, to, &requests::set_up(index, true))
        })??;
    }
    Ok(moved)
}
