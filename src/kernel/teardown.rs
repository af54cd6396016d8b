//! Namespaces that go: all at once where the whole lab goes, else one by one.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::mount::{MntFlags, umount2};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::apply::node_of;
use super::fault;
use super::space::{self, Pins};
use crate::error::Result;
use crate::plan::{Key, NodeId, Op, Plan};

/// Ends the namespaces that the plan deletes.
pub fn namespaces(plan: &Plan, dels: &[usize], pins: &Pins, tell: &mut dyn FnMut(&Op)) -> Result<()> {
    let going: Vec<&Op> = dels.iter().map(|&place| &plan[place]).filter(|op| matches!(op.key(), Key::Netns(_))).collect();
    for op in going {
        let node = node_of(op.key().ns())?;
        end(pins, node)?;
        tell(op);
    }
    Ok(())
}

/// Ends one namespace: its entry for `ip netns`, its pin, the pin's file.
fn end(pins: &Pins, node: &NodeId) -> Result<()> {
    let fail = |tried: String| move |errno| space::error(node, &tried, errno);
    forget(pins, node).map_err(fail(format!("unlink {}", pins.link(node).display())))?;
    let pin = pins.pin(node);
    // A pin stacked twice needs two umounts; EINVAL says that none is left.
    for _ in 0..16 {
        let step = fail(format!("umount {}", pin.display()));
        if detach(&pin).map_err(step)? == Mounted::No {
            break;
        }
    }
    fault::point().map_err(fail(format!("unlink {}", pin.display())))?;
    match nix::unistd::unlink(&pin) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(errno) => Err(space::error(node, &format!("unlink {}", pin.display()), errno)),
    }
}

/// Removes the node's entry in `/run/netns`, if it is nslab's own.
fn forget(pins: &Pins, node: &NodeId) -> std::result::Result<(), Errno> {
    let link = pins.link(node);
    if std::fs::read_link(&link).ok().as_deref() != Some(pins.pin(node).as_path()) {
        return Ok(());
    }
    fault::point()?;
    match nix::unistd::unlink(&link) {
        Err(Errno::ENOENT) => Ok(()),
        other => other,
    }
}

#[derive(PartialEq, Eq)]
enum Mounted {
    Yes,
    No,
}

fn detach(path: &Path) -> std::result::Result<Mounted, Errno> {
    fault::point()?;
    match umount2(path, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
        Ok(()) => Ok(Mounted::Yes),
        Err(Errno::EINVAL | Errno::ENOENT) => Ok(Mounted::No),
        Err(errno) => Err(errno),
    }
}

/// Detaches a directory of pins with everything under it, then unlinks what is in it and the entries in `/run/netns`.
///
/// Unlinking a pin's file detaches it in every private copy of the mount namespace, too.
///
/// # Errors
/// The path that could not be removed, with the error number.
pub fn all(pins: &Pins, tell: &mut dyn FnMut(&str)) -> std::result::Result<(), (std::path::PathBuf, Errno)> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |errno| (path, errno)
    };
    for name in entries(&pins.index).unwrap_or_default() {
        let link = pins.index.join(&name);
        if std::fs::read_link(&link).is_ok_and(|target| target.starts_with(&pins.directory)) {
            fault::point().map_err(at(&link))?;
            match nix::unistd::unlink(&link) {
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(errno) => return Err((link, errno)),
            }
        }
    }
    for _ in 0..16 {
        if detach(&pins.directory).map_err(at(&pins.directory))? == Mounted::No {
            break;
        }
    }
    let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    let directory: OwnedFd = match open(&pins.directory, flags, Mode::empty()) {
        Ok(directory) => directory,
        Err(Errno::ENOENT) => return Ok(()),
        Err(errno) => return Err((pins.directory.clone(), errno)),
    };
    for name in entries(&pins.directory).map_err(at(&pins.directory))? {
        let pin = pins.directory.join(&name);
        fault::point().map_err(at(&pin))?;
        loop {
            match unlinkat(directory.as_fd(), name.as_str(), UnlinkatFlags::NoRemoveDir) {
                Ok(()) | Err(Errno::ENOENT) => break,
                // Still mounted here by itself, not through the directory.
                Err(Errno::EBUSY) if detach(&pin).map_err(at(&pin))? == Mounted::Yes => {}
                Err(errno) => return Err((pin, errno)),
            }
        }
        tell(&name);
    }
    fault::point().map_err(at(&pins.directory))?;
    nix::unistd::unlinkat(nix::fcntl::AT_FDCWD, &pins.directory, UnlinkatFlags::RemoveDir).map_err(at(&pins.directory))
}

/// The names in a directory.
fn entries(directory: &Path) -> std::result::Result<Vec<String>, Errno> {
    let read = std::fs::read_dir(directory).map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))?;
    Ok(read.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect())
}
