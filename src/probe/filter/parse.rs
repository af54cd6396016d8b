//! From the words of a filter to what is asked of a frame.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;

use ipnet::{IpNet, Ipv4Net};

use super::{Expression, KEYWORDS, Names, Side, Test, kind, protocol};
use crate::error::{Awaited, FilterFault};
use crate::name::Mac;
use crate::topology::nearest;

type Result<T> = std::result::Result<T, (Range<usize>, FilterFault)>;

/// Words and nestings that nobody types; more would only use up memory.
const MOST_WORDS: usize = 4096;
const DEEPEST: usize = 64;

/// What is asked; none where nothing is.
pub(super) fn filter(text: &str, names: &dyn Names) -> Result<Option<Expression>> {
    let words = words(text);
    if words.is_empty() {
        return Ok(None);
    }
    if words.len() > MOST_WORDS {
        return Err((0..text.len(), FilterFault::TooLong(words.len())));
    }
    let mut parser = Parser { words, next: 0, names, last: None, end: text.len(), depth: 0 };
    let expression = parser.expression()?;
    match parser.peek() {
        None => Ok(Some(expression)),
        Some(word) => Err((word.at.clone(), FilterFault::Expected(Awaited::Connective))),
    }
}

struct Parser<'a> {
    words: Vec<Word<'a>>,
    next: usize,
    names: &'a dyn Names,
    /// `host a1 or b1`: what the last name had before it.
    last: Option<Qualifiers>,
    end: usize,
    depth: usize,
}

