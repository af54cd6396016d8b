//! What is wrong with a topology file, in words.

use std::net::IpAddr;

use super::{count, quoted};
use crate::name::NameFault;
use crate::problem::{AddressFault, Problem, Reference, Shape};
use crate::render::escape::escape;

/// What is wrong.
pub(super) fn problem(problem: &Problem) -> String {
    match problem {
        Problem::Syntax(said) => format!("this is no YAML: {}", escape(said)),
        Problem::NoHosts => "no hosts. A lab needs at least one host.".to_owned(),
        Problem::TooDeep(limit) => format!("nested deeper than {limit}"),
        Problem::TooMuch(limit) => format!("more than {limit} keys and values; from here on nothing was read"),
        Problem::SeveralDocuments => "a second document begins here; a file describes one lab".to_owned(),
        Problem::Alias => "anchors (&) and aliases (*) are not taken".to_owned(),
        Problem::UnknownKey { key, meant, .. } => format!("unknown key {}{}", quoted(key), did_you_mean(meant.as_deref())),
        Problem::DuplicateKey(key) => format!("{} is given twice", quoted(key)),
        Problem::Missing(key) => format!("\"{key}\" is missing"),
        Problem::Expected(shape) => format!("expected {}", expected(*shape)),
        Problem::BadName { word, fault } => bad_name(word, fault),
        Problem::NotAnAddress { word, fault } => not_an_address(word, *fault, "an address"),
        Problem::NotAPrefix { word, fault } => not_an_address(word, *fault, "an address with its prefix length"),
        Problem::NotAMac(word) => format!("{} is no MAC address", quoted(word)),
        Problem::MixedFamilies(to, via) => format!("{to} and its router {via} are of different families"),
        Problem::UnknownReference { what, word, meant, .. } => {
            format!("there is no {} {}{}", reference(*what), quoted(word), did_you_mean(meant.as_deref()))
        }
        Problem::NoCheckpointName => "a checkpoint needs a name".to_owned(),
        Problem::OneCheck => "a check is one kind with what it asks, as in reach: all".to_owned(),
        Problem::OnePair => "two nodes belong here, as in [a1, b1]".to_owned(),
        Problem::PathEnd(to) => format!("the last hop must be {}, where the path ends", escape(to)),
        Problem::AmbiguousNode { word, .. } => format!("several hosts have a container {}", quoted(word)),
        Problem::OneHop => "a route takes exactly one of via, dev and blackhole: true".to_owned(),
        other => addresses(other).unwrap_or_else(|| parts(other)),
    }
}

/// What is wrong with addresses and routes.
fn addresses(problem: &Problem) -> Option<String> {
    Some(match problem {
        Problem::NotAHostAddress(addr) => format!("{addr} is {}, no address of a host", kind(*addr)),
        Problem::LinkLocal(addr) => format!("{addr} is link-local: the kernel gives such addresses out by itself"),
        Problem::NetworkAddress(net) if net.addr().is_ipv4() => {
            format!("{} is the address of the network {net} itself", net.addr())
        }
        Problem::NetworkAddress(net) => format!("{} is the address of every router of {net}", net.addr()),
        Problem::BroadcastAddress(net) => format!("{} is the broadcast address of {net}", net.broadcast()),
        Problem::DuplicateAddress(addr) => format!("{addr} is given twice in one network"),
        Problem::DuplicateMac(mac) => format!("the MAC address {mac} is taken"),
        Problem::MulticastMac(mac) => format!("{mac} is a multicast address, which no NIC can have"),
        Problem::ZeroMac => "a MAC address of zeros is none".to_owned(),
        Problem::OverlappingSubnets(a, b) if a == b => format!("{a} is on two interfaces of this node"),
        Problem::OverlappingSubnets(a, b) => format!("{a} and {b} overlap, on two interfaces of this node"),
        Problem::GatewayOutsideSubnets(addr) => format!("{addr} is in no subnet of this node"),
        Problem::BehindDown { gateway: Some(addr), interface } => format!("{addr} is behind {interface}, which is down"),
        Problem::BehindDown { gateway: None, interface } => format!("{interface} is down, so no route can lead there"),
        Problem::TwoGateways => "a second gateway of the same family".to_owned(),
        Problem::OwnGateway(addr) => format!("{addr} is this node's own address, so it is no way out"),
        Problem::HostBits { given, meant } => format!("{given} is a host, not a network; did you mean {meant}?"),
        Problem::DuplicateRoute(to) => format!("a second route to {to}"),
        Problem::ConnectedRoute(to) => format!("this node is in {to} itself, so it has that route already"),
        Problem::CountLeavesSubnet { subnet, count, fit } => {
            format!("{count} addresses leave the subnet {subnet}: from this one on {fit} fit")
        }
        Problem::MtuTooSmallForV6(mtu) => format!("an MTU of {mtu} is too small for IPv6, which needs 1280"),
        _ => return None,
    })
}

