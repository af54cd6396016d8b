//! Pings, and the way of a packet.

use nix::errno::Errno;

use super::causes::{self, route};
use crate::render::escape::escape;
use crate::render::lang::{Lang, listed, n, reason, t, w};
use crate::report::probe::{Event, Fault, Matrix, Party, Ping, Start, Times, Transport};
use crate::report::trace::{
    Action, Cause, Death, Difference, Direction, Frame, IcmpMessage, IcmpWord, Known, Resolution, Trace, Visit,
};
use crate::report::wire::{Names, Station};

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
            let (from, fault) = (owned(from, &start.names), fault_text(lang, *fault));
            t!(lang, "From {from}: seq={sequence} {fault}", from, sequence, fault)
        }
        Event::Error { sequence, from: None, fault } => {
            t!(lang, "seq={sequence} was not sent: {fault}", sequence, fault = fault_text(lang, *fault))
        }
    }
}

fn fault_text(lang: Lang, fault: Fault) -> String {
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
            let why = faults.first().map(|fault| format!(": {}", fault_text(lang, *fault))).unwrap_or_default();
            format!("{} -> {}: {how}{why}", escape(from), escape(to))
        }
        Failing::More(number) => t!(lang, "and {pairs}", pairs = n!(lang, *number, "more pair", "more pairs")),
    }
}

/// The last lines of `ping --all`.
pub fn matrix_end(lang: Lang, matrix: &Matrix) -> Vec<String> {
    let mut lines = vec![if matrix.pairs == 0 {
        t!(lang, "{lab} has no two containers to ping one another; --hosts adds the hosts that have addresses.", lab = matrix.lab)
    } else {
        t!(
            lang,
            "{pairs}: {answered} answered, {failed} not; {time} ms",
            pairs = n!(lang, matrix.pairs, "pair", "pairs"),
            answered = matrix.answered,
            failed = matrix.failed.len(),
            time = format!("{:.0}", matrix.milliseconds)
        )
    }];
    if matrix.rounds > 1 {
        lines.push(t!(
            lang,
            "In {rounds} rounds: this machine remembers at most {limit} neighbours (net.ipv4.neigh.default.gc_thresh3).",
            rounds = matrix.rounds,
            limit = matrix.limit
        ));
    }
    if !matrix.stopped.is_empty() {
        let nodes: Vec<String> = matrix.stopped.iter().map(|node| matrix.names.node(node)).collect();
        lines.push(t!(lang, "Not pinged, being stopped: {nodes}.", nodes = listed(lang, &nodes)));
    }
    if let Some(pair) = matrix.failed.first() {
        lines.push(trace(lang, &matrix.names.node(&pair.from), &matrix.names.node(&pair.to)));
    }
    lines
}

/// From where to where, and what the packet is.
pub fn title(lang: Lang, trace: &Trace) -> String {
    let to = trace.to_node.as_ref().map(|node| format!(" ({})", trace.word(node))).unwrap_or_default();
    let (from, to, ttl) = (trace.word(&trace.from), format!("{}{to}", trace.to), trace.ttl);
    let size = n!(lang, trace.size, "byte", "bytes");
    match trace.transport {
        Transport::Icmp => t!(lang, "From {from} to {to}: one echo request of {size}, TTL {ttl}.", from, to, size, ttl),
        Transport::Tcp { port } => {
            t!(lang, "From {from} to {to}: a connection to TCP port {port}, TTL {ttl}.", from, to, port, ttl)
        }
        Transport::Udp { port } => {
            t!(lang, "From {from} to {to}: one datagram of {size} to UDP port {port}, TTL {ttl}.", from, to, size, port, ttl)
        }
    }
}

/// The heading of one direction.
pub fn direction_heading(lang: Lang, trace: &Trace, direction: Direction) -> String {
    let name = match direction {
        Direction::Request => w!(lang, "The request"),
        Direction::Reply => w!(lang, "The reply"),
    };
    let Some(journey) = trace.journey(direction) else { return name.to_owned() };
    match journey.source {
        Some(source) => format!("{name}: {source} -> {}", journey.destination),
        None => t!(lang, "{name}: to {address}", name, address = journey.destination),
    }
}

