//! The files of an instance over HTTP: `/1.0/instances/NAME/files?path=...`, streamed both ways.

use std::ffi::OsStr;
use std::fmt::Display;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Body, Bytes, Frame};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{HeaderMap, Method, Response, StatusCode};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::answer::told;
use crate::kernel::sandbox::{Attributes, Kind, Look, Paths, Spec, Tree, files};

/// Bytes that are read at once.
const PART: usize = 64 << 10;
/// Parts under way between a file and a client.
const WAITING: usize = 4;
/// Bytes of a link's target (`PATH_MAX`).
const TARGET: usize = 4096;

/// The body of an answer.
pub type Answer = Response<BoxBody<Bytes, std::io::Error>>;

/// Where the files are: an instance and its sandbox.
#[derive(Debug, Clone)]
pub struct Place {
    /// Of the lab.
    pub paths: Paths,
    /// Of the instance.
    pub spec: Spec,
}

/// Why a request is refused.
struct Refusal(StatusCode, String);

type Outcome<T> = Result<T, Refusal>;

impl From<std::io::Error> for Refusal {
    fn from(fault: std::io::Error) -> Self {
        let status = match (fault.kind(), fault.raw_os_error()) {
            // In the words that LXD has, and its clients know.
            (ErrorKind::NotFound, _) => return Self(StatusCode::NOT_FOUND, "Not Found".to_owned()),
            (ErrorKind::StorageFull, _) => StatusCode::INSUFFICIENT_STORAGE,
            (_, Some(_)) => StatusCode::BAD_REQUEST,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let errno = fault.raw_os_error().map(|number| Errno::from_raw(number).desc());
        Self(status, errno.map_or_else(|| fault.to_string(), str::to_owned))
    }
}

fn bad(what: impl Into<String>) -> Refusal {
    Refusal(StatusCode::BAD_REQUEST, what.into())
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

/// Answers a request for a file: GET, HEAD, POST or DELETE.
pub async fn answer<B>(place: &Place, method: &Method, query: &str, headers: &HeaderMap, body: B) -> Answer
where
    B: Body<Data = Bytes> + Send,
    B::Error: Display,
{
    let answered = match path(query) {
        Err(refusal) => Err(refusal),
        Ok(path) => match *method {
            Method::GET => get(place, path, true).await,
            Method::HEAD => get(place, path, false).await,
            Method::POST => post(place, path, headers, body).await,
            Method::DELETE => place.work(move |tree| tree.remove(&path)).await.map(|()| plain(&json!({}))).map_err(Refusal::from),
            _ => Err(Refusal(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed".to_owned())),
        },
    };
    answered.unwrap_or_else(|Refusal(status, text)| {
        let body = json!({"type": "error", "status": "", "status_code": 0, "operation": "", "error_code": status.as_u16(),
            "error": text, "metadata": null});
        let mut answer = of_json(&body);
        *answer.status_mut() = status;
        answer
    })
}

/// The path that a query asks for, from the root; followed nowhere yet.
fn path(query: &str) -> Outcome<PathBuf> {
    let text = query.split('&').find_map(|pair| pair.strip_prefix("path=")).unwrap_or_default();
    let bytes = decoded(text).filter(|bytes| !bytes.contains(&0)).ok_or_else(|| bad("Invalid path"))?;
    if bytes.is_empty() {
        return Err(bad("Missing path argument"));
    }
    // A path that is absolute takes the place of the root.
    Ok(Path::new("/").join(OsStr::from_bytes(&bytes)))
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [bytes.next()?, bytes.next()?];
                let digits =
                    std::str::from_utf8(&digits).ok().filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
                u8::from_str_radix(digits, 16).ok()?
            }
            byte => byte,
        });
    }
    Some(decoded)
}

enum Found {
    File(File),
    Names(Vec<String>),
    Target(Vec<u8>),
    Nothing,
}

