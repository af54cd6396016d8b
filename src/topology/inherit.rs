//! Numbers are given once: a changed topology keeps those of what stays, and new parts get numbers never used before.

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
    fn name(&self) -> &str;
    fn number(&self) -> u16;
    fn set_number(&mut self, number: u16);
}

macro_rules! numbered {
    ($($type:ty),*) => {
        $(impl Numbered for $type {
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

numbered!(Host, Container, Nic, Bridge);

/// The first number that none of them has.
fn following<T: Numbered>(old: &[T]) -> u16 {
    old.iter().map(|each| each.number() + 1).max().unwrap_or(0)
}

/// Gives each its old number, or else the next unused one; the number after those.
fn renumber<T: Numbered>(new: &mut [T], old: &[T], mut next: u16) -> u16 {
    for each in new {
        let before = old.iter().find(|before| before.name() == each.name());
        each.set_number(before.map_or(next, Numbered::number));
        next += u16::from(before.is_none());
    }
    next
}
