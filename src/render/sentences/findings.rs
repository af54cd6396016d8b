//! What is wrong with a topology file or a capture filter, in words.

use std::net::IpAddr;
use std::ops::Range;

use crate::error::{Awaited, FilterFault};
use crate::name::NameFault;
use crate::problem::{AddressFault, Problem, Reference, Shape};
use crate::render::escape::escape;
use crate::render::lang::{Lang, Message, listed, marked, n, or, quoted, t, w};

/// What is wrong.
pub fn problem(lang: Lang, problem: &Problem) -> String {
    match problem {
        Problem::Syntax(error) => t!(lang, "this is no YAML: {error}", error),
        Problem::NoHosts => t!(lang, "no hosts. A lab needs at least one host."),
        Problem::TooDeep(limit) => t!(lang, "nested deeper than {limit}", limit),
        Problem::TooMuch(limit) => t!(lang, "more than {limit} keys and values; from here on nothing was read", limit),
        Problem::SeveralDocuments => t!(lang, "a second document begins here; a file describes one lab"),
        Problem::Alias => t!(lang, "anchors (&) and aliases (*) are not taken"),
        Problem::UnknownKey { key, meant: Some(meant), .. } => {
            t!(lang, "unknown key {key}; did you mean {meant}?", key = quoted(lang, key), meant = quoted(lang, meant))
        }
        Problem::UnknownKey { key, .. } => t!(lang, "unknown key {key}", key = quoted(lang, key)),
        Problem::DuplicateKey(key) => t!(lang, "{key} is given twice", key = quoted(lang, key)),
        Problem::Missing(key) => t!(lang, "{key} is missing", key = quoted(lang, key)),
        Problem::Expected(shape) => t!(lang, "expected {shape}", shape = expected(lang, *shape)),
        Problem::BadName { word, fault } => bad_name(lang, word, fault),
        Problem::NotAnAddress { word, fault } => not_an_address(lang, word, *fault, w!(lang, "an address")),
        Problem::NotAPrefix { word, fault } => not_an_address(lang, word, *fault, w!(lang, "an address with its prefix length")),
        Problem::NotAMac(word) => t!(lang, "{word} is no MAC address", word = quoted(lang, word)),
        Problem::MixedFamilies(to, via) => t!(lang, "{to} and its router {via} are of different families", to, via),
        Problem::UnknownReference { what, word, meant, .. } => {
            let (what, word) = (reference(lang, *what), quoted(lang, word));
            if let Some(meant) = meant {
                t!(lang, "there is no {what} {word}; did you mean {meant}?", what, word, meant = quoted(lang, meant))
            } else {
                t!(lang, "there is no {what} {word}", what, word)
            }
        }
        Problem::NoCheckpointName => t!(lang, "a checkpoint needs a name"),
        Problem::OneCheck => t!(lang, "a check is one kind with what it asks, as in reach: all"),
        Problem::OnePair => t!(lang, "two nodes belong here, as in [a1, b1]"),
        Problem::PathEnd(to) => t!(lang, "the last hop must be {to}, where the path ends", to),
        Problem::AmbiguousNode { word, .. } => t!(lang, "several hosts have a container {word}", word = quoted(lang, word)),
        Problem::OneHop => t!(lang, "a route takes exactly one of via, dev and blackhole: true"),
        other => addresses(lang, other).unwrap_or_else(|| parts(lang, other)),
    }
}