fn connective(word: &str) -> Option<bool> {
    match word {
        "and" | "&&" => Some(true),
        "or" | "||" => Some(false),
        _ => None,
    }
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&Word<'a>> {
        self.words.get(self.next)
    }

    fn sees(&self, wanted: &[&str]) -> bool {
        self.peek().is_some_and(|word| wanted.contains(&word.text))
    }

    fn skip(&mut self, wanted: &[&str]) -> bool {
        let sees = self.sees(wanted);
        self.next += usize::from(sees);
        sees
    }

    fn take(&mut self, awaited: Awaited) -> Result<Word<'a>> {
        let word = self.peek().cloned().ok_or((self.end..self.end, FilterFault::Expected(awaited)))?;
        self.next += 1;
        Ok(word)
    }

    /// `and` and `or` bind alike, from the left.
    fn expression(&mut self) -> Result<Expression> {
        let mut so_far = self.term()?;
        while let Some(and) = self.peek().and_then(|word| connective(word.text)) {
            self.next += 1;
            so_far = joined(and, so_far, self.term()?);
        }
        Ok(so_far)
    }

    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth == DEEPEST {
            return Err((0..self.end, FilterFault::TooLong(self.words.len())));
        }
        self.depth += 1;
        let done = inner(self);
        self.depth -= 1;
        done
    }

    fn closing(&mut self, opening: &Range<usize>) -> Result<()> {
        match self.peek() {
            Some(word) if word.text == ")" => {
                self.next += 1;
                Ok(())
            }
            Some(word) => Err((word.at.clone(), FilterFault::Expected(Awaited::Connective))),
            None => Err((opening.clone(), FilterFault::NotClosed)),
        }
    }

    fn term(&mut self) -> Result<Expression> {
        if self.skip(&["not", "!"]) {
            return self.deeper(|parser| Ok(Expression::Not(Box::new(parser.term()?))));
        }
        if let Some(opening) = self.peek().filter(|word| word.text == "(").map(|word| word.at.clone()) {
            self.next += 1;
            let inner = self.deeper(Self::expression)?;
            self.closing(&opening)?;
            return Ok(inner);
        }
        self.condition()
    }

    fn condition(&mut self) -> Result<Expression> {
        let word = self.take(Awaited::Condition)?;
        let protocol = Protocol::named(word.text);
        if protocol.is_none() {
            self.next -= 1;
        }
        if self.sees(&["src", "dst", "host", "net", "port"]) {
            let qualifiers = self.qualifiers(protocol, &word)?;
            self.last = Some(qualifiers);
            return self.named(qualifiers);
        }
        if self.sees(&["broadcast"]) && matches!(protocol, None | Some(Protocol::Ether)) {
            self.next += 1;
            return Ok(Expression::Is(Test::Ether { side: Side::Destination, macs: vec![Mac([0xff; 6])] }));
        }
        match (protocol, self.last) {
            (Some(protocol), _) => protocol.alone().map(Expression::Is).ok_or_else(|| {
                let at = self.peek().map_or(self.end..self.end, |word| word.at.clone());
                (at, FilterFault::Expected(Awaited::Ether))
            }),
            (None, Some(last)) if connective(word.text).is_none() && word.text != ")" => {
                self.named(last).map_err(|(at, fault)| match (fault, nearest(word.text, KEYWORDS)) {
                    (FilterFault::NoNode(_), Some(near)) => (at, FilterFault::Keyword(Some(near))),
                    (fault, _) => (at, fault),
                })
            }
            (None, _) => Err((word.at, unknown(word.text))),
        }
    }

    fn qualifiers(&mut self, protocol: Option<Protocol>, first: &Word<'a>) -> Result<Qualifiers> {
        let side = self.side();
        let at = self.peek().map_or(self.end..self.end, |word| word.at.clone());
        let kind = self.peek().and_then(|word| Type::named(word.text));
        self.next += usize::from(kind.is_some());
        let kind = kind.unwrap_or(Type::Host);
        let fits = match (protocol, kind) {
            (None, _) | (Some(Protocol::Ether), Type::Host) | (Some(Protocol::Tcp | Protocol::Udp), Type::Port) => true,
            (Some(protocol), Type::Host | Type::Net) => {
                [Protocol::Ip, Protocol::Ip6, Protocol::Arp, Protocol::Rarp].contains(&protocol)
            }
            _ => false,
        };
        if !fits {
            let kind = ["host", "net", "port"][kind as usize];
            return Err((first.at.start..at.end, FilterFault::Modifier(first.text.to_owned(), kind)));
        }
        Ok(Qualifiers { protocol, side, kind })
    }

    fn side(&mut self) -> Side {
        let Some(first) = self.peek().map(|word| word.text).filter(|word| ["src", "dst"].contains(word)) else {
            return Side::Either;
        };
        self.next += 1;
        let other = if first == "src" { "dst" } else { "src" };
        let both = self.peek().and_then(|word| connective(word.text));
        if let (Some(both), true) = (both, self.words.get(self.next + 1).is_some_and(|word| word.text == other)) {
            self.next += 2;
            return if both { Side::Both } else { Side::Either };
        }
        if first == "src" { Side::Source } else { Side::Destination }
    }

    /// A name, or several in brackets: `host (a1 or b1)`.
    fn named(&mut self, qualifiers: Qualifiers) -> Result<Expression> {
        let awaited = match (qualifiers.protocol, qualifiers.kind) {
            (Some(Protocol::Ether), _) => Awaited::Mac,
            (_, Type::Host) => Awaited::Address,
            (_, Type::Net) => Awaited::Net,
            (_, Type::Port) => Awaited::Port,
        };
        if self.skip(&["not", "!"]) {
            return self.deeper(|parser| Ok(Expression::Not(Box::new(parser.named(qualifiers)?))));
        }
        let word = self.take(awaited)?;
        if word.text == "(" {
            let inner = self.deeper(|parser| {
                let mut so_far = parser.named(qualifiers)?;
                while let Some(and) = parser.peek().and_then(|word| connective(word.text)) {
                    parser.next += 1;
                    so_far = joined(and, so_far, parser.named(qualifiers)?);
                }
                Ok(so_far)
            })?;
            self.closing(&word.at)?;
            return Ok(inner);
        }
        if connective(word.text).is_some() || word.text == ")" {
            return Err((word.at, FilterFault::Expected(awaited)));
        }
        let test = self.test(word.text, qualifiers).map_err(|fault| (word.at, fault))?;
        Ok(Expression::Is(test))
    }

    fn test(&self, word: &str, qualifiers: Qualifiers) -> std::result::Result<Test, FilterFault> {
        let side = qualifiers.side;
        if qualifiers.protocol == Some(Protocol::Ether) {
            return Ok(Test::Ether { side, macs: self.macs(word)? });
        }
        let nets = match qualifiers.kind {
            Type::Host => self.hosts(word)?,
            Type::Net => vec![net(word)?],
            Type::Port => {
                let port = word.parse().map_err(|_| FilterFault::Port)?;
                let protocols: &'static [u8] = match qualifiers.protocol {
                    Some(Protocol::Tcp) => &[protocol::TCP],
                    Some(Protocol::Udp) => &[protocol::UDP],
                    _ => &[protocol::SCTP, protocol::TCP, protocol::UDP],
                };
                return Ok(Test::Port { protocols, side, port });
            }
        };
        let kinds: &'static [u16] = match qualifiers.protocol {
            Some(Protocol::Ip) => &[kind::IP],
            Some(Protocol::Ip6) => &[kind::IP6],
            Some(Protocol::Arp) => &[kind::ARP],
            Some(Protocol::Rarp) => &[kind::RARP],
            _ => &[kind::IP, kind::ARP, kind::RARP, kind::IP6],
        };
        let fits =
            |net: &IpNet| net.addr().is_ipv4() && kinds != [kind::IP6] || net.addr().is_ipv6() && kinds.contains(&kind::IP6);
        let nets: Vec<IpNet> = nets.into_iter().filter(fits).collect();
        if nets.is_empty() { Err(FilterFault::NoAddress) } else { Ok(Test::Address { kinds, side, nets }) }
    }

    fn hosts(&self, word: &str) -> std::result::Result<Vec<IpNet>, FilterFault> {
        if let Ok(address) = word.parse::<IpAddr>() {
            return Ok(vec![address.into()]);
        }
        if word.parse::<Mac>().is_ok() {
            return Err(FilterFault::MacWithoutEther);
        }
        if word.parse::<IpNet>().is_ok() {
            return Err(FilterFault::NetAsHost);
        }
        let addresses = self.names.owned(word)?.addresses;
        Ok(addresses.into_iter().map(IpNet::from).collect())
    }

    fn macs(&self, word: &str) -> std::result::Result<Vec<Mac>, FilterFault> {
        if let Ok(mac) = word.parse() {
            return Ok(vec![mac]);
        }
        if word.parse::<IpAddr>().is_ok() {
            return Err(FilterFault::Expected(Awaited::Mac));
        }
        let macs = self.names.owned(word)?.macs;
        if macs.is_empty() { Err(FilterFault::NoMac) } else { Ok(macs) }
    }
}

