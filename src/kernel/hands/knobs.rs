//! Switches and numbers: of interfaces as the dump of links has them, of the namespace as `/proc/sys/net` has them.

use netlink_packet_route::AddressFamily;
use netlink_packet_route::link::{
    AfSpecInet, AfSpecInet6, AfSpecUnspec, Inet6DevConf, InetDevConf, InfoBridge, InfoBridgePort, InfoData, InfoPortData,
    LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};

use super::{Sight, is_half_isolated, number};
use crate::kernel::netlink::Netlink;
use crate::kernel::tables::{Link, PortState, read};
use crate::plan::hand::{BridgeOption, Flag, OfPort, OfSpace, PortOption, Turned};
use crate::plan::{Ns, Port, Slot, Sysctl};

/// Settings that a namespace takes over from the machine, or whose default the kernel's command line may change; and the kernel's.
pub const INHERITED: [(&str, u32); 9] = [
    ("ipv4/ip_forward", 0),
    ("ipv4/conf/all/rp_filter", 0),
    ("ipv4/conf/all/proxy_arp", 0),
    ("ipv4/conf/all/arp_ignore", 0),
    ("ipv4/conf/all/arp_filter", 0),
    ("ipv4/conf/all/arp_announce", 0),
    ("ipv4/conf/all/accept_local", 0),
    ("ipv6/conf/all/disable_ipv6", 0),
    ("ipv6/conf/all/forwarding", 0),
];

/// Settings that every namespace is born with alike (`net/ipv4/af_inet.c`, `net/ipv6/af_inet6.c`).
const CONSTANT: [(&str, u32); 4] = [
    ("ipv4/icmp_echo_ignore_all", 0),
    ("ipv4/ip_default_ttl", 64),
    ("ipv4/ip_no_pmtu_disc", 0),
    ("ipv6/icmp/echo_ignore_all", 0),
];

/// `ipv4_devconf_dflt` (`net/ipv4/devinet.c`), in the order of `IPV4_DEVCONF_` (`linux/ip.h`).
const CONF: [(&str, i32); 33] = [
    ("forwarding", 0),
    ("mc_forwarding", 0),
    ("proxy_arp", 0),
    ("accept_redirects", 1),
    ("secure_redirects", 1),
    ("send_redirects", 1),
    ("shared_media", 1),
    ("rp_filter", 0),
    ("accept_source_route", 1),
    ("bootp_relay", 0),
    ("log_martians", 0),
    ("tag", 0),
    ("arp_filter", 0),
    ("medium_id", 0),
    ("disable_xfrm", 0),
    ("disable_policy", 0),
    ("force_igmp_version", 0),
    ("arp_announce", 0),
    ("arp_ignore", 0),
    ("promote_secondaries", 0),
    ("arp_accept", 0),
    ("arp_notify", 0),
    ("accept_local", 0),
    ("src_valid_mark", 0),
    ("proxy_arp_pvlan", 0),
    ("route_localnet", 0),
    ("igmpv2_unsolicited_report_interval", 10000),
    ("igmpv3_unsolicited_report_interval", 1000),
    ("ignore_routes_with_linkdown", 0),
    ("drop_unicast_in_l2_multicast", 0),
    ("drop_gratuitous_arp", 0),
    ("bc_forwarding", 0),
    ("arp_evict_nocarrier", 1),
];
const FORWARDING: usize = 0;
/// A daemon's, and nobody may write it.
const MC_FORWARDING: usize = 1;
const RP_FILTER: usize = 7;
/// `lo` has both from birth.
const DISABLE_XFRM: usize = 14;
const DISABLE_POLICY: usize = 15;

fn ordered(conf: &InetDevConf) -> [i32; 33] {
    [
        conf.forwarding,
        conf.mc_forwarding,
        conf.proxy_arp,
        conf.accept_redirects,
        conf.secure_redirects,
        conf.send_redirects,
        conf.shared_media,
        conf.rp_filter,
        conf.accept_source_route,
        conf.bootp_relay,
        conf.log_martians,
        conf.tag,
        conf.arpfilter,
        conf.medium_id,
        conf.noxfrm,
        conf.nopolicy,
        conf.force_igmp_version,
        conf.arp_announce,
        conf.arp_ignore,
        conf.promote_secondaries,
        conf.arp_accept,
        conf.arp_notify,
        conf.accept_local,
        conf.src_vmark,
        conf.proxy_arp_pvlan,
        conf.route_localnet,
        conf.igmpv2_unsolicited_report_interval,
        conf.igmpv3_unsolicited_report_interval,
        conf.ignore_routes_with_linkdown,
        conf.drop_unicast_in_l2_multicast,
        conf.drop_gratuitous_arp,
        conf.bc_forwarding,
        conf.arp_evict_nocarrier,
    ]
}

fn turned(now: i32, fresh: i32) -> Option<Turned> {
    Turned::from(now.cast_unsigned(), fresh.cast_unsigned())
}

