//! A thing that hands have changed, as it was at first.

use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_core::Emitable;
use netlink_packet_route::link::{
    InfoBridge, InfoBridgePort, InfoData, InfoKind, InfoPortData, InfoPortKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use nix::errno::Errno;

use crate::error::{Error, Result};
use crate::kernel::caller::thread;
use crate::kernel::fault;
use crate::kernel::netlink::{Netlink, Raw, push};
use crate::kernel::netns::{self, Pins, Space};
use crate::kernel::sys::process::errno;
use crate::name::Mac;
use crate::plan::hand::{BridgeOption, Flag, OfPort, OfSpace, PortOption, Queue, conf};
use crate::plan::{Fact, Ns, Op};

/// `RTM_` (`linux/rtnetlink.h`), `XFRM_MSG_` (`linux/xfrm.h`)
const NEW_LINK: u16 = 16;
const SET_LINK: u16 = 19;
const DEL_ADDRESS: u16 = 21;
const NEW_ROUTE: u16 = 24;
const DEL_ROUTE: u16 = 25;
const DEL_NEIGHBOUR: u16 = 29;
const NEW_RULE: u16 = 32;
const DEL_RULE: u16 = 33;
const DEL_QDISC: u16 = 37;
const DEL_POLICY: u16 = 0x14;
const SET_DEFAULT: u16 = 0x27;
/// `NLM_F_CREATE`
const CREATE: u16 = 0x400;

/// How it is undone.
enum Way {
    Write(String, u32),
    Route(Raw),
    Ipsec(Raw),
}

/// Brings back what a fresh namespace or a new interface has; what has gone meanwhile is no fault.
///
/// # Errors
/// When the namespace cannot be entered or the kernel refuses.
pub fn undo(pins: &Pins, op: &Op) -> Result<()> {
    let ns = op.fact().ns();
    thread(|| {
        let mut space = Space::enter(pins, ns)?;
        let index = op.fact().port().map_or(0, |port| space.index(&port.dev));
        let Some(way) = way(op.fact(), index) else { return Ok(()) };
        let done = fault::point().and_then(|()| carry_out(&mut space.socket, way));
        match done {
            Ok(()) | Err(Errno::ENOENT | Errno::ESRCH | Errno::ENODEV | Errno::EADDRNOTAVAIL) => Ok(()),
            Err(errno) => Err(refused(ns, op, errno)),
        }
    })?
}

fn refused(ns: &Ns, op: &Op, errno: Errno) -> Error {
    netns::error_in(ns, &op.to_string(), errno)
}

fn carry_out(socket: &mut Netlink, way: Way) -> std::result::Result<(), Errno> {
    match way {
        Way::Write(path, value) => std::fs::write(format!("/proc/sys/{path}"), value.to_string()).map_err(|error| errno(&error)),
        Way::Route(raw) => socket.transact(&[raw]),
        Way::Ipsec(raw) => Netlink::xfrm()?.transact(&[raw]),
    }
}

fn way(fact: &Fact, index: u32) -> Option<Way> {
    match fact {
        Fact::OfPort(port, hand) => of_port(hand, index, |ipv6, name| conf(ipv6, &port.dev, name)),
        Fact::OfSpace(_, hand) => Some(of_space(hand)),
        _ => None,
    }
}

fn of_space(hand: &OfSpace) -> Way {
    match hand {
        OfSpace::Setting(path, turned) => Way::Write(format!("net/{path}"), turned.fresh),
        OfSpace::Rule(rule) => Way::Route((DEL_RULE, 0, rule.message.clone())),
        OfSpace::NoRule(rule) => Way::Route((NEW_RULE, CREATE, rule.message.clone())),
        OfSpace::Route(_, named) => Way::Route((DEL_ROUTE, 0, named.clone())),
        OfSpace::Policy(_, named) => Way::Ipsec((DEL_POLICY, 0, named.clone())),
        // `XFRM_USERPOLICY_ACCEPT`
        OfSpace::PolicyDefault(_) => Way::Ipsec((SET_DEFAULT, 0, vec![2, 2, 2])),
    }
}

fn of_port(hand: &OfPort, index: u32, path: impl Fn(bool, &str) -> String) -> Option<Way> {
    let bridge =
        |option| configured(index, vec![LinkInfo::Kind(InfoKind::Bridge), LinkInfo::Data(InfoData::Bridge(vec![option]))]);
    let member = |option| {
        let data = LinkInfo::PortData(InfoPortData::BridgePort(vec![option]));
        configured(index, vec![LinkInfo::PortKind(InfoPortKind::Bridge), data])
    };
    Some(Way::Route(match hand {
        OfPort::Off(flag) => switched(index, *flag),
        OfPort::Conf(ipv6, name, turned) => return Some(Way::Write(path(*ipv6, name), turned.fresh)),
        OfPort::Bridge(option, turned) => bridge(match option {
            BridgeOption::VlanFiltering => InfoBridge::VlanFiltering(turned.fresh != 0),
            BridgeOption::McastSnooping => InfoBridge::MulticastSnooping(turned.fresh != 0),
            BridgeOption::AgeingTime => InfoBridge::AgeingTime(turned.fresh),
            BridgeOption::GroupFwdMask => InfoBridge::GroupFwdMask(u16::try_from(turned.fresh).unwrap_or(0)),
            BridgeOption::NfCallIptables => InfoBridge::NfCallIpTables(turned.fresh != 0),
            BridgeOption::NfCallIp6tables => InfoBridge::NfCallIp6Tables(turned.fresh != 0),
            BridgeOption::NfCallArptables => InfoBridge::NfCallArpTables(turned.fresh != 0),
        }),
        OfPort::Option(option, turned) => {
            let on = turned.fresh != 0;
            member(match option {
                PortOption::State => InfoBridgePort::State(u8::try_from(turned.fresh).unwrap_or(0).into()),
                PortOption::Learning => InfoBridgePort::Learning(on),
                PortOption::Flood => InfoBridgePort::UnicastFlood(on),
                PortOption::BcastFlood => InfoBridgePort::BroadcastFlood(on),
                PortOption::McastFlood => InfoBridgePort::MulticastFlood(on),
                PortOption::Isolated => InfoBridgePort::Isolated(on),
                PortOption::Hairpin => InfoBridgePort::HairpinMode(on),
                PortOption::Guard => InfoBridgePort::Guard(on),
                PortOption::Locked => InfoBridgePort::Locked(on),
                PortOption::NeighSuppress => InfoBridgePort::NeighSupress(on),
            })
        }
        OfPort::Entry(mac, vlan, _) => (DEL_NEIGHBOUR, 0, entry(index, *mac, *vlan)),
        OfPort::Neighbour(address, mac) => {
            // `struct ndmsg`; `NTF_PROXY`
            let family = if address.is_ipv6() { libc::AF_INET6 } else { libc::AF_INET };
            let mut body = neighbour(u8::try_from(family).unwrap_or(0), index, if mac.is_none() { 8 } else { 0 });
            push(&mut body, 1, &octets(*address));
            (DEL_NEIGHBOUR, 0, body)
        }
        OfPort::Scope(net, _) => {
            // `struct ifaddrmsg`; `IFA_LOCAL`
            let mut body = vec![2, net.prefix_len(), 0, 0];
            body.extend_from_slice(&index.to_ne_bytes());
            push(&mut body, 2, &octets(net.addr()));
            (DEL_ADDRESS, 0, body)
        }
        OfPort::Unrouted(net) => {
            // `RT_SCOPE_LINK`, `RTN_UNICAST`
            (NEW_ROUTE, CREATE, route(net.trunc(), net.addr(), index, [254, 2, 253, 1]))
        }
        // `RT_SCOPE_HOST`, `RTN_LOCAL`
        OfPort::Unknown(address) => (NEW_ROUTE, CREATE, route((*address).into(), *address, index, [255, 2, 254, 2])),
        OfPort::Qdisc(queue, _) => {
            // `struct tcmsg`
            let parent: u32 = if *queue == Queue::Root { 0xffff_ffff } else { 0xffff_fff1 };
            let words = [0, index, 0, parent, 0];
            (DEL_QDISC, 0, words.iter().flat_map(|word| word.to_ne_bytes()).collect())
        }
    }))
}

/// `struct rtmsg` with its table, protocol (the kernel's), scope, kind; `RTA_DST`, `RTA_OIF`, and the source or of IPv6 the metric.
fn route(to: IpNet, source: IpAddr, index: u32, [table, protocol, scope, kind]: [u8; 4]) -> Vec<u8> {
    let (family, scope) = if to.addr().is_ipv6() { (10, 0) } else { (2, scope) };
    let mut body = vec![family, to.prefix_len(), 0, 0, table, protocol, scope, kind, 0, 0, 0, 0];
    push(&mut body, 1, &octets(to.addr()));
    push(&mut body, 4, &index.to_ne_bytes());
    if to.addr().is_ipv6() {
        push(&mut body, 6, &256u32.to_ne_bytes());
    } else {
        push(&mut body, 7, &octets(source));
    }
    body
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// `struct ndmsg`
fn neighbour(family: u8, index: u32, flags: u8) -> Vec<u8> {
    let mut body = vec![family, 0, 0, 0];
    body.extend_from_slice(&index.to_ne_bytes());
    body.extend_from_slice(&[0, 0, flags, 0]);
    body
}

/// `AF_BRIDGE`, `NTF_MASTER`; `NDA_LLADDR`, `NDA_VLAN`
fn entry(index: u32, mac: Mac, vlan: u16) -> Vec<u8> {
    let mut body = neighbour(7, index, 4);
    push(&mut body, 2, &mac.0);
    if vlan != 0 {
        push(&mut body, 5, &vlan.to_ne_bytes());
    }
    body
}

fn link(index: u32) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message
}

fn raw(kind: u16, message: &LinkMessage) -> Raw {
    let mut body = vec![0; message.buffer_len()];
    message.emit(&mut body);
    (kind, 0, body)
}

fn switched(index: u32, flag: Flag) -> Raw {
    let mut message = link(index);
    match flag {
        // `IFF_NOARP` is the other way round.
        Flag::Arp => message.header.change_mask = LinkFlags::Noarp,
        Flag::Multicast => {
            message.header.change_mask = LinkFlags::Multicast;
            message.header.flags = LinkFlags::Multicast;
        }
    }
    raw(SET_LINK, &message)
}

fn configured(index: u32, info: Vec<LinkInfo>) -> Raw {
    let mut message = link(index);
    message.attributes.push(LinkAttribute::LinkInfo(info));
    raw(NEW_LINK, &message)
}
