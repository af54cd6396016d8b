//! What is in the nodes' namespaces: links and the other ends of their pairs, addresses, routes, forwarding tables, neighbours; and
//! what has passed and what changes.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use netlink_packet_route::link::{LinkAttribute, LinkMessage};
use netlink_packet_route::nsid::{NsidAttribute, NsidMessage};
use netlink_packet_route::route::{RouteMessage, RouteType};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::errno::Errno;

use super::caller::{shared, thread};
use super::netfilter::chains;
use super::netlink::{self, Netlink, messages, name_of};
use super::netns::{self, Space, enter, failed, within};
use super::requests::settle;
use super::sys::process;
use super::tables::policies::Policies;
use super::tables::{Conf, Filtering, Link, NextHop, Settings, Tables, VethPeer, read, report};
use super::{fault, hands};
use crate::error::Result;
use crate::plan::NodeId;
use crate::report::machine::Node;

/// A node of the lab and the pin of its namespace.
#[derive(Debug, Clone)]
pub struct Pin {
    /// The node, `host` or `host.container`.
    pub node: String,
    /// Its pin.
    pub path: PathBuf,
}

impl Pin {
    /// The host whose container it is.
    fn host(&self) -> Option<&str> {
        self.node.split_once('.').map(|(host, _)| host)
    }
}

/// Everything in the namespace of `here`; `others` are the nodes in which a veth's other end may be.
///
/// The lab and the kind of the node are left for the caller to fill in.
///
/// # Errors
/// When the pin cannot be entered or the kernel refuses an answer.
pub fn inspect(here: &Pin, others: &[Pin]) -> Result<Node> {
    thread(|| {
        let mut socket = open(here)?;
        let mut tables = contents(&mut socket).map_err(|(tried, errno)| failed(&here.node, tried, errno))?;
        place(&mut socket, &mut tables.links, here, others);
        for peer in tables.links.iter_mut().filter_map(|link| link.peer.as_mut()) {
            peer.name = name(&mut socket, peer);
        }
        Ok(report(&tables))
    })?
}

/// The tables of all these nodes, with the other ends of their veth pairs, in the order of `pins`.
///
/// # Errors
/// When a pin cannot be entered or the kernel refuses an answer.
pub fn look(pins: &[Pin]) -> Result<Vec<Tables>> {
    let hosts: Vec<&Pin> = pins.iter().filter(|pin| pin.host().is_none()).collect();
    let mut all: Vec<(&Pin, Tables)> = pins.iter().map(|pin| (pin, Tables::default())).collect();
    shared(&mut all, |(pin, tables)| {
        let mut socket = open(pin)?;
        *tables = contents(&mut socket).map_err(|(tried, errno)| failed(&pin.node, tried, errno))?;
        let near = hosts.iter().copied().filter(|host| pin.host().is_none_or(|name| host.node == name));
        place(&mut socket, &mut tables.links, pin, near);
        Ok(())
    })?;
    join(&mut all);
    // Pairs that somebody made between containers, and links on those of another container.
    let lost = |tables: &Tables| tables.links.iter().flat_map(Link::ends).any(|end| end.node.is_none());
    if all.iter().any(|(_, tables)| lost(tables)) {
        shared(&mut all, |(pin, tables)| {
            if lost(tables) {
                place(&mut open(pin)?, &mut tables.links, pin, pins);
            }
            Ok(())
        })?;
        join(&mut all);
    }
    Ok(all.into_iter().map(|(_, tables)| tables).collect())
}

/// What only `/proc/sys` and the packet filter of these namespaces tell, in the order of `pins`.
///
/// # Errors
/// When a pin cannot be entered.
pub fn settings(pins: &[Pin]) -> Result<Vec<Settings>> {
    let mut all: Vec<(&Pin, Settings)> = pins.iter().map(|pin| (pin, Settings::default())).collect();
    shared(&mut all, |(pin, settings)| {
        open(pin)?;
        *settings = own_settings();
        Ok(())
    })?;
    Ok(all.into_iter().map(|(_, settings)| settings).collect())
}

