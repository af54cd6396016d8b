//! What a node's sandbox looks like, what is to run in it, its environment, which is built and not inherited, and how a step that failed is
//! told.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::error::{Error, Feature, Limit};
use crate::kernel::sys::process;

/// Where the files of one lab are.
#[derive(Debug, Clone)]
pub struct Paths {
    /// `/run/nslab/LAB`
    pub lab: PathBuf,
}

impl Paths {
    /// The pin of a node's network namespace.
    pub(super) fn pin(&self, node: &str) -> PathBuf {
        self.lab.join("netns").join(node)
    }

    /// The directory that a node sees as `/run/netns`.
    pub(super) fn netns(&self, node: &str) -> PathBuf {
        self.lab.join("run").join(node).join("netns")
    }

    /// The private files of a node.
    pub(super) fn layer(&self, node: &str) -> PathBuf {
        self.lab.join("layers").join(node)
    }

    /// A file of the lab that is empty outside, and tells in a sandbox which it is.
    pub(super) fn mark(&self) -> PathBuf {
        self.lab.join("sandbox").join("here")
    }

    /// Where the shim of a node's sandbox listens.
    pub(super) fn socket(&self, node: &str, real_root: bool) -> PathBuf {
        self.lab.join("sandbox").join(format!("{node}{}.sock", if real_root { "+real" } else { "" }))
    }
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

/// Makes a directory if it is not there.
pub(super) fn directory(path: &Path, mode: u32) -> Tried<()> {
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(at(format!("mkdir {}", path.display()))(error)),
        _ => Ok(()),
    }
}

/// A path as short as `sun_path` of unix(7) takes it, whatever the names of the lab and the node.
pub(super) fn short<T>(path: &Path, act: impl FnOnce(&Path) -> std::io::Result<T>) -> std::io::Result<T> {
    let directory = File::open(path.parent().unwrap_or(path))?;
    act(&Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(path.file_name().unwrap_or_default()))
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

/// What passes through: the terminal, the language, the display.
const PASSED: [&str; 7] = ["TERM", "LANG", "LANGUAGE", "COLORTERM", "DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY"];
/// Where a private root has nslab.
pub(super) const PROGRAMS: &str = "/run/bin";
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Shows the node at every prompt, whatever the user's own files set.
const BASH: &str = "[ -f /etc/bash.bashrc ] && . /etc/bash.bashrc
[ -f ~/.bashrc ] && . ~/.bashrc
PS1='\\u@\\h:\\w\\$ '
";

/// The environment of a command: that of a login of root, with the terminal, the language and the display of the caller.
pub(super) fn environment(paths: &Paths, spec: &Spec, run: &Run) -> Vec<(OsString, OsString)> {
    let (home, shell) = root_user();
    let pair = |name: &str, value: &OsStr| (OsString::from(name), value.to_owned());
    let mut built = vec![
        pair("PATH", OsStr::new(&search_path(paths, spec))),
        pair("HOME", OsStr::new(&home)),
        pair("USER", OsStr::new("root")),
        pair("LOGNAME", OsStr::new("root")),
        pair("SHELL", OsStr::new(&shell)),
        pair("HOSTNAME", OsStr::new(&spec.hostname)),
        pair("NSLAB_LAB", OsStr::new(&spec.lab)),
        pair("NSLAB_NODE", OsStr::new(&spec.node)),
        // The X server does not see the shared memory of another IPC namespace; Qt asks this before it tries.
        pair("QT_X11_NO_MITSHM", OsStr::new("1")),
    ];
    let passes = |name: &OsStr| name.to_str().is_some_and(|name| PASSED.contains(&name) || name.starts_with("LC_"));
    built.extend(std::env::vars_os().filter(|(name, _)| passes(name)));
    built.extend(authority(paths).map(|path| (OsString::from("XAUTHORITY"), path.into_os_string())));
    built.extend(spec.clients.iter().flat_map(Clients::variables));
    built.extend(run.env.iter().map(|(name, value)| pair(name, OsStr::new(value))));
    built
}

/// Where commands are looked for: nslab is there, too, and on a host without the stock client nslab as `lxc`.
fn search_path(paths: &Paths, spec: &Spec) -> String {
    if !spec.real_root {
        return format!("{PROGRAMS}:{PATH}");
    }
    // The machine's files stay as they are; what it has itself counts more.
    let own = programs(paths);
    let host = if spec.is_host { format!(":{}", own.join("host").display()) } else { String::new() };
    format!("{PATH}:{}{host}", own.display())
}

fn programs(paths: &Paths) -> PathBuf {
    paths.lab.join("sandbox").join("bin")
}

/// Makes what [`search_path`] names for the machine's own files.
pub(super) fn link_programs(paths: &Paths) -> std::io::Result<()> {
    let (own, binary) = (programs(paths), std::env::current_exe()?);
    fs::create_dir_all(own.join("host"))?;
    for link in [own.join("nslab"), own.join("host").join("lxc")] {
        if fs::read_link(&link).is_ok_and(|before| before == binary) {
            continue;
        }
        let new = link.with_extension(std::process::id().to_string());
        symlink(&binary, &new).and_then(|()| fs::rename(&new, &link))?;
    }
    Ok(())
}

/// The environment of a command that comes from elsewhere, with the defaults of LXD; what the order says counts more.
pub(super) fn environment_of_order(spec: &Spec, order: &Order) -> Vec<(OsString, OsString)> {
    let pair = |name: &str, value: &str| (OsString::from(name), OsString::from(value));
    let mut built = vec![
        pair("PATH", &format!("{PATH}:{PROGRAMS}")),
        pair("LANG", "C.UTF-8"),
        pair("HOSTNAME", &spec.hostname),
        pair("NSLAB_LAB", &spec.lab),
        pair("NSLAB_NODE", &spec.node),
    ];
    if order.user == 0 {
        built.extend([pair("HOME", "/root"), pair("USER", "root")]);
    }
    built.extend(order.env.iter().map(|(name, value)| pair(name, value)));
    built
}

/// The home of user 0.
pub(super) fn home_of_root() -> String {
    root_user().0
}

/// Home and shell of user 0, from the file itself: a static program cannot ask the system's name service.
fn root_user() -> (String, String) {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let root = users.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|user| user.get(2) == Some(&"0"));
    let field = |at: usize, otherwise: &str| {
        let text = root.as_ref().and_then(|user| user.get(at)).filter(|text| !text.is_empty());
        (*text.unwrap_or(&otherwise)).to_owned()
    };
    (field(5, "/root"), field(6, "/bin/sh"))
}

