//! Numbers are given once: a changed topology keeps those of what stays, new parts get numbers never used before, and MAC addresses are
//! made of them. What was launched, stopped or configured in a lab is work: a file that is brought up again keeps it.
//!
//! `02:HH:HH:CC:CC:II` is a node's own NIC (container 0 is the host itself), `06:` and the same bytes the host's end of
//! that veth pair, `0a:HH:HH:00:00:BB` a host's bridge, `0e:HH:HH:00:00:II` the switch port that a host's NIC is plugged
//! into, `0e:ff:ff:00:NN:NN` the switch of a network. All are locally administered (IEEE 802, bit 1 of the first byte).

use std::collections::{HashMap, HashSet};

use super::{Attach, Bridge, Container, Host, Nic, Run, Topology};
use crate::lxd::devices;
use crate::name::{IfName, Mac};

fn readable(kind: u8, host: u16, container: u16, interface: u8) -> Mac {
    let ([h1, h0], [c1, c0]) = (host.to_be_bytes(), container.to_be_bytes());
    Mac([kind, h1, h0, c1, c0, interface])
}

/// The address of a NIC of a host (container 0) or of a container.
pub fn mac_of_nic(host: u16, container: u16, nic: &Nic) -> Mac {
    nic.mac.unwrap_or_else(|| readable(0x02, host, container, nic.number))
}

/// The address of the host's end of a container's NIC.
pub fn mac_of_host_end(host: u16, container: u16, nic: &Nic) -> Mac {
    nic.attach.host_end().and_then(|end| end.mac).unwrap_or_else(|| readable(0x06, host, container, nic.number))
}

/// The address of a host's bridge.
pub fn mac_of_bridge(host: u16, bridge: &Bridge) -> Mac {
    bridge.mac.unwrap_or_else(|| readable(0x0a, host, 0, bridge.number))
}

/// Whether it is one that a lab with a role gives to an interface of the machine itself.
pub fn is_mac_of_a_machine(mac: Mac) -> bool {
    let Mac([kind, _, _, container1, container0, _]) = mac;
    kind == 0x06 && (container1, container0) != (0, 0) || kind == 0x0a && (container1, container0) == (0, 0)
}

/// The address of the switch port that a host's NIC is plugged into.
pub fn mac_of_switch_port(host: u16, nic: u8) -> Mac {
    readable(0x0e, host, 0, nic)
}

/// The address of the switch that stands for the n-th network of the file.
pub fn mac_of_switch(network: u16) -> Mac {
    let [n1, n0] = network.to_be_bytes();
    Mac([0x0e, 0xff, 0xff, 0, n1, n0])
}

impl Topology {
    /// Takes over the numbers that `old` gave out.
    pub fn inherit(&mut self, old: &Self) {
        self.next_host = renumber(&mut self.hosts, &old.hosts, old.next_host);
        for host in &mut self.hosts {
            let Some(before) = old.host(host.name.as_str()) else { continue };
            host.inherit(before);
        }
    }

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

impl Topology {
    /// Takes over what was done to the instances of `old` since it came from its file; whether there was anything.
    ///
    /// Numbers have been inherited before. A container that the file has gained under the name of a launched one is the
    /// file's.
    pub fn carry(&mut self, old: &Self) -> bool {
        let mut any = false;
        for host in &mut self.hosts {
            let Some(before) = old.host(host.name.as_str()) else { continue };
            any |= host.carry(before);
        }
        any
    }

    /// Every container with its host.
    pub fn instances(&self) -> impl Iterator<Item = (&Host, &Container)> {
        self.hosts.iter().flat_map(|host| host.containers.iter().map(move |container| (host, container)))
    }

    /// How many containers are stopped.
    pub fn stopped(&self) -> usize {
        self.instances().filter(|(_, container)| !container.runs()).count()
    }

    /// A container of a host.
    pub fn container(&self, host: &str, name: &str) -> Option<&Container> {
        self.host(host)?.containers.iter().find(|container| container.name.as_str() == name)
    }
}

impl Container {
    /// It has a namespace and links.
    pub fn runs(&self) -> bool {
        self.instance.run != Run::Stopped
    }
}

impl Host {
    /// The containers that have a namespace and links.
    pub fn running(&self) -> impl Iterator<Item = &Container> {
        self.containers.iter().filter(|container| container.runs())
    }

    fn carry(&mut self, old: &Self) -> bool {
        let mut any = false;
        for bridge in old.bridges.iter().filter(|bridge| bridge.managed.is_some()) {
            if self.is_free(&bridge.name) {
                self.bridges.push(bridge.clone());
                // A NIC comes up for the network that it was given to.
                self.nics.iter_mut().filter(|nic| bridge.ports.contains(&nic.name)).for_each(|nic| nic.up = true);
                any = true;
            }
        }
        for before in old.containers.iter().filter(|container| !container.instance.is_plain()) {
            let here = self.containers.iter().position(|container| container.name == before.name);
            match here {
                Some(at) => {
                    let mut instance = before.instance.clone();
                    instance.launched = false;
                    instance.given = None;
                    self.containers[at].instance = instance;
                    let own = self.containers[at].instance.devices.clone();
                    devices::plug(self, at, own);
                }
                None if before.instance.launched => self.adopt(before.clone(), old),
                None => continue,
            }
            any = true;
        }
        any
    }

    /// A launched container whose bridge or names the file has taken away meanwhile is plugged in nowhere, under free names.
    /// A bridge that was in no file was made by hand, and may still be there.
    fn adopt(&mut self, mut container: Container, old: &Self) {
        let mut nics = std::mem::take(&mut container.nics);
        for nic in &mut nics {
            let Attach::Host(end) = &mut nic.attach else { continue };
            let among = |host: &Self, name: &IfName| host.bridges.iter().any(|own| own.name == *name);
            if end.bridge.as_ref().is_some_and(|bridge| among(old, bridge) && !among(self, bridge)) {
                end.bridge = None;
                nic.addresses.clear();
            }
            if !self.is_free(&end.name) {
                end.name = self.free_end(container.name.as_str());
            }
        }
        container.nics = nics;
        self.containers.push(container);
    }

    /// Whether none of its interfaces has the name.
    pub fn is_free(&self, name: &IfName) -> bool {
        let own = self.nics.iter().map(|nic| &nic.name).chain(self.bridges.iter().map(|bridge| &bridge.name));
        own.chain(self.ends().map(|end| &end.name)).all(|taken| taken != name)
    }

    /// A free name for the host's end of a container's cable: `veth-CONTAINER` where it fits and is free.
    pub fn free_end(&self, container: &str) -> IfName {
        let numbered = (1..).map(|number| format!("veth{number}"));
        let names = [format!("veth-{container}")].into_iter().chain(numbered);
        let free = |name: &IfName| self.is_free(name);
        names.filter_map(|name| name.parse().ok()).find(free).unwrap_or_else(IfName::loopback)
    }
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
