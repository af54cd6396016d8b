//! What dumps tell: neighbours, forwarding tables, queueing disciplines, policy rules, policies of `IPsec`.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::IpAddr;

use netlink_packet_route::AddressFamily;
use netlink_packet_route::neighbour::{NeighbourAttribute, NeighbourMessage, NeighbourState};
use nix::errno::Errno;

use super::{Failure, Sight, routes};
use crate::kernel::netlink::{Netlink, find, ip, number, push, text};
use crate::kernel::tables::policies::Policies;
use crate::kernel::tables::{Fdb, Neighbour, read};
use crate::plan::Port;
use crate::plan::hand::{Held, OfPort, OfSpace, Queue, Rule};

/// `RTM_GETRULE`, `RTM_GETQDISC` (`linux/rtnetlink.h`)
const GET_RULE: u16 = 34;
const GET_QDISC: u16 = 38;

/// What a kernel says to a question about what it does not have.
fn absent<T: Default>(result: Result<T, Errno>, tried: &'static str) -> Result<T, Failure> {
    match result {
        Err(Errno::EOPNOTSUPP | Errno::EAFNOSUPPORT | Errno::EPROTONOSUPPORT | Errno::EINVAL | Errno::ENOENT) => Ok(T::default()),
        other => other.map_err(|errno| (tried, errno)),
    }
}

/// Of every interface.
pub fn of_links(sight: &Sight<'_>, socket: &mut Netlink, found: &mut dyn FnMut(Port, OfPort)) -> Result<(), Failure> {
    let mut at = |index: u32, hand: OfPort| {
        if let Some(dev) = sight.names.get(&index) {
            found(Port { ns: sight.ns.clone(), dev: dev.clone() }, hand);
        }
    };
    let neighbours = socket.neighbours(AddressFamily::Unspec).map_err(|errno| ("ip neighbour show", errno))?;
    for neighbour in neighbours.iter().filter_map(read::neighbour).filter(|neighbour| is_kept(sight, neighbour)) {
        at(neighbour.dev, OfPort::Neighbour(neighbour.address, neighbour.mac));
    }
    for (index, address) in absent(read::proxies(socket), "ip neighbour show proxy")? {
        at(index, OfPort::Neighbour(address, None));
    }
    entries(sight, &mut at);
    let qdiscs = absent(socket.dump(GET_QDISC, &[0; 20], |_, body| qdisc(body)), "tc qdisc show")?;
    for (index, queue, words) in qdiscs {
        at(index, OfPort::Qdisc(queue, words));
    }
    routes::of_addresses(sight, &mut at);
    Ok(())
}

/// The kernel never gives up a neighbour that was told as permanent, and makes none itself but for what `lo` and multicast have.
fn is_kept(sight: &Sight<'_>, neighbour: &Neighbour) -> bool {
    let link = sight.links.iter().find(|link| link.index == neighbour.dev);
    let usual = link.is_none_or(|link| link.kind == "loopback" || link.noarp) || neighbour.address.is_multicast();
    let broadcast = matches!(neighbour.address, IpAddr::V4(v4) if v4.is_broadcast()) || neighbour.mac.is_none();
    let group = neighbour.mac.is_some_and(|mac| mac.0[0] & 1 == 1);
    match neighbour.state {
        NeighbourState::Permanent => neighbour.mac.is_some() && !neighbour.address.is_multicast(),
        NeighbourState::Noarp => !usual && !broadcast && !group,
        _ => false,
    }
}

fn vlan(entry: &NeighbourMessage) -> u16 {
    let of = |attribute: &NeighbourAttribute| if let NeighbourAttribute::Vlan(vlan) = attribute { Some(*vlan) } else { None };
    entry.attributes.iter().find_map(of).unwrap_or(0)
}

/// Entries of forwarding tables that are not just static: those are facts of their own.
fn entries(sight: &Sight<'_>, at: &mut dyn FnMut(u32, OfPort)) {
    let read: Vec<(&NeighbourMessage, Fdb)> =
        sight.entries.iter().filter_map(|entry| Some((entry, read::fdb(entry, sight.links)?))).collect();
    let everywhere = |fdb: &Fdb| read.iter().any(|(entry, one)| vlan(entry) == 0 && (one.port, one.mac) == (fdb.port, fdb.mac));
    for (entry, fdb) in &read {
        // What is told without a VLAN is entered for those of the port, too.
        let vlan = vlan(entry);
        if !fdb.fixed || vlan != 0 && everywhere(fdb) || fdb.port == fdb.bridge && fdb.own && vlan == 0 {
            continue;
        }
        let sticky = entry.header.flags.contains(netlink_packet_route::neighbour::NeighbourFlags::Sticky);
        let held = match () {
            () if sticky => Held::Sticky,
            () if fdb.own => Held::Local,
            () if vlan != 0 => Held::Static,
            () => continue,
        };
        at(fdb.port, OfPort::Entry(fdb.mac, vlan, held));
    }
}

