//! Connections to one server: HTTP/1.1 kept alive for requests, one more for each websocket.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{HeaderMap, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_tungstenite::WebSocketStream;

use super::tls::{self, Pinned};
use super::{Identity, Remote};
use crate::error::{Error, RemoteFault, Result};

/// How long a server may take to answer a call for a connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where a server listens.
#[derive(Debug, Clone)]
pub(super) enum Place {
    Unix(PathBuf),
    /// `HOST:PORT`
    Net(String),
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
        let (tls, pinned) = tls::config(remote.fingerprint.clone(), identity)?;
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
