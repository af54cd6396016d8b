//! Why a packet goes no further, in words.

use super::English;
use crate::render::lang::trace::Tracing;
use crate::report::trace::{Cause, Trace};
use crate::report::wire::Interface;
use crate::typed;

pub(super) fn cause(english: &English, trace: &Trace, cause: &Cause) -> String {
    let word = |node: &String| trace.word(node);
    let at = |interface: &Interface| trace.interface(interface);
    match cause {
        Cause::NoRoute { node, to } => format!("{} has no route to {to}.", word(node)),
        Cause::NoAddress { node } => format!("{} has no address to send from.", word(node)),
        Cause::ForwardingOff { node, ipv6 } => {
            let family = if *ipv6 { "IPv6" } else { "IPv4" };
            format!("{} is to pass the packet on, and does not forward {family}.", word(node))
        }
        Cause::WrongPrefix { interface, address, other, to } => {
            let taken = if address.contains(to) {
                format!("so it takes {to} for a neighbour and asks for its MAC address instead of a router's")
            } else {
                format!("so it takes {to} for far away, though they share a cable")
            };
            format!("{} has {address}, {taken}; the other end says {other}.", at(interface))
        }
        Cause::NoSuchGateway { node, gateway, route } => {
            format!("The next router of {} is {gateway} ({}), an address that nobody has.", word(node), english.route(route))
        }
        Cause::LinkDown { interface, peer: None } => format!("{} is down.", at(interface)),
        Cause::LinkDown { interface, peer: Some(peer) } => {
            format!("{} has no carrier: the other end of its cable, {}, is down.", at(interface), at(peer))
        }
        Cause::NotInBridge { interface, bridges } => {
            let bridges = if bridges.is_empty() { "a bridge".to_owned() } else { bridges.join(" or ") };
            format!("The cable ends in {}, which is no port of {bridges}.", at(interface))
        }
        Cause::PortClosed { interface, state } => match state.as_str() {
            "isolated" => format!("{} is an isolated port: it exchanges no frames with other isolated ports.", at(interface)),
            "no-flood" => format!("The bridge does not know the address, and {} takes no such frames.", at(interface)),
            state => format!("{} is a port of a bridge that passes nothing: its state is {state}.", at(interface)),
        },
        Cause::Unresolved { interface, address, owner } => {
            let owner = match owner {
                Some(owner) => format!("{} has it, but the question or the answer does not get through", at(owner)),
                None => "no node has it".to_owned(),
            };
            let protocol = if address.is_ipv6() { "neighbour discovery" } else { "ARP" };
            format!("Nobody answers {} when it asks for the MAC address of {address} ({protocol}): {owner}.", at(interface))
        }
        Cause::DuplicateAddress { address, owners } => {
            format!("Several have the address {address}: {}. Who answers first is taken.", list(trace, owners))
        }
        Cause::DuplicateMac { mac, owners } => {
            format!("Several have the MAC address {mac}: {}. A bridge sends a frame to whom it heard last.", list(trace, owners))
        }
        Cause::ClonedMac { mac, owners } => {
            format!("The NICs {} have the same MAC address {mac}, as those of a cloned VM have.", list(trace, owners))
        }
        Cause::ReversePath { interface, source, strict } => {
            let back = if *strict { format!("to {source} would not leave by it") } else { format!("to {source} has no route") };
            format!("The reverse path filter (rp_filter) of {} drops it: a packet back {back}.", at(interface))
        }
        Cause::TtlExpired { node, ttl } => format!("Its time to live was {ttl} and ran out in {}.", word(node)),
        Cause::TooBig { interface, mtu, size } => {
            format!(
                "The packet has {size} bytes, {} takes at most {mtu} (its MTU), and it may not be cut on its way.",
                at(interface)
            )
        }
        Cause::Refused { node, kind, to } => format!("{} has a route that refuses: {kind} {to}.", word(node)),
        Cause::WrongNeighbour { interface, address, mac, right } => {
            let right = right.as_ref().map(|right| format!("; it is at {right}")).unwrap_or_default();
            format!("{} has a wrong neighbour entry: {address} at {mac}{right}.", at(interface))
        }
        Cause::Filtered { node, family, table, chain, hook, rule, number, .. } => {
            let hook = hook.as_ref().map(|hook| format!(" (hook {hook})")).unwrap_or_default();
            let who = match (number, rule) {
                (Some(number), Some(handle)) => format!("rule {number} (handle {handle})"),
                (None, Some(handle)) => format!("the rule with the handle {handle}"),
                _ => "the policy".to_owned(),
            };
            format!("A packet filter in {} drops it: {who} of chain {chain}{hook} of table {family} {table}.", word(node))
        }
        Cause::Loop { crossings, .. } => format!(
            "Routers send it in a circle, {crossings} times from one to the next, until its time to live runs out. \
             These routes make the circle:"
        ),
        Cause::AddressOnPort { interface, address, bridge } => {
            format!("{address} is on {}, a port of {bridge}, where it is of no use: it belongs on the bridge.", at(interface))
        }
        Cause::OtherNic { interface, route, owner } => {
            let owner = owner.as_ref().map(|owner| format!("; the address is that of {}", at(owner))).unwrap_or_default();
            format!("It leaves by {} ({}), which does not lead there{owner}.", at(interface), english.route(route))
        }
        Cause::ForeignMac { network, mac, owner } => {
            let owner = owner.as_ref().map(|owner| format!(", that of {}", at(owner))).unwrap_or_default();
            format!("The network {network} delivers unicast only to its NICs' own MAC addresses, and drops {mac}{owner}.")
        }
        Cause::EchoIgnored { node } => format!("{} has the address and ignores echo requests.", word(node)),
        Cause::OtherMachine { interface, host } => format!(
            "What {} sends goes to the other machine, which plays {}, and nothing came back. Is that half of the lab up? \
             Only there it can be seen what happens to it.",
            at(interface),
            word(host)
        ),
        Cause::Unknown { node, interface } => unknown(trace, node, interface.as_deref()),
    }
}

