//! Checks, in words: who is judged, and what came of it.

use ipnet::IpNet;

use super::{causes, trace};
use crate::render::lang::{Lang, and, n, or, t, w};
use crate::report::check::{Besides, Checkpoint, Evidence, Note, Report, Role, State, Step, Wiring};
use crate::report::ping::Family;
use crate::report::trace::Trace;
use crate::report::wire::{Interface, Station};

/// More names than this are counted.
const NAMED: usize = 6;

/// What is checked against what.
pub fn title(lang: Lang, report: &Report) -> String {
    match &report.against {
        Some(topology) => t!(lang, "{lab} judged by the checkpoints of {topology}", lab = report.lab, topology),
        None => t!(lang, "{lab} judged by its own checkpoints", lab = report.lab),
    }
}

/// Who plays a part.
pub fn role(lang: Lang, report: &Report, role: &Role) -> String {
    let part = role.role.rsplit('.').next().unwrap_or(&role.role);
    let Some(node) = &role.node else { return t!(lang, "nobody plays {part}", part = role.role.replacen('.', "/", 1)) };
    let (node, container) = (report.word(node), role.role.contains('.'));
    match &role.wiring {
        Wiring::Switch { bridge } | Wiring::Gateway { bridge } if container => {
            t!(lang, "{node} plays {part}, behind the bridge {bridge}", node, part, bridge)
        }
        Wiring::PointToPoint if container => t!(lang, "{node} plays {part}, on a point-to-point link", node, part),
        Wiring::Switch { bridge } => {
            t!(lang, "{node} plays {part}, with the bridge {bridge} as a switch to the wire", node, part, bridge)
        }
        Wiring::Gateway { bridge } => t!(lang, "{node} plays {part}, with the bridge {bridge} as a gateway", node, part, bridge),
        Wiring::PointToPoint => t!(lang, "{node} plays {part}, with point-to-point links", node, part),
        Wiring::None => t!(lang, "{node} plays {part}", node, part),
    }
}

/// Containers that are not judged.
pub fn spares(lang: Lang, report: &Report) -> String {
    let nodes = words(lang, report, &report.spares);
    match (report.untouched, report.spares.len()) {
        (true, 1) => t!(lang, "Not judged, since nothing is configured there: {node}", node = nodes),
        (true, _) => t!(lang, "Not judged, since nothing is configured there: {nodes}", nodes),
        (false, 1) => t!(lang, "Not judged, since it has no address in this scenario: {node}", node = nodes),
        (false, _) => t!(lang, "Not judged, since they have no address in this scenario: {nodes}", nodes),
    }
}

/// The heading of a checkpoint.
pub fn checkpoint(lang: Lang, checkpoint: &Checkpoint) -> String {
    let (name, reached) = (&checkpoint.name, number(lang, checkpoint.reached));
    match checkpoint.points {
        0 => name.clone(),
        of => t!(lang, "{name}: {reached} of {points}", name, reached, points = n!(lang, of, "point", "points")),
    }
}

/// The word for how a check ended, in capitals.
pub fn state(lang: Lang, state: State) -> &'static str {
    match state {
        State::Pass => w!(lang, "PASS"),
        State::Fail => w!(lang, "FAIL"),
        State::CouldNotRun => w!(lang, "COULD NOT RUN"),
        State::Skipped => w!(lang, "SKIPPED"),
    }
}

