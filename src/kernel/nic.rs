//! A real NIC of the machine, read whole: what it takes to put it back byte for byte.
//!
//! Addresses, routes and rules are kept as the kernel told them, so nothing that this nslab does not know is lost.

mod attributes;
pub mod put;
mod read;
mod text;
pub mod way;

use serde::{Deserialize, Serialize};

pub use read::{read, survey};

use crate::name::{IfName, Mac};

/// One network interface of the namespace that a socket is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nic {
    /// Its name.
    pub name: IfName,
    /// Its index.
    pub index: u32,
    /// What it is.
    pub kind: Kind,
    /// `IFF_` flags (`linux/if.h`).
    pub flags: u32,
    /// It has a link to the other end of its cable.
    pub carrier: bool,
    /// Bytes of payload per frame.
    pub mtu: u32,
    /// Its Ethernet address, where it has one.
    pub mac: Option<Mac>,
    /// The interface that it is a port of.
    pub master: Option<String>,
    /// How many want it to take in every frame.
    pub promiscuity: u32,
    /// Its addresses, in the kernel's order.
    pub addresses: Vec<Object>,
    /// The routes through it, of every table and both families, but for those that the kernel itself makes of addresses.
    pub routes: Vec<Object>,
    /// The rules that name it.
    pub rules: Vec<Object>,
}

/// What kind of interface it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Ethernet by hardware, real or a virtual machine's.
    Ethernet,
    /// Wireless.
    Wifi,
    /// `lo`
    Loopback,
    /// Made by software: the kernel's word for it (`veth`, `bridge`, `tun` ...).
    Software(String),
}

/// Something that netlink told: for people, and for netlink.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// As `ip` would write it.
    pub text: String,
    /// The message behind its header, as the kernel told it.
    #[serde(with = "raw")]
    pub raw: Vec<u8>,
}

/// `IFF_UP` of `linux/if.h`.
const UP: u32 = 1;

impl Nic {
    /// Administratively up.
    pub fn is_up(&self) -> bool {
        self.flags & UP != 0
    }

    /// Its addresses that reach beyond the link.
    pub fn global(&self) -> impl Iterator<Item = &Object> {
        self.addresses.iter().filter(|address| address.is_global())
    }

    /// Its addresses in the order in which giving them makes the kernel list them as now: IPv6 puts the newest first
    /// (`ipv6_link_dev_addr` of `net/ipv6/addrconf.c`).
    pub fn in_order(&self) -> impl Iterator<Item = &Object> {
        let (v6, v4): (Vec<&Object>, Vec<&Object>) = self.addresses.iter().partition(|address| address.is_v6());
        v4.into_iter().chain(v6.into_iter().rev())
    }

    /// The default routes through it.
    pub fn defaults(&self) -> impl Iterator<Item = &Object> {
        self.routes.iter().filter(|route| route.is_default())
    }
}

/// Bytes as base64 in the journal.
mod raw {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(bytes))
    }

    pub fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}
