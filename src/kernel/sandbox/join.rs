//! Joining a sandbox: a thread of its own enters all the namespaces at once, starts the command, and dies there.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::statfs::{FsType, fstatfs};
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::chdir;

use super::processes::{self, Files, Recorded};
use super::spec::{Failure, Paths, Run, Spec, Tried, at, environment, error, link_programs, rcfile, write_rcfile};
use super::wait::{Exit, Orphans, Started, Terminal};
use super::{make, root};
use crate::error::{Error, Result, Usage};
use crate::kernel::sys::process::{self, Change};

/// `linux/magic.h`
const NSFS_MAGIC: i64 = 0x6e73_6673;
/// How often a sandbox that ends at this very moment is made again.
const TRIES: usize = 5;
/// How long an init may take to be gone.
const ENDING: Duration = Duration::from_secs(2);
/// Directories of the system, with everything in them: as the working directory they are seen, but not written to.
const SYSTEM: [&str; 14] = [
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/proc",
    "/run/netns",
    "/run/nslab",
    "/sbin",
    "/sys",
    "/usr",
];
/// The same, but what is in them may be somebody's work.
const SYSTEM_ALONE: [&str; 4] = ["/", "/home", "/run", "/var"];

/// Starts a command in a node, in its sandbox, which is made if there is none.
///
/// # Errors
/// `Error::Command` when the command cannot be executed; `Usage::NotUp` when the node is not there.
pub fn start(paths: &Paths, spec: &Spec, run: &Run) -> Result<Started> {
    let Some(program) = run.argv.first() else {
        return Err(Error::Command { command: String::new(), errno: libc::ENOENT });
    };
    process::keep_children();
    let orphans = Orphans::adopt();
    let terminal = Terminal::claim(run.interactive);
    let clients = spec.clients.as_ref();
    let entry = Entry { directory: Directory::for_run(run), shared: clients.and_then(|clients| Shared::open(&clients.lxd)) };
    let _ = write_rcfile(&rcfile(paths));
    if spec.real_root {
        let _ = link_programs(paths);
    }
    let child = within(paths, spec, |init| {
        let mut command = command(paths, spec, run);
        // A shell then knows the group that it is in: that of nslab has no number inside.
        process::start_clean(&mut command, run.interactive && terminal.foreground);
        enter(init, paths, spec, &entry, &mut command)
    });
    match child {
        Ok(child) => Ok(Started::new(child, terminal, orphans)),
        Err(Unmet::Exec(errno)) => {
            let command = program.to_string_lossy().into_owned();
            Err(Error::Command { command, errno: errno as i32 })
        }
        Err(Unmet::Directory(path, errno)) => Err(error(&spec.node, (format!("chdir {}", path.display()), errno))),
        Err(Unmet::Failed(error)) => Err(error),
    }
}

/// Starts a command in a node and waits for its end.
///
/// # Errors
/// As [`start`].
pub fn run(paths: &Paths, spec: &Spec, run: &Run) -> Result<Exit> {
    start(paths, spec, run)?.wait()
}

/// Why something could not be done in a sandbox.
pub(super) enum Unmet {
    /// The command cannot be executed.
    Exec(Errno),
    /// Its working directory cannot be entered.
    Directory(PathBuf, Errno),
    /// Something else.
    Failed(Error),
}

/// Does something with the init of a node's sandbox, which is made if there is none and stays meanwhile.
pub(super) fn within<T>(
    paths: &Paths,
    spec: &Spec,
    mut attempt: impl FnMut(&OwnedFd) -> std::result::Result<T, Refusal>,
) -> std::result::Result<T, Unmet> {
    let network = network(paths, spec).map_err(Unmet::Failed)?;
    make::prepare(paths, spec).map_err(Unmet::Failed)?;
    let files = Files::new(paths, spec);
    let to_unmet = |failure| Unmet::Failed(error(&spec.node, failure));
    for _ in 0..TRIES {
        let lock = processes::lock(&files.lock, spec).map_err(Unmet::Failed)?;
        let init = init(paths, spec, &files, &network).map_err(to_unmet)?;
        match attempt(&init) {
            Ok(done) => return Ok(done),
            Err(Refusal::Gone) => drop(lock),
            Err(Refusal::Exec(errno)) => return Err(Unmet::Exec(errno)),
            Err(Refusal::Directory(path, errno)) => return Err(Unmet::Directory(path, errno)),
            Err(Refusal::Failed(failure)) => return Err(to_unmet(failure)),
        }
    }
    Err(to_unmet(("join the sandbox".to_owned(), Errno::ESRCH)))
}