/// What a node does with the packet.
pub fn action(lang: Lang, visit: &Visit, direction: Direction) -> String {
    match &visit.deed {
        Action::Sends(taken) | Action::Routes { route: taken, .. } if visit.frame.is_none() => {
            t!(lang, "its route: {route}", route = route(taken))
        }
        Action::Sends(taken) if direction == Direction::Request => t!(lang, "sends it: {route}", route = route(taken)),
        Action::Sends(taken) => t!(lang, "answers: {route}", route = route(taken)),
        Action::Bridges { bridge, floods } => {
            let by = match (&visit.enters, &visit.leaves) {
                (Some(enters), Some(leaves)) => format!("{bridge}: {enters} -> {leaves}"),
                _ => bridge.clone(),
            };
            if *floods {
                t!(lang, "bridged unchanged by {by}, to every port: it does not know the MAC yet", by)
            } else {
                t!(lang, "bridged unchanged by {by}", by)
            }
        }
        Action::Routes { route: taken, ttl } => {
            let left = visit.frame.as_ref().map_or_else(|| ttl.saturating_sub(1), |frame| frame.ttl);
            t!(lang, "routed: {route}; MACs rewritten, TTL\u{a0}{ttl}\u{a0}->\u{a0}{left}", route = route(taken), ttl, left)
        }
        Action::Passes { .. } => match (&visit.enters, &visit.leaves) {
            (Some(enters), Some(leaves)) => t!(lang, "passes it on: {enters} -> {leaves}", enters, leaves),
            (None, Some(leaves)) => t!(lang, "sends it by {leaves}", leaves),
            _ => t!(lang, "passes it on"),
        },
        Action::Receives => match (direction, &visit.enters) {
            (Direction::Request, Some(enters)) => t!(lang, "receives it by {enters}", enters),
            (Direction::Request, None) => t!(lang, "receives it"),
            (Direction::Reply, Some(enters)) => t!(lang, "receives the reply by {enters}", enters),
            (Direction::Reply, None) => t!(lang, "receives the reply"),
        },
        Action::Drops => match &visit.enters {
            Some(enters) => t!(lang, "comes in by {enters} and goes no further", enters),
            None => t!(lang, "does not send it"),
        },
    }
}

/// Whether the visit is not both predicted and seen.
pub fn known(lang: Lang, known: Known) -> Option<&'static str> {
    match known {
        Known::Both => None,
        Known::Predicted => Some(w!(lang, "(expected, not seen)")),
        Known::Observed => Some(w!(lang, "(seen; the tables say otherwise)")),
        Known::File => Some(w!(lang, "(on the other machine: from the file)")),
    }
}

/// An ARP or neighbour discovery exchange.
pub fn resolution(lang: Lang, trace: &Trace, resolution: &Resolution) -> String {
    let (protocol, address) = (if resolution.address.is_ipv6() { "ND" } else { "ARP" }, resolution.address);
    match &resolution.answer {
        Some(Station { mac, owner: Some(owner) }) => {
            let owner = trace.interface(owner);
            t!(lang, "{protocol} first: who has {address}? {owner}, at {mac}", protocol, address, owner, mac)
        }
        Some(Station { mac, owner: None }) => {
            t!(lang, "{protocol} first: who has {address}? It is at {mac}", protocol, address, mac)
        }
        None => t!(lang, "{protocol} first: who has {address}? Nobody answers", protocol, address),
    }
}

/// What a router said.
pub fn message(lang: Lang, trace: &Trace, message: &IcmpMessage) -> String {
    let who = match &message.node {
        Some(node) => format!("{} ({})", trace.word(node), message.from),
        None => message.from.to_string(),
    };
    let what = match message.says {
        IcmpWord::NoRoute => t!(lang, "destination net unreachable"),
        IcmpWord::HostUnreachable => t!(lang, "destination host unreachable"),
        IcmpWord::PortUnreachable => t!(lang, "destination port unreachable"),
        IcmpWord::Prohibited => t!(lang, "communication prohibited"),
        IcmpWord::TooBig { mtu } => t!(lang, "the packet is too big, at most {mtu} bytes pass", mtu),
        IcmpWord::TimeExceeded => t!(lang, "time to live exceeded"),
        IcmpWord::Other { kind, code } => t!(lang, "type {kind}, code {code}", kind, code),
    };
    match message.leg {
        Direction::Request => t!(lang, "ICMP from {who}: {what}", who, what),
        Direction::Reply => t!(lang, "ICMP from {who}: {what} (about the reply)", who, what),
    }
}

