//! Addresses, routes and rules in their own bytes: as `ip` writes them, which are the same, and how they are given back or handed to
//! another interface.

use std::collections::HashMap;
use std::net::IpAddr;

use netlink_packet_core::{NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL};

use super::Object;
use crate::kernel::netlink::{Raw, attributes, find, ip, number, push, text};
use crate::plan::MAIN_TABLE;

/// `sizeof(struct ifaddrmsg)`
pub(super) const IFADDR: usize = 8;
/// `sizeof(struct rtmsg)`, and of `struct fib_rule_hdr`
pub(super) const RTMSG: usize = 12;

/// `linux/rtnetlink.h`
const NEWADDR: u16 = 20;
const DELADDR: u16 = 21;
const NEWROUTE: u16 = 24;
const DELROUTE: u16 = 25;

/// `IFA_` of `linux/if_addr.h`
pub(super) const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_LABEL: u16 = 3;
const IFA_CACHEINFO: u16 = 6;
const IFA_FLAGS: u16 = 8;
/// `IFA_F_SECONDARY`, `IFA_F_DADFAILED`, `IFA_F_OPTIMISTIC`, `IFA_F_TENTATIVE`, `IFA_F_STABLE_PRIVACY`, `IFA_F_DEPRECATED`:
/// what the kernel decides of an address by itself.
const PASSING: u32 = 0x01 | 0x04 | 0x08 | 0x20 | 0x40 | 0x800;
/// `IFA_F_NODAD`
const NODAD: u32 = 0x02;
/// A lifetime without end (`INFINITY_LIFE_TIME`).
const FOREVER: u32 = u32::MAX;

/// `AF_INET6`
const V6: u8 = 10;

/// `RTA_` of `linux/rtnetlink.h`
pub(super) const RTA_DST: u16 = 1;
pub(super) const RTA_OIF: u16 = 4;
pub(super) const RTA_GATEWAY: u16 = 5;
pub(super) const RTA_PRIORITY: u16 = 6;
pub(super) const RTA_PREFSRC: u16 = 7;
const RTA_MULTIPATH: u16 = 9;
const RTA_CACHEINFO: u16 = 12;
const RTA_TABLE: u16 = 15;
const RTA_VIA: u16 = 18;
const RTA_EXPIRES: u16 = 23;
const RTA_NH_ID: u16 = 30;
/// `RTNH_F_ONLINK`: the one flag of a route that is a wish and not a state.
const ONLINK: u32 = 4;
/// `RTM_F_CLONED`
const CLONED: u32 = 0x200;
/// `RTPROT_REDIRECT`, `RTPROT_KERNEL`
const BY_ITSELF: [u8; 2] = [1, 2];
/// `RT_TABLE_LOCAL`
const LOCAL_TABLE: u32 = 255;
/// Kernel ticks of a second as user space sees them (`USER_HZ`).
const TICKS: u32 = 100;

/// `FRA_` of `linux/fib_rules.h`
pub(super) const FRA_DST: u16 = 1;
pub(super) const FRA_SRC: u16 = 2;
pub(super) const FRA_IIFNAME: u16 = 3;
pub(super) const FRA_TABLE: u16 = 15;
pub(super) const FRA_OIFNAME: u16 = 17;

/// The interface that an address is on.
pub(super) fn index_of_address(body: &[u8]) -> Option<u32> {
    number(body.get(4..)?)
}

/// The address itself, of a pair the near one.
pub(super) fn local(body: &[u8]) -> Option<IpAddr> {
    find(body, IFADDR, IFA_LOCAL).or_else(|| find(body, IFADDR, IFA_ADDRESS)).and_then(ip)
}

/// The routing table.
pub(super) fn table(body: &[u8]) -> u32 {
    let short = body.get(4).copied().unwrap_or_default();
    find(body, RTMSG, RTA_TABLE).and_then(number).unwrap_or(u32::from(short))
}

/// A route that somebody made: the kernel's own come back with their addresses.
pub(super) fn stays(body: &[u8]) -> bool {
    let protocol = body.get(5).copied().unwrap_or_default();
    let cloned = body.get(8..).and_then(number).unwrap_or_default() & CLONED != 0;
    !BY_ITSELF.contains(&protocol) && !cloned && table(body) != LOCAL_TABLE
}