/// What was seen that is wrong.
#[allow(clippy::too_many_lines, reason = "a sentence for each piece of evidence")]
pub fn evidence(lang: Lang, report: &Report, evidence: &Evidence) -> String {
    let word = |node: &String| report.word(node);
    let at = |interface: &Interface| report.names.interface(interface);
    let pair = |(from, to): &(String, String)| format!("{} -> {}", word(from), word(to));
    match evidence {
        Evidence::NodeGone { node } => t!(lang, "The namespace of {node} is gone.", node = word(node)),
        Evidence::NoPlayer { role } => t!(lang, "Nobody in the lab can play {part}.", part = role.replacen('.', "/", 1)),
        Evidence::NoNetwork { network } => t!(lang, "No network of the lab joins these hosts as {network} does.", network),
        Evidence::Failed { tried, errno } => t!(lang, "nslab failed: {tried} (error {errno}).", tried, errno),
        Evidence::NoAddress { node, family, besides } => {
            let (node, nothing) = (word(node), no_address(lang, *family));
            let besides: Vec<String> = besides.iter().map(|besides| beside(lang, besides)).collect();
            match besides.as_slice() {
                [] => t!(lang, "{node} has {nothing} in this scenario.", node, nothing),
                [one] => {
                    t!(lang, "{node} has {nothing} in this scenario; {address} does not count.", node, nothing, address = one)
                }
                several => {
                    let addresses = and(lang, several);
                    t!(lang, "{node} has {nothing} in this scenario; {addresses} do not count.", node, nothing, addresses)
                }
            }
        }
        Evidence::NoAddressOn { node, network, family } => {
            t!(
                lang,
                "The NIC of {node} on {network} has {nothing}.",
                node = word(node),
                network,
                nothing = no_address(lang, *family)
            )
        }
        Evidence::TooFew { configured, besides } => match (configured.as_slice(), besides) {
            ([], true) => t!(lang, "No container is configured for this scenario."),
            ([], false) => t!(lang, "No container is configured."),
            (nodes, true) => {
                t!(lang, "Only one container is configured for this scenario: {node}.", node = words(lang, report, nodes))
            }
            (nodes, false) => t!(lang, "Only one container is configured: {node}.", node = words(lang, report, nodes)),
        },
        Evidence::OneHost { host, others: 1 } => {
            t!(lang, "All containers that are configured for this scenario are on {host}; none is on the other host.", host)
        }
        Evidence::OneHost { host, .. } => {
            t!(lang, "All containers that are configured for this scenario are on {host}; none is on another host.", host)
        }
        Evidence::NoFamily { from, to } => {
            t!(lang, "{from} and {to} have no addresses of the same family, IPv4 or IPv6.", from = word(from), to = word(to))
        }
        Evidence::Unanswered { pairs, number, of } => {
            let more = if *number > pairs.len() { ", ..." } else { "" };
            let pairs = pairs.iter().map(pair).collect::<Vec<_>>().join(", ") + more;
            t!(lang, "Not answered: {pairs} ({number} of {pings}).", pairs, number, pings = n!(lang, *of, "ping", "pings"))
        }
        Evidence::Answered { pairs } => {
            t!(lang, "Answered: {pairs}.", pairs = cut(lang, &pairs.iter().map(pair).collect::<Vec<_>>()))
        }
        Evidence::Duplicate { address, owners } => {
            let owners = and(lang, &owners.iter().map(at).collect::<Vec<_>>());
            t!(lang, "Several have the address {address}: {owners}.", address, owners)
        }
        Evidence::Because { cause, certain } => {
            let trace = Trace::none(&report.lab, report.names.clone());
            let details = trace::details(&trace, cause).join("; ");
            let cause = format!("{} {details}", causes::cause(lang, &trace, cause)).trim_end().to_owned();
            if *certain { cause } else { t!(lang, "Likely: {cause}", cause) }
        }
        Evidence::Strangers { network, stations } => {
            let of = |station: &Station| match &station.owner {
                Some(owner) => format!("{} ({})", station.mac, at(owner)),
                None => t!(lang, "{mac} (nobody's in the lab)", mac = station.mac),
            };
            let stations = cut(lang, &stations.iter().map(of).collect::<Vec<_>>());
            t!(lang, "On {network} there were also {stations}.", network, stations)
        }
        Evidence::Unseen { network, nodes } if nodes.is_empty() => t!(lang, "No ping crossed {network}.", network),
        Evidence::Unseen { network, nodes } => {
            let nodes = or(lang, &nodes.iter().map(word).collect::<Vec<_>>());
            t!(lang, "No ping on {network} came from a MAC address of {nodes}.", network, nodes)
        }
        Evidence::OtherWay { from, to, network, interfaces } => {
            let (from, to) = (word(from), word(to));
            let interfaces: Vec<String> = interfaces.iter().map(at).collect();
            if interfaces.is_empty() {
                t!(
                    lang,
                    "A ping from {from} to {to} is answered without crossing {network}: no host's interface was seen to send it.",
                    from,
                    to,
                    network
                )
            } else {
                t!(
                    lang,
                    "A ping from {from} to {to} is answered without crossing {network}: it left by {interfaces}.",
                    from,
                    to,
                    network,
                    interfaces = and(lang, &interfaces)
                )
            }
        }
        Evidence::Way { from, to, hops } => {
            let nodes = hops.iter().map(word).collect::<Vec<_>>().join(", ");
            t!(lang, "A packet from {from} to {to} came to: {nodes}.", from = word(from), to = word(to), nodes)
        }
        Evidence::Translated { from, to, by, source, became } => t!(
            lang,
            "NAT: {who} changes the source of packets from {from} to {to}, {source} becomes {became}. Routing leaves addresses alone.",
            who = by.as_ref().map_or_else(|| w!(lang, "somebody").to_owned(), word),
            from = word(from),
            to = word(to),
            source,
            became
        ),
        Evidence::Unexplained { lost: 1 } => {
            t!(lang, "1 router took one from its time to live, and nobody saw where.")
        }
        Evidence::Unexplained { lost } => {
            t!(lang, "{number} routers took one from its time to live, and nobody saw where.", number = lost)
        }
        Evidence::NoRoute { node, to } => t!(lang, "{node} has no route to {to}.", node = word(node), to = word(to)),
        Evidence::RouteVia { node, to, route, over } => {
            let (node, to, route) = (word(node), word(to), trace::route(route));
            match over {
                Some(over) => {
                    t!(lang, "{node} sends packets for {to} by: {route}, which is {over}.", node, to, route, over = word(over))
                }
                None => t!(lang, "{node} sends packets for {to} by: {route}.", node, to, route),
            }
        }
        Evidence::RouterElsewhere { address, on, belongs } => t!(
            lang,
            "{address} is on {interface}; the cable leads to {other}, so it belongs there.",
            address,
            interface = at(on),
            other = at(belongs)
        ),
        Evidence::Lacks { node, address, has } => {
            t!(lang, "{node} has not {address} but {addresses}.", node = word(node), address, addresses = nets(lang, has))
        }
        Evidence::NotOneSubnet { addresses } => {
            let of = |(node, has): &(String, Vec<IpNet>)| format!("{} {}", word(node), nets(lang, has));
            let addresses = cut(lang, &addresses.iter().map(of).collect::<Vec<_>>());
            t!(lang, "No subnet has all of them: {addresses}.", addresses)
        }
        Evidence::Overlap { first: (first, one), second: (second, other) } => t!(
            lang,
            "The subnets of {first} ({one}) and {second} ({other}) overlap, and they are on different hosts.",
            first = word(first),
            one,
            second = word(second),
            other
        ),
        Evidence::NotPointToPoint { node, bridge } => t!(
            lang,
            "The cable of {node} ends in the bridge {bridge}, not in an interface of the host alone.",
            node = word(node),
            bridge
        ),
        Evidence::EndWithout { node, end, has } if has.is_empty() => {
            t!(lang, "The host's end of the cable of {node}, {end}, has no address.", node = word(node), end = at(end))
        }
        Evidence::EndWithout { node, end, has } => t!(
            lang,
            "The host's end of the cable of {node}, {end}, has {addresses}; none in the container's subnet.",
            node = word(node),
            end = at(end),
            addresses = nets(lang, has)
        ),
        Evidence::SharedLink { node, subnet, others } => t!(
            lang,
            "The subnet of {node}, {subnet}, is also that of {others}: no link of two.",
            node = word(node),
            subnet,
            others = words(lang, report, others)
        ),
        Evidence::Forwards { node, ipv6, on } => {
            let (node, family) = (word(node), if *ipv6 { "IPv6" } else { "IPv4" });
            match on {
                Some(true) => t!(lang, "{node} forwards {family}.", node, family),
                Some(false) => t!(lang, "{node} does not forward {family}.", node, family),
                None => t!(lang, "The kernel does not tell whether {node} forwards {family}.", node, family),
            }
        }
        Evidence::NoBridge { host, name: Some(bridge), .. } => t!(lang, "{host} has no bridge {bridge}.", host, bridge),
        Evidence::NoBridge { host, name: None, .. } => t!(lang, "{host} has no bridge of its own.", host),
        Evidence::NoCable { node } => t!(lang, "{node} has no cable to its host.", node = word(node)),
        Evidence::CableElsewhere { interface, end: Some(end) } => {
            t!(lang, "The cable of {interface} leads to {end}, not to its host.", interface = at(interface), end = at(end))
        }
        Evidence::CableElsewhere { interface, end: None } => {
            t!(lang, "The cable of {interface} leads nowhere in the lab.", interface = at(interface))
        }
        Evidence::OtherBridge { interface, bridge, wanted } => {
            t!(lang, "{interface} is a port of {bridge}, not of {wanted}.", interface = at(interface), bridge, wanted)
        }
        Evidence::NotInBridge { interface, bridge: Some(bridge) } => {
            t!(lang, "{interface} is no port of {bridge}.", interface = at(interface), bridge)
        }
        Evidence::NotInBridge { interface, bridge: None } => {
            t!(lang, "{interface} is no port of a bridge.", interface = at(interface))
        }
        Evidence::ForeignPort { interface, bridge, network: Some(network) } => t!(
            lang,
            "{nic}, the NIC on {network}, is a port of {bridge}, so the bridge leads out of the host.",
            nic = at(interface),
            network,
            bridge
        ),
        Evidence::ForeignPort { interface, bridge, network: None } => {
            t!(lang, "{nic} is a port of {bridge}, so the bridge leads out of the host.", nic = at(interface), bridge)
        }
        Evidence::ManagedBridge { host, bridge, .. } => t!(
            lang,
            "{host} uses {bridge}, which is the container manager's own bridge; the scenario needs one that you make.",
            host,
            bridge
        ),
        Evidence::NicMoved { nic, to } => t!(
            lang,
            "{nic} is not in the host any more but is {interface}: that node is on the wire itself.",
            nic = at(nic),
            interface = at(to)
        ),
        Evidence::NoNic { nic } => t!(lang, "{nic} is gone.", nic = at(nic)),
        Evidence::Down { interface } => t!(lang, "{interface} is down.", interface = at(interface)),
        Evidence::Ended { code, wanted, output } => {
            let ended = t!(lang, "It ended with {code}, not {wanted}.", code, wanted);
            if output.is_empty() { ended } else { format!("{ended} {} {output}", w!(lang, "It says:")) }
        }
        Evidence::Output { output } if output.is_empty() => t!(lang, "It says nothing."),
        Evidence::Output { output } => format!("{} {output}", w!(lang, "It says:")),
        Evidence::TooSlow { seconds } => {
            t!(lang, "It had not ended after {time}, and was killed.", time = n!(lang, *seconds, "second", "seconds"))
        }
        Evidence::NoCommand { command, code: 127 } => format!("{} {command}", w!(lang, "A command of it is not there:")),
        Evidence::NoCommand { command, .. } => format!("{} {command}", w!(lang, "It cannot be executed:")),
        Evidence::NoAgent { host } => t!(lang, "{host} has no agent that runs.", host),
        Evidence::NoRemote { from, of } => {
            t!(lang, "{host} knows no remote that is {other}: add it with a token of {other}.", host = from, other = of)
        }
        Evidence::Distrusted { from, of, remote } => t!(
            lang,
            "{other} does not trust {host}, which knows it as {remote}: add it again with a new token.",
            other = of,
            host = from,
            remote
        ),
        Evidence::Unreached { from, remote, address } => t!(
            lang,
            "From {host} nobody answers at {address}, where the remote {remote} should be.",
            host = from,
            address,
            remote
        ),
        Evidence::OtherServer { from, of, remote } => t!(
            lang,
            "What {host} knows as {remote} is not {other} any more: its certificate is another one.",
            host = from,
            remote,
            other = of
        ),
        Evidence::Refused { remote, step, text } => match step {
            Step::List => t!(lang, "{remote} does not list the container: {text}", remote, text),
            Step::Launch => t!(lang, "{remote} does not launch the container: {text}", remote, text),
            Step::Exec => t!(lang, "{remote} does not run a command in the container: {text}", remote, text),
            Step::Stop => t!(lang, "{remote} does not stop the container: {text}", remote, text),
            Step::Delete => t!(lang, "{remote} does not delete the container: {text}", remote, text),
        },
    }
}

