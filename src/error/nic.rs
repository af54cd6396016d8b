//! What is refused, allowed and taken back when a NIC of the machine is borrowed.

/// Why a NIC of the machine is left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// `lo`.
    Loopback,
    /// It is a port of an interface that is not the lab's.
    Port(String),
    /// It carries a default route.
    DefaultRoute(String),
    /// The SSH session comes in by it: the client.
    Ssh(std::net::IpAddr),
    /// It has an address and is to become a bridge's port.
    Address(String),
    /// It is wireless: access points drop the frames of other MAC addresses.
    Wifi,
    /// A service configures it, and would again.
    Managed(&'static str),
}

impl Refusal {
    /// What allows it all the same; none where nothing does.
    pub fn allow(&self) -> Option<Allow> {
        match self {
            Self::Loopback | Self::Port(_) => None,
            Self::DefaultRoute(_) => Some(Allow::DefaultRoute),
            Self::Ssh(_) => Some(Allow::Ssh),
            Self::Address(_) => Some(Allow::Address),
            Self::Wifi => Some(Allow::Wifi),
            Self::Managed(_) => Some(Allow::Managed),
        }
    }
}

/// What nslab does to a NIC only when it is told to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Allow {
    /// Take a NIC that carries a default route
    DefaultRoute,
    /// Take the NIC by which the SSH session comes in
    Ssh,
    /// Move the NIC's addresses and routes to the lab's bridge
    Address,
    /// Take a wireless NIC
    Wifi,
    /// Take a NIC that a service configures
    Managed,
}

impl Allow {
    /// The word on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::DefaultRoute => "default-route",
            Self::Ssh => "ssh",
            Self::Address => "address",
            Self::Wifi => "wifi",
            Self::Managed => "managed",
        }
    }
}

/// Why a change of a NIC was taken back.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rollback {
    /// Nobody confirmed it within so many seconds.
    Unconfirmed(u64),
    /// The nslab that made it ended half way.
    Cut,
    /// What was set did not come true: the fact, as its `ip` line.
    NotSo(String),
    /// Neighbours that answered before no longer did.
    Silent(Vec<std::net::IpAddr>),
}
