//! Making a sandbox: what those of one lab share in its directory, and a fork in between, so that its shim is nobody's child; the shim forks
//! the init; a pipe tells how it went. The init, process 1 of its PID namespace, stays as long as anything else lives in it.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::prctl::set_child_subreaper;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{chdir, pipe2, sethostname, setsid};

use super::end;
use super::processes::{self, Files, Identity, Recorded};
use super::root;
use super::shim::{self, Sockets};
use super::spec::{Paths, Spec, Tried, at, directory, error};
use crate::error::{Error, Result, Usage};
use crate::kernel::netns::is_mount;
use crate::kernel::sys::process;

/// How long a shim may take to end after its init.
const ENDING: Duration = Duration::from_secs(2);

/// Makes the node's sandbox in the network namespace; the caller holds the node's lock.
///
/// Returns a handle of its init. Killed half-way nothing stays: the init sees the lock free and nobody to stay for, and the
/// shim ends with it.
pub(super) fn make(paths: &Paths, spec: &Spec, files: &Files, network: &File) -> Tried<OwnedFd> {
    let draft = processes::open_own(&files.draft, true)?;
    let sockets = own(paths, spec)?;
    let binary = root::binary();
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC).map_err(at("pipe"))?;
    let parts = Parts { paths, spec, lock: &files.lock, network, record: &draft, space: processes::own_space(), binary, sockets };
    let middle = process::fork(|| parts.middle(&writer)).map_err(at("fork"))?;
    drop((writer, parts));
    while nix::sys::wait::waitpid(middle, None) == Err(Errno::EINTR) {}
    listen(File::from(reader))?;
    std::fs::rename(&files.draft, &files.record).map_err(at(format!("rename {}", files.draft.display())))?;
    match processes::living(&files.record) {
        Recorded::Living(_, handle) => Ok(handle),
        _ => Err(("join the sandbox".to_owned(), Errno::ESRCH)),
    }
}

/// The sockets of a new shim. One whose init has just ended is about to end.
fn own(paths: &Paths, spec: &Spec) -> Tried<Sockets> {
    let until = Instant::now() + ENDING;
    loop {
        match Sockets::open(paths, spec)? {
            Some(sockets) => return Ok(sockets),
            None if Instant::now() < until => std::thread::sleep(Duration::from_millis(1)),
            None => return Err(("start the shim".to_owned(), Errno::EBUSY)),
        }
    }
}

/// Gives a sandbox a shim again whose own was killed; the caller holds the node's lock.
pub(super) fn revive(paths: &Paths, spec: &Spec, init: &OwnedFd) -> Tried<()> {
    let Some(sockets) = Sockets::open(paths, spec)? else { return Ok(()) };
    let shim = || {
        let mut kept = vec![0, 1, 2, init.as_raw_fd()];
        kept.extend(sockets.numbers());
        process::close_all_but(&mut kept);
        let ready = begin(&sockets).and_then(|()| process::silence().map_err(at("open /dev/null")));
        if ready.is_ok() { shim::stand(&sockets, spec, init) } else { 1 }
    };
    let middle = process::fork(|| i32::from(process::fork(shim).is_err())).map_err(at("fork"))?;
    while nix::sys::wait::waitpid(middle, None) == Err(Errno::EINTR) {}
    Ok(())
}

/// Has somebody wait for the clients of a host that the machine itself plays, where nothing has a sandbox: a shim that `down` ends.
///
/// # Errors
/// When it cannot listen.
pub fn wait_for_clients(paths: &Paths, spec: &Spec) -> Result<()> {
    let to_error = |failure| error(&spec.node, failure);
    directory(&paths.lab.join("sandbox"), 0o700).map_err(to_error)?;
    let _lock = processes::lock(&Files::new(paths, spec).lock, spec)?;
    // One that nobody finds any more makes room for another.
    if spec.clients.as_ref().is_some_and(|clients| !clients.socket().exists()) {
        for (shim, _) in end::shims(paths, std::slice::from_ref(&spec.node)) {
            let _ = process::send(&shim, libc::SIGKILL);
            process::wait_end_until(&shim, Instant::now() + ENDING);
        }
    }
    // Nobody sends anything to it: it stands for an init that lives as long as the lab.
    let never = UnixDatagram::unbound().map_err(at("socket")).map_err(to_error)?;
    revive(paths, spec, &never.into()).map_err(to_error)
}

