//! The server of LXD's API over one host of a lab: the process of an agent and its connections: who may have how many, for how
//! long, and where their requests go. Its texts are the API's own, in English, as its clients expect them.

mod agent;
pub mod answer;
pub mod exec;
pub mod sftp;
mod store;
pub mod streams;

/// What is asked for, by the kind of thing.
#[allow(clippy::unused_async, reason = "the table holds handlers of one type")]
pub mod api {
    pub mod instances;
    pub mod resources;
    pub mod server;
    pub mod sessions;
}

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderValue, ORIGIN, TRANSFER_ENCODING, UPGRADE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::io::{AsyncRead, AsyncWrite, Interest};
use tokio::net::{TcpListener, UnixDatagram, UnixListener, UnixStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use crate::error::{Error, Result};
use crate::kernel::sys::{fd, process};
use crate::lab::{Phase, agents, load};
use crate::lxd::tls::Flaw;
use crate::name::{LabName, NodeName};
use agent::{Agent, Call, Client, IN_USE};
use answer::{Answer, Fault, Reply, locked};
use api::{instances, resources, server, sessions};
use store::Certificate;

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
    let agent = Arc::new(Agent::open(lab.clone(), host.clone(), |agent, listener, tls| {
        tokio::spawn(serve_network(agent, listener, tls)).abort_handle()
    })?);
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
        let mut all = locked(&self.0);
        all.retain(|one| !one.is_finished());
        if all.len() >= STRANGERS
            && let Some(oldest) = all.pop_front()
        {
            oldest.abort();
        }
        all.push_back(task);
    }

    fn leave(&self, id: tokio::task::Id) {
        locked(&self.0).retain(|one| one.id() != id);
    }
}

/// Serves clients on the network.
async fn serve_network(agent: Arc<Agent>, listener: TcpListener, tls: Arc<ServerConfig>) {
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

async fn connection(
    agent: Arc<Agent>,
    client: Client,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    permit: Option<OwnedSemaphorePermit>,
) {
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
        route(agent, client, request).await.unwrap_or_else(|fault| fault.reply())
    };
    // What might be left of a body is no request.
    let refused = reply.status().as_u16() >= 400 && reply.status() != StatusCode::NOT_FOUND;
    if chunked || refused {
        reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(reply)
}

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// Anybody who reaches the agent.
    Anybody,
    /// Clients that are trusted.
    Trusted,
}

type Handler = fn(Call) -> Pin<Box<dyn Future<Output = Answer> + Send>>;

/// One thing that can be asked for.
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path; `*` stands for one word, `**` for all that follow.
    pub path: &'static str,
    /// Who may ask.
    pub right: Right,
    handler: Handler,
}

macro_rules! routes {
    ($($method:ident $path:literal $right:ident $($handler:ident)::+),* $(,)?) => {
        /// Everything that can be asked for.
        pub const ROUTES: &[Route] = &[$(
            Route {
                method: Method::$method,
                path: $path,
                right: Right::$right,
                handler: |call| Box::pin($($handler)::+(call)),
            },
        )*];
    };
}

routes! {
    GET "/" Anybody server::versions,
    GET "/1.0" Anybody server::get,
    PUT "/1.0" Trusted server::set,
    PATCH "/1.0" Trusted server::set,
    GET "/1.0/resources" Trusted server::machine,
    GET "/1.0/certificates" Trusted server::clients,
    POST "/1.0/certificates" Anybody server::trust,
    GET "/1.0/certificates/*" Trusted server::client,
    DELETE "/1.0/certificates/*" Trusted server::distrust,
    GET "/1.0/events" Trusted server::events,
    GET "/1.0/operations" Trusted server::operations,
    GET "/1.0/operations/*" Trusted server::operation,
    DELETE "/1.0/operations/*" Trusted server::cancel,
    GET "/1.0/operations/*/wait" Trusted server::wait,
    GET "/1.0/operations/*/websocket" Trusted server::websocket,
    GET "/1.0/instances" Trusted instances::list,
    POST "/1.0/instances" Trusted instances::create,
    GET "/1.0/instances/*" Trusted instances::get,
    PUT "/1.0/instances/*" Trusted instances::set,
    PATCH "/1.0/instances/*" Trusted instances::set,
    POST "/1.0/instances/*" Trusted instances::rename,
    DELETE "/1.0/instances/*" Trusted instances::delete,
    GET "/1.0/instances/*/state" Trusted instances::state,
    PUT "/1.0/instances/*/state" Trusted instances::act,
    GET "/1.0/instances/*/snapshots" Trusted instances::snapshots,
    GET "/1.0/networks" Trusted resources::list,
    POST "/1.0/networks" Trusted resources::create,
    GET "/1.0/networks/*" Trusted resources::get,
    PUT "/1.0/networks/*" Trusted resources::set,
    PATCH "/1.0/networks/*" Trusted resources::set,
    DELETE "/1.0/networks/*" Trusted resources::delete,
    GET "/1.0/networks/*/state" Trusted resources::state,
    GET "/1.0/profiles" Trusted resources::profiles,
    GET "/1.0/profiles/*" Trusted resources::profile,
    POST "/1.0/instances/*/exec" Trusted sessions::exec,
    POST "/1.0/instances/*/console" Trusted sessions::console,
    GET "/1.0/instances/*/console" Trusted sessions::console_log,
    DELETE "/1.0/instances/*/console" Trusted sessions::clear_console,
    GET "/1.0/instances/*/logs" Trusted sessions::logs,
    GET "/1.0/instances/*/logs/*" Trusted sessions::log,
    DELETE "/1.0/instances/*/logs/*" Trusted sessions::forget_log,
    GET "/1.0/instances/*/files" Trusted sessions::file,
    HEAD "/1.0/instances/*/files" Trusted sessions::file,
    POST "/1.0/instances/*/files" Trusted sessions::file,
    DELETE "/1.0/instances/*/files" Trusted sessions::file,
    GET "/1.0/instances/*/sftp" Trusted sessions::sftp,
    GET "/1.0/projects" Trusted resources::projects,
    GET "/1.0/projects/*" Trusted resources::project,
    GET "/1.0/storage-pools" Trusted resources::pools,
    GET "/1.0/cluster" Trusted resources::cluster,
    GET "/1.0/images" Trusted resources::images,
    GET "/1.0/images/*" Trusted resources::image,
    POST "/1.0/images/*/secret" Trusted resources::secret,
    GET "/1.0/images/aliases" Trusted resources::aliases,
    GET "/1.0/images/aliases/**" Trusted resources::alias,
}

