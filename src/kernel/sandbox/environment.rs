//! The environment of a node's processes: built, not inherited; with it the caller's X authority.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use super::spec::{Clients, Order, Paths, Run, Spec};

/// What passes through: the terminal, the language, the display.
const PASSED: [&str; 7] = ["TERM", "LANG", "LANGUAGE", "COLORTERM", "DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY"];
/// Where a private root has nslab.
pub(super) const PROGRAMS: &str = "/run/bin";
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Shows the node at every prompt, whatever the user's own files set.
const BASH: &str = "[ -f /etc/bash.bashrc ] && . /etc/bash.bashrc
[ -f ~/.bashrc ] && . ~/.bashrc
PS1='\\u@\\h:\\w\\$ '
";

/// The environment of a command: that of a login of root, with the terminal, the language and the display of the caller.
pub(super) fn of(paths: &Paths, spec: &Spec, run: &Run) -> Vec<(OsString, OsString)> {
    let (home, shell) = root_user();
    let pair = |name: &str, value: &OsStr| (OsString::from(name), value.to_owned());
    let mut built = vec![
        pair("PATH", OsStr::new(&path(paths, spec))),
        pair("HOME", OsStr::new(&home)),
        pair("USER", OsStr::new("root")),
        pair("LOGNAME", OsStr::new("root")),
        pair("SHELL", OsStr::new(&shell)),
        pair("HOSTNAME", OsStr::new(&spec.hostname)),
        pair("NSLAB_LAB", OsStr::new(&spec.lab)),
        pair("NSLAB_NODE", OsStr::new(&spec.node)),
        // The X server does not see the shared memory of another IPC namespace; Qt asks this before it tries.
        pair("QT_X11_NO_MITSHM", OsStr::new("1")),
    ];
    let passes = |name: &OsStr| name.to_str().is_some_and(|name| PASSED.contains(&name) || name.starts_with("LC_"));
    built.extend(std::env::vars_os().filter(|(name, _)| passes(name)));
    built.extend(authority(paths).map(|path| (OsString::from("XAUTHORITY"), path.into_os_string())));
    built.extend(spec.clients.iter().flat_map(Clients::variables));
    built.extend(run.env.iter().map(|(name, value)| pair(name, OsStr::new(value))));
    built
}

/// Where commands are looked for: nslab is there, too, and on a host without the stock client nslab as `lxc`.
fn path(paths: &Paths, spec: &Spec) -> String {
    if !spec.real_root {
        return format!("{PROGRAMS}:{PATH}");
    }
    // The machine's files stay as they are; what it has itself counts more.
    let own = programs(paths);
    let host = if spec.is_host { format!(":{}", own.join("host").display()) } else { String::new() };
    format!("{PATH}:{}{host}", own.display())
}

fn programs(paths: &Paths) -> PathBuf {
    paths.lab.join("sandbox").join("bin")
}

/// Makes what [`path`] names for the machine's own files.
pub(super) fn link_programs(paths: &Paths) -> std::io::Result<()> {
    let (own, binary) = (programs(paths), std::env::current_exe()?);
    fs::create_dir_all(own.join("host"))?;
    for link in [own.join("nslab"), own.join("host").join("lxc")] {
        if fs::read_link(&link).is_ok_and(|before| before == binary) {
            continue;
        }
        let new = link.with_extension(std::process::id().to_string());
        symlink(&binary, &new).and_then(|()| fs::rename(&new, &link))?;
    }
    Ok(())
}

/// The environment of a command that comes from elsewhere, with the defaults of LXD; what the order says counts more.
pub(super) fn of_order(spec: &Spec, order: &Order) -> Vec<(OsString, OsString)> {
    let pair = |name: &str, value: &str| (OsString::from(name), OsString::from(value));
    let mut built = vec![
        pair("PATH", &format!("{PATH}:{PROGRAMS}")),
        pair("LANG", "C.UTF-8"),
        pair("HOSTNAME", &spec.hostname),
        pair("NSLAB_LAB", &spec.lab),
        pair("NSLAB_NODE", &spec.node),
    ];
    if order.user == 0 {
        built.extend([pair("HOME", "/root"), pair("USER", "root")]);
    }
    built.extend(order.env.iter().map(|(name, value)| pair(name, value)));
    built
}

/// The home of user 0.
pub(super) fn home() -> String {
    root_user().0
}

/// Home and shell of user 0, from the file itself: a static program cannot ask the system's name service.
fn root_user() -> (String, String) {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let root = users.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|user| user.get(2) == Some(&"0"));
    let field = |at: usize, otherwise: &str| {
        let text = root.as_ref().and_then(|user| user.get(at)).filter(|text| !text.is_empty());
        (*text.unwrap_or(&otherwise)).to_owned()
    };
    (field(5, "/root"), field(6, "/bin/sh"))
}

/// An interactive shell whose prompt shows the node: the caller's where it is bash, zsh or sh, else bash, else sh.
pub fn shell(paths: &Paths) -> Run {
    let wanted = std::env::var_os("SHELL").map(PathBuf::from);
    let known = |shell: &PathBuf| {
        let name = shell.file_name().and_then(OsStr::to_str).unwrap_or_default();
        shell.is_absolute() && ["bash", "zsh", "sh", "dash"].contains(&name) && shell.is_file()
    };
    let shell = wanted.into_iter().chain(["/bin/bash", "/usr/bin/bash"].map(PathBuf::from)).find(known);
    let shell = shell.unwrap_or_else(|| PathBuf::from("/bin/sh"));
    let mut argv = vec![shell.clone().into_os_string()];
    let mut env = Vec::new();
    match shell.file_name().and_then(OsStr::to_str) {
        Some("bash") => argv.extend([OsString::from("--rcfile"), rcfile(paths).into_os_string(), OsString::from("-i")]),
        Some("zsh") => env.push(("PROMPT".to_owned(), "%n@%m:%~%# ".to_owned())),
        _ => env.push(("PS1".to_owned(), "${USER}@${HOSTNAME}:${PWD}# ".to_owned())),
    }
    Run { argv, env, interactive: true, ..Run::default() }
}

/// Where bash finds [`BASH`]; the same path inside and outside.
pub(super) fn rcfile(paths: &Paths) -> PathBuf {
    paths.lab.join("layers").join("bashrc")
}

/// Writes what shells read first, once in a lab.
pub(super) fn write_rcfile(path: &Path) -> std::io::Result<()> {
    if path.exists() { Ok(()) } else { fs::write(path, BASH) }
}

/// `FamilyWild` of `X11/Xauth.h`: whatever the host is called.
const ANY_HOST: [u8; 2] = [0xff, 0xff];

/// Writes the caller's X authority for use in the nodes of a lab; none where there is none to be read.
///
/// X programs look for the entry of their own hostname, and that of a node is in nobody's file.
fn authority(paths: &Paths) -> Option<PathBuf> {
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
