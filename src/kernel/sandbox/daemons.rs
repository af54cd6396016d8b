//! The machine's own LXD, Incus and Docker, which nothing in a node commands by accident: their sockets are covered, and where a
//! host's clients look for one there is that of its own agent.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::lab::{Layer, directory};
use super::{Clients, Paths, Spec, Tried, at, environment};
use crate::kernel::mounts::under;
use crate::kernel::sys::process;

/// Where LXD and Incus have their sockets beside `/run`: their own packages, and the snap.
const CONTAINERS: [&str; 4] = ["/var/lib/lxd", "/var/lib/incus", "/var/snap/lxd/common/lxd", "/var/snap/lxd/common/lxd-user"];
/// Those that the clients of each ask where no variable says otherwise.
const USUAL: [&str; 2] = ["/var/lib/lxd", "/var/lib/incus"];

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
    let cover = process::copy_of_mounts(by).map_err(at(format!("copy mounts of {}", by.display())))?;
    process::attach(&cover, &path).map_err(at(format!("attach {}", path.display())))
}

/// Where root has remotes on the machine, shows a host's own there: clients look there that no variable tells.
pub(super) fn remotes(clients: &Clients) -> Tried<()> {
    let home = environment::home();
    for (name, directory) in [("lxc", &clients.lxd), ("incus", &clients.incus)] {
        let usual = Path::new(&home).join(".config").join(name);
        if usual.is_dir() && directory.is_dir() {
            over(&usual, directory)?;
        }
    }
    Ok(())
}
