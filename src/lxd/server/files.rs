//! The files of an instance over HTTP: `/1.0/instances/NAME/files?path=...`, streamed both ways.

use std::ffi::OsStr;
use std::fmt::Display;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Body, Bytes, Frame};
use hyper::header::{HeaderName, HeaderValue};
use hyper::{HeaderMap, Method};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use serde_json::json;
use tokio::sync::mpsc;

use super::answer::{self, Answer, Fault, octets, sync, told};
use crate::kernel::sandbox::{Attributes, Kind, Look, Paths, Spec, Tree, files};

/// Bytes that are read at once.
const PART: usize = 64 << 10;
/// Parts under way between a file and a client.
const WAITING: usize = 4;
/// Bytes of a link's target (`PATH_MAX`).
const TARGET: usize = 4096;

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
        done.await.map_err(std::io::Error::other)?.map_err(|error| std::io::Error::other(told(&error)))?
    }
}

/// Answers a request for a file: GET, HEAD, POST or DELETE of a path, which begins at the root and is followed nowhere yet.
pub async fn answer<B>(place: &Place, method: &Method, path: &str, headers: &HeaderMap, body: B) -> Answer
where
    B: Body<Data = Bytes> + Send,
    B::Error: Display,
{
    if path.is_empty() {
        return Err(Fault::bad("Missing path argument"));
    }
    // A path that is absolute takes the place of the root.
    let path = Path::new("/").join(path);
    match *method {
        Method::GET => get(place, path, true).await,
        Method::HEAD => get(place, path, false).await,
        Method::POST => post(place, path, headers, body).await,
        Method::DELETE => {
            place.work(move |tree| tree.remove(&path)).await?;
            sync(json!({}))
        }
        _ => Err(Fault::new(405, "Method not allowed")),
    }
}

enum Found {
    File(File),
    Names(Vec<String>),
    Target(Vec<u8>),
    Nothing,
}

async fn get(place: &Place, path: PathBuf, whole: bool) -> Answer {
    let found = place.work(move |tree| {
        let look = tree.look(&path)?;
        let found = match look.kind {
            _ if !whole => Found::Nothing,
            Kind::File => Found::File(tree.read(&path)?),
            Kind::Directory => Found::Names(tree.list(&path)?.iter().map(|name| name.to_string_lossy().into_owned()).collect()),
            Kind::Symlink => Found::Target(tree.read_link(&path)?.as_bytes().to_vec()),
            Kind::Special => return Err(Errno::EPERM.into()),
        };
        Ok((look, found))
    });
    let (look, found) = found.await?;
    let mut reply = match found {
        Found::File(file) => octets(streamed(file)),
        Found::Target(target) => octets(answer::whole(target)),
        Found::Names(names) => sync(names)?,
        Found::Nothing => octets(answer::whole("")),
    };
    tell(reply.headers_mut(), &look);
    Ok(reply)
}

/// Names what a file is, for the clients of LXD and of Incus.
fn tell(headers: &mut HeaderMap, look: &Look) {
    let kind = match look.kind {
        Kind::Directory => "directory",
        Kind::Symlink => "symlink",
        Kind::File | Kind::Special => "file",
    };
    let modified = time::OffsetDateTime::from_unix_timestamp(look.modified).unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
    let (date, clock) = (modified.date(), modified.time());
    let (hour, minute, second) = clock.as_hms();
    let modified = format!("{date} {hour:02}:{minute:02}:{second:02} +0000 UTC");
    let told = [
        ("uid", look.user.to_string()),
        ("gid", look.group.to_string()),
        ("mode", format!("{:04o}", look.mode)),
        ("type", kind.to_owned()),
        ("modified", modified),
    ];
    for (name, value) in told {
        for family in ["x-lxd-", "x-incus-"] {
            let name = HeaderName::try_from(format!("{family}{name}"));
            if let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(&value)) {
                headers.insert(name, value);
            }
        }
    }
}

/// What a client says of a file that it sends.
#[derive(Debug, PartialEq, Eq)]
struct Sent {
    kind: Kind,
    append: bool,
    attributes: Attributes,
}

impl Sent {
    fn of(headers: &HeaderMap) -> Result<Self, Fault> {
        let word = |name: &str| {
            let value = ["x-lxd-", "x-incus-"].iter().find_map(|family| headers.get(format!("{family}{name}")))?;
            Some(value.to_str().unwrap_or("?").trim().to_owned()).filter(|value| !value.is_empty())
        };
        let number = |name: &str, radix: u32, most: u32| {
            let Some(word) = word(name) else { return Ok(None) };
            let number = u32::from_str_radix(&word, radix).ok().filter(|number| *number <= most && !word.starts_with('+'));
            number.map(Some).ok_or_else(|| Fault::bad(format!("Invalid {name} {word:?}")))
        };
        let kind = match word("type").as_deref() {
            None | Some("file") => Kind::File,
            Some("directory") => Kind::Directory,
            Some("symlink") => Kind::Symlink,
            Some(other) => return Err(Fault::bad(format!("Bad file type: {other:?}"))),
        };
        let append = match word("write").as_deref() {
            None | Some("overwrite") => false,
            Some("append") => true,
            Some(other) => return Err(Fault::bad(format!("Bad file write mode: {other:?}"))),
        };
        let (user, group) = (number("uid", 10, u32::MAX - 1)?, number("gid", 10, u32::MAX - 1)?);
        let attributes = Attributes { mode: number("mode", 8, 0o7777)?, user, group, ..Attributes::default() };
        Ok(Self { kind, append, attributes })
    }
}

