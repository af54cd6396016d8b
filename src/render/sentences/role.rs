//! Playing a host, in words.

use ipnet::IpNet;

use crate::error::{Card, RoleFault, Using};
use crate::name::{IfName, NodeName};
use crate::render::escape::escape;
use crate::render::lang::{Lang, Message, quoted, say, t, w};
use crate::report::lab::Played;

/// What is wrong with a role.
pub fn fault(lang: Lang, fault: &RoleFault) -> Message {
    match fault {
        RoleFault::NoNic { host, nic, cards } => say(t!(lang, "no NIC of this machine is free for {nic} of {host}", nic, host))
            .why(listed(lang, cards))
            .hint(w!(lang, "give the machine another NIC, on the internal network; or name one: --nic NAME")),
        RoleFault::ManyNics { host, nic, cards } => {
            say(t!(lang, "several NICs of this machine could be {nic} of {host}", nic, host))
                .why(listed(lang, cards))
                .hint(w!(lang, "say which: --nic NAME"))
        }
        RoleFault::MissingNic { nic, cards } => say(t!(lang, "this machine has no NIC {nic}", nic = quoted(lang, nic)))
            .why(listed(lang, cards))
            .hint(w!(lang, "--nic with one of those")),
        RoleFault::WhichNic { host, nics } => {
            let each: Vec<String> = nics.iter().map(|nic| t!(lang, "--nic {nic}=NAME", nic)).collect();
            say(t!(lang, "{host} has several NICs: {nics}", host, nics = nics.join(", ")))
                .why(w!(lang, "For each a NIC of this machine must be named."))
                .hint(each.join(" "))
        }
        RoleFault::TwiceNic(nic) => {
            say(t!(lang, "{nic} is named twice", nic = quoted(lang, nic))).hint(w!(lang, "one --nic for each of the host's NICs"))
        }
        RoleFault::Plugged { lab, nics } => say(t!(lang, "the lab {lab} has {nics} already", lab, nics = nics.join(", ")))
            .hint(t!(lang, "nslab down {lab}, then up with the other NIC", lab)),
        RoleFault::Reachable { subnet, known, dev } => say(if subnet == known {
            t!(lang, "{subnet} is already reachable via {dev} on this machine", subnet, dev)
        } else {
            t!(lang, "{subnet} is already reachable via {dev} on this machine as part of {known}, or with it", subnet, dev, known)
        })
        .why(w!(lang, "Packets for the lab would leave by that interface."))
        .hint(w!(lang, "give the lab other addresses, or take that interface down")),
        RoleFault::Elsewhere { node, host, lab } => {
            say(t!(lang, "{node} is on the other machine, which plays {host} in {lab}", node, host, lab))
                .hint(w!(lang, "type this there; from here it can be pinged, and traced to"))
        }
        RoleFault::Other { lab, now: Some(host) } => say(t!(lang, "this machine plays {host} in the lab {lab}", host, lab))
            .hint(t!(lang, "nslab down {lab}, then up with the other role", lab)),
        RoleFault::Other { lab, now: None } => say(t!(lang, "the whole lab {lab} is up on this machine", lab)).hint(t!(
            lang,
            "nslab down {lab}, then up with --role; or give this one another --name",
            lab
        )),
    }
}

/// That the machine's own default route stays, and which routes the lab gets instead.
pub fn kept_default(lang: Lang, routes: &[IpNet]) -> String {
    const SHOWN: usize = 4;
    let row = routes.iter().take(SHOWN).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match routes.len() {
        0 => t!(lang, "this machine keeps its own default route; the lab needs no other."),
        1..=SHOWN => {
            t!(lang, "this machine keeps its own default route; the lab gets routes to {row} instead.", row)
        }
        all => t!(
            lang,
            "this machine keeps its own default route; the lab gets routes to {row} and {more} more instead.",
            row,
            more = all - SHOWN
        ),
    }
}

/// Which part of a lab is on which machine.
pub fn half(lang: Lang, half: &Played) -> String {
    let nic = |(name, real): &(IfName, IfName)| {
        if name == real { real.to_string() } else { t!(lang, "{real} ({name} in the file)", real, name) }
    };
    let host = &half.host;
    let nics = half.nics.iter().map(nic).collect::<Vec<_>>().join(", ");
    let others = half.elsewhere.iter().map(NodeName::as_str).collect::<Vec<_>>().join(", ");
    match (nics.as_str(), others.as_str()) {
        ("", "") => t!(lang, "This machine plays {host}.", host),
        (_, "") => t!(lang, "This machine plays {host} on {nics}.", host, nics),
        ("", _) => t!(lang, "This machine plays {host}; on other machines: {others}.", host, others),
        _ => t!(lang, "This machine plays {host} on {nics}; on other machines: {others}.", host, nics, others),
    }
}

fn listed(lang: Lang, cards: &[Card]) -> String {
    if cards.is_empty() {
        return t!(lang, "It has none at all.");
    }
    let lines: Vec<String> = cards.iter().map(|one| card(lang, one)).collect();
    format!("{}\n  {}", w!(lang, "It has:"), lines.join("\n  "))
}

fn card(lang: Lang, card: &Card) -> String {
    let using = match &card.using {
        Using::Nothing => t!(lang, ["NIC"] "free"),
        Using::DefaultRoute => t!(lang, "has the default route"),
        Using::Address(net) => t!(lang, "has the address {net}", net),
        Using::Port(bridge) => t!(lang, "is a port of {bridge}", bridge),
        Using::Software(kind) => t!(lang, "is no NIC but a {kind}", kind),
    };
    format!("{} ({}): {using}", escape(&card.name), super::nics::state(lang, card.up))
}
