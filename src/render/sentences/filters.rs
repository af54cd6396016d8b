//! What is wrong with a capture filter, in words.

use std::ops::Range;

use crate::error::{Awaited, FilterFault};
use crate::render::escape::escape;
use crate::render::lang::{Lang, Message, marked, quoted, say, t};

/// A filter that nslab does not take: what is wrong with it, where, and what to type.
pub fn error(lang: Lang, text: &str, at: &Range<usize>, fault: &FilterFault) -> Message {
    let word = text.get(at.clone()).unwrap_or_default();
    let message = say(sentence(lang, &quoted(lang, word), fault)).why(marked(text, at));
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

fn listed(lang: Lang, names: &[String]) -> String {
    const SHOWN: usize = 12;
    match names.len().saturating_sub(SHOWN) {
        0 => names.join(", "),
        more => t!(lang, "{names}, and {more} more", names = names[..SHOWN].join(", "), more),
    }
}
