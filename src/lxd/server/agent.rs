//! The agent of one host: what it knows, and where it listens on the network: addresses of its host, in its host's namespace; and
//! a request to it: who sends it, what it says, and its connection as it becomes another protocol.

use std::cell::LazyCell;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderValue, IF_MATCH, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE,
};
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::task::AbortHandle;
use tokio_rustls::rustls::ServerConfig;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::answer::{Answer, Bus, Fault, Operations, blocking, locked, tag, whole};
use super::store::{Certificate, Config, Logs, Trust};
use crate::error::Error;
use crate::kernel;
use crate::kernel::inspect::Pin;
use crate::kernel::sys::process;
use crate::lab::paths::netns_path;
use crate::lab::{agents, load};
use crate::lxd::client::PORT;
use crate::lxd::tls::{Flaw, Identity, Side};
use crate::name::{LabName, NodeName};
use crate::plan::NodeId;
use crate::topology::{Attach, Host};

/// Serves clients on a socket of the network, as a task of its own.
pub type Accept = fn(Arc<Agent>, tokio::net::TcpListener, Arc<ServerConfig>) -> AbortHandle;

/// The agent of one host.
pub struct Agent {
    /// Its lab.
    pub lab: LabName,
    /// Its host.
    pub host: NodeName,
    /// Whom it trusts.
    pub trust: Trust,
    /// What is under way.
    pub operations: Operations,
    /// What was recorded of instances.
    pub logs: Logs,
    /// Where it tells what happens.
    pub bus: Bus,
    /// Its key and certificate.
    pub identity: Identity,
    /// How it is configured.
    pub config: Config,
    /// Where it listens.
    listeners: Mutex<BTreeMap<SocketAddr, AbortHandle>>,
    accept: Accept,
}

impl Agent {
    /// An agent with its key, its trust store and its configuration, which are made where there are none.
    ///
    /// # Errors
    /// When its files are damaged or cannot be read or written.
    pub fn open(lab: LabName, host: NodeName, accept: Accept) -> Result<Self, Fault> {
        let store = agents::store(&lab, &host);
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&store);
        made.map_err(|error| Flaw::File("mkdir", store.clone(), error))?;
        let bus = Bus::default();
        Ok(Self {
            trust: Trust::open(store.join("trust.json"))?,
            identity: Identity::load_or_create(&store, Side::Server(host.as_str()))?,
            config: Config::open(store.join("config.json"))?,
            operations: Operations::new(bus.clone()),
            logs: Logs::default(),
            listeners: Mutex::default(),
            bus,
            accept,
            lab,
            host,
        })
    }

    /// Ends everything that a client has begun: it is trusted no more.
    pub fn cut(&self, fingerprint: &str) {
        let all = self.operations.all();
        all.iter().filter(|operation| operation.new.client == fingerprint).for_each(|operation| operation.cut());
    }
}

/// A host's own addresses in the lab: of its NICs, and of its bridges that a network is plugged into.
pub fn own(host: &Host) -> Vec<IpAddr> {
    let nics = host.nics.iter().filter(|nic| matches!(nic.attach, Attach::Network(_))).flat_map(|nic| &nic.addresses);
    let bridges = host.bridges.iter().filter(|bridge| !bridge.ports.is_empty()).flat_map(|bridge| &bridge.addresses);
    nics.chain(bridges).map(ipnet::IpNet::addr).collect()
}

/// What `core.https_address` says.
fn read(text: &str, own: &[IpAddr]) -> Result<Vec<SocketAddr>, Fault> {
    let wrong = || Fault::bad(format!("Invalid address {text:?}"));
    if text == "none" {
        return Ok(Vec::new());
    }
    let all = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    if let Some(port) = text.strip_prefix(':') {
        return Ok(vec![SocketAddr::new(all, port.parse().map_err(|_| wrong())?)]);
    }
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let address: SocketAddr = match (text.parse(), bare.parse::<IpAddr>()) {
        (Ok(address), _) => address,
        (_, Ok(address)) => SocketAddr::new(address, PORT),
        _ => return Err(wrong()),
    };
    let known = address.ip().is_unspecified() || own.contains(&address.ip()) || address.ip().is_loopback();
    if known { Ok(vec![address]) } else { Err(Fault::bad(format!("{} is no address of this host", address.ip()))) }
}

impl Agent {
    /// The addresses that are listened on.
    pub fn listening(&self) -> Vec<SocketAddr> {
        locked(&self.listeners).keys().copied().collect()
    }

    /// The host's addresses that clients can be told.
    pub fn addresses(&self) -> Vec<String> {
        // Asked with every greeting of a client: looked up only where it listens at all of them.
        let all = LazyCell::new(|| self.with_present(self.own_addresses().unwrap_or_default()));
        let addresses = self.listening().into_iter().flat_map(|address| {
            let each = if address.ip().is_unspecified() { all.clone() } else { vec![address.ip()] };
            each.into_iter().map(move |ip| SocketAddr::new(ip, address.port()).to_string())
        });
        addresses.collect()
    }

    /// These addresses, and what the host has beside them at the moment.
    fn with_present(&self, mut own: Vec<IpAddr>) -> Vec<IpAddr> {
        let found = kernel::present(&self.pin().path);
        let mut others = found.ok().and_then(std::result::Result::ok).unwrap_or_default();
        others.retain(|ip| !own.contains(ip));
        own.extend(others);
        own
    }