/// Decodes `%41` of a part of a URL (RFC 3986), more strictly than the crates for it: none where that is no text or holds NUL.
pub fn decoded(part: &str, plus: bool) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::with_capacity(part.len()), part.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        bytes.push(match first {
            b'%' => {
                let digit = |at: usize| char::from(*after.get(at)?).to_digit(16);
                rest = after.get(2..)?;
                u8::try_from(digit(0)? * 16 + digit(1)?).ok()?
            }
            b'+' if plus => b' ',
            other => *other,
        });
    }
    String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
}

/// The keys and values of a query.
fn query(text: &str) -> Option<Vec<(String, String)>> {
    let pair = |part: &str| {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        Some((decoded(key, true)?, decoded(value, true)?))
    };
    text.split('&').filter(|part| !part.is_empty()).map(pair).collect()
}

/// The words of a path that a pattern's stars stand for.
fn matched(pattern: &str, path: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let (mut wanted, mut there) = (pattern.split('/'), path.split('/'));
    loop {
        match (wanted.next(), there.next()) {
            (None, None) => return Some(words),
            (Some("*"), Some(word)) if !word.is_empty() => words.push(decoded(word, false)?),
            (Some("**"), Some(first)) if !first.is_empty() => {
                let rest = there.fold(first.to_owned(), |rest, word| rest + "/" + word);
                words.push(decoded(&rest, false)?);
                return Some(words);
            }
            (Some(own), Some(word)) if own == word => {}
            _ => return None,
        }
    }
}

/// A page of another site, seen by a browser that has a client's certificate.
fn is_foreign(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site");
    site || headers.contains_key(ORIGIN)
}

/// Answers a request, if there is something to ask for and the client may.
///
/// # Errors
/// 403 before anything of the request is read; 404, 405; those of the handler.
async fn route(agent: Arc<Agent>, client: Client, request: Request<Incoming>) -> Answer {
    let path = request.uri().path();
    let path = if path.len() > 1 { path.trim_end_matches('/') } else { path };
    let here: Vec<(&Route, Vec<String>)> = ROUTES.iter().filter_map(|route| Some((route, matched(route.path, path)?))).collect();
    // A word that stands for itself goes before a star.
    let plain = |route: &Route| route.path.matches('*').count();
    let found = here.into_iter().filter(|(route, _)| route.method == *request.method()).min_by_key(|(route, _)| plain(route));
    let right = found.as_ref().map_or(Right::Trusted, |(route, _)| route.right);
    if right == Right::Trusted && !client.is_trusted(&agent) {
        return Err(Fault::new(403, "not authorized"));
    }
    let reads = matches!(*request.method(), Method::GET | Method::HEAD) && !request.headers().contains_key(UPGRADE);
    if !reads && is_foreign(request.headers()) {
        return Err(Fault::new(403, "Requests of other sites are refused"));
    }
    let Some((route, words)) = found else { return Err(Fault::new(404, "not found")) };
    let query = query(request.uri().query().unwrap_or_default()).ok_or_else(|| Fault::bad("Invalid query"))?;
    let call = Call { agent, client, words, query, request };
    call.means_here()?;
    (route.handler)(call).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_url_is_decoded_and_nonsense_is_not() {
        assert_eq!(decoded("%2Ftmp%2fa+b", false).as_deref(), Some("/tmp/a+b"));
        assert_eq!(decoded("a+b%20c", true).as_deref(), Some("a b c"));
        for bad in ["%", "%4", "%2", "%zz", "%00", "%ff", "%+1"] {
            assert_eq!(decoded(bad, false), None, "{bad}");
            assert_eq!(query(&format!("path={bad}")), None, "{bad}");
        }
        let pairs = query("filter=&recursion=2&x").unwrap_or_default();
        assert_eq!(pairs, [("filter", ""), ("recursion", "2"), ("x", "")].map(|(a, b)| (a.to_owned(), b.to_owned())));
        let pairs = query("project=default&path=..%2F..%2Fetc+b").unwrap_or_default();
        assert_eq!(pairs[1], ("path".to_owned(), "../../etc b".to_owned()));
    }
}