/// What was seen that is unusual and no fault.
pub fn note(lang: Lang, report: &Report, unusual: &Note) -> String {
    match unusual {
        Note::OtherMachine { host, number: 1 } => t!(
            lang,
            "1 ping or command starts on the other machine, which plays {host}: it checks that.",
            host = report.word(host)
        ),
        Note::OtherMachine { host, number } => t!(
            lang,
            "{number} pings or commands start on the other machine, which plays {host}: it checks that.",
            number,
            host = report.word(host)
        ),
        Note::FromFile { nodes } => {
            let nodes = nodes.iter().map(|node| report.word(node)).collect::<Vec<_>>().join(", ");
            t!(lang, "From the file, since they are on the other machine: {nodes}.", nodes)
        }
        Note::TokenThere { host } => t!(
            lang,
            "The token is printed on the other machine, which plays {host}; the rest is typed here.",
            host = report.word(host)
        ),
        Note::Specific { node, to } => t!(
            lang,
            "{node} has a route of its own for {to} instead of a default route; that is as good.",
            node = report.word(node),
            to
        ),
        Note::Prefix { node, subnet } => {
            let node = report.word(node);
            match subnet.prefix_len() {
                31 => t!(
                    lang,
                    "{node}'s link has {subnet}, a /31 (RFC 3021), which is as good as the /30 that is usual.",
                    node,
                    subnet
                ),
                32 => t!(
                    lang,
                    "{node}'s link has {subnet}, an address with a peer, which is as good as the /30 that is usual.",
                    node,
                    subnet
                ),
                _ => t!(lang, "{node}'s link has {subnet}, larger than the /30 that is usual.", node, subnet),
            }
        }
    }
}

