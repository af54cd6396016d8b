//! Requests to one server, each waited for.

use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Method, Request};
use serde_json::Value;
use tokio::runtime::Runtime;

use super::wire::{Response, Wire};
use super::{Answer, Identity, Remote};
use crate::error::{Error, RemoteFault, Result};

/// A server, and a connection to it while there is work.
pub struct Client {
    pub(super) runtime: Runtime,
    pub(super) wire: Wire,
    /// How long an answer may take; where nobody says, as long as it takes.
    limit: Option<Duration>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("remote", &self.wire.name).finish_non_exhaustive()
    }
}

impl Client {
    /// A client of a server; nothing is sent yet.
    ///
    /// # Errors
    /// When the identity is damaged.
    pub fn new(remote: &Remote, identity: Option<&Identity>) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Error::Internal(error.to_string()))?;
        Ok(Self { runtime, wire: Wire::new(remote, identity)?, limit: None })
    }

    /// The same, that waits no longer than so for an answer.
    #[must_use]
    pub fn within(self, limit: Duration) -> Self {
        Self { limit: Some(limit), ..self }
    }

    /// The remote's name.
    pub fn name(&self) -> &str {
        &self.wire.name
    }

    /// What is there.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub fn get(&self, path: &str) -> Result<Value> {
        self.ask(Method::GET, path, None, &[]).map(Answer::told)
    }

    /// What is there, and the tag by which a change can name it.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub fn get_tagged(&self, path: &str) -> Result<(Value, Option<String>)> {
        match self.ask(Method::GET, path, None, &[])? {
            Answer::Done(told, tag) => Ok((told, tag)),
            Answer::Working(_, told) => Ok((told, None)),
        }
    }

    /// A request and its answer.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub fn ask(&self, method: Method, path: &str, body: Option<&Value>, headers: &[(&str, &str)]) -> Result<Answer> {
        let asked = self.wire.ask(method, path, body, headers);
        self.runtime.block_on(async {
            match self.limit {
                Some(limit) => tokio::time::timeout(limit, asked).await.map_err(|_| self.wire.late())?,
                None => asked.await,
            }
        })
    }

    /// A request whose work is waited for: the operation's result, or what the server told.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses, or the work fails.
    pub fn finish(&self, method: Method, path: &str, body: Option<&Value>, headers: &[(&str, &str)]) -> Result<Value> {
        self.runtime.block_on(async {
            match self.wire.ask(method, path, body, headers).await? {
                Answer::Done(told, _) => Ok(told),
                Answer::Working(path, _) => {
                    let ended = self.wire.wait(&path).await?;
                    match ended["err"].as_str() {
                        None | Some("") => Ok(ended),
                        Some(text) => Err(self.wire.failed(&ended, text)),
                    }
                }
            }
        })
    }
}

impl Wire {
    /// A request with a JSON body and its answer.
    pub(super) async fn ask(&self, method: Method, path: &str, body: Option<&Value>, headers: &[(&str, &str)]) -> Result<Answer> {
        let bytes = body.map(|body| Bytes::from(body.to_string()));
        let response = self.send(method, path, bytes, headers).await?;
        Answer::of(&self.name, &response)
    }

    /// A request and its answer as it came.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
        headers: &[(&str, &str)],
    ) -> Result<Response> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("Host", "lxd")
            .header("User-Agent", concat!("nslab/", env!("CARGO_PKG_VERSION")));
        if body.is_some() && !headers.iter().any(|(name, _)| *name == "Content-Type") {
            request = request.header("Content-Type", "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.unwrap_or_default()));
        self.request(request.map_err(|error| Error::Internal(error.to_string()))?).await
    }

    /// An operation, once it has ended.
    pub(super) async fn wait(&self, operation: &str) -> Result<Value> {
        let path = format!("{operation}/wait?timeout=-1");
        self.ask(Method::GET, &path, None, &[]).await.map(Answer::told)
    }

    /// That an operation failed.
    pub(super) fn failed(&self, operation: &Value, text: &str) -> Error {
        let code = operation["status_code"].as_u64().and_then(|code| u16::try_from(code).ok()).unwrap_or(400);
        Error::Remote(RemoteFault::Refused { remote: self.name.clone(), code, text: text.to_owned() })
    }
}