/// What is wrong with the parts of a lab.
fn parts(problem: &Problem) -> String {
    match problem {
        Problem::DuplicateName(name) => format!("the name {} is taken", quoted(name)),
        Problem::DuplicateInterface { name, node } => format!("{} has two interfaces of the name {}", escape(node), quoted(name)),
        Problem::PortTwice { port, bridges: (a, b) } if a == b => format!("{port} is given twice as a port of {a}"),
        Problem::PortTwice { port, bridges: (a, b) } => {
            format!("{port} is a port of {a} and of {b}; it can be of one bridge only")
        }
        Problem::AddressOnPort { port, bridge } => {
            format!("{port} is a port of {bridge}, so an address on it would be unreachable")
        }
        Problem::Loop(names) => format!("{} form a loop: one broadcast would circle for ever", names.join(" - ")),
        Problem::OutOfRange { what, low, high } => format!("{what} must be from {low} to {high}"),
        Problem::CountNeedsOne(key) => format!("\"{key}\" cannot be the same for all containers of a count"),
        Problem::TooManyPorts { bridge, ports, limit } => format!("{bridge} would have {ports} ports; Linux allows {limit}"),
        Problem::TooManyNodes { nodes, limit } => {
            // Measured: 0.33 MB of kernel memory per container.
            let gib = nodes.div_ceil(3100);
            format!("{nodes} hosts, containers and networks are too many: {limit} at most. They would need about {gib} GiB.")
        }
        Problem::TooManyInterfaces { node, limit } => format!("{} has more than {limit} NICs or bridges", escape(node)),
        Problem::TooLongForInterface { made, limit } => {
            format!(
                "the host's end of its cable would be called {}, which is {}; Linux allows {limit}",
                quoted(made),
                characters(made.chars().count())
            )
        }
        Problem::HostNamedLikeLab(name) => format!("{} is the name of the lab, so no host can have it", quoted(name)),
        // The other kinds are said elsewhere.
        other => format!("{other:?}"),
    }
}

/// What to write instead, where there is more to say.
pub(super) fn advice(problem: &Problem) -> Option<String> {
    let advice = match problem {
        Problem::UnknownKey { known, meant: None, .. } => format!("one of {}", known.join(", ")),
        Problem::UnknownReference { what, known, meant: None, .. } if known.is_empty() => nothing_known(*what),
        Problem::UnknownReference { known, meant: None, .. } => {
            format!("one of {}", known.iter().map(|name| escape(name)).collect::<Vec<_>>().join(", "))
        }
        Problem::AmbiguousNode { candidates, .. } => {
            format!("say of which host: {}", candidates.iter().map(|name| escape(name)).collect::<Vec<_>>().join(" or "))
        }
        Problem::Syntax(said) if said.contains("tab") => "indent with spaces; YAML takes no tabs there".to_owned(),
        Problem::Alias => "write the value out in each place".to_owned(),
        Problem::Missing("name") => "write the name of the lab in the first line: name: mylab".to_owned(),
        Problem::Missing("network") => "say what the NIC is plugged into: network: internal".to_owned(),
        Problem::NotAPrefix { fault: AddressFault::NoPrefix, .. } => "write the prefix length too, as in 10.0.0.1/24".to_owned(),
        Problem::NotAMac(_) => "write six pairs of hexadecimal digits, as in 02:00:00:00:00:01".to_owned(),
        Problem::MulticastMac(_) | Problem::ZeroMac => "take an even first byte, as in 02:00:00:00:00:01".to_owned(),
        Problem::DuplicateMac(_) => "leave \"mac\" out: nslab gives each NIC its own".to_owned(),
        Problem::LinkLocal(_) => "take an address of your own, as in fd00:1::1/64".to_owned(),
        Problem::OverlappingSubnets(..) => "give each interface a subnet of its own, or put them on one bridge".to_owned(),
        Problem::GatewayOutsideSubnets(_) => "the address of a neighbour, in the subnet of one of the interfaces".to_owned(),
        Problem::BehindDown { .. } => "take \"up: false\" away, or the route".to_owned(),
        Problem::OwnGateway(_) => "write the address of the router at the other end".to_owned(),
        Problem::TwoGateways => "one gateway for IPv4 and one for IPv6; for other destinations write routes".to_owned(),
        Problem::AddressOnPort { bridge, .. } => format!("put the address on the bridge {bridge}"),
        Problem::Loop(_) => "take a port away, or add \"stp: true\" to one of the bridges".to_owned(),
        Problem::TooManyPorts { .. } => "spread the containers over several bridges".to_owned(),
        Problem::CountLeavesSubnet { .. } => "take a smaller count or a larger subnet".to_owned(),
        Problem::CountNeedsOne(_) => "leave it out: nslab gives each container its own".to_owned(),
        Problem::MtuTooSmallForV6(_) => "raise the MTU, or leave the IPv6 address out".to_owned(),
        Problem::TooLongForInterface { .. } => "give the host's end a shorter name: host: { name: v1 }".to_owned(),
        Problem::DuplicateInterface { .. } => {
            "give the host's end of a container's NIC a name of its own: host: { name: v1 }".to_owned()
        }
        Problem::HostNamedLikeLab(_) => "give the lab another name, so that each word names one thing".to_owned(),
        _ => return None,
    };
    Some(advice)
}

