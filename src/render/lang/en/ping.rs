//! Pings in words.

use nix::errno::Errno;

use super::count;
use crate::render::escape::escape;
use crate::render::lang::{Failing, Mark, Way};
use crate::report::ping::{Event, Fault, Matrix, Party, Ping, Start, Times};
use crate::report::wire::Names;

pub(super) fn start(start: &Start) -> String {
    let source = start.source.map(|source| format!(" ({source})")).unwrap_or_default();
    let others = match start.others.as_slice() {
        [] => String::new(),
        [other] => format!("; it has {other}, too"),
        [other, rest @ ..] => format!("; it has {other} and {} more, too", rest.len()),
    };
    let from = escape(&start.names.node(&start.from)).into_owned();
    format!("PING {} from {from}{source}, {} of data{others}", owned(&start.to, &start.names), bytes(start.size))
}

fn bytes(number: usize) -> String {
    count(number, "byte", "bytes")
}

/// `b1 (10.0.0.21)`: the owner as it is typed, then the address.
fn owned(party: &Party, names: &Names) -> String {
    let interface = |owner| escape(&names.interface(owner)).into_owned();
    party.owner.as_ref().map_or_else(|| party.address.to_string(), |owner| format!("{} ({})", interface(owner), party.address))
}

pub(super) fn event(start: &Start, event: &Event) -> String {
    match event {
        Event::Reply(reply) => {
            let ttl = reply.ttl.map(|ttl| format!(" ttl={ttl}")).unwrap_or_default();
            let again = if reply.duplicate { " (a second answer to the same request)" } else { "" };
            let from = owned(&reply.from, &start.names);
            format!("{} from {from}: seq={}{ttl} time={:.3} ms{again}", bytes(reply.bytes), reply.sequence, reply.milliseconds)
        }
        Event::Error { sequence, from: Some(from), fault } => {
            format!("From {}: seq={sequence} {}", owned(from, &start.names), said(*fault))
        }
        Event::Error { sequence, from: None, fault } => {
            format!("seq={sequence} was not sent: {}", said(*fault))
        }
    }
}

fn said(fault: Fault) -> String {
    match fault {
        Fault::TimeExceeded => "the time to live has run out".to_owned(),
        Fault::FragmentsMissing => "not all fragments arrived in time".to_owned(),
        Fault::NetUnreachable => "destination network unreachable: no route".to_owned(),
        Fault::HostUnreachable => "destination host unreachable: nobody tells its MAC address".to_owned(),
        Fault::ProtocolUnreachable => "destination protocol unreachable".to_owned(),
        Fault::PortUnreachable => "destination port unreachable".to_owned(),
        Fault::Prohibited => "prohibited by a filter or a route".to_owned(),
        Fault::TooBig { mtu } => format!("too big for the next link and not to be cut: its MTU is {mtu}"),
        Fault::Redirect { gateway } => format!("redirect: {gateway} would be the better router"),
        Fault::Other { kind, code } => format!("ICMP error, type {kind}, code {code}"),
        Fault::Unsent { errno } => unsent(errno),
    }
}

/// Why the sender's kernel refuses.
fn unsent(errno: i32) -> String {
    match Errno::from_raw(errno) {
        Errno::ENETUNREACH => "no route to that address".to_owned(),
        Errno::EHOSTUNREACH => "an unreachable route, or nobody tells the MAC address".to_owned(),
        Errno::EACCES => "a prohibit route, or a broadcast address".to_owned(),
        Errno::EINVAL => "a blackhole route".to_owned(),
        Errno::EPERM => "a packet filter of the sender drops it".to_owned(),
        Errno::EMSGSIZE => "it is larger than the interface's MTU, or than a datagram can be".to_owned(),
        Errno::ENETDOWN => "the interface is down".to_owned(),
        Errno::UnknownErrno => format!("error {errno}"),
        known => known.desc().to_owned(),
    }
}

