//! The files that a node's processes see, for somebody outside: no path leads out of the node's root.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Error, ErrorKind, Result};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, open, openat, openat2, readlinkat, renameat};
use nix::sys::stat::{Mode, SFlag, UtimensatFlags, fchmod, fstat, fstatat, futimens, mkdirat, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, fchownat, symlinkat, unlinkat};

use super::join::{self, Refusal, Unmet};
use super::spec::{Paths, Spec, at, error};

/// How often a path is followed again that somebody changed meanwhile.
const TRIES: usize = 16;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An ordinary file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A device, a pipe or a socket: never opened.
    Special,
}

/// What there is to tell of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// What it is.
    pub kind: Kind,
    /// Its permissions, without the kind.
    pub mode: u32,
    /// Its owner's number inside.
    pub user: u32,
    /// Its group's number inside.
    pub group: u32,
    /// Bytes.
    pub size: u64,
    /// When it was changed, in seconds since 1970.
    pub modified: i64,
    /// When it was read, in seconds since 1970.
    pub accessed: i64,
}

impl Look {
    /// What an open file is.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn from_file(file: &File) -> Result<Self> {
        look(file)
    }
}

/// What to set of a file; what is none stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attributes {
    /// Permissions.
    pub mode: Option<u32>,
    /// The owner's number inside.
    pub user: Option<u32>,
    /// The group's number inside.
    pub group: Option<u32>,
    /// Read and changed at, in seconds since 1970.
    pub times: Option<(i64, i64)>,
    /// Bytes.
    pub size: Option<u64>,
}

impl Attributes {
    /// Sets them of an open file.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn apply(self, file: &File) -> Result<()> {
        set(file, self)
    }
}

/// The root of a node.
#[derive(Debug)]
pub struct Tree(OwnedFd);

/// Does something with the files of a node, as its processes see them. Its sandbox is made if there is none, and stays
/// meanwhile; nobody else joins it meanwhile, so the work is short. Files that it opened stay open.
///
/// # Errors
/// When the sandbox cannot be joined; `Usage::NotUp` when the node is not there.
pub fn files<T>(paths: &Paths, spec: &Spec, work: impl FnOnce(&Tree) -> T) -> crate::error::Result<T> {
    let mut work = Some(work);
    let done = join::within(paths, spec, |init| {
        let root = join::inside(init, paths, || {
            let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
            open("/", flags, Mode::empty()).map_err(at("open /")).map_err(Refusal::from)
        })?;
        let work = work.take().ok_or_else(|| Refusal::Failed(("join the sandbox".to_owned(), Errno::EIO)))?;
        Ok(work(&Tree(root)))
    });
    done.map_err(|unmet| match unmet {
        Unmet::Failed(error) => error,
        Unmet::Exec(errno) => error(&spec.node, ("join the sandbox".to_owned(), errno)),
        Unmet::Directory(path, errno) => error(&spec.node, (format!("chdir {}", path.display()), errno)),
    })
}

impl Tree {
    /// What is at a path; a link itself, not where it leads.
    pub fn look(&self, path: &Path) -> Result<Look> {
        let handle = self.resolve(path, OFlag::O_PATH | OFlag::O_NOFOLLOW)?;
        look(&handle)
    }

    /// What a path leads to.
    pub fn follow(&self, path: &Path) -> Result<Look> {
        look(&self.resolve(path, OFlag::O_PATH)?)
    }

    /// Opens an ordinary file for reading.
    pub fn read(&self, path: &Path) -> Result<File> {
        let handle = self.resolve(path, OFlag::O_PATH)?;
        ordinary(&handle)?;
        again(&handle, OFlag::O_RDONLY)
    }

    /// Opens an ordinary file or a directory, whose bytes the kernel gives to nobody.
    pub fn open(&self, path: &Path) -> Result<File> {
        let handle = self.resolve(path, OFlag::O_PATH)?;
        if look(&handle)?.kind != Kind::Directory {
            ordinary(&handle)?;
        }
        again(&handle, OFlag::O_RDONLY)
    }

