//! A request: who sends it, what it says, and its connection as it becomes another protocol.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderValue, IF_MATCH, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE,
};
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::agent::Agent;
use super::answer::blocking;
use super::answer::{Answer, Fault, tag, whole};
use super::trust::Certificate;

/// Bytes of a body that is read whole.
const LONGEST: usize = 1 << 20;
/// How long such a body may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who is at the other end of a connection.
#[derive(Debug, Clone)]
pub enum Client {
    /// Root of this machine, by the socket that only root may open.
    Local,
    /// Somebody on the network.
    Far {
        /// The certificate that they showed, and whose key they have.
        certificate: Option<Certificate>,
        /// Their address.
        from: IpAddr,
    },
}

impl Client {
    /// The fingerprint of its certificate; `unix` for the local one.
    pub fn name(&self) -> &str {
        match self {
            Self::Local => "unix",
            Self::Far { certificate, .. } => certificate.as_ref().map_or("", |own| own.fingerprint.as_str()),
        }
    }

    /// Whether an agent trusts it now.
    pub fn is_trusted(&self, agent: &Agent) -> bool {
        match self {
            Self::Local => true,
            Self::Far { certificate, .. } => certificate.as_ref().is_some_and(|own| agent.trust.trusts(own)),
        }
    }
}

/// One request, on its way through the table of routes.
pub struct Call {
    /// The agent.
    pub agent: Arc<Agent>,
    /// Who asks.
    pub client: Client,
    /// The words of the path that stand for something, decoded.
    pub words: Vec<String>,
    /// The query, decoded.
    pub query: Vec<(String, String)>,
    /// The request itself, its body unread.
    pub request: Request<Incoming>,
}

impl Call {
    /// A word of the path.
    pub fn word(&self, at: usize) -> &str {
        self.words.get(at).map_or("", String::as_str)
    }

    /// The value of a key of the query.
    pub fn asked(&self, key: &str) -> Option<&str> {
        self.query.iter().find(|(own, _)| own == key).map(|(_, value)| value.as_str())
    }

    /// Refuses what is asked of another project or of a member of a cluster: there are none.
    ///
    /// # Errors
    /// 404 for another project, 400 for a member.
    pub fn means_here(&self) -> Result<(), Fault> {
        let other = |key: &str, own: &[&str]| self.asked(key).is_some_and(|word| !word.is_empty() && !own.contains(&word));
        if other("project", &["default", "*"]) {
            return Err(Fault::missing("Project"));
        }
        if other("target", &["none"]) { Err(Fault::bad("Target only allowed when clustered")) } else { Ok(()) }
    }

    /// Looks at something of the agent on a thread that may block.
    ///
    /// # Errors
    /// Those of the look; 500 where the thread ends without an answer.
    pub async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Agent) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let agent = Arc::clone(&self.agent);
        blocking(move || look(&agent)).await
    }

    /// How deep a list goes: 0 for paths alone.
    pub fn recursion(&self) -> u8 {
        self.asked("recursion").and_then(|depth| depth.parse().ok()).unwrap_or(0)
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        self.request.headers()
    }

    /// Whether what is there is replaced, not added to.
    pub fn replaces(&self) -> bool {
        self.request.method() == Method::PUT
    }

    /// Refuses a change of what somebody else has changed since it was read.
    ///
    /// # Errors
    /// 412 where the tag is another one.
    pub fn matches(&self, writable: &Value) -> Result<(), Fault> {
        match self.headers().get(IF_MATCH) {
            Some(seen) if !seen.is_empty() && seen.as_bytes() != tag(writable).as_bytes() => {
                Err(Fault::new(412, "ETag doesn't match: somebody else changed it"))
            }
            _ => Ok(()),
        }
    }

    /// The whole body.
    ///
    /// # Errors
    /// 413 for a body that is too long, 408 for one that does not come.
    pub async fn body(&mut self) -> Result<Bytes, Fault> {
        let long = || Fault::new(413, "Request body too large");
        let said = self.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        if said.is_some_and(|length| length > LONGEST) {
            return Err(long());
        }
        let whole = Limited::new(self.request.body_mut(), LONGEST).collect();
        match tokio::time::timeout(PATIENCE, whole).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(_)) => Err(long()),
            Err(_) => Err(Fault::new(408, "Request body too slow")),
        }
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// 400 where it is none of that shape; as [`Call::body`].
    pub async fn json<T: DeserializeOwned>(&mut self) -> Result<T, Fault> {
        let body = self.body().await?;
        serde_json::from_slice(&body).map_err(|error| Fault::bad(format!("Invalid request body: {error}")))
    }
}

/// Answers that the connection becomes another protocol, and hands it over as soon as it has. What `then` does with it ends
/// when the client is trusted no more.
pub fn upgraded<F, W>(call: &mut Call, protocol: &'static str, then: F) -> Answer
where
    F: FnOnce(Upgraded) -> W + Send + 'static,
    W: Future<Output = ()> + Send,
{
    let asked = call.headers().get(UPGRADE).and_then(|value| value.to_str().ok());
    if !asked.is_some_and(|asked| asked.eq_ignore_ascii_case(protocol)) {
        return Err(Fault::bad(format!("Not an upgrade to {protocol}")));
    }
    let coming = hyper::upgrade::on(&mut call.request);
    let (agent, client) = (call.agent.clone(), call.client.clone());
    tokio::spawn(async move {
        let Ok(pipe) = coming.await else { return };
        let revoked = async {
            match &client {
                Client::Local => std::future::pending().await,
                Client::Far { .. } => agent.trust.revoked(client.name()).await,
            }
        };
        tokio::select! {
            () = then(pipe) => {}
            () = revoked => {}
        }
    });
    let mut reply = Response::new(whole(""));
    *reply.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    reply.headers_mut().insert(UPGRADE, HeaderValue::from_static(protocol));
    Ok(reply)
}

/// As [`upgraded`], for a websocket.
///
/// # Errors
/// 400 where the request is for none.
pub fn opened<F, W>(call: &mut Call, then: F) -> Answer
where
    F: FnOnce(Upgraded) -> W + Send + 'static,
    W: Future<Output = ()> + Send,
{
    let Some(key) = call.headers().get(SEC_WEBSOCKET_KEY).map(|key| derive_accept_key(key.as_bytes())) else {
        return Err(Fault::bad("Not a websocket"));
    };
    let mut reply = upgraded(call, "websocket", then)?;
    if let Ok(accepted) = HeaderValue::from_str(&key) {
        reply.headers_mut().insert(SEC_WEBSOCKET_ACCEPT, accepted);
    }
    Ok(reply)
}
