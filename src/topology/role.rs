//! One host's part of a topology: the machine itself is that host, and real NICs stand where its networks' ends were. And how far
//! apart hosts and containers are.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use ipnet::IpNet;

use super::{Container, Hop, Host, Nics, Role, Route, Topology};
use crate::name::{IfName, NodeName};

impl Topology {
    /// The part of one host alone, with the numbers of the whole; a NIC that `nics` does not name keeps its name.
    ///
    /// None where there is no such host.
    pub fn part(&self, role: &NodeName, nics: &Nics) -> Option<Self> {
        let mut host = self.host(role.as_str())?.clone();
        let real = |name: &IfName| nics.get(name).unwrap_or(name).clone();
        let taken: Nics = host.nics.iter().map(|nic| (nic.name.clone(), real(&nic.name))).collect();
        plug(&mut host, &taken);
        let plugged: HashSet<&NodeName> = host.nics.iter().filter_map(|nic| nic.attach.network()).collect();
        let networks = self.networks.iter().filter(|network| plugged.contains(&network.name)).cloned().collect();
        Some(Self {
            name: self.name.clone(),
            summary: self.summary.clone(),
            networks,
            next_host: self.next_host,
            checkpoints: self.checkpoints.clone(),
            exercise: self.exercise.clone(),
            role: Some(Role { host: role.clone(), nics: taken, instead: Vec::new() }),
            hosts: vec![host],
        })
    }

    /// Of a part: the machine keeps its own default route of the family, and gets those routes through the lab's gateway that
    /// lead to the rest of the lab.
    pub fn keep_default(&mut self, whole: &Self, v4: bool) {
        let remote = self.remote_subnets(whole);
        let Some(host) = self.hosts.first_mut() else { return };
        let Some(at) = host.gateways.iter().position(|via| via.is_ipv4() == v4) else { return };
        let via = host.gateways.remove(at);
        let family = |net: &&IpNet| net.addr().is_ipv4() == v4;
        let routed: HashSet<IpNet> = host.routes.iter().map(|route| route.to).collect();
        let needed: Vec<IpNet> = remote.iter().filter(family).filter(|to| !routed.contains(to)).copied().collect();
        host.routes.extend(needed.iter().map(|&to| Route { to, hop: Hop::Via(via) }));
        if let Some(role) = &mut self.role {
            role.instead.extend(needed);
        }
    }

    /// The whole lab, with a part's host as its machine plays it: under the names of its real NICs.
    #[must_use]
    pub fn with(&self, part: &Self) -> Self {
        let mut whole = self.clone();
        for host in &part.hosts {
            if let Some(place) = whole.hosts.iter_mut().find(|other| other.name == host.name) {
                place.clone_from(host);
            }
        }
        whole
    }

    /// The hosts that share the network of one of a host's NICs.
    pub fn beside(&self, host: &NodeName, nic: &IfName) -> Vec<&NodeName> {
        let network = |host: &Host| host.nics.iter().find(|own| own.name == *nic).and_then(|own| own.attach.network().cloned());
        let Some(segment) = self.host(host.as_str()).and_then(network) else { return Vec::new() };
        let plugged = |other: &&Host| other.nics.iter().any(|own| own.attach.network() == Some(&segment));
        self.hosts.iter().filter(|other| other.name != *host).filter(plugged).map(|other| &other.name).collect()
    }

    /// The subnets of the whole lab that this part is not in itself; one that lies in another is left out.
    pub fn remote_subnets(&self, whole: &Self) -> Vec<IpNet> {
        let own: Vec<IpNet> = self.hosts.iter().flat_map(Host::subnets).collect();
        let here = |net: &IpNet| own.iter().any(|own| own.contains(net));
        let mine = |host: &&Host| self.host(host.name.as_str()).is_none();
        let remote: Vec<IpNet> = whole.hosts.iter().filter(mine).flat_map(Host::subnets).filter(|net| !here(net)).collect();
        outermost(&remote)
    }
}

