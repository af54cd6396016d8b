//! The files that a node's processes see: the machine's root under a private writable layer, a `/run` of its own, so that no socket appears in
//! it that a daemon of the machine makes later, and everything else that is of this node alone.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd::{chdir, chroot, pivot_root};

use super::spec::{Clients, PROGRAMS, Paths, Spec, Tried, at, directory, home_of_root};
use crate::kernel::caller::{self, Mounts, under};
use crate::kernel::sys::process::{self, Change};

/// The look-ups of a node end here: asking another node would loop between hosts that route to each other.
const RESOLVER: &str = "nameserver 127.0.0.1\n";
/// Not taken over as they are: made anew, or a file that the node gets its own of.
const OWN: [&str; 8] = ["/proc", "/sys", "/dev", "/run", "/tmp", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf"];

/// What an overlay that nslab has made is called.
const LAYER: &str = "nslab-layer";

const HARMLESS: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV).union(MsFlags::MS_NOEXEC);

/// Gives the calling process, which is alone in its mount namespace, the node's view of the files.
pub(super) fn build(paths: &Paths, spec: &Spec, binary: Option<&OwnedFd>) -> Tried<()> {
    // Before the rest becomes a slave: what is mounted in here must appear outside.
    let netns = copy(&paths.netns(&spec.node))?;
    let slave = MsFlags::MS_REC | MsFlags::MS_SLAVE;
    mount(None::<&str>, "/", None::<&str>, slave, None::<&str>).map_err(at("mount --make-rslave /"))?;
    if spec.real_root {
        real(paths, spec, &netns)?;
    } else {
        layered(paths, spec, &netns, binary)?;
    }
    cover_daemons(paths, spec)?;
    attach(&copy(&paths.layer(&spec.node).join("here"))?, &paths.mark())
}

/// The running nslab, to be shown in a node wherever it lies; to be taken before the caller leaves its mount namespace.
pub(super) fn binary() -> Option<OwnedFd> {
    process::copy_of_mounts(Path::new("/proc/self/exe")).ok()
}

/// The machine's own files, with what must be the node's own on top.
fn real(paths: &Paths, spec: &Spec, netns: &OwnedFd) -> Tried<()> {
    let layer = paths.layer(&spec.node);
    sys(&seen()?, Path::new("/"), copy)?;
    proc(Path::new("/"))?;
    machines_run(netns)?;
    for (name, text) in [("hosts", spec.hosts.as_str()), ("resolv.conf", RESOLVER)] {
        let (own, shown) = (layer.join(format!("real-{name}")), Path::new("/etc").join(name));
        fs::write(&own, text).map_err(at(format!("write {}", own.display())))?;
        if shown.is_file() {
            attach(&copy(&own)?, &shown)?;
        }
    }
    chdir("/").map_err(at("chdir /"))
}

/// The machine's files under a layer that is the node's own; other disks read-only.
fn layered(paths: &Paths, spec: &Spec, netns: &OwnedFd, binary: Option<&OwnedFd>) -> Tried<()> {
    let layer = paths.layer(&spec.node);
    let root = layer.join("root");
    let mounts = seen()?;
    let labs = paths.lab.parent().unwrap_or(&paths.lab);
    // Before the new root is mounted, which is below it.
    let (labs_copy, temporary) = (copy(labs)?, copy(&layer.join("tmp"))?);
    // Seen from inside of a node.
    let in_pieces = mounts.directly_in(Path::new("/")).into_iter().any(|path| mounts.is_called(path, LAYER));
    let whole = || overlay(Path::new("/"), &layer.join("upper"), &layer.join("work"), &root);
    match if in_pieces { Err(Errno::EINVAL) } else { whole() } {
        // A user namespace locks the mounts of the machine, and refuses to look below them.
        Err(Errno::EINVAL) => pieces(&layer, &root)?,
        mounted => mounted.map_err(at("overlay /"))?,
    }
    disks(&mounts, &root)?;
    attach(&copy(Path::new("/dev"))?, &root.join("dev"))?;
    sys(&mounts, &root, read_only)?;
    proc(&root)?;
    fresh_run(&root, netns)?;
    let shown = under(&root, labs);
    fs::create_dir_all(&shown).map_err(at(format!("mkdir {}", shown.display())))?;
    attach(&labs_copy, &shown)?;
    attach(&temporary, &root.join("tmp"))?;
    display(&root)?;
    etc(&layer, &root, spec)?;
    if let Some(binary) = binary {
        programs(&root, spec, binary)?;
    }
    prepare_daemons(&root, spec);
    switch(&root)
}

