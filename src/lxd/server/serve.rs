//! Connections: who may have how many, for how long, and where their requests go.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_LENGTH, HeaderValue, TRANSFER_ENCODING};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, Interest};
use tokio::net::{TcpListener, UnixDatagram, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use super::Agent;
use super::answer::{Fault, Reply};
use super::call::Client;
use super::routes;
use super::trust::Certificate;
use crate::kernel::sys::fd;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How long the head of a request may take, and how long a connection may be idle.
const HEAD: Duration = Duration::from_secs(3);
/// How long somebody who is not trusted may stay.
const VISIT: Duration = Duration::from_secs(15);
/// Connections of clients that are not trusted, or not yet: the oldest goes for a new one.
const STRANGERS: usize = 256;
/// Connections of those that are: 64 commands at once with eight connections each, twice.
const FRIENDS: usize = 1024;
/// Header lines of a request.
const LINES: usize = 64;
/// Bytes of the head of a request.
const BYTES: usize = 32 << 10;

/// Those who have not shown yet that they are trusted, the oldest first.
#[derive(Default)]
struct Strangers(Mutex<VecDeque<AbortHandle>>);

impl Strangers {
    fn enter(&self, task: AbortHandle) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|one| !one.is_finished());
        if all.len() >= STRANGERS
            && let Some(oldest) = all.pop_front()
        {
            oldest.abort();
        }
        all.push_back(task);
    }

    fn leave(&self, id: tokio::task::Id) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|one| one.id() != id);
    }
}

/// Serves clients on the network.
pub async fn far(agent: Arc<Agent>, listener: TcpListener, tls: Arc<ServerConfig>) {
    let (strangers, friends) = (Arc::new(Strangers::default()), Arc::new(Semaphore::new(FRIENDS)));
    let acceptor = TlsAcceptor::from(tls);
    loop {
        let Ok((stream, from)) = listener.accept().await else {
            // Out of descriptors: they come back as connections end.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (agent, acceptor) = (Arc::clone(&agent), acceptor.clone());
        let (own, friends) = (Arc::clone(&strangers), Arc::clone(&friends));
        let task = tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await else { return };
            let shown = stream.get_ref().1.peer_certificates().and_then(|shown| shown.first());
            let certificate = shown.and_then(|leaf| Certificate::read(leaf));
            let client = Client::Far { certificate, from: from.ip() };
            let permit = client.is_trusted(&agent).then(|| friends.try_acquire_owned());
            match permit {
                None => {
                    let _ = tokio::time::timeout(VISIT, connection(agent, client, stream, None)).await;
                }
                Some(Err(_)) => {}
                Some(Ok(permit)) => {
                    if let Some(id) = tokio::task::try_id() {
                        own.leave(id);
                    }
                    let known = Arc::clone(&agent);
                    let name = client.name().to_owned();
                    tokio::select! {
                        () = connection(agent, client, stream, Some(permit)) => {}
                        () = known.trust.revoked(&name) => {}
                    }
                }
            }
        });
        strangers.enter(task.abort_handle());
    }
}

/// Serves root of this machine.
pub async fn local(agent: Arc<Agent>, listener: UnixListener) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        tokio::spawn(connection(Arc::clone(&agent), Client::Local, stream, None));
    }
}

/// Serves root in a sandbox of the host, whose connections somebody else has accepted.
pub async fn handed(agent: Arc<Agent>, socket: UnixDatagram) {
    while socket.readable().await.is_ok() {
        let came = socket.try_io(Interest::READABLE, || fd::receive(&socket, &mut [0; 16]).map_err(Into::into));
        for descriptor in came.map(|(_, descriptors)| descriptors).unwrap_or_default() {
            let stream = std::os::unix::net::UnixStream::from(descriptor);
            if stream.set_nonblocking(true).is_ok()
                && let Ok(stream) = UnixStream::from_std(stream)
            {
                tokio::spawn(connection(Arc::clone(&agent), Client::Local, stream, None));
            }
        }
    }
}

async fn connection<S>(agent: Arc<Agent>, client: Client, stream: S, permit: Option<OwnedSemaphorePermit>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|request| answered(Arc::clone(&agent), client.clone(), request));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD).max_headers(LINES).max_buf_size(BYTES).half_close(false);
    let _ = http.serve_connection(TokioIo::new(stream), service).with_upgrades().await;
    drop(permit);
}

async fn answered(agent: Arc<Agent>, client: Client, request: Request<Incoming>) -> Result<Reply, Infallible> {
    let chunked = request.headers().contains_key(TRANSFER_ENCODING);
    let mut reply = if chunked && request.headers().contains_key(CONTENT_LENGTH) {
        Fault::bad("A body has one length").reply()
    } else {
        routes::answer(agent, client, request).await.unwrap_or_else(|fault| fault.reply())
    };
    // What might be left of a body is no request.
    let refused = reply.status().as_u16() >= 400 && reply.status() != StatusCode::NOT_FOUND;
    if chunked || refused {
        reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(reply)
}