/// Begins the life of a shim: nobody's child, in nobody's session, the parent of whatever it starts.
fn begin(sockets: &Sockets) -> Tried<()> {
    process::init_signals().map_err(at("sigaction"))?;
    set_child_subreaper(true).map_err(at("prctl"))?;
    setsid().map_err(at("setsid"))?;
    chdir("/").map_err(at("chdir /"))?;
    sockets.claim()
}

/// An empty answer is a good one; silence is the end of the init.
fn listen(mut reader: File) -> Tried<()> {
    let mut answer = Vec::new();
    reader.read_to_end(&mut answer).map_err(at("read from the init"))?;
    match answer.split_first_chunk::<4>() {
        Some((number, _)) if *number == [0; 4] => Ok(()),
        Some((number, step)) => Err((String::from_utf8_lossy(step).into_owned(), Errno::from_raw(i32::from_ne_bytes(*number)))),
        None => Err(("make the sandbox".to_owned(), Errno::ESRCH)),
    }
}

struct Parts<'a> {
    paths: &'a Paths,
    spec: &'a Spec,
    lock: &'a Path,
    network: &'a File,
    record: &'a File,
    space: u64,
    binary: Option<OwnedFd>,
    sockets: Sockets,
}

impl Parts<'_> {
    /// The process between nslab and the shim.
    fn middle(&self, writer: &OwnedFd) -> i32 {
        // The lock is nslab's alone. The standard ones stay until the end, lest something else gets their numbers.
        let mut kept = vec![0, 1, 2, writer.as_raw_fd(), self.network.as_raw_fd(), self.record.as_raw_fd()];
        kept.extend(self.binary.as_ref().map(AsRawFd::as_raw_fd));
        kept.extend(self.sockets.numbers());
        process::close_all_but(&mut kept);
        match process::fork(|| self.shim(writer)) {
            Ok(_) => 0,
            Err(errno) => answer(writer, errno as i32, "fork"),
        }
    }

    fn shim(&self, writer: &OwnedFd) -> i32 {
        match self.begin(writer) {
            Ok(init) => {
                let mut kept = vec![0, 1, 2, init.as_raw_fd()];
                kept.extend(self.sockets.numbers());
                process::close_all_but(&mut kept);
                shim::stand(&self.sockets, self.spec, &init)
            }
            Err((step, errno)) => answer(writer, errno as i32, &step),
        }
    }

    /// Forks the init; what the shim starts later is outside.
    fn begin(&self, writer: &OwnedFd) -> Tried<OwnedFd> {
        begin(&self.sockets)?;
        let init = process::fork_first(|| self.init(writer)).map_err(at("unshare(CLONE_NEWPID)"))?;
        process::silence().map_err(at("open /dev/null"))?;
        process::handle(init.as_raw()).map_err(at("pidfd_open"))
    }

    fn init(&self, writer: &OwnedFd) -> i32 {
        let lock = match self.build() {
            Ok(lock) => lock,
            Err((step, errno)) => return answer(writer, errno as i32, &step),
        };
        process::close_all_but(&mut [0, 1, 2, writer.as_raw_fd(), lock.as_raw_fd(), self.record.as_raw_fd()]);
        let _ = process::set_title(&format!("{}{}/{}", processes::TITLE, self.spec.lab, self.spec.node));
        process::trim_memory();
        answer(writer, 0, "");
        process::close_all_but(&mut [0, 1, 2, lock.as_raw_fd(), self.record.as_raw_fd()]);
        stay(lock, self.record)
    }

    fn build(&self) -> Tried<File> {
        setsid().map_err(at("setsid"))?;
        setns(self.network.as_fd(), CloneFlags::CLONE_NEWNET).map_err(at("setns(CLONE_NEWNET)"))?;
        umask(Mode::from_bits_truncate(0o022));
        let lock = processes::open_own(self.lock, false)?;
        let identity = Identity::own(self.space)?;
        let own = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUTS | CloneFlags::CLONE_NEWIPC;
        unshare(own).map_err(at("unshare(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC)"))?;
        sethostname(&self.spec.hostname).map_err(at("sethostname"))?;
        root::build(self.paths, self.spec, self.binary.as_ref())?;
        process::silence().map_err(at("open /dev/null"))?;
        processes::claim(self.record)?;
        identity.write(self.record).map_err(at("write the record"))?;
        Ok(lock)
    }
}

