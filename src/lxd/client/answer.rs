//! What a server says: done, at work, or no.

use hyper::StatusCode;
use serde_json::Value;

use super::wire::Response;
use crate::error::{Error, RemoteFault, Result};

/// What a server says to a request that it takes.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Done: what it tells, and the tag of that state.
    Done(Value, Option<String>),
    /// It works on it: the path of the operation, and the operation as it is.
    Working(String, Value),
}

impl Answer {
    pub(super) fn of(remote: &str, response: &Response) -> Result<Self> {
        let no_api = || Error::Remote(RemoteFault::NoApi(remote.to_owned()));
        let mut told: Value = serde_json::from_slice(&response.body).map_err(|_| no_api())?;
        let tag = response.headers.get("etag").and_then(|tag| tag.to_str().ok()).map(str::to_owned);
        match told["type"].as_str() {
            Some("sync") => Ok(Self::Done(told["metadata"].take(), tag)),
            Some("async") => {
                let path = told["operation"].as_str().ok_or_else(no_api)?.to_owned();
                Ok(Self::Working(path, told["metadata"].take()))
            }
            Some("error") => {
                let text = told["error"].as_str().unwrap_or_default();
                Err(refused(remote, response.status, text))
            }
            _ => Err(no_api()),
        }
    }

    /// What the server told; of an operation the operation itself.
    pub fn told(self) -> Value {
        match self {
            Self::Done(told, _) | Self::Working(_, told) => told,
        }
    }
}

/// That the server refuses.
pub(super) fn refused(remote: &str, status: StatusCode, text: &str) -> Error {
    let remote = remote.to_owned();
    Error::Remote(match (status.as_u16(), text) {
        (403, "not authorized") => RemoteFault::Untrusted(remote),
        (code, text) => RemoteFault::Refused { remote, code, text: text.to_owned() },
    })
}
