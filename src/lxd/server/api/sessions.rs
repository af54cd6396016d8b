//! What goes on in an instance: `/1.0/instances/NAME/exec`, `console` and `logs`; its files, streamed both ways by
//! `/1.0/instances/NAME/files?path=...`, and `sftp`.

use std::ffi::OsStr;
use std::fmt::Display;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;

use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Body, Bytes, Frame};
use hyper::header::{HeaderName, HeaderValue};
use hyper::{HeaderMap, Method};
use hyper_util::rt::TokioIo;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use crate::kernel::sandbox::{self, Attributes, Kind, Look, Order, Tree};
use crate::lab;
use crate::lxd::client::Exec;
use crate::lxd::server::agent::{Agent, Call, upgraded};
use crate::lxd::server::answer::{self, Answer, Fault, New, Operation, Status, octets, sync, whole};
use crate::lxd::server::exec::{self, Console, Cut, Outcome, Started};
use crate::lxd::server::sftp::{self, Place};
use crate::lxd::server::streams::{Door, Expected};
use crate::plan::NodeId;
use crate::topology::Run;

/// The sandbox of an instance that is there, and how it is.
fn place(agent: &Agent, name: &str) -> Result<(Place, Run), Fault> {
    let (_lock, journal) = lab::hold(&agent.lab)?;
    let found = journal.topology.hosts.iter().find(|host| host.name == agent.host);
    let container = found.and_then(|host| host.containers.iter().find(|container| container.name.as_str() == name));
    let container = container.ok_or_else(|| Fault::missing("Instance"))?;
    let node = NodeId::Container(agent.host.clone(), container.name.clone());
    let spec = lab::agents::spec(&agent.lab, &node, journal.described(), false, None);
    Ok((Place { paths: lab::paths::sandboxes(&agent.lab), spec }, container.instance.run))
}

/// As [`place`], of one that runs or is frozen.
async fn up(call: &Call) -> Result<(Place, Run), Fault> {
    let name = call.word(0).to_owned();
    let up = call.look(move |agent| {
        let (place, run) = place(agent, &name)?;
        let pin = place.paths.lab.join("netns").join(&place.spec.node);
        if pin.exists() { Ok((place, run)) } else { Err(Fault::bad("Instance is not running")) }
    });
    up.await
}

/// Where a command can begin.
async fn running(call: &Call) -> Result<Place, Fault> {
    let (place, run) = up(call).await?;
    if run == Run::Frozen { Err(Fault::bad("Instance is frozen")) } else { Ok(place) }
}

fn start(place: Place, order: Order) -> impl FnOnce() -> Started + Send + 'static {
    move || sandbox::open(&place.paths, &place.spec, &order)
}

fn end(operation: &Operation, outcome: Outcome, more: Map<String, Value>) {
    let mut metadata = more;
    metadata.extend(outcome.code.map(|code| ("return".to_owned(), code.into())));
    operation.note(metadata);
    match outcome.failure {
        None => operation.end(Status::Success, ""),
        Some(failure) => operation.end(Status::Failure, failure),
    }
}

/// An operation that runs a command, and what ends that before its time.
fn command(call: &Call, description: &'static str) -> (New, Cut) {
    let cut = Cut::default();
    let cutting = cut.clone();
    let new = New {
        description,
        instances: vec![format!("/1.0/instances/{}", call.word(0))],
        client: call.client.name().to_owned(),
        cancel: Some(Box::new(move || cutting.cut())),
        ..New::default()
    };
    (new, cut)
}