/// The next hops of a route with several: interface and router.
pub(super) fn hops(body: &[u8]) -> Vec<(u32, Option<IpAddr>)> {
    let mut rest = find(body, RTMSG, RTA_MULTIPATH).unwrap_or_default();
    let mut all = Vec::new();
    // struct rtnexthop: length, flags, weight, interface; then attributes.
    while let Some(length) = rest.get(..2).and_then(|bytes| bytes.try_into().ok()).map(u16::from_ne_bytes).map(usize::from) {
        let Some(hop) = rest.get(..length).filter(|hop| hop.len() >= 8) else { break };
        let index = number(&hop[4..]).unwrap_or_default();
        all.push((index, find(hop, 8, RTA_GATEWAY).and_then(ip)));
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    all
}

/// Whether packets of a route leave by that interface.
pub(super) fn leads_through(body: &[u8], index: u32) -> bool {
    find(body, RTMSG, RTA_OIF).and_then(number) == Some(index) || hops(body).iter().any(|(hop, _)| *hop == index)
}

/// Whether a rule names that interface.
pub(super) fn names(body: &[u8], dev: &str) -> bool {
    [FRA_IIFNAME, FRA_OIFNAME].iter().any(|kind| find(body, RTMSG, *kind).is_some_and(|name| text(name) == dev))
}

/// `10.0.0.1/24`, `10.0.0.1 peer 10.0.0.2/32`
pub(super) fn address(body: &[u8]) -> String {
    let prefix = body.get(1).copied().unwrap_or_default();
    let (own, peer) = (local(body), find(body, IFADDR, IFA_ADDRESS).and_then(ip));
    match (own, peer) {
        (Some(own), Some(peer)) if own != peer => format!("{own} peer {peer}/{prefix}"),
        (Some(own), _) => format!("{own}/{prefix}"),
        _ => String::new(),
    }
}

/// `default via 10.0.2.2 dev eth0 metric 100 table 7`
pub(super) fn route(body: &[u8], names: &HashMap<u32, String>) -> String {
    let get = |kind| find(body, RTMSG, kind);
    let prefix = body.get(1).copied().unwrap_or_default();
    let mut words = vec![match get(RTA_DST).and_then(ip) {
        Some(to) => format!("{to}/{prefix}"),
        None => "default".to_owned(),
    }];
    if let Some(via) = get(RTA_GATEWAY).and_then(ip) {
        words.push(format!("via {via}"));
    }
    if let Some(dev) = get(RTA_OIF).and_then(number) {
        words.push(format!("dev {}", names.get(&dev).cloned().unwrap_or_else(|| dev.to_string())));
    }
    for (hop, via) in hops(body) {
        let dev = names.get(&hop).cloned().unwrap_or_else(|| hop.to_string());
        words.push(via.map_or_else(|| format!("nexthop dev {dev}"), |via| format!("nexthop via {via} dev {dev}")));
    }
    if let Some(from) = get(RTA_PREFSRC).and_then(ip) {
        words.push(format!("src {from}"));
    }
    if let Some(metric) = get(RTA_PRIORITY).and_then(number) {
        words.push(format!("metric {metric}"));
    }
    let table = Some(table(body)).filter(|table| *table != MAIN_TABLE);
    words.extend(table.map(|table| format!("table {table}")));
    words.join(" ")
}

/// `from all iif eth0 lookup 7`
pub(super) fn rule(body: &[u8]) -> String {
    let get = |kind| find(body, RTMSG, kind);
    let mut words = vec![match get(FRA_SRC).and_then(ip) {
        Some(from) => format!("from {from}/{}", body.get(2).copied().unwrap_or_default()),
        None => "from all".to_owned(),
    }];
    if let Some(to) = get(FRA_DST).and_then(ip) {
        words.push(format!("to {to}/{}", body.get(1).copied().unwrap_or_default()));
    }
    for (word, kind) in [("iif", FRA_IIFNAME), ("oif", FRA_OIFNAME)] {
        if let Some(name) = get(kind) {
            words.push(format!("{word} {}", text(name)));
        }
    }
    words.push(format!("lookup {}", get(FRA_TABLE).and_then(number).unwrap_or_default()));
    words.join(" ")
}

impl Object {
    /// An address that reaches beyond the link (`RT_SCOPE_UNIVERSE` or a site's).
    pub fn is_global(&self) -> bool {
        self.raw.get(3).is_some_and(|scope| *scope < 253)
    }

    /// A route to everywhere.
    pub fn is_default(&self) -> bool {
        // RTN_UNICAST
        self.raw.get(1) == Some(&0) && self.raw.get(7) == Some(&1)
    }

    /// The IP address, where this is one.
    pub fn address(&self) -> Option<IpAddr> {
        local(&self.raw)
    }

    /// The routers of a route.
    pub fn routers(&self) -> Vec<IpAddr> {
        let one = find(&self.raw, RTMSG, RTA_GATEWAY).and_then(ip);
        one.into_iter().chain(hops(&self.raw).into_iter().filter_map(|(_, via)| via)).collect()
    }

    /// What stays the same of an address while its clocks run.
    pub fn same_address(&self) -> Vec<u8> {
        let mut head = self.raw.get(..IFADDR).unwrap_or_default().to_vec();
        if let Some(flags) = head.get_mut(2) {
            *flags = 0;
        }
        let requested = self.flags() & !PASSING & !NODAD;
        head.extend_from_slice(&requested.to_ne_bytes());
        head.extend(sorted(&self.raw, IFADDR, &[IFA_CACHEINFO, IFA_FLAGS]));
        head
    }

    /// What stays the same of a route while its clocks run and its cable is pulled.
    pub fn same_route(&self) -> Vec<u8> {
        let mut head = self.raw.get(..8).unwrap_or_default().to_vec();
        head.extend(sorted(&self.raw, RTMSG, &[RTA_CACHEINFO, RTA_MULTIPATH]));
        for (index, via) in hops(&self.raw) {
            head.extend(format!("{index} {via:?}").into_bytes());
        }
        head
    }

    fn flags(&self) -> u32 {
        find(&self.raw, IFADDR, IFA_FLAGS)
            .and_then(number)
            .unwrap_or_else(|| u32::from(self.raw.get(2).copied().unwrap_or_default()))
    }

    /// Of IPv6.
    pub fn is_v6(&self) -> bool {
        self.raw.first() == Some(&V6)
    }

    /// A route that a router announces, which comes and goes by itself (`RTPROT_RA`).
    pub fn is_learned(&self) -> bool {
        self.raw.get(5) == Some(&9)
    }

    /// Whether this is a route of that table to that destination.
    pub fn leads_to(&self, into: u32, to: ipnet::IpNet) -> bool {
        let v6 = to.addr().is_ipv6() == self.is_v6();
        let destination = find(&self.raw, RTMSG, RTA_DST).and_then(ip);
        let same = destination.map_or(to.prefix_len() == 0, |address| address == to.addr());
        v6 && same && self.raw.get(1) == Some(&to.prefix_len()) && table(&self.raw) == into
    }

    /// The request that gives the address to an interface, after so many seconds; `quick`: not looked for on the link first.
    ///
    /// None once its lifetime is over.
    pub fn give_address(&self, index: u32, label: Option<&str>, elapsed: u32, quick: bool) -> Option<Raw> {
        let mut body = self.raw.get(..IFADDR)?.to_vec();
        body[2] = 0;
        body[4..8].copy_from_slice(&index.to_ne_bytes());
        let quick = if quick && self.is_v6() { NODAD } else { 0 };
        push(&mut body, IFA_FLAGS, &(self.flags() & !PASSING | quick).to_ne_bytes());
        for (kind, value) in attributes(&self.raw, IFADDR) {
            match kind {
                IFA_FLAGS => {}
                IFA_LABEL => {
                    let own = text(value);
                    push(&mut body, IFA_LABEL, &[label.unwrap_or(&own).as_bytes(), &[0]].concat());
                }
                IFA_CACHEINFO => push(&mut body, IFA_CACHEINFO, &aged(value, elapsed)?),
                _ => push(&mut body, kind, value),
            }
        }
        Some((NEWADDR, NLM_F_CREATE | NLM_F_EXCL, body))
    }

    /// The request that takes the address from an interface.
    pub fn take_address(&self, index: u32) -> Raw {
        let mut body = self.raw.get(..IFADDR).unwrap_or_default().to_vec();
        if let Some(own) = body.get_mut(4..8) {
            own.copy_from_slice(&index.to_ne_bytes());
        }
        for (kind, value) in attributes(&self.raw, IFADDR).filter(|(kind, _)| [IFA_ADDRESS, IFA_LOCAL].contains(kind)) {
            push(&mut body, kind, value);
        }
        (DELADDR, 0, body)
    }

    /// The request that makes the route; `from` is replaced by `to` among its interfaces.
    pub fn give_route(&self, from: u32, to: u32) -> Raw {
        // IPv6 makes one route of several with one metric where they are appended.
        let more = if self.is_v6() { NLM_F_EXCL } else { NLM_F_APPEND };
        (NEWROUTE, NLM_F_CREATE | more, self.route(from, to))
    }

    /// The request that deletes the route, with `from` replaced by `to` among its interfaces.
    pub fn take_route(&self, from: u32, to: u32) -> Raw {
        (DELROUTE, 0, self.route(from, to))
    }

    fn route(&self, from: u32, to: u32) -> Vec<u8> {
        let mut body = self.raw.get(..RTMSG).unwrap_or_default().to_vec();
        if let Some(flags) = body.get_mut(8..12) {
            let requested = number(flags).unwrap_or_default() & ONLINK;
            flags.copy_from_slice(&requested.to_ne_bytes());
        }
        let by_id = find(&self.raw, RTMSG, RTA_NH_ID).is_some();
        for (kind, value) in attributes(&self.raw, RTMSG) {
            match kind {
                RTA_OIF | RTA_GATEWAY | RTA_VIA | RTA_MULTIPATH if by_id => {}
                RTA_OIF if number(value) == Some(from) => push(&mut body, RTA_OIF, &to.to_ne_bytes()),
                RTA_MULTIPATH => push(&mut body, RTA_MULTIPATH, &moved(value, from, to)),
                // struct rta_cacheinfo: clntref, lastuse, expires ...; only IPv6 lets a route expire.
                RTA_CACHEINFO => {
                    let left = value.get(8..).and_then(number).unwrap_or_default() / TICKS;
                    if left > 0 && self.is_v6() {
                        push(&mut body, RTA_EXPIRES, &left.to_ne_bytes());
                    }
                }
                _ => push(&mut body, kind, value),
            }
        }
        body
    }
}

fn sorted(raw: &[u8], header: usize, without: &[u16]) -> Vec<u8> {
    let mut all: Vec<(u16, &[u8])> = attributes(raw, header).filter(|(kind, _)| !without.contains(kind)).collect();
    all.sort_unstable();
    all.into_iter().flat_map(|(kind, value)| [&kind.to_ne_bytes(), value].concat()).collect()
}

/// `struct ifa_cacheinfo`, preferred and valid seconds first, that much later; none when it is over.
fn aged(value: &[u8], elapsed: u32) -> Option<Vec<u8>> {
    let later = |left: u32| if left == FOREVER { left } else { left.saturating_sub(elapsed) };
    let (preferred, valid) = (later(number(value)?), later(number(value.get(4..)?)?));
    let mut aged = value.to_vec();
    aged[..4].copy_from_slice(&preferred.to_ne_bytes());
    aged[4..8].copy_from_slice(&valid.to_ne_bytes());
    (valid > 0).then_some(aged)
}

/// Next hops with one interface replaced by another, without the states of their cables.
fn moved(value: &[u8], from: u32, to: u32) -> Vec<u8> {
    let (mut all, mut at) = (value.to_vec(), 0);
    while let Some(hop) = all.get_mut(at..).filter(|hop| hop.len() >= 8) {
        let length = usize::from(u16::from_ne_bytes([hop[0], hop[1]]));
        hop[2] &= u8::try_from(ONLINK).unwrap_or_default();
        if number(&hop[4..]) == Some(from) {
            hop[4..8].copy_from_slice(&to.to_ne_bytes());
        }
        if length < 8 {
            break;
        }
        at += length.next_multiple_of(4);
    }
    all
}