fn unknown(trace: &Trace, node: &str, interface: Option<&str>) -> String {
    let place = match interface {
        Some(interface) => format!("{}.{interface}", trace.word(node)),
        None => trace.word(node),
    };
    let legacy = match trace.legacy.as_slice() {
        [] => String::new(),
        tables => format!(
            " iptables-legacy has tables there ({}), whose rules cannot be traced: it may be one of them.",
            tables.join(", ")
        ),
    };
    format!("It was last seen at {place}. Neither the tables nor nftables tell what stops it there.{legacy}")
}

pub(super) fn advice(trace: &Trace, cause: &Cause) -> Option<String> {
    match cause {
        Cause::ForeignMac { .. } => Some(
            "In VirtualBox: Settings > Network > Adapter 2 > Advanced > Promiscuous\u{a0}Mode\u{a0}>\u{a0}Allow\u{a0}All; \
             in a topology file: promiscuous:\u{a0}allow."
                .to_owned(),
        ),
        Cause::ClonedMac { .. } => Some(
            "In VirtualBox: Settings > Network > Adapter 2 > Advanced > MAC Address > Generate, on one of the VMs.".to_owned(),
        ),
        Cause::Filtered { node, family, table, chain, .. } => {
            let command = format!("sudo nslab exec {} nft -a list chain {family} {table} {chain}", trace.typed(node));
            Some(format!("To see it: {}", whole(&typed::here(&command))))
        }
        Cause::OtherMachine { .. } => {
            Some("On the other machine: sudo\u{a0}nslab\u{a0}status, then sudo\u{a0}nslab\u{a0}check.".to_owned())
        }
        Cause::Unknown { node, .. } => {
            let command = format!("sudo nslab exec {} sh -c 'tc -s qdisc; ip -s link; ip xfrm policy'", trace.typed(node));
            Some(format!("To look closer: {}", whole(&typed::here(&command))))
        }
        _ => None,
    }
}

/// A command that no line end may cut.
fn whole(command: &str) -> String {
    command.replace(' ', "\u{a0}")
}

fn list(trace: &Trace, interfaces: &[Interface]) -> String {
    interfaces.iter().map(|interface| trace.interface(interface)).collect::<Vec<_>>().join(", ")
}
