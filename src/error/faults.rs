//! Why what was asked for is in the way of itself or of something else, by its subject: agents, remotes, instances, the part that a
//! machine plays, its NICs, capture filters, values of options.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::ValueEnum;
use ipnet::IpNet;

/// What is in the way of the agent of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentFault {
    /// Somebody else listens where it would: the host, the address with its port.
    Taken(String, String),
    /// It ended before it was ready: the host, its words.
    Failed(String, String),
    /// It does not run: the host.
    Stopped(String),
    /// It runs and does not answer: the host.
    Silent(String),
    /// It listens nowhere on the network, so a token would be of no use: the host.
    Nowhere(String),
    /// Nothing is kept of a lab's agents: the lab.
    NothingKept(String),
}

/// Why a remote did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemoteFault {
    /// No connection comes about.
    Unreachable {
        /// The remote, or the address where it has no name yet.
        remote: String,
        /// Where it should be.
        address: String,
        /// The system's error number.
        errno: i32,
    },
    /// Something answers, but no TLS 1.3 as agents speak it.
    Handshake {
        /// The remote.
        remote: String,
        /// Where it is.
        address: String,
        /// What the TLS library says.
        why: String,
    },
    /// The server has another certificate than the one that was pinned: SHA-256 in hexadecimal digits.
    Changed {
        /// The remote.
        remote: String,
        /// What was pinned.
        old: String,
        /// What the server shows.
        new: String,
    },
    /// The server does not trust this client.
    Untrusted(String),
    /// The server refuses, in its own words.
    Refused {
        /// The remote.
        remote: String,
        /// The code, as in HTTP.
        code: u16,
        /// Its words.
        text: String,
    },
    /// What answers does not speak the API of LXD.
    NoApi(String),
    /// The connection ended before the work did.
    Cut(String),
    /// Neither a token nor an address: what was typed.
    NoToken(String),
    /// There is a remote of that name.
    Exists(String),
    /// A file of the known remotes can be neither read nor written.
    Store {
        /// The file.
        file: PathBuf,
        /// The system's error number.
        errno: i32,
    },
    /// A file of the known remotes is damaged.
    Damaged(PathBuf),
}

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
    /// A key of its configuration cannot be set, and whether LXD knows it.
    Config(String, bool),
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
    /// LXD has no such option for it.
    Unknown(String),
    /// LXD has no such type.
    Type(String),
    /// LXD does it, nslab does not: `KEY=VALUE`.
    Unserved(String),
}

/// Why this machine cannot play the host as asked; nothing was touched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoleFault {
    /// No NIC of the machine is free for that of the host.
    NoNic {
        /// The host.
        host: String,
        /// Its NIC, as the topology calls it.
        nic: String,
        /// Every NIC of the machine.
        cards: Vec<Card>,
    },
    /// Several are free.
    ManyNics {
        /// The host.
        host: String,
        /// Its NIC, as the topology calls it.
        nic: String,
        /// Every NIC of the machine.
        cards: Vec<Card>,
    },
    /// The machine has no such NIC.
    MissingNic {
        /// What was asked for.
        nic: String,
        /// Every NIC of the machine.
        cards: Vec<Card>,
    },
    /// The host has several NICs, and it is not said which real one stands for which.
    WhichNic {
        /// The host.
        host: String,
        /// Its NICs that have none.
        nics: Vec<String>,
    },
    /// One real NIC was named for two.
    TwiceNic(String),
    /// The lab has another NIC already.
    Plugged {
        /// The lab.
        lab: String,
        /// The NICs that it has.
        nics: Vec<String>,
    },
    /// A subnet of the lab is one of the machine's own.
    Reachable {
        /// The lab's.
        subnet: IpNet,
        /// The machine's.
        known: IpNet,
        /// The interface that it is reached by.
        dev: String,
    },
    /// The lab is up as another host, or as a whole.
    Other {
        /// The lab.
        lab: String,
        /// The host that the machine plays; none where the lab is a whole one.
        now: Option<String>,
    },
    /// The node is on the machine that plays its host.
    Elsewhere {
        /// The node.
        node: String,
        /// Its host.
        host: String,
        /// The lab.
        lab: String,
    },
}

/// A network interface of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// Its name.
    pub name: String,
    /// Administratively up.
    pub up: bool,
    /// What it is used for.
    pub using: Using,
}

/// What an interface of the machine is used for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Using {
    /// Nothing: a real NIC without an address.
    Nothing,
    /// The machine's default route.
    DefaultRoute,
    /// It has an address.
    Address(IpNet),
    /// It is a port of that bridge.
    Port(String),
    /// It is no NIC but made by software, of that kind.
    Software(String),
}

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
    Ssh(IpAddr),
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
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
    pub fn word(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
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
    Silent(Vec<IpAddr>),
}

/// What is wrong in a capture filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FilterFault {
    /// No word of filters; the one that was probably meant.
    Keyword(Option<String>),
    /// Something else belongs there.
    Expected(Awaited),
    /// A bracket is not closed.
    NotClosed,
    /// There is no such node; what it could be.
    NoNode(Vec<String>),
    /// The node has no such interface; what it could be.
    NoInterface(Vec<String>),
    /// Several nodes bear the name.
    Ambiguous(Vec<String>),
    /// What is named has no address of the family.
    NoAddress,
    /// What is named has no MAC address.
    NoMac,
    /// A MAC address without `ether` before `host`.
    MacWithoutEther,
    /// A prefix after `host`.
    NetAsHost,
    /// No prefix.
    Net,
    /// Bits are set behind the prefix; without them it would be this one.
    HostBits(IpNet),
    /// No number of a port.
    Port,
    /// A protocol before `host`, `net` or `port` that has none.
    Modifier(String, &'static str),
    /// It becomes more than the kernel takes: instructions, or words.
    TooLong(usize),
    /// No frame passes.
    Never,
}

/// What belongs at a place in a capture filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words explain themselves")]
pub enum Awaited {
    Condition,
    Connective,
    Address,
    Net,
    Port,
    Mac,
    /// What can follow `ether`.
    Ether,
}

/// Why a value of an option is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WrongValue {
    /// It is no length of time.
    Time,
    /// It is no length of time, for how long to listen.
    Listening,
    /// It is longer than a day, or negative.
    Day,
    /// It is longer than a year, or nothing.
    Span,
    /// It is 0.
    Zero,
    /// It is less than the first or more than the second.
    Range(u64, u64),
    /// It is not KEY=VALUE.
    Pair(String),
    /// It is not NAME,KEY=VALUE,...
    Device(String),
}