    /// The host as its lab has it now.
    ///
    /// # Errors
    /// 404 where the lab or the host is gone.
    pub fn described(&self) -> Result<Host, Fault> {
        let topology = load(&self.lab)?.topology;
        topology.hosts.into_iter().find(|host| host.name == self.host).ok_or_else(|| Fault::missing("Host"))
    }

    /// The host's namespace, to be looked into.
    pub fn pin(&self) -> Pin {
        let node = NodeId::Host(self.host.clone());
        Pin { node: node.to_string(), path: netns_path(&self.lab, &node) }
    }

    fn own_addresses(&self) -> Result<Vec<IpAddr>, Fault> {
        self.described().map(|host| own(&host))
    }

    /// Listens where the configuration says; what is no more there is left once the new is open.
    ///
    /// # Errors
    /// 400 for an address that the host has not, 409 for a port that is taken.
    pub async fn listen(self: &Arc<Self>, wish: Option<&str>) -> Result<(), Fault> {
        let (agent, wish) = (Arc::clone(self), wish.map(str::to_owned));
        let wanted = blocking(move || {
            let own = agent.own_addresses()?;
            match wish {
                Some(text) => read(&text, &agent.with_present(own)),
                None => Ok(own.into_iter().map(|ip| SocketAddr::new(ip, PORT)).collect()),
            }
        })
        .await?;
        let had = self.listening();
        // A socket for all addresses of a port and one for one of them exclude each other.
        let clash = |one: &SocketAddr| wanted.iter().any(|new| one != new && one.port() == new.port());
        for address in had.iter().filter(|one| clash(one)) {
            self.close(address);
        }
        tokio::task::yield_now().await;
        let opened = self.open_all(&wanted).await;
        let kept = if opened.is_ok() { &wanted } else { &had };
        for address in self.listening() {
            if !kept.contains(&address) {
                self.close(&address);
            }
        }
        if opened.is_err() {
            tokio::task::yield_now().await;
            let _ = self.open_all(&had).await;
        }
        opened
    }

    fn close(&self, address: &SocketAddr) {
        if let Some(task) = locked(&self.listeners).remove(address) {
            task.abort();
        }
    }

    async fn open_all(self: &Arc<Self>, wanted: &[SocketAddr]) -> Result<(), Fault> {
        for address in wanted {
            if self.listening().contains(address) {
                continue;
            }
            let (pin, at) = (self.pin().path, *address);
            let socket = blocking(move || bind(&pin, at)).await?;
            let listener = tokio::net::TcpListener::from_std(socket).map_err(|error| Fault::new(500, error.to_string()))?;
            let tls = self.identity.serve()?;
            let task = (self.accept)(Arc::clone(self), listener, tls);
            locked(&self.listeners).insert(*address, task);
        }
        Ok(())
    }
}

/// What follows an address that somebody else listens at.
pub const IN_USE: &str = " is in use";

/// Listens in the host's namespace.
fn bind(pin: &std::path::Path, at: SocketAddr) -> Result<TcpListener, Fault> {
    kernel::listen(pin, at)?.map_err(|error| match process::errno(&error) {
        nix::errno::Errno::EADDRINUSE => Fault::new(409, format!("{at}{IN_USE}")),
        errno => Fault::from(Error::kernel(None, format!("listen on {at}"), errno)),
    })
}

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

    /// The body as JSON.
    ///
    /// # Errors
    /// 413 for a body that is too long, 408 for one that does not come, 400 where it is none of that shape.
    pub async fn json<T: DeserializeOwned>(&mut self) -> Result<T, Fault> {
        let long = || Fault::new(413, "Request body too large");
        let declared = self.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        if declared.is_some_and(|length| length > LONGEST) {
            return Err(long());
        }
        let whole = Limited::new(self.request.body_mut(), LONGEST).collect();
        let late = |_| Fault::new(408, "Request body too slow");
        let body = tokio::time::timeout(PATIENCE, whole).await.map_err(late)?.map_err(|_| long())?.to_bytes();
        serde_json::from_slice(&body).map_err(|error| Fault::bad(format!("Invalid request body: {error}")))
    }
}

/// Answers that the connection becomes another protocol, and hands it over as soon as it has. What `then` does with it ends
/// when the client is trusted no more.
pub fn upgraded<W: Future<Output = ()> + Send>(
    call: &mut Call,
    protocol: &'static str,
    then: impl FnOnce(Upgraded) -> W + Send + 'static,
) -> Answer {
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
pub fn opened<W: Future<Output = ()> + Send>(call: &mut Call, then: impl FnOnce(Upgraded) -> W + Send + 'static) -> Answer {
    let Some(key) = call.headers().get(SEC_WEBSOCKET_KEY).map(|key| derive_accept_key(key.as_bytes())) else {
        return Err(Fault::bad("Not a websocket"));
    };
    let mut reply = upgraded(call, "websocket", then)?;
    if let Ok(accepted) = HeaderValue::from_str(&key) {
        reply.headers_mut().insert(SEC_WEBSOCKET_ACCEPT, accepted);
    }
    Ok(reply)
}
