//! The key to the caller's X display, in a form that counts under another hostname.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::Paths;

/// `FamilyWild` of `X11/Xauth.h`: whatever the host is called.
const ANY_HOST: [u8; 2] = [0xff, 0xff];

/// Writes the caller's X authority for use in the nodes of a lab; none where there is none to be read.
///
/// X programs look for the entry of their own hostname, and that of a node is in nobody's file.
pub(super) fn authority(paths: &Paths) -> Option<PathBuf> {
    std::env::var_os("DISPLAY").filter(|display| !display.is_empty())?;
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".Xauthority"));
    let from = std::env::var_os("XAUTHORITY").map(PathBuf::from).or_else(home)?;
    let text = for_any_host(&fs::read(from).ok()?)?;
    let path = paths.lab.join("layers").join("xauthority");
    if fs::read(&path).is_ok_and(|before| before == text) {
        return Some(path);
    }
    let draft = paths.lab.join("layers").join(format!("xauthority.{}", std::process::id()));
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft).ok()?;
    file.write_all(&text).and_then(|()| fs::rename(&draft, &path)).ok()?;
    Some(path)
}

/// The same entries, each for any host; none if this is no X authority file.
fn for_any_host(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    while !rest.is_empty() {
        // Family; then address, number, name and data, each with its length before it.
        rest = rest.get(2..)?;
        text.extend(ANY_HOST);
        for _ in 0..4 {
            let (length, _) = rest.split_first_chunk::<2>()?;
            let end = 2 + usize::from(u16::from_be_bytes(*length));
            text.extend(rest.get(..end)?);
            rest = rest.get(end..)?;
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn entry(family: u16) -> Vec<u8> {
        let mut entry = family.to_be_bytes().to_vec();
        for part in ["laptop", "0", "MIT-MAGIC-COOKIE-1", "secret"] {
            entry.extend(u16::try_from(part.len()).unwrap().to_be_bytes());
            entry.extend(part.as_bytes());
        }
        entry
    }

    #[test]
    fn every_entry_counts_for_any_host() {
        let file = [entry(256), entry(0)].concat();
        assert_eq!(for_any_host(&file).unwrap(), [entry(0xffff), entry(0xffff)].concat());
        assert_eq!(for_any_host(&file[..file.len() - 1]), None);
        assert_eq!(for_any_host(b""), Some(Vec::new()));
    }
}
