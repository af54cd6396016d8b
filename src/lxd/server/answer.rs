//! Answers in the API's envelope: at once, or by an operation, work that outlives its request and can be asked for until a while
//! after its end; and what happens, as `/1.0/events` tells it.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, ETAG, HeaderName, HeaderValue, LOCATION};
use hyper::{Response, StatusCode};
use nix::errno::Errno;
use serde::Serialize;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::{broadcast, watch};

use super::streams::{Door, Place};
use crate::error::{DeviceFault, Error, InstanceFault, Thing};
use crate::lxd::tls::{Flaw, fingerprint, uuid};
use crate::render::lang::Lang;
use crate::render::sentences;

/// A body, whole or streamed.
pub type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, std::io::Error>;
/// A whole answer.
pub type Reply = Response<Body>;
/// What a handler gives.
pub type Answer = Result<Reply, Fault>;

/// Why a request is refused: an HTTP status, and the API's own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The HTTP status.
    pub code: u16,
    /// What is wrong.
    pub text: String,
}

impl Fault {
    /// A refusal.
    pub fn new(code: u16, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }

    /// What there is not.
    pub fn missing(what: &str) -> Self {
        Self::new(404, format!("{what} not found"))
    }

    /// What was asked for is wrong.
    pub fn bad(text: impl Into<String>) -> Self {
        Self::new(400, text)
    }

    /// As an answer.
    pub fn reply(&self) -> Reply {
        let value = json!({"type": "error", "status": "", "status_code": 0, "operation": "", "error_code": self.code,
            "error": self.text, "metadata": null});
        envelope(StatusCode::from_u16(self.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), &value)
    }

    /// In the words that people know from LXD.
    fn of_instance(fault: &InstanceFault, text: impl Fn() -> String) -> Self {
        match fault {
            InstanceFault::Exists(_) => Self::new(409, "Instance already exists"),
            InstanceFault::Running(_) => Self::bad("The instance is already running"),
            InstanceFault::Stopped(_) => Self::bad("The instance is already stopped"),
            InstanceFault::Frozen(_) => Self::bad("The instance is already frozen"),
            InstanceFault::NetworkExists(..) => Self::new(409, "The network already exists"),
            InstanceFault::Device(name, why) => {
                let why = match why {
                    DeviceFault::Unknown(key) => format!("Invalid device option {key:?}"),
                    DeviceFault::Type(_) => "Unsupported device type".to_owned(),
                    DeviceFault::Unserved(word) => format!("nslab does not support {word}"),
                    _ => return Self::bad(text()),
                };
                Self::bad(format!("Invalid devices: Device validation failed for {name:?}: {why}"))
            }
            InstanceFault::Config(key, false) => Self::bad(format!("Invalid config: Unknown configuration key: {key}")),
            InstanceFault::NetworkInUse(..) => Self::bad("The network is currently in use"),
            _ => Self::bad(text()),
        }
    }
}

/// An error in a line or two: what happened, and why.
pub fn error_text(error: &Error) -> String {
    let message = sentences::errors::error(Lang::En, error);
    message.why.map_or(message.what.clone(), |why| format!("{}. {why}", message.what))
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let text = || error_text(&error);
        match &error {
            Error::Unknown { what: Thing::Node | Thing::Container, .. } => Self::missing("Instance"),
            Error::Instance(fault) => Self::of_instance(fault, text),
            other => match other.exit_code() {
                2 => Self::bad(text()),
                4 => Self::new(409, text()),
                _ => Self::new(500, text()),
            },
        }
    }
}

impl From<std::io::Error> for Fault {
    fn from(fault: std::io::Error) -> Self {
        let code = match (fault.kind(), fault.raw_os_error()) {
            // In the words that LXD has, and its clients know.
            (ErrorKind::NotFound, _) => return Self::new(404, "Not Found"),
            (ErrorKind::StorageFull, _) => 507,
            (_, Some(_)) => 400,
            _ => 500,
        };
        let errno = fault.raw_os_error().map(|number| Errno::from_raw(number).desc());
        Self::new(code, errno.map_or_else(|| fault.to_string(), str::to_owned))
    }
}

impl From<Flaw> for Fault {
    fn from(flaw: Flaw) -> Self {
        flaw.error().into()
    }
}

/// Does something on a thread that may block.
///
/// # Errors
/// Those of the work; 500 where it ends without an answer.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Fault> + Send + 'static) -> Result<T, Fault> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(Fault::new(500, "The work ended without an answer")))
}

fn envelope(status: StatusCode, value: &Value) -> Reply {
    let mut reply = Response::new(whole(value.to_string() + "\n"));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    reply
}

/// A body that is known whole.
pub fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// Bytes as they are.
pub fn octets(body: Body) -> Reply {
    let mut reply = Response::new(body);
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    reply
}

fn done(metadata: impl Serialize) -> Value {
    json!({"type": "sync", "status": "Success", "status_code": 200, "operation": "", "error_code": 0, "error": "",
        "metadata": metadata})
}

