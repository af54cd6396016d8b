//! Tables of iptables as it was before nftables, which the kernel traces only into its log; and its matches and targets
//! (`linux/netfilter/x_tables.h`), which stand inside of nftables, too.

use std::path::Path;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::walk::{NEW, Pattern, Rule, Rules, Test, Verdict};
use crate::kernel::netns::within;
use crate::kernel::sys;

/// The names of such tables in the namespace pinned there, of both families; mostly none.
pub fn tables(pin: &Path) -> Vec<String> {
    let read = || {
        // A kernel without them has no such file.
        let list = |list| std::fs::read_to_string(format!("/proc/thread-self/net/{list}")).unwrap_or_default();
        ["ip_tables_names", "ip6_tables_names"].map(list).concat().lines().map(str::to_owned).collect()
    };
    within(pin, "", read).unwrap_or_default()
}

/// The chains of the tables called `filter` of the calling thread's namespace, with their rules.
pub(super) fn rules() -> Vec<Rules> {
    let read_chains = |layout: &Layout| {
        let list = std::fs::read_to_string(format!("/proc/thread-self/net/{}", layout.list)).unwrap_or_default();
        // To ask for a table that is not there would make it.
        let there = list.lines().any(|table| table == TABLE);
        let read = there.then(|| blob(layout, TABLE)).and_then(Result::ok)?;
        Some(chains(layout, &read))
    };
    [V4, V6].iter().filter_map(read_chains).flatten().collect()
}

/// The tables of the calling thread's namespace in which there is a rule or a policy other than to accept, each with its family.
pub(super) fn touched() -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    for layout in [&V4, &V6] {
        let list = std::fs::read_to_string(format!("/proc/thread-self/net/{}", layout.list)).unwrap_or_default();
        let touched = list.lines().filter(|table| blob(layout, table).is_ok_and(|blob| blob.is_touched(layout)));
        found.extend(touched.map(|table| (layout.family, table.to_owned())));
    }
    found
}

const TABLE: &str = "filter";
/// `NF_INET_LOCAL_IN`, `NF_INET_FORWARD`, `NF_INET_LOCAL_OUT`: the chains of that table, and their hooks.
const CHAINS: [(usize, &str, &str); 3] = [(1, "INPUT", "input"), (2, "FORWARD", "forward"), (3, "OUTPUT", "output")];
/// `IPT_SO_GET_INFO`, `IPT_SO_GET_ENTRIES`
const GET_INFO: i32 = 64;
const GET_ENTRIES: i32 = 65;
/// Room for a table's name, and the size of the two answers' heads.
const NAME: usize = 32;
const INFO: usize = 84;
const HEAD: usize = 40;

/// Where things are in `struct ipt_entry`, and in `struct ip6t_entry`.
struct Layout {
    family: &'static str,
    list: &'static str,
    domain: AddressFamily,
    level: i32,
    /// The two interfaces' names, before their masks.
    interfaces: usize,
    /// How long source and destination are, with their masks.
    addresses: usize,
    protocol: usize,
    flags: usize,
    /// The offset of the target, followed by that of the next rule.
    target: usize,
    size: usize,
}

const V4: Layout = Layout {
    family: "ip",
    list: "ip_tables_names",
    domain: AddressFamily::Inet,
    level: libc::IPPROTO_IP,
    interfaces: 16,
    addresses: 16,
    protocol: 80,
    flags: 82,
    target: 88,
    size: 112,
};
const V6: Layout = Layout {
    family: "ip6",
    list: "ip6_tables_names",
    domain: AddressFamily::Inet6,
    level: libc::IPPROTO_IPV6,
    interfaces: 64,
    addresses: 64,
    protocol: 128,
    flags: 131,
    target: 140,
    size: 168,
};

/// A table as the kernel keeps it: where its chains begin and their policies are, and all rules one after the other.
struct Blob {
    /// Of how many rules there are, policies and the end among them.
    hooks: u32,
    count: u32,
    begins: Vec<usize>,
    policies: Vec<usize>,
    rules: Vec<u8>,
}

