//! Which containers lie farthest apart: those between which a packet crosses the most.

use std::collections::{HashMap, VecDeque};

use super::{Attach, Container, Host, Topology};
use crate::name::NodeName;

/// A container and its host.
pub type Inside<'a> = (&'a Host, &'a Container);

impl Topology {
    /// The pair of containers with addresses that lies farthest apart, the first of several; with `here` the first is on that host
    /// and the second on another. Of those as far apart hosts that are so in the file, too, come first. None where there is no such pair, or nothing leads from one to the other.
    pub fn farthest(&self, here: Option<&NodeName>) -> Option<(Inside<'_>, Inside<'_>)> {
        let all: Vec<Inside<'_>> =
            self.hosts.iter().flat_map(|host| host.containers.iter().map(move |inside| (host, inside))).collect();
        let able: Vec<Inside<'_>> =
            all.into_iter().filter(|(_, container)| container.runs() && is_addressed(container)).collect();
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
                let far = (*steps, place(from.0).abs_diff(place(to.0)));
                if best.is_none_or(|(most, ..)| far > most) {
                    best = Some((far, *from, *to));
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
            let networks = nics.filter_map(|nic| if let Attach::Network(network) = &nic.attach { Some(network) } else { None });
            for (host, _) in networks.flat_map(|network| self.ends(network)) {
                if !steps.contains_key(&host.name) {
                    steps.insert(&host.name, so_far + 1);
                    next.push_back(&host.name);
                }
            }
        }
        steps
    }
}

fn is_addressed(container: &Container) -> bool {
    container.nics.iter().any(|nic| !nic.addresses.is_empty())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::topology::{catalog, parse};

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
