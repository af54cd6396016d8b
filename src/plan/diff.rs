//! The only planner: what to do to get from one state to another.

use std::collections::{BTreeMap, BTreeSet};

use super::fact::{Key, Ns, Op, Plan, Port, RouteTo, State, Value};

/// The operations that turn `from` into `to`: first what goes, latest first, then what comes or changes, in build order.
///
/// Children die with their parents and are not deleted by themselves; what dies and is wanted is added again; settings
/// are overwritten.
pub fn diff(from: &State, to: &State) -> Plan {
    let (roots, dead) = doom(from, to);
    let mut plan: Plan = roots.into_iter().map(|(key, value)| Op::Del(key, value)).collect();
    plan.sort_by(|a, b| order(b).cmp(&order(a)));
    let mut build: Plan = to
        .iter()
        .filter_map(|(key, value)| match from.get(key).filter(|_| !dead.contains(key)) {
            None => Some(Op::Add(key.clone(), value.clone())),
            Some(old) if old != value => Some(Op::Set(key.clone(), value.clone())),
            Some(_) => None,
        })
        .collect();
    build.sort_by(|a, b| order(a).cmp(&order(b)));
    plan.extend(build);
    plan
}

/// What is to be deleted, and everything that ends with it.
fn doom(from: &State, to: &State) -> (State, BTreeSet<Key>) {
    let mut going = from.iter().filter(|(key, value)| goes(key, value, to)).peekable();
    if going.peek().is_none() {
        return Default::default();
    }
    let mut doomed = Doomed::new(from);
    for (key, value) in going {
        doomed.condemn(key, value);
    }
    doomed.cut_loose();
    (doomed.roots, doomed.dead)
}

/// A fact goes when it is no longer said, or when a link is to be of another kind or have another peer.
fn goes(key: &Key, value: &Value, to: &State) -> bool {
    match to.get(key) {
        None => true,
        Some(wanted) => matches!(key, Key::Link(_)) && wanted != value,
    }
}

/// Build order: namespaces, settings, links by depth, what is on links, routes on-link before `via`.
fn order(op: &Op) -> (u8, u8, &Key) {
    let (stage, depth) = match (op.key(), op.value()) {
        (Key::Netns(_), _) => (0, 0),
        (Key::Sysctl(..), _) => (1, 0),
        (Key::Link(_), Value::Link(link)) => (2, link.depth()),
        (Key::Link(_), _) => (2, u8::MAX),
        (Key::Mac(_) | Key::Mtu(_) | Key::Stp(_), _) => (3, 0),
        (Key::Member(_) | Key::Isolated(_) | Key::Fdb(..), _) => (4, 0),
        (Key::Addr(..), _) => (5, 0),
        (Key::Up(_), _) => (6, 0),
        (Key::Route(..), Value::Route(RouteTo::Via(..))) => (7, 1),
        (Key::Route(..), _) => (7, 0),
    };
    (stage, depth, op.key())
}

/// The facts that go, and those that the kernel takes along with them.
struct Doomed<'a> {
    from: &'a State,
    ports: BTreeMap<&'a Port, Vec<&'a Key>>,
    masters: BTreeMap<Port, Vec<&'a Key>>,
    routes: BTreeMap<Port, Vec<&'a Key>>,
    spaces: BTreeMap<&'a Ns, Vec<&'a Key>>,
    pairs: BTreeMap<&'a Port, &'a Key>,
    dead: BTreeSet<Key>,
    roots: BTreeMap<Key, Value>,
}

impl<'a> Doomed<'a> {
    fn new(from: &'a State) -> Self {
        let mut this = Self {
            from,
            ports: BTreeMap::new(),
            masters: BTreeMap::new(),
            routes: BTreeMap::new(),
            spaces: BTreeMap::new(),
            pairs: BTreeMap::new(),
            dead: BTreeSet::new(),
            roots: BTreeMap::new(),
        };
        for (key, value) in from {
            this.index(key, value);
        }
        this
    }

    fn index(&mut self, key: &'a Key, value: &'a Value) {
        self.spaces.entry(key.ns()).or_default().push(key);
        if let Some(port) = key.port() {
            self.ports.entry(port).or_default().push(key);
        }
        let at = |dev: &crate::name::IfName| Port { ns: key.ns().clone(), dev: dev.clone() };
        match value {
            Value::Link(link) => {
                if let Some(peer) = link.peer() {
                    self.pairs.insert(peer, key);
                }
            }
            Value::Master(bridge) => self.masters.entry(at(bridge)).or_default().push(key),
            Value::Route(RouteTo::Via(_, dev) | RouteTo::Dev(dev)) => self.routes.entry(at(dev)).or_default().push(key),
            _ => {}
        }
    }

    /// This fact is to be deleted, unless something that takes it along is already gone.
    fn condemn(&mut self, key: &Key, value: &Value) {
        if self.dead.contains(key) {
            return;
        }
        self.kill(key);
        self.roots.insert(key.clone(), value.clone());
    }