fn answer(writer: &OwnedFd, errno: i32, step: &str) -> i32 {
    let message = [&errno.to_ne_bytes(), step.as_bytes()].concat();
    // Where nobody listens any more there is nobody to stay for, either.
    let _ = writer.try_clone().map(File::from).and_then(|mut writer| writer.write_all(&message));
    1
}

/// Stays until nothing else lives in the sandbox and nobody is about to join it.
fn stay(mut lock: File, record: &File) -> i32 {
    loop {
        if let Some(process) = another() {
            process::wait_end(&process, -1);
            continue;
        }
        // A joiner holds the lock until its process runs.
        let held = match Flock::lock(lock, FlockArg::LockExclusive) {
            Ok(held) => held,
            Err((file, _)) => {
                lock = file;
                continue;
            }
        };
        if another().is_none() {
            processes::note_end(record);
            // Given back by the kernel, as late as can be.
            std::mem::forget(held);
            return 0;
        }
        match held.unlock() {
            Ok(file) => lock = file,
            Err(_) => return 1,
        }
    }
}

/// Some process of the sandbox that is alive. The kernel reaps those that end, as SIGCHLD is ignored; zombies of a
/// parent outside the sandbox do not count.
fn another() -> Option<OwnedFd> {
    let entries = std::fs::read_dir("/proc").ok()?;
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|&pid| pid != 1).filter_map(|pid| process::handle(pid).ok()).find(|process| !process::wait_end(process, 0))
}

/// A quarter of the memory: a full layer must not take the machine along.
const LAYERS: &str = "size=25%,mode=0700";

/// Makes what a sandbox of the node needs in the lab's directory.
///
/// # Errors
/// `Usage::NotUp` when the lab is not there.
pub(super) fn prepare(paths: &Paths, spec: &Spec) -> Result<()> {
    let sandboxes = paths.lab.join("sandbox");
    match directory(&sandboxes, 0o700) {
        Err((_, Errno::ENOENT)) => return Err(Error::Usage(Usage::NotUp(spec.lab.clone()))),
        made => made.map_err(|failure| error(&spec.node, failure))?,
    }
    let (layers, run) = (paths.lab.join("layers"), paths.lab.join("run"));
    if !(is_mount(&layers) && is_mount(&run)) {
        let _lock = processes::lock(&sandboxes.join("lab.lock"), spec)?;
        mount_layers(&layers).and_then(|()| mount_run(&run)).map_err(|failure| error(&spec.node, failure))?;
    }
    node(paths, spec).map_err(|failure| error(&spec.node, failure))
}

fn mount_layers(path: &Path) -> Tried<()> {
    directory(path, 0o700)?;
    if is_mount(path) {
        return Ok(());
    }
    let flags = MsFlags::MS_NODEV;
    mount(Some("nslab"), path, Some("tmpfs"), flags, Some(LAYERS)).map_err(at(format!("mount -t tmpfs {}", path.display())))
}

/// A peer group of its own: what a sandbox mounts in its `/run/netns` appears here, and nowhere else.
fn mount_run(path: &Path) -> Tried<()> {
    directory(path, 0o700)?;
    if is_mount(path) {
        return Ok(());
    }
    process::mount_alone(path).map_err(at(format!("mount {}", path.display())))
}

