//! Names that are the same in every language.

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
