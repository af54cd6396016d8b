//! Requests to one server over HTTP/1.1, each waited for; one connection more for each websocket.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::Runtime;
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::error::{Error, RemoteFault, Result};
use crate::lxd::tls::{Flaw, Identity, Pinned};

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

/// How long a server may take to answer a call for a connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where a server listens.
#[derive(Debug, Clone)]
pub(super) enum Place {
    Unix(PathBuf),
    /// `HOST:PORT`
    Net(String),
}

/// The port of LXD, Incus and the agent.
pub const PORT: u16 = 8443;

/// A server that is known by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// Its name.
    pub name: String,
    /// `https://HOST:PORT`, or `unix://PATH`.
    pub address: String,
    /// SHA-256 of its certificate; none of a socket.
    pub fingerprint: Option<String>,
}

impl Remote {
    /// The server behind a socket of this machine.
    pub fn socket(name: &str, path: &Path) -> Self {
        Self { name: name.to_owned(), address: format!("unix://{}", path.display()), fingerprint: None }
    }

    /// The address that it is at, where that is a number.
    pub fn host(&self) -> Option<IpAddr> {
        let Place::Net(address) = self.place() else { return None };
        address.rsplit_once(':')?.0.trim_matches(['[', ']']).parse().ok()
    }

    pub(super) fn place(&self) -> Place {
        match self.address.strip_prefix("unix://") {
            Some(path) => Place::Unix(PathBuf::from(path)),
            None => Place::Net(bare(&self.address)),
        }
    }
}

/// `HOST:PORT` of an address as people type it.
pub(super) fn bare(address: &str) -> String {
    let bare = address.strip_prefix("https://").unwrap_or(address).trim_end_matches('/');
    let colon = bare.rsplit_once(':').is_some_and(|(host, port)| {
        port.parse::<u16>().is_ok() && (!host.contains(':') || (host.starts_with('[') && host.ends_with(']')))
    });
    if colon {
        bare.to_owned()
    } else if bare.contains(':') && !bare.starts_with('[') {
        format!("[{bare}]:{PORT}")
    } else {
        format!("{bare}:{PORT}")
    }
}

/// What bytes go through.
pub(super) trait Pipe: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Pipe for T {}

/// A websocket on a pipe.
pub(super) type Socket = WebSocketStream<Box<dyn Pipe>>;

/// An answer as it came.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// A server and the way to it.
pub(super) struct Wire {
    pub(super) name: String,
    place: Place,
    tls: Arc<ClientConfig>,
    pinned: Arc<Pinned>,
    kept: Mutex<Option<SendRequest<Full<Bytes>>>>,
}

impl Wire {
    /// A wire to a remote; nothing is sent yet.
    pub(super) fn new(remote: &Remote, identity: Option<&Identity>) -> Result<Self> {
        let (tls, pinned) = Pinned::config(remote.fingerprint.clone(), identity).map_err(Flaw::error)?;
        Ok(Self { name: remote.name.clone(), place: remote.place(), tls, pinned, kept: Mutex::default() })
    }

    /// The certificate that the server showed.
    pub(super) fn certificate(&self) -> Option<Vec<u8>> {
        self.pinned.seen()
    }

    fn unreachable(&self, error: &std::io::Error) -> Error {
        let address = match &self.place {
            Place::Unix(path) => path.display().to_string(),
            Place::Net(address) => address.clone(),
        };
        let errno = error.raw_os_error().unwrap_or(libc::EHOSTUNREACH);
        Error::Remote(RemoteFault::Unreachable { remote: self.name.clone(), address, errno })
    }

    /// That no answer came in time.
    pub(super) fn late(&self) -> Error {
        self.unreachable(&std::io::Error::from_raw_os_error(libc::ETIMEDOUT))
    }

    /// That the connection ended.
    pub(super) fn cut(&self) -> Error {
        Error::Remote(RemoteFault::Cut(self.name.clone()))
    }