/// What routers have told a namespace of the ways to these IPv4 addresses. A dump tells that only of addresses that something
/// was sent to since (`fnhe_dump_bucket`, `net/ipv4/route.c`).
///
/// # Errors
/// When a pin cannot be entered.
pub fn redirects(asked: &[(Pin, Vec<Ipv4Addr>)]) -> Result<Vec<Vec<(IpAddr, NextHop)>>> {
    let mut all: Vec<_> = asked.iter().map(|(pin, addresses)| (pin, addresses, Vec::new())).collect();
    shared(&mut all, |(pin, addresses, redirects)| {
        let mut socket = open(pin)?;
        redirects.extend(addresses.iter().filter_map(|to| read::redirected(&mut socket, *to)));
        Ok(())
    })?;
    Ok(all.into_iter().map(|(_, _, redirects)| redirects).collect())
}

/// The indices of the interfaces whose frames filters of `tc` see before anybody else does.
pub fn hooked(pin: &Path) -> Vec<u32> {
    within(pin, "", || Netlink::open().map_or_else(|_| Vec::new(), |mut socket| hands::hooked(&mut socket))).unwrap_or_default()
}

/// Moves the calling thread into the namespace; the socket may leave it.
fn open(pin: &Pin) -> Result<Netlink> {
    let to_error = |(tried, errno): (String, Errno)| failed(&pin.node, &tried, errno);
    fault::look().map_err(|errno| to_error((format!("open {}", pin.path.display()), errno)))?;
    enter(&pin.path).map_err(to_error)?;
    Netlink::open().map_err(|errno| to_error(("netlink socket".to_owned(), errno)))
}

/// Milliseconds that the route to an IPv6 address of a node's own may take: the kernel makes it in a work queue.
const LATE_ROUTES: u32 = 250;

/// Whether an IPv6 address that is in use has no route yet.
fn is_late(links: &[Link], routes: &[RouteMessage]) -> bool {
    let used = links.iter().flat_map(|link| &link.addresses).filter(|address| !address.is_tentative());
    let mut used = used.map(|address| address.net.addr()).filter(IpAddr::is_ipv6).peekable();
    if used.peek().is_none() {
        return false;
    }
    let local = routes.iter().filter(|route| route.header.kind == RouteType::Local).filter_map(read::route);
    let local: HashSet<IpAddr> = local.map(|route| route.to.addr()).collect();
    used.any(|address| !local.contains(&address))
}