fn seen() -> Tried<Mounts> {
    Mounts::read().map_err(at("read /proc/self/mountinfo"))
}

fn copy(path: &Path) -> Tried<OwnedFd> {
    process::copy_of_mounts(path).map_err(at(format!("copy mounts of {}", path.display())))
}

fn attach(mounts: &OwnedFd, path: &Path) -> Tried<()> {
    process::attach(mounts, path).map_err(at(format!("attach {}", path.display())))
}

fn read_only(path: &Path) -> Tried<OwnedFd> {
    let mounts = copy(path)?;
    process::change(&mounts, Change::ReadOnly).map_err(at(format!("make read-only {}", path.display())))?;
    Ok(mounts)
}

fn overlay(lower: &Path, upper: &Path, work: &Path, target: &Path) -> Result<(), Errno> {
    let (lower, upper, work) = (lower.display(), upper.display(), work.display());
    // The index would refuse a layer whose last mount is still being taken down.
    let user = if caller::is_in_user_namespace() { ",userxattr" } else { "" };
    let options = format!("lowerdir={lower},upperdir={upper},workdir={work},index=off{user}");
    mount(Some(LAYER), target, Some("overlay"), MsFlags::empty(), Some(options.as_str()))
}

/// A root made of one overlay for each directory of the machine's root; read-only where that cannot be.
fn pieces(layer: &Path, root: &Path) -> Tried<()> {
    attach(&copy(&layer.join("upper"))?, root)?;
    for entry in fs::read_dir("/").map_err(at("ls /"))? {
        let from = entry.map_err(at("ls /"))?.path();
        let Ok(meta) = fs::symlink_metadata(&from) else { continue };
        let (to, name) = (under(root, &from), from.file_name().unwrap_or_default());
        if meta.is_symlink() {
            let target = fs::read_link(&from).map_err(at(format!("readlink {}", from.display())))?;
            exists(symlink(target, &to), &to)?;
        } else if meta.is_file() {
            exists(File::create_new(&to).map(drop), &to)?;
            attach(&read_only(&from)?, &to)?;
        } else if meta.is_dir() {
            directory(&to, meta.mode() & 0o7777)?;
            // What its user may not look into, the home of root among it, is an empty directory of the node's own.
            if !OWN.iter().any(|own| from == Path::new(own)) && fs::read_dir(&from).is_ok() {
                piece(&from, &layer.join("pieces").join(name), meta.mode(), &to)?;
            }
        }
    }
    Ok(())
}

fn piece(from: &Path, layer: &Path, mode: u32, to: &Path) -> Tried<()> {
    let (upper, work) = (layer.join("upper"), layer.join("work"));
    directory(layer, 0o755)?;
    directory(&upper, mode & 0o7777)?;
    directory(&work, 0o755)?;
    overlay(from, &upper, &work, to).or_else(|_| attach(&read_only(from)?, to))
}

fn exists(made: std::io::Result<()>, path: &Path) -> Tried<()> {
    match made {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(at(format!("create {}", path.display()))(error)),
        _ => Ok(()),
    }
}

/// The machine's other disks, which an overlay does not show: read-only. The pieces of a node's root are none.
fn disks(mounts: &Mounts, root: &Path) -> Tried<()> {
    for path in mounts.directly_in(Path::new("/")) {
        let own = OWN.iter().any(|own| path == Path::new(own)) || OWN[..5].iter().any(|own| path.starts_with(own));
        let shown = under(root, path);
        if own || mounts.is_called(path, LAYER) || !shown.exists() {
            continue;
        }
        match read_only(path) {
            // Hidden below another mount, or not to be copied.
            Err((_, Errno::EINVAL | Errno::ENOENT | Errno::EACCES | Errno::ENOTDIR)) => {}
            mounts => attach(&mounts?, &shown)?,
        }
    }
    Ok(())
}

