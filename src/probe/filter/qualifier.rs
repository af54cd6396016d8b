//! The words that stand before a name in a filter: a protocol, a side, a type.

use super::{Side, Test, kind, protocol};

/// A protocol before `host`, `net`, `port`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Ip,
    Ip6,
    Arp,
    Rarp,
    Tcp,
    Udp,
    Icmp,
    Icmp6,
    Ether,
}

impl Protocol {
    pub(super) fn named(word: &str) -> Option<Self> {
        Some(match word {
            "ip" => Self::Ip,
            "ip6" => Self::Ip6,
            "arp" => Self::Arp,
            "rarp" => Self::Rarp,
            "tcp" => Self::Tcp,
            "udp" => Self::Udp,
            "icmp" => Self::Icmp,
            "icmp6" => Self::Icmp6,
            "ether" => Self::Ether,
            _ => return None,
        })
    }

    /// The protocol as a condition of its own.
    pub(super) fn alone(self) -> Option<Test> {
        let both = |number| Test::Protocol { v4: Some(number), v6: Some(number) };
        Some(match self {
            Self::Ip => Test::Kind(kind::IP),
            Self::Ip6 => Test::Kind(kind::IP6),
            Self::Arp => Test::Kind(kind::ARP),
            Self::Rarp => Test::Kind(kind::RARP),
            Self::Tcp => both(protocol::TCP),
            Self::Udp => both(protocol::UDP),
            Self::Icmp => Test::Protocol { v4: Some(protocol::ICMP), v6: None },
            Self::Icmp6 => Test::Protocol { v4: None, v6: Some(protocol::ICMP6) },
            Self::Ether => return None,
        })
    }
}

/// What a word stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Host,
    Net,
    Port,
}

impl Type {
    pub(super) fn named(word: &str) -> Option<Self> {
        Some(match word {
            "host" => Self::Host,
            "net" => Self::Net,
            "port" => Self::Port,
            _ => return None,
        })
    }
}

/// What precedes a word that names something.
#[derive(Debug, Clone, Copy)]
pub(super) struct Qualifiers {
    pub(super) protocol: Option<Protocol>,
    pub(super) side: Side,
    pub(super) of: Type,
}
