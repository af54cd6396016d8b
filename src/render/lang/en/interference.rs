//! What gets in the way of a lab that has a role on the machine, in words.

use crate::render::escape::escape;
use crate::render::lang::{Message, say};
use crate::report::interference::{Filter, Interference, Obstacle, Traffic};

pub(super) fn message(found: &Interference) -> Message {
    let lab = found.lab.as_deref();
    let message = match &found.obstacle {
        Obstacle::Filter { traffic, filter } => filtered(found, traffic, filter),
        Obstacle::Manager { interface, service, pid, certain } => {
            let (nic, name) = (escape(interface), service.name());
            let process = pid.map_or(String::new(), |pid| format!(" (process {pid})"));
            let what = if *certain {
                format!("{}{name}{process} configures {nic}", of(lab))
            } else {
                format!("{}{name}{process} names no interface, and may configure {nic}", of(lab))
            };
            let refuses = if lab.is_none() && *certain { " With --role nslab refuses it." } else { "" };
            say(what).why(format!("It can change its addresses, routes and state at any time.{refuses}"))
        }
        Obstacle::ReversePath { interface, from, leaves } => {
            let way = leaves.as_ref().map_or("has no way there".to_owned(), |way| format!("reaches it by {}", escape(way)));
            say(format!("{}packets from {from} that come in by {} are dropped", of(lab), escape(interface)))
                .why(format!("The reverse path filter is strict (rp_filter=1), and this machine {way}."))
        }
        Obstacle::Ipv6Off { interface } => say(format!("{}IPv6 is switched off on {}", of(lab), escape(interface)))
            .why("The lab has IPv6 addresses there (disable_ipv6=1)."),
    };
    found.cures.iter().fold(message, |message, way| message.hint(way.join(" && ")))
}

/// The lab, before what is said of it.
fn of(lab: Option<&str>) -> String {
    lab.map_or(String::new(), |lab| format!("{}: ", escape(lab)))
}

fn filtered(found: &Interference, traffic: &Traffic, filter: &Filter) -> Message {
    let lab = found.lab.as_deref();
    let family = |ipv6: bool| if ipv6 { "IPv6 " } else { "" };
    let (dropped, netfilter) = match traffic {
        Traffic::Bridged { bridge, netfilter, ipv6, .. } => {
            let which = bridge.as_ref().map_or("a bridge".to_owned(), |bridge| escape(bridge).into_owned());
            (format!("{}frames between the ports of {which}", family(*ipv6)), *netfilter)
        }
        Traffic::Routed { interfaces, ipv6 } => {
            (format!("{}packets that this machine forwards{}", family(*ipv6), from(lab, interfaces)), false)
        }
        Traffic::Received { interfaces, ipv6 } => {
            (format!("{}pings for this machine's own addresses{}", family(*ipv6), from(lab, interfaces)), false)
        }
    };
    let sure = if filter.certain { "are" } else { "may be" };
    let mut why = Vec::new();
    if lab.is_none() {
        why.push("Harmless to a lab on one machine, not to one with --role.");
    }
    why.push(match (filter.policy, filter.certain) {
        (true, true) => "Its policy is drop, and no rule of it lets them pass.",
        (false, true) => "A rule of it says so.",
        (true, false) => "Its policy is drop; nslab cannot tell whether one of its rules lets them pass.",
        (false, false) => "A rule of it says so; nslab cannot tell whether one before it lets them pass.",
    });
    why.extend(filter.passes.iter().map(|load| if *load == "ping" { "Pings pass." } else { "TCP passes." }));
    if netfilter {
        why.push("It sees bridged frames by br_netfilter.");
    }
    if found.cures.is_empty() {
        why.push("nslab up --role tells what to type, with the lab's own names.");
    }
    say(format!("{}{dropped} {sure} dropped by {}", of(lab), chain(filter))).why(why.join(" "))
}

fn from(lab: Option<&str>, interfaces: &[String]) -> String {
    let names: Vec<_> = interfaces.iter().take(4).map(|name| escape(name)).collect();
    let more = if interfaces.len() > names.len() { ", ..." } else { "" };
    match lab {
        None => " for a lab".to_owned(),
        Some(_) if names.is_empty() => String::new(),
        Some(_) => format!(" from {}{more}", names.join(", ")),
    }
}

/// The chain that drops, and whose it seems to be.
fn chain(filter: &Filter) -> String {
    let legacy = if filter.legacy { " of iptables-legacy" } else { "" };
    let makers = match filter.makers.as_slice() {
        [] => String::new(),
        [one] => format!(", where {one} has rules"),
        many => format!(", where {} have rules", many.join(" and ")),
    };
    format!("the chain {} of the table {} {}{legacy}{makers}", escape(&filter.chain), filter.family, escape(&filter.table))
}