/// What is wrong with addresses and routes.
fn addresses(lang: Lang, problem: &Problem) -> Option<String> {
    Some(match problem {
        Problem::NotAHostAddress(addr) => t!(lang, "{addr} is {kind}, no address of a host", addr, kind = kind(lang, *addr)),
        Problem::LinkLocal(addr) => t!(lang, "{addr} is link-local: the kernel gives such addresses out by itself", addr),
        Problem::NetworkAddress(net) if net.addr().is_ipv4() => {
            t!(lang, "{addr} is the address of the network {net} itself", addr = net.addr(), net)
        }
        Problem::NetworkAddress(net) => t!(lang, "{addr} is the address of every router of {net}", addr = net.addr(), net),
        Problem::BroadcastAddress(net) => t!(lang, "{addr} is the broadcast address of {net}", addr = net.broadcast(), net),
        Problem::DuplicateAddress(addr) => t!(lang, "{addr} is given twice in one network", addr),
        Problem::DuplicateMac(mac) => t!(lang, "the MAC address {mac} is taken", mac),
        Problem::MulticastMac(mac) => t!(lang, "{mac} is a multicast address, which no NIC can have", mac),
        Problem::ZeroMac => t!(lang, "a MAC address of zeros is none"),
        Problem::OverlappingSubnets(a, b) if a == b => t!(lang, "{a} is on two interfaces of this node", a),
        Problem::OverlappingSubnets(a, b) => t!(lang, "{a} and {b} overlap, on two interfaces of this node", a, b),
        Problem::GatewayOutsideSubnets(addr) => t!(lang, "{addr} is in no subnet of this node", addr),
        Problem::BehindDown { gateway: Some(addr), interface } => {
            t!(lang, "{addr} is behind {interface}, which is down", addr, interface)
        }
        Problem::BehindDown { gateway: None, interface } => {
            t!(lang, "{interface} is down, so no route can lead there", interface)
        }
        Problem::TwoGateways => t!(lang, "a second gateway of the same family"),
        Problem::OwnGateway(addr) => t!(lang, "{addr} is this node's own address, so it is no way out", addr),
        Problem::HostBits { given, meant } => {
            t!(lang, "{given} is a host, not a network; did you mean {meant}?", given, meant)
        }
        Problem::DuplicateRoute(to) => t!(lang, "a second route to {to}", to),
        Problem::ConnectedRoute(to) => t!(lang, "this node is in {to} itself, so it has that route already", to),
        Problem::CountLeavesSubnet { subnet, count, fit } => {
            t!(lang, "{count} addresses leave the subnet {subnet}: from this one on {fit} fit", count, subnet, fit)
        }
        Problem::MtuTooSmallForV6(mtu) => t!(lang, "an MTU of {mtu} is too small for IPv6, which needs 1280", mtu),
        _ => return None,
    })
}

/// What is wrong with the parts of a lab.
fn parts(lang: Lang, problem: &Problem) -> String {
    match problem {
        Problem::DuplicateName(name) => t!(lang, "the name {name} is taken", name = quoted(lang, name)),
        Problem::DuplicateInterface { name, node } => {
            t!(lang, "{node} has two interfaces of the name {name}", node, name = quoted(lang, name))
        }
        Problem::PortTwice { port, bridges: (a, b) } if a == b => {
            t!(lang, "{port} is given twice as a port of {bridge}", port, bridge = a)
        }
        Problem::PortTwice { port, bridges: (a, b) } => {
            t!(lang, "{port} is a port of {a} and of {b}; it can be of one bridge only", port, a, b)
        }
        Problem::AddressOnPort { port, bridge } => {
            t!(lang, "{port} is a port of {bridge}, so an address on it would be unreachable", port, bridge)
        }
        Problem::Loop(names) => {
            t!(lang, "{names} form a loop: one broadcast would circle for ever", names = names.join(" - "))
        }
        Problem::OutOfRange { what, low, high } => t!(lang, "{what} must be from {low} to {high}", what, low, high),
        Problem::CountNeedsOne(key) => {
            t!(lang, "{key} cannot be the same for all containers of a count", key = quoted(lang, key))
        }
        Problem::TooManyPorts { bridge, ports, limit } => {
            t!(lang, "{bridge} would have {ports} ports; Linux allows {limit}", bridge, ports, limit)
        }
        Problem::TooManyNodes { nodes, limit } => t!(
            lang,
            "{nodes} hosts, containers and networks are too many: {limit} at most. They would need about {gib} GiB.",
            nodes,
            limit,
            // Measured: 0.33 MB of kernel memory per container.
            gib = nodes.div_ceil(3100)
        ),
        Problem::TooManyInterfaces { node, limit } => t!(lang, "{node} has more than {limit} NICs or bridges", node, limit),
        Problem::TooLongForInterface { made, limit } => t!(
            lang,
            "the host's end of its cable would be called {name}, which is {characters}; Linux allows {limit}",
            name = quoted(lang, made),
            characters = characters(lang, made.chars().count()),
            limit
        ),
        Problem::HostNamedLikeLab(name) => {
            t!(lang, "{name} is the name of the lab, so no host can have it", name = quoted(lang, name))
        }
        // The other kinds are said elsewhere.
        other => format!("{other:?}"),
    }
}

