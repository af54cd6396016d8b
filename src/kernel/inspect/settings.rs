//! Settings that are not in the dumps: of all interfaces together, of the whole namespace, and the packet filter's chains.

use crate::kernel::filter::chains::chains;
use crate::kernel::socket::Netlink;
use crate::kernel::tables::{All, Settings};

/// `RTM_GETNETCONF` (`linux/rtnetlink.h`)
const GET_NETCONF: u16 = 82;
/// Attributes of `linux/netconf.h`.
const IFINDEX: u16 = 1;
const FORWARDING: u16 = 2;
const RP_FILTER: u16 = 3;
/// `NETCONFA_IFINDEX_ALL`: the settings of all interfaces together.
const EVERY_INTERFACE: i32 = -1;

/// What holds for all interfaces; nothing where the kernel does not say.
pub(super) fn all(socket: &mut Netlink, ipv6: bool) -> All {
    let family = if ipv6 { libc::AF_INET6 } else { libc::AF_INET };
    let mut body = vec![u8::try_from(family).unwrap_or(0), 0, 0, 0];
    body.extend_from_slice(&8u16.to_ne_bytes());
    body.extend_from_slice(&IFINDEX.to_ne_bytes());
    body.extend_from_slice(&EVERY_INTERFACE.to_ne_bytes());
    let mut all = All::default();
    let Ok(answer) = socket.ask_raw(GET_NETCONF, &body) else { return all };
    let mut rest = answer.get(4..).unwrap_or(&[]);
    while let Some((kind, value, next)) = attribute(rest) {
        let number = value.get(..4).and_then(|bytes| bytes.try_into().ok()).map(i32::from_ne_bytes);
        match (kind, number) {
            (FORWARDING, Some(number)) => all.forwarding = Some(number != 0),
            (RP_FILTER, Some(number)) => all.rp_filter = u8::try_from(number).unwrap_or(0),
            _ => {}
        }
        rest = next;
    }
    all
}

fn attribute(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = usize::from(u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?));
    let kind = u16::from_ne_bytes(bytes.get(2..4)?.try_into().ok()?);
    Some((kind, bytes.get(4..length)?, bytes.get(length.next_multiple_of(4)..).unwrap_or(&[])))
}

fn number(path: &str) -> Option<u8> {
    std::fs::read_to_string(format!("/proc/sys/net/{path}")).ok()?.trim().parse().ok()
}

/// What only `/proc/sys` and the packet filter say in the namespace of this thread.
pub(super) fn read() -> Settings {
    let on = |path: &str| number(path).is_some_and(|number| number != 0);
    Settings {
        accept_local: on("ipv4/conf/all/accept_local"),
        proxy_arp: on("ipv4/conf/all/proxy_arp"),
        arp_ignore: number("ipv4/conf/all/arp_ignore").unwrap_or(0),
        echo_ignored: (on("ipv4/icmp_echo_ignore_all"), on("ipv6/icmp/echo_ignore_all")),
        ttl: number("ipv4/ip_default_ttl"),
        chains: chains(),
    }
}
