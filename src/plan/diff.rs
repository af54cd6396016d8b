//! The only planner: what to do to get from one state to another.

use std::collections::{BTreeMap, BTreeSet};

use super::fact::{Fact, Ns, Op, Plan, Port, RouteTo, Slot};
use super::state::State;

/// The operations that turn `from` into `to`: first what goes, latest first, then what comes or changes, in build order.
///
/// Children die with their parents and are not deleted by themselves; what dies and is wanted is added again; settings
/// are overwritten.
pub fn diff(from: &State, to: &State) -> Plan {
    let mut doomed = Doomed::default();
    let mut going = from.iter().filter(|fact| goes(fact, to)).peekable();
    if going.peek().is_some() {
        doomed = Doomed::new(from);
        going.for_each(|fact| doomed.condemn(fact));
        doomed.cut_loose(from);
    }
    let mut plan: Plan = doomed.roots.values().map(|fact| Op::Del((*fact).clone())).collect();
    plan.sort_by(|a, b| order(b).cmp(&order(a)));
    let mut build: Plan = to
        .iter()
        .filter_map(|fact| match from.get(fact.slot()).filter(|old| !doomed.dead.contains(&old.slot())) {
            None => Some(Op::Add(fact.clone())),
            Some(old) if old != fact => Some(Op::Set(fact.clone())),
            Some(_) => None,
        })
        .collect();
    build.sort_by(|a, b| order(a).cmp(&order(b)));
    plan.extend(build);
    plan
}

/// A fact goes when it is no longer said, or when a link is to be of another kind or have another peer.
fn goes(fact: &Fact, to: &State) -> bool {
    match to.get(fact.slot()) {
        None => true,
        Some(wanted) => matches!(fact, Fact::Link(..)) && wanted != fact,
    }
}

fn order(op: &Op) -> ((u8, u8), Slot<'_>) {
    (op.fact().stage(), op.fact().slot())
}

/// The facts that go, and those that the kernel takes along with them.
#[derive(Default)]
struct Doomed<'a> {
    ports: BTreeMap<&'a Port, Vec<&'a Fact>>,
    masters: BTreeMap<Port, Vec<&'a Fact>>,
    routes: BTreeMap<Port, Vec<&'a Fact>>,
    spaces: BTreeMap<&'a Ns, Vec<&'a Fact>>,
    pairs: BTreeMap<&'a Port, &'a Fact>,
    dead: BTreeSet<Slot<'a>>,
    roots: BTreeMap<Slot<'a>, &'a Fact>,
}

impl<'a> Doomed<'a> {
    fn new(from: &'a State) -> Self {
        let mut this = Self::default();
        for fact in from {
            this.index(fact);
        }
        this
    }

    fn index(&mut self, fact: &'a Fact) {
        self.spaces.entry(fact.ns()).or_default().push(fact);
        if let Some(port) = fact.port() {
            self.ports.entry(port).or_default().push(fact);
        }
        let at = |dev: &crate::name::IfName| Port { ns: fact.ns().clone(), dev: dev.clone() };
        match fact {
            Fact::Link(_, link) => {
                if let Some(peer) = link.peer() {
                    self.pairs.insert(peer, fact);
                }
            }
            Fact::Member(_, bridge) => self.masters.entry(at(bridge)).or_default().push(fact),
            Fact::Route(.., RouteTo::Via(_, dev) | RouteTo::Dev(dev)) => self.routes.entry(at(dev)).or_default().push(fact),
            Fact::Route(..)
            | Fact::Netns(_)
            | Fact::Sysctl(..)
            | Fact::Mac(..)
            | Fact::Mtu(..)
            | Fact::Stp(_)
            | Fact::Isolated(_)
            | Fact::Fdb(..)
            | Fact::Addr(..)
            | Fact::Up(_) => {}
        }
    }

    /// This fact is to be deleted, unless something that takes it along is already gone.
    fn condemn(&mut self, fact: &'a Fact) {
        if !self.dead.contains(&fact.slot()) {
            self.kill(fact);
            self.roots.insert(fact.slot(), fact);
        }
    }