/// The tables of the namespace that the socket is in.
fn contents(socket: &mut Netlink) -> std::result::Result<Tables, (&'static str, Errno)> {
    let mut links = socket.links().map_err(|errno| ("ip link show", errno))?;
    if settle(socket, &links).map_err(|errno| ("ip link show", errno))? {
        links = socket.links().map_err(|errno| ("ip link show", errno))?;
    }
    let addresses = socket.addresses().map_err(|errno| ("ip address show", errno))?;
    let links = read::links(&links, &addresses);
    let mut dumped = || socket.routes().map_err(|errno| ("ip route show", errno));
    let mut routes = dumped()?;
    for _ in 0..LATE_ROUTES {
        if !is_late(&links, &routes) {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
        routes = dumped()?;
    }
    // A kernel without policy routing refuses; then the three usual tables are looked up.
    let rules = socket.rules().unwrap_or_default();
    let neighbours = socket.neighbours(AddressFamily::Unspec).map_err(|errno| ("ip neighbour show", errno))?;
    let mut tables = Tables {
        links,
        routes: routes.iter().filter_map(read::route).collect(),
        exceptions: routes.iter().filter_map(read::exception).collect(),
        redirects: routes.iter().filter_map(read::redirect).collect(),
        rules: rules.iter().filter_map(read::rule).collect(),
        neighbours: neighbours.iter().filter_map(read::neighbour).collect(),
        proxied: read::proxies(socket).unwrap_or_default(),
        all4: read::all(socket, AddressFamily::Inet),
        all6: read::all(socket, AddressFamily::Inet6),
        ..Tables::default()
    };
    // A fallback device that nobody has touched carries nothing, and nobody looks for it.
    tables.links.retain(|link| !link.fallback || link.up || link.master.is_some() || !link.addresses.is_empty());
    if tables.links.iter().any(|link| ["bridge", "vxlan"].contains(&link.kind.as_str())) {
        // A kernel without bridges refuses the question; then there is nothing to show.
        let entries = socket.neighbours(AddressFamily::Bridge).unwrap_or_default();
        tables.fdb = entries.iter().filter_map(|entry| read::fdb(entry, &tables.links)).collect();
        tables.remotes = entries.iter().filter_map(read::remote).collect();
    }
    if tables.links.iter().any(|link| link.filtering == Filtering::On) {
        let ports = socket.port_vlans().map_err(|errno| ("bridge vlan show", errno))?;
        tables.vlans = ports.iter().flat_map(read::vlans).collect();
    }
    Ok(tables)
}

/// Says of every pair where its other end is, as far as it is in one of these nodes, or in this one.
fn place<'a>(socket: &mut Netlink, links: &mut [Link], here: &Pin, among: impl IntoIterator<Item = &'a Pin>) {
    let wanted: HashSet<i32> =
        links.iter().flat_map(Link::ends).filter(|peer| peer.node.is_none()).filter_map(|peer| peer.namespace).collect();
    // The nodes by the numbers that this namespace gives theirs.
    let mut nodes = HashMap::new();
    for pin in among {
        if nodes.len() == wanted.len() {
            break;
        }
        if let Some(number) = namespace_number(socket, &pin.path).filter(|number| wanted.contains(number)) {
            nodes.insert(number, pin.node.as_str());
        }
    }
    for peer in links.iter_mut().flat_map(Link::ends_mut) {
        let node = peer.namespace.map_or(Some(here.node.as_str()), |number| nodes.get(&number).copied());
        peer.node = node.map(str::to_owned).or(peer.node.take());
    }
}

/// The name of the other end, asked from this namespace.
fn name(socket: &mut Netlink, peer: &VethPeer) -> Option<String> {
    let mut message = LinkMessage::default();
    message.header.index = peer.index;
    message.attributes.extend(peer.namespace.map(LinkAttribute::IfNetnsId));
    match socket.ask_for(&RouteNetlinkMessage::GetLink(message)) {
        Ok(Some(RouteNetlinkMessage::NewLink(answer))) => name_of(&answer).map(str::to_owned),
        _ => None,
    }
}

/// The number that this namespace gives to the pinned one, if it has met it.
pub fn namespace_number(socket: &mut Netlink, pin: &Path) -> Option<i32> {
    let namespace = File::open(pin).ok()?;
    let mut message = NsidMessage::default();
    message.attributes.push(NsidAttribute::Fd(u32::try_from(namespace.as_raw_fd()).ok()?));
    let Ok(Some(RouteNetlinkMessage::NewNsId(answer))) = socket.ask_for(&RouteNetlinkMessage::GetNsId(message)) else {
        return None;
    };
    answer.attributes.iter().find_map(|attribute| match attribute {
        NsidAttribute::Id(number) if *number >= 0 => Some(*number),
        _ => None,
    })
}

/// The other ends that one side knows the other side learns: who asks about its host need not be asked about by its host.
fn join(all: &mut [(&Pin, Tables)]) {
    let mut known: HashMap<(String, u32), (String, u32)> = HashMap::new();
    let mut names: HashMap<(String, u32), String> = HashMap::new();
    for (Pin { node, .. }, tables) in &*all {
        for link in &tables.links {
            names.insert((node.clone(), link.index), link.name.clone());
            let Some(peer) = &link.peer else { continue };
            if let Some(there) = &peer.node {
                known.insert((there.clone(), peer.index), (node.clone(), link.index));
            }
        }
    }
    for (Pin { node, .. }, tables) in all {
        for link in &mut tables.links {
            if let Some(peer) = &mut link.peer
                && peer.node.is_none()
                && let Some((there, index)) = known.get(&(node.clone(), link.index))
                && *index == peer.index
            {
                peer.node = Some(there.clone());
            }
            for end in link.ends_mut() {
                end.name = end.node.as_ref().and_then(|there| names.get(&(there.clone(), end.index)).cloned());
            }
        }
    }
}

