//! The tables of one network namespace, as the kernel's own decisions use them.

mod address;
pub mod policies;
pub(super) mod read;
mod stack;

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use netlink_packet_route::neighbour::NeighbourState;
use netlink_packet_route::route::{RouteProtocol, RouteType};

use crate::name::Mac;
use crate::report::machine::{self, FdbState, Forwarding, Node, Peer};

pub use address::{Address, Detection};
pub use stack::{Filtering, PortVlan, Remote, Stack, Tunnel};

/// `RT_TABLE_LOCAL` (`linux/rtnetlink.h`): a node's own addresses.
pub const LOCAL_TABLE: u32 = 255;

/// Everything that decides about packets in a namespace.
#[derive(Debug, Clone, Default)]
pub struct Tables {
    /// Interfaces, in the order of their indices.
    pub links: Vec<Link>,
    /// Routes of every table and both families, in the kernel's order.
    pub routes: Vec<Route>,
    /// MTUs that routers have told of ways to single addresses; they are kept for minutes.
    pub exceptions: Vec<(IpAddr, u32)>,
    /// Next hops that routers have told of single addresses (ICMP redirects), in place of those of the routes.
    pub redirects: Vec<(IpAddr, NextHop)>,
    /// Policy rules of both families; none where the kernel has no policy routing.
    pub rules: Vec<Rule>,
    /// Neighbours.
    pub neighbours: Vec<Neighbour>,
    /// Addresses that an interface answers for in place of others (`ip neighbour add proxy`), by its index.
    pub proxied: Vec<(u32, IpAddr)>,
    /// The forwarding tables of the bridges.
    pub fdb: Vec<Fdb>,
    /// The VLANs of the ports of bridges that sort frames by them.
    pub vlans: Vec<PortVlan>,
    /// Where VXLANs send what is for a MAC address.
    pub remotes: Vec<Remote>,
    /// `net.ipv4.conf.all`
    pub all4: All,
    /// `net.ipv6.conf.all`
    pub all6: All,
    /// What has to be asked for singly; none where nobody has.
    pub settings: Option<Settings>,
}

/// Settings of all interfaces together, from `RTM_GETNETCONF`; none where the kernel did not tell.
#[derive(Debug, Clone, Copy, Default)]
pub struct All {
    /// Packets are forwarded.
    pub forwarding: Option<bool>,
    /// The reverse path filter: 0 off, 1 strict, 2 loose. IPv6 has none.
    pub rp_filter: u8,
}

/// Settings that only `/proc/sys` tells, and the packet filter's base chains.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// `net.ipv4.conf.all.accept_local`
    pub accept_local: bool,
    /// `net.ipv4.conf.all.proxy_arp`
    pub proxy_arp: bool,
    /// `net.ipv4.conf.all.arp_ignore`
    pub arp_ignore: u8,
    /// `net.ipv4.conf.all`, `net.ipv6.conf.all`
    pub conf: Conf,
    /// `net.ipv4.icmp_echo_ignore_all`, `net.ipv6.icmp.echo_ignore_all`
    pub echo_ignored: (bool, bool),
    /// `net.ipv4.ip_default_ttl`; none where it could not be read.
    pub ttl: Option<u8>,
    /// Base chains.
    pub chains: Vec<Chain>,
    /// Policies of `IPsec`.
    pub policies: policies::Policies,
}

/// A base chain of a packet filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// The family as `nft` writes it.
    pub family: String,
    /// The table.
    pub table: String,
    /// The chain.
    pub name: String,
    /// `prerouting`, `input`, `forward`, `output`, `postrouting`, `ingress`, `egress`.
    pub hook: String,
    /// What no rule decides is dropped.
    pub drops: bool,
}

