//! The server of LXD's API over one host of a lab. Its texts are the API's own, in English, as its clients expect them.

pub mod answer;
mod api;
pub mod call;
mod clock;
mod config;
pub mod door;
pub mod events;
pub mod exec;
pub mod files;
mod identity;
pub mod life;
mod listen;
pub mod logs;
pub mod operations;
pub mod order;
mod pump;
pub mod routes;
pub mod secret;
mod serve;
pub mod sftp;
pub mod trust;
pub mod websocket;

use crate::error::Result;
use crate::lab::agents;
use crate::name::{LabName, NodeName};
use config::Config;
use events::Bus;
use identity::Identity;
use listen::Listeners;
use operations::Operations;
use trust::Trust;

/// The port of LXD and of the agent.
pub const PORT: u16 = 8443;

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
    pub logs: logs::Logs,
    /// Where it tells what happens.
    pub bus: Bus,
    identity: Identity,
    config: Config,
    listeners: Listeners,
}

impl Agent {
    /// An agent with its key, its trust store and its configuration, which are made where there are none.
    ///
    /// # Errors
    /// When its files are damaged or cannot be read or written.
    fn open(lab: LabName, host: NodeName) -> Result<Self> {
        let store = agents::store(&lab, &host);
        identity::directory(&store)?;
        let bus = Bus::default();
        Ok(Self {
            trust: Trust::open(store.join("trust.json"))?,
            identity: Identity::of(&store, host.as_str())?,
            config: Config::open(store.join("config.json"))?,
            operations: Operations::new(bus.clone()),
            logs: logs::Logs::default(),
            listeners: Listeners::default(),
            bus,
            lab,
            host,
        })
    }

    /// Ends everything that a client has begun: it is trusted no more.
    fn cut(&self, fingerprint: &str) {
        for operation in self.operations.all() {
            if operation.client() == fingerprint {
                operation.cut();
            }
        }
    }
}
