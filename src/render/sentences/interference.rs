//! What gets in the way of a lab that has a role on the machine, in words.

use super::nics::service;
use crate::render::escape::escape;
use crate::render::lang::{Lang, Message, and, say, t, w};
use crate::report::interference::{Filter, Interference, Obstacle, Traffic};

/// Something that gets in the way of a lab that has a role: what, why, what to type.
pub fn message(lang: Lang, found: &Interference) -> Message {
    let mut message = match &found.obstacle {
        Obstacle::Filter { traffic, filter } => filtered(lang, found, traffic, filter),
        Obstacle::Manager { interface: nic, service: manager, pid, certain } => {
            let service = service(lang, *manager, *pid);
            let mut why = vec![w!(lang, "It can change its addresses, routes and state at any time.")];
            if *certain && found.lab.is_none() {
                why.push(w!(lang, "With --role nslab refuses it."));
            }
            say(if *certain {
                t!(lang, "{service} configures {nic}", service, nic)
            } else {
                t!(lang, "{service} names no interface, and may configure {nic}", service, nic)
            })
            .why(why.join(" "))
        }
        Obstacle::ReversePath { interface: nic, from, leaves } => {
            say(t!(lang, "packets from {from} that come in by {nic} are dropped", from, nic)).why(if let Some(way) = leaves {
                t!(lang, "The reverse path filter is strict (rp_filter=1), and this machine reaches it by {way}.", way)
            } else {
                t!(lang, "The reverse path filter is strict (rp_filter=1), and this machine has no way there.")
            })
        }
        Obstacle::Ipv6Off { interface } => say(t!(lang, "IPv6 is switched off on {interface}", interface))
            .why(w!(lang, "The lab has IPv6 addresses there (disable_ipv6=1).")),
    };
    if let Some(lab) = &found.lab {
        message.what = format!("{}: {}", escape(lab), message.what);
    }
    found.cures.iter().fold(message, |message, way| message.hint(way.join(" && ")))
}

fn filtered(lang: Lang, found: &Interference, traffic: &Traffic, filter: &Filter) -> Message {
    let lab = found.lab.as_deref();
    let (traffic, netfilter) = match traffic {
        Traffic::Bridged { bridge, netfilter, ipv6, .. } => {
            let bridge = bridge.as_deref().unwrap_or(w!(lang, "a bridge"));
            let frames = if *ipv6 {
                t!(lang, "IPv6 frames between the ports of {bridge}", bridge)
            } else {
                t!(lang, "frames between the ports of {bridge}", bridge)
            };
            (frames, *netfilter)
        }
        Traffic::Routed { interfaces, ipv6 } => {
            let packets = if *ipv6 {
                w!(lang, "IPv6 packets that this machine forwards")
            } else {
                w!(lang, "packets that this machine forwards")
            };
            (from(lang, packets, lab, interfaces), false)
        }
        Traffic::Received { interfaces, ipv6 } => {
            let pings = if *ipv6 {
                w!(lang, "IPv6 pings for this machine's own addresses")
            } else {
                w!(lang, "pings for this machine's own addresses")
            };
            (from(lang, pings, lab, interfaces), false)
        }
    };
    let mut why = Vec::new();
    if lab.is_none() {
        why.push(w!(lang, "Harmless to a lab on one machine, not to one with --role."));
    }
    why.push(match (filter.policy, filter.certain) {
        (true, true) => w!(lang, "Its policy is drop, and no rule of it lets them pass."),
        (false, true) => w!(lang, "A rule of it says so."),
        (true, false) => w!(lang, "Its policy is drop; nslab cannot tell whether one of its rules lets them pass."),
        (false, false) => w!(lang, "A rule of it says so; nslab cannot tell whether one before it lets them pass."),
    });
    let passes = |load: &&str| if *load == "ping" { w!(lang, "Pings pass.") } else { w!(lang, "TCP passes.") };
    why.extend(filter.passes.iter().map(passes));
    if netfilter {
        why.push(w!(lang, "It sees bridged frames by br_netfilter."));
    }
    if found.cures.is_empty() {
        why.push(w!(lang, "nslab up --role tells what to type, with the lab's own names."));
    }
    let chain = chain(lang, filter);
    say(if filter.certain {
        t!(lang, "{traffic} are dropped by {chain}", traffic, chain)
    } else {
        t!(lang, "{traffic} may be dropped by {chain}", traffic, chain)
    })
    .why(why.join(" "))
}

fn from(lang: Lang, packets: &str, lab: Option<&str>, interfaces: &[String]) -> String {
    const SHOWN: usize = 4;
    let shown = interfaces.iter().map(String::as_str).take(SHOWN);
    let names: Vec<&str> = shown.chain((interfaces.len() > SHOWN).then_some("...")).collect();
    match lab {
        None => t!(lang, "{packets} for a lab", packets),
        Some(_) if names.is_empty() => packets.to_owned(),
        Some(_) => t!(lang, "{packets} from {names}", packets, names = names.join(", ")),
    }
}

/// The chain that drops, and whose it seems to be.
fn chain(lang: Lang, filter: &Filter) -> String {
    let Filter { chain, family, table, .. } = filter;
    let chain = if filter.legacy {
        t!(lang, "the chain {chain} of the table {family} {table} of iptables-legacy", chain, family, table)
    } else {
        t!(lang, "the chain {chain} of the table {family} {table}", chain, family, table)
    };
    let makers: Vec<String> = filter.makers.iter().map(ToString::to_string).collect();
    match makers.as_slice() {
        [] => chain,
        [maker] => t!(lang, "{chain}, where {maker} has rules", chain, maker),
        makers => t!(lang, "{chain}, where {makers} have rules", chain, makers = and(lang, makers)),
    }
}