/// Begins an operation whose websockets serve a command.
fn serve(call: &Call, descriptors: &[&'static str], mut new: New) -> Result<(Arc<Operation>, Expected), Fault> {
    let (door, secrets, expected) = Door::new(call.client.name(), descriptors)?;
    new.class = "websocket";
    new.entrance = Some(door);
    new.metadata.insert("fds".to_owned(), json!(secrets));
    Ok((call.agent.operations.begin(new)?, expected))
}

/// `POST /1.0/instances/NAME/exec`
pub async fn exec(mut call: Call) -> Answer {
    let request: Exec = call.json().await?;
    let order = exec::order(&request).map_err(Fault::bad)?;
    let place = running(&call).await?;
    let (mut new, cut) = command(&call, "Executing command");
    new.metadata.insert("command".to_owned(), json!(request.command));
    new.metadata.insert("environment".to_owned(), json!(request.environment));
    new.metadata.insert("interactive".to_owned(), json!(request.interactive));
    call.agent.bus.lifecycle("instance-exec", &format!("/1.0/instances/{}", call.word(0)));
    if !request.wait_for_websocket {
        return recorded(&call, (new, cut), place, order, request.record_output);
    }
    let (operation, expected) = serve(&call, exec::descriptors(request.interactive), new)?;
    let ours = Arc::clone(&operation);
    tokio::spawn(async move {
        let outcome = exec::run(start(place, order), expected, request.interactive, cut, |_| ()).await;
        end(&ours, outcome, Map::new());
    });
    operation.answer()
}

/// Without websockets: what the command writes can be asked for afterwards.
fn recorded(call: &Call, (new, cut): (New, Cut), place: Place, order: Order, keep: bool) -> Answer {
    let operation = call.agent.operations.begin(New { class: "task", ..new })?;
    let (ours, agent, instance) = (Arc::clone(&operation), Arc::clone(&call.agent), call.word(0).to_owned());
    let order = Order { screen: None, ..order };
    tokio::spawn(async move {
        let (outcome, outputs) = exec::record(start(place, order), cut).await;
        let mut more = Map::new();
        if keep {
            let mut paths = Map::new();
            for ((descriptor, kind), output) in [("1", "stdout"), ("2", "stderr")].into_iter().zip(outputs) {
                let name = format!("exec_{}.{kind}", ours.id);
                paths.insert(descriptor.to_owned(), format!("/1.0/instances/{instance}/logs/{name}").into());
                agent.logs.keep(&instance, &name, output);
            }
            more.insert("output".to_owned(), paths.into());
        }
        end(&ours, outcome, more);
    });
    operation.answer()
}

/// `POST /1.0/instances/NAME/console`
pub async fn console(mut call: Call) -> Answer {
    let request: Console = call.json().await?;
    let order = request.order().map_err(Fault::bad)?;
    let place = running(&call).await?;
    let (new, cut) = command(&call, "Showing console");
    let (operation, expected) = serve(&call, exec::descriptors(true), new)?;
    let (ours, agent, instance) = (Arc::clone(&operation), Arc::clone(&call.agent), call.word(0).to_owned());
    tokio::spawn(async move {
        let note = move |part: &[u8]| agent.logs.show(&instance, part);
        let outcome = exec::run(start(place, order), expected, true, cut, note).await;
        // Who detaches ends the shell: no failure.
        let failure = outcome.failure.filter(|_| outcome.code.is_none());
        end(&ours, Outcome { code: None, failure }, Map::new());
    });
    operation.answer()
}

/// `GET /1.0/instances/NAME/console`
pub async fn console_log(call: Call) -> Answer {
    up(&call).await?;
    Ok(octets(whole(call.agent.logs.shown(call.word(0)))))
}

/// `DELETE /1.0/instances/NAME/console`
pub async fn clear_console(call: Call) -> Answer {
    up(&call).await?;
    call.agent.logs.clear(call.word(0));
    sync(Value::Null)
}

/// `GET /1.0/instances/NAME/logs`
pub async fn logs(call: Call) -> Answer {
    let path = |name: &String| format!("/1.0/instances/{}/logs/{name}", call.word(0));
    sync(call.agent.logs.names(call.word(0)).iter().map(path).collect::<Vec<_>>())
}

/// `GET /1.0/instances/NAME/logs/FILE`
pub async fn log(call: Call) -> Answer {
    let found = call.agent.logs.kept(call.word(0), call.word(1));
    found.map(|text| octets(whole(text))).ok_or_else(|| Fault::missing("Log file"))
}

/// `DELETE /1.0/instances/NAME/logs/FILE`
pub async fn forget_log(call: Call) -> Answer {
    let forgotten = call.agent.logs.forget(call.word(0), call.word(1));
    if forgotten { sync(Value::Null) } else { Err(Fault::missing("Log file")) }
}

/// Any method of `/1.0/instances/NAME/files`
pub async fn file(call: Call) -> Answer {
    let (place, _) = up(&call).await?;
    let path = call.asked("path").unwrap_or_default().to_owned();
    let (head, body) = call.request.into_parts();
    on_file(&place, &head.method, &path, &head.headers, body).await
}

/// `GET /1.0/instances/NAME/sftp`
pub async fn sftp(mut call: Call) -> Answer {
    let (place, _) = up(&call).await?;
    upgraded(&mut call, "sftp", move |pipe| sftp::serve(place, TokioIo::new(pipe)))
}

/// Bytes that are read at once.
const PART: usize = 64 << 10;
/// Parts under way between a file and a client.
const WAITING: usize = 4;
/// Bytes of a link's target (`PATH_MAX`).
const TARGET: usize = 4096;

/// Answers a request for a file: GET, HEAD, POST or DELETE of a path, which begins at the root and is followed nowhere yet.
pub async fn on_file(
    place: &Place,
    method: &Method,
    path: &str,
    headers: &HeaderMap,
    body: impl Body<Data = Bytes, Error: Display> + Send,
) -> Answer {
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
    set_headers(reply.headers_mut(), &look);
    Ok(reply)
}

/// Names what a file is, for the clients of LXD and of Incus.
fn set_headers(headers: &mut HeaderMap, look: &Look) {
    let kind = match look.kind {
        Kind::Directory => "directory",
        Kind::Symlink => "symlink",
        Kind::File | Kind::Special => "file",
    };
    let modified = time::OffsetDateTime::from_unix_timestamp(look.modified).unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
    let (date, clock) = (modified.date(), modified.time());
    let (hour, minute, second) = clock.as_hms();
    let modified = format!("{date} {hour:02}:{minute:02}:{second:02} +0000 UTC");
    let fields = [
        ("uid", look.user.to_string()),
        ("gid", look.group.to_string()),
        ("mode", format!("{:04o}", look.mode)),
        ("type", kind.to_owned()),
        ("modified", modified),
    ];
    for (name, value) in fields {
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
    fn from_headers(headers: &HeaderMap) -> Result<Self, Fault> {
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

async fn post(place: &Place, path: PathBuf, headers: &HeaderMap, body: impl Body<Data = Bytes, Error: Display> + Send) -> Answer {
    let Sent { kind, append, attributes } = Sent::from_headers(headers)?;
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
async fn store(mut file: File, body: impl Body<Data = Bytes, Error: Display> + Send) -> Result<(), Fault> {
    let (sender, mut parts) = mpsc::channel::<Bytes>(WAITING);
    let writing = tokio::task::spawn_blocking(move || {
        while let Some(part) = parts.blocking_recv() {
            file.write_all(&part)?;
        }
        Ok::<_, std::io::Error>(())
    });
    let mut body = pin!(body);
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

async fn short(body: impl Body<Data = Bytes, Error: Display> + Send) -> Result<Vec<u8>, Fault> {
    let mut body = pin!(body);
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
    let (sender, mut parts) = mpsc::channel(WAITING);
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
    BodyExt::boxed_unsync(StreamBody::new(futures::stream::poll_fn(move |context| parts.poll_recv(context))))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn headers_of_both_families_are_read_and_bad_ones_refused() {
        let sent_with = |pairs: &[(&'static str, &'static str)]| {
            Sent::from_headers(
                &pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect(),
            )
        };
        let sent =
            sent_with(&[("x-lxd-mode", "0640"), ("x-incus-uid", "12"), ("x-lxd-type", "symlink"), ("x-lxd-write", "append")]);
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
            assert!(sent_with(&[(name, value)]).is_err(), "{name}: {value}");
        }
    }
}
