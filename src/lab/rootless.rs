//! Inside `unshare -Urnm` the machine's `/run` belongs to a root that is not ours: a `/run` of the caller's own mount
//! namespace takes its place, with everything of the old one still in it.

use std::fs;
use std::os::fd::AsRawFd;
use std::path::Path;

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::{errno, system};
use crate::error::{Error, Limit, Result};
use crate::kernel::{fault, userns};

/// Marks a `/run` that nslab put there.
const MARK: &str = "/run/.nslab-run";

/// Puts a `/run` of the caller's own in place where the machine's cannot be written.
pub fn prepare() -> Result<()> {
    if !userns::is_inside() || writable() {
        return Ok(());
    }
    let at = Path::new("/run");
    let fail = |errno| match errno {
        Errno::EPERM | Errno::EACCES => Error::Machine(Limit::MountNamespace),
        errno => system("mount -t tmpfs", at, errno),
    };
    let old = fs::File::open(at).map_err(|error| fail(errno(&error)))?;
    fault::point().map_err(fail)?;
    mount(Some("nslab-run"), at, Some("tmpfs"), MsFlags::MS_NOSUID, Some("mode=0755")).map_err(fail)?;
    let shown = show(&old);
    if shown.is_err() {
        let _ = umount2(at, MntFlags::MNT_DETACH);
    }
    shown.map_err(fail)
}

/// `access(2)` would ask about the real user; only trying tells.
fn writable() -> bool {
    let probe = format!("/run/.nslab-probe-{}", std::process::id());
    fs::DirBuilder::new().create(&probe).is_ok() && fs::remove_dir(&probe).is_ok()
}

/// Shows what was in the old `/run` in the new one.
fn show(old: &fs::File) -> std::result::Result<(), Errno> {
    fs::write(MARK, "").map_err(|error| errno(&error))?;
    let below = format!("/proc/self/fd/{}", old.as_raw_fd());
    for entry in fs::read_dir(&below).map_err(|error| errno(&error))?.flatten() {
        let (from, to) = (entry.path(), Path::new("/run").join(entry.file_name()));
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_symlink() {
            if let Ok(target) = fs::read_link(&from) {
                let _ = std::os::unix::fs::symlink(target, &to);
            }
            continue;
        }
        let made = if kind.is_dir() { fs::create_dir(&to) } else { fs::write(&to, "") };
        if made.is_ok() {
            // What the old root hides from us stays hidden: an entry that cannot be bound stays an empty one.
            let _ = mount(Some(&from), &to, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>);
        }
    }
    Ok(())
}

/// Takes that `/run` away again, when no lab is left.
pub fn restore() -> Result<()> {
    if !Path::new(MARK).exists() {
        return Ok(());
    }
    let at = Path::new("/run");
    fault::point().map_err(|errno| system("umount", at, errno))?;
    umount2(at, MntFlags::MNT_DETACH).map_err(|errno| system("umount", at, errno))
}
