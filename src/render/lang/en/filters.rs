//! What is wrong with a capture filter, in words.

use std::ops::Range;

use super::errors::listed;
use crate::error::{Awaited, FilterFault};
use crate::render::escape::escape;
use crate::render::lang::{Message, marked, say};

pub(super) fn error(text: &str, at: &Range<usize>, fault: &FilterFault) -> Message {
    let word = text.get(at.clone()).unwrap_or_default();
    let message = say(sentence(&super::quoted(word), fault)).why(marked(text, at));
    match fault {
        FilterFault::Keyword(Some(near)) => message.hint(format!("did you mean {near}?")),
        FilterFault::Keyword(None) | FilterFault::Expected(Awaited::Condition) => message.hint(WORDS),
        FilterFault::Expected(Awaited::Connective) => message.hint("join conditions with and, or; put not before one"),
        FilterFault::Expected(Awaited::Ether) => message.hint("ether host MAC, ether src MAC, ether dst MAC"),
        FilterFault::NoNode(names) | FilterFault::NoInterface(names) => match names.as_slice() {
            [] => message,
            [one] => message.hint(format!("did you mean {}?", escape(one))),
            many => message.hint(format!("there are: {}", listed(many))),
        },
        FilterFault::Ambiguous(names) => message.hint(format!("name one of them: {}", listed(names))),
        FilterFault::NoAddress => message.hint(format!("ether host {} looks at its MAC addresses", escape(word))),
        FilterFault::MacWithoutEther => message.hint(format!("ether host {}", escape(word))),
        FilterFault::NetAsHost => message.hint(format!("net {}", escape(word))),
        FilterFault::HostBits(net) => message.hint(format!("net {net}")),
        FilterFault::Modifier(protocol, of) => message.hint(match *of {
            "port" => "tcp port N, udp port N, or port N for both".to_owned(),
            _ => format!("{} and {of} ...", escape(protocol)),
        }),
        _ => message,
    }
}

const WORDS: &str = "icmp, icmp6, arp, ip, ip6, tcp, udp, host A, net P, port N, src A, dst A, ether host M; and, or, not, ( )";

fn sentence(word: &str, fault: &FilterFault) -> String {
    match fault {
        FilterFault::Keyword(_) => format!("{word} is no word of capture filters"),
        FilterFault::Expected(awaited) => {
            let what = match awaited {
                Awaited::Condition => "a condition",
                Awaited::Connective => "\"and\" or \"or\"",
                Awaited::Address => "an address or a node",
                Awaited::Net => "a network, such as 10.0.0.0/24",
                Awaited::Port => "a port number",
                Awaited::Mac => "a MAC address or a node",
                Awaited::Ether => "\"host\", \"src\" or \"dst\" after \"ether\"",
            };
            format!("the filter lacks {what} here")
        }
        FilterFault::NotClosed => "the filter has a bracket that is not closed".to_owned(),
        FilterFault::NoNode(_) => format!("{word} is no address, and there is no node of that name"),
        FilterFault::NoInterface(_) => format!("there is no interface {word}"),
        FilterFault::Ambiguous(_) => format!("{word} can be several nodes"),
        FilterFault::NoAddress => format!("{word} has no address that could be met here"),
        FilterFault::NoMac => format!("{word} has no MAC address"),
        FilterFault::MacWithoutEther => format!("{word} is a MAC address; host takes an IP address or a node"),
        FilterFault::NetAsHost => format!("{word} is a network, not a host"),
        FilterFault::Net => format!("{word} is no network"),
        FilterFault::HostBits(_) => format!("{word} has bits set behind its prefix"),
        FilterFault::Port => format!("{word} is no port number (0-65535)"),
        FilterFault::Modifier(protocol, of) => format!("{} says nothing about a {of}", super::quoted(protocol)),
        FilterFault::TooLong(number) => format!("the filter is too long: {number} steps, where 4096 are the limit"),
        FilterFault::Never => "no frame can ever pass this filter".to_owned(),
    }
}
