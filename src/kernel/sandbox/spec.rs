//! What a node's sandbox looks like, what is to run in it, and how a step that failed is told.

use std::ffi::OsString;
use std::path::PathBuf;

use nix::errno::Errno;

use crate::error::{Error, Feature, Limit};
use crate::kernel::sys::process;

/// Where the files of one lab are.
#[derive(Debug, Clone)]
pub struct Paths {
    /// `/run/nslab/LAB`
    pub lab: PathBuf,
}

/// What a node's sandbox looks like.
#[derive(Debug, Clone)]
pub struct Spec {
    /// The lab's name.
    pub lab: String,
    /// The name of the node's pin: `host-a` or `host-a.a1`.
    pub node: String,
    /// The hostname inside.
    pub hostname: String,
    /// The text of `/etc/hosts` inside.
    pub hosts: String,
    /// The node is a host: `/run/netns` inside shows its containers under their bare names.
    pub is_host: bool,
    /// Use the machine's own files, without a private writable layer.
    pub real_root: bool,
    /// What the clients of LXD's API find on a host.
    pub clients: Option<Clients>,
}

/// What the clients of LXD's API find on a host.
#[derive(Debug, Clone)]
pub struct Clients {
    /// The host's name.
    pub host: String,
    /// Where they look for the socket of the host's agent, which starts at the first connection.
    pub directory: PathBuf,
    /// Where the agent takes the connections over.
    pub handoff: PathBuf,
    /// What LXD's client keeps.
    pub lxd: PathBuf,
    /// What Incus's keeps, below.
    pub incus: PathBuf,
}

impl Clients {
    /// The socket that they connect to.
    pub fn socket(&self) -> PathBuf {
        self.directory.join("unix.socket")
    }

    /// The variables by which they find all that.
    pub fn variables(&self) -> [(OsString, OsString); 4] {
        let places =
            [("LXD_DIR", &self.directory), ("LXD_CONF", &self.lxd), ("INCUS_DIR", &self.directory), ("INCUS_CONF", &self.incus)];
        places.map(|(name, place)| (OsString::from(name), place.clone().into_os_string()))
    }
}

/// A command to run in a node.
#[derive(Debug, Clone, Default)]
pub struct Run {
    /// The command and its arguments.
    pub argv: Vec<OsString>,
    /// Variables beyond those that every process of a node gets.
    pub env: Vec<(String, String)>,
    /// The working directory inside; none means the caller's own, as it is.
    pub cwd: Option<PathBuf>,
    /// The command is an interactive shell: it starts only in the foreground of its terminal.
    pub interactive: bool,
    /// The command reads nothing, and what it writes is kept for [`super::Started::output`].
    pub captured: bool,
}

/// A command to start in a node.
#[derive(Debug, Clone, Default)]
pub struct Order {
    /// The command and its arguments.
    pub argv: Vec<OsString>,
    /// Variables beyond those that every process of a node gets; they count more.
    pub env: Vec<(String, String)>,
    /// The working directory inside, which must be there; none means the root.
    pub cwd: Option<PathBuf>,
    /// The number of the user inside.
    pub user: u32,
    /// The number of the user's one group.
    pub group: u32,
    /// The size of the command's terminal; none means three pipes.
    pub screen: Option<Screen>,
}

/// The size of a terminal, in characters; 0 where nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Screen {
    /// Characters of a row.
    pub columns: u16,
    /// Rows.
    pub rows: u16,
}

/// What was tried, and the system's error number.
pub(super) type Failure = (String, Errno);
/// The result of one step.
pub(super) type Tried<T> = std::result::Result<T, Failure>;

/// Names the step for an error number.
pub(super) fn at<E: Into<Cause>>(tried: impl Into<String>) -> impl FnOnce(E) -> Failure {
    move |cause| (tried.into(), cause.into().0)
}

/// The error number of either kind of failed call.
pub(super) struct Cause(Errno);

impl From<Errno> for Cause {
    fn from(errno: Errno) -> Self {
        Self(errno)
    }
}

impl From<std::io::Error> for Cause {
    fn from(error: std::io::Error) -> Self {
        Self(process::errno(&error))
    }
}

/// The error of a step for a node, with its cause where the kernel's number tells it.
pub(super) fn error(node: &str, (tried, errno): Failure) -> Error {
    let step = tried.split([' ', '(']).next().unwrap_or_default();
    let limit = match (errno, step) {
        (Errno::ENODEV, "overlay") => Limit::Feature(Feature::Overlay),
        (Errno::EINVAL, "unshare") => Limit::Feature(Feature::SandboxNamespaces),
        (Errno::ENOSYS, _) => Limit::Feature(Feature::MountCalls),
        (Errno::ENOSPC, "unshare") if tried.contains("CLONE_NEWNS") => Limit::Sysctl("user.max_mnt_namespaces"),
        (Errno::ENOSPC, "unshare") => Limit::Sysctl("user.max_pid_namespaces"),
        (Errno::ENOSPC, "mount" | "attach" | "copy" | "overlay") => Limit::Sysctl("fs.mount-max"),
        (Errno::ENOSPC, _) => Limit::Space(PathBuf::from(tried.split(' ').next_back().unwrap_or_default())),
        (Errno::EPERM, "unshare" | "setns" | "mount" | "attach" | "copy" | "overlay") => Limit::Capability("CAP_SYS_ADMIN"),
        (Errno::EMFILE, _) => Limit::OpenFiles,
        (Errno::ENFILE, _) => Limit::Sysctl("fs.file-max"),
        (Errno::ENOMEM, _) => Limit::Memory,
        _ => return Error::kernel(node, tried, errno),
    };
    Error::Machine(limit)
}
