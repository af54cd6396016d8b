//! Reports on the machine's own NICs.

use serde::Serialize;

/// `up --dry-run`: what becomes of one NIC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The NIC.
    pub nic: String,
    /// As it is.
    pub now: Wiring,
    /// As it would be.
    pub then: Wiring,
    /// What `--allow` must name before nslab does it; null where nothing makes it.
    pub allow: Option<Vec<String>>,
}

/// How a NIC is set up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Wiring {
    /// Administratively up.
    pub up: bool,
    /// Bytes of payload per frame.
    pub mtu: u32,
    /// The interface that it is a port of.
    pub master: Option<String>,
    /// The addresses that are its own, or its bridge's where they have moved there.
    pub addresses: Vec<String>,
    /// The routes through it, or through its bridge.
    pub routes: Vec<String>,
}

/// A setting of the machine that changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// Its name, as `sysctl` takes it.
    pub name: String,
    /// Its value.
    pub now: String,
    /// Its value afterwards.
    pub then: String,
}

/// What becomes of the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// Its NICs.
    pub nics: Vec<Change>,
    /// Its settings.
    pub settings: Vec<Setting>,
}
