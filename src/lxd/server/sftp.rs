//! Where the files of an instance are, and SFTP version 3 for them, as the clients of Incus want it:
//! `GET /1.0/instances/NAME/sftp`.

use std::collections::HashMap;
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use russh_sftp::protocol::{Attrs, Data, File as Entry, FileAttributes, Handle, Name, OpenFlags, Status, StatusCode};
use russh_sftp::server::{Handler, StatusReply};
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};

use super::answer::error_text;
use crate::kernel::sandbox::{Attributes, Kind, Look, Paths, Spec, Tree, files};

/// Bytes on their way between the connection and the protocol.
const UNDER_WAY: usize = 64 << 10;
/// Bytes of one answer to a read.
const LONGEST: u32 = 128 << 10;
/// Files that one client has open at a time.
const OPEN: usize = 64;
/// Names in one answer.
const NAMES: usize = 128;

/// Where the files are: an instance and its sandbox.
#[derive(Debug, Clone)]
pub struct Place {
    /// Of the lab.
    pub paths: Paths,
    /// Of the instance.
    pub spec: Spec,
}

impl Place {
    /// Does something with the files, on a thread that may block.
    pub(super) async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Tree) -> std::io::Result<T> + Send + 'static,
    ) -> std::io::Result<T> {
        let Self { paths, spec } = self.clone();
        let done = tokio::task::spawn_blocking(move || files(&paths, &spec, work));
        done.await.map_err(std::io::Error::other)?.map_err(|error| std::io::Error::other(error_text(&error)))?
    }
}

/// Serves the files of an instance over a connection until the client closes it.
pub async fn serve(place: Place, mut wire: impl AsyncRead + AsyncWrite + Unpin + Send) {
    // The protocol sees the end of the connection alone, never its errors: it would go on after them.
    let (mut client, server) = tokio::io::duplex(UNDER_WAY);
    russh_sftp::server::run(server, Session { place, opened: HashMap::new(), last: 0 }).await;
    let _ = copy_bidirectional(&mut wire, &mut client).await;
}

enum Opened {
    File(File),
    Directory(Vec<Entry>),
}

struct Session {
    place: Place,
    opened: HashMap<String, Opened>,
    last: u64,
}

