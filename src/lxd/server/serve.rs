//! The process of an agent and its connections: who may have how many, for how long, and where their requests go.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_LENGTH, HeaderValue, TRANSFER_ENCODING};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::io::{AsyncRead, AsyncWrite, Interest};
use tokio::net::{TcpListener, UnixDatagram, UnixListener, UnixStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use super::agent::{Agent, IN_USE};
use super::answer::{Fault, Reply};
use super::request::Client;
use super::routes;
use super::trust::Certificate;
use crate::error::{Error, Result};
use crate::kernel::sys::{fd, process};
use crate::lab::{Phase, agents, load};
use crate::lxd::tls::Flaw;
use crate::name::{LabName, NodeName};

/// Serves until it is told to end. Whoever started it hears on its standard input when it is ready.
///
/// # Errors
/// When it cannot begin.
pub fn stand(lab: &LabName, host: &NodeName) -> Result<()> {
    let _ = nix::unistd::setsid();
    process::ignore_terminal();
    let failed = |error: std::io::Error| Error::Internal(error.to_string());
    let mut starter = StdUnixStream::from(process::standard(0).try_clone_to_owned().map_err(failed)?);
    process::silence_input().map_err(|errno| failed(errno.into()))?;
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let result = runtime.block_on(async {
        let agent = match begin(lab, host).await {
            Ok(agent) => agent,
            Err(fault) => {
                let taken = fault.text.strip_suffix(IN_USE).filter(|_| fault.code == 409);
                let words = taken.map_or_else(|| fault.text.clone(), |at| format!("{}{at}", agents::TAKEN));
                let _ = starter.write_all(words.as_bytes());
                return Err(Error::Internal(fault.text));
            }
        };
        let mut ended = signal(SignalKind::terminate()).map_err(failed)?;
        let _ = starter.write_all(agents::READY.as_bytes());
        drop(starter);
        ended.recv().await;
        for operation in agent.operations.all() {
            operation.cut();
        }
        let _ = std::fs::remove_file(agents::socket(lab, host));
        Ok(())
    });
    runtime.shutdown_background();
    result
}

async fn begin(lab: &LabName, host: &NodeName) -> std::result::Result<Arc<Agent>, Fault> {
    let agent = Arc::new(Agent::open(lab.clone(), host.clone(), accept)?);
    let address = agent.config.address();
    match agent.listen(address.as_deref()).await {
        // An address that somebody gave the host by hand goes with the lab; root on this machine is served all the same.
        Err(fault) if address.is_some() && fault.code == 400 => {}
        listens => listens?,
    }
    let (path, handoff) = (agents::socket(lab, host), agents::handoff(lab, host));
    for path in [&path, &handoff] {
        let _ = std::fs::remove_file(path);
    }
    // The directory lets root alone in, before the socket's own mode does.
    let listener = UnixListener::bind(&path).map_err(|error| Flaw::File("listen on", path.clone(), error))?;
    let own = std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600));
    own.map_err(|error| Flaw::File("chmod", path.clone(), error))?;
    // Whoever takes the lab down says so before it looks for agents: one of the two sees the other.
    if load(lab)?.phase == Phase::Going {
        let _ = std::fs::remove_file(&path);
        return Err(Fault::missing("Lab"));
    }
    let handoff = UnixDatagram::bind(&handoff).map_err(|error| Flaw::File("listen on", handoff.clone(), error))?;
    tokio::spawn(local(Arc::clone(&agent), listener));
    tokio::spawn(handed(Arc::clone(&agent), handoff));
    Ok(agent)
}

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

/// Serves clients on the network as a task of its own.
fn accept(agent: Arc<Agent>, listener: TcpListener, tls: Arc<ServerConfig>) -> AbortHandle {
    tokio::spawn(far(agent, listener, tls)).abort_handle()
}

/// Serves clients on the network.
async fn far(agent: Arc<Agent>, listener: TcpListener, tls: Arc<ServerConfig>) {
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
async fn local(agent: Arc<Agent>, listener: UnixListener) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        tokio::spawn(connection(Arc::clone(&agent), Client::Local, stream, None));
    }
}

/// Serves root in a sandbox of the host, whose connections somebody else has accepted.
async fn handed(agent: Arc<Agent>, socket: UnixDatagram) {
    while socket.readable().await.is_ok() {
        let came = socket.try_io(Interest::READABLE, || fd::receive(&socket, &mut [0; 16]).map_err(Into::into));
        for descriptor in came.map(|(_, descriptors)| descriptors).unwrap_or_default() {
            let stream = StdUnixStream::from(descriptor);
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

async fn answered(agent: Arc<Agent>, client: Client, request: Request<Incoming>) -> std::result::Result<Reply, Infallible> {
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
