//! The one table of what can be asked for, and who may.

use std::pin::Pin;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{HeaderMap, ORIGIN, UPGRADE};
use hyper::{Method, Request};

use super::agent::Agent;
use super::answer::{Answer, Fault};
use super::api::{certificates, instances, networks, server, sessions};
use super::request::{Call, Client};
use crate::lxd::url::{decoded, query};

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
    GET "/1.0/resources" Trusted server::resources,
    GET "/1.0/certificates" Trusted certificates::list,
    POST "/1.0/certificates" Anybody certificates::add,
    GET "/1.0/certificates/*" Trusted certificates::get,
    DELETE "/1.0/certificates/*" Trusted certificates::remove,
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
    GET "/1.0/networks" Trusted networks::list,
    POST "/1.0/networks" Trusted networks::create,
    GET "/1.0/networks/*" Trusted networks::get,
    PUT "/1.0/networks/*" Trusted networks::set,
    PATCH "/1.0/networks/*" Trusted networks::set,
    DELETE "/1.0/networks/*" Trusted networks::delete,
    GET "/1.0/networks/*/state" Trusted networks::state,
    GET "/1.0/profiles" Trusted networks::profiles,
    GET "/1.0/profiles/*" Trusted networks::profile,
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
    GET "/1.0/projects" Trusted server::projects,
    GET "/1.0/projects/*" Trusted server::project,
    GET "/1.0/storage-pools" Trusted server::pools,
    GET "/1.0/cluster" Trusted server::cluster,
    GET "/1.0/images" Trusted server::images,
    GET "/1.0/images/*" Trusted server::image,
    POST "/1.0/images/*/secret" Trusted server::secret,
    GET "/1.0/images/aliases" Trusted server::aliases,
    GET "/1.0/images/aliases/**" Trusted server::alias,
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
pub async fn answer(agent: Arc<Agent>, client: Client, request: Request<Incoming>) -> Answer {
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