fn joined(and: bool, first: Expression, second: Expression) -> Expression {
    match (and, first, second) {
        // Many hosts in a row become one question, which the kernel answers sooner.
        (
            false,
            Expression::Is(Test::Address { kinds, side, mut nets }),
            Expression::Is(Test::Address { kinds: others, side: other, nets: more }),
        ) if kinds == others && side == other && side != Side::Both => {
            nets.extend(more);
            Expression::Is(Test::Address { kinds, side, nets })
        }
        (true, first, second) => Expression::And(Box::new(first), Box::new(second)),
        (false, first, second) => Expression::Or(Box::new(first), Box::new(second)),
    }
}

fn unknown(word: &str) -> FilterFault {
    if connective(word).is_some() || [")", "!"].contains(&word) {
        return FilterFault::Expected(Awaited::Condition);
    }
    FilterFault::Keyword(nearest(word, KEYWORDS))
}

/// A prefix, or an address; of IPv4 also its first bytes alone, as in `net 10`.
fn net(word: &str) -> std::result::Result<IpNet, FilterFault> {
    if let Ok(net) = word.parse::<IpNet>() {
        return if net.addr() == net.network() { Ok(net) } else { Err(FilterFault::HostBits(net.trunc())) };
    }
    if let Ok(address) = word.parse::<IpAddr>() {
        return Ok(address.into());
    }
    let bytes: Vec<u8> = word.split('.').map(str::parse).collect::<std::result::Result<_, _>>().map_err(|_| FilterFault::Net)?;
    let length = u8::try_from(bytes.len() * 8).map_err(|_| FilterFault::Net)?;
    let mut octets = [0; 4];
    octets.get_mut(..bytes.len()).ok_or(FilterFault::Net)?.copy_from_slice(&bytes);
    Ipv4Net::new(Ipv4Addr::from(octets), length).map(IpNet::V4).map_err(|_| FilterFault::Net)
}

