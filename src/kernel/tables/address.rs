//! Addresses of interfaces.

use ipnet::IpNet;

/// An address of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// With its prefix.
    pub net: IpNet,
    /// Not the first of its subnet: never chosen as a source.
    pub secondary: bool,
    /// The kernel's number of its scope: 0 everywhere, 253 the link, 254 this host.
    pub scope: u8,
    /// How far the search for another owner of an IPv6 address is.
    pub detection: Detection,
    /// New packets of its node do not bear it, where there is another one.
    pub deprecated: bool,
}

/// Duplicate address detection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detection {
    /// It is over, or there was none: the address is in use.
    Done,
    /// It is under way.
    Pending,
    /// Another one had the address, which never will be in use.
    Failed,
}

impl Address {
    /// It is not in use, or not yet.
    pub fn is_tentative(&self) -> bool {
        self.detection != Detection::Done
    }
}