/// An interface.
#[derive(Debug, Clone, Default)]
#[allow(clippy::struct_excessive_bools, reason = "they are the kernel's own switches")]
pub struct Link {
    /// The kernel's number for it.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// `veth`, `bridge`, `loopback`, `device`, or the kernel's word for another kind.
    pub kind: String,
    /// Its Ethernet address, where it has one.
    pub mac: Option<Mac>,
    /// Bytes of payload per frame.
    pub mtu: u32,
    /// Administratively up.
    pub up: bool,
    /// It neither asks nor answers for addresses (`NOARP`).
    pub noarp: bool,
    /// The cable is plugged in and up at its other end.
    pub carrier: bool,
    /// The kernel's word for whether frames pass: `up`, `down`, `lower-layer-down`, `unknown` ...
    pub state: String,
    /// What leaves here waits in a queue that somebody made (`tc qdisc`): it may be delayed, dropped or held back.
    pub queues: bool,
    /// The index of the bridge that it is a port of.
    pub master: Option<u32>,
    /// What it does as a bridge's port.
    pub port: Option<BridgePort>,
    /// The other end of a veth pair.
    pub peer: Option<VethPeer>,
    /// What it makes of frames, where it stands on others.
    pub stack: Stack,
    /// The link that it stands on.
    pub lower: Option<VethPeer>,
    /// Whether it sorts frames by VLAN, where it is a bridge.
    pub filtering: Filtering,
    /// Its addresses.
    pub addresses: Vec<Address>,
    /// It is the kernel's own: a fallback device, which somebody gave an address or put up.
    pub fallback: bool,
    /// IPv4 packets that come in here are forwarded.
    pub forwarding4: bool,
    /// The reverse path filter: 0 off, 1 strict, 2 loose; the higher of this and `all` holds.
    pub rp_filter: u8,
    /// `accept_local`
    pub accept_local: bool,
    /// `proxy_arp`
    pub proxy_arp: bool,
    /// `arp_ignore`
    pub arp_ignore: u8,
    /// What else is set there.
    pub conf: Conf,
    /// `net.ipv6.conf.DEV.forwarding`: it is a router's; whether packets are forwarded, that of all says.
    pub forwarding6: bool,
    /// `net.ipv6.conf.DEV.disable_ipv6`
    pub ipv6_off: bool,
    /// The hop limit of IPv6 packets that are sent here.
    pub hop_limit: Option<u8>,
}

/// Switches of `net.ipv4.conf` and `net.ipv6.conf`, of an interface or of all together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "they are the kernel's own switches")]
pub struct Conf {
    /// Answers only where the way back to the asker leads (`arp_filter`).
    pub arp_filter: bool,
    /// Which address it asks with: 0 the packet's, 1 one of the subnet, 2 the best (`arp_announce`).
    pub arp_announce: u8,
    /// Answers for what is on the same interface (`proxy_arp_pvlan`).
    pub proxy_arp_pvlan: bool,
    /// Answers for the IPv6 addresses that are told (`proxy_ndp`).
    pub proxy_ndp: bool,
    /// Tells senders of a better router (`send_redirects`).
    pub send_redirects: bool,
    /// Believes that (`accept_redirects`).
    pub accept_redirects: bool,
}

impl Default for Conf {
    fn default() -> Self {
        let (arp_filter, arp_announce, proxy_arp_pvlan, proxy_ndp) = (false, 0, false, false);
        Self { arp_filter, arp_announce, proxy_arp_pvlan, proxy_ndp, send_redirects: true, accept_redirects: true }
    }
}

/// The other end of a veth pair, or a link below.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VethPeer {
    /// The number of its namespace as this one counts; none where it is the same.
    pub namespace: Option<i32>,
    /// Its index there.
    pub index: u32,
    /// The node that it is in, `host` or `host.container`; none where it is in no node of the lab.
    pub node: Option<String>,
    /// Its name there, where it could be seen.
    pub name: Option<String>,
}

/// What a bridge does with frames at a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "they are the kernel's own switches")]
pub struct BridgePort {
    /// Of the spanning tree.
    pub state: PortState,
    /// Learns the source addresses of frames that come in.
    pub learns: bool,
    /// Gets frames for unknown addresses.
    pub floods: bool,
    /// Gets broadcasts.
    pub broadcasts: bool,
    /// Gets multicasts that nobody joined.
    pub multicasts: bool,
    /// Takes frames only from addresses that the forwarding table has here.
    pub locked: bool,
    /// Exchanges no frames with other isolated ports.
    pub isolated: bool,
    /// Sends frames back out of the port that they came in by.
    pub hairpin: bool,
}

