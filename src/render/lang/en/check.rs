//! Checks, in words.

use ipnet::IpNet;

use super::{English, count};
use crate::render::lang::check::Checking;
use crate::render::lang::trace::Tracing;
use crate::report::check::{Besides, Checkpoint, Evidence, Note, Report, Role, State, Step, Wiring};
use crate::report::ping::Family;
use crate::report::trace::Trace;
use crate::report::wire::Interface;
use crate::topology::checks::{Addresses, Check, Destination, Machine, Members, Path, Plug, Reach, Router, Routes, Subnet};

/// More names than this are counted.
const NAMED: usize = 6;

impl Checking for English {
    fn title(&self, report: &Report) -> String {
        match &report.against {
            Some(topology) => format!("{} judged by the checkpoints of {topology}", report.lab),
            None => format!("{} judged by its own checkpoints", report.lab),
        }
    }

    fn role(&self, report: &Report, role: &Role) -> String {
        let part = role.role.rsplit('.').next().unwrap_or(&role.role);
        let Some(node) = &role.node else { return format!("nobody plays {}", role.role.replacen('.', "/", 1)) };
        let container = role.role.contains('.');
        let wiring = match &role.wiring {
            Wiring::Switch { bridge } | Wiring::Gateway { bridge } if container => format!(", behind the bridge {bridge}"),
            Wiring::PointToPoint if container => ", on a point-to-point link".to_owned(),
            Wiring::Switch { bridge } => format!(", with the bridge {bridge} as a switch to the wire"),
            Wiring::Gateway { bridge } => format!(", with the bridge {bridge} as a gateway"),
            Wiring::PointToPoint => ", with point-to-point links".to_owned(),
            Wiring::None => String::new(),
        };
        format!("{} plays {part}{wiring}", report.word(node))
    }

    fn spares(&self, report: &Report) -> String {
        let why = match report.spares.len() {
            _ if report.untouched => "nothing is configured there",
            1 => "it has no address in this scenario",
            _ => "they have no address in this scenario",
        };
        format!("Not judged, since {why}: {}", words(report, &report.spares))
    }

    fn checkpoint(&self, checkpoint: &Checkpoint) -> String {
        match checkpoint.points {
            0 => checkpoint.name.clone(),
            _ => format!("{}: {} of {}", checkpoint.name, number(checkpoint.reached), points(checkpoint.points)),
        }
    }

