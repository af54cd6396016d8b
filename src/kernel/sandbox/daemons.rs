//! The machine's own LXD, Incus and Docker, which nothing in a node commands by accident: their sockets are covered, and where a
//! host's clients look for one there is that of its own agent.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::lab::{Layer, directory};
use super::{Clients, Paths, Spec, Tried, at, environment};
use crate::kernel::mounts::under;
use crate::kernel::sys::process;

/// Where LXD and Incus have their sockets: their own packages, and the snap.
const CONTAINERS: [&str; 4] = ["/var/lib/lxd", "/var/snap/lxd/common/lxd", "/var/lib/incus", "/run/incus"];
/// The first of [`CONTAINERS`] that the clients of each ask where no variable says otherwise.
const USUAL: [&str; 2] = ["/var/lib/lxd", "/var/lib/incus"];
/// The same of others that run containers.
const OTHERS: [&str; 3] = ["/run/podman", "/run/containerd", "/var/snap/lxd/common/lxd-user"];
/// Sockets with no directory of their own.
const SOCKETS: [&str; 2] = ["/run/docker.sock", "/var/run/docker.sock"];
/// What a user's own daemons have in `/run/user/NUMBER`.
const USERS: [&str; 2] = ["podman", "containerd"];
const USERS_SOCKETS: [&str; 1] = ["docker.sock"];

/// Makes the places in a private root where a host's clients look; a root that takes none goes without.
pub(super) fn prepare(root: &Path, spec: &Spec) {
    if spec.clients.is_some() {
        for path in USUAL {
            let _ = fs::create_dir_all(under(root, Path::new(path)));
        }
    }
}

/// Covers what is there and not covered yet; the calling process is in the sandbox.
pub(super) fn cover(paths: &Paths, spec: &Spec) -> Tried<()> {
    let nothing = Layer::of(paths, &spec.node).join("nothing");
    directory(&nothing, 0o755)?;
    let agent = spec.clients.as_ref().map(|clients| clients.directory.as_path());
    let containers = CONTAINERS.iter().map(|path| (PathBuf::from(path), agent.unwrap_or(&nothing)));
    let others = OTHERS.iter().map(|path| (PathBuf::from(path), nothing.as_path()));
    let null = Path::new("/dev/null");
    let sockets = SOCKETS.iter().map(|path| (PathBuf::from(path), null));
    let users: Vec<PathBuf> = fs::read_dir("/run/user").into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    let own = users.iter().flat_map(|user| {
        let directories = USERS.iter().map(|name| (user.join(name), nothing.as_path()));
        directories.chain(USERS_SOCKETS.iter().map(|name| (user.join(name), null)))
    });
    for (path, by) in containers.chain(others).chain(sockets).chain(own) {
        over(&path, by)?;
    }
    Ok(())
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
    let cover = process::copy_of_mounts(by).map_err(at(format!("copy mounts of {}", by.display())))?;
    process::attach(&cover, &path).map_err(at(format!("attach {}", path.display())))
}

/// Shows a host's own remotes where its clients look that no variable tells; those that root has on the machine are not the host's.
pub(super) fn remotes(clients: &Clients) -> Tried<()> {
    let home = environment::home();
    for (name, directory) in [("lxc", &clients.lxd), ("incus", &clients.incus)] {
        let usual = Path::new(&home).join(".config").join(name);
        if fs::create_dir_all(&usual).is_ok() && directory.is_dir() {
            over(&usual, directory)?;
        }
    }
    Ok(())
}