impl Blob {
    fn is_touched(&self, layout: &Layout) -> bool {
        let used = (0..5).filter(|hook| self.hooks & 1 << hook != 0);
        let drops = |hook: usize| {
            let entry = self.rules.get(*self.policies.get(hook)?..)?;
            Some(number(entry.get(place(entry, layout.target)?..)?, 32)?.cast_signed() == -1)
        };
        self.count > self.hooks.count_ones() + 1 || used.into_iter().any(|hook| drops(hook) == Some(true))
    }
}

fn blob(layout: &Layout, table: &str) -> Result<Blob, Errno> {
    let open = socket(layout.domain, SockType::Raw, SockFlag::SOCK_CLOEXEC, nix::sys::socket::SockProtocol::Raw)?;
    let mut named = vec![0; INFO];
    named.get_mut(..table.len()).ok_or(Errno::EINVAL)?.copy_from_slice(table.as_bytes());
    let info = sys::fd::get(&open, layout.level, GET_INFO, named)?;
    let number = |at: usize| number(&info, at).map(|number| number as usize).ok_or(Errno::EIO);
    // The name, which hooks there are, five beginnings, five policies, how many rules, how long all are.
    let five = |at: usize| (0..5).map(|hook| number(at + 4 * hook)).collect::<Result<Vec<_>, _>>();
    let (begins, policies, size) = (five(NAME + 4)?, five(NAME + 24)?, number(NAME + 48)?);
    let mut asked = vec![0; HEAD + size];
    asked[..table.len()].copy_from_slice(table.as_bytes());
    let length = u32::try_from(size).map_err(|_| Errno::EINVAL)?;
    asked[NAME..NAME + 4].copy_from_slice(&length.to_ne_bytes());
    let all = sys::fd::get(&open, layout.level, GET_ENTRIES, asked)?;
    let (hooks, count) = (number(NAME)?, number(NAME + 44)?);
    let (hooks, count) = (u32::try_from(hooks).unwrap_or(0), u32::try_from(count).unwrap_or(0));
    Ok(Blob { hooks, count, begins, policies, rules: all.get(HEAD..).unwrap_or_default().to_vec() })
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_ne_bytes)
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_ne_bytes)
}

/// A length or a place.
fn place(bytes: &[u8], at: usize) -> Option<usize> {
    short(bytes, at).map(usize::from)
}

