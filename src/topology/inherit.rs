//! Numbers are given once: a changed topology keeps those of what stays, and new parts get numbers never used before.

use std::collections::{HashMap, HashSet};

use super::{Bridge, Container, Host, Nic, Topology};

impl Topology {
    /// Takes over the numbers that `old` gave out.
    pub fn inherit(&mut self, old: &Self) {
        self.next_host = renumber(&mut self.hosts, &old.hosts, old.next_host);
        for host in &mut self.hosts {
            let Some(before) = old.host(host.name.as_str()) else { continue };
            host.inherit(before);
        }
    }
}

impl Topology {
    /// Gives no number that `later` has given out: what is there keeps its own.
    pub fn count_on(&mut self, later: &Self) {
        self.next_host = self.next_host.max(later.next_host);
        for host in &mut self.hosts {
            if let Some(other) = later.host(host.name.as_str()) {
                host.next_container = host.next_container.max(other.next_container);
            }
        }
    }
}

impl Host {
    fn inherit(&mut self, old: &Self) {
        renumber(&mut self.nics, &old.nics, following(&old.nics));
        renumber(&mut self.bridges, &old.bridges, following(&old.bridges));
        self.next_container = renumber(&mut self.containers, &old.containers, old.next_container);
        for container in &mut self.containers {
            let before = old.containers.iter().find(|before| before.name == container.name);
            if let Some(before) = before {
                renumber(&mut container.nics, &before.nics, following(&before.nics));
            }
        }
    }
}

/// Something with a name and a number.
trait Numbered {
    /// The lowest and the highest number.
    const NUMBERS: (u16, u16);
    fn name(&self) -> &str;
    fn number(&self) -> u16;
    fn set_number(&mut self, number: u16);
}

macro_rules! numbered {
    ($numbers:expr, $($type:ty),*) => {
        $(impl Numbered for $type {
            const NUMBERS: (u16, u16) = $numbers;
            fn name(&self) -> &str {
                self.name.as_str()
            }
            fn number(&self) -> u16 {
                self.number.into()
            }
            fn set_number(&mut self, number: u16) {
                self.number = number.try_into().unwrap_or(self.number);
            }
        })*
    };
}

// The number that follows the highest must fit in 16 bits too.
numbered!((1, u16::MAX - 1), Host, Container);
numbered!((0, 255), Nic, Bridge);

/// The first number that none of them has.
fn following<T: Numbered>(old: &[T]) -> u16 {
    old.iter().map(|each| each.number() + 1).max().unwrap_or(0)
}

/// Gives each its old number, or else the next unused one; the number after those.
fn renumber<T: Numbered>(new: &mut [T], old: &[T], mut next: u16) -> u16 {
    let before: HashMap<&str, u16> = old.iter().map(|each| (each.name(), each.number())).collect();
    let mut taken: HashSet<u16> = new.iter().filter_map(|each| before.get(each.name()).copied()).collect();
    let (lowest, highest) = T::NUMBERS;
    for each in new {
        let number = before.get(each.name()).copied().unwrap_or_else(|| {
            if next <= highest {
                next += 1;
                return next - 1;
            }
            // All were given once. What is gone for long gives its number back.
            (lowest..=highest).find(|number| !taken.contains(number)).unwrap_or(highest)
        });
        taken.insert(number);
        each.set_number(number);
    }
    next
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::topology::parse;

    fn lab(hosts: &str) -> Topology {
        parse("lab.yaml", &format!("name: lab\nnetworks: {{ n: }}\nhosts:\n{hosts}"), &[]).unwrap()
    }

    fn numbers(lab: &Topology) -> Vec<(String, u16)> {
        let host = |host: &Host| {
            let own = (host.name.to_string(), host.number);
            let inner = host.containers.iter().map(|each| (format!("{}/{}", host.name, each.name), each.number));
            std::iter::once(own).chain(inner.collect::<Vec<_>>())
        };
        lab.hosts.iter().flat_map(host).collect()
    }

    #[test]
    fn what_stays_keeps_its_number_and_what_is_new_gets_one_never_used() {
        let first = lab("  a: { containers: { c1: , c2: , c3: } }\n  b:\n");
        let mut second = lab("  new:\n  b:\n  a: { containers: { c9: , c3: } }\n");
        second.inherit(&first);
        let expected = [("new", 3), ("b", 2), ("a", 1), ("a/c9", 4), ("a/c3", 3)];
        assert_eq!(numbers(&second), expected.map(|(name, number)| (name.to_owned(), number)));
        let mut third = lab("  a: { containers: { c1: , c3: } }\n");
        third.inherit(&second);
        assert_eq!(numbers(&third), [("a", 1), ("a/c1", 5), ("a/c3", 3)].map(|(name, number)| (name.to_owned(), number)));
        assert_eq!((third.next_host, third.hosts[0].next_container), (4, 6));
    }

    #[test]
    fn numbers_never_collide_even_when_all_were_given() {
        let nics = |range: std::ops::Range<u16>| {
            let nics = range.map(|each| format!("e{each}: {{ network: n }}, ")).collect::<Vec<_>>().concat();
            lab(&format!("  a: {{ nics: {{ {nics} }} }}\n"))
        };
        let first = nics(0..200);
        let mut second = nics(100..300);
        second.inherit(&first);
        let mut found: Vec<u8> = second.hosts[0].nics.iter().map(|nic| nic.number).collect();
        assert_eq!(found[..100], (100..200).collect::<Vec<u8>>());
        found.sort_unstable();
        found.dedup();
        assert_eq!(found.len(), 200);
    }

    #[test]
    fn the_last_number_of_all_is_given_without_a_panic() {
        let mut first = lab("  a:\n");
        first.next_host = u16::MAX - 1;
        let mut second = lab("  a:\n  b:\n  c:\n  d:\n");
        second.inherit(&first);
        let found: Vec<u16> = second.hosts.iter().map(|host| host.number).collect();
        assert_eq!(found, [1, u16::MAX - 1, 2, 3]);
    }
}
