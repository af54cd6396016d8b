//! What the sandboxes of one lab share: the file system of the private layers, and the directories that the nodes see
//! as `/run/netns`.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::spec::{Paths, Spec, Tried, at, error};
use super::{record, scan};
use crate::error::{Error, Result, Usage};
use crate::kernel::netns::is_mount;
use crate::kernel::sys::process;

/// A quarter of the memory: a full layer must not take the machine along.
const LAYERS: &str = "size=25%,mode=0700";

/// The private files of a node.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    directory: PathBuf,
}

impl Layer {
    pub(super) fn of(paths: &Paths, node: &str) -> Self {
        Self { directory: paths.lab.join("layers").join(node) }
    }

    pub(super) fn join(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

/// The pin of a node's network namespace.
pub(super) fn pin(paths: &Paths, node: &str) -> PathBuf {
    paths.lab.join("netns").join(node)
}

/// The directory that a node sees as `/run/netns`.
pub(super) fn netns(paths: &Paths, node: &str) -> PathBuf {
    paths.lab.join("run").join(node).join("netns")
}

/// Makes a directory if it is not there.
pub(super) fn directory(path: &Path, mode: u32) -> Tried<()> {
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(at(format!("mkdir {}", path.display()))(error)),
        _ => Ok(()),
    }
}

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
        let _lock = record::lock(&sandboxes.join("lab.lock"), spec)?;
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
    let layer = Layer::of(paths, &spec.node);
    directory(&layer.directory, 0o755)?;
    for name in ["upper", "work", "root", "pieces"] {
        directory(&layer.join(name), 0o755)?;
    }
    let temporary = layer.join("tmp");
    directory(&temporary, 0o700)?;
    let open_to_all = std::os::unix::fs::PermissionsExt::from_mode(0o1777);
    fs::set_permissions(&temporary, open_to_all).map_err(at(format!("chmod {}", temporary.display())))?;
    for (path, text) in [(scan::mark(&paths.lab), String::new()), (layer.join("here"), format!("{}/{}", spec.lab, spec.node))] {
        if !path.exists() {
            fs::write(&path, text).map_err(at(format!("write {}", path.display())))?;
        }
    }
    let netns = netns(paths, &spec.node);
    directory(netns.parent().unwrap_or(&netns), 0o755)?;
    directory(&netns, 0o755)?;
    if spec.is_host { refresh(paths, &spec.node) } else { Ok(()) }
}

/// Brings the names of a host's containers in its `/run/netns` up to date, if it had a sandbox before.
///
/// # Errors
/// When a name cannot be written or removed.
pub fn links(paths: &Paths, host: &str) -> Result<()> {
    if netns(paths, host).is_dir() { refresh(paths, host).map_err(|failure| error(host, failure)) } else { Ok(()) }
}

fn refresh(paths: &Paths, host: &str) -> Tried<()> {
    let (directory, pins) = (netns(paths, host), paths.lab.join("netns"));
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
    let made = netns(paths, node);
    for name in names(&made).unwrap_or_default() {
        // One on top of the other, as often as it was mounted.
        while umount2(&made.join(&name), MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW).is_ok() {}
    }
    for directory in [Layer::of(paths, node).directory, paths.lab.join("run").join(node)] {
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