/// A protocol before `host`, `net`, `port`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Ip,
    Ip6,
    Arp,
    Rarp,
    Tcp,
    Udp,
    Icmp,
    Icmp6,
    Ether,
}

impl Protocol {
    fn named(word: &str) -> Option<Self> {
        Some(match word {
            "ip" => Self::Ip,
            "ip6" => Self::Ip6,
            "arp" => Self::Arp,
            "rarp" => Self::Rarp,
            "tcp" => Self::Tcp,
            "udp" => Self::Udp,
            "icmp" => Self::Icmp,
            "icmp6" => Self::Icmp6,
            "ether" => Self::Ether,
            _ => return None,
        })
    }

    /// The protocol as a condition of its own.
    fn alone(self) -> Option<Test> {
        let both = |number| Test::Protocol { v4: Some(number), v6: Some(number) };
        Some(match self {
            Self::Ip => Test::Kind(kind::IP),
            Self::Ip6 => Test::Kind(kind::IP6),
            Self::Arp => Test::Kind(kind::ARP),
            Self::Rarp => Test::Kind(kind::RARP),
            Self::Tcp => both(protocol::TCP),
            Self::Udp => both(protocol::UDP),
            Self::Icmp => Test::Protocol { v4: Some(protocol::ICMP), v6: None },
            Self::Icmp6 => Test::Protocol { v4: None, v6: Some(protocol::ICMP6) },
            Self::Ether => return None,
        })
    }
}

/// What a word stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Host,
    Net,
    Port,
}

impl Type {
    fn named(word: &str) -> Option<Self> {
        Some(match word {
            "host" => Self::Host,
            "net" => Self::Net,
            "port" => Self::Port,
            _ => return None,
        })
    }
}

/// What precedes a word that names something.
#[derive(Debug, Clone, Copy)]
struct Qualifiers {
    protocol: Option<Protocol>,
    side: Side,
    kind: Type,
}

/// A word and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Word<'a> {
    text: &'a str,
    at: Range<usize>,
}

/// Marks that are words even where no blank is around them.
const MARKS: [&str; 5] = ["&&", "||", "(", ")", "!"];

/// Splits a filter.
fn words(text: &str) -> Vec<Word<'_>> {
    let mut words: Vec<Word<'_>> = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let length = match mark(rest) {
            Some(mark) => mark.len(),
            None if c.is_whitespace() => c.len_utf8(),
            None => rest
                .char_indices()
                .find(|(place, c)| c.is_whitespace() || mark(&rest[*place..]).is_some())
                .map_or(rest.len(), |(place, _)| place),
        };
        if !c.is_whitespace() {
            words.push(Word { text: &rest[..length], at: at..at + length });
        }
        at += length;
    }
    words
}

fn mark(text: &str) -> Option<&'static str> {
    MARKS.into_iter().find(|mark| text.starts_with(mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_need_no_blanks() {
        let texts = |text| words(text).into_iter().map(|word| word.text).collect::<Vec<_>>();
        assert_eq!(texts("!(icmp&&host a1)||port  80"), ["!", "(", "icmp", "&&", "host", "a1", ")", "||", "port", "80"]);
        assert_eq!(texts("  "), Vec::<&str>::new());
        assert_eq!(words("é host")[1].at, 3..7);
    }
}
