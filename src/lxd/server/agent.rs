//! The agent of one host: what it knows, and where it listens on the network: addresses of its host, in its host's namespace.

use std::cell::LazyCell;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::AbortHandle;
use tokio_rustls::rustls::ServerConfig;

use super::answer::Fault;
use super::answer::blocking;
use super::config::Config;
use super::operations::{Bus, Logs, Operations};
use super::trust::Trust;
use crate::error::Error;
use crate::kernel;
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
    pub listeners: Listeners,
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
            identity: Identity::of(&store, Side::Server(host.as_str()))?,
            config: Config::open(store.join("config.json"))?,
            operations: Operations::new(bus.clone()),
            logs: Logs::default(),
            listeners: Listeners::default(),
            bus,
            accept,
            lab,
            host,
        })
    }

    /// Ends everything that a client has begun: it is trusted no more.
    pub fn cut(&self, fingerprint: &str) {
        for operation in self.operations.all() {
            if operation.client() == fingerprint {
                operation.cut();
            }
        }
    }
}

/// The sockets that an agent listens on.
#[derive(Debug, Default)]
pub struct Listeners(Mutex<BTreeMap<SocketAddr, AbortHandle>>);

impl Listeners {
    fn locked(&self) -> std::sync::MutexGuard<'_, BTreeMap<SocketAddr, AbortHandle>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The addresses that are listened on.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.locked().keys().copied().collect()
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
    /// The host's addresses that clients can be told.
    pub fn addresses(&self) -> Vec<String> {
        // Asked with every greeting of a client: looked up only where it listens at all of them.
        let all = LazyCell::new(|| self.with_present(self.own_addresses().unwrap_or_default()));
        let told = self.listeners.addresses().into_iter().flat_map(|address| {
            let each = if address.ip().is_unspecified() { all.clone() } else { vec![address.ip()] };
            each.into_iter().map(move |ip| SocketAddr::new(ip, address.port()).to_string())
        });
        told.collect()
    }

    /// These addresses, and what the host has beside them at the moment.
    fn with_present(&self, mut own: Vec<IpAddr>) -> Vec<IpAddr> {
        let found = kernel::present(&netns_path(&self.lab, &NodeId::Host(self.host.clone())));
        let mut others = found.ok().and_then(std::result::Result::ok).unwrap_or_default();
        others.retain(|ip| !own.contains(ip));
        own.extend(others);
        own
    }

    fn own_addresses(&self) -> Result<Vec<IpAddr>, Fault> {
        let topology = load(&self.lab)?.topology;
        topology.host(self.host.as_str()).map(own).ok_or_else(|| Fault::missing("Host"))
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
        let had = self.listeners.addresses();
        // A socket for all addresses of a port and one for one of them exclude each other.
        let clash = |one: &SocketAddr| wanted.iter().any(|new| one != new && one.port() == new.port());
        for address in had.iter().filter(|one| clash(one)) {
            self.close(address);
        }
        tokio::task::yield_now().await;
        let opened = self.open_all(&wanted).await;
        let kept = if opened.is_ok() { &wanted } else { &had };
        for address in self.listeners.addresses() {
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
        if let Some(task) = self.listeners.locked().remove(address) {
            task.abort();
        }
    }

    async fn open_all(self: &Arc<Self>, wanted: &[SocketAddr]) -> Result<(), Fault> {
        for address in wanted {
            if self.listeners.addresses().contains(address) {
                continue;
            }
            let (pin, at) = (netns_path(&self.lab, &NodeId::Host(self.host.clone())), *address);
            let socket = blocking(move || bind(&pin, at)).await?;
            let listener = tokio::net::TcpListener::from_std(socket).map_err(|error| Fault::new(500, error.to_string()))?;
            let tls = self.identity.serve()?;
            let task = (self.accept)(Arc::clone(self), listener, tls);
            self.listeners.locked().insert(*address, task);
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