/// What to write instead, where there is more to say.
pub fn advice(lang: Lang, problem: &Problem) -> Option<String> {
    Some(match problem {
        Problem::UnknownKey { known, meant: None, .. } => t!(lang, ["keys"] "one of {names}", names = known.join(", ")),
        Problem::UnknownReference { what, known, meant: None, .. } if known.is_empty() => nothing_known(lang, *what),
        Problem::UnknownReference { known, meant: None, .. } => t!(lang, "one of {names}", names = known.join(", ")),
        Problem::AmbiguousNode { candidates, .. } => t!(lang, "say of which host: {names}", names = or(lang, candidates)),
        Problem::Syntax(error) if error.contains("tab") => t!(lang, "indent with spaces; YAML takes no tabs there"),
        Problem::Alias => t!(lang, "write the value out in each place"),
        Problem::Missing("name") => t!(lang, "write the name of the lab in the first line: name: mylab"),
        Problem::Missing("network") => t!(lang, "say what the NIC is plugged into: network: internal"),
        Problem::NotAPrefix { fault: AddressFault::NoPrefix, .. } => {
            t!(lang, "write the prefix length too, as in 10.0.0.1/24")
        }
        Problem::NotAMac(_) => t!(lang, "write six pairs of hexadecimal digits, as in 02:00:00:00:00:01"),
        Problem::MulticastMac(_) | Problem::ZeroMac => t!(lang, "take an even first byte, as in 02:00:00:00:00:01"),
        Problem::DuplicateMac(_) => t!(lang, "leave \"mac\" out: nslab gives each NIC its own"),
        Problem::LinkLocal(_) => t!(lang, "take an address of your own, as in fd00:1::1/64"),
        Problem::OverlappingSubnets(..) => t!(lang, "give each interface a subnet of its own, or put them on one bridge"),
        Problem::GatewayOutsideSubnets(_) => {
            t!(lang, "the address of a neighbour, in the subnet of one of the interfaces")
        }
        Problem::BehindDown { .. } => t!(lang, "take \"up: false\" away, or the route"),
        Problem::OwnGateway(_) => t!(lang, "write the address of the router at the other end"),
        Problem::TwoGateways => t!(lang, "one gateway for IPv4 and one for IPv6; for other destinations write routes"),
        Problem::AddressOnPort { bridge, .. } => t!(lang, "put the address on the bridge {bridge}", bridge),
        Problem::Loop(_) => t!(lang, "take a port away, or add \"stp: true\" to one of the bridges"),
        Problem::TooManyPorts { .. } => t!(lang, "spread the containers over several bridges"),
        Problem::CountLeavesSubnet { .. } => t!(lang, "take a smaller count or a larger subnet"),
        Problem::CountNeedsOne(_) => t!(lang, "leave it out: nslab gives each container its own"),
        Problem::MtuTooSmallForV6(_) => t!(lang, "raise the MTU, or leave the IPv6 address out"),
        Problem::TooLongForInterface { .. } => t!(lang, "give the host's end a shorter name: host: {{ name: v1 }}"),
        Problem::DuplicateInterface { .. } => {
            t!(lang, "give the host's end of a container's NIC a name of its own: host: {{ name: v1 }}")
        }
        Problem::HostNamedLikeLab(_) => t!(lang, "give the lab another name, so that each word names one thing"),
        _ => return None,
    })
}

/// Where the other of two places is.
pub fn elsewhere(lang: Lang, line: usize) -> String {
    t!(lang, "the other is in line {line}", line)
}

/// How many findings are not shown.
pub fn unshown(lang: Lang, number: usize) -> String {
    t!(lang, "... and {mistakes}", mistakes = n!(lang, number, "more mistake", "more mistakes"))
}

