//! A real NIC of the machine, read whole: what it takes to put it back byte for byte.
//!
//! Addresses, routes and rules are kept as the kernel told them, so nothing that this nslab does not know is lost.

pub mod put;

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use super::netlink::{Netlink, find, number, push, text};
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

/// `linux/rtnetlink.h`
const GETLINK: u16 = 18;
const GETADDR: u16 = 22;
const GETROUTE: u16 = 26;
const GETRULE: u16 = 34;
/// `sizeof(struct ifinfomsg)`
const IFINFO: usize = 16;
/// `IFLA_` of `linux/if_link.h`
const ADDRESS: u16 = 1;
const IFNAME: u16 = 3;
const MTU: u16 = 4;
const MASTER: u16 = 10;
const LINKINFO: u16 = 18;
const PROMISCUITY: u16 = 30;
const CARRIER: u16 = 33;
/// `IFF_LOOPBACK` of `linux/if.h`.
const LOOPBACK: u32 = 8;

/// One interface; none where there is none of the name.
pub fn read(socket: &mut Netlink, name: &IfName) -> Result<Option<Nic>, Errno> {
    Ok(survey(socket)?.into_iter().find(|nic| nic.name == *name))
}

/// Every interface of the socket's namespace.
pub fn survey(socket: &mut Netlink) -> Result<Vec<Nic>, Errno> {
    let mut dump = |kind: u16, header: usize| socket.dump(kind, &vec![0; header], |_, body| Some(body.to_vec()));
    let links = dump(GETLINK, IFINFO)?;
    let names: HashMap<u32, String> = links.iter().filter_map(|link| Some((index(link)?, name(link)?))).collect();
    let mut nics: Vec<Nic> = links.iter().filter_map(|link| nic(link, &names)).collect();
    let (addresses, routes, rules) = (dump(GETADDR, put::IFADDR)?, dump(GETROUTE, put::RTMSG)?, dump(GETRULE, put::RTMSG)?);
    for nic in &mut nics {
        let object = |text: String, raw: &Vec<u8>| Object { text, raw: raw.clone() };
        let own = addresses.iter().filter(|body| put::index_of_address(body) == Some(nic.index));
        nic.addresses = own.map(|body| object(put::address(body), body)).collect();
        let own = routes.iter().filter(|body| put::stays(body) && put::leads_through(body, nic.index));
        nic.routes = own.map(|body| object(put::route(body, &names), body)).collect();
        let own = rules.iter().filter(|body| put::names(body, nic.name.as_str()));
        nic.rules = own.map(|body| object(put::rule(body), body)).collect();
    }
    Ok(nics)
}

fn index(link: &[u8]) -> Option<u32> {
    number(link.get(4..)?)
}

fn name(link: &[u8]) -> Option<String> {
    find(link, IFINFO, IFNAME).map(text)
}

fn nic(link: &[u8], names: &HashMap<u32, String>) -> Option<Nic> {
    let get = |kind| find(link, IFINFO, kind);
    let flags = number(link.get(8..)?)?;
    let name = name(link)?;
    Some(Nic {
        index: index(link)?,
        kind: kind(link, &name, flags),
        flags,
        carrier: get(CARRIER).is_some_and(|value| value.first() == Some(&1)),
        mtu: get(MTU).and_then(number).unwrap_or(0),
        mac: get(ADDRESS).and_then(|value| value.try_into().ok()).map(Mac),
        master: get(MASTER).and_then(number).map(|index| names.get(&index).cloned().unwrap_or_else(|| index.to_string())),
        promiscuity: get(PROMISCUITY).and_then(number).unwrap_or(0),
        name: IfName::observed(&name),
        addresses: Vec::new(),
        routes: Vec::new(),
        rules: Vec::new(),
    })
}

fn kind(link: &[u8], name: &str, flags: u32) -> Kind {
    let class = Path::new("/sys/class/net").join(name);
    if flags & LOOPBACK != 0 {
        return Kind::Loopback;
    }
    if class.join("wireless").exists() || class.join("phy80211").exists() {
        return Kind::Wifi;
    }
    // IFLA_INFO_KIND
    let made = find(link, IFINFO, LINKINFO).and_then(|nested| find(nested, 0, 1));
    made.map_or(Kind::Ethernet, |kind| Kind::Software(text(kind)))
}

/// The index of the interface by which packets to an address leave, as `ip route get` tells it; none where there is no way.
pub fn way_to(socket: &mut Netlink, address: IpAddr) -> Result<Option<u32>, Errno> {
    let (family, bytes) = match address {
        IpAddr::V4(v4) => (libc::AF_INET, v4.octets().to_vec()),
        IpAddr::V6(v6) => (libc::AF_INET6, v6.octets().to_vec()),
    };
    let mut body = vec![0; put::RTMSG];
    body[0] = u8::try_from(family).unwrap_or_default();
    body[1] = u8::try_from(bytes.len() * 8).unwrap_or_default();
    push(&mut body, put::RTA_DST, &bytes);
    match socket.ask(GETROUTE, &body) {
        Ok(answer) => Ok(answer.and_then(|(_, route)| find(&route, put::RTMSG, put::RTA_OIF).and_then(number))),
        Err(Errno::ENETUNREACH | Errno::EHOSTUNREACH | Errno::EINVAL | Errno::EACCES) => Ok(None),
        Err(errno) => Err(errno),
    }
}