pub(super) fn recorded(way: Way) -> &'static str {
    match way {
        Way::There => "there",
        Way::Back => "back",
        Way::AsBefore => "Route: the same as before",
    }
}

pub(super) fn recorded_note(full: bool) -> Vec<String> {
    let mut lines = Vec::new();
    if full {
        lines.push("All nine slots are full: whoever came later could not write its address.".to_owned());
    }
    lines.extend(
        [
            "Record route lists the address by which each node sends the packet on. traceroute",
            "lists the one at which it came in, and only on the way there: another list.",
        ]
        .map(str::to_owned),
    );
    lines
}

pub(super) fn end(ping: &Ping) -> Vec<String> {
    let lost = ping.sent.saturating_sub(ping.received);
    let percent = (lost * 100).checked_div(ping.sent).unwrap_or(0);
    let time = |times: Times| format!("; min/avg/max {:.3}/{:.3}/{:.3} ms", times.min, times.avg, times.max);
    let times = ping.times.map(time).unwrap_or_default();
    let mut lines = vec![format!("{} sent, {} answered, {percent} % lost{times}", ping.sent, ping.received)];
    if ping.received == 0 {
        let start = &ping.start;
        let from = escape(&start.names.node(&start.from)).into_owned();
        lines.push(format!("Try: nslab trace {from} {}", start.to.address));
    }
    lines
}

pub(super) fn marks(marks: &[Mark]) -> String {
    let each = marks.iter().map(|mark| match mark {
        Mark::Answered => ". answered",
        Mark::Only4 => "4 by IPv4 alone",
        Mark::Only6 => "6 by IPv6 alone",
        Mark::Failed => "X no answer",
        Mark::NoAddress => "? no address in common",
    });
    each.collect::<Vec<_>>().join(", ")
}

pub(super) fn failing(group: &Failing) -> String {
    match group {
        Failing::Node(node) => format!("{}: no ping from it or to it is answered", escape(node)),
        Failing::Hosts(from, to, pairs) if from == to => {
            format!("among the containers of {}: none of {} is answered", escape(from), count(*pairs, "pair", "pairs"))
        }
        Failing::Hosts(from, to, pairs) => format!(
            "from the containers of {} to those of {}: none of {} is answered",
            escape(from),
            escape(to),
            count(*pairs, "pair", "pairs")
        ),
        Failing::Pair(from, to, mark, faults) => {
            let how = match mark {
                Mark::Only4 => "no answer by IPv6",
                Mark::Only6 => "no answer by IPv4",
                Mark::NoAddress => "no address of a family that both have",
                _ => "no answer",
            };
            let why = faults.first().map(|fault| format!(": {}", said(*fault))).unwrap_or_default();
            format!("{} -> {}: {how}{why}", escape(from), escape(to))
        }
        Failing::More(number) => format!("and {}", count(*number, "more pair", "more pairs")),
    }
}

pub(super) fn matrix_end(matrix: &Matrix) -> Vec<String> {
    if matrix.pairs == 0 {
        let lab = escape(&matrix.lab);
        return vec![format!("{lab} has no two containers to ping one another; --hosts adds the hosts that have addresses.")];
    }
    let pairs = count(matrix.pairs, "pair", "pairs");
    let mut lines =
        vec![format!("{pairs}: {} answered, {} not; {:.0} ms", matrix.answered, matrix.failed.len(), matrix.milliseconds)];
    if matrix.rounds > 1 {
        lines.push(format!(
            "In {} rounds: this machine remembers at most {} neighbours (net.ipv4.neigh.default.gc_thresh3).",
            matrix.rounds, matrix.limit
        ));
    }
    if let Some(pair) = matrix.failed.first() {
        let (from, to) = (matrix.names.node(&pair.from), matrix.names.node(&pair.to));
        lines.push(format!("Try: nslab trace {} {}", escape(&from), escape(&to)));
    }
    lines
}