fn with(mut reply: Reply, name: HeaderName, value: &str) -> Reply {
    if let Ok(value) = HeaderValue::from_str(value) {
        reply.headers_mut().insert(name, value);
    }
    reply
}

/// What was asked for.
pub fn sync(metadata: impl Serialize) -> Answer {
    Ok(envelope(StatusCode::OK, &done(metadata)))
}

/// What was asked for, with the tag of its part that can be written.
pub fn tagged(metadata: impl Serialize, writable: &Value) -> Answer {
    Ok(with(envelope(StatusCode::OK, &done(metadata)), ETAG, &tag(writable)))
}

/// The tag of something that can be written.
pub fn tag(writable: &Value) -> String {
    format!("\"{}\"", fingerprint(writable.to_string().as_bytes()))
}

/// Something was made.
pub fn created(location: &str) -> Answer {
    Ok(with(envelope(StatusCode::CREATED, &done(Value::Null)), LOCATION, location))
}

/// What a lock guards, also where a thread has died with it.
pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long one that has ended can be asked for.
const KEPT: Duration = Duration::from_secs(60);

/// How an operation stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Status {
    /// It works.
    #[default]
    Running,
    /// It has ended well.
    Success,
    /// It has failed.
    Failure,
    /// Somebody ended it.
    Cancelled,
}

impl Status {
    fn word(self) -> (&'static str, u16) {
        match self {
            Self::Running => ("Running", 103),
            Self::Success => ("Success", 200),
            Self::Failure => ("Failure", 400),
            Self::Cancelled => ("Cancelled", 401),
        }
    }
}

/// What an operation begins with.
#[derive(Default)]
pub struct New {
    /// `task`, `websocket` or `token`.
    pub class: &'static str,
    /// For people: `Starting instance`.
    pub description: &'static str,
    /// The paths of the instances that it works on.
    pub instances: Vec<String>,
    /// What else is told of it.
    pub metadata: Map<String, Value>,
    /// The client that began it, by the fingerprint of its certificate.
    pub client: String,
    /// Where its websockets come in.
    pub entrance: Option<Door>,
    /// What ends it before its time.
    pub cancel: Option<Box<dyn Fn() + Send + Sync>>,
    /// A client may end it.
    pub may_cancel: bool,
}

#[derive(Default)]
struct State {
    status: Status,
    metadata: Map<String, Value>,
    failure: String,
    updated: String,
    ended: Option<Instant>,
}

/// Work that was begun.
pub struct Operation {
    /// Its UUID.
    pub id: String,
    /// What it began with.
    pub new: New,
    created: String,
    state: Mutex<State>,
    over: watch::Sender<bool>,
    bus: Bus,
}

impl Operation {
    /// Its path in the API.
    pub fn path(&self) -> String {
        format!("/1.0/operations/{}", self.id)
    }

    /// How it stands.
    pub fn status(&self) -> Status {
        locked(&self.state).status
    }

    /// A value of its metadata.
    pub fn value(&self, key: &str) -> Option<Value> {
        locked(&self.state).metadata.get(key).cloned()
    }

    /// As the API tells it.
    pub fn to_json(&self) -> Value {
        let state = locked(&self.state);
        let (status, code) = state.status.word();
        let resources = if self.new.instances.is_empty() { Value::Null } else { json!({"instances": self.new.instances}) };
        let metadata = if state.metadata.is_empty() { Value::Null } else { Value::Object(state.metadata.clone()) };
        json!({"id": self.id, "class": self.new.class, "description": self.new.description, "created_at": self.created,
            "updated_at": state.updated, "status": status, "status_code": code, "resources": resources,
            "metadata": metadata, "may_cancel": self.new.may_cancel && state.ended.is_none(), "err": state.failure,
            "location": "none"})
    }

    /// As what answers the request that began it.
    pub fn answer(&self) -> Answer {
        let path = self.path();
        let value = json!({"type": "async", "status": "Operation created", "status_code": 100, "operation": path,
            "error_code": 0, "error": "", "metadata": self.to_json()});
        Ok(with(envelope(StatusCode::ACCEPTED, &value), LOCATION, &path))
    }

    /// Adds to what is told of it.
    pub fn note(&self, more: Map<String, Value>) {
        {
            let mut state = locked(&self.state);
            state.metadata.extend(more);
            state.updated = now();
        }
        self.bus.publish("operation", &self.to_json());
    }

    /// Ends it, once; later ends are not heard.
    pub fn end(&self, status: Status, failure: impl Into<String>) {
        {
            let mut state = locked(&self.state);
            if state.ended.is_some() {
                return;
            }
            state.status = status;
            state.failure = failure.into();
            state.updated = now();
            state.ended = Some(Instant::now());
        }
        self.bus.publish("operation", &self.to_json());
        self.over.send_replace(true);
    }

    /// Waits for its end.
    pub async fn over(&self) {
        let _ = self.over.subscribe().wait_for(|over| *over).await;
    }