/// The node's own processes.
fn proc(root: &Path) -> Tried<()> {
    mount(Some("proc"), &root.join("proc"), Some("proc"), HARMLESS, None::<&str>).map_err(at("mount -t proc /proc"))
}

/// The links of the node's own network namespace; what is mounted below, cgroups among it, is the machine's.
fn sys(mounts: &Mounts, root: &Path, take: impl Fn(&Path) -> Tried<OwnedFd>) -> Tried<()> {
    let below: Vec<(&Path, OwnedFd)> =
        mounts.directly_in(Path::new("/sys")).into_iter().filter_map(|path| Some((path, take(path).ok()?))).collect();
    if caller::is_in_user_namespace() {
        // One that shows the whole of it must stay beneath, or no other can be mounted, as `ip netns exec` does.
        attach(&copy(Path::new("/sys"))?, &root.join("sys"))?;
    }
    match mount(Some("sysfs"), &root.join("sys"), Some("sysfs"), HARMLESS, None::<&str>) {
        Err(Errno::EPERM) if caller::is_in_user_namespace() => return Ok(()),
        mounted => mounted.map_err(at("mount -t sysfs /sys"))?,
    }
    for (path, mounts) in below {
        let shown = under(root, path);
        if shown.exists() {
            attach(&mounts, &shown)?;
        }
    }
    Ok(())
}

/// The sockets of X, for programs with windows.
fn display(root: &Path) -> Tried<()> {
    let sockets = Path::new("/tmp/.X11-unix");
    if !sockets.is_dir() {
        return Ok(());
    }
    let shown = under(root, sockets);
    directory(&shown, 0o777)?;
    attach(&read_only(sockets)?, &shown)
}

fn etc(layer: &Path, root: &Path, spec: &Spec) -> Tried<()> {
    let name = format!("{}\n", spec.hostname);
    for (file, text) in [("hosts", spec.hosts.as_str()), ("hostname", &name), ("resolv.conf", RESOLVER)] {
        give(layer, root, file, text)?;
    }
    Ok(())
}

/// Where the stock client of LXD would be that a node's `PATH` finds.
const CLIENTS: [&str; 3] = ["usr/local/bin/lxc", "usr/bin/lxc", "bin/lxc"];

/// nslab under its own name, and on a host without the stock client as `lxc`.
fn programs(root: &Path, spec: &Spec, binary: &OwnedFd) -> Tried<()> {
    let (own, usual) = (under(root, Path::new(PROGRAMS)), root.join("usr/local/bin"));
    directory(&own, 0o755)?;
    let nslab = own.join("nslab");
    File::create(&nslab).map_err(at(format!("create {}", nslab.display())))?;
    // Another one may have taken its place on the disk since.
    if attach(binary, &nslab).is_err() && fs::copy("/proc/self/exe", &nslab).is_err() {
        return Ok(());
    }
    // The link of an earlier sandbox of the node is none of the machine's.
    let own_link = |path: &Path| fs::read_link(path).is_ok_and(|target| target.starts_with(PROGRAMS));
    let there = |path: &str| fs::symlink_metadata(root.join(path)).is_ok() && !own_link(&root.join(path));
    let lxc = spec.is_host && !CLIENTS.into_iter().any(there);
    if lxc {
        exists(symlink("nslab", own.join("lxc")), &own.join("lxc"))?;
    }
    for name in std::iter::once("nslab").chain(lxc.then_some("lxc")) {
        // For who has another PATH, as sudo has; a small Debian has no such directory, and a root that takes no link goes without.
        let _ = fs::create_dir_all(&usual).and_then(|()| symlink(Path::new(PROGRAMS).join(name), usual.join(name)));
    }
    Ok(())
}

/// Writes a file of `/etc`, unless the user has changed what nslab wrote there.
pub(super) fn give(layer: &Path, root: &Path, name: &str, text: &str) -> Tried<()> {
    let (given, shown) = (layer.join(name), root.join("etc").join(name));
    let before = fs::read_to_string(&given).ok();
    let now = fs::read_to_string(&shown).ok();
    if before.is_some() && (now != before || before.as_deref() == Some(text)) {
        return Ok(());
    }
    let write = |path: &Path| fs::write(path, text).map_err(at(format!("write {}", path.display())));
    // On the machine it may be a link to a file that is not here.
    match fs::remove_file(&shown) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(at(format!("rm {}", shown.display()))(error));
        }
        _ => write(&shown)?,
    }
    write(&given)
}