    fn state(&self, state: State) -> &'static str {
        match state {
            State::Pass => "PASS",
            State::Fail => "FAIL",
            State::CouldNotRun => "COULD NOT RUN",
            State::Skipped => "SKIPPED",
        }
    }

    fn asked(&self, report: &Report, check: &Check) -> String {
        let word = |machine: &Machine| report.word(&machine.to_string());
        let list = |machines: &[Machine]| listed(&machines.iter().map(word).collect::<Vec<_>>());
        match check {
            Check::Reach(Reach::All) => "all containers reach each other".to_owned(),
            Check::Reach(Reach::Pairs(pairs)) => format!("{} reach each other", pairs_of(report, pairs)),
            Check::Unreachable(pairs) => format!("{} do not reach each other", pairs_of(report, pairs)),
            Check::Macs(macs) => match &macs.owners {
                Members::Containers => format!("{} carries the containers' own MAC addresses alone", macs.network),
                Members::Hosts => format!("{} carries the hosts' MAC addresses alone", macs.network),
                Members::These(these) => format!("{} carries the MAC addresses of {} alone", macs.network, list(these)),
            },
            Check::Path(path) => way(report, path),
            Check::RecordRoute(path) => format!("as ping -R records it, {}", way(report, path)),
            Check::Routes(routes) => route(report, routes),
            Check::Addresses(addresses) => addresses_of(report, addresses),
            Check::Forwarding(forwarding) => {
                let on = (!forwarding.on.is_empty()).then(|| verb(&forwarding.on, &list, "forwards", "forward"));
                let off =
                    (!forwarding.off.is_empty()).then(|| verb(&forwarding.off, &list, "does not forward", "do not forward"));
                format!("{} packets", on.into_iter().chain(off).collect::<Vec<_>>().join(", "))
            }
            Check::Bridge(bridged) => {
                let plug = |plug: &Plug| match plug {
                    Plug::Nic(nic) => nic.to_string(),
                    Plug::Container(name) => report.word(&format!("{}.{name}", bridged.host)),
                };
                let ports = listed(&bridged.ports.iter().map(plug).collect::<Vec<_>>());
                let nic = bridged.ports.iter().any(|plug| matches!(plug, Plug::Nic(_)));
                let name = bridged.name.as_ref().map_or_else(|| "a bridge".to_owned(), |name| format!("the bridge {name}"));
                format!("{name} of {} joins {ports}{}", bridged.host, if nic { "" } else { ", and no NIC" })
            }
            Check::Command(command) => match &command.output {
                Some(output) => format!("in {}, {} says {output}", word(&command.node), command.run),
                None => format!("in {}, {} ends with {}", word(&command.node), command.run, command.exit),
            },
            Check::Control(control) => format!("{} commands the containers of {}", control.from, control.of),
        }
    }

    #[allow(clippy::too_many_lines, reason = "a sentence for each piece of evidence")]
    fn evidence(&self, report: &Report, evidence: &Evidence) -> String {
        let word = |node: &String| report.word(node);
        let at = |interface: &Interface| report.names.interface(interface);
        match evidence {
            Evidence::NodeGone { node } => format!("The namespace of {} is gone.", word(node)),
            Evidence::NoPlayer { role } => format!("Nobody in the lab can play {}.", role.replacen('.', "/", 1)),
            Evidence::NoNetwork { network } => format!("No network of the lab joins these hosts as {network} does."),
            Evidence::Failed { tried, errno } => format!("nslab failed: {tried} (error {errno})."),
            Evidence::NoAddress { node, family, besides } => {
                let left_out = match besides.as_slice() {
                    [] => String::new(),
                    [one] => format!("; {} does not count", beside(one)),
                    several => format!("; {} do not count", listed(&several.iter().map(beside).collect::<Vec<_>>())),
                };
                format!("{} has {} in this scenario{left_out}.", word(node), no_address(*family))
            }
            Evidence::NoAddressOn { node, network, family } => {
                format!("The NIC of {} on {network} has {}.", word(node), no_address(*family))
            }
            Evidence::TooFew { configured, besides } => {
                let here = if *besides { " for this scenario" } else { "" };
                match configured.as_slice() {
                    [] => format!("No container is configured{here}."),
                    _ => format!("One container alone is configured{here}: {}.", words(report, configured)),
                }
            }
            Evidence::OneHost { host, others } => {
                let other = if *others == 1 { "the other" } else { "another" };
                format!("All containers that are configured for this scenario are on {host}; none is on {other} host.")
            }
            Evidence::NoFamily { from, to } => {
                format!("{} and {} have no addresses of the same family, IPv4 or IPv6.", word(from), word(to))
            }
            Evidence::Unanswered { pairs, number, of } => {
                let shown =
                    pairs.iter().map(|(from, to)| format!("{} -> {}", word(from), word(to))).collect::<Vec<_>>().join(", ");
                let more = if *number > pairs.len() { ", ..." } else { "" };
                format!("Not answered: {shown}{more} ({number} of {}).", count(*of, "ping", "pings"))
            }
            Evidence::Answered { pairs } => {
                let shown: Vec<String> = pairs.iter().map(|(from, to)| format!("{} -> {}", word(from), word(to))).collect();
                format!("Answered: {}.", cut(&shown))
            }
            Evidence::Duplicate { address, owners } => {
                format!("Several have the address {address}: {}.", listed(&owners.iter().map(at).collect::<Vec<_>>()))
            }
            Evidence::Because { cause, certain } => {
                let likely = if *certain { "" } else { "Likely: " };
                let trace = Trace::none(&report.lab, report.names.clone());
                let details = Tracing::details(self, &trace, cause).join("; ");
                let said = format!("{likely}{} {details}", Tracing::cause(self, &trace, cause));
                said.trim_end().to_owned()
            }
            Evidence::Strangers { network, stations } => {
                let of = |station: &crate::report::wire::Station| match &station.owner {
                    Some(owner) => format!("{} ({})", station.mac, at(owner)),
                    None => format!("{} (nobody's in the lab)", station.mac),
                };
                format!("On {network} there were also {}.", cut(&stations.iter().map(of).collect::<Vec<_>>()))
            }
            Evidence::Unseen { network, nodes } if nodes.is_empty() => format!("No ping crossed {network}."),
            Evidence::Unseen { network, nodes } => {
                format!("No ping on {network} came from a MAC address of {}.", words(report, nodes))
            }
            Evidence::OtherWay { from, to, network, interfaces } => {
                let ways = if interfaces.is_empty() {
                    "no host's interface was seen to send it".to_owned()
                } else {
                    format!("it left by {}", listed(&interfaces.iter().map(at).collect::<Vec<_>>()))
                };
                format!("A ping from {} to {} is answered without crossing {network}: {ways}.", word(from), word(to))
            }
            Evidence::Way { from, to, hops } => {
                let hops: Vec<String> = hops.iter().map(word).collect();
                format!("A packet from {} to {} came to: {}.", word(from), word(to), hops.join(", "))
            }
            Evidence::Translated { from, to, by, source, became } => {
                let by = by.as_ref().map_or_else(|| "somebody changes".to_owned(), |by| format!("{} changes", word(by)));
                format!(
                    "NAT: {by} the source of packets from {} to {}, {source} becomes {became}. Routing leaves addresses alone.",
                    word(from),
                    word(to)
                )
            }
            Evidence::Unexplained { lost } => {
                format!(
                    "{} took one from its time to live, and nobody saw where.",
                    count(usize::from(*lost), "router", "routers")
                )
            }
            Evidence::NoRoute { node, to } => format!("{} has no route to {}.", word(node), report.word(to)),
            Evidence::RouteVia { node, to, route, over } => {
                let over = over.as_ref().map(|over| format!(", which is {}", word(over))).unwrap_or_default();
                format!("{} sends packets for {} by: {}{over}.", word(node), report.word(to), Tracing::route(self, route))
            }
            Evidence::RouterElsewhere { address, on, belongs } => {
                format!("{address} is on {}; the cable leads to {}, so it belongs there.", at(on), at(belongs))
            }
            Evidence::Lacks { node, address, has } => format!("{} has not {address} but {}.", word(node), nets(has)),
            Evidence::NotOneSubnet { addresses } => {
                let of = |(node, has): &(String, Vec<IpNet>)| format!("{} {}", word(node), nets(has));
                format!("No subnet has all of them: {}.", cut(&addresses.iter().map(of).collect::<Vec<_>>()))
            }
            Evidence::Overlap { first, second } => format!(
                "The subnets of {} ({}) and {} ({}) overlap, and they are on different hosts.",
                word(&first.0),
                first.1,
                word(&second.0),
                second.1
            ),
            Evidence::NotPointToPoint { node, bridge } => {
                format!("The cable of {} ends in the bridge {bridge}, not in an interface of the host alone.", word(node))
            }
            Evidence::EndWithout { node, end, has } => {
                let has = if has.is_empty() { "no address".to_owned() } else { nets(has) };
                format!("The host's end of the cable of {}, {}, has {has}; none in the container's subnet.", word(node), at(end))
            }
            Evidence::SharedLink { node, subnet, others } => {
                format!("The subnet of {}, {subnet}, is also that of {}: no link of two.", word(node), words(report, others))
            }
            Evidence::Forwards { node, ipv6, on } => {
                let family = if *ipv6 { "IPv6" } else { "IPv4" };
                match on {
                    Some(true) => format!("{} forwards {family}.", word(node)),
                    Some(false) => format!("{} does not forward {family}.", word(node)),
                    None => format!("The kernel does not tell whether {} forwards {family}.", word(node)),
                }
            }
            Evidence::NoBridge { host, name: Some(name), .. } => format!("{host} has no bridge {name}."),
            Evidence::NoBridge { host, name: None, .. } => format!("{host} has no bridge of its own."),
            Evidence::NoCable { node } => format!("{} has no cable to its host.", word(node)),
            Evidence::CableElsewhere { interface, end } => match end {
                Some(end) => format!("The cable of {} leads to {}, not to its host.", at(interface), at(end)),
                None => format!("The cable of {} leads nowhere in the lab.", at(interface)),
            },
            Evidence::OtherBridge { interface, bridge, wanted } => {
                format!("{} is a port of {bridge}, not of {wanted}.", at(interface))
            }
            Evidence::NotInBridge { interface, bridge } => {
                let bridge = bridge.as_ref().map_or_else(|| "a bridge".to_owned(), Clone::clone);
                format!("{} is no port of {bridge}.", at(interface))
            }
            Evidence::ForeignPort { interface, bridge, network } => {
                let network = network.as_ref().map(|network| format!(", the NIC on {network},")).unwrap_or_default();
                format!("{}{network} is a port of {bridge}, so the bridge leads out of the host.", at(interface))
            }
            Evidence::ManagedBridge { host, bridge, .. } => {
                format!(
                    "{host} uses {bridge}, which is the container manager's own bridge; the scenario needs one that you make."
                )
            }
            Evidence::NicMoved { nic, to } => {
                format!("{} is not in the host any more but is {}: that node is on the wire itself.", at(nic), at(to))
            }
            Evidence::NoNic { nic } => format!("{} is gone.", at(nic)),
            Evidence::Down { interface } => format!("{} is down.", at(interface)),
            Evidence::Ended { code, wanted, output } => {
                let said = if output.is_empty() { String::new() } else { format!(" It says: {output}") };
                format!("It ended with {code}, not {wanted}.{said}")
            }
            Evidence::Output { output } if output.is_empty() => "It says nothing.".to_owned(),
            Evidence::Output { output } => format!("It says: {output}"),
            Evidence::TooSlow { seconds } => {
                format!("It had not ended after {}, and was killed.", count(usize::from(*seconds), "second", "seconds"))
            }
            Evidence::NoCommand { command, code: 127 } => format!("A command of it is not there: {command}"),
            Evidence::NoCommand { command, .. } => format!("It cannot be executed: {command}"),
            Evidence::NoAgent { host } => format!("{host} has no agent that runs."),
            Evidence::NoRemote { from, of } => format!("{from} knows no remote that is {of}: add it with a token of {of}."),
            Evidence::Distrusted { from, of, remote } => {
                format!("{of} does not trust {from}, which knows it as {remote}: add it again with a new token.")
            }
            Evidence::Unreached { from, remote, address } => {
                format!("From {from} nobody answers at {address}, where the remote {remote} should be.")
            }
            Evidence::OtherServer { from, of, remote } => {
                format!("What {from} knows as {remote} is not {of} any more: its certificate is another one.")
            }
            Evidence::Refused { remote, step, text } => {
                format!("{remote} does not {} the container: {text}", step_word(*step))
            }
        }
    }

    fn note(&self, report: &Report, note: &Note) -> String {
        match note {
            Note::OtherMachine { host, number } => {
                let what = if *number == 1 {
                    "1 ping or command starts".to_owned()
                } else {
                    format!("{number} pings or commands start")
                };
                format!("{what} on the other machine, which plays {}: it checks that.", report.word(host))
            }
            Note::FromFile { nodes } => {
                let nodes: Vec<String> = nodes.iter().map(|node| report.word(node)).collect();
                format!("From the file, since they are on the other machine: {}.", nodes.join(", "))
            }
            Note::TokenThere { host } => {
                format!("The token is printed on the other machine, which plays {}; the rest is typed here.", report.word(host))
            }
            Note::Specific { node, to } => {
                format!("{} has a route of its own for {to} instead of a default route; that is as good.", report.word(node))
            }
            Note::Prefix { node, subnet } => {
                let is = match subnet.prefix_len() {
                    31 => "a /31 (RFC 3021), which is as good as",
                    32 => "an address with a peer, which is as good as",
                    _ => "larger than",
                };
                format!("{}'s link has {subnet}, {is} the /30 that is usual.", report.word(node))
            }
        }
    }

    fn sum(&self, report: &Report) -> Vec<String> {
        let mut parts = Vec::new();
        for (number, said) in
            [(report.failed, "failed"), (report.not_run, "could not run"), (report.skipped, "skipped"), (report.passed, "passed")]
        {
            if number > 0 {
                parts.push(if parts.is_empty() {
                    format!("{} {said}", count(number, "check", "checks"))
                } else {
                    format!("{number} {said}")
                });
            }
        }
        let counted = parts.join(", ");
        if report.points == 0 {
            return vec![format!("{counted}.")];
        }
        vec![format!("{} of {}: {counted}.", number(report.reached), points(report.points))]
    }

    fn watching(&self) -> &'static str {
        "Watching; Ctrl-C ends it."
    }
}

