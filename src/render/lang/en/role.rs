//! Playing a host, in words.

use ipnet::IpNet;

use super::quoted;
use crate::error::{Card, RoleFault, Using};
use crate::render::escape::escape;
use crate::render::lang::{Message, say};
use crate::report::lab::Played;

pub(super) fn fault(fault: &RoleFault) -> Message {
    match fault {
        RoleFault::NoNic { host, nic, cards } => say(format!("no NIC of this machine is free for {nic} of {host}"))
            .why(listed(cards))
            .hint("give the machine another NIC, on the internal network; or name one: --nic NAME"),
        RoleFault::ManyNics { host, nic, cards } => {
            say(format!("several NICs of this machine could be {nic} of {host}")).why(listed(cards)).hint("say which: --nic NAME")
        }
        RoleFault::MissingNic { nic, cards } => {
            say(format!("this machine has no NIC {}", quoted(nic))).why(listed(cards)).hint("--nic with one of those")
        }
        RoleFault::WhichNic { host, nics } => {
            let each: Vec<String> = nics.iter().map(|nic| format!("--nic {nic}=NAME")).collect();
            say(format!("{host} has several NICs: {}", nics.join(", ")))
                .why("For each a NIC of this machine must be named.")
                .hint(each.join(" "))
        }
        RoleFault::TwiceNic(nic) => say(format!("{} is named twice", quoted(nic))).hint("one --nic for each of the host's NICs"),
        RoleFault::Plugged { lab, nics } => say(format!("the lab {lab} has {} already", escape(&nics.join(", "))))
            .hint(format!("nslab down {lab}, then up with the other NIC")),
        RoleFault::Reachable { subnet, known, dev } => {
            let same = if subnet == known { String::new() } else { format!(" as part of {known}, or with it") };
            say(format!("{subnet} is already reachable via {} on this machine{same}", escape(dev)))
                .why("Packets for the lab would leave by that interface.")
                .hint("give the lab other addresses, or take that interface down")
        }
        RoleFault::Elsewhere { node, host, lab } => say(format!("{node} is on the other machine, which plays {host} in {lab}"))
            .hint("type this there; from here it can be pinged, and traced to"),
        RoleFault::Other { lab, now: Some(now) } => say(format!("this machine plays {now} in the lab {lab}"))
            .hint(format!("nslab down {lab}, then up with the other role")),
        RoleFault::Other { lab, now: None } => say(format!("the whole lab {lab} is up on this machine"))
            .hint(format!("nslab down {lab}, then up with --role; or give this one another --name")),
    }
}

pub(super) fn kept_default(routes: &[IpNet]) -> String {
    if routes.is_empty() {
        return "this machine keeps its own default route; the lab needs no other.".to_owned();
    }
    let shown: Vec<String> = routes.iter().take(4).map(ToString::to_string).collect();
    let more = if routes.len() > shown.len() { format!(" and {} more", routes.len() - shown.len()) } else { String::new() };
    format!("this machine keeps its own default route; the lab gets routes to {}{more} instead.", shown.join(", "))
}

pub(super) fn half(half: &Played) -> String {
    let nics: Vec<String> = half
        .nics
        .iter()
        .map(
            |(name, real)| {
                if name == real { escape(real).into_owned() } else { format!("{} ({name} in the file)", escape(real)) }
            },
        )
        .collect();
    let rest = match half.elsewhere.as_slice() {
        [] => String::new(),
        hosts => format!("; on other machines: {}", hosts.join(", ")),
    };
    let on = if nics.is_empty() { String::new() } else { format!(" on {}", nics.join(", ")) };
    format!("This machine plays {}{on}{rest}.", half.host)
}

fn listed(cards: &[Card]) -> String {
    if cards.is_empty() {
        return "It has none at all.".to_owned();
    }
    let lines: Vec<String> = cards.iter().map(card).collect();
    format!("It has:\n  {}", lines.join("\n  "))
}

fn card(card: &Card) -> String {
    let state = if card.up { "up" } else { "down" };
    let using = match &card.using {
        Using::Nothing => "free".to_owned(),
        Using::DefaultRoute => "has the default route".to_owned(),
        Using::Address(net) => format!("has the address {net}"),
        Using::Port(bridge) => format!("is a port of {}", escape(bridge)),
        Using::Software(kind) => format!("is no NIC but a {}", escape(kind)),
    };
    format!("{} ({state}): {using}", escape(&card.name))
}
