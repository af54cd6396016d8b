//! Matches and targets of iptables (`linux/netfilter/x_tables.h`), alone or inside of nftables.

use super::walk::{NEW, Test, Verdict};

/// The types of an echo request, of ICMP and of `ICMPv6`; other messages have neither as theirs.
pub const REQUESTS: [u8; 2] = [8, 128];

/// What a target other than a verdict does.
pub fn verdict(target: &str) -> Verdict {
    match target {
        "REJECT" | "DROP" | "TARPIT" => Verdict::Drop,
        "ACCEPT" => Verdict::Accept,
        "LOG" | "NFLOG" | "MARK" | "CONNMARK" | "CT" | "TRACE" | "TCPMSS" | "CHECKSUM" | "CLASSIFY" | "DSCP" | "TOS" | "TTL" => {
            Verdict::Continue
        }
        _ => Verdict::Unknown,
    }
}

/// What a match asks; nothing where it is only a remark.
pub fn test(name: &str, info: &[u8]) -> Option<Test> {
    match name {
        "comment" => None,
        "conntrack" => Some(conntrack(info)),
        // `struct xt_state_info`
        "state" => Some(number(info, 0).map_or(Test::Unknown, |mask| Test::New(mask & NEW != 0))),
        // `struct ipt_icmp`, `struct ip6t_icmp`: a type, two codes, whether all that is inverted; 255 is any type.
        "icmp" | "icmp6" => Some(match (info.first(), info.get(3)) {
            (Some(kind), Some(0)) => Test::Echo(*kind == u8::MAX || REQUESTS.contains(kind)),
            _ => Test::Unknown,
        }),
        "physdev" => Some(physdev(info)),
        _ => Some(Test::Unknown),
    }
}

/// `struct xt_conntrack_mtinfo2` and `3` of `linux/netfilter/xt_conntrack.h`: eight addresses, two times, five numbers, then
/// what is asked, what is inverted, the states.
fn conntrack(info: &[u8]) -> Test {
    const ASKED: usize = 146;
    /// `XT_CONNTRACK_STATE`
    const STATE: u16 = 1;
    let (asked, inverted, states) = (short(info, ASKED), short(info, ASKED + 2), short(info, ASKED + 4));
    let (Some(asked), Some(inverted), Some(states)) = (asked, inverted, states) else { return Test::Unknown };
    let new = (u32::from(states) & NEW != 0) != (inverted & STATE != 0);
    match (asked & STATE != 0, asked == STATE) {
        (true, true) => Test::New(new),
        // Something else is asked, too; a state that is not so is enough to say no.
        (true, false) if !new => Test::New(false),
        _ => Test::Unknown,
    }
}

/// `struct xt_physdev_info`: two names with their masks, what is inverted, what is asked.
fn physdev(info: &[u8]) -> Test {
    /// `XT_PHYSDEV_OP_BRIDGED`
    const BRIDGED: u8 = 4;
    if info.get(64..66) == Some(&[0, BRIDGED]) { Test::Bridged } else { Test::Unknown }
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes)
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}
