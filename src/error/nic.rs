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
    /// A service configures it, and would again; its process, where it is one of that interface alone.
    Managed(Service, Option<i32>),
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
            Self::Managed(..) => Some(Allow::Managed),
        }
    }
}

/// A service that configures interfaces by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub enum Service {
    /// Of most desktops.
    NetworkManager,
    /// Of systemd.
    #[serde(rename = "systemd-networkd")]
    Networkd,
    /// A DHCP client of one interface.
    #[serde(rename = "dhcpcd")]
    Dhcpcd,
    /// The same of all interfaces.
    #[serde(rename = "dhcpcd")]
    DhcpcdManager,
    /// A DHCP client.
    #[serde(rename = "dhclient")]
    Dhclient,
    /// A DHCP client, busybox's.
    #[serde(rename = "udhcpc")]
    Udhcpc,
}

impl Service {
    /// Its name, as it writes it itself.
    pub fn name(self) -> &'static str {
        match self {
            Self::NetworkManager => "NetworkManager",
            Self::Networkd => "systemd-networkd",
            Self::Dhcpcd | Self::DhcpcdManager => "dhcpcd",
            Self::Dhclient => "dhclient",
            Self::Udhcpc => "udhcpc",
        }
    }

    /// The commands by which it leaves an interface alone; `pid` is its process, where one is known.
    pub fn leave(self, interface: &str, pid: Option<i32>) -> Vec<String> {
        match self {
            Self::NetworkManager => vec![format!("sudo nmcli device set {interface} managed no")],
            Self::Networkd => vec![
                format!(
                    r"printf '%s\n' '[Match]' Name={interface} '[Link]' Unmanaged=yes | sudo tee /etc/systemd/network/00-{interface}.network"
                ),
                "sudo networkctl reload".to_owned(),
            ],
            Self::Dhcpcd => vec![format!("sudo dhcpcd -x {interface}")],
            // Its `-x` for one interface is refused before version 10, and what it reads anew is not this.
            Self::DhcpcdManager => vec![
                format!("sudo sed -i '1i denyinterfaces {interface}' /etc/dhcpcd.conf"),
                "sudo systemctl restart dhcpcd".to_owned(),
            ],
            // Its `-r` finds only one that has a lease and was started without `-pf`, which Debian gives it.
            Self::Dhclient | Self::Udhcpc => pid.map(|pid| format!("sudo kill {pid}")).into_iter().collect(),
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
