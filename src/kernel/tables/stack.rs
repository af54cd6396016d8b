//! Links that stand on others, as far as they are followed: VLANs, bonds, macvlans, tunnels, dummies.

use std::net::IpAddr;

use netlink_packet_route::IpProtocol;
use netlink_packet_route::link::{
    AfSpecBridge, BondMode, BridgeVlanInfoFlags, GreEncapType, GreIOFlags, InfoBond, InfoBridge, InfoData, InfoGre, InfoIpTunnel,
    InfoMacVlan, InfoVlan, InfoVxlan, LinkAttribute, LinkMessage, MacVlanMode, TunnelEncapType, VlanFlags, VlanProtocol,
};

use super::Link;
use crate::name::Mac;

/// What a link that stands on others makes of frames.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Stack {
    /// It stands on none, or nslab cannot follow it.
    #[default]
    Unknown,
    /// Its frames bear the tag of a VLAN on the link below.
    Vlan {
        /// The VLAN's number.
        id: u16,
    },
    /// It has a MAC address of its own on the link below, and meets its siblings there (mode bridge).
    Macvlan,
    /// Its frames leave by one of its slaves, and only what comes in there is taken.
    Bond {
        /// The index of that slave; none where there is none.
        active: Option<u32>,
    },
    /// Its packets, or frames, travel in packets of its node.
    Tunnel(Tunnel),
    /// What is sent there is thrown away.
    Dummy,
}

/// How a tunnel packs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tunnel {
    /// The source of the packets outside.
    pub local: Option<IpAddr>,
    /// Their destination.
    pub remote: Option<IpAddr>,
    /// The key that packets must bear that come in, and that of those that leave; of a VXLAN its number.
    pub keys: (u32, u32),
    /// The UDP port of a VXLAN.
    pub port: u16,
    /// Their time to live; none where it is that of what is inside.
    pub ttl: Option<u8>,
    /// The index of the only interface that they may leave by.
    pub dev: Option<u32>,
    /// They are not to be cut.
    pub whole: bool,
    /// Bytes that are put before what is inside.
    pub overhead: u32,
}

/// Whether a bridge sorts frames by VLAN (`vlan_filtering`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Filtering {
    /// It looks at no tags.
    #[default]
    Off,
    /// By the tags of IEEE 802.1Q.
    On,
    /// By others.
    Unknown,
}

/// A VLAN that a bridge's port, or the bridge's own interface, is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortVlan {
    /// The index of the port or of the bridge.
    pub port: u32,
    /// The VLAN's number.
    pub id: u16,
    /// Frames without a tag that come in are in it.
    pub pvid: bool,
    /// Its frames leave without a tag.
    pub untagged: bool,
}

/// Where a VXLAN sends frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remote {
    /// The index of the VXLAN.
    pub dev: u32,
    /// For this MAC address; none for all others.
    pub mac: Option<Mac>,
    /// To this address.
    pub to: IpAddr,
}

/// Bytes of IPv4 and IPv6 headers, of those of GRE, of UDP and VXLAN, of an Ethernet frame within; a GRE option has four.
const IPV4: u32 = 20;
const IPV6: u32 = 40;
const GRE: u32 = 4;
const OPTION: u32 = 4;
const VXLAN: u32 = 16;
const ETHERNET: u32 = 14;

/// What a link makes of frames; nothing that is known where it has an option that nslab does not know.
pub(super) fn stack(data: &InfoData) -> Stack {
    match data {
        InfoData::Vlan(options) => vlan(options),
        InfoData::MacVlan(options) => macvlan(options),
        InfoData::Bond(options) => bond(options),
        InfoData::GreTun(options) => gre(options, GRE + IPV4).map_or(Stack::Unknown, Stack::Tunnel),
        InfoData::GreTap(options) => gre(options, GRE + IPV4 + ETHERNET).map_or(Stack::Unknown, Stack::Tunnel),
        InfoData::IpTunnel(options) => ip(options).map_or(Stack::Unknown, Stack::Tunnel),
        InfoData::Vxlan(options) => vxlan(options).map_or(Stack::Unknown, Stack::Tunnel),
        _ => Stack::Unknown,
    }
}