/// Makes a directory the root of this mount namespace, and lets go of the old one.
fn switch(root: &Path) -> Tried<()> {
    chdir(root).map_err(at(format!("chdir {}", root.display())))?;
    match pivot_root(".", ".") {
        Ok(()) => umount2(".", MntFlags::MNT_DETACH).map_err(at("umount the old root"))?,
        // The root of an initramfs cannot be put aside, but covered. In a chroot that would cover nothing.
        Err(Errno::EINVAL) if seen()?.has(Path::new("/")) => {
            mount(Some("."), "/", None::<&str>, MsFlags::MS_MOVE, None::<&str>).map_err(at("mount --move /"))?;
            chroot(".").map_err(at("chroot"))?;
        }
        Err(errno) => return Err(("pivot_root".to_owned(), errno)),
    }
    chdir("/").map_err(at("chdir /"))
}

/// Where LXD and Incus have their sockets beside `/run`: their own packages, and the snap.
const CONTAINERS: [&str; 4] = ["/var/lib/lxd", "/var/lib/incus", "/var/snap/lxd/common/lxd", "/var/snap/lxd/common/lxd-user"];
/// Those that the clients of each ask where no variable says otherwise.
const USUAL: [&str; 2] = ["/var/lib/lxd", "/var/lib/incus"];

/// Makes the places in a private root where a host's clients look; a root that takes none goes without.
fn prepare_daemons(root: &Path, spec: &Spec) {
    if spec.clients.is_some() {
        for path in USUAL {
            let _ = fs::create_dir_all(under(root, Path::new(path)));
        }
    }
}

/// Covers what is there and not covered yet; the calling process is in the sandbox.
pub(super) fn cover_daemons(paths: &Paths, spec: &Spec) -> Tried<()> {
    let nothing = paths.layer(&spec.node).join("nothing");
    directory(&nothing, 0o755)?;
    let agent = spec.clients.as_ref().map(|clients| clients.directory.as_path());
    CONTAINERS.iter().try_for_each(|path| over(Path::new(path), agent.unwrap_or(&nothing)))
}

/// Shows one path at another, which stays as it is where it is not there.
fn over(path: &Path, by: &Path) -> Tried<()> {
    let number = |path: &Path| fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()));
    let Some(there) = number(path) else { return Ok(()) };
    if Some(there) == number(by) {
        return Ok(());
    }
    // A link would be replaced, not what it leads to.
    let path = fs::canonicalize(path).map_err(at(format!("readlink {}", path.display())))?;
    attach(&copy(by)?, &path)
}

/// Where root has remotes on the machine, shows a host's own there: clients look there that no variable tells.
pub(super) fn remotes(clients: &Clients) -> Tried<()> {
    let home = home_of_root();
    for (name, directory) in [("lxc", &clients.lxd), ("incus", &clients.incus)] {
        let usual = Path::new(&home).join(".config").join(name);
        if usual.is_dir() && directory.is_dir() {
            over(&usual, directory)?;
        }
    }
    Ok(())
}

const RUN: &str = "/run";
/// What other entries of `/run` have of daemons that run containers, and what each sandbox has of its own.
const LEFT_OUT: [&str; 6] = ["netns", "user", "docker.sock", "podman", "containerd", "incus"];
/// Names in `/run/user/NUMBER` of what programs with windows and sound need: sockets and keys.
const DISPLAYS: [&str; 10] =
    ["wayland-", ".mutter-Xwaylandauth", "xauth_", "gdm", "ICEauthority", "pulse", "pipewire-", "bus", "at-spi", "dconf"];