    /// Opens one more connection.
    pub(super) async fn open(&self) -> Result<Box<dyn Pipe>> {
        let late = |_| self.late();
        match &self.place {
            Place::Unix(path) => {
                let stream = UnixStream::connect(path).await.map_err(|error| self.unreachable(&error))?;
                Ok(Box::new(stream))
            }
            Place::Net(address) => {
                let stream = tokio::time::timeout(PATIENCE, TcpStream::connect(address)).await.map_err(late)?;
                let stream = stream.map_err(|error| self.unreachable(&error))?;
                let set = stream.set_nodelay(true).and_then(|()| crate::kernel::keep_alive(&stream));
                set.map_err(|error| self.unreachable(&error))?;
                let host = address.rsplit_once(':').map_or(address.as_str(), |(host, _)| host).trim_matches(['[', ']']);
                let name = ServerName::try_from(host.to_owned()).map_err(|_| self.unreachable(&invalid()))?;
                let secured = TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream);
                match tokio::time::timeout(PATIENCE, secured).await.map_err(late)? {
                    Ok(secured) => Ok(Box::new(secured)),
                    Err(error) => Err(self.insecure(address, &error)),
                }
            }
        }
    }

    fn insecure(&self, address: &str, error: &std::io::Error) -> Error {
        let remote = self.name.clone();
        Error::Remote(match self.pinned.changed() {
            Some((old, new)) => RemoteFault::Changed { remote, old, new },
            None => RemoteFault::Handshake { remote, address: address.to_owned(), why: error.to_string() },
        })
    }

    async fn sender(&self) -> Result<SendRequest<Full<Bytes>>> {
        if let Some(mut kept) = self.kept.lock().await.take()
            && kept.ready().await.is_ok()
        {
            return Ok(kept);
        }
        let (sender, connection) = http1::handshake(TokioIo::new(self.open().await?)).await.map_err(|_| self.cut())?;
        tokio::spawn(connection);
        Ok(sender)
    }

    /// Sends a request and reads the whole answer.
    pub(super) async fn request(&self, request: Request<Full<Bytes>>) -> Result<Response> {
        let mut sender = self.sender().await?;
        let answer = sender.send_request(request).await.map_err(|_| self.cut())?;
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.map_err(|_| self.cut())?.to_bytes();
        self.kept.lock().await.replace(sender);
        Ok(Response { status: parts.status, headers: parts.headers, body })
    }

    /// Makes a websocket of a connection.
    pub(super) async fn socket(&self, pipe: Box<dyn Pipe>, path: &str) -> Result<Socket> {
        let address = match &self.place {
            Place::Unix(_) => "unix.socket",
            Place::Net(address) => address.as_str(),
        };
        let opened = tokio_tungstenite::client_async(format!("ws://{address}{path}"), pipe).await;
        opened.map(|(socket, _)| socket).map_err(|_| self.cut())
    }
}

fn invalid() -> std::io::Error {
    std::io::Error::from_raw_os_error(libc::EINVAL)
}

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

impl Client {
    /// Tells every event of these kinds (separated by commas) until `tell` has enough.
    ///
    /// # Errors
    /// When the server cannot be reached or ends the connection.
    pub fn events(&self, kinds: &str, tell: &mut dyn FnMut(&Value) -> Result<bool>) -> Result<()> {
        self.runtime.block_on(async {
            let pipe = self.wire.open().await?;
            let mut socket = self.wire.socket(pipe, &format!("/1.0/events?type={kinds}")).await?;
            while let Some(Ok(message)) = socket.next().await {
                let Message::Text(text) = message else { continue };
                let Ok(event) = serde_json::from_str(&text) else { continue };
                if !tell(&event)? {
                    return Ok(());
                }
            }
            Err(self.wire.cut())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::bare;

    #[test]
    fn an_address_gets_the_usual_port() {
        assert_eq!(bare("192.0.2.2"), "192.0.2.2:8443");
        assert_eq!(bare("https://192.0.2.2:9000/"), "192.0.2.2:9000");
        assert_eq!(bare("fd00::2"), "[fd00::2]:8443");
        assert_eq!(bare("[fd00::2]:9000"), "[fd00::2]:9000");
        assert_eq!(bare("host-b"), "host-b:8443");
    }
}