/// The indices of the interfaces with filters of `tc` ahead of what comes in or goes out: `ingress`, `clsact`.
pub fn hooked(socket: &mut Netlink) -> Vec<u32> {
    let qdiscs = socket.dump(GET_QDISC, &[0; 20], |_, body| qdisc(body)).unwrap_or_default();
    qdiscs.into_iter().filter(|(_, queue, _)| *queue == Queue::Ingress).map(|(index, ..)| index).collect()
}

/// `struct tcmsg`: the index, its handle, what it is under; then its kind and its options.
fn qdisc(body: &[u8]) -> Option<(u32, Queue, String)> {
    let word = |at: usize| number(body.get(at..)?);
    let (index, handle, parent) = (word(4)?, word(8)?, word(12)?);
    let queue = match parent {
        // `TC_H_ROOT`, `TC_H_INGRESS`; what the kernel attaches by itself has no handle.
        0xffff_ffff if handle != 0 => Queue::Root,
        0xffff_fff1 => Queue::Ingress,
        _ => return None,
    };
    let kind = text(find(body, 20, 1)?);
    if kind == "noqueue" {
        return None;
    }
    let options = find(body, 20, 2).unwrap_or_default();
    let words = match kind.as_str() {
        "netem" => format!("netem{}", netem(options)),
        "tbf" => tbf(options).unwrap_or(kind),
        _ => kind,
    };
    Some((index, queue, words))
}

/// `struct tc_netem_qopt` (`linux/pkt_sched.h`), and the times in nanoseconds behind it.
fn netem(options: &[u8]) -> String {
    let word = |at: usize| options.get(at..).and_then(number).unwrap_or(0);
    let long = |kind: u16| find(options, 24, kind).and_then(|value| value.first_chunk().copied()).map_or(0, i64::from_ne_bytes);
    let share = |part: u32| f64::from(part) / f64::from(u32::MAX) * 100.0;
    let mut words = String::new();
    // `TCA_NETEM_LATENCY64`, `TCA_NETEM_JITTER64`
    let (delay, jitter) = (long(10) / 1000, long(11) / 1000);
    if delay != 0 || jitter != 0 {
        let _ = write!(words, " delay {delay}us");
    }
    if jitter != 0 {
        let _ = write!(words, " {jitter}us");
    }
    for (name, part) in [("loss", word(8)), ("duplicate", word(16))] {
        if part != 0 {
            let _ = write!(words, " {name} {:.6}%", share(part));
        }
    }
    // `TCA_NETEM_CORRUPT`: a probability, then a correlation.
    if let Some(part) = find(options, 24, 4).and_then(number).filter(|part| *part != 0) {
        let _ = write!(words, " corrupt {:.6}%", share(part));
    }
    if word(4) != 1000 {
        let _ = write!(words, " limit {}", word(4));
    }
    words
}

/// `struct tc_tbf_qopt`: two rates of twelve bytes, the limit, the burst in ticks of 64 ns.
fn tbf(options: &[u8]) -> Option<String> {
    let parameters = find(options, 0, 1)?;
    let word = |at: usize| number(parameters.get(at..)?);
    let (rate, limit, ticks) = (word(8)?, word(24)?, word(28)?);
    let burst = u64::from(rate) * u64::from(ticks) * 64 / 1_000_000_000;
    Some(format!("tbf rate {}bit burst {burst}b limit {limit}b", u64::from(rate) * 8))
}

/// Of the namespace as a whole.
pub fn of_space(socket: &mut Netlink, found: &mut dyn FnMut(OfSpace)) -> Result<(), Failure> {
    // A kernel without policy routing refuses.
    let rules = absent(socket.dump(GET_RULE, &[0; 12], |_, body| Some(body.to_vec())), "ip rule show")?;
    rules_of(&rules).into_iter().for_each(&mut *found);
    let ipsec = match Policies::read() {
        Err((tried, errno)) => absent(Err(errno), tried)?,
        Ok(ipsec) => ipsec,
    };
    ipsec.all.into_iter().for_each(|policy| found(OfSpace::Policy(policy.words, policy.named)));
    if ipsec.default != 0 {
        found(OfSpace::PolicyDefault(ipsec.default));
    }
    Ok(())
}

/// `struct fib_rule_hdr`
const RULE: usize = 12;
/// `FRA_` (`linux/fib_rules.h`)
const PRIORITY: u16 = 6;
const TABLE: u16 = 15;
const L3MDEV: u16 = 19;
const PROTOCOL: u16 = 21;
/// `RTPROT_KERNEL`
const KERNEL: u8 = 2;

/// `AF_INET`, `AF_INET6`
const V4: u8 = 2;
const V6: u8 = 10;

/// The rules that a namespace is born with: their family, priority, table.
const BORN: [(u8, u32, u32); 5] = [(V4, 0, 255), (V4, 32766, 254), (V4, 32767, 253), (V6, 0, 255), (V6, 32766, 254)];

