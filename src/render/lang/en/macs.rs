//! Which MAC addresses cross a network, in words.

use super::count;
use crate::render::escape::escape;
use crate::render::lang::Beside;
use crate::report::macs::{Census, Kind, Network, Part, Reason};

pub(super) fn network(lab: &Census, network: &Network) -> Vec<String> {
    let ends: Vec<String> = network.ends.iter().map(|end| escape(&lab.names.interface(end)).into_owned()).collect();
    let what = match network.kind {
        Kind::Wire => "a wire",
        Kind::Switch => "a switch",
    };
    let mut lines = vec![format!("{} of {}: {what} between {}", escape(&network.network), escape(&lab.lab), listed(&ends))];
    let pings = lab.pings.map(|pings| format!("{} of {} pings between the hosts answered; ", pings.answered, pings.pairs));
    let frames = count(usize::try_from(network.frames).unwrap_or(usize::MAX), "frame", "frames");
    lines.push(format!("{}{frames} crossed, {} of them to all", pings.unwrap_or_default(), network.broadcasts));
    if network.missed > 0 {
        lines.push(format!("{} more went by too fast to be looked at.", network.missed));
    }
    lines
}

/// `a`, `a and b`, `a, b and c`.
fn listed(words: &[String]) -> String {
    match words {
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        [start @ .., last] => format!("{} and {last}", start.join(", ")),
    }
}

pub(super) fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::Bridged => "bridged",
        Reason::Routed => "routed",
        Reason::Own => "its own",
        Reason::Cloned => "cloned",
        Reason::Unknown => "unknown",
    }
}

pub(super) fn reasons(lab: &Census, network: &Network) -> Vec<String> {
    let mut lines = Vec::new();
    for reason in [Reason::Bridged, Reason::Routed, Reason::Own, Reason::Cloned, Reason::Unknown] {
        let hosts: Vec<String> = network.hosts_of(reason).map(|host| escape(&lab.names.node(host)).into_owned()).collect();
        if hosts.is_empty() {
            continue;
        }
        let one = hosts.len() == 1;
        let names = listed(&hosts);
        lines.push(match reason {
            Reason::Bridged if one => {
                format!("bridged: the bridge of {names} passes frames on unchanged, so the containers' own MACs cross.")
            }
            Reason::Bridged => {
                format!("bridged: the bridges of {names} pass frames on unchanged, so the containers' own MACs cross.")
            }
            Reason::Routed if one => {
                format!("routed: {names} takes each packet out of its frame and puts it into a new one, with its own MAC; the containers' stay behind.")
            }
            Reason::Routed => {
                format!("routed: {names} take each packet out of its frame and put it into a new one, with their own MAC; the containers' stay behind.")
            }
            Reason::Own if one => format!("its own: {names} speaks for itself."),
            Reason::Own => format!("its own: {names} speak for themselves."),
            Reason::Cloned => {
                "cloned: several have the same MAC; a switch takes them for one, wherever it heard it last.".to_owned()
            }
            Reason::Unknown => "unknown: nobody in the lab has this MAC; it was made up, or its owner has changed it.".to_owned(),
        });
    }
    lines
}

pub(super) fn forwarding_table(kind: Kind) -> &'static str {
    match kind {
        Kind::Wire => "A switch in the place of the wire would hold",
        Kind::Switch => "The forwarding table of the switch",
    }
}

pub(super) fn lesson(lab: &Census, network: &Network) -> Vec<String> {
    if network.sources.is_empty() {
        let more = if lab.pings.is_some() { " nslab ping --all tells which pings are answered." } else { "" };
        return vec![format!("Nothing crossed.{more}")];
    }
    let mut lines = blocked(lab, network);
    if !lines.is_empty() {
        return lines;
    }
    let of = |how: Reason| -> Vec<&Part> { network.hosts.iter().filter(|part| part.how == how).collect() };
    let (bridged, routed) = (of(Reason::Bridged), of(Reason::Routed));
    if !bridged.is_empty() {
        let addresses = network.addresses_of(Reason::Bridged);
        let whose = if routed.is_empty() { String::new() } else { format!(" of {}", listed(&names(lab, &bridged))) };
        lines.push(format!(
            "Each further container{whose} adds one MAC to the {addresses} here. A switch port that allows only a few (port \
             security) would cut containers off, and a broadcast of any container reaches all: one broadcast domain."
        ));
    }
    if !routed.is_empty() {
        let addresses = network.addresses_of(Reason::Routed);
        let whose = if bridged.is_empty() { String::new() } else { format!(" of {}", listed(&names(lab, &routed))) };
        lines.push(format!(
            "A further container{whose} adds none to the {addresses} here, however many there are. Port security has nothing to \
             object to, and the containers' broadcasts end at their host."
        ));
    }
    lines
}

fn names(lab: &Census, parts: &[&Part]) -> Vec<String> {
    parts.iter().map(|part| escape(&lab.names.node(&part.host)).into_owned()).collect()
}

/// What a lab teaches in which no ping is answered.
fn blocked(lab: &Census, network: &Network) -> Vec<String> {
    let blocked: u64 = network.sources.iter().map(|source| source.blocked).sum();
    let mut lines = Vec::new();
    if blocked > 0 {
        lines.push(format!(
            "The switch did not pass on {blocked} frames for one MAC: it delivers those to the hosts' own NICs alone, as VirtualBox \
             does with promiscuous mode \"Deny\". Broadcasts pass."
        ));
    }
    match lab.pings {
        Some(pings) if pings.pairs > 0 && pings.answered == 0 => {
            lines.push("No ping was answered: what crossed are questions for MAC addresses and what came of them.".to_owned());
        }
        _ => {}
    }
    lines
}

pub(super) fn growth(bridged: bool, routed: bool) -> &'static str {
    match (bridged, routed) {
        (true, false) => "+1 MAC",
        (false, true) => "+0 MACs",
        (true, true) => "+1 MAC or +0",
        (false, false) => "-",
    }
}

pub(super) fn beside(row: Beside) -> &'static str {
    match row {
        Beside::Network => "network",
        Beside::Addresses => "MACs",
        Beside::Each => "new container",
        Beside::Answered => "pings answered",
        Beside::From => "from",
    }
}