/// A text up to its first zero.
pub(super) fn to_nul(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// The table cut into its chains.
fn chains(layout: &Layout, blob: &Blob) -> Vec<Rules> {
    let mut found: Vec<Rules> = Vec::new();
    let mut named: Vec<(usize, String)> = Vec::new();
    let chain = |name: String, hook: Option<&str>| Rules {
        family: layout.family.to_owned(),
        table: TABLE.to_owned(),
        name,
        legacy: true,
        hook: hook.map(str::to_owned),
        ..Rules::default()
    };
    let mut at = 0;
    while let Some(entry) = blob.rules.get(at..) {
        let (Some(target), Some(next)) = (place(entry, layout.target), place(entry, layout.target + 2)) else { break };
        let (Some(body), true) = (entry.get(target..next), next > layout.size) else { break };
        if let Some((_, name, hook)) = CHAINS.iter().find(|(hook, ..)| blob.begins.get(*hook) == Some(&at)) {
            named.push((at, (*name).to_owned()));
            found.push(chain((*name).to_owned(), Some(*hook)));
        }
        let kind = to_nul(body.get(2..31).unwrap_or_default());
        let policy = CHAINS.iter().any(|(hook, ..)| blob.policies.get(*hook) == Some(&at));
        if kind == "ERROR" {
            // The head of a chain, or the end of all: its name stands where a rule's verdict would.
            let name = to_nul(body.get(32..).unwrap_or_default());
            named.push((at + next, name.clone()));
            found.push(chain(name, None));
        } else if let Some(current) = found.last_mut() {
            let rule = Rule { tests: tests(layout, entry, target), verdict: verdict(&kind, body, at + next) };
            if policy {
                current.drops = rule.verdict == Verdict::Drop;
            } else {
                current.rules.push(rule);
            }
        }
        at += next;
    }
    // A jump says where to, in bytes.
    let name_of = |place: &str| named.iter().find(|(at, _)| at.to_string() == place).map(|(_, name)| name.clone());
    for verdict in found.iter_mut().flat_map(|chain| &mut chain.rules).map(|rule| &mut rule.verdict) {
        if let Verdict::Jump(place) | Verdict::Goto(place) = verdict {
            *place = name_of(place).unwrap_or_default();
        }
    }
    found
}

/// Of a standard target its verdict (`linux/netfilter/x_tables.h`); `next` is where the next rule is.
fn verdict(kind: &str, body: &[u8], next: usize) -> Verdict {
    if !kind.is_empty() {
        return target(kind);
    }
    match number(body, 32).map(u32::cast_signed) {
        // `-NF_DROP - 1`, `-NF_ACCEPT - 1`, `XT_RETURN`
        Some(-1) => Verdict::Drop,
        Some(-2) => Verdict::Accept,
        Some(-5) => Verdict::Return,
        Some(place) => match usize::try_from(place) {
            Ok(place) if place == next => Verdict::Continue,
            Ok(place) => Verdict::Jump(place.to_string()),
            Err(_) => Verdict::Unknown,
        },
        None => Verdict::Unknown,
    }
}

/// What the rule asks: by itself, and by its matches, which stand before the target.
fn tests(layout: &Layout, entry: &[u8], target: usize) -> Vec<Test> {
    /// `IPT_INV_VIA_IN`, `IPT_INV_VIA_OUT`, `IPT_INV_PROTO`: what must be another.
    const IN: u8 = 1;
    const OUT: u8 = 2;
    const PROTOCOL: u8 = 0x40;
    let inverted = entry.get(layout.flags + 1).copied().unwrap_or_default();
    let name = |at: usize, inverted: bool| {
        let name = entry.get(at..at + 16).unwrap_or_default();
        let mask = entry.get(at + 32..at + 48).unwrap_or_default();
        let length = mask.iter().take_while(|&&byte| byte != 0).count();
        let open = !name.iter().take(length).any(|&byte| byte == 0);
        (length > 0).then(|| Pattern { name: to_nul(&name[..length.min(name.len())]), open, inverted })
    };
    let mut tests = Vec::new();
    tests.extend(name(layout.interfaces, inverted & IN != 0).map(Test::Enters));
    tests.extend(name(layout.interfaces + 16, inverted & OUT != 0).map(Test::Leaves));
    let masks = layout.addresses / 2..layout.addresses;
    if entry.get(masks).unwrap_or_default().iter().any(|&byte| byte != 0) {
        tests.push(Test::Unknown);
    }
    match short(entry, layout.protocol) {
        Some(0) | None => {}
        Some(protocol) => {
            tests.push(u8::try_from(protocol).map_or(Test::Unknown, |it| Test::Protocol(it, inverted & PROTOCOL != 0)));
        }
    }
    let mut rest = entry.get(layout.size..target).unwrap_or_default();
    while let Some(length) = place(rest, 0).filter(|&length| length >= 32 && length <= rest.len()) {
        let name = to_nul(rest.get(2..31).unwrap_or_default());
        tests.extend(test(&name, rest.get(32..length).unwrap_or_default()));
        rest = &rest[length..];
    }
    tests
}

/// The types of an echo request, of ICMP and of `ICMPv6`; other messages have neither as theirs.
pub const REQUESTS: [u8; 2] = [8, 128];

/// What a target other than a verdict does.
pub fn target(name: &str) -> Verdict {
    match name {
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
