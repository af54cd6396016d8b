//! Pings.

use nix::errno::Errno;

use crate::render::escape::escape;
use crate::render::lang::{Lang, n, reason, t, w};
use crate::report::ping::{Event, Fault, Matrix, Party, Ping, Start, Times};
use crate::report::wire::Names;

/// A part of a recorded route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words explain themselves")]
pub enum Way {
    There,
    Back,
    AsBefore,
}

/// A place in the matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// Every family was answered.
    Answered,
    /// IPv4 alone was answered.
    Only4,
    /// IPv6 alone was answered.
    Only6,
    /// Nothing was answered.
    Failed,
    /// The two have no family in common.
    NoAddress,
}

/// Pairs that failed alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failing {
    /// No ping from or to a node was answered.
    Node(String),
    /// No ping from the containers of one host to those of another was answered: so many.
    Hosts(String, String, usize),
    /// A pair: names as they are typed, and how it failed.
    Pair(String, String, Mark, Vec<Fault>),
    /// So many more.
    More(usize),
}

/// Who pings whom.
pub fn start(lang: Lang, start: &Start) -> String {
    let node = start.names.node(&start.from);
    let from = start.source.map_or_else(|| node.clone(), |source| format!("{node} ({source})"));
    let (to, bytes) = (owned(&start.to, &start.names), bytes(lang, start.size));
    let ping = t!(lang, "PING {to} from {from}, {bytes} of data", to, from, bytes);
    match start.others.as_slice() {
        [] => ping,
        [other] => t!(lang, "{ping}; it has {other}, too", ping, other),
        [other, rest @ ..] => t!(lang, "{ping}; it has {other} and {more} more, too", ping, other, more = rest.len()),
    }
}

fn bytes(lang: Lang, number: usize) -> String {
    n!(lang, number, "byte", "bytes")
}

/// `b1 (10.0.0.21)`: the owner as it is typed, then the address.
fn owned(party: &Party, names: &Names) -> String {
    let address = party.address;
    party.owner.as_ref().map_or_else(|| address.to_string(), |owner| format!("{} ({address})", names.interface(owner)))
}

/// What has come back.
pub fn event(lang: Lang, start: &Start, event: &Event) -> String {
    match event {
        Event::Reply(reply) => {
            let (bytes, from, seq) = (bytes(lang, reply.bytes), owned(&reply.from, &start.names), reply.sequence);
            let fields = reply.ttl.map_or_else(|| format!("seq={seq}"), |ttl| format!("seq={seq} ttl={ttl}"));
            let time = format!("{:.3} ms", reply.milliseconds);
            let answer = t!(lang, "{bytes} from {from}: {fields} time={time}", bytes, from, fields, time);
            if reply.duplicate { t!(lang, "{answer} (a second answer to the same request)", answer) } else { answer }
        }
        Event::Error { sequence, from: Some(from), fault } => {
            let (from, fault) = (owned(from, &start.names), said(lang, *fault));
            t!(lang, "From {from}: seq={sequence} {fault}", from, sequence, fault)
        }
        Event::Error { sequence, from: None, fault } => {
            t!(lang, "seq={sequence} was not sent: {fault}", sequence, fault = said(lang, *fault))
        }
    }
}

fn said(lang: Lang, fault: Fault) -> String {
    match fault {
        Fault::TimeExceeded => t!(lang, "the time to live has run out"),
        Fault::FragmentsMissing => t!(lang, "not all fragments arrived in time"),
        Fault::NetUnreachable => t!(lang, "destination network unreachable: no route"),
        Fault::HostUnreachable => t!(lang, "destination host unreachable: nobody tells its MAC address"),
        Fault::ProtocolUnreachable => t!(lang, "destination protocol unreachable"),
        Fault::PortUnreachable => t!(lang, "destination port unreachable"),
        Fault::Prohibited => t!(lang, "prohibited by a filter or a route"),
        Fault::TooBig { mtu } => t!(lang, "too big for the next link and not to be cut: its MTU is {mtu}", mtu),
        Fault::Redirect { gateway } => t!(lang, "redirect: {gateway} would be the better router", gateway),
        Fault::Other { kind, code } => t!(lang, "ICMP error, type {kind}, code {code}", kind, code),
        Fault::Unsent { errno } => unsent(lang, errno),
    }
}

/// Why the sender's kernel refuses.
fn unsent(lang: Lang, errno: i32) -> String {
    match Errno::from_raw(errno) {
        Errno::ENETUNREACH => t!(lang, "no route to that address"),
        Errno::EHOSTUNREACH => t!(lang, "an unreachable route, or nobody tells the MAC address"),
        Errno::EACCES => t!(lang, "a prohibit route, or a broadcast address"),
        Errno::EINVAL => t!(lang, "a blackhole route"),
        Errno::EPERM => t!(lang, "a packet filter of the sender drops it"),
        Errno::EMSGSIZE => t!(lang, "it is larger than the interface's MTU, or than a datagram can be"),
        Errno::ENETDOWN => t!(lang, "the interface is down"),
        _ => reason(lang, errno),
    }
}

