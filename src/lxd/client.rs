//! The client of the API that LXD, Incus and nslab's agent speak: blocking outside, one thread of events inside. Requests to one
//! server over HTTP/1.1, each waited for; one connection more for each websocket.

mod exec;
mod instances;
mod remotes;

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
use serde_json::{Map, Value};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::Runtime;
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::tls::{Flaw, Identity, Pinned};
use crate::error::{Error, RemoteFault, Result};

pub use exec::{Ends, Exec};
pub use instances::{Action, Change, File, Kind, New, Owner};
pub use remotes::{Secret, Store, Token, add, directory, look};

/// The port of LXD, Incus and the agent.
pub const PORT: u16 = 8443;
/// How long a server may take to answer a call for a connection.
const PATIENCE: Duration = Duration::from_secs(5);

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

/// Where a server listens.
#[derive(Debug, Clone)]
enum Place {
    Unix(PathBuf),
    /// `HOST:PORT`
    Net(String),
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

    fn place(&self) -> Place {
        match self.address.strip_prefix("unix://") {
            Some(path) => Place::Unix(PathBuf::from(path)),
            None => Place::Net(bare(&self.address)),
        }
    }
}

/// `HOST:PORT` of an address as people type it.
fn bare(address: &str) -> String {
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

/// Text as one segment of a path or as a value of a query (RFC 3986).
pub fn quote(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// A server, and a connection to it while there is work.
pub struct Client {
    runtime: Runtime,
    wire: Wire,
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
        let (tls, pinned) = Pinned::config(remote.fingerprint.clone(), identity).map_err(Flaw::error)?;
        let wire = Wire { name: remote.name.clone(), place: remote.place(), tls, pinned, kept: Mutex::default() };
        Ok(Self { runtime, wire, limit: None })
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
    pub fn get(&self, path: &str) -> Result<Value> {
        self.ask(Method::GET, path, None).map(|answer| answer.metadata)
    }

    /// A request and its answer.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer> {
        let asked = self.wire.ask(method, path, body, &[]);
        self.runtime.block_on(async {
            match self.limit {
                Some(limit) => tokio::time::timeout(limit, asked).await.map_err(|_| self.wire.unreachable(libc::ETIMEDOUT))?,
                None => asked.await,
            }
        })
    }

    /// A request whose work is waited for: the operation's result, or what the server told.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses, or the work fails.
    pub fn finish(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        self.finish_with(method, path, body, &[])
    }

    /// Changes these keys of what is there, unless somebody else did so since it was read.
    ///
    /// # Errors
    /// As [`Self::finish`].
    pub fn edit(&self, path: &str, keys: &[&str], edit: impl FnOnce(&mut Value)) -> Result<()> {
        let Answer { mut metadata, tag, .. } = self.ask(Method::GET, path, None)?;
        edit(&mut metadata);
        let body: Value = keys.iter().map(|key| ((*key).to_owned(), metadata[*key].take())).collect::<Map<_, _>>().into();
        let seen = tag.as_deref().map(|tag| ("If-Match", tag));
        self.finish_with(Method::PUT, path, Some(&body), seen.as_slice()).map(drop)
    }

    fn finish_with(&self, method: Method, path: &str, body: Option<&Value>, headers: &[(&str, &str)]) -> Result<Value> {
        self.runtime.block_on(async {
            let Answer { metadata, operation, .. } = self.wire.ask(method, path, body, headers).await?;
            let Some(operation) = operation else { return Ok(metadata) };
            let ended = self.wire.wait(&operation).await?;
            match ended["err"].as_str().filter(|text| !text.is_empty()) {
                None => Ok(ended),
                Some(text) => {
                    let code = ended["status_code"].as_u64().and_then(|code| u16::try_from(code).ok()).unwrap_or(400);
                    Err(self.wire.refused(code, text))
                }
            }
        })
    }

    /// Tells every event of these kinds (separated by commas) until `report` has enough.
    ///
    /// # Errors
    /// When the server cannot be reached or ends the connection.
    pub fn events(&self, kinds: &str, report: &mut dyn FnMut(&Value) -> Result<bool>) -> Result<()> {
        self.runtime.block_on(async {
            let pipe = self.wire.open().await?;
            let mut socket = self.wire.socket(pipe, &format!("/1.0/events?type={kinds}")).await?;
            while let Some(Ok(message)) = socket.next().await {
                let Message::Text(text) = message else { continue };
                let Ok(event) = serde_json::from_str(&text) else { continue };
                if !report(&event)? {
                    return Ok(());
                }
            }
            Err(self.wire.cut())
        })
    }
}

/// What bytes go through.
trait Pipe: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Pipe for T {}

/// A websocket on a pipe.
type Socket = WebSocketStream<Box<dyn Pipe>>;

/// An answer as it came.
struct Response {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// A server and the way to it.
struct Wire {
    name: String,
    place: Place,
    tls: Arc<ClientConfig>,
    pinned: Arc<Pinned>,
    kept: Mutex<Option<SendRequest<Full<Bytes>>>>,
}

impl Wire {
    fn unreachable(&self, errno: i32) -> Error {
        let address = match &self.place {
            Place::Unix(path) => path.display().to_string(),
            Place::Net(address) => address.clone(),
        };
        Error::Remote(RemoteFault::Unreachable { remote: self.name.clone(), address, errno })
    }

    /// That the connection ended.
    fn cut(&self) -> Error {
        Error::Remote(RemoteFault::Cut(self.name.clone()))
    }

    fn no_api(&self) -> Error {
        Error::Remote(RemoteFault::NoApi(self.name.clone()))
    }

    fn refused(&self, code: u16, text: &str) -> Error {
        Error::Remote(RemoteFault::Refused { remote: self.name.clone(), code, text: text.to_owned() })
    }

    /// Opens one more connection.
    async fn open(&self) -> Result<Box<dyn Pipe>> {
        let late = |_| self.unreachable(libc::ETIMEDOUT);
        let failed = |error: std::io::Error| self.unreachable(error.raw_os_error().unwrap_or(libc::EHOSTUNREACH));
        let address = match &self.place {
            Place::Unix(path) => return Ok(Box::new(UnixStream::connect(path).await.map_err(failed)?)),
            Place::Net(address) => address,
        };
        let stream = tokio::time::timeout(PATIENCE, TcpStream::connect(address)).await.map_err(late)?.map_err(failed)?;
        stream.set_nodelay(true).and_then(|()| crate::kernel::keep_alive(&stream)).map_err(failed)?;
        let host = address.rsplit_once(':').map_or(address.as_str(), |(host, _)| host).trim_matches(['[', ']']);
        let name = ServerName::try_from(host.to_owned()).map_err(|_| self.unreachable(libc::EINVAL))?;
        let secured = TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream);
        let secured = tokio::time::timeout(PATIENCE, secured).await.map_err(late)?.map_err(|error| {
            let remote = self.name.clone();
            Error::Remote(match self.pinned.changed() {
                Some((old, new)) => RemoteFault::Changed { remote, old, new },
                None => RemoteFault::Handshake { remote, address: address.clone(), why: error.to_string() },
            })
        });
        Ok(Box::new(secured?))
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

    /// A request and its whole answer as it came.
    async fn send(&self, method: Method, path: &str, body: Option<Bytes>, headers: &[(&str, &str)]) -> Result<Response> {
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
        let request = request.body(Full::new(body.unwrap_or_default())).map_err(|error| Error::Internal(error.to_string()))?;
        let mut sender = self.sender().await?;
        let (parts, body) = sender.send_request(request).await.map_err(|_| self.cut())?.into_parts();
        let body = body.collect().await.map_err(|_| self.cut())?.to_bytes();
        self.kept.lock().await.replace(sender);
        Ok(Response { status: parts.status, headers: parts.headers, body })
    }

    /// A request with a JSON body and its answer.
    async fn ask(&self, method: Method, path: &str, body: Option<&Value>, headers: &[(&str, &str)]) -> Result<Answer> {
        let bytes = body.map(|body| Bytes::from(body.to_string()));
        self.answer(&self.send(method, path, bytes, headers).await?)
    }

    /// What is in the API's envelope.
    fn answer(&self, response: &Response) -> Result<Answer> {
        let mut envelope: Value = serde_json::from_slice(&response.body).map_err(|_| self.no_api())?;
        let operation = match envelope["type"].as_str() {
            Some("sync") => None,
            Some("async") => Some(envelope["operation"].as_str().ok_or_else(|| self.no_api())?.to_owned()),
            Some("error") => {
                let (code, text) = (response.status.as_u16(), envelope["error"].as_str().unwrap_or_default());
                return Err(match (code, text) {
                    (403, "not authorized") => Error::Remote(RemoteFault::Untrusted(self.name.clone())),
                    _ => self.refused(code, text),
                });
            }
            _ => return Err(self.no_api()),
        };
        let tag = response.headers.get("etag").and_then(|tag| tag.to_str().ok()).map(str::to_owned);
        Ok(Answer { metadata: envelope["metadata"].take(), tag, operation })
    }

    /// An operation, once it has ended.
    async fn wait(&self, operation: &str) -> Result<Value> {
        let path = format!("{operation}/wait?timeout=-1");
        self.ask(Method::GET, &path, None, &[]).await.map(|answer| answer.metadata)
    }

    /// Makes a websocket of a connection.
    async fn socket(&self, pipe: Box<dyn Pipe>, path: &str) -> Result<Socket> {
        let address = match &self.place {
            Place::Unix(_) => "unix.socket",
            Place::Net(address) => address.as_str(),
        };
        let opened = tokio_tungstenite::client_async(format!("ws://{address}{path}"), pipe).await;
        opened.map(|(socket, _)| socket).map_err(|_| self.cut())
    }
}

/// What a server says to a request that it takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// What it tells; of an operation the operation itself.
    pub metadata: Value,
    /// The tag of that state, by which a change can name it.
    pub tag: Option<String>,
    /// The path of the operation that works on it, where it is not done.
    pub operation: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::{bare, quote};

    #[test]
    fn an_address_gets_the_usual_port() {
        assert_eq!(bare("192.0.2.2"), "192.0.2.2:8443");
        assert_eq!(bare("https://192.0.2.2:9000/"), "192.0.2.2:9000");
        assert_eq!(bare("fd00::2"), "[fd00::2]:8443");
        assert_eq!(bare("[fd00::2]:9000"), "[fd00::2]:9000");
        assert_eq!(bare("host-b"), "host-b:8443");
    }

    #[test]
    fn names_cannot_leave_their_segment() {
        assert_eq!(quote("c1"), "c1");
        assert_eq!(quote("../1.0?x=y"), "..%2F1.0%3Fx%3Dy");
    }
}
