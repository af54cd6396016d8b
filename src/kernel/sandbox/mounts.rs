//! What is mounted in the calling process's mount namespace.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::{Tried, at};

/// One line of `mountinfo`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    id: u64,
    parent: u64,
    /// Where it is mounted.
    pub(super) path: PathBuf,
}

/// Every mount, in the kernel's order.
#[derive(Debug)]
pub(super) struct Mounts(Vec<Mount>);

impl Mounts {
    pub(super) fn read() -> Tried<Self> {
        let text = std::fs::read("/proc/self/mountinfo").map_err(at("read /proc/self/mountinfo"))?;
        Ok(Self::parse(&text))
    }

    fn parse(text: &[u8]) -> Self {
        let mount = |line: &[u8]| {
            let mut fields = line.split(|&byte| byte == b' ');
            let mut number = || std::str::from_utf8(fields.next()?).ok()?.parse().ok();
            let (id, parent) = (number()?, number()?);
            Some(Mount { id, parent, path: unescape(fields.nth(2)?) })
        };
        Self(text.split(|&byte| byte == b'\n').filter_map(mount).collect())
    }

    /// Whether something is mounted there, as far as this process can see.
    pub(super) fn has(&self, path: &Path) -> bool {
        self.0.iter().any(|mount| mount.path == path)
    }

    /// What is mounted directly in the file system at a path, where that is a mount; each path once.
    pub(super) fn directly_in(&self, path: &Path) -> Vec<&Path> {
        let Some(top) = self.0.iter().rev().find(|mount| mount.path == path) else { return Vec::new() };
        let mut found: Vec<&Path> = Vec::new();
        for mount in self.0.iter().filter(|mount| mount.parent == top.id && mount.path != path) {
            if !found.contains(&mount.path.as_path()) {
                found.push(&mount.path);
            }
        }
        found
    }
}

/// `mountinfo` writes blanks and backslashes as three octal digits.
fn unescape(field: &[u8]) -> PathBuf {
    let mut path = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        let octal = after.get(..3).filter(|_| byte == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(escaped) = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            path.push(escaped);
            rest = &after[3..];
        } else {
            path.push(byte);
            rest = after;
        }
    }
    PathBuf::from(OsString::from_vec(path))
}

/// A path of the machine, under another root.
pub(super) fn under(root: &Path, path: &Path) -> PathBuf {
    let bytes = path.as_os_str().as_bytes();
    let start = bytes.iter().take_while(|&&byte| byte == b'/').count();
    root.join(std::ffi::OsStr::from_bytes(&bytes[start..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_mounts_directly_in_the_root_are_found_and_their_names_are_read() {
        let text = b"1 0 8:1 / / rw - ext4 /dev/sda rw\n2 1 8:2 / /home rw - ext4 x rw\n3 2 8:3 / /home/a rw - ext4 x rw\n\
                     4 1 8:4 / /mnt/my\\040disk rw - ext4 x rw\n5 1 8:5 / /mnt/my\\040disk rw - ext4 x rw\n";
        let mounts = Mounts::parse(text);
        assert_eq!(mounts.directly_in(Path::new("/")), [Path::new("/home"), Path::new("/mnt/my disk")]);
        assert_eq!(under(Path::new("/x"), Path::new("/home")), Path::new("/x/home"));
    }
}
