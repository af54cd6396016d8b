//! Why a packet goes no further, in words.

mod advice;
mod ends;
mod ports;
mod stacked;

pub use advice::advice;
use ports::port_closed;

use crate::render::lang::{Lang, or, t, w};
use crate::report::trace::{Cause, Route, Trace};
use crate::report::wire::Interface;

/// Why, in whole sentences.
#[allow(clippy::too_many_lines, reason = "a sentence for each cause")]
pub fn cause(lang: Lang, trace: &Trace, cause: &Cause) -> String {
    let word = |node: &String| trace.word(node);
    let at = |interface: &Interface| trace.interface(interface);
    match cause {
        Cause::NoRoute { node, to } => t!(lang, "{node} has no route to {to}.", node = word(node), to),
        Cause::NoRule { node, to } => {
            t!(lang, "{node} has a route to {to} in its main table, but no policy rule looks it up there.", node = word(node), to)
        }
        Cause::NoAddress { node } => t!(lang, "{node} has no address to send from.", node = word(node)),
        Cause::ForwardingOff { node, ipv6 } => {
            let (node, family) = (word(node), if *ipv6 { "IPv6" } else { "IPv4" });
            t!(lang, "{node} has to pass the packet on, but does not forward {family}.", node, family)
        }
        Cause::WrongPrefix { interface, address, other, to } => {
            let interface = at(interface);
            if address.contains(to) {
                t!(
                    lang,
                    "{interface} has {address}, so it takes {to} for a neighbour and asks for its MAC address instead of a \
                     router's; the other end says {other}.",
                    interface,
                    address,
                    to,
                    other
                )
            } else {
                t!(
                    lang,
                    "{interface} has {address}, so it takes {to} for far away, though they share a cable; the other end says \
                     {other}.",
                    interface,
                    address,
                    to,
                    other
                )
            }
        }
        Cause::OtherSubnet { interface, own, owner, other } => {
            let (interface, owner) = (at(interface), at(owner));
            match own {
                Some(own) => t!(
                    lang,
                    "{interface} ({own}) and {owner} ({other}) share the cable, not the subnet, so neither takes the other for a \
                     neighbour.",
                    interface,
                    own,
                    owner,
                    other
                ),
                None => t!(
                    lang,
                    "{interface} has no address in the subnet of {owner} ({other}), with which it shares a cable.",
                    interface,
                    owner,
                    other
                ),
            }
        }
        Cause::Broadcast { interface, address, owner } => {
            let (to, interface) = (address.broadcast(), at(interface));
            match owner {
                Some(owner) => t!(
                    lang,
                    "{owner} has {to}, which {interface} ({address}) takes for the broadcast address of its subnet.",
                    owner = at(owner),
                    to,
                    interface,
                    address
                ),
                None => t!(
                    lang,
                    "{to} is the broadcast address of the subnet of {interface} ({address}), not that of a node.",
                    to,
                    interface,
                    address
                ),
            }
        }
        Cause::NotOnLink { interface, route: taken, to, owner } if taken.to.prefix_len() == 0 && taken.via.is_none() => {
            let (interface, owner, route) = (at(interface), at(owner), route(taken));
            t!(
                lang,
                "{interface} asks for the MAC address of {to} itself, since {route} names no router; {owner}, which has it, is not \
                 on that segment.",
                interface,
                to,
                route,
                owner
            )
        }
        Cause::NotOnLink { interface, route: taken, to, owner } => {
            let (interface, owner, route) = (at(interface), at(owner), route(taken));
            t!(
                lang,
                "{interface} takes {to} for a neighbour ({route}), but {owner}, which has it, is not on that segment.",
                interface,
                to,
                route,
                owner
            )
        }
        Cause::OnLoopback { interface, address } if address.addr().is_ipv4() && address.prefix_len() < 32 => {
            let (node, subnet) = (word(&interface.node), address.trunc());
            t!(
                lang,
                "{address} is on the loopback of {node} and not on {interface}: {node} takes all of {subnet} for its own.",
                address,
                node,
                interface = at(interface),
                subnet
            )
        }
        Cause::Overlap { interface, address, owner, other } => t!(
            lang,
            "{interface} ({address}) and {owner} ({other}) are behind different routers, but in overlapping subnets: each side \
             takes the other for a neighbour.",
            interface = at(interface),
            address,
            owner = at(owner),
            other
        ),
        Cause::OnLoopback { interface, address } => {
            let node = word(&interface.node);
            t!(
                lang,
                "{address} is on the loopback of {node}, where nobody else sees it, and not on {interface}.",
                address,
                node,
                interface = at(interface)
            )
        }
        Cause::VlanSorted { .. }
        | Cause::OtherVlan { .. }
        | Cause::MacvlanParent { .. }
        | Cause::Dummy { .. }
        | Cause::TunnelEnd { .. }
        | Cause::NotFollowed { .. } => stacked::cause(lang, trace, cause),
        Cause::NotARouter { node, gateway, route: taken, owner } => {
            let (node, route, owner) = (word(node), route(taken), word(owner));
            t!(
                lang,
                "The next router of {node} is {gateway} ({route}), but that is {owner}, which does not route.",
                node,
                gateway,
                route,
                owner
            )
        }
        Cause::ArpIgnored { interface, value } => {
            t!(
                lang,
                "{interface} does not answer when it is asked for its MAC address (arp_ignore is {value}).",
                interface = at(interface),
                value
            )
        }
        Cause::Ipv6Off { interface, mtu: None } => {
            t!(lang, "IPv6 is off at {interface} (disable_ipv6 is 1).", interface = at(interface))
        }
        Cause::Ipv6Off { interface, mtu: Some(mtu) } => {
            t!(
                lang,
                "{interface} has an MTU of {mtu} bytes; IPv6 needs 1280, so the kernel takes it away there.",
                interface = at(interface),
                mtu
            )
        }
        Cause::NoSuchGateway { node, gateway, route: taken } => {
            let (node, route) = (word(node), route(taken));
            t!(lang, "The next router of {node} is {gateway} ({route}), an address that nobody has.", node, gateway, route)
        }
        Cause::LinkDown { interface, peer: None } => t!(lang, "{interface} is down.", interface = at(interface)),
        Cause::LinkDown { interface, peer: Some(peer) } => {
            let (interface, peer) = (at(interface), at(peer));
            t!(lang, "{interface} has no carrier: the other end of its cable, {peer}, is down.", interface, peer)
        }
        Cause::NoCable { node, ends } => match ends.as_slice() {
            [one, other] => t!(lang, "The cable between {one} and {other} is gone.", one = at(one), other = at(other)),
            _ => t!(lang, "No cable leads from {node} to anything.", node = word(node)),
        },
        Cause::CableElsewhere { interface, end, home } => {
            let (interface, home) = (at(interface), word(&home.node));
            match end {
                Some(end) => {
                    let (end, node) = (&end.interface, word(&end.node));
                    t!(
                        lang,
                        "The other end of the cable of {interface}, {end}, is in {node}; it belongs in {home}.",
                        interface,
                        end,
                        node,
                        home
                    )
                }
                None => t!(
                    lang,
                    "The other end of the cable of {interface} is in no node of the lab; it belongs in {home}.",
                    interface,
                    home
                ),
            }
        }
        Cause::NotInBridge { interface, bridges } if bridges.is_empty() => {
            t!(lang, "The cable ends in {interface}, which is no port of a bridge.", interface = at(interface))
        }
        Cause::NotInBridge { interface, bridges } => {
            let (interface, bridges) = (at(interface), or(lang, bridges));
            t!(lang, "The cable ends in {interface}, which is no port of {bridges}.", interface, bridges)
        }
        Cause::WrongBridge { interface, bridge, wanted: Some(wanted) } => {
            t!(lang, "{interface} is a port of {bridge}, not of {wanted}.", interface = at(interface), bridge, wanted)
        }
        Cause::WrongBridge { interface, bridge, wanted: None } => {
            t!(lang, "{interface} is a port of {bridge}, where it does not belong.", interface = at(interface), bridge)
        }
        Cause::NoArp { interface } => {
            t!(lang, "{interface} neither asks nor answers for MAC addresses: its ARP is off.", interface = at(interface))
        }
        Cause::PortClosed { interface, state } => port_closed(lang, &at(interface), state),
        Cause::Unresolved { interface, address, owner } => {
            let interface = at(interface);
            let protocol = if address.is_ipv6() { w!(lang, "neighbour discovery") } else { "ARP" };
            match owner {
                Some(owner) => t!(
                    lang,
                    "Nobody answers {interface} when it asks for the MAC address of {address} ({protocol}): {owner} has it, but \
                     the question or the answer does not get through.",
                    interface,
                    address,
                    protocol,
                    owner = at(owner)
                ),
                None => t!(
                    lang,
                    "Nobody answers {interface} when it asks for the MAC address of {address} ({protocol}): no node has it.",
                    interface,
                    address,
                    protocol
                ),
            }
        }
        Cause::DuplicateAddress { address, owners } if owners.iter().any(|owner| owner.interface == "lo") => {
            let owners = list(trace, owners);
            t!(lang, "Several have the address {address}: {owners}. Each takes it for its own.", address, owners)
        }
        Cause::DuplicateAddress { address, owners } => {
            let owners = list(trace, owners);
            t!(lang, "Several have the address {address}: {owners}. Who answers first is taken.", address, owners)
        }
        Cause::DuplicateMac { mac, owners } => {
            let owners = list(trace, owners);
            t!(lang, "Several have the MAC address {mac}: {owners}. A bridge sends a frame to whom it heard last.", mac, owners)
        }
        Cause::ClonedMac { mac, owners } => {
            let owners = list(trace, owners);
            t!(lang, "The NICs {owners} have the same MAC address {mac}, as those of a cloned VM have.", owners, mac)
        }
        Cause::ReversePath { interface, source, strict } => {
            let interface = at(interface);
            if *strict {
                t!(
                    lang,
                    "The reverse path filter (rp_filter) of {interface} drops it: a packet back to {source} would not leave by it.",
                    interface,
                    source
                )
            } else {
                t!(
                    lang,
                    "The reverse path filter (rp_filter) of {interface} drops it: a packet back to {source} has no route.",
                    interface,
                    source
                )
            }
        }
        Cause::TtlExpired { node, ttl } => {
            t!(lang, "Its time to live was {ttl} and ran out in {node}.", ttl, node = word(node))
        }
        Cause::TooBig { interface, mtu, size, route: Some(to) } => t!(
            lang,
            "The packet has {size} bytes, the route of {node} to {to} lets at most {mtu} pass (its own MTU), and it may not be \
             cut on its way.",
            size,
            node = word(&interface.node),
            to,
            mtu
        ),
        Cause::TooBig { interface, mtu, size, route: None } => t!(
            lang,
            "The packet has {size} bytes, {interface} takes at most {mtu} (its MTU), and it may not be cut on its way.",
            size,
            interface = at(interface),
            mtu
        ),
        Cause::BlackHole { interface, mtu, size } => t!(
            lang,
            "Connections open, but a full packet of {size} bytes gets lost: {interface} takes at most {mtu} (its MTU), and nobody \
             tells the sender.",
            size,
            interface = at(interface),
            mtu
        ),
        Cause::Refused { node, kind, to } => {
            t!(lang, "{node} has a route that refuses: {kind} {to}.", node = word(node), kind, to)
        }
        Cause::Barred { node, rule, priority, .. } => {
            t!(lang, "A policy rule of {node} refuses it: {priority}: {rule}.", node = word(node), priority, rule)
        }
        Cause::WrongFdb { interface, bridge, mac, right } if interface.interface == *right => t!(
            lang,
            "The forwarding table of {bridge} has {mac} as an address of the bridge's own, but it is behind {interface}.",
            bridge,
            mac,
            interface = at(interface)
        ),
        Cause::Ipsec { node, policy } => t!(lang, "A policy of IPsec in {node} drops it: {policy}.", node = word(node), policy),
        Cause::AddressUnused { interface, address, failed: false } => t!(
            lang,
            "{interface} has {address}, but does not use it yet: it asks first whether somebody else has it.",
            interface = at(interface),
            address
        ),
        Cause::AddressUnused { interface, address, failed: true } => t!(
            lang,
            "{interface} has {address}, but does not use it: when it asked for it, somebody else had it (dadfailed).",
            interface = at(interface),
            address
        ),
        Cause::WrongFdb { interface, bridge, mac, right } => t!(
            lang,
            "The forwarding table of {bridge} has {mac} at {interface}, but it is behind {right}.",
            bridge,
            mac,
            interface = at(interface),
            right
        ),
        Cause::WrongNeighbour { interface, address, mac, right: Some(right) } => t!(
            lang,
            "{interface} has a wrong neighbour entry: {address} at {mac}; it is at {right}.",
            interface = at(interface),
            address,
            mac,
            right
        ),
        Cause::WrongNeighbour { interface, address, mac, right: None } => {
            t!(lang, "{interface} has a wrong neighbour entry: {address} at {mac}.", interface = at(interface), address, mac)
        }
        Cause::Filtered { node, family, table, chain, hook, rule, number, .. } => {
            let (node, table) = (word(node), format!("{family} {table}"));
            let chain = hook.as_ref().map_or_else(|| chain.clone(), |hook| format!("{chain} (hook {hook})"));
            match (number, rule) {
                (Some(number), Some(handle)) => t!(
                    lang,
                    "A packet filter in {node} drops it: rule {number} (handle {handle}) of chain {chain} of table {table}.",
                    node,
                    number,
                    handle,
                    chain,
                    table
                ),
                (None, Some(handle)) => t!(
                    lang,
                    "A packet filter in {node} drops it: the rule with the handle {handle} of chain {chain} of table {table}.",
                    node,
                    handle,
                    chain,
                    table
                ),
                _ => t!(
                    lang,
                    "A packet filter in {node} drops it: the policy of chain {chain} of table {table}.",
                    node,
                    chain,
                    table
                ),
            }
        }
        Cause::Loop { routes, .. }
            if routes.iter().any(|(node, _)| *node == trace.from || Some(node) == trace.to_node.as_ref()) =>
        {
            t!(
                lang,
                "Routers send it in a circle: it comes back to its own sender, which does not pass it on. These routes make the circle:"
            )
        }
        Cause::Loop { crossings, .. } => t!(
            lang,
            "Routers send it in a circle, {crossings} times from one to the next, until its time to live runs out. These routes \
             make the circle:",
            crossings
        ),
        Cause::AddressOnPort { interface, address, bridge } => t!(
            lang,
            "{address} is on {interface}, a port of {bridge}, where it is of no use: it belongs on the bridge.",
            address,
            interface = at(interface),
            bridge
        ),
        Cause::AddressElsewhere { interface, address, belongs, instead } => {
            let (interface, belongs) = (at(interface), at(belongs));
            match instead {
                Some(instead) => t!(
                    lang,
                    "The addresses of {interface} ({address}) and {belongs} ({instead}) are swapped: the cable of each leads to \
                     the other's subnet.",
                    interface,
                    address,
                    belongs,
                    instead
                ),
                None => t!(
                    lang,
                    "{address} is on {interface}, but the others of its subnet are on the cable of {belongs}.",
                    address,
                    interface,
                    belongs
                ),
            }
        }
        Cause::OtherNic { interface, route: taken, owner } => {
            let (interface, route) = (at(interface), route(taken));
            match owner {
                Some(owner) => t!(
                    lang,
                    "It leaves by {interface} ({route}), which does not lead there; the address is that of {owner}.",
                    interface,
                    route,
                    owner = at(owner)
                ),
                None => t!(lang, "It leaves by {interface} ({route}), which does not lead there.", interface, route),
            }
        }
        Cause::ForeignMac { network, mac, owner: Some(owner) } => t!(
            lang,
            "The network {network} delivers unicast only to its NICs' own MAC addresses, and drops {mac}, that of {owner}.",
            network,
            mac,
            owner = at(owner)
        ),
        Cause::ForeignMac { network, mac, owner: None } => {
            t!(lang, "The network {network} delivers unicast only to its NICs' own MAC addresses, and drops {mac}.", network, mac)
        }
        Cause::EchoIgnored { node } => {
            t!(lang, "{node} has the address and ignores echo requests.", node = word(node))
        }
        Cause::NobodyListens { node, transport, at } => ends::nobody_listens(lang, &word(node), *transport, at),
        Cause::Silent { node, transport } => t!(
            lang,
            "Somebody listens on {protocol} port {port} of {node}. Nobody has to answer a datagram, so it is not known whether it \
             was taken.",
            protocol = transport.name(),
            port = transport.port().unwrap_or(0),
            node = word(node)
        ),
        Cause::OtherMachine { interface, host } => t!(
            lang,
            "What {interface} sends goes to the other machine, which plays {host}, and nothing came back. Is that half of the \
             lab up? Only there it can be seen what happens to it.",
            interface = at(interface),
            host = word(host)
        ),
        Cause::Unknown { node, interface } => ends::unknown(lang, trace, node, interface.as_deref()),
    }
}

fn list(trace: &Trace, interfaces: &[Interface]) -> String {
    interfaces.iter().map(|interface| trace.interface(interface)).collect::<Vec<_>>().join(", ")
}

/// A route as a student types it.
pub fn route(route: &Route) -> String {
    let to = if route.to.prefix_len() == 0 { "default".to_owned() } else { route.to.to_string() };
    match route.via {
        Some(via) => format!("{to} via {via} dev {}", route.dev),
        None => format!("{to} dev {}", route.dev),
    }
}
