//! The user behind `sudo`, whose rights count where nslab opens a file that they name.

use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;

use nix::unistd::{Gid, Uid, setfsgid, setfsuid};

/// The user who typed `sudo`.
#[derive(Debug, Clone, Copy)]
pub struct Caller {
    uid: Uid,
    gid: Gid,
}

impl Caller {
    /// Who that is, where root was had by `sudo`.
    pub fn behind_sudo() -> Option<Self> {
        let number = |name| std::env::var(name).ok().and_then(|value| value.parse().ok());
        if !Uid::effective().is_root() {
            return None;
        }
        let uid = Uid::from_raw(number("SUDO_UID")?);
        let gid = Gid::from_raw(number("SUDO_GID")?);
        (!uid.is_root()).then_some(Self { uid, gid })
    }

    /// Their number.
    pub fn user(self) -> u32 {
        self.uid.as_raw()
    }

    /// Opens a file with their rights, which this thread has for that time alone; a new file is theirs.
    ///
    /// # Errors
    /// Those of opening.
    pub fn open(self, opening: impl FnOnce() -> std::io::Result<File>) -> std::io::Result<File> {
        let gid = setfsgid(self.gid);
        let uid = setfsuid(self.uid);
        let file = opening();
        setfsuid(uid);
        setfsgid(gid);
        file
    }

    /// Root's other groups stay with the thread, and a user that this namespace does not know cannot be taken on: what let the
    /// file be opened must be a right of the caller.
    pub fn may_read(self, meta: &Metadata) -> bool {
        let owner = meta.uid() == self.uid.as_raw() && meta.mode() & 0o400 != 0;
        let group = meta.gid() == self.gid.as_raw() && meta.mode() & 0o040 != 0;
        owner || group || meta.mode() & 0o004 != 0
    }
}