    /// Opens an ordinary file for writing, and makes it where there is none: with these attributes, by default 0644 and
    /// root's. Those of a file that is there change only as far as asked.
    pub fn write(&self, path: &Path, more: OFlag, attributes: Attributes) -> Result<File> {
        let more = more & (OFlag::O_APPEND | OFlag::O_TRUNC | OFlag::O_RDWR | OFlag::O_EXCL);
        let access = if more.contains(OFlag::O_RDWR) { OFlag::O_RDWR } else { OFlag::O_WRONLY };
        match self.resolve(path, OFlag::O_PATH) {
            Ok(_) if more.contains(OFlag::O_EXCL) => Err(Errno::EEXIST.into()),
            Ok(handle) => {
                ordinary(&handle)?;
                let file = again(&handle, access | (more & (OFlag::O_APPEND | OFlag::O_TRUNC)))?;
                set(&file, attributes)?;
                Ok(file)
            }
            Err(fault) if fault.kind() == ErrorKind::NotFound => {
                let (parent, name) = self.parent(path)?;
                let flags =
                    access | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | (more & OFlag::O_APPEND);
                let file = File::from(openat(&parent, name.as_os_str(), flags, Mode::from_bits_truncate(0o600))?);
                set(&file, Attributes { mode: Some(attributes.mode.unwrap_or(0o644)), ..attributes })?;
                Ok(file)
            }
            Err(fault) => Err(fault),
        }
    }