    /// This fact ends, and with it all that hangs on it.
    fn kill(&mut self, key: &Key) {
        if !self.dead.insert(key.clone()) {
            return;
        }
        match key {
            Key::Netns(ns) => {
                for key in self.spaces.get(ns).cloned().unwrap_or_default() {
                    self.fall(key);
                    // The other end of a pair may be the key; it goes when either end's namespace goes.
                    if let Some(pair) = key.port().and_then(|port| self.pairs.get(port)).copied() {
                        self.fall(pair);
                    }
                }
                let pairs: Vec<&Key> = self.pairs.iter().filter(|(port, _)| port.ns == *ns).map(|(_, key)| *key).collect();
                for key in pairs {
                    self.fall(key);
                }
            }
            Key::Link(port) => {
                let peer = match self.from.get(key) {
                    Some(Value::Link(link)) => link.peer().cloned(),
                    _ => None,
                };
                self.port_goes(port);
                if let Some(peer) = peer {
                    self.port_goes(&peer);
                }
            }
            Key::Up(port) => self.down(port),
            Key::Member(port) => {
                for key in self.ports.get(port).cloned().unwrap_or_default() {
                    if matches!(key, Key::Isolated(_) | Key::Fdb(..)) {
                        self.fall(key);
                    }
                }
            }
            _ => {}
        }
    }

    /// A namespace ends when the kernel gets round to it; a pair with one end in one that stays is deleted at once, so that
    /// its name there is free.
    fn cut_loose(&mut self) {
        let ends = |ns: &Ns| self.roots.contains_key(&Key::Netns(ns.clone()));
        let loose = self.dead.iter().filter_map(|key| match (key, self.from.get(key)?) {
            (Key::Link(port), value @ Value::Link(link)) => {
                let peer = link.peer()?;
                (ends(&port.ns) != ends(&peer.ns)).then(|| (key.clone(), value.clone()))
            }
            _ => None,
        });
        let loose: Vec<(Key, Value)> = loose.collect();
        self.roots.extend(loose);
    }

    /// This fact ends without a deletion of its own.
    fn fall(&mut self, key: &Key) {
        self.roots.remove(key);
        self.kill(key);
    }

    fn port_goes(&mut self, port: &Port) {
        let on_it = self.ports.get(port).cloned().unwrap_or_default();
        let members = self.masters.get(port).cloned().unwrap_or_default();
        let routes = self.routes.get(port).cloned().unwrap_or_default();
        for key in on_it.into_iter().chain(members).chain(routes) {
            self.fall(key);
        }
    }

    /// A link that goes down loses its routes and its IPv6 addresses.
    fn down(&mut self, port: &Port) {
        for key in self.routes.get(port).cloned().unwrap_or_default() {
            self.fall(key);
        }
        for key in self.ports.get(port).cloned().unwrap_or_default() {
            if matches!(key, Key::Addr(_, net) if net.addr().is_ipv6()) {
                self.fall(key);
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

    fn two_hosts() -> State {
        let (a, b) = (port("a", "eth0"), port("b", "eth0"));
        State::from([
            (Key::Netns(ns("a")), Value::Present),
            (Key::Netns(ns("b")), Value::Present),
            (Key::Link(a.clone()), Value::Link(Link::Veth { peer: b.clone() })),
            (Key::Addr(b.clone(), "fd00::1/64".parse().unwrap()), Value::Present),
            (Key::Up(b), Value::Present),
        ])
    }

    #[test]
    fn nothing_to_do_is_an_empty_plan() {
        assert_eq!(diff(&two_hosts(), &two_hosts()), Plan::new());
    }

    #[test]
    fn a_namespace_takes_everything_in_it_along_and_the_pair_is_cut_loose() {
        let from = two_hosts();
        let mut to = from.clone();
        to.retain(|key, _| *key.ns() == ns("b") && key.port().is_none());
        let pair = Op::Del(Key::Link(port("a", "eth0")), Value::Link(Link::Veth { peer: port("b", "eth0") }));
        assert_eq!(diff(&from, &to), vec![pair, Op::Del(Key::Netns(ns("a")), Value::Present)]);
        assert_eq!(diff(&from, &State::new()).len(), 2, "where both namespaces end, the pair needs no operation");
    }

    #[test]
    fn a_link_that_goes_down_gets_its_v6_address_again() {
        let from = two_hosts();
        let mut to = from.clone();
        to.remove(&Key::Up(port("b", "eth0")));
        let address = Key::Addr(port("b", "eth0"), "fd00::1/64".parse().unwrap());
        assert_eq!(diff(&from, &to), vec![Op::Del(Key::Up(port("b", "eth0")), Value::Present), Op::Add(address, Value::Present)]);
    }

    #[test]
    fn another_peer_means_another_pair_and_what_was_on_it_is_added_again() {
        let from = two_hosts();
        let mut to = from.clone();
        to.insert(Key::Link(port("a", "eth0")), Value::Link(Link::Veth { peer: port("b", "eth1") }));
        let plan = diff(&from, &to);
        assert!(matches!(&plan[0], Op::Del(Key::Link(_), _)), "{plan:?}");
        assert!(plan.iter().any(|op| matches!(op, Op::Add(Key::Up(p), _) if p.dev.as_str() == "eth0")), "{plan:?}");
    }
}