/// What an interface has of both families; nothing of one that is off.
fn confs(message: &LinkMessage) -> (Option<[i32; 33]>, Option<Inet6DevConf>) {
    let (mut v4, mut v6) = (None, None);
    for attribute in &message.attributes {
        let LinkAttribute::AfSpecUnspec(families) = attribute else { continue };
        for family in families {
            match family {
                AfSpecUnspec::Inet(settings) => {
                    v4 = settings
                        .iter()
                        .find_map(|one| if let AfSpecInet::DevConf(conf) = one { Some(ordered(conf)) } else { None });
                }
                AfSpecUnspec::Inet6(settings) => {
                    v6 = settings.iter().find_map(|one| if let AfSpecInet6::DevConf(conf) = one { Some(*conf) } else { None });
                }
                _ => {}
            }
        }
    }
    (v4, v6)
}

/// Of every interface.
pub fn of_links(sight: &Sight<'_>, socket: &mut Netlink, found: &mut dyn FnMut(Port, OfPort)) {
    let confs: Vec<_> = sight.messages.iter().map(confs).collect();
    let all = read::all(socket, AddressFamily::Inet).forwarding.map(i32::from);
    let off = number("ipv6/conf/all/disable_ipv6");
    let values = |at: usize| confs.iter().filter_map(move |(v4, _)| v4.as_ref().map(|conf| conf[at]));
    let loopback = sight.links.iter().position(|link| link.kind == "loopback");
    // As the first interface was born, unless it is the only one that is so.
    let born: Vec<i32> = CONF
        .iter()
        .enumerate()
        .map(|(at, (_, default))| {
            let lo = loopback.and_then(|lo| confs[lo].0).map_or(*default, |conf| conf[at]);
            let alone = values(at).filter(|value| *value == lo).count() < 2 && confs.len() > 1;
            if alone { *default } else { lo }
        })
        .collect();
    let described_forwarding = sight.expected(Sysctl::Forward4).map(u32::cast_signed);
    for ((link, message), (v4, v6)) in sight.links.iter().zip(sight.messages).zip(&confs) {
        let port = sight.port(link);
        let own = *sight.ns != Ns::Root && sight.is_described(&port) && link.kind != "loopback";
        for (at, now) in v4.iter().flatten().enumerate() {
            let (name, default) = CONF[at];
            let conf = |turned| OfPort::Conf(false, name.to_owned(), turned);
            let hand = match at {
                MC_FORWARDING => None,
                DISABLE_XFRM | DISABLE_POLICY if link.kind == "loopback" => None,
                // All interfaces follow `ip_forward` when that is turned.
                FORWARDING if all == Some(*now) && (described_forwarding.is_some() || !own) => None,
                FORWARDING if described_forwarding.is_none() && own => {
                    let follows = all == Some(*now) && sight.fresh.turned("ipv4/ip_forward", now.cast_unsigned(), 0).is_some();
                    turned(*now, 0).filter(|_| !follows)
                }
                FORWARDING => all.and_then(|all| turned(*now, described_forwarding.unwrap_or(all))),
                RP_FILTER if own => turned(*now, 0),
                _ if *now == default => None,
                _ => turned(*now, born[at]),
            };
            if let Some(turned) = hand {
                found(port.clone(), conf(turned));
            }
        }
        if let Some(conf) = v6 {
            let mut differs = |name: &str, now: i32, fresh: i32| {
                if let Some(turned) = turned(now, fresh) {
                    found(port.clone(), OfPort::Conf(true, name.to_owned(), turned));
                }
            };
            differs("disable_ipv6", i32::from(conf.disable_ipv6 != 0), i32::from(off.is_some_and(|off| off != 0)));
            differs("hop_limit", conf.hoplimit, 64);
            differs("proxy_ndp", conf.proxy_ndp, 0);
            // A fallback device of a tunnel is born with another one than the family's.
            if !link.fallback {
                differs("mtu", conf.mtu6, link.mtu.cast_signed());
            }
        }
        of_link(sight, link, message, &mut |hand| found(port.clone(), hand));
    }
}

fn of_link(sight: &Sight<'_>, link: &Link, message: &LinkMessage, found: &mut dyn FnMut(OfPort)) {
    if ["veth", "bridge", "vlan", "device"].contains(&link.kind.as_str()) {
        if link.noarp {
            found(OfPort::Off(Flag::Arp));
        }
        if !message.header.flags.contains(LinkFlags::Multicast) {
            found(OfPort::Off(Flag::Multicast));
        }
    }
    let made = sight.expected.has(Slot::Link(&sight.port(link)));
    let infos =
        message.attributes.iter().filter_map(|it| if let LinkAttribute::LinkInfo(infos) = it { Some(infos) } else { None });
    for info in infos.flatten() {
        match info {
            LinkInfo::Data(InfoData::Bridge(options)) => {
                let stp = message.attributes.iter().any(read::runs_stp);
                for (option, turned) in options.iter().filter_map(|option| bridge(option, made, stp)) {
                    found(OfPort::Bridge(option, turned));
                }
            }
            LinkInfo::PortData(InfoPortData::BridgePort(options)) => {
                let half = is_half_isolated(link, &sight.port(link), sight.expected);
                let open = half || link.port.is_none_or(|port| port.floods);
                for (option, turned) in options.iter().filter_map(|option| of_member(option, open)) {
                    found(OfPort::Option(option, turned));
                }
            }
            _ => {}
        }
    }
    if let Some(turned) = state(sight, link) {
        found(OfPort::Option(PortOption::State, turned));
    }
}