fn rules_of(messages: &[Vec<u8>]) -> Vec<OfSpace> {
    let mut missing: BTreeSet<(u8, u32, u32)> = BTreeSet::new();
    let families: Vec<u8> = messages.iter().filter_map(|message| message.first().copied()).collect();
    // A family without any rule is none of this kernel's, unless somebody has taken all away.
    missing.extend(BORN.into_iter().filter(|(family, ..)| !families.is_empty() && (*family == V4 || families.contains(family))));
    let mut found = Vec::new();
    for message in messages {
        let Some(rule) = Reading::read(message) else { continue };
        if rule.plain && missing.remove(&(rule.family, rule.priority, rule.table)) {
            continue;
        }
        if !rule.of_kernel {
            found.push(OfSpace::Rule(Rule { ipv6: rule.family == V6, words: rule.words, message: message.clone() }));
        }
    }
    for (family, priority, table) in missing {
        let mut message = vec![family, 0, 0, 0, u8::try_from(table).unwrap_or(0), 0, 0, 1, 0, 0, 0, 0];
        push(&mut message, PRIORITY, &priority.to_ne_bytes());
        push(&mut message, TABLE, &table.to_ne_bytes());
        push(&mut message, PROTOCOL, &[KERNEL]);
        let words = format!("pref {priority} from all lookup {}", table_name(table));
        found.push(OfSpace::NoRule(Rule { ipv6: family == V6, words, message }));
    }
    found
}

fn table_name(table: u32) -> String {
    match table {
        253 => "default".to_owned(),
        254 => "main".to_owned(),
        255 => "local".to_owned(),
        other => other.to_string(),
    }
}

struct Reading {
    family: u8,
    priority: u32,
    table: u32,
    /// It is for everything, and looks a table up.
    plain: bool,
    /// It comes with an interface of the kind `vrf`.
    of_kernel: bool,
    words: String,
}

impl Reading {
    fn read(message: &[u8]) -> Option<Self> {
        let [family, to, from, tos, table, _, _, action, f0, f1, f2, f3, ..] = *message else { return None };
        let flags = u32::from_ne_bytes([f0, f1, f2, f3]);
        // Rules of multicast routing have families of their own.
        if ![V4, V6].contains(&family) {
            return None;
        }
        let get = |kind: u16| find(message, RULE, kind);
        let word = |kind: u16| get(kind).and_then(number);
        let pair = |kind: u16| get(kind).and_then(|value| Some((value.get(..2)?, value.get(2..4)?)));
        let port = |kind: u16| {
            let (start, end) = pair(kind)?;
            let read = |bytes: &[u8]| bytes.try_into().map_or(0, u16::from_ne_bytes);
            Some(if start == end { read(start).to_string() } else { format!("{}-{}", read(start), read(end)) })
        };
        let (priority, table) = (word(PRIORITY).unwrap_or(0), word(TABLE).unwrap_or(u32::from(table)));
        let mut words = format!("pref {priority}");
        let mut plain = action == 1 && flags & 2 == 0 && tos == 0;
        let mut add = |text: String| {
            plain = false;
            let _ = write!(words, " {text}");
        };
        // `FIB_RULE_INVERT`
        if flags & 2 != 0 {
            add("not".to_owned());
        }
        if let Some(source) = get(2).and_then(ip) {
            add(format!("from {source}/{from}"));
        }
        if let Some(destination) = get(1).and_then(ip) {
            add(format!("to {destination}/{to}"));
        }
        if tos != 0 {
            add(format!("tos 0x{tos:02x}"));
        }
        if let Some(mark) = word(10).filter(|mark| *mark != 0 || word(16).is_some_and(|mask| mask != 0)) {
            let mask = word(16).filter(|mask| *mask != u32::MAX).map(|mask| format!("/0x{mask:x}")).unwrap_or_default();
            add(format!("fwmark 0x{mark:x}{mask}"));
        }
        for (kind, name) in [(3, "iif"), (17, "oif")] {
            if let Some(dev) = get(kind).map(text) {
                add(format!("{name} {}", crate::plan::quoted(&dev)));
            }
        }
        if let Some(range) = get(20) {
            let (start, end) = (number(range).unwrap_or(0), range.get(4..).and_then(number).unwrap_or(0));
            add(format!("uidrange {start}-{end}"));
        }
        if let Some(protocol) = get(22).and_then(|value| value.first()) {
            add(format!("ipproto {protocol}"));
        }
        for (kind, name) in [(23, "sport"), (24, "dport")] {
            if let Some(range) = port(kind) {
                add(format!("{name} {range}"));
            }
        }
        if words.split(' ').count() == 2 {
            words.push_str(" from all");
        }
        let of_kernel = get(L3MDEV).is_some_and(|value| value.first() == Some(&1));
        let suppressed = word(14).filter(|length| *length != u32::MAX);
        plain &= suppressed.is_none() && !of_kernel;
        let _ = match action {
            1 => write!(words, " lookup {}", table_name(table)),
            2 => write!(words, " goto {}", word(4).unwrap_or(0)),
            3 => write!(words, " nop"),
            6 => write!(words, " blackhole"),
            7 => write!(words, " unreachable"),
            8 => write!(words, " prohibit"),
            other => write!(words, " type {other}"),
        };
        if let Some(length) = suppressed {
            let _ = write!(words, " suppress_prefixlength {length}");
        }
        Some(Self { family, priority, table, plain, of_kernel, words })
    }
}