struct Refusal(StatusCode, Option<&'static str>);

type Outcome<T> = Result<T, Refusal>;

const NO_HANDLE: Refusal = Refusal(StatusCode::Failure, Some("No such handle"));

impl From<Refusal> for StatusReply {
    fn from(Refusal(code, text): Refusal) -> Self {
        let reply = Self::new(code);
        if let Some(text) = text { reply.with_message(text) } else { reply }
    }
}

impl From<std::io::Error> for Refusal {
    fn from(fault: std::io::Error) -> Self {
        let code = match fault.kind() {
            ErrorKind::NotFound => StatusCode::NoSuchFile,
            ErrorKind::PermissionDenied => StatusCode::PermissionDenied,
            _ => StatusCode::Failure,
        };
        Self(code, fault.raw_os_error().map(|number| Errno::from_raw(number).desc()))
    }
}

fn done(id: u32) -> Status {
    Status { id, status_code: StatusCode::Ok, error_message: "Ok".to_owned(), language_tag: "en-US".to_owned() }
}

fn file_attributes(look: Look) -> FileAttributes {
    let mut attributes = FileAttributes { size: Some(look.size), ..FileAttributes::default() };
    let kind = match look.kind {
        Kind::File => libc::S_IFREG,
        Kind::Directory => libc::S_IFDIR,
        Kind::Symlink => libc::S_IFLNK,
        Kind::Special => libc::S_IFCHR,
    };
    attributes.permissions = Some(kind | look.mode);
    (attributes.uid, attributes.gid) = (Some(look.user), Some(look.group));
    attributes.mtime = Some(u32::try_from(look.modified).unwrap_or_default());
    attributes.atime = Some(u32::try_from(look.accessed).unwrap_or_default());
    attributes
}

fn asked(attributes: &FileAttributes) -> Attributes {
    let number = |number: Option<u32>| number.filter(|number| *number != u32::MAX);
    Attributes {
        mode: attributes.permissions.map(|mode| mode & 0o7777),
        user: number(attributes.uid),
        group: number(attributes.gid),
        times: attributes.atime.zip(attributes.mtime).map(|(read, changed)| (i64::from(read), i64::from(changed))),
        size: attributes.size,
    }
}

impl Session {
    fn keep(&mut self, id: u32, opened: Opened) -> Outcome<Handle> {
        if self.opened.len() >= OPEN {
            return Err(Refusal(StatusCode::Failure, Some("Too many open files")));
        }
        self.last += 1;
        let handle = self.last.to_string();
        self.opened.insert(handle.clone(), opened);
        Ok(Handle { id, handle })
    }

    /// Does something with the files that hands nothing back.
    async fn done(&self, id: u32, work: impl FnOnce(&Tree) -> std::io::Result<()> + Send + 'static) -> Outcome<Status> {
        self.place.work(work).await?;
        Ok(done(id))
    }

    fn file(&self, handle: &str) -> Outcome<&File> {
        match self.opened.get(handle) {
            Some(Opened::File(file)) => Ok(file),
            _ => Err(NO_HANDLE),
        }
    }
}

/// Where a path of the protocol begins: paths without a root are the root's.
fn path(text: &str) -> PathBuf {
    PathBuf::from("/").join(text)
}

impl Handler for Session {
    type Error = Refusal;

    fn unimplemented(&self) -> Refusal {
        Refusal(StatusCode::OpUnsupported, None)
    }

    async fn open(&mut self, id: u32, filename: String, pflags: OpenFlags, attrs: FileAttributes) -> Outcome<Handle> {
        let writes = pflags.intersects(OpenFlags::WRITE | OpenFlags::APPEND);
        let attributes = Attributes { size: None, times: None, ..asked(&attrs) };
        let opened = self.place.work(move |tree| {
            let path = path(&filename);
            if !writes {
                // Incus's client opens whatever it wants to look at.
                return tree.open(&path);
            }
            if !pflags.contains(OpenFlags::CREATE) {
                tree.follow(&path)?;
            }
            let pairs = [
                (OpenFlags::READ, OFlag::O_RDWR),
                (OpenFlags::APPEND, OFlag::O_APPEND),
                (OpenFlags::TRUNCATE, OFlag::O_TRUNC),
                (OpenFlags::EXCLUDE, OFlag::O_EXCL),
            ];
            let flags =
                pairs.into_iter().filter(|(asked, _)| pflags.contains(*asked)).fold(OFlag::empty(), |all, (_, flag)| all | flag);
            tree.write(&path, flags, attributes)
        });
        let file = opened.await?;
        self.keep(id, Opened::File(file))
    }

    async fn close(&mut self, id: u32, handle: String) -> Outcome<Status> {
        self.opened.remove(&handle).map(|_| done(id)).ok_or(NO_HANDLE)
    }

    async fn read(&mut self, id: u32, handle: String, offset: u64, len: u32) -> Outcome<Data> {
        let mut data = vec![0; usize::try_from(len.min(LONGEST)).unwrap_or_default()];
        let length = self.file(&handle)?.read_at(&mut data, offset)?;
        data.truncate(length);
        if data.is_empty() { Err(Refusal(StatusCode::Eof, None)) } else { Ok(Data { id, data }) }
    }

    async fn write(&mut self, id: u32, handle: String, offset: u64, data: Vec<u8>) -> Outcome<Status> {
        self.file(&handle)?.write_all_at(&data, offset)?;
        Ok(done(id))
    }

    async fn lstat(&mut self, id: u32, path: String) -> Outcome<Attrs> {
        let look = self.place.work(move |tree| tree.look(&self::path(&path))).await?;
        Ok(Attrs { id, attrs: file_attributes(look) })
    }

    async fn stat(&mut self, id: u32, path: String) -> Outcome<Attrs> {
        let look = self.place.work(move |tree| tree.follow(&self::path(&path))).await?;
        Ok(Attrs { id, attrs: file_attributes(look) })
    }

    async fn fstat(&mut self, id: u32, handle: String) -> Outcome<Attrs> {
        let look = Look::from_file(self.file(&handle)?)?;
        Ok(Attrs { id, attrs: file_attributes(look) })
    }

    async fn setstat(&mut self, id: u32, path: String, attrs: FileAttributes) -> Outcome<Status> {
        let attributes = asked(&attrs);
        self.done(id, move |tree| tree.set(&self::path(&path), attributes)).await
    }

    async fn fsetstat(&mut self, id: u32, handle: String, attrs: FileAttributes) -> Outcome<Status> {
        asked(&attrs).apply(self.file(&handle)?)?;
        Ok(done(id))
    }

    async fn opendir(&mut self, id: u32, path: String) -> Outcome<Handle> {
        let listed = self.place.work(move |tree| {
            let path = self::path(&path);
            let mut entries = Vec::new();
            for name in tree.list(&path)? {
                // Who is gone meanwhile is not listed.
                if let Ok(look) = tree.look(&path.join(&name)) {
                    entries.push(Entry::new(name.to_string_lossy().into_owned(), file_attributes(look)));
                }
            }
            Ok(entries)
        });
        let entries = listed.await?;
        self.keep(id, Opened::Directory(entries))
    }

    async fn readdir(&mut self, id: u32, handle: String) -> Outcome<Name> {
        match self.opened.get_mut(&handle) {
            Some(Opened::Directory(entries)) if entries.is_empty() => Err(Refusal(StatusCode::Eof, None)),
            Some(Opened::Directory(entries)) => {
                let files = entries.drain(..entries.len().min(NAMES)).collect();
                Ok(Name { id, files })
            }
            _ => Err(NO_HANDLE),
        }
    }

    async fn remove(&mut self, id: u32, filename: String) -> Outcome<Status> {
        let removed = self.done(id, move |tree| match tree.look(&path(&filename))?.kind {
            Kind::Directory => Err(Errno::EISDIR.into()),
            _ => tree.remove(&path(&filename)),
        });
        removed.await
    }

    async fn mkdir(&mut self, id: u32, path: String, attrs: FileAttributes) -> Outcome<Status> {
        let attributes = asked(&attrs);
        self.done(id, move |tree| tree.make_directory(&self::path(&path), attributes)).await
    }

    async fn rmdir(&mut self, id: u32, path: String) -> Outcome<Status> {
        let removed = self.done(id, move |tree| match tree.look(&self::path(&path))?.kind {
            Kind::Directory => tree.remove(&self::path(&path)),
            _ => Err(Errno::ENOTDIR.into()),
        });
        removed.await
    }

    async fn realpath(&mut self, id: u32, path: String) -> Outcome<Name> {
        let asked = self::path(&path);
        let real = self.place.work(move |tree| match tree.real(&asked) {
            // A file to be made has no real path yet.
            Err(fault) if fault.kind() == ErrorKind::NotFound => Ok(asked),
            real => real,
        });
        Ok(Name { id, files: vec![Entry::dummy(real.await?.to_string_lossy())] })
    }

    async fn rename(&mut self, id: u32, oldpath: String, newpath: String) -> Outcome<Status> {
        let renamed = self.done(id, move |tree| match tree.look(&path(&newpath)) {
            Ok(_) => Err(Errno::EEXIST.into()),
            Err(_) => tree.rename(&path(&oldpath), &path(&newpath)),
        });
        renamed.await
    }

    async fn readlink(&mut self, id: u32, path: String) -> Outcome<Name> {
        let target = self.place.work(move |tree| tree.read_link(&self::path(&path))).await?;
        Ok(Name { id, files: vec![Entry::dummy(target.to_string_lossy())] })
    }

    /// As OpenSSH does it, and so every client: the target first, whatever the draft says.
    async fn symlink(&mut self, id: u32, linkpath: String, targetpath: String) -> Outcome<Status> {
        let (target, link) = (linkpath, targetpath);
        self.done(id, move |tree| tree.make_link(&path(&link), target.as_ref(), Attributes::default())).await
    }
}
