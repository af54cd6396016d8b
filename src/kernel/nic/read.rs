//! Interfaces as netlink tells them.

use std::collections::HashMap;
use std::path::Path;

use nix::errno::Errno;

use super::attributes::{self, find, number};
use super::{Kind, Nic, Object, put, text};
use crate::kernel::socket::Netlink;
use crate::name::{IfName, Mac};

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
    let links = socket.dump_raw(GETLINK, &[0; IFINFO])?;
    let links: Vec<&[u8]> = links.iter().map(|(_, body)| body.as_slice()).collect();
    let names: HashMap<u32, String> = links.iter().filter_map(|link| Some((index(link)?, name(link)?))).collect();
    let mut nics: Vec<Nic> = links.iter().filter_map(|link| nic(link, &names)).collect();
    let addresses = socket.dump_raw(GETADDR, &[0; put::IFADDR])?;
    let routes = socket.dump_raw(GETROUTE, &[0; put::RTMSG])?;
    let rules = socket.dump_raw(GETRULE, &[0; put::RTMSG])?;
    for nic in &mut nics {
        let object = |said: String, raw: &[u8]| Object { text: said, raw: raw.to_vec() };
        let bodies = |all: &[(u16, Vec<u8>)]| all.iter().map(|(_, body)| body.clone()).collect::<Vec<_>>();
        let own = bodies(&addresses).into_iter().filter(|body| put::index_of_address(body) == Some(nic.index));
        nic.addresses = own.map(|body| object(text::address(&body), &body)).collect();
        let own = bodies(&routes).into_iter().filter(|body| put::stays(body) && put::leads_through(body, nic.index));
        nic.routes = own.map(|body| object(text::route(&body, &names), &body)).collect();
        let own = bodies(&rules).into_iter().filter(|body| put::names(body, nic.name.as_str()));
        nic.rules = own.map(|body| object(text::rule(&body), &body)).collect();
    }
    Ok(nics)
}

fn index(link: &[u8]) -> Option<u32> {
    number(link.get(4..)?)
}

fn name(link: &[u8]) -> Option<String> {
    find(link, IFINFO, IFNAME).map(attributes::text)
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
    made.map_or(Kind::Ethernet, |kind| Kind::Software(attributes::text(kind)))
}