/// Where sight and tables differ.
pub fn difference(lang: Lang, trace: &Trace, difference: &Difference) -> String {
    match difference {
        Difference::Way { leg, node, predicted, observed } => {
            let (leg, node) = (direction_word(lang, *leg), trace.word(node));
            let foretold = match predicted {
                Some(interface) => t!(lang, "By the tables {leg} leaves {node} by {interface}", leg, node, interface),
                None => t!(lang, "By the tables {leg} goes no further than {node}", leg, node),
            };
            let seen = match observed {
                Some(interface) => t!(lang, "it was seen otherwise: it leaves {node} by {interface}.", node, interface),
                None => t!(lang, "it was seen otherwise: it goes no further than {node}.", node),
            };
            format!("{foretold}; {seen}")
        }
        Difference::Frame { leg, interface, predicted, observed } => t!(
            lang,
            "By the tables {leg} leaves {interface} with {foretold}; it was seen with {seen}.",
            leg = direction_word(lang, *leg),
            interface = trace.interface(interface),
            foretold = frame(trace, predicted),
            seen = frame(trace, observed)
        ),
        Difference::Translation { leg, node, before: (from, to), after: (new_from, new_to) } => t!(
            lang,
            "{node} puts other addresses into {leg} (NAT): {before} becomes {after}.",
            node = trace.word(node),
            leg = direction_word(lang, *leg),
            before = format!("{from} -> {to}"),
            after = format!("{new_from} -> {new_to}")
        ),
        Difference::Lives { cause } => {
            t!(lang, "By the tables it should not have been answered: {cause}", cause = causes::cause(lang, trace, cause))
        }
    }
}

/// The reply came back.
pub fn answered(lang: Lang, trace: &Trace, milliseconds: f64) -> String {
    let everywhere =
        |direction| trace.journey(direction).is_some_and(|way| way.visits.iter().all(|visit| visit.known == Known::Both));
    let agreed = trace.differences.is_empty() && everywhere(Direction::Request) && everywhere(Direction::Reply);
    let milliseconds = format!("{milliseconds:.2}");
    if let Transport::Tcp { port } = trace.transport {
        let connected = t!(lang, "Connected after {milliseconds} ms: TCP port {port} is open.", milliseconds, port);
        let everywhere = if agreed { w!(lang, "Seen on every segment, as the tables say.") } else { "" };
        return format!("{connected} {everywhere}").trim_end().to_owned();
    }
    if agreed {
        t!(lang, "Answered after {milliseconds} ms. Seen on every segment, as the tables say.", milliseconds)
    } else {
        t!(lang, "Answered after {milliseconds} ms.", milliseconds)
    }
}

/// Where the packet or its reply died.
pub fn died(lang: Lang, trace: &Trace, death: &Death) -> String {
    let node = trace.word(trace.furthest(death));
    match (&death.cause, trace.refused) {
        (Cause::NobodyListens { .. }, true) => {
            return t!(lang, "Refused: the request arrives in {node}, and its refusal comes back. The network is fine.", node);
        }
        (Cause::NobodyListens { .. } | Cause::Silent { .. }, false) => {
            return t!(lang, "No answer: the request arrives in {node}.", node);
        }
        (_, true) => return t!(lang, "Refused: the request gets as far as {node}.", node),
        _ => {}
    }
    match death.leg {
        Direction::Request => t!(lang, "No answer: the request gets as far as {node}.", node),
        Direction::Reply => t!(lang, "No answer: the request arrives, its reply gets as far as {node}.", node),
    }
}

/// What became of a ping beside it.
pub fn ping_beside(lang: Lang, trace: &Trace) -> Option<String> {
    let (from, to) = (trace.word(&trace.from), trace.to);
    Some(match (trace.ping?, trace.transport) {
        (true, Transport::Tcp { port }) => {
            t!(lang, "A ping from {from} to {to} is answered: the way is open, but not for TCP port {port}.", from, to, port)
        }
        (true, Transport::Udp { port }) => {
            t!(lang, "A ping from {from} to {to} is answered: the way is open, but not for UDP port {port}.", from, to, port)
        }
        (false, Transport::Tcp { .. } | Transport::Udp { .. }) => {
            t!(lang, "A ping from {from} to {to} is not answered either.", from, to)
        }
        (_, Transport::Icmp) => return None,
    })
}

/// What belongs to it, each on a line of its own.
pub fn details(trace: &Trace, cause: &Cause) -> Vec<String> {
    match cause {
        Cause::Loop { routes, .. } => {
            routes.iter().map(|(node, taken)| format!("{}: {}", trace.word(node), route(taken))).collect()
        }
        _ => Vec::new(),
    }
}

/// The word before the commands that mend it.
pub fn cure(lang: Lang) -> &'static str {
    w!(lang, "Cure:")
}

fn direction_word(lang: Lang, direction: Direction) -> &'static str {
    match direction {
        Direction::Request => w!(lang, "the request"),
        Direction::Reply => w!(lang, "the reply"),
    }
}

fn frame(trace: &Trace, frame: &Frame) -> String {
    let station = |station: &Station| match &station.owner {
        Some(owner) => format!("{} ({})", station.mac, trace.interface(owner)),
        None => station.mac.clone(),
    };
    format!("{} -> {}, TTL {}", station(&frame.source), station(&frame.destination), frame.ttl)
}
