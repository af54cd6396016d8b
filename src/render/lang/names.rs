//! Names, numbers and lists as sentences have them.

use nix::errno::Errno;

use super::Lang;
use super::catalogue::{find, t};
use crate::render::escape::escape;

/// The flags of TCP, from the lowest bit (RFC 9293).
pub(in crate::render) fn flags(flags: u8) -> String {
    const NAMES: [&str; 8] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];
    let set: Vec<&str> = (0..).zip(NAMES).filter(|(bit, _)| flags >> bit & 1 == 1).map(|(_, name)| name).collect();
    set.join(" ")
}

/// The protocol of a packet (IANA); none where the number has no short name.
pub(in crate::render) fn protocol(number: u8) -> Option<&'static str> {
    Some(match i32::from(number) {
        libc::IPPROTO_ICMP => "ICMP",
        libc::IPPROTO_IGMP => "IGMP",
        libc::IPPROTO_TCP => "TCP",
        libc::IPPROTO_UDP => "UDP",
        libc::IPPROTO_GRE => "GRE",
        libc::IPPROTO_ESP => "ESP",
        libc::IPPROTO_ICMPV6 => "ICMPv6",
        libc::IPPROTO_SCTP => "SCTP",
        89 => "OSPF",
        _ => return None,
    })
}

/// Milliseconds, or seconds where there are many.
pub(crate) fn duration(milliseconds: f64) -> String {
    if milliseconds < 1000.0 { format!("{milliseconds:.0} ms") } else { format!("{:.1} s", milliseconds / 1000.0) }
}

/// The system's sentence for an error number.
pub(in crate::render) fn reason(lang: Lang, errno: i32) -> String {
    match Errno::from_raw(errno) {
        Errno::UnknownErrno => format!("error {errno}"),
        known => find(lang, "errno", known.desc()).unwrap_or(known.desc()).to_owned(),
    }
}

/// Names in a row; of many the first ones.
pub(in crate::render) fn listed(lang: Lang, names: &[String]) -> String {
    const SHOWN: usize = 12;
    match names.get(..SHOWN) {
        Some(first) if names.len() > SHOWN => {
            t!(lang, "{names}, and {more} more", names = first.join(", "), more = names.len() - SHOWN)
        }
        _ => escape(&names.join(", ")).into_owned(),
    }
}