fn node(paths: &Paths, spec: &Spec) -> Tried<()> {
    let layer = paths.layer(&spec.node);
    directory(&layer, 0o755)?;
    for name in ["upper", "work", "root", "pieces"] {
        directory(&layer.join(name), 0o755)?;
    }
    let temporary = layer.join("tmp");
    directory(&temporary, 0o700)?;
    let open_to_all = std::os::unix::fs::PermissionsExt::from_mode(0o1777);
    fs::set_permissions(&temporary, open_to_all).map_err(at(format!("chmod {}", temporary.display())))?;
    for (path, text) in [(paths.mark(), String::new()), (layer.join("here"), format!("{}/{}", spec.lab, spec.node))] {
        if !path.exists() {
            fs::write(&path, text).map_err(at(format!("write {}", path.display())))?;
        }
    }
    let netns = paths.netns(&spec.node);
    directory(netns.parent().unwrap_or(&netns), 0o755)?;
    directory(&netns, 0o755)?;
    if spec.is_host { refresh(paths, &spec.node) } else { Ok(()) }
}

/// Brings the names of a host's containers in its `/run/netns` up to date, if it had a sandbox before.
///
/// # Errors
/// When a name cannot be written or removed.
pub fn links(paths: &Paths, host: &str) -> Result<()> {
    if paths.netns(host).is_dir() { refresh(paths, host).map_err(|failure| error(host, failure)) } else { Ok(()) }
}

fn refresh(paths: &Paths, host: &str) -> Tried<()> {
    let (directory, pins) = (paths.netns(host), paths.lab.join("netns"));
    let prefix = format!("{host}.");
    for name in names(&pins)?.iter().filter_map(|name| name.strip_prefix(&prefix)) {
        let link = directory.join(name);
        match symlink(pins.join(format!("{prefix}{name}")), &link) {
            // The same as before, or something that the user made under that name: that stays.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            made => made.map_err(at(format!("ln -s {}", link.display())))?,
        }
    }
    for name in names(&directory)? {
        let link = directory.join(&name);
        let gone = fs::read_link(&link).is_ok_and(|pin| pin.starts_with(&pins) && !pin.exists());
        if gone {
            fs::remove_file(&link).map_err(at(format!("rm {}", link.display())))?;
        }
    }
    Ok(())
}

fn names(directory: &Path) -> Tried<Vec<String>> {
    let entries = fs::read_dir(directory).map_err(at(format!("ls {}", directory.display())))?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect())
}

/// Removes the private layer of a node that goes, and the namespaces that were made in its `/run/netns`; its processes
/// must have ended.
///
/// # Errors
/// When a file cannot be removed.
pub fn forget(paths: &Paths, node: &str) -> Result<()> {
    let made = paths.netns(node);
    for name in names(&made).unwrap_or_default() {
        // One on top of the other, as often as it was mounted.
        while umount2(&made.join(&name), MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW).is_ok() {}
    }
    for directory in [paths.layer(node), paths.lab.join("run").join(node)] {
        match fs::remove_dir_all(&directory) {
            Err(fault) if fault.kind() != std::io::ErrorKind::NotFound => {
                return Err(error(node, at(format!("rm -r {}", directory.display()))(fault)));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Gives the private layer of a node that has no process another node's name; one that has no layer needs none.
///
/// # Errors
/// When a directory cannot be renamed.
pub fn rename(paths: &Paths, from: &str, to: &str) -> Result<()> {
    forget(paths, to)?;
    for directory in ["layers", "run"] {
        let (old, new) = (paths.lab.join(directory).join(from), paths.lab.join(directory).join(to));
        match fs::rename(&old, &new) {
            Err(fault) if fault.kind() != std::io::ErrorKind::NotFound => {
                return Err(error(from, at(format!("mv {}", old.display()))(fault)));
            }
            _ => {}
        }
    }
    Ok(())
}