/// The sum of points and checks.
pub fn sum(lang: Lang, report: &Report) -> Vec<String> {
    let mut counts = Vec::new();
    for (number, state) in [
        (report.failed, State::Fail),
        (report.not_run, State::CouldNotRun),
        (report.skipped, State::Skipped),
        (report.passed, State::Pass),
    ] {
        if number == 0 {
            continue;
        }
        let checks = if counts.is_empty() { n!(lang, number, "check", "checks") } else { number.to_string() };
        counts.push(match state {
            State::Fail => t!(lang, "{checks} failed", checks),
            State::CouldNotRun => t!(lang, "{checks} could not run", checks),
            State::Skipped if number == 1 => t!(lang, "{check} skipped", check = checks),
            State::Skipped => t!(lang, "{checks} skipped", checks),
            State::Pass => t!(lang, "{checks} passed", checks),
        });
    }
    let counts = counts.join(", ");
    if report.points == 0 {
        return vec![format!("{counts}.")];
    }
    let points = n!(lang, report.points, "point", "points");
    vec![t!(lang, "{reached} of {points}: {counts}.", reached = number(lang, report.reached), points, counts)]
}

/// That nslab waits for changes.
pub fn watching(lang: Lang) -> &'static str {
    w!(lang, "Watching; Ctrl-C ends it.")
}