async fn get(place: &Place, path: PathBuf, whole: bool) -> Outcome<Answer> {
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
    let mut answer = match found {
        Found::File(file) => bytes(streamed(file)),
        Found::Target(target) => bytes(full(target)),
        Found::Names(names) => plain(&json!(names)),
        Found::Nothing => bytes(full(Vec::new())),
    };
    tell(answer.headers_mut(), &look);
    Ok(answer)
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
    fn of(headers: &HeaderMap) -> Outcome<Self> {
        let word = |name: &str| {
            let value = ["x-lxd-", "x-incus-"].iter().find_map(|family| headers.get(format!("{family}{name}")))?;
            Some(value.to_str().unwrap_or("?").trim().to_owned()).filter(|value| !value.is_empty())
        };
        let number = |name: &str, radix: u32, most: u32| {
            let Some(word) = word(name) else { return Ok(None) };
            let number = u32::from_str_radix(&word, radix).ok().filter(|number| *number <= most && !word.starts_with('+'));
            number.map(Some).ok_or_else(|| bad(format!("Invalid {name} {word:?}")))
        };
        let kind = match word("type").as_deref() {
            None | Some("file") => Kind::File,
            Some("directory") => Kind::Directory,
            Some("symlink") => Kind::Symlink,
            Some(other) => return Err(bad(format!("Bad file type: {other:?}"))),
        };
        let append = match word("write").as_deref() {
            None | Some("overwrite") => false,
            Some("append") => true,
            Some(other) => return Err(bad(format!("Bad file write mode: {other:?}"))),
        };
        let (user, group) = (number("uid", 10, u32::MAX - 1)?, number("gid", 10, u32::MAX - 1)?);
        let attributes = Attributes { mode: number("mode", 8, 0o7777)?, user, group, ..Attributes::default() };
        Ok(Self { kind, append, attributes })
    }
}

async fn post<B>(place: &Place, path: PathBuf, headers: &HeaderMap, body: B) -> Outcome<Answer>
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
    Ok(plain(&json!({})))
}

fn is_directory(tree: &Tree, path: &Path) -> bool {
    tree.follow(path).is_ok_and(|look| look.kind == Kind::Directory)
}

/// Writes a body to a file as it comes.
async fn store<B>(mut file: File, body: B) -> Outcome<()>
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
                cut = Some(bad(format!("The body ended early: {fault}")));
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

async fn short<B>(body: B) -> Outcome<Vec<u8>>
where
    B: Body<Data = Bytes> + Send,
    B::Error: Display,
{
    let mut body = Box::pin(body);
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|fault| bad(format!("The body ended early: {fault}")))?;
        bytes.extend(frame.into_data().unwrap_or_default());
        if bytes.len() >= TARGET {
            return Err(bad("The target of the link is too long"));
        }
    }
    Ok(bytes)
}

/// A file as the body of an answer: read as fast as the client takes it.
fn streamed(mut file: File) -> BoxBody<Bytes, std::io::Error> {
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

fn full(bytes: Vec<u8>) -> BoxBody<Bytes, std::io::Error> {
    Full::new(Bytes::from(bytes)).map_err(|never| match never {}).boxed()
}

fn bytes(body: BoxBody<Bytes, std::io::Error>) -> Answer {
    let mut answer = Response::new(body);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    answer
}

/// An answer of bytes as they are.
pub fn of_bytes(text: Vec<u8>) -> Answer {
    bytes(full(text))
}

fn plain(metadata: &Value) -> Answer {
    of_json(&json!({"type": "sync", "status": "Success", "status_code": 200, "operation": "", "error_code": 0, "error": "",
        "metadata": metadata}))
}

fn of_json(value: &Value) -> Answer {
    let mut answer = Response::new(full(value.to_string().into_bytes()));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_path_is_decoded_and_begins_at_the_root() {
        for (query, wanted) in [
            ("path=%2Ftmp%2Fhn", "/tmp/hn"),
            ("project=default&path=tmp%2Fhn", "/tmp/hn"),
            ("path=a+b%20c", "/a b c"),
            ("path=..%2F..%2Fetc", "/../../etc"),
        ] {
            assert_eq!(path(query).ok().unwrap(), Path::new(wanted), "{query}");
        }
        for query in ["", "path=", "path=%", "path=%2", "path=%zz", "path=%+1", "path=a%00b", "xpath=a"] {
            assert!(path(query).is_err(), "{query}");
        }
    }

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