fn setting(path: &str) -> Option<u8> {
    std::fs::read_to_string(format!("/proc/sys/net/{path}")).ok()?.trim().parse().ok()
}

/// What only `/proc/sys` and the packet filter say in the namespace of this thread.
fn own_settings() -> Settings {
    let on = |path: &str| setting(path).is_some_and(|number| number != 0);
    Settings {
        accept_local: on("ipv4/conf/all/accept_local"),
        proxy_arp: on("ipv4/conf/all/proxy_arp"),
        arp_ignore: setting("ipv4/conf/all/arp_ignore").unwrap_or(0),
        echo_ignored: (on("ipv4/icmp_echo_ignore_all"), on("ipv6/icmp/echo_ignore_all")),
        conf: Conf {
            arp_filter: on("ipv4/conf/all/arp_filter"),
            arp_announce: setting("ipv4/conf/all/arp_announce").unwrap_or(0),
            proxy_arp_pvlan: on("ipv4/conf/all/proxy_arp_pvlan"),
            proxy_ndp: on("ipv6/conf/all/proxy_ndp"),
            send_redirects: on("ipv4/conf/all/send_redirects"),
            accept_redirects: on("ipv4/conf/all/accept_redirects"),
        },
        ttl: setting("ipv4/ip_default_ttl"),
        chains: chains(),
        policies: Policies::read().unwrap_or_default(),
    }
}

/// The interfaces of a namespace by name and index, and their addresses; the loopback is left out.
pub type Addresses = (Vec<(String, u32)>, Vec<(String, IpNet)>);

/// The addresses of many namespaces at once, without what else is in them.
///
/// # Errors
/// When one cannot be entered.
pub fn addresses(pins: &[(NodeId, PathBuf)]) -> Result<Vec<Addresses>> {
    thread(|| {
        let found = pins.iter().map(|(node, pin)| {
            let mut space = Space::open(pin, node)?;
            let failed = |errno| netns::error(node, "ip address show", errno);
            let links = read::links(&space.socket.links().map_err(failed)?, &space.socket.addresses().map_err(failed)?);
            let links: Vec<&Link> = links.iter().filter(|link| link.kind != "loopback").collect();
            let own = |link: &&Link| link.addresses.iter().map(|address| (link.name.clone(), address.net)).collect::<Vec<_>>();
            Ok((links.iter().map(|link| (link.name.clone(), link.index)).collect(), links.iter().flat_map(own).collect()))
        });
        found.collect()
    })?
}

/// What has passed an interface in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// Bytes of whole frames.
    pub bytes: u64,
    /// Frames.
    pub packets: u64,
    /// Frames that were damaged.
    pub errors: u64,
    /// Frames that there was no room for.
    pub dropped: u64,
}

/// What has passed an interface since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Into the node.
    pub received: Count,
    /// Out of it.
    pub sent: Count,
}

/// What has passed each interface of a node, by its name.
///
/// # Errors
/// When the pin cannot be entered.
pub fn traffic(here: &Pin) -> Result<BTreeMap<String, Traffic>> {
    const FILE: &str = "/proc/thread-self/net/dev";
    let text = within(&here.path, &here.node, || std::fs::read_to_string(FILE))?;
    let text = text.map_err(|error| failed(&here.node, FILE, process::errno(&error)))?;
    Ok(text.lines().filter_map(counts).collect())
}

/// A line of `/proc/net/dev`: eight numbers of what came in, then eight of what went out.
fn counts(line: &str) -> Option<(String, Traffic)> {
    let (name, numbers) = line.rsplit_once(':')?;
    let numbers: Vec<u64> = numbers.split_whitespace().map_while(|number| number.parse().ok()).collect();
    let count = |at: usize| match numbers.get(at..at + 4) {
        Some(&[bytes, packets, errors, dropped]) => Some(Count { bytes, packets, errors, dropped }),
        _ => None,
    };
    Some((name.trim().to_owned(), Traffic { received: count(0)?, sent: count(8)? }))
}