/// Of a bridge that nslab made, or somebody.
fn bridge(option: &InfoBridge, made: bool, stp: bool) -> Option<(BridgeOption, Turned)> {
    let (option, now, fresh) = match option {
        InfoBridge::VlanFiltering(on) => (BridgeOption::VlanFiltering, u32::from(*on), 0),
        InfoBridge::MulticastSnooping(on) => (BridgeOption::McastSnooping, u32::from(*on), u32::from(!made)),
        // In hundredths of a second: five minutes; the spanning tree protocol shortens it when the tree changes.
        InfoBridge::AgeingTime(time) if !stp => (BridgeOption::AgeingTime, *time, 30_000),
        InfoBridge::GroupFwdMask(mask) => (BridgeOption::GroupFwdMask, u32::from(*mask), 0),
        InfoBridge::NfCallIpTables(on) => (BridgeOption::NfCallIptables, u32::from(*on), 0),
        InfoBridge::NfCallIp6Tables(on) => (BridgeOption::NfCallIp6tables, u32::from(*on), 0),
        InfoBridge::NfCallArpTables(on) => (BridgeOption::NfCallArptables, u32::from(*on), 0),
        _ => return None,
    };
    Turned::from(now, fresh).map(|turned| (option, turned))
}

/// A port that is not open is isolated as a whole: it neither floods unicast nor learns.
fn of_member(option: &InfoBridgePort, open: bool) -> Option<(PortOption, Turned)> {
    let (option, now, fresh) = match option {
        InfoBridgePort::Learning(on) => (PortOption::Learning, *on, open),
        InfoBridgePort::UnicastFlood(on) => (PortOption::Flood, *on, open),
        InfoBridgePort::BroadcastFlood(on) => (PortOption::BcastFlood, *on, true),
        InfoBridgePort::MulticastFlood(on) => (PortOption::McastFlood, *on, true),
        InfoBridgePort::Isolated(on) => (PortOption::Isolated, *on, false),
        InfoBridgePort::HairpinMode(on) => (PortOption::Hairpin, *on, false),
        InfoBridgePort::Guard(on) => (PortOption::Guard, *on, false),
        InfoBridgePort::Locked(on) => (PortOption::Locked, *on, false),
        InfoBridgePort::NeighSupress(on) => (PortOption::NeighSuppress, *on, false),
        _ => return None,
    };
    Turned::from(u32::from(now), u32::from(fresh)).map(|turned| (option, turned))
}

/// Without the spanning tree protocol a port in operation forwards, unless somebody has said otherwise.
fn state(sight: &Sight<'_>, link: &Link) -> Option<Turned> {
    let (port, bridge) = (link.port?, sight.links.iter().find(|one| Some(one.index) == link.master)?);
    let works = link.up && link.carrier && link.state == "up" && bridge.up;
    let stops = matches!(port.state, PortState::Disabled | PortState::Blocking);
    let at = sight.messages.iter().find(|message| message.header.index == bridge.index)?;
    let free = !at.attributes.iter().any(read::runs_stp);
    let now = if port.state == PortState::Blocking { 4 } else { 0 };
    (works && stops && free).then_some(()).and_then(|()| Turned::from(now, 3))
}

/// Of the namespace as a whole, but for what is described.
pub fn of_space(sight: &Sight<'_>, socket: &mut Netlink, found: &mut dyn FnMut(OfSpace)) {
    let described = |path: &str| {
        let of = |setting: Sysctl| setting.path().strip_prefix("net/") == Some(path) && sight.expected(setting).is_some();
        Sysctl::ALL.into_iter().any(of)
    };
    let machine = *sight.ns == Ns::Root;
    for (path, default) in INHERITED {
        // Whether the machine forwards, and how it checks, is its own business.
        let own = machine && ["ipv4/ip_forward", "ipv4/conf/all/rp_filter", "ipv6/conf/all/forwarding"].contains(&path);
        let Some(now) = number(path).filter(|_| !own && !described(path)) else { continue };
        let turned = if machine { Turned::from(now, default) } else { sight.fresh.turned(path, now, default) };
        if let Some(turned) = turned {
            found(OfSpace::Setting(path.to_owned(), turned));
        }
    }
    for (path, default) in CONSTANT {
        if let Some(turned) = number(path).and_then(|now| Turned::from(now, default)) {
            found(OfSpace::Setting(path.to_owned(), turned));
        }
    }
    let all = read::all(socket, AddressFamily::Inet).forwarding.map(u32::from);
    let default = number("ipv4/conf/default/forwarding").filter(|_| !machine);
    if let (Some(all), Some(now)) = (all, default)
        && now != all
        && let Some(turned) = Turned::from(now, sight.expected(Sysctl::Forward4).unwrap_or(all))
    {
        found(OfSpace::Setting("ipv4/conf/default/forwarding".to_owned(), turned));
    }
}