async fn post<B>(place: &Place, path: PathBuf, headers: &HeaderMap, body: B) -> Answer
where
    B: Body<Data = Bytes> + Send,
    B::Error: Display,
{
    let Sent { kind, append, attributes } = Sent::of(headers)?;
    match kind {
        Kind::File | Kind::Special => {
            let how = if append { OFlag::O_APPEND } else { OFlag::O_TRUNC };
            let file = place.work(move |tree| tree.write(&path, how, attributes)).await?;
            store(file, body).await?;
        }
        Kind::Directory => {
            place
                .work(move |tree| match tree.make_directory(&path, attributes) {
                    Err(fault) if fault.kind() == ErrorKind::AlreadyExists && is_directory(tree, &path) => Ok(()),
                    made => made,
                })
                .await?;
        }
        Kind::Symlink => {
            let target = short(body).await?;
            place.work(move |tree| tree.make_link(&path, OsStr::from_bytes(&target), attributes)).await?;
        }
    }
    sync(json!({}))
}

fn is_directory(tree: &Tree, path: &Path) -> bool {
    tree.follow(path).is_ok_and(|look| look.kind == Kind::Directory)
}

/// Writes a body to a file as it comes.
async fn store<B>(mut file: File, body: B) -> Result<(), Fault>
where
    B: Body<Data = Bytes> + Send,
    B::Error: Display,
{
    let (sender, mut parts) = mpsc::channel::<Bytes>(WAITING);
    let writing = tokio::task::spawn_blocking(move || {
        while let Some(part) = parts.blocking_recv() {
            file.write_all(&part)?;
        }
        Ok::<_, std::io::Error>(())
    });
    let mut body = Box::pin(body);
    let mut cut = None;
    while let Some(frame) = body.frame().await {
        let part = match frame.map(Frame::into_data) {
            Ok(Ok(part)) => part,
            Ok(Err(_)) => continue,
            Err(fault) => {
                cut = Some(Fault::bad(format!("The body ended early: {fault}")));
                break;
            }
        };
        // Who no longer takes it says why below.
        if sender.send(part).await.is_err() {
            break;
        }
    }
    drop(sender);
    writing.await.map_err(std::io::Error::other)??;
    cut.map_or(Ok(()), Err)
}

async fn short<B>(body: B) -> Result<Vec<u8>, Fault>
where
    B: Body<Data = Bytes> + Send,
    B::Error: Display,
{
    let mut body = Box::pin(body);
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|fault| Fault::bad(format!("The body ended early: {fault}")))?;
        bytes.extend(frame.into_data().unwrap_or_default());
        if bytes.len() >= TARGET {
            return Err(Fault::bad("The target of the link is too long"));
        }
    }
    Ok(bytes)
}

/// A file as the body of an answer: read as fast as the client takes it.
fn streamed(mut file: File) -> answer::Body {
    let (sender, parts) = mpsc::channel(WAITING);
    tokio::task::spawn_blocking(move || {
        loop {
            let mut part = vec![0; PART];
            let read = match file.read(&mut part) {
                Ok(0) => return,
                Ok(length) => {
                    part.truncate(length);
                    Ok(Frame::data(Bytes::from(part)))
                }
                Err(fault) => Err(fault),
            };
            let failed = read.is_err();
            if sender.blocking_send(read).is_err() || failed {
                return;
            }
        }
    });
    let parts = futures::stream::unfold(parts, |mut parts| async move { parts.recv().await.map(|part| (part, parts)) });
    BodyExt::boxed(StreamBody::new(SyncStream(Box::pin(parts))))
}

/// A stream that only its body polls.
struct SyncStream(std::pin::Pin<Box<dyn futures::Stream<Item = std::io::Result<Frame<Bytes>>> + Send + Sync>>);

impl futures::Stream for SyncStream {
    type Item = std::io::Result<Frame<Bytes>>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(context)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn headers_of_both_families_are_read_and_bad_ones_refused() {
        let of = |pairs: &[(&'static str, &'static str)]| {
            Sent::of(
                &pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect(),
            )
        };
        let sent = of(&[("x-lxd-mode", "0640"), ("x-incus-uid", "12"), ("x-lxd-type", "symlink"), ("x-lxd-write", "append")]);
        let attributes = Attributes { mode: Some(0o640), user: Some(12), ..Attributes::default() };
        assert_eq!(sent.ok().unwrap(), Sent { kind: Kind::Symlink, append: true, attributes });
        for (name, value) in [
            ("x-lxd-mode", "0888"),
            ("x-lxd-mode", "77777"),
            ("x-lxd-mode", "rwx"),
            ("x-lxd-uid", "-1"),
            ("x-lxd-uid", "4294967295"),
            ("x-lxd-gid", "root"),
            ("x-lxd-type", "fifo"),
            ("x-lxd-write", "twice"),
        ] {
            assert!(of(&[(name, value)]).is_err(), "{name}: {value}");
        }
    }
}
