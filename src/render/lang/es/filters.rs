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
        FilterFault::Keyword(Some(near)) => message.hint(format!("¿quería decir {near}?")),
        FilterFault::Keyword(None) | FilterFault::Expected(Awaited::Condition) => message.hint(WORDS),
        FilterFault::Expected(Awaited::Connective) => message.hint("una las condiciones con and, or; ponga not delante de una"),
        FilterFault::Expected(Awaited::Ether) => message.hint("ether host MAC, ether src MAC, ether dst MAC"),
        FilterFault::NoNode(names) | FilterFault::NoInterface(names) => match names.as_slice() {
            [] => message,
            [one] => message.hint(format!("¿quería decir {}?", escape(one))),
            many => message.hint(format!("hay: {}", listed(many))),
        },
        FilterFault::Ambiguous(names) => message.hint(format!("indique cuál: {}", listed(names))),
        FilterFault::NoAddress => message.hint(format!("ether host {} mira sus direcciones MAC", escape(word))),
        FilterFault::MacWithoutEther => message.hint(format!("ether host {}", escape(word))),
        FilterFault::NetAsHost => message.hint(format!("net {}", escape(word))),
        FilterFault::HostBits(net) => message.hint(format!("net {net}")),
        FilterFault::Modifier(protocol, of) => message.hint(match *of {
            "port" => "tcp port N, udp port N, o port N para los dos".to_owned(),
            _ => format!("{} and {of} ...", escape(protocol)),
        }),
        _ => message,
    }
}

const WORDS: &str = "icmp, icmp6, arp, ip, ip6, tcp, udp, host A, net P, port N, src A, dst A, ether host M; and, or, not, ( )";

fn sentence(word: &str, fault: &FilterFault) -> String {
    match fault {
        FilterFault::Keyword(_) => format!("{word} no es una palabra de los filtros de captura"),
        FilterFault::Expected(awaited) => {
            let what = match awaited {
                Awaited::Condition => "una condición",
                Awaited::Connective => "«and» u «or»",
                Awaited::Address => "una dirección o un nodo",
                Awaited::Net => "una red, como 10.0.0.0/24",
                Awaited::Port => "un número de puerto",
                Awaited::Mac => "una dirección MAC o un nodo",
                Awaited::Ether => "«host», «src» o «dst» después de «ether»",
            };
            format!("al filtro le falta aquí {what}")
        }
        FilterFault::NotClosed => "el filtro tiene un paréntesis sin cerrar".to_owned(),
        FilterFault::NoNode(_) => format!("{word} no es una dirección, y no hay ningún nodo con ese nombre"),
        FilterFault::NoInterface(_) => format!("no hay ningún interfaz {word}"),
        FilterFault::Ambiguous(_) => format!("{word} puede ser más de un nodo"),
        FilterFault::NoAddress => format!("{word} no tiene ninguna dirección que se pueda ver aquí"),
        FilterFault::NoMac => format!("{word} no tiene dirección MAC"),
        FilterFault::MacWithoutEther => format!("{word} es una dirección MAC; host espera una dirección IP o un nodo"),
        FilterFault::NetAsHost => format!("{word} es una red, no un host"),
        FilterFault::Net => format!("{word} no es una red"),
        FilterFault::HostBits(_) => format!("{word} tiene bits a uno detrás de su prefijo"),
        FilterFault::Port => format!("{word} no es un número de puerto (0-65535)"),
        FilterFault::Modifier(protocol, of) => format!("{} no dice nada de «{of}»", super::quoted(protocol)),
        FilterFault::TooLong(number) => format!("el filtro es demasiado largo: {number} pasos, y el límite es 4096"),
        FilterFault::Never => "ninguna trama puede pasar nunca este filtro".to_owned(),
    }
}
