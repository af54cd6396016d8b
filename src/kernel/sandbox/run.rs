//! The `/run` of a sandbox: its own, so that no socket appears in it that a daemon of the machine makes later.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};

use super::lab::directory;
use super::spec::{Tried, at};
use crate::kernel::sys::process::{self, Change};

const RUN: &str = "/run";
/// What other entries of `/run` have of daemons that run containers, and what each sandbox has of its own.
const LEFT_OUT: [&str; 6] = ["netns", "user", "docker.sock", "podman", "containerd", "incus"];
/// Names in `/run/user/NUMBER` of what programs with windows and sound need: sockets and keys.
const DISPLAYS: [&str; 10] =
    ["wayland-", ".mutter-Xwaylandauth", "xauth_", "gdm", "ICEauthority", "pulse", "pipewire-", "bus", "at-spi", "dconf"];

/// A fresh one below a private root, with the network namespaces of the node.
pub(super) fn fresh(root: &Path, netns: &OwnedFd) -> Tried<()> {
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
pub(super) fn machines(netns: &OwnedFd) -> Tried<()> {
    let run = Path::new(RUN);
    let (mut entries, displays) = (Vec::new(), displays());
    for entry in fs::read_dir(run).map_err(at("ls /run"))?.flatten() {
        let name = entry.file_name();
        if !LEFT_OUT.iter().any(|left_out| name == *left_out) {
            entries.extend(Entry::of(&entry.path(), &PathBuf::from(name)));
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

fn attach(mounts: &OwnedFd, path: &Path) -> Tried<()> {
    process::attach(mounts, path).map_err(at(format!("attach {}", path.display())))
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
    fn of(from: &Path, path: &Path) -> Option<Self> {
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
            let shown = Entry::of(&entry.path(), &path.join(entry.file_name()));
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