impl Default for BridgePort {
    fn default() -> Self {
        let state = PortState::Forwarding;
        Self {
            state,
            learns: true,
            floods: true,
            broadcasts: true,
            multicasts: true,
            locked: false,
            isolated: false,
            hairpin: false,
        }
    }
}

/// The state of a port in the spanning tree (IEEE 802.1D).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words explain themselves")]
pub enum PortState {
    Disabled,
    Blocking,
    Listening,
    Learning,
    Forwarding,
}

impl PortState {
    /// The word that `bridge link` prints.
    pub fn word(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Blocking => "blocking",
            Self::Listening => "listening",
            Self::Learning => "learning",
            Self::Forwarding => "forwarding",
        }
    }
}

/// A route.
#[derive(Debug, Clone)]
pub struct Route {
    /// The table.
    pub table: u32,
    /// The destination.
    pub to: IpNet,
    /// `unicast`, `local`, `blackhole` ...
    pub kind: RouteType,
    /// Who made it.
    pub protocol: RouteProtocol,
    /// Where it leads; several take turns.
    pub hops: Vec<NextHop>,
    /// The address that packets from here bear.
    pub source: Option<IpAddr>,
    /// The lower wins; none where the kernel says none, which is 0.
    pub metric: Option<u32>,
    /// Only for packets of this type of service.
    pub tos: u8,
    /// The MTU that was put on the route.
    pub mtu: Option<u32>,
}

/// Where a route leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextHop {
    /// The next router.
    pub via: Option<IpAddr>,
    /// The index of the interface.
    pub dev: u32,
    /// The kernel passes it over: its interface is down.
    pub dead: bool,
}

/// A policy rule: which table a packet is looked up in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Of IPv6.
    pub ipv6: bool,
    /// The lower comes first.
    pub priority: u32,
    /// Source addresses that it is for.
    pub from: Option<IpNet>,
    /// Destinations that it is for.
    pub to: Option<IpNet>,
    /// The interface that packets come in by; `lo` is for the node's own.
    pub enters: Option<String>,
    /// It asks for something that an echo request without marks has not: another interface to leave by, a mark, a port.
    pub strange: bool,
    /// It is for everything else.
    pub inverted: bool,
    /// Routes with a prefix of at most this length do not count.
    pub suppressed: Option<u8>,
    /// What it does.
    pub action: RuleAction,
}

/// What a policy rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleAction {
    /// Look the destination up in this table.
    Table(u32),
    /// Go on with the rule of this priority.
    Goto(u32),
    /// Nothing.
    Nop,
    /// Drop the packet as a route of this kind would.
    Refuse(RouteType),
}

/// A neighbour.
#[derive(Debug, Clone)]
pub struct Neighbour {
    /// Its IP address.
    pub address: IpAddr,
    /// The index of the interface.
    pub dev: u32,
    /// Its MAC address, where one answered.
    pub mac: Option<Mac>,
    /// How it is known.
    pub state: NeighbourState,
}

/// An entry of a bridge's forwarding table.
#[derive(Debug, Clone)]
pub struct Fdb {
    /// The index of the bridge.
    pub bridge: u32,
    /// The MAC address.
    pub mac: Mac,
    /// The index of the port behind which it is.
    pub port: u32,
    /// The VLAN that it is for; 0 where the bridge does not sort frames by VLAN.
    pub vlan: u16,
    /// It is an address of the bridge's or its ports': frames for it go up the stack.
    pub own: bool,
    /// Told, and kept.
    pub fixed: bool,
    /// It stays at its port whatever comes in elsewhere; others move, told or not.
    pub sticky: bool,
    /// How long ago a frame came from it last; none where the kernel does not tell.
    pub age: Option<Duration>,
}

impl Link {
    /// The other end of its cable, and the link below it.
    pub fn ends(&self) -> impl Iterator<Item = &VethPeer> {
        self.peer.iter().chain(&self.lower)
    }

    /// The same, to be filled in.
    pub fn ends_mut(&mut self) -> impl Iterator<Item = &mut VethPeer> {
        self.peer.iter_mut().chain(&mut self.lower)
    }
}

impl Tables {
    /// The interface of that index.
    pub fn link(&self, index: u32) -> Option<&Link> {
        self.links.iter().find(|link| link.index == index)
    }

