//! Every link kind: what it is made of.

use serde::{Deserialize, Serialize};

use super::fact::Port;

/// A link, by its kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Link {
    /// A Linux bridge: forward delay 0, no multicast snooping.
    Bridge,
    /// A veth pair, known by its lesser end; this is the other one.
    Veth {
        /// The greater end.
        peer: Port,
    },
    /// A link of a kind that nslab does not make; somebody made it by hand.
    Other(String),
}

impl Link {
    /// Build order among links: what others attach to comes first.
    pub fn depth(&self) -> u8 {
        match self {
            Self::Bridge => 0,
            Self::Veth { .. } => 1,
            Self::Other(_) => 2,
        }
    }

    /// The other interface that lives and dies with this one.
    pub fn peer(&self) -> Option<&Port> {
        match self {
            Self::Bridge | Self::Other(_) => None,
            Self::Veth { peer } => Some(peer),
        }
    }
}