/// Where the other of two places is.
pub(super) fn elsewhere(line: usize) -> String {
    format!("the other is in line {line}")
}

/// How many findings are not shown.
pub(super) fn unshown(number: usize) -> String {
    format!("... and {}", count(number, "more mistake", "more mistakes"))
}

fn did_you_mean(meant: Option<&str>) -> String {
    meant.map(|meant| format!("; did you mean {}?", quoted(meant))).unwrap_or_default()
}

fn expected(shape: Shape) -> &'static str {
    match shape {
        Shape::Keys => "keys with values (key: value)",
        Shape::List => "a list ([a, b], or lines that begin with a dash)",
        Shape::Text => "a word",
        Shape::TextOrList => "a word or a list of words",
        Shape::Whole => "a whole number",
        Shape::TrueOrFalse => "true or false",
        Shape::AllowOrDeny => "allow or deny",
        Shape::AllOrPairs => "all, or a list of pairs ([[a1, b1], [a2, b2]])",
        Shape::Subnet => "same, different or point-to-point",
    }
}

fn bad_name(word: &str, fault: &NameFault) -> String {
    let short: String = word.chars().take(40).collect();
    let name = if short.len() < word.len() { format!("{}...", quoted(&short)) } else { quoted(word) };
    match fault {
        NameFault::Empty => "a name is empty".to_owned(),
        NameFault::TooLong { len, max } if *max < 20 => format!("{name} is {}; Linux allows {max}", characters(*len)),
        NameFault::TooLong { len, max } => format!("{name} is {}; a name may have {max}", characters(*len)),
        NameFault::Character(_) => format!("name {name} may use a-z 0-9 _ - and begins with a letter"),
        NameFault::Reserved => format!("{name} is a name that Linux keeps for itself"),
    }
}

fn characters(number: usize) -> String {
    count(number, "character", "characters")
}

fn not_an_address(word: &str, fault: AddressFault, what: &str) -> String {
    let word = quoted(&word.chars().take(60).collect::<String>());
    match fault {
        AddressFault::Malformed => format!("{word} is not {what}"),
        AddressFault::LeadingZero => format!("{word}: a number with a leading zero, which some programs take for octal"),
        AddressFault::NoPrefix => format!("{word} has no prefix length"),
        AddressFault::Prefix => format!("{word}: only the address belongs here, without a prefix length"),
        AddressFault::PrefixRange(longest) => format!("{word}: a prefix length is from 0 to {longest}"),
    }
}

fn kind(addr: IpAddr) -> &'static str {
    match addr {
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => "an IPv4 address written as IPv6",
        addr if addr.is_unspecified() => "the address of nobody",
        addr if addr.is_loopback() => "a loopback address",
        addr if addr.is_multicast() => "a multicast address",
        IpAddr::V4(v4) if v4.is_broadcast() => "the broadcast address",
        _ => "reserved",
    }
}

fn reference(what: Reference) -> &'static str {
    match what {
        Reference::Network => "network",
        Reference::Bridge => "bridge",
        Reference::Port => "NIC of this host called",
        Reference::Interface => "interface",
        Reference::Node => "host or container",
        Reference::Host => "host",
        Reference::Topology => "built-in topology",
        Reference::Plug => "NIC or container of this host called",
    }
}

fn nothing_known(what: Reference) -> String {
    match what {
        Reference::Network => "name it under networks: in the file first".to_owned(),
        Reference::Bridge => "name it under bridges: of the host first".to_owned(),
        Reference::Node | Reference::Host | Reference::Plug => "name it under hosts: first".to_owned(),
        Reference::Port | Reference::Interface => "name it under nics: first".to_owned(),
        Reference::Topology => "nslab topology lists them; a file is meant by ./FILE or FILE.yaml".to_owned(),
    }
}