impl Host {
    /// Every subnet that the host or one of its containers is in.
    pub fn subnets(&self) -> Vec<IpNet> {
        let is_link_local = |net: &IpNet| matches!(net, IpNet::V6(net) if net.addr().is_unicast_link_local());
        let subnets: BTreeSet<IpNet> = self.addresses().filter(|net| !is_link_local(net)).map(IpNet::trunc).collect();
        subnets.into_iter().collect()
    }
}

/// Those of the subnets that lie in none of the others.
fn outermost(subnets: &[IpNet]) -> Vec<IpNet> {
    let within = |net: &IpNet| subnets.iter().any(|other| other != net && other.contains(net));
    let found: BTreeSet<IpNet> = subnets.iter().filter(|net| !within(net)).copied().collect();
    found.into_iter().collect()
}

/// Calls the host's NICs by the names of the real ones, wherever they are spoken of.
fn plug(host: &mut Host, taken: &Nics) {
    let real = |name: &mut IfName| {
        if let Some(real) = taken.get(name) {
            name.clone_from(real);
        }
    };
    for nic in &mut host.nics {
        real(&mut nic.name);
    }
    host.bridges.iter_mut().flat_map(|bridge| &mut bridge.ports).for_each(real);
    for route in &mut host.routes {
        if let Hop::Dev(dev) = &mut route.hop {
            real(dev);
        }
    }
}

/// A container and its host.
pub type Inside<'a> = (&'a Host, &'a Container);

impl Topology {
    /// The pair of containers with addresses that lies farthest apart, the first of several; with `here` the first is on that host
    /// and the second on another. Of those as far apart hosts that are so in the file, too, come first.
    /// None where there is no such pair, or nothing leads from one to the other.
    pub fn farthest(&self, here: Option<&NodeName>) -> Option<(Inside<'_>, Inside<'_>)> {
        let is_addressed = |container: &Container| container.nics.iter().any(|nic| !nic.addresses.is_empty());
        let able = self.instances().filter(|(_, container)| container.runs() && is_addressed(container));
        let able: Vec<Inside<'_>> = able.collect();
        let place = |host: &Host| self.hosts.iter().position(|other| std::ptr::eq(other, host)).unwrap_or_default();
        let mut best: Option<((usize, usize), Inside<'_>, Inside<'_>)> = None;
        for (at, from) in able.iter().enumerate() {
            if here.is_some_and(|here| from.0.name != *here) {
                continue;
            }
            let steps = self.steps(&from.0.name);
            let others = able.iter().enumerate().filter(|(other, to)| match here {
                Some(here) => to.0.name != *here,
                None => *other > at,
            });
            for (_, to) in others {
                let Some(steps) = steps.get(&to.0.name) else { continue };
                let distance = (*steps, place(from.0).abs_diff(place(to.0)));
                if best.is_none_or(|(most, ..)| distance > most) {
                    best = Some((distance, *from, *to));
                }
            }
        }
        best.map(|(_, from, to)| (from, to))
    }