fn no_address(family: Option<Family>) -> &'static str {
    match family {
        None => "no address",
        Some(Family::Ipv4) => "no IPv4 address",
        Some(Family::Ipv6) => "no IPv6 address",
    }
}

fn beside(besides: &Besides) -> String {
    format!("{} on {}", besides.address, besides.interface)
}

fn points(number: u32) -> String {
    count(usize::try_from(number).unwrap_or(usize::MAX), "point", "points")
}

/// A number of points, with a decimal only where there is one.
fn number(points: f64) -> String {
    format!("{points:.1}").trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn words(report: &Report, nodes: &[String]) -> String {
    cut(&nodes.iter().map(|node| report.word(node)).collect::<Vec<_>>())
}

/// The first few of many.
fn cut(words: &[String]) -> String {
    if words.len() <= NAMED {
        return listed(words);
    }
    format!("{} and {} more", words[..NAMED].join(", "), words.len() - NAMED)
}

fn listed(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

fn nets(nets: &[IpNet]) -> String {
    listed(&nets.iter().map(ToString::to_string).collect::<Vec<_>>())
}

fn verb(machines: &[Machine], list: &dyn Fn(&[Machine]) -> String, one: &str, many: &str) -> String {
    format!("{} {}", list(machines), if machines.len() == 1 { one } else { many })
}

fn pairs_of(report: &Report, pairs: &[(Machine, Machine)]) -> String {
    let pair =
        |(from, to): &(Machine, Machine)| format!("{} and {}", report.word(&from.to_string()), report.word(&to.to_string()));
    let all: Vec<String> = pairs.iter().map(pair).collect();
    match all.as_slice() {
        [one] => one.clone(),
        several => several.join("; "),
    }
}

fn way(report: &Report, path: &Path) -> String {
    let (from, to) = (report.word(&path.from.to_string()), report.word(&path.to.to_string()));
    match path.hops.as_slice() {
        [_] => format!("nobody routes on the way from {from} to {to}"),
        [routers @ .., _] => {
            let routers: Vec<String> = routers.iter().map(|router| report.word(&router.to_string())).collect();
            format!("the way from {from} to {to} leads over {}", routers.join(", then "))
        }
        [] => String::new(),
    }
}

fn route(report: &Report, routes: &Routes) -> String {
    let node = report.word(&routes.node.to_string());
    let to = match &routes.to {
        Destination::Node(machine) => format!("sends packets for {}", report.word(&machine.to_string())),
        Destination::Prefix(prefix) if prefix.prefix_len() == 0 => "has a default route".to_owned(),
        Destination::Prefix(prefix) => format!("has a route to {prefix}"),
    };
    match &routes.via {
        Some(Router::Node(machine)) => format!("{node} {to} over {}", report.word(&machine.to_string())),
        Some(Router::Address(address)) => format!("{node} {to} over {address}"),
        None => format!("{node} {to} without a router"),
    }
}

fn addresses_of(report: &Report, addresses: &Addresses) -> String {
    let (who, one) = match &addresses.of {
        Members::Containers => ("all containers".to_owned(), false),
        Members::Hosts => ("all hosts".to_owned(), false),
        Members::These(these) => {
            let names: Vec<String> = these.iter().map(|machine| report.word(&machine.to_string())).collect();
            (listed(&names), these.len() == 1)
        }
    };
    let (are, have) = if one { ("is", "has") } else { ("are", "have") };
    let on = addresses.network.as_ref().map(|network| format!(" on {network}")).unwrap_or_default();
    match addresses.subnet {
        Some(Subnet::Same) => format!("{who} {are} in one subnet{on}"),
        Some(Subnet::Different) => "containers of different hosts are in different subnets".to_owned(),
        Some(Subnet::PointToPoint) => format!("{who} {are} on a point-to-point link with the host"),
        None => format!("{who} {have} {}{on}", nets(&addresses.are)),
    }
}

fn step_word(step: Step) -> &'static str {
    match step {
        Step::List => "list",
        Step::Launch => "launch",
        Step::Exec => "run a command in",
        Step::Stop => "stop",
        Step::Delete => "delete",
    }
}