    /// The names in a directory, sorted.
    pub fn list(&self, path: &Path) -> Result<Vec<OsString>> {
        let handle = self.resolve(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NONBLOCK)?;
        let mut names = Vec::new();
        for entry in Dir::from_fd(handle)?.iter() {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name != "." && name != ".." {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// Makes a directory, by default 0755 and root's.
    pub fn make_directory(&self, path: &Path, attributes: Attributes) -> Result<()> {
        let (parent, name) = self.parent(path)?;
        mkdirat(&parent, name.as_os_str(), Mode::from_bits_truncate(0o700))?;
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let made = File::from(openat(&parent, name.as_os_str(), flags, Mode::empty())?);
        set(&made, Attributes { mode: Some(attributes.mode.unwrap_or(0o755)), size: None, ..attributes })
    }

    /// Makes a symbolic link, which may point anywhere.
    pub fn make_link(&self, path: &Path, target: &OsStr, attributes: Attributes) -> Result<()> {
        let (parent, name) = self.parent(path)?;
        symlinkat(target, &parent, name.as_os_str())?;
        let (user, group) = owner(attributes);
        fchownat(&parent, name.as_os_str(), user, group, AtFlags::AT_SYMLINK_NOFOLLOW)?;
        Ok(())
    }

    /// Where a symbolic link points.
    pub fn read_link(&self, path: &Path) -> Result<OsString> {
        let (parent, name) = self.parent(path)?;
        Ok(readlinkat(&parent, name.as_os_str())?)
    }

    /// Where a path leads, without a link in it.
    pub fn real(&self, path: &Path) -> Result<PathBuf> {
        let handle = self.resolve(path, OFlag::O_PATH)?;
        let shown = |handle: &OwnedFd| std::fs::read_link(format!("/proc/self/fd/{}", handle.as_raw_fd()));
        let (root, found) = (shown(&self.0)?, shown(&handle)?);
        Ok(Path::new("/").join(found.strip_prefix(root).unwrap_or(&found)))
    }

    /// Removes a file or an empty directory; a link itself, not where it leads.
    pub fn remove(&self, path: &Path) -> Result<()> {
        let (parent, name) = self.parent(path)?;
        let stat = fstatat(&parent, name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW)?;
        let how = if kind(stat.st_mode) == Kind::Directory { UnlinkatFlags::RemoveDir } else { UnlinkatFlags::NoRemoveDir };
        Ok(unlinkat(&parent, name.as_os_str(), how)?)
    }

    /// Gives a file another name.
    pub fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let ((from, name), (to, new)) = (self.parent(from)?, self.parent(to)?);
        Ok(renameat(&from, name.as_os_str(), &to, new.as_os_str())?)
    }

    /// Sets attributes of what a path leads to; of a link that is its last part only the owner.
    pub fn set(&self, path: &Path, attributes: Attributes) -> Result<()> {
        let handle = self.resolve(path, OFlag::O_PATH)?;
        match look(&handle)?.kind {
            Kind::File if attributes.size.is_some() => set(&again(&handle, OFlag::O_WRONLY)?, attributes),
            Kind::File | Kind::Directory => set(&again(&handle, OFlag::O_RDONLY)?, Attributes { size: None, ..attributes }),
            Kind::Symlink | Kind::Special => Err(Errno::EPERM.into()),
        }
    }

    /// Sets the owner and the times of a link itself.
    pub fn set_link(&self, path: &Path, attributes: Attributes) -> Result<()> {
        let (parent, name) = self.parent(path)?;
        let (user, group) = owner(attributes);
        if user.is_some() || group.is_some() {
            fchownat(&parent, name.as_os_str(), user, group, AtFlags::AT_SYMLINK_NOFOLLOW)?;
        }
        if let Some((accessed, modified)) = attributes.times {
            let (accessed, modified) = (TimeSpec::new(accessed, 0), TimeSpec::new(modified, 0));
            utimensat(&parent, name.as_os_str(), &accessed, &modified, UtimensatFlags::NoFollowSymlink)?;
        }
        Ok(())
    }

    fn resolve(&self, path: &Path, flags: OFlag) -> Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() { Path::new("/") } else { path };
        let resolve = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS;
        let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(resolve);
        for _ in 0..TRIES {
            match openat2(self.0.as_fd(), path, how) {
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                found => return Ok(found?),
            }
        }
        Err(Errno::EAGAIN.into())
    }

    /// The directory that a path's last part is in, and that part: never `..`, never empty.
    fn parent(&self, path: &Path) -> Result<(OwnedFd, OsString)> {
        let Some(Component::Normal(name)) = path.components().next_back() else {
            return Err(Error::from(Errno::EINVAL));
        };
        let directory = path.parent().unwrap_or(Path::new("/"));
        Ok((self.resolve(directory, OFlag::O_PATH | OFlag::O_DIRECTORY)?, name.to_owned()))
    }
}

fn kind(mode: u32) -> Kind {
    match SFlag::from_bits_truncate(mode) & SFlag::S_IFMT {
        SFlag::S_IFREG => Kind::File,
        SFlag::S_IFDIR => Kind::Directory,
        SFlag::S_IFLNK => Kind::Symlink,
        _ => Kind::Special,
    }
}

/// What an open file is.
fn look(file: &impl AsFd) -> Result<Look> {
    let stat = fstat(file)?;
    Ok(Look {
        kind: kind(stat.st_mode),
        mode: stat.st_mode & 0o7777,
        user: stat.st_uid,
        group: stat.st_gid,
        size: u64::try_from(stat.st_size).unwrap_or_default(),
        modified: stat.st_mtime,
        accessed: stat.st_atime,
    })
}

fn ordinary(handle: &OwnedFd) -> Result<()> {
    match look(handle)?.kind {
        Kind::File => Ok(()),
        Kind::Directory => Err(Errno::EISDIR.into()),
        Kind::Symlink => Err(Errno::ELOOP.into()),
        Kind::Special => Err(Errno::EPERM.into()),
    }
}

/// Opens what a handle is of.
fn again(handle: &OwnedFd, flags: OFlag) -> Result<File> {
    let path = format!("/proc/self/fd/{}", handle.as_raw_fd());
    Ok(File::from(open(path.as_str(), flags | OFlag::O_CLOEXEC | OFlag::O_NOCTTY | OFlag::O_NONBLOCK, Mode::empty())?))
}

fn owner(attributes: Attributes) -> (Option<Uid>, Option<Gid>) {
    (attributes.user.map(Uid::from_raw), attributes.group.map(Gid::from_raw))
}

/// The owner first: a change of it takes the set-user-ID bit away.
fn set(file: &File, attributes: Attributes) -> Result<()> {
    let (user, group) = owner(attributes);
    if user.is_some() || group.is_some() {
        fchown(file, user, group)?;
    }
    if let Some(mode) = attributes.mode {
        fchmod(file, Mode::from_bits_truncate(mode & 0o7777))?;
    }
    if let Some(size) = attributes.size {
        file.set_len(size)?;
    }
    if let Some((accessed, modified)) = attributes.times {
        futimens(file, &TimeSpec::new(accessed, 0), &TimeSpec::new(modified, 0))?;
    }
    Ok(())
}