    /// How many networks are between a host and each other one.
    fn steps<'a>(&'a self, from: &'a NodeName) -> HashMap<&'a NodeName, usize> {
        let mut steps = HashMap::from([(from, 0)]);
        let mut next = VecDeque::from([from]);
        while let Some(name) = next.pop_front() {
            let so_far = steps[name];
            let nics = self.host(name.as_str()).into_iter().flat_map(|host| &host.nics);
            for (host, _) in nics.filter_map(|nic| nic.attach.network()).flat_map(|network| self.ends(network)) {
                if !steps.contains_key(&host.name) {
                    steps.insert(&host.name, so_far + 1);
                    next.push_back(&host.name);
                }
            }
        }
        steps
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::topology::{catalog, parse};

    fn part(name: &str, host: &str, nics: &[(&str, &str)]) -> (Topology, Topology) {
        let whole = parse(name, catalog::find(name).unwrap().split("checkpoints:").next().unwrap(), &[]).unwrap();
        let nics = nics.iter().map(|(name, real)| (name.parse().unwrap(), real.parse().unwrap())).collect();
        let part = whole.part(&host.parse().unwrap(), &nics).unwrap();
        (whole, part)
    }

    #[test]
    fn a_part_has_one_host_with_the_numbers_of_the_whole_and_real_nics() {
        let (whole, part) = part("bridged", "host-b", &[("enp0s8", "eth1")]);
        assert_eq!(part.hosts.len(), 1);
        assert_eq!((part.hosts[0].number, part.next_host), (2, whole.next_host));
        assert_eq!(part.hosts[0].nics[0].name.as_str(), "eth1");
        assert_eq!(part.hosts[0].bridges[0].ports[0].as_str(), "eth1");
        let role = part.role.unwrap();
        assert_eq!(role.described(&"eth1".parse().unwrap()).unwrap().as_str(), "enp0s8");
        assert!(whole.part(&"nobody".parse().unwrap(), &Nics::new()).is_none());
    }

    #[test]
    fn a_machine_with_a_default_route_of_its_own_gets_the_routes_that_the_lab_needs() {
        let (whole, mut part) = part("routed", "host-a", &[]);
        assert_eq!(part.hosts[0].gateways.len(), 1);
        part.keep_default(&whole, true);
        assert!(part.hosts[0].gateways.is_empty());
        let routes: Vec<String> = part.hosts[0].routes.iter().map(|route| route.to.to_string()).collect();
        let subnets: Vec<String> = whole.hosts[1].containers.iter().map(|c| c.nics[0].addresses[0].trunc().to_string()).collect();
        assert_eq!(routes, subnets, "one route per subnet of the other host, none to the wire");
        assert_eq!(part.role.unwrap().instead.len(), routes.len());
    }

    #[test]
    fn a_subnet_within_another_needs_no_route_of_its_own() {
        let nets: Vec<IpNet> = ["10.1.0.0/16", "10.1.2.0/24", "10.2.0.0/24"].iter().map(|net| net.parse().unwrap()).collect();
        assert_eq!(outermost(&nets), [nets[0], nets[2]]);
    }

    fn pair(text: &str, here: Option<&str>) -> Option<String> {
        let topology = parse("lab", text.split("checkpoints:").next().unwrap(), &[]).unwrap();
        let here = here.map(|here| here.parse().unwrap());
        topology.farthest(here.as_ref()).map(|((_, from), (_, to))| format!("{} {}", from.name, to.name))
    }

    #[test]
    fn the_farthest_are_those_with_the_most_networks_between_them() {
        let shipped = |name: &str, here| pair(catalog::find(name).unwrap(), here);
        assert_eq!(shipped("bridged", None).as_deref(), Some("a1 b1"));
        assert_eq!(shipped("routed-router", None).as_deref(), Some("a1 b1"));
        assert_eq!(shipped("routed", Some("host-b")).as_deref(), Some("b1 a1"));
        assert_eq!(shipped("three-hosts", None).as_deref(), Some("a1 c1"));
        assert_eq!(shipped("bare", None), None);
        let row = "name: row
networks: { x: {}, y: {} }
hosts:
  m: { nics: { e0: { network: x }, e1: { network: y } }, bridges: { br0: { ports: [e0, e1] } },
       containers: { m1: { nics: { eth0: { bridge: br0, address: 10.0.0.1/24 } } } } }
  l: { nics: { e0: { network: x } }, bridges: { br0: { ports: [e0] } },
       containers: { l0: {}, l1: { nics: { eth0: { bridge: br0, address: 10.0.0.2/24 } } } } }
  r: { nics: { e0: { network: y } }, bridges: { br0: { ports: [e0] } },
       containers: { r1: { nics: { eth0: { bridge: br0, address: 10.0.0.3/24 } } } } }
";
        assert_eq!(pair(row, None).as_deref(), Some("l1 r1"));
        assert_eq!(pair(row, Some("r")).as_deref(), Some("r1 l1"));
        let one = "name: one
hosts:
  h: { bridges: { br0: {} }, containers: {
       c1: { nics: { eth0: { bridge: br0, address: 10.0.0.1/24 } } }, c2: { nics: { eth0: { bridge: br0, address: 10.0.0.2/24 } } } } }
";
        assert_eq!(pair(one, None).as_deref(), Some("c1 c2"));
    }
}
