//! Why a machine cannot play a host.

use ipnet::IpNet;

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

impl RoleFault {
    /// 2 for what was asked for wrongly, 4 for what stands in the way.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::NoNic { .. }
            | Self::ManyNics { .. }
            | Self::MissingNic { .. }
            | Self::WhichNic { .. }
            | Self::TwiceNic(_)
            | Self::Elsewhere { .. } => 2,
            Self::Plugged { .. } | Self::Reachable { .. } | Self::Other { .. } => 4,
        }
    }
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