    /// This fact ends, and with it all that hangs on it.
    fn kill(&mut self, fact: &'a Fact) {
        if !self.dead.insert(fact.slot()) {
            return;
        }
        match fact {
            Fact::Netns(ns) => {
                for fact in self.spaces.get(ns).cloned().unwrap_or_default() {
                    self.fall(fact);
                    // The other end of a pair may be the one that tells; it goes when either end's namespace goes.
                    if let Some(pair) = fact.port().and_then(|port| self.pairs.get(port)).copied() {
                        self.fall(pair);
                    }
                }
                let pairs: Vec<&Fact> = self.pairs.iter().filter(|(port, _)| port.ns == *ns).map(|(_, pair)| *pair).collect();
                for pair in pairs {
                    self.fall(pair);
                }
            }
            Fact::Link(port, link) => {
                self.port_goes(port);
                if let Some(peer) = link.peer() {
                    self.port_goes(peer);
                }
            }
            Fact::Up(port) => self.down(port),
            Fact::Member(port, _) => {
                for fact in self.ports.get(port).cloned().unwrap_or_default() {
                    if matches!(fact, Fact::Isolated(_) | Fact::Fdb(..)) {
                        self.fall(fact);
                    }
                }
            }
            Fact::Sysctl(..)
            | Fact::Mac(..)
            | Fact::Mtu(..)
            | Fact::Stp(_)
            | Fact::Isolated(_)
            | Fact::Fdb(..)
            | Fact::Addr(..)
            | Fact::Route(..) => {}
        }
    }

    /// A namespace ends when the kernel gets round to it; a pair with one end in one that stays is deleted at once, so that
    /// its name there is free.
    fn cut_loose(&mut self, from: &'a State) {
        let ends = |ns: &Ns| self.roots.contains_key(&Slot::Netns(ns));
        let loose = from.iter().filter(|fact| match fact {
            Fact::Link(port, link) if self.dead.contains(&fact.slot()) => {
                link.peer().is_some_and(|peer| ends(&port.ns) != ends(&peer.ns))
            }
            _ => false,
        });
        let loose: Vec<&Fact> = loose.collect();
        self.roots.extend(loose.into_iter().map(|fact| (fact.slot(), fact)));
    }

    /// This fact ends without a deletion of its own.
    fn fall(&mut self, fact: &'a Fact) {
        self.roots.remove(&fact.slot());
        self.kill(fact);
    }

    fn port_goes(&mut self, port: &Port) {
        let on_it = self.ports.get(port).cloned().unwrap_or_default();
        let members = self.masters.get(port).cloned().unwrap_or_default();
        let routes = self.routes.get(port).cloned().unwrap_or_default();
        for fact in on_it.into_iter().chain(members).chain(routes) {
            self.fall(fact);
        }
    }

    /// A link that goes down loses its routes and its IPv6 addresses.
    fn down(&mut self, port: &Port) {
        for fact in self.routes.get(port).cloned().unwrap_or_default() {
            self.fall(fact);
        }
        for fact in self.ports.get(port).cloned().unwrap_or_default() {
            if matches!(fact, Fact::Addr(_, net) if net.addr().is_ipv6()) {
                self.fall(fact);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::plan::{Link, NodeId};

    fn ns(name: &str) -> Ns {
        Ns::Node(NodeId::Host(name.parse().unwrap()))
    }

    fn port(host: &str, dev: &str) -> Port {
        Port { ns: ns(host), dev: dev.parse().unwrap() }
    }

    fn pair(dev: &str) -> Fact {
        Fact::Link(port("a", "eth0"), Link::Veth { peer: port("b", dev) })
    }

    fn two_hosts() -> State {
        let (b, address) = (port("b", "eth0"), "fd00::1/64".parse().unwrap());
        State::from([Fact::Netns(ns("a")), Fact::Netns(ns("b")), pair("eth0"), Fact::Addr(b.clone(), address), Fact::Up(b)])
    }

    #[test]
    fn nothing_to_do_is_an_empty_plan() {
        assert_eq!(diff(&two_hosts(), &two_hosts()), Plan::new());
    }

    #[test]
    fn a_namespace_takes_everything_in_it_along_and_the_pair_is_cut_loose() {
        let from = two_hosts();
        let mut to = from.clone();
        to.retain(|fact| *fact.ns() == ns("b") && fact.port().is_none());
        assert_eq!(diff(&from, &to), vec![Op::Del(pair("eth0")), Op::Del(Fact::Netns(ns("a")))]);
        assert_eq!(diff(&from, &State::new()).len(), 2, "where both namespaces end, the pair needs no operation");
    }

    #[test]
    fn a_link_that_goes_down_gets_its_v6_address_again() {
        let from = two_hosts();
        let mut to = from.clone();
        to.remove(Slot::Up(&port("b", "eth0")));
        let address = Fact::Addr(port("b", "eth0"), "fd00::1/64".parse().unwrap());
        assert_eq!(diff(&from, &to), vec![Op::Del(Fact::Up(port("b", "eth0"))), Op::Add(address)]);
    }

    #[test]
    fn another_peer_means_another_pair_and_what_was_on_it_is_added_again() {
        let from = two_hosts();
        let mut to = from.clone();
        to.insert(pair("eth1"));
        let plan = diff(&from, &to);
        assert!(matches!(&plan[0], Op::Del(Fact::Link(..))), "{plan:?}");
        assert!(plan.iter().any(|op| matches!(op, Op::Add(Fact::Up(p)) if p.dev.as_str() == "eth0")), "{plan:?}");
    }
}