fn expected(lang: Lang, shape: Shape) -> &'static str {
    match shape {
        Shape::Keys => w!(lang, "keys with values (key: value)"),
        Shape::List => w!(lang, "a list ([a, b], or lines that begin with a dash)"),
        Shape::Text => w!(lang, "a word"),
        Shape::TextOrList => w!(lang, "a word or a list of words"),
        Shape::Whole => w!(lang, "a whole number"),
        Shape::TrueOrFalse => w!(lang, "true or false"),
        Shape::AllowOrDeny => w!(lang, "allow or deny"),
        Shape::AllOrPairs => w!(lang, "all, or a list of pairs ([[a1, b1], [a2, b2]])"),
        Shape::Subnet => w!(lang, "same, different or point-to-point"),
    }
}

fn bad_name(lang: Lang, word: &str, fault: &NameFault) -> String {
    let short: String = word.chars().take(40).collect();
    let more = if short.len() < word.len() { "..." } else { "" };
    let name = format!("{}{more}", quoted(lang, short));
    match fault {
        NameFault::Empty => t!(lang, "a name is empty"),
        NameFault::TooLong { len, max } if *max < 20 => {
            t!(lang, "{name} is {characters}; Linux allows {max}", name, characters = characters(lang, *len), max)
        }
        NameFault::TooLong { len, max } => {
            t!(lang, "{name} is {characters}; a name may have {max}", name, characters = characters(lang, *len), max)
        }
        NameFault::Character(_) => t!(lang, "name {name} may use a-z 0-9 _ - and begins with a letter", name),
        NameFault::Reserved => t!(lang, "{name} is a name that Linux keeps for itself", name),
    }
}

fn characters(lang: Lang, number: usize) -> String {
    n!(lang, number, "character", "characters")
}

fn not_an_address(lang: Lang, word: &str, fault: AddressFault, what: &str) -> String {
    let word = quoted(lang, word.chars().take(60).collect::<String>());
    match fault {
        AddressFault::Malformed => t!(lang, "{word} is not {what}", word, what),
        AddressFault::LeadingZero => {
            t!(lang, "{word}: a number with a leading zero, which some programs take for octal", word)
        }
        AddressFault::NoPrefix => t!(lang, "{word} has no prefix length", word),
        AddressFault::Prefix => t!(lang, "{word}: only the address belongs here, without a prefix length", word),
        AddressFault::PrefixRange(longest) => t!(lang, "{word}: a prefix length is from 0 to {longest}", word, longest),
    }
}

fn kind(lang: Lang, addr: IpAddr) -> &'static str {
    match addr {
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => w!(lang, "an IPv4 address written as IPv6"),
        addr if addr.is_unspecified() => w!(lang, "the address of nobody"),
        addr if addr.is_loopback() => w!(lang, "a loopback address"),
        addr if addr.is_multicast() => w!(lang, "a multicast address"),
        IpAddr::V4(v4) if v4.is_broadcast() => w!(lang, "the broadcast address"),
        _ => w!(lang, ["address"] "reserved"),
    }
}

fn reference(lang: Lang, what: Reference) -> &'static str {
    match what {
        Reference::Network => w!(lang, ["none"] "network"),
        Reference::Bridge => w!(lang, ["none"] "bridge"),
        Reference::Port => w!(lang, ["none"] "NIC of this host called"),
        Reference::Interface => w!(lang, ["none"] "interface"),
        Reference::Node => w!(lang, ["none"] "host or container"),
        Reference::Host => w!(lang, ["none"] "host"),
        Reference::Topology => w!(lang, ["none"] "built-in topology"),
        Reference::Plug => w!(lang, ["none"] "NIC or container of this host called"),
    }
}

fn nothing_known(lang: Lang, what: Reference) -> String {
    match what {
        Reference::Network => t!(lang, "name it under networks: in the file first"),
        Reference::Bridge => t!(lang, "name it under bridges: of the host first"),
        Reference::Node | Reference::Host | Reference::Plug => t!(lang, "name it under hosts: first"),
        Reference::Port | Reference::Interface => t!(lang, "name it under nics: first"),
        Reference::Topology => t!(lang, "nslab topology lists them; a file is meant by ./FILE or FILE.yaml"),
    }
}