/// `RTNLGRP_LINK`, `NEIGH`, IPv4 and IPv6 `IFADDR`, `ROUTE`, `RULE`, `NETCONF` (`linux/rtnetlink.h`).
const ROUTE_GROUPS: [u32; 10] = [1, 3, 5, 7, 8, 9, 11, 19, 24, 25];
/// `NFNLGRP_NFTABLES` (`linux/netfilter/nfnetlink.h`).
const FILTER_GROUPS: [u32; 1] = [7];
/// `RTM_NEWNEIGH`, `RTM_DELNEIGH`.
const NEIGHBOUR: [u16; 2] = [28, 29];
/// `NUD_PERMANENT`, and `NUD_NOARP`, which marks what a bridge was told (`linux/neighbour.h`).
const PERMANENT: u16 = 0x80;
const STATIC: u16 = 0x40;
/// `AF_BRIDGE`
const BRIDGE: u8 = 7;

/// What was heard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Changes {
    /// Somebody changed links, addresses, routes, rules or settings.
    pub network: bool,
    /// Somebody changed the packet filter.
    pub filter: bool,
}

impl Changes {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { network: self.network || other.network, filter: self.filter || other.filter }
    }

    /// Whether anything was.
    pub fn any(self) -> bool {
        self.network || self.filter
    }
}

/// Sockets that stay in a namespace and hear what changes there.
#[derive(Debug)]
pub struct News {
    route: Netlink,
    /// None on a kernel without packet filters.
    filter: Option<Netlink>,
}

impl News {
    /// Begins to listen in the namespace behind a pin.
    ///
    /// # Errors
    /// When it cannot be entered or the kernel refuses the socket.
    pub fn open(pin: &Path, node: &str) -> Result<Self> {
        within(pin, node, || {
            let route = Netlink::open().and_then(|socket| socket.join(&ROUTE_GROUPS));
            let route = route.map_err(|errno| failed(node, "socket(NETLINK_ROUTE)", errno))?;
            Ok(Self { route, filter: Netlink::netfilter().and_then(|socket| socket.join(&FILTER_GROUPS)).ok() })
        })?
    }

    /// Where to wait for more.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        std::iter::once(&self.route).chain(&self.filter).map(AsFd::as_fd)
    }

    /// Takes what has come since.
    pub fn hear(&self) -> Changes {
        let network = take(&self.route, matters);
        let filter = self.filter.as_ref().is_some_and(|filter| take(filter, |_| true));
        Changes { network, filter }
    }
}

/// Reads until nothing is left; whether any message matters. Of lost messages nobody knows what they said: they do.
fn take(socket: &Netlink, matters: impl Fn(&netlink::Message<'_>) -> bool) -> bool {
    let mut any = false;
    loop {
        match socket.hear() {
            Ok(Some(datagram)) => any |= messages(&datagram).any(|message| matters(&message)),
            Err(Errno::ENOBUFS) => any = true,
            Ok(None) | Err(_) => return any,
        }
    }
}

/// Of neighbours only those that somebody typed: the kernel's own come and go with every packet.
fn matters(message: &netlink::Message<'_>) -> bool {
    if !NEIGHBOUR.contains(&message.kind) {
        return true;
    }
    let (Some(family), Some(state)) = (message.body.first(), message.body.get(8..10)) else { return false };
    let state = u16::from_ne_bytes([state[0], state[1]]);
    if *family == BRIDGE { state & STATIC != 0 } else { state & PERMANENT != 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_and_a_heading_is_not() {
        assert_eq!(counts(" face |bytes    packets errs drop fifo frame compressed multicast|bytes"), None);
        let count = |bytes, packets, errors, dropped| Count { bytes, packets, errors, dropped };
        let seen = Traffic { received: count(606, 7, 1, 2), sent: count(1286, 15, 3, 4) };
        assert_eq!(
            counts("  eth0:     606       7    1    2    0     0          0         0     1286      15    3    4    0"),
            Some(("eth0".to_owned(), seen))
        );
    }
}
