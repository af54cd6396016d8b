//! Namespaces that go: all at once where the whole lab goes, else one by one.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::mount::{MntFlags, umount2};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::caller::thread;
use super::netlink::REQUESTS;
use super::netns::{self, Pins, Space};
use super::{fault, requests};
use crate::error::Result;
use crate::plan::{Fact, NodeId, Ns, Op, Plan};

/// Ends the namespaces that the plan deletes.
pub fn namespaces(plan: &Plan, dels: &[usize], pins: &Pins, report: &mut dyn FnMut(&Op)) -> Result<()> {
    let going: Vec<&Op> = dels.iter().map(|&place| &plan[place]).filter(|op| matches!(op.fact(), Fact::Netns(_))).collect();
    for op in going {
        // The machine's own namespace is nobody's to end.
        let Ns::Node(node) = op.fact().ns() else { continue };
        end(pins, node)?;
        report(op);
    }
    Ok(())
}

/// Ends one namespace: its entry for `ip netns`, its pin, the pin's file.
fn end(pins: &Pins, node: &NodeId) -> Result<()> {
    let fail = |tried: String| move |errno| netns::error(node, &tried, errno);
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
        Err(errno) => Err(netns::error(node, &format!("unlink {}", pin.display()), errno)),
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
pub fn all(pins: &Pins, report: &mut dyn FnMut(&str)) -> std::result::Result<(), (std::path::PathBuf, Errno)> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |errno| (path, errno)
    };
    let own = format!("{}.", pins.lab);
    for name in entries(&pins.index).unwrap_or_default().into_iter().filter(|name| name.starts_with(&own)) {
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
        report(&name);
    }
    fault::point().map_err(at(&pins.directory))?;
    nix::unistd::unlinkat(nix::fcntl::AT_FDCWD, &pins.directory, UnlinkatFlags::RemoveDir).map_err(at(&pins.directory))
}

/// Deletes the links of those namespaces that are also pinned elsewhere: they outlive the lab, but its cables do not.
///
/// What cannot be entered is left to its holder.
pub fn unplug(pins: &Pins) {
    // Somebody else's mounts may have any name.
    let mounts = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
    for pin in held(&String::from_utf8_lossy(&mounts), &pins.directory) {
        let Some(Ok(name)) = pin.file_name().and_then(|name| name.to_str()).map(|name| name.replace('.', "-").parse()) else {
            continue;
        };
        let _ = thread(|| clear(&pin, &NodeId::Host(name)));
    }
}

/// The pins in a directory whose namespaces are mounted more than once, by the lines of `mountinfo`
/// (`proc_pid_mountinfo(5)`: the namespace is field 4, the mount point field 5).
fn held(mounts: &str, directory: &Path) -> Vec<PathBuf> {
    let mut places: BTreeMap<&str, Vec<&Path>> = BTreeMap::new();
    for line in mounts.lines() {
        let mut fields = line.split(' ').skip(3);
        if let (Some(namespace), Some(point)) = (fields.next().filter(|root| root.starts_with("net:[")), fields.next()) {
            places.entry(namespace).or_default().push(Path::new(point));
        }
    }
    let several = places.into_values().filter(|points| points.len() > 1);
    several.filter_map(|points| points.into_iter().find(|point| point.starts_with(directory)).map(Path::to_owned)).collect()
}

/// Deletes every link of a namespace.
fn clear(pin: &Path, node: &NodeId) -> Result<()> {
    let failed = |errno| netns::error(node, "ip link del", errno);
    let mut space = Space::open(pin, node)?;
    space.learn().map_err(failed)?;
    let links: Vec<u32> = space.indices.values().copied().filter(|&index| index > 1).collect();
    for batch in links.chunks(REQUESTS - 1) {
        for request in batch.iter().map(|&index| requests::doom(index)).chain([requests::del_doomed()]) {
            space.socket.push(&request, 0).map_err(failed)?;
        }
        space.socket.flush().map_err(failed)?;
    }
    Ok(())
}

/// The names in a directory.
fn entries(directory: &Path) -> std::result::Result<Vec<String>, Errno> {
    let read = std::fs::read_dir(directory).map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))?;
    Ok(read.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_held_where_its_namespace_is_mounted_elsewhere_too() {
        let mounts = "\
            90 80 0:4 net:[4026532281] /run/nslab/lab/netns/host-a rw shared:9 - nsfs nsfs rw\n\
            91 80 0:4 net:[4026532282] /run/nslab/lab/netns/host-b rw shared:9 - nsfs nsfs rw\n\
            92 80 0:4 net:[4026532283] /run/netns/mine rw shared:9 - nsfs nsfs rw\n\
            93 80 0:4 net:[4026532281] /run/netns/kept rw shared:9 - nsfs nsfs rw\n\
            94 80 0:5 / /proc rw - proc proc rw\n";
        assert_eq!(held(mounts, Path::new("/run/nslab/lab/netns")), [PathBuf::from("/run/nslab/lab/netns/host-a")]);
        assert!(held("", Path::new("/run")).is_empty());
    }
}