/// A filter that nslab does not take: what is wrong with it, where, and what to type.
pub fn filter(lang: Lang, text: &str, at: &Range<usize>, fault: &FilterFault) -> Message {
    let word = text.get(at.clone()).unwrap_or_default();
    let message = Message::new(sentence(lang, &quoted(lang, word), fault)).why(marked(text, at));
    match fault {
        FilterFault::Keyword(Some(near)) => message.hint(t!(lang, "did you mean {near}?", near)),
        FilterFault::Keyword(None) | FilterFault::Expected(Awaited::Condition) => message.hint(WORDS),
        FilterFault::Expected(Awaited::Connective) => message.hint(t!(lang, "join conditions with and, or; put not before one")),
        FilterFault::Expected(Awaited::Ether) => message.hint("ether host MAC, ether src MAC, ether dst MAC"),
        FilterFault::NoNode(names) | FilterFault::NoInterface(names) => match names.as_slice() {
            [] => message,
            [near] => message.hint(t!(lang, "did you mean {near}?", near)),
            many => message.hint(t!(lang, "there are: {names}", names = listed(lang, many))),
        },
        FilterFault::Ambiguous(names) => message.hint(t!(lang, "name one of them: {names}", names = listed(lang, names))),
        FilterFault::NoAddress => message.hint(t!(lang, "ether host {node} looks at its MAC addresses", node = word)),
        FilterFault::MacWithoutEther => message.hint(format!("ether host {}", escape(word))),
        FilterFault::NetAsHost => message.hint(format!("net {}", escape(word))),
        FilterFault::HostBits(net) => message.hint(format!("net {net}")),
        FilterFault::Modifier(_, "port") => message.hint(t!(lang, "tcp port N, udp port N, or port N for both")),
        FilterFault::Modifier(protocol, of) => message.hint(format!("{} and {of} ...", escape(protocol))),
        _ => message,
    }
}

const WORDS: &str = "icmp, icmp6, arp, ip, ip6, tcp, udp, host A, net P, port N, src A, dst A, ether host M; and, or, not, ( )";

fn sentence(lang: Lang, word: &str, fault: &FilterFault) -> String {
    match fault {
        FilterFault::Keyword(_) => t!(lang, "{word} is no word of capture filters", word),
        FilterFault::Expected(awaited) => match awaited {
            Awaited::Condition => t!(lang, "the filter lacks a condition here"),
            Awaited::Connective => t!(lang, "the filter lacks \"and\" or \"or\" here"),
            Awaited::Address => t!(lang, "the filter lacks an address or a node here"),
            Awaited::Net => t!(lang, "the filter lacks a network here, such as 10.0.0.0/24"),
            Awaited::Port => t!(lang, "the filter lacks a port number here"),
            Awaited::Mac => t!(lang, "the filter lacks a MAC address or a node here"),
            Awaited::Ether => t!(lang, "the filter lacks \"host\", \"src\" or \"dst\" after \"ether\" here"),
        },
        FilterFault::NotClosed => t!(lang, "the filter has a bracket that is not closed"),
        FilterFault::NoNode(_) => t!(lang, "{word} is no address, and there is no node of that name", word),
        FilterFault::NoInterface(_) => t!(lang, "there is no interface {word}", word),
        FilterFault::Ambiguous(_) => t!(lang, "{word} can be several nodes", word),
        FilterFault::NoAddress => t!(lang, "{word} has no address that could be met here", word),
        FilterFault::NoMac => t!(lang, "{word} has no MAC address", word),
        FilterFault::MacWithoutEther => t!(lang, "{word} is a MAC address; host takes an IP address or a node", word),
        FilterFault::NetAsHost => t!(lang, "{word} is a network, not a host", word),
        FilterFault::Net => t!(lang, "{word} is no network", word),
        FilterFault::HostBits(_) => t!(lang, "{word} has bits set behind its prefix", word),
        FilterFault::Port => t!(lang, "{word} is no port number (0-65535)", word),
        FilterFault::Modifier(protocol, of) => {
            t!(lang, "{protocol} says nothing about a {of}", protocol = quoted(lang, protocol), of)
        }
        FilterFault::TooLong(steps) => t!(lang, "the filter is too long: {steps} steps, where 4096 are the limit", steps),
        FilterFault::Never => t!(lang, "no frame can ever pass this filter"),
    }
}