fn vlan(options: &[InfoVlan]) -> Stack {
    let mut found = None;
    for option in options {
        match option {
            InfoVlan::Id(id) => found = Some(*id),
            InfoVlan::Protocol(protocol) if *protocol != VlanProtocol::Ieee8021Q => return Stack::Unknown,
            InfoVlan::Flags((flags, _)) if !flags.contains(VlanFlags::ReorderHdr) => return Stack::Unknown,
            _ => {}
        }
    }
    found.map_or(Stack::Unknown, |id| Stack::Vlan { id })
}

fn macvlan(options: &[InfoMacVlan]) -> Stack {
    let bridges = options.iter().any(|option| matches!(option, InfoMacVlan::Mode(MacVlanMode::Bridge)));
    if bridges { Stack::Macvlan } else { Stack::Unknown }
}

/// Of the modes in which one slave at a time sends that one; of those in which all take turns, or a hash decides, the only one.
fn bond(options: &[InfoBond]) -> Stack {
    let mode = options.iter().find_map(|option| if let InfoBond::Mode(mode) = option { Some(*mode) } else { None });
    let active = options.iter().find_map(|option| if let InfoBond::ActivePort(index) = option { Some(*index) } else { None });
    match mode {
        Some(BondMode::ActiveBackup) => Stack::Bond { active },
        Some(BondMode::BalanceRr | BondMode::BalanceXor | BondMode::Broadcast) => Stack::Bond { active: None },
        _ => Stack::Unknown,
    }
}

/// Of a bond whose slaves all send, the slave; of several it is not known which.
pub(super) fn settle(links: &mut [Link]) {
    let slaves: Vec<(u32, u32)> = links.iter().filter_map(|link| Some((link.master?, link.index))).collect();
    for link in links {
        if link.stack != (Stack::Bond { active: None }) {
            continue;
        }
        let mut own = slaves.iter().filter(|(master, _)| *master == link.index);
        match (own.next(), own.next()) {
            (Some((_, only)), None) => link.stack = Stack::Bond { active: Some(*only) },
            (Some(_), Some(_)) => link.stack = Stack::Unknown,
            _ => {}
        }
    }
}

fn is_some(address: IpAddr) -> Option<IpAddr> {
    Some(address).filter(|address| !address.is_unspecified())
}

fn gre(options: &[InfoGre], overhead: u32) -> Option<Tunnel> {
    let mut tunnel = Tunnel { overhead, ..Tunnel::default() };
    let (mut in_key, mut out_key) = (0, 0);
    for option in options {
        match option {
            InfoGre::Link(index) => tunnel.dev = Some(*index).filter(|index| *index != 0),
            InfoGre::OFlags(flags) => {
                let options =
                    [GreIOFlags::Checksum, GreIOFlags::Seq, GreIOFlags::Key].into_iter().filter(|flag| flags.contains(*flag));
                tunnel.overhead += options.map(|_| OPTION).sum::<u32>();
            }
            InfoGre::IKey(key) => in_key = *key,
            InfoGre::OKey(key) => out_key = *key,
            InfoGre::Local(address) => tunnel.local = is_some((*address).into()),
            InfoGre::Remote(address) => tunnel.remote = is_some((*address).into()),
            InfoGre::Ttl(ttl) => tunnel.ttl = Some(*ttl).filter(|ttl| *ttl != 0),
            InfoGre::PathMTUDiscovery(on) => tunnel.whole = *on,
            InfoGre::EncapType(kind) if *kind != GreEncapType::None => return None,
            InfoGre::CollectMetadata => return None,
            _ => {}
        }
    }
    tunnel.keys = (in_key, out_key);
    // Where nobody in particular is at the other end, neighbours tell who is.
    tunnel.remote.filter(|remote| !remote.is_multicast()).map(|_| tunnel)
}

