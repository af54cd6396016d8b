//! Why a container cannot be launched, stopped or changed as asked.

/// What is in the way of a change of an instance or of a network for instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstanceFault {
    /// Its host has one of that name already: `HOST/NAME`.
    Exists(String),
    /// It runs already, or must not for that: `HOST/NAME`.
    Running(String),
    /// It is stopped already, or must not be for that.
    Stopped(String),
    /// It is paused already, or must not be for that.
    Frozen(String),
    /// The node is no container.
    NoContainer(String),
    /// A device makes no NIC: its name, and why.
    Device(String, DeviceFault),
    /// The interface that is to move in is not in the host, or is part of the lab: the host, the interface.
    NoLink(String, String),
    /// The host has a network or interface of that name already: the host, the name.
    NetworkExists(String, String),
    /// The network is of the file, or is no network: the host, the name.
    NoNetwork(String, String),
    /// NICs are plugged into the network: its name, the containers.
    NetworkInUse(String, Vec<String>),
    /// A key of a network has a value that it cannot have: the key, the value.
    NetworkValue(String, String),
    /// Every number or address that it needs is taken.
    Full(String),
}

/// Why a device makes no NIC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceFault {
    /// The key is missing.
    Missing(&'static str),
    /// The key has a value that it cannot have.
    Value(&'static str, String),
    /// The host has no such bridge or network.
    NoBridge(String),
    /// The host has an interface of that name already.
    Taken(String),
    /// The instance has two NICs of that name.
    Twice(String),
}

impl InstanceFault {
    /// The process exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NoContainer(_) | Self::Device(..) | Self::NetworkValue(..) | Self::NoNetwork(..) | Self::NoLink(..) => 2,
            Self::Exists(_)
            | Self::Running(_)
            | Self::Stopped(_)
            | Self::Frozen(_)
            | Self::NetworkExists(..)
            | Self::NetworkInUse(..)
            | Self::Full(_) => 4,
        }
    }
}
