//! What can go wrong between this machine and a remote.

use std::path::PathBuf;

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

impl RemoteFault {
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::NoToken(_) => 2,
            Self::Untrusted(_) | Self::Changed { .. } | Self::Damaged(_) => 3,
            Self::Exists(_) => 4,
            Self::Unreachable { .. }
            | Self::Handshake { .. }
            | Self::Refused { .. }
            | Self::NoApi(_)
            | Self::Cut(_)
            | Self::Store { .. } => 1,
        }
    }
}