/// The node's network namespace.
fn network(paths: &Paths, spec: &Spec) -> Result<File> {
    let pin = paths.pin(&spec.node);
    let not_up = || Error::Usage(Usage::NotUp(spec.lab.clone()));
    match File::open(&pin) {
        Ok(file) if fstatfs(&file).is_ok_and(|stat| stat.filesystem_type() == FsType(NSFS_MAGIC)) => Ok(file),
        // A file without its mount is what an interrupted nslab leaves.
        Ok(_) => Err(not_up()),
        Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => Err(not_up()),
        Err(fault) => Err(error(&spec.node, at(format!("open {}", pin.display()))(fault))),
    }
}

fn init(paths: &Paths, spec: &Spec, files: &Files, network: &File) -> Tried<OwnedFd> {
    match settled(&files.record) {
        Recorded::Living(_, handle) => return make::revive(paths, spec, &handle).map(|()| handle),
        Recorded::Elsewhere => return Err(("join the sandbox from inside of another one".to_owned(), Errno::EBUSY)),
        // Its layer is free when it is gone.
        Recorded::Ending(identity, handle) => {
            processes::wait_gone(identity.pid, &handle, ENDING);
        }
        Recorded::Nothing => {}
    }
    make::make(paths, spec, files, network)
}

/// A sandbox that was made inside of another node ends with the command there: most are gone in a moment.
fn settled(record: &Path) -> Recorded {
    let began = Instant::now();
    loop {
        match processes::living(record) {
            Recorded::Elsewhere if began.elapsed() < ENDING => thread::sleep(Duration::from_millis(5)),
            recorded => return recorded,
        }
    }
}

/// Why an attempt in a sandbox failed.
pub(super) enum Refusal {
    /// The sandbox ended meanwhile.
    Gone,
    /// The command cannot be executed.
    Exec(Errno),
    /// Its working directory cannot be entered.
    Directory(PathBuf, Errno),
    /// Something else.
    Failed(Failure),
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Starts a command in the sandbox.
pub(super) fn enter(
    init: &OwnedFd,
    paths: &Paths,
    spec: &Spec,
    entry: &Entry,
    command: &mut Command,
) -> std::result::Result<Child, Refusal> {
    inside(init, paths, || {
        if !spec.real_root {
            root::give(&paths.layer(&spec.node), Path::new("/"), "hosts", &spec.hosts)?;
        }
        root::cover_daemons(paths, spec)?;
        entry.shared.iter().try_for_each(Shared::show)?;
        if let Some(clients) = spec.clients.as_ref().filter(|_| !spec.real_root) {
            root::remotes(clients)?;
        }
        entry.directory.enter()?;
        command.spawn().map_err(|fault| match process::errno(&fault) {
            // The PID namespace takes nobody any more.
            Errno::ENOMEM => Refusal::Gone,
            Errno::EAGAIN => Refusal::Failed(("fork".to_owned(), Errno::EAGAIN)),
            errno => Refusal::Exec(errno),
        })
    })
}

/// Does something on a thread that is in every namespace of the sandbox.
pub(super) fn inside<T: Send>(
    init: &OwnedFd,
    paths: &Paths,
    job: impl FnOnce() -> std::result::Result<T, Refusal> + Send,
) -> std::result::Result<T, Refusal> {
    let lab = identity(&paths.lab);
    let joined = thread::scope(|scope| {
        let thread = thread::Builder::new().spawn_scoped(scope, || {
            namespaces(init)?;
            if identity(&paths.lab) != lab {
                // Entering a mount namespace leads to its root, which is not that of a chroot.
                return Err(Refusal::Failed(("join the sandbox from a chroot".to_owned(), Errno::EXDEV)));
            }
            job()
        });
        thread.map(std::thread::ScopedJoinHandle::join)
    });
    match joined {
        Ok(Ok(done)) => done,
        Ok(Err(_)) => Err(Refusal::Failed(("join the sandbox".to_owned(), Errno::EIO))),
        Err(fault) => Err(Refusal::Failed(("start a thread".to_owned(), process::errno(&fault)))),
    }
}

fn command(paths: &Paths, spec: &Spec, run: &Run) -> Command {
    let mut command = Command::new(run.argv.first().map_or(OsStr::new(""), |program| program));
    command.args(run.argv.iter().skip(1)).env_clear().envs(environment(paths, spec, run));
    if run.captured {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    }
    command
}

/// Moves the calling thread into every namespace of the sandbox.
fn namespaces(init: &OwnedFd) -> std::result::Result<(), Refusal> {
    unshare(CloneFlags::CLONE_FS).map_err(at("unshare(CLONE_FS)"))?;
    let all = CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWPID;
    setns(init.as_fd(), all).map_err(|errno| match errno {
        Errno::ESRCH | Errno::EINVAL => Refusal::Gone,
        errno => Refusal::Failed(("setns(pidfd)".to_owned(), errno)),
    })
}

/// What a command finds in the sandbox.
pub(super) struct Entry {
    /// Where it starts.
    pub(super) directory: Directory,
    /// What it shares with the machine.
    pub(super) shared: Option<Shared>,
}

/// A directory of the machine, to be mounted at the same place where it is not there yet.
pub(super) struct Shared {
    path: PathBuf,
    identity: (u64, u64, bool),
    mounts: OwnedFd,
}

impl Shared {
    fn open(path: &Path) -> Option<Self> {
        let mounts = process::copy_of_mounts(path).ok()?;
        process::change(&mounts, Change::Slave).ok()?;
        Some(Self { path: path.to_owned(), identity: identity(path)?, mounts })
    }