/// The title over a recorded way.
pub fn recorded(lang: Lang, way: Way) -> &'static str {
    match way {
        Way::There => w!(lang, ["way"] "there"),
        Way::Back => w!(lang, ["way"] "back"),
        Way::AsBefore => w!(lang, "Route: the same as before"),
    }
}

/// What a recorded route does not say, and why traceroute lists other addresses.
pub fn recorded_note(lang: Lang, full: bool) -> Vec<String> {
    let slots = full.then(|| w!(lang, "All nine slots are full: whoever came later could not write its address."));
    let another = w!(
        lang,
        "Record route lists the address by which each node sends the packet on. traceroute\n\
         lists the one at which it came in, and only on the way there: another list."
    );
    slots.into_iter().chain(another.lines()).map(str::to_owned).collect()
}

/// The last lines of `ping`.
pub fn end(lang: Lang, ping: &Ping) -> Vec<String> {
    let (sent, received) = (ping.sent, ping.received);
    let lost = (sent.saturating_sub(received) * 100).checked_div(sent).unwrap_or(0);
    let counts = t!(lang, "{sent} sent, {received} answered, {lost} % lost", sent, received, lost);
    let mut lines = vec![match ping.times {
        None => counts,
        Some(Times { min, avg, max }) => {
            t!(lang, "{counts}; min/avg/max {times} ms", counts, times = format!("{min:.3}/{avg:.3}/{max:.3}"))
        }
    }];
    if ping.received == 0 {
        let start = &ping.start;
        lines.push(trace(lang, &start.names.node(&start.from), &start.to.address.to_string()));
    }
    lines
}

fn trace(lang: Lang, from: &str, to: &str) -> String {
    t!(lang, "Try: {command}", command = format!("nslab trace {from} {to}"))
}

/// What the marks of the matrix mean, those that are in it.
pub fn marks(lang: Lang, marks: &[Mark]) -> String {
    let each = marks.iter().map(|mark| match mark {
        Mark::Answered => w!(lang, ". answered"),
        Mark::Only4 => w!(lang, "4 by IPv4 alone"),
        Mark::Only6 => w!(lang, "6 by IPv6 alone"),
        Mark::Failed => w!(lang, "X no answer"),
        Mark::NoAddress => w!(lang, "? no address in common"),
    });
    each.collect::<Vec<_>>().join(", ")
}

/// Pairs of the matrix that failed alike.
pub fn failing(lang: Lang, group: &Failing) -> String {
    let pairs = |number: usize| n!(lang, number, "pair", "pairs");
    match group {
        Failing::Node(node) => t!(lang, "{node}: no ping from it or to it is answered", node),
        Failing::Hosts(from, to, number) if from == to => {
            t!(lang, "among the containers of {from}: none of {pairs} is answered", from, pairs = pairs(*number))
        }
        Failing::Hosts(from, to, number) => t!(
            lang,
            "from the containers of {from} to those of {to}: none of {pairs} is answered",
            from,
            to,
            pairs = pairs(*number)
        ),
        Failing::Pair(from, to, mark, faults) => {
            let how = match mark {
                Mark::Only4 => w!(lang, "no answer by IPv6"),
                Mark::Only6 => w!(lang, "no answer by IPv4"),
                Mark::NoAddress => w!(lang, "no address of a family that both have"),
                _ => w!(lang, "no answer"),
            };
            let why = faults.first().map(|fault| format!(": {}", said(lang, *fault))).unwrap_or_default();
            format!("{} -> {}: {how}{why}", escape(from), escape(to))
        }
        Failing::More(number) => t!(lang, "and {pairs}", pairs = n!(lang, *number, "more pair", "more pairs")),
    }
}

/// The last lines of `ping --all`.
pub fn matrix_end(lang: Lang, matrix: &Matrix) -> Vec<String> {
    if matrix.pairs == 0 {
        return vec![t!(
            lang,
            "{lab} has no two containers to ping one another; --hosts adds the hosts that have addresses.",
            lab = matrix.lab
        )];
    }
    let mut lines = vec![t!(
        lang,
        "{pairs}: {answered} answered, {failed} not; {time} ms",
        pairs = n!(lang, matrix.pairs, "pair", "pairs"),
        answered = matrix.answered,
        failed = matrix.failed.len(),
        time = format!("{:.0}", matrix.milliseconds)
    )];
    if matrix.rounds > 1 {
        lines.push(t!(
            lang,
            "In {rounds} rounds: this machine remembers at most {limit} neighbours (net.ipv4.neigh.default.gc_thresh3).",
            rounds = matrix.rounds,
            limit = matrix.limit
        ));
    }
    if let Some(pair) = matrix.failed.first() {
        lines.push(trace(lang, &matrix.names.node(&pair.from), &matrix.names.node(&pair.to)));
    }
    lines
}
