//! Answers in the API's envelope.

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, ETAG, HeaderValue, LOCATION};
use hyper::{Response, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};

use crate::error::{Error, InstanceFault, Thing};
use crate::lxd::tls::{Flaw, fingerprint};
use crate::render::lang::Lang;
use crate::render::sentences;
use nix::errno::Errno;
use std::io::ErrorKind;

/// A body, whole or streamed.
pub type Body = http_body_util::combinators::BoxBody<Bytes, std::io::Error>;
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
}

impl Fault {
    /// In the words that people know from LXD.
    fn of_instance(fault: &InstanceFault, text: impl Fn() -> String) -> Self {
        match fault {
            InstanceFault::Exists(_) => Self::new(409, "Instance already exists"),
            InstanceFault::Running(_) => Self::bad("The instance is already running"),
            InstanceFault::Stopped(_) => Self::bad("The instance is already stopped"),
            InstanceFault::Frozen(_) => Self::bad("The instance is already frozen"),
            InstanceFault::NetworkExists(..) => Self::new(409, "The network already exists"),
            InstanceFault::NetworkInUse(..) => Self::bad("The network is currently in use"),
            _ => Self::bad(text()),
        }
    }
}

/// An error in a line or two: what happened, and why.
pub fn told(error: &Error) -> String {
    let message = sentences::errors::error(Lang::En, error);
    message.why.map_or(message.what.clone(), |why| format!("{}. {why}", message.what))
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let text = || told(&error);
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
    Full::new(bytes.into()).map_err(|never| match never {}).boxed()
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

/// What was asked for.
pub fn sync(metadata: impl Serialize) -> Answer {
    Ok(envelope(StatusCode::OK, &done(metadata)))
}

/// What was asked for, with the tag of its part that can be written.
pub fn tagged(metadata: impl Serialize, writable: &Value) -> Answer {
    let mut reply = envelope(StatusCode::OK, &done(metadata));
    if let Ok(tag) = HeaderValue::from_str(&tag(writable)) {
        reply.headers_mut().insert(ETAG, tag);
    }
    Ok(reply)
}

/// The tag of something that can be written.
pub fn tag(writable: &Value) -> String {
    format!("\"{}\"", fingerprint(writable.to_string().as_bytes()))
}

/// Something was made.
pub fn created(location: &str) -> Answer {
    let mut reply = envelope(StatusCode::CREATED, &done(Value::Null));
    if let Ok(place) = HeaderValue::from_str(location) {
        reply.headers_mut().insert(LOCATION, place);
    }
    Ok(reply)
}

/// An operation works on it: its path, and as it is told.
pub fn working(path: &str, told: &Value) -> Answer {
    let value = json!({"type": "async", "status": "Operation created", "status_code": 100, "operation": path,
        "error_code": 0, "error": "", "metadata": told});
    let mut reply = envelope(StatusCode::ACCEPTED, &value);
    if let Ok(place) = HeaderValue::from_str(path) {
        reply.headers_mut().insert(LOCATION, place);
    }
    Ok(reply)
}
