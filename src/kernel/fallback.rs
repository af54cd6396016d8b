//! Fallback devices: `tunl0`, `gre0`, `sit0` and their like, which a tunnel module puts into every namespace for packets of no tunnel.
//!
//! They are the kernel's: nobody made them, and nobody can delete them.

use std::net::IpAddr;

use netlink_packet_core::{Emitable, NlasIterator};
use netlink_packet_route::link::{LinkAttribute, LinkInfo, LinkMessage};

use super::netlink::{Netlink, name_of};

/// The kind of a tunnel, its fallback device, and the attributes that no packet's way depends on there: they are zero or absent.
struct Fallback {
    kind: &'static str,
    name: &'static str,
    zero: &'static [u16],
    external: u16,
}

/// `IFLA_IPTUN_*` (`linux/if_tunnel.h`): link, local, remote, path MTU discovery, which is on in a tunnel that somebody makes.
const IPTUN: &[u16] = &[1, 2, 3, 10];
/// Link, local, remote, hop limit, encapsulation limit: `ip` sets both limits.
const IP6TNL: &[u16] = &[1, 2, 3, 4, 6];
/// `IFLA_GRE_*`: link, keys, local, remote, path MTU discovery.
const GRE: &[u16] = &[1, 4, 5, 6, 7, 10];
/// Link, keys, local, remote, hop limit, encapsulation limit.
const IP6GRE: &[u16] = &[1, 4, 5, 6, 7, 8, 11];
/// `IFLA_VTI_*`: link, keys, local, remote.
const VTI: &[u16] = &[1, 2, 3, 4, 5];
/// `IFLA_IPTUN_COLLECT_METADATA`, `IFLA_GRE_COLLECT_METADATA`: `external` in `ip`.
const IPTUN_EXTERNAL: u16 = 19;
const GRE_EXTERNAL: u16 = 18;

const fn fallback(kind: &'static str, name: &'static str, zero: &'static [u16], external: u16) -> Fallback {
    Fallback { kind, name, zero, external }
}

const FALLBACKS: [Fallback; 9] = [
    fallback("ipip", "tunl0", IPTUN, IPTUN_EXTERNAL),
    fallback("sit", "sit0", IPTUN, IPTUN_EXTERNAL),
    fallback("ip6tnl", "ip6tnl0", IP6TNL, IPTUN_EXTERNAL),
    fallback("gre", "gre0", GRE, GRE_EXTERNAL),
    fallback("gretap", "gretap0", GRE, GRE_EXTERNAL),
    fallback("erspan", "erspan0", GRE, GRE_EXTERNAL),
    fallback("ip6gre", "ip6gre0", IP6GRE, GRE_EXTERNAL),
    fallback("vti", "ip_vti0", VTI, u16::MAX),
    fallback("vti6", "ip6_vti0", VTI, u16::MAX),
];