    /// Lets a websocket in.
    pub fn enter(&self, secret: &str, client: &str) -> Option<Place> {
        self.new.entrance.as_ref()?.enter(secret, client)
    }

    /// Ends it before its time.
    ///
    /// # Errors
    /// Where a client may not.
    pub fn cancel(&self) -> Result<(), Fault> {
        if !self.new.may_cancel {
            return Err(Fault::bad("This operation can't be cancelled"));
        }
        self.cut();
        Ok(())
    }

    /// Ends what it works on, and it.
    pub fn cut(&self) {
        match &self.new.cancel {
            Some(cancel) => cancel(),
            None if self.new.may_cancel => self.end(Status::Cancelled, ""),
            None => {}
        }
    }
}

/// Every operation of an agent.
#[derive(Default)]
pub struct Operations {
    all: Mutex<BTreeMap<String, Arc<Operation>>>,
    bus: Bus,
}

impl Operations {
    /// None yet; what happens to them is told on a bus.
    pub fn new(bus: Bus) -> Self {
        Self { all: Mutex::default(), bus }
    }

    /// Begins one.
    ///
    /// # Errors
    /// Where the system has no random numbers.
    pub fn begin(&self, new: New) -> Result<Arc<Operation>, Fault> {
        let state = State { metadata: new.metadata.clone(), updated: now(), ..State::default() };
        let operation = Arc::new(Operation {
            id: uuid()?,
            new,
            created: now(),
            state: Mutex::new(state),
            over: watch::Sender::new(false),
            bus: self.bus.clone(),
        });
        let mut all = locked(&self.all);
        all.retain(|_, operation| locked(&operation.state).ended.is_none_or(|ended| ended.elapsed() < KEPT));
        all.insert(operation.id.clone(), Arc::clone(&operation));
        drop(all);
        self.bus.publish("operation", &operation.to_json());
        Ok(operation)
    }

    /// Begins a task that may block; it ends as its work does.
    ///
    /// # Errors
    /// Where the system has no random numbers.
    pub fn task(&self, new: New, work: impl FnOnce() -> Result<(), Fault> + Send + 'static) -> Result<Arc<Operation>, Fault> {
        let operation = self.begin(New { class: "task", ..new })?;
        let ours = Arc::clone(&operation);
        tokio::spawn(async move {
            match blocking(work).await {
                Ok(()) => ours.end(Status::Success, ""),
                Err(fault) => ours.end(Status::Failure, fault.text),
            }
        });
        Ok(operation)
    }

    /// The one of that UUID.
    ///
    /// # Errors
    /// Where there is none.
    pub fn get(&self, id: &str) -> Result<Arc<Operation>, Fault> {
        locked(&self.all).get(id).cloned().ok_or_else(|| Fault::missing("Operation"))
    }

    /// All of them.
    pub fn all(&self) -> Vec<Arc<Operation>> {
        locked(&self.all).values().cloned().collect()
    }
}

/// Events that one slow listener may be behind before it misses some.
const BACKLOG: usize = 4096;

/// One thing that happened.
#[derive(Debug)]
pub struct Event {
    /// `operation` or `lifecycle`.
    pub kind: &'static str,
    /// As the API tells it.
    pub text: String,
}

/// Where events are told.
#[derive(Debug, Clone)]
pub struct Bus(broadcast::Sender<Arc<Event>>);

impl Default for Bus {
    fn default() -> Self {
        Self(broadcast::Sender::new(BACKLOG))
    }
}

impl Bus {
    /// Listens from now on.
    pub fn listen(&self) -> broadcast::Receiver<Arc<Event>> {
        self.0.subscribe()
    }

    /// Tells that something was done to an instance or a network: `instance-started`, its path.
    pub fn lifecycle(&self, action: &str, source: &str) {
        self.publish("lifecycle", &json!({"action": action, "source": source, "context": {}}));
    }

    fn publish(&self, kind: &'static str, metadata: &Value) {
        if self.0.receiver_count() == 0 {
            return;
        }
        let text = json!({"type": kind, "timestamp": now(), "metadata": metadata, "location": "none",
            "project": "default"});
        let _ = self.0.send(Arc::new(Event { kind, text: text.to_string() }));
    }
}

/// Never, or not known: the time that clients written in Go take for none.
pub const NEVER: &str = "0001-01-01T00:00:00Z";

/// Now, by RFC 3339.
pub fn now() -> String {
    rfc3339(OffsetDateTime::now_utc())
}

/// Seconds since 1970, by RFC 3339.
pub fn seconds(since: u64) -> String {
    let since = i64::try_from(since).ok().and_then(|since| OffsetDateTime::from_unix_timestamp(since).ok());
    since.map_or_else(|| NEVER.to_owned(), rfc3339)
}

/// A time, by RFC 3339.
pub fn rfc3339(time: OffsetDateTime) -> String {
    time.format(&Rfc3339).unwrap_or_else(|_| NEVER.to_owned())
}
