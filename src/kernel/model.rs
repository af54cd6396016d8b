//! The kernel in memory: only the rules that the laws of the planner need.

use std::collections::BTreeSet;

use crate::error::{Error, KernelError, Result};
use crate::kernel::{Backend, Scope};
use crate::plan::{Key, Link, Ns, Op, Plan, Port, RouteTo, State, Value};

/// A machine in memory.
#[derive(Debug, Clone, Default)]
pub struct Model {
    /// What holds.
    pub state: State,
    /// Operations until the power is cut; none: never.
    pub cut_after: Option<usize>,
    /// Every interface that there is: both ends of a pair count.
    links: BTreeSet<Port>,
}

impl Backend for Model {
    fn observe(&mut self, scope: &Scope) -> Result<State> {
        let seen = self.state.iter().filter(|(key, _)| scope.spaces.contains(key.ns()));
        let seen = seen.filter(|(key, _)| !scope.pins_only || matches!(key, Key::Netns(_)));
        Ok(seen.map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn apply(&mut self, plan: &Plan, tell: &mut dyn FnMut(&Op)) -> Result<()> {
        for op in plan {
            match &mut self.cut_after {
                Some(0) => return Err(Error::Internal("the power was cut".to_owned())),
                Some(left) => *left -= 1,
                None => {}
            }
            self.one(op)?;
            tell(op);
        }
        Ok(())
    }
}

impl Model {
    /// A machine whose own namespace has these real NICs, and of which this holds already.
    pub fn machine(nics: impl IntoIterator<Item = Port>, state: State) -> Self {
        Self { state, cut_after: None, links: nics.into_iter().collect() }
    }

    fn one(&mut self, op: &Op) -> Result<()> {
        match op {
            Op::Add(key, value) => {
                if self.state.contains_key(key) {
                    return Err(refused(op, libc::EEXIST));
                }
                self.fits(op, key, value)?;
                self.links.extend(ends(key, value));
                self.state.insert(key.clone(), value.clone());
            }
            Op::Set(key, value) => {
                if !self.state.contains_key(key) {
                    return Err(refused(op, libc::ENOENT));
                }
                self.fits(op, key, value)?;
                self.state.insert(key.clone(), value.clone());
            }
            Op::Del(key, _) => {
                if !self.remove(key) {
                    return Err(refused(op, libc::ENOENT));
                }
            }
        }
        Ok(())
    }

    /// What an operation needs must be there.
    fn fits(&self, op: &Op, key: &Key, value: &Value) -> Result<()> {
        let there = |ns: &Ns| *ns == Ns::Root || self.state.contains_key(&Key::Netns(ns.clone()));
        if !matches!(key, Key::Netns(_)) && !there(key.ns()) {
            return Err(refused(op, libc::ENOENT));
        }
        if let Value::Link(Link::Veth { peer }) = value
            && (!there(&peer.ns) || self.is_link(peer))
        {
            return Err(refused(op, libc::EEXIST));
        }
        if let Some(port) = key.port()
            && !matches!(key, Key::Link(_))
            && !self.is_link(port)
            && port.dev.as_str() != "lo"
        {
            return Err(refused(op, libc::ENODEV));
        }
        let at = |dev: &crate::name::IfName| Port { ns: key.ns().clone(), dev: dev.clone() };
        match value {
            Value::Master(bridge) if self.state.get(&Key::Link(at(bridge))) != Some(&Value::Link(Link::Bridge)) => {
                Err(refused(op, libc::ENODEV))
            }
            Value::Route(RouteTo::Via(_, dev) | RouteTo::Dev(dev)) if !self.state.contains_key(&Key::Up(at(dev))) => {
                Err(refused(op, libc::ENETUNREACH))
            }
            Value::Route(RouteTo::Via(via, dev)) if !self.reaches(key, *via, dev) => Err(refused(op, libc::EHOSTUNREACH)),
            _ => Ok(()),
        }
    }

    /// A router must be on a connected subnet, or on one that an on-link route covers.
    fn reaches(&self, route: &Key, via: std::net::IpAddr, dev: &crate::name::IfName) -> bool {
        self.state.iter().any(|(key, value)| match (key, value) {
            (Key::Addr(port, net), _) => port.ns == *route.ns() && port.dev == *dev && net.contains(&via),
            (Key::Route(ns, _, to, _), Value::Route(RouteTo::Dev(on))) => ns == route.ns() && on == dev && to.contains(&via),
            _ => false,
        })
    }

    fn is_link(&self, port: &Port) -> bool {
        self.links.contains(port)
    }

    /// What the kernel takes along.
    fn follow(&mut self, gone: &Key) {
        match gone {
            Key::Netns(ns) => {
                let pairs: Vec<Key> = self
                    .state
                    .iter()
                    .filter(|(key, value)| {
                        matches!(key, Key::Link(_))
                            && (key.ns() == ns || matches!(value, Value::Link(Link::Veth { peer }) if peer.ns == *ns))
                    })
                    .map(|(key, _)| key.clone())
                    .collect();
                for pair in pairs {
                    self.remove(&pair);
                }
                self.state.retain(|key, _| key.ns() != ns);
            }
            Key::Link(_) => self.without_links(),
            Key::Up(port) => self.state.retain(|key, value| match (key, value) {
                (Key::Route(ns, ..), Value::Route(RouteTo::Via(_, dev) | RouteTo::Dev(dev))) => {
                    *ns != port.ns || *dev != port.dev
                }
                (Key::Addr(at, net), _) => at != port || net.addr().is_ipv4(),
                _ => true,
            }),
            Key::Member(port) => self.state.retain(|key, _| !matches!(key, Key::Isolated(at) | Key::Fdb(at, _) if at == port)),
            _ => {}
        }
    }

    /// Removes a fact and what hangs on it; whether it was there.
    fn remove(&mut self, key: &Key) -> bool {
        let Some(value) = self.state.remove(key) else { return false };
        for port in ends(key, &value) {
            self.links.remove(&port);
        }
        self.follow(key);
        true
    }

    /// Facts about links that are no more end with them.
    fn without_links(&mut self) {
        let links = &self.links;
        let alive = |port: &Port| port.dev.as_str() == "lo" || links.contains(port);
        self.state.retain(|key, value| {
            let at = |dev: &crate::name::IfName| Port { ns: key.ns().clone(), dev: dev.clone() };
            let on = key.port().is_none_or(alive);
            on && match value {
                Value::Master(bridge) => alive(&at(bridge)),
                Value::Route(RouteTo::Via(_, dev) | RouteTo::Dev(dev)) => alive(&at(dev)),
                _ => true,
            }
        });
    }
}

/// The interfaces that a fact makes.
fn ends(key: &Key, value: &Value) -> Vec<Port> {
    match (key, value) {
        (Key::Link(port), Value::Link(link)) => std::iter::once(port).chain(link.peer()).cloned().collect(),
        _ => Vec::new(),
    }
}

fn refused(op: &Op, errno: i32) -> Error {
    Error::Kernel(KernelError { node: None, tried: op.to_string(), errno, said: None })
}