fn ip(options: &[InfoIpTunnel]) -> Option<Tunnel> {
    let mut tunnel = Tunnel { overhead: IPV4, ..Tunnel::default() };
    // The protocol 0 says: any of those within.
    for option in options {
        match option {
            InfoIpTunnel::Link(index) => tunnel.dev = Some(*index).filter(|index| *index != 0),
            InfoIpTunnel::Local(address) => tunnel.local = is_some(*address),
            InfoIpTunnel::Remote(address) => tunnel.remote = is_some(*address),
            InfoIpTunnel::Ttl(ttl) => tunnel.ttl = Some(*ttl).filter(|ttl| *ttl != 0),
            InfoIpTunnel::PMtuDisc(on) => tunnel.whole = *on,
            InfoIpTunnel::EncapType(kind) if *kind != TunnelEncapType::None => return None,
            InfoIpTunnel::Protocol(protocol)
                if !matches!(protocol, IpProtocol::Hopopts | IpProtocol::Ipip | IpProtocol::Ipv6) =>
            {
                return None;
            }
            InfoIpTunnel::CollectMetadata => return None,
            _ => {}
        }
    }
    let v4 = |address: Option<IpAddr>| address.is_some_and(|address| address.is_ipv4());
    (v4(tunnel.remote) && tunnel.local.is_none_or(|local| local.is_ipv4())).then_some(tunnel)
}

fn vxlan(options: &[InfoVxlan]) -> Option<Tunnel> {
    let mut tunnel = Tunnel::default();
    for option in options {
        match option {
            InfoVxlan::Id(id) => tunnel.keys = (*id, *id),
            InfoVxlan::Link(index) => tunnel.dev = Some(*index).filter(|index| *index != 0),
            InfoVxlan::Group(address) => tunnel.remote = is_some((*address).into()),
            InfoVxlan::Group6(address) => tunnel.remote = is_some((*address).into()),
            InfoVxlan::Local(address) => tunnel.local = is_some((*address).into()),
            InfoVxlan::Local6(address) => tunnel.local = is_some((*address).into()),
            InfoVxlan::Ttl(ttl) => tunnel.ttl = Some(*ttl).filter(|ttl| *ttl != 0),
            InfoVxlan::Port(port) => tunnel.port = *port,
            InfoVxlan::CollectMetadata(true) | InfoVxlan::Gpe | InfoVxlan::Proxy(true) | InfoVxlan::Rsc(true) => return None,
            _ => {}
        }
    }
    let v6 = |address: Option<IpAddr>| address.is_some_and(|address| address.is_ipv6());
    tunnel.overhead = VXLAN + ETHERNET + if v6(tunnel.remote) || v6(tunnel.local) { IPV6 } else { IPV4 };
    // A group is asked for by multicast.
    tunnel.remote.is_none_or(|remote| !remote.is_multicast()).then_some(tunnel)
}

/// Whether a bridge of these options sorts frames by VLAN.
pub(super) fn filtering(options: &[InfoBridge]) -> Filtering {
    let on = options.iter().any(|option| matches!(option, InfoBridge::VlanFiltering(true)));
    let strange = options.iter().any(|option| matches!(option, InfoBridge::VlanProtocol(VlanProtocol::Ieee8021Ad)));
    match (on, strange) {
        (false, _) => Filtering::Off,
        (true, false) => Filtering::On,
        (true, true) => Filtering::Unknown,
    }
}

/// The VLANs that a port, or a bridge itself, is in.
pub(super) fn vlans(message: &LinkMessage) -> Vec<PortVlan> {
    let families = message.attributes.iter().filter_map(|attribute| match attribute {
        LinkAttribute::AfSpecBridge(families) => Some(families),
        _ => None,
    });
    let infos = families.flatten().filter_map(|family| if let AfSpecBridge::VlanInfo(info) = family { Some(info) } else { None });
    let one = |info: &netlink_packet_route::link::BridgeVlanInfo| PortVlan {
        port: message.header.index,
        id: info.vid,
        pvid: info.flags.contains(BridgeVlanInfoFlags::Pvid),
        untagged: info.flags.contains(BridgeVlanInfoFlags::Untagged),
    };
    infos.map(one).collect()
}