/// A fresh one below a private root, with the network namespaces of the node.
fn fresh_run(root: &Path, netns: &OwnedFd) -> Tried<()> {
    let path = root.join("run");
    let displays = displays();
    tmpfs(&path)?;
    for (name, mode) in [("netns", 0o755), ("lock", 0o777)] {
        directory(&path.join(name), mode)?;
    }
    attach(netns, &path.join("netns"))?;
    show(&displays, &path)
}

/// In place of the machine's: with everything that is in that just now, but for other daemons' sockets.
fn machines_run(netns: &OwnedFd) -> Tried<()> {
    let run = Path::new(RUN);
    let (mut entries, displays) = (Vec::new(), displays());
    for entry in fs::read_dir(run).map_err(at("ls /run"))?.flatten() {
        let name = entry.file_name();
        if !LEFT_OUT.iter().any(|left_out| name == *left_out) {
            entries.extend(Entry::read(&entry.path(), &PathBuf::from(name)));
        }
    }
    tmpfs(run)?;
    directory(&run.join("netns"), 0o755)?;
    attach(netns, &run.join("netns"))?;
    show(&entries, run)?;
    show(&displays, run)
}

fn tmpfs(path: &Path) -> Tried<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("nslab"), path, Some("tmpfs"), flags, Some("mode=755,size=64m")).map_err(at("mount -t tmpfs /run"))
}

/// Something of the machine's `/run`.
struct Entry {
    /// Where it is, below `/run`.
    path: PathBuf,
    what: What,
}

enum What {
    Link(PathBuf),
    /// An empty directory with the owner and the mode of the machine's.
    Directory(fs::Metadata),
    /// What is there, a directory or not.
    Mounts(OwnedFd, bool),
}

impl Entry {
    /// Nothing where it is gone, or may not be shown.
    fn read(from: &Path, path: &Path) -> Option<Self> {
        let meta = fs::symlink_metadata(from).ok()?;
        let what = if meta.is_symlink() {
            What::Link(fs::read_link(from).ok()?)
        } else {
            What::Mounts(process::copy_of_mounts(from).ok()?, meta.is_dir())
        };
        Some(Self { path: path.to_owned(), what })
    }
}

/// What programs with windows need of users' directories; nobody writes to it.
fn displays() -> Vec<Entry> {
    let user = Path::new("user");
    let mut found = Vec::new();
    let own = |path: &Path| fs::symlink_metadata(path).ok().map(What::Directory);
    found.extend(own(&Path::new(RUN).join(user)).map(|what| Entry { path: user.to_owned(), what }));
    for entry in fs::read_dir(Path::new(RUN).join(user)).into_iter().flatten().flatten() {
        let path = user.join(entry.file_name());
        found.extend(own(&entry.path()).map(|what| Entry { path: path.clone(), what }));
        let inside = fs::read_dir(entry.path()).into_iter().flatten().flatten();
        for entry in inside.filter(|entry| is_display(&entry.file_name())) {
            let shown = Entry::read(&entry.path(), &path.join(entry.file_name()));
            found.extend(shown.filter(|entry| match &entry.what {
                What::Mounts(mounts, _) => process::change(mounts, Change::ReadOnly).is_ok(),
                _ => true,
            }));
        }
    }
    found
}

fn is_display(name: &OsStr) -> bool {
    DISPLAYS.iter().any(|display| name.to_string_lossy().starts_with(display))
}

fn show(entries: &[Entry], run: &Path) -> Tried<()> {
    for Entry { path, what } in entries {
        let shown = run.join(path);
        let failed = || format!("create {}", shown.display());
        match what {
            What::Link(target) => symlink(target, &shown).map_err(at(failed()))?,
            What::Directory(meta) => {
                directory(&shown, meta.mode() & 0o7777)?;
                fs::set_permissions(&shown, Permissions::from_mode(meta.mode() & 0o7777)).map_err(at(failed()))?;
                // Who has no such user in its user namespace keeps it as its own.
                let _ = chown(&shown, Some(meta.uid()), Some(meta.gid()));
            }
            What::Mounts(mounts, is_directory) => {
                if *is_directory {
                    directory(&shown, 0o755)?;
                } else {
                    File::create(&shown).map_err(at(failed()))?;
                }
                // What a user namespace locks stays an empty entry.
                let _ = process::attach(mounts, &shown);
            }
        }
    }
    Ok(())
}
