//! Reports on the halves of a lab that other machines play.

use serde::Serialize;

/// What the machines on the NICs of this one's half say of themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Halves {
    /// Those that answered.
    pub answers: Vec<Answer>,
    /// Neighbours in the file that nobody answered for.
    pub silent: Vec<String>,
    /// What keeps them from being one lab, or deserves a note; the worst first.
    pub findings: Vec<Discord>,
}

impl Halves {
    /// Those that play another host of the same lab.
    pub fn partners(&self) -> impl Iterator<Item = &Answer> {
        let stranger = |answer: &Answer, finding: &Discord| match finding {
            Discord::Role { host, .. } => *host == answer.host,
            Discord::Lab { there, .. } => *there == answer.lab,
            _ => false,
        };
        self.answers.iter().filter(move |answer| !self.findings.iter().any(|finding| stranger(answer, finding)))
    }
}

/// A machine that answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// The host that it plays.
    pub host: String,
    /// The lab.
    pub lab: String,
    /// Its hostname.
    pub hostname: String,
    /// The MAC address of its NIC.
    pub mac: String,
    /// The NIC of this machine that it answered on.
    pub nic: String,
    /// The version of its nslab.
    pub version: String,
}

/// Something between two halves of a lab.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Discord {
    /// It plays the same host: the same addresses are there twice.
    Role {
        /// The lab.
        lab: String,
        /// The host.
        host: String,
        /// The other machine's hostname.
        hostname: String,
        /// Hosts that are left to play.
        free: Vec<String>,
    },
    /// Its lab has another name.
    Lab {
        /// The name here.
        here: String,
        /// The name there.
        there: String,
        /// The other machine's hostname.
        hostname: String,
        /// The host that it plays.
        host: String,
    },
    /// Its NIC has the same MAC address as this machine's, as a clone's has.
    Mac {
        /// This machine's NIC.
        nic: String,
        /// The address.
        mac: String,
        /// The host that the other machine plays.
        host: String,
    },
    /// Its nslab is of another version.
    Version {
        /// The host that it plays.
        host: String,
        /// The version here.
        here: String,
        /// The version there.
        there: String,
    },
    /// It was brought up from another file.
    File {
        /// The lab.
        lab: String,
        /// The host that it plays.
        host: String,
    },
    /// Its NIC has another MTU.
    Mtu {
        /// This machine's NIC.
        nic: String,
        /// Bytes of payload per frame here.
        here: u32,
        /// Bytes of payload per frame there.
        there: u32,
        /// The host that it plays.
        host: String,
    },
    /// Frames do not pass that should.
    Lost {
        /// Which.
        frames: Frames,
        /// Which way.
        way: Way,
        /// This machine's NIC.
        nic: String,
        /// The host that the other machine plays.
        host: String,
        /// Bytes of payload of a full one.
        mtu: u32,
    },
    /// It has the same machine-id, as a clone has.
    Machine {
        /// The host that it plays.
        host: String,
    },
    /// It has the same hostname.
    Hostname {
        /// The name.
        hostname: String,
        /// The host that it plays.
        host: String,
    },
    /// Its clock is a day or more away from this machine's.
    Clock {
        /// The host that it plays.
        host: String,
        /// How far, in whole days.
        days: u64,
    },
}

impl Discord {
    /// Worth knowing, and in nobody's way.
    pub fn is_note(&self) -> bool {
        matches!(self, Self::Machine { .. } | Self::Hostname { .. } | Self::Clock { .. } | Self::Version { .. })
    }
}

/// Frames of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Frames {
    /// From one NIC to the other.
    Plain,
    /// For a MAC address that is not the NIC's own: a container's.
    ToGuest,
    /// From a MAC address that is not the NIC's own.
    FromGuest,
    /// Of full size.
    Full,
}

impl Frames {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Plain, Self::ToGuest, Self::FromGuest, Self::Full];

    /// Its number on the wire.
    pub fn number(self) -> u8 {
        match self {
            Self::Plain => 0,
            Self::ToGuest => 1,
            Self::FromGuest => 2,
            Self::Full => 3,
        }
    }
}

/// A direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// From the other machine to this one.
    In,
    /// From this machine to the other one.
    Out,
}