    fn show(&self) -> std::result::Result<(), Refusal> {
        let path = &self.path;
        if identity(path) != Some(self.identity) {
            fs::create_dir_all(path).map_err(at(format!("mkdir {}", path.display())))?;
            process::attach(&self.mounts, path).map_err(at(format!("attach {}", path.display())))?;
        }
        Ok(())
    }
}

/// Where a command starts.
pub(super) enum Directory {
    /// A directory of the sandbox that must be there.
    Exactly(PathBuf),
    /// A directory of the sandbox.
    Inside(PathBuf),
    /// The caller's own.
    Callers(Shared),
}

impl Directory {
    fn for_run(run: &Run) -> Self {
        if let Some(path) = &run.cwd {
            return Self::Inside(path.clone());
        }
        let Ok(path) = std::env::current_dir() else { return Self::Inside(PathBuf::from("/")) };
        let system = SYSTEM.iter().any(|system| path.starts_with(system));
        if system || SYSTEM_ALONE.iter().any(|system| path == Path::new(system)) {
            return Self::Inside(path);
        }
        Shared::open(&path).map_or(Self::Inside(path), Self::Callers)
    }

    fn enter(&self) -> std::result::Result<(), Refusal> {
        let refused = |path: &Path| {
            let path = path.to_owned();
            move |errno| Refusal::Directory(path, errno)
        };
        match self {
            Self::Exactly(path) => chdir(path).map_err(refused(path)),
            Self::Inside(path) => match chdir(path) {
                // A directory of the machine that the sandbox does not show.
                Err(Errno::ENOENT) => chdir("/").map_err(refused(Path::new("/"))),
                done => done.map_err(refused(path)),
            },
            Self::Callers(shared) => {
                shared.show()?;
                chdir(&shared.path).map_err(refused(&shared.path))
            }
        }
    }
}

/// The same device and number is the same directory; it may be read-only in one place.
fn identity(path: &Path) -> Option<(u64, u64, bool)> {
    let meta = fs::metadata(path).ok()?;
    let read_only = statvfs(path).ok()?.flags().contains(FsFlags::ST_RDONLY);
    Some((meta.dev(), meta.ino(), read_only))
}