/// Whether the kernel made the device by itself. A tunnel of the same name that somebody made, where the kernel makes none
/// (`net.core.fb_tunnels_only_for_init_net`), has ends.
pub fn is_fallback(link: &LinkMessage) -> bool {
    let (mut name, mut kind, mut data, mut immutable) = ("", String::new(), None, None);
    for attribute in &link.attributes {
        match attribute {
            LinkAttribute::IfName(value) => name = value,
            // Kernel 6.15: it cannot go to another namespace, which is true of every fallback device and of no other tunnel.
            LinkAttribute::NetnsImmutable(value) => immutable = Some(*value),
            LinkAttribute::LinkInfo(infos) => {
                for info in infos {
                    match info {
                        LinkInfo::Kind(value) => kind = value.to_string(),
                        LinkInfo::Data(value) => data = Some(value),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    let Some(known) = FALLBACKS.iter().find(|known| known.kind == kind) else { return false };
    if let Some(immutable) = immutable {
        return immutable;
    }
    let Some(data) = data.filter(|_| known.name == name) else { return false };
    let mut bytes = vec![0; data.buffer_len()];
    data.emit(&mut bytes);
    // Behind the header of the attribute that holds them all.
    NlasIterator::new(bytes.get(4..).unwrap_or_default()).all(|attribute| {
        attribute.is_ok_and(|attribute| {
            attribute.kind() != known.external
                && (!known.zero.contains(&attribute.kind()) || attribute.value().iter().all(|byte| *byte == 0))
        })
    })
}

/// Whether the kernel gives a fallback device the address by itself as soon as it is up: the IPv4 ones as `::a.b.c.d`.
pub fn is_own(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.segments()[..6] == [0; 6])
}

/// The fallback devices that every new namespace has, by those of the caller's own.
pub fn everywhere() -> Vec<String> {
    let setting = std::fs::read_to_string("/proc/sys/net/core/fb_tunnels_only_for_init_net").unwrap_or_default();
    if !matches!(setting.trim(), "" | "0") {
        return Vec::new();
    }
    let links = Netlink::open().and_then(|mut socket| socket.links()).unwrap_or_default();
    links.iter().filter(|link| is_fallback(link)).filter_map(name_of).map(str::to_owned).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::Ipv4Addr;

    use netlink_packet_route::link::{InfoData, InfoIpTunnel, InfoKind, InfoVti};

    use super::*;

    fn link(name: &str, kind: InfoKind, data: InfoData) -> LinkMessage {
        let mut link = LinkMessage::default();
        let info = vec![LinkInfo::Kind(kind), LinkInfo::Data(data)];
        link.attributes = vec![LinkAttribute::IfName(name.to_owned()), LinkAttribute::LinkInfo(info)];
        link
    }

    fn ipip(name: &str, remote: &str, discovery: bool) -> LinkMessage {
        let (local, remote) = (Ipv4Addr::UNSPECIFIED.into(), remote.parse::<Ipv4Addr>().unwrap().into());
        let tunnel = [InfoIpTunnel::Local(local), InfoIpTunnel::Remote(remote), InfoIpTunnel::PMtuDisc(discovery)];
        link(name, InfoKind::IpIp, InfoData::IpTunnel(tunnel.to_vec()))
    }

    #[test]
    fn a_fallback_device_is_told_by_its_kind_its_name_and_that_it_has_no_ends() {
        assert!(is_fallback(&ipip("tunl0", "0.0.0.0", false)));
        assert!(!is_fallback(&ipip("tunl0", "10.0.0.1", false)), "somebody's tunnel to 10.0.0.1");
        assert!(!is_fallback(&ipip("tunl0", "0.0.0.0", true)), "`ip link add tunl0 type ipip` discovers path MTUs");
        assert!(!is_fallback(&ipip("tunl1", "0.0.0.0", false)));
        let external = InfoData::IpTunnel(vec![InfoIpTunnel::CollectMetadata]);
        assert!(!is_fallback(&link("tunl0", InfoKind::IpIp, external)));
        let key = |key| InfoData::Vti(vec![InfoVti::IKey(key)]);
        assert!(is_fallback(&link("ip_vti0", InfoKind::Vti, key(0))) && !is_fallback(&link("ip_vti0", InfoKind::Vti, key(7))));
        assert!(!is_fallback(&link("gre0", InfoKind::Bridge, InfoData::Bridge(Vec::new()))), "a bridge of that name");
    }

    #[test]
    fn a_kernel_that_tells_what_cannot_leave_its_namespace_is_believed() {
        let mut own = ipip("tunl0", "0.0.0.0", true);
        own.attributes.push(LinkAttribute::NetnsImmutable(true));
        assert!(is_fallback(&own));
        let mut made = ipip("tunl0", "0.0.0.0", false);
        made.attributes.push(LinkAttribute::NetnsImmutable(false));
        assert!(!is_fallback(&made));
    }

    #[test]
    fn addresses_that_embed_those_of_ipv4_are_the_kernels() {
        assert!(
            is_own("::10.0.0.1".parse().unwrap())
                && !is_own("2001:db8::1".parse().unwrap())
                && !is_own("10.0.0.1".parse().unwrap())
        );
    }
}