    /// What holds at an interface, by its own switches and those of all (`linux/inetdevice.h`).
    pub fn conf(&self, link: &Link) -> Conf {
        let (own, all) = (link.conf, self.settings.as_ref().map_or(link.conf, |settings| settings.conf));
        let redirects = [own.accept_redirects, all.accept_redirects];
        Conf {
            arp_filter: own.arp_filter || all.arp_filter,
            arp_announce: own.arp_announce.max(all.arp_announce),
            proxy_arp_pvlan: own.proxy_arp_pvlan || all.proxy_arp_pvlan,
            proxy_ndp: own.proxy_ndp || all.proxy_ndp,
            send_redirects: own.send_redirects || all.send_redirects,
            accept_redirects: if link.forwarding4 { redirects == [true; 2] } else { redirects != [false; 2] },
        }
    }

    /// The interface of that name.
    pub fn named(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name)
    }
}

/// What of it people want to see; the lab, the node and its kind are left for the caller to fill in.
pub fn report(tables: &Tables) -> Node {
    let name = |index: u32| tables.link(index).map(|link| link.name.clone());
    let mut node = Node {
        forwarding: Forwarding { ipv4: tables.all4.forwarding, ipv6: tables.all6.forwarding },
        links: tables.links.iter().map(|link| of_link(link, tables)).collect(),
        routes: tables.routes.iter().filter_map(|route| of_route(route, tables)).collect(),
        ..Node::default()
    };
    for entry in &tables.neighbours {
        // The kernel keeps entries for multicast and its own addresses, which nobody resolved.
        if entry.state == NeighbourState::Noarp {
            continue;
        }
        let Some(dev) = name(entry.dev) else { continue };
        let state = format!("{:?}", entry.state).to_lowercase();
        node.neighbours.push(machine::Neighbour {
            address: entry.address,
            dev,
            mac: entry.mac.map(|mac| mac.to_string()),
            state,
        });
    }
    for entry in &tables.fdb {
        let (Some(bridge), Some(port)) = (name(entry.bridge), name(entry.port)) else { continue };
        let state = match (entry.fixed, entry.own) {
            (true, _) => FdbState::Static,
            (false, true) => FdbState::Own,
            (false, false) => FdbState::Learned,
        };
        node.fdb.push(machine::Fdb { bridge, mac: entry.mac.to_string(), port, state });
    }
    node.fdb.sort_by(|a, b| (&a.bridge, &a.port, &a.mac).cmp(&(&b.bridge, &b.port, &b.mac)));
    node.fdb.dedup_by(|a, b| (&a.bridge, &a.port, &a.mac) == (&b.bridge, &b.port, &b.mac));
    node
}

fn of_link(link: &Link, all: &Tables) -> machine::Link {
    machine::Link {
        index: link.index,
        name: link.name.clone(),
        kind: link.kind.clone(),
        mac: link.mac.map(|mac| mac.to_string()),
        mtu: link.mtu,
        up: link.up,
        state: link.state.clone(),
        bridge: link.master.and_then(|index| all.link(index)).map(|bridge| bridge.name.clone()),
        peer: link.peer.as_ref().map(|peer| Peer { node: peer.node.clone(), name: peer.name.clone() }),
        addresses: link.addresses.iter().map(|address| address.net).collect(),
    }
}

fn of_route(route: &Route, all: &Tables) -> Option<machine::Route> {
    if route.table == LOCAL_TABLE || matches!(route.kind, RouteType::Multicast | RouteType::Broadcast | RouteType::Local) {
        return None;
    }
    let kind = match route.kind {
        RouteType::Unicast => "unicast",
        RouteType::Anycast => "anycast",
        RouteType::BlackHole => "blackhole",
        RouteType::Unreachable => "unreachable",
        RouteType::Prohibit => "prohibit",
        RouteType::Throw => "throw",
        _ => "other",
    };
    let single = if route.hops.len() == 1 { route.hops.first() } else { None };
    Some(machine::Route {
        table: route.table,
        to: route.to,
        via: single.and_then(|hop| hop.via),
        dev: single.and_then(|hop| all.link(hop.dev)).map(|link| link.name.clone()),
        kind: kind.to_owned(),
        protocol: route.protocol.to_string(),
        source: route.source,
        metric: route.metric,
    })
}