fn no_address(lang: Lang, family: Option<Family>) -> &'static str {
    match family {
        None => w!(lang, "no address"),
        Some(Family::Ipv4) => w!(lang, "no IPv4 address"),
        Some(Family::Ipv6) => w!(lang, "no IPv6 address"),
    }
}

fn beside(lang: Lang, besides: &Besides) -> String {
    t!(lang, "{address} on {interface}", address = besides.address, interface = besides.interface)
}

/// A number of points, with a decimal only where there is one.
fn number(lang: Lang, points: f64) -> String {
    format!("{points:.1}").trim_end_matches('0').trim_end_matches('.').replace('.', w!(lang, ["decimal"] "."))
}

fn words(lang: Lang, report: &Report, nodes: &[String]) -> String {
    cut(lang, &nodes.iter().map(|node| report.word(node)).collect::<Vec<_>>())
}

/// The first few of many.
fn cut(lang: Lang, words: &[String]) -> String {
    match words.get(..NAMED) {
        Some(first) if words.len() > NAMED => {
            t!(lang, "{names} and {number} more", names = first.join(", "), number = words.len() - NAMED)
        }
        _ => and(lang, words),
    }
}

pub(super) fn nets(lang: Lang, nets: &[IpNet]) -> String {
    and(lang, &nets.iter().map(ToString::to_string).collect::<Vec<_>>())
}