/// An interactive shell whose prompt shows the node: the caller's where it is bash, zsh or sh, else bash, else sh.
pub fn shell(paths: &Paths) -> Run {
    let wanted = std::env::var_os("SHELL").map(PathBuf::from);
    let known = |shell: &PathBuf| {
        let name = shell.file_name().and_then(OsStr::to_str).unwrap_or_default();
        shell.is_absolute() && ["bash", "zsh", "sh", "dash"].contains(&name) && shell.is_file()
    };
    let shell = wanted.into_iter().chain(["/bin/bash", "/usr/bin/bash"].map(PathBuf::from)).find(known);
    let shell = shell.unwrap_or_else(|| PathBuf::from("/bin/sh"));
    let mut argv = vec![shell.clone().into_os_string()];
    let mut env = Vec::new();
    match shell.file_name().and_then(OsStr::to_str) {
        Some("bash") => argv.extend([OsString::from("--rcfile"), rcfile(paths).into_os_string(), OsString::from("-i")]),
        Some("zsh") => env.push(("PROMPT".to_owned(), "%n@%m:%~%# ".to_owned())),
        _ => env.push(("PS1".to_owned(), "${USER}@${HOSTNAME}:${PWD}# ".to_owned())),
    }
    Run { argv, env, interactive: true, ..Run::default() }
}

/// Where bash finds [`BASH`]; the same path inside and outside.
pub(super) fn rcfile(paths: &Paths) -> PathBuf {
    paths.lab.join("layers").join("bashrc")
}

/// Writes what shells read first, once in a lab.
pub(super) fn write_rcfile(path: &Path) -> std::io::Result<()> {
    if path.exists() { Ok(()) } else { fs::write(path, BASH) }
}

/// `FamilyWild` of `X11/Xauth.h`: whatever the host is called.
const ANY_HOST: [u8; 2] = [0xff, 0xff];

/// Writes the caller's X authority for use in the nodes of a lab; none where there is none to be read.
///
/// X programs look for the entry of their own hostname, and that of a node is in nobody's file.
fn authority(paths: &Paths) -> Option<PathBuf> {
    std::env::var_os("DISPLAY").filter(|display| !display.is_empty())?;
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".Xauthority"));
    let from = std::env::var_os("XAUTHORITY").map(PathBuf::from).or_else(home)?;
    let text = for_any_host(&fs::read(from).ok()?)?;
    let path = paths.lab.join("layers").join("xauthority");
    if fs::read(&path).is_ok_and(|before| before == text) {
        return Some(path);
    }
    let draft = paths.lab.join("layers").join(format!("xauthority.{}", std::process::id()));
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft).ok()?;
    file.write_all(&text).and_then(|()| fs::rename(&draft, &path)).ok()?;
    Some(path)
}

/// The same entries, each for any host; none if this is no X authority file.
fn for_any_host(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    while !rest.is_empty() {
        // Family; then address, number, name and data, each with its length before it.
        rest = rest.get(2..)?;
        text.extend(ANY_HOST);
        for _ in 0..4 {
            let (length, _) = rest.split_first_chunk::<2>()?;
            let end = 2 + usize::from(u16::from_be_bytes(*length));
            text.extend(rest.get(..end)?);
            rest = rest.get(end..)?;
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn entry(family: u16) -> Vec<u8> {
        let mut entry = family.to_be_bytes().to_vec();
        for part in ["laptop", "0", "MIT-MAGIC-COOKIE-1", "secret"] {
            entry.extend(u16::try_from(part.len()).unwrap().to_be_bytes());
            entry.extend(part.as_bytes());
        }
        entry
    }

    #[test]
    fn every_entry_counts_for_any_host() {
        let file = [entry(256), entry(0)].concat();
        assert_eq!(for_any_host(&file).unwrap(), [entry(0xffff), entry(0xffff)].concat());
        assert_eq!(for_any_host(&file[..file.len() - 1]), None);
        assert_eq!(for_any_host(b""), Some(Vec::new()));
    }
}
