//! The kernel in memory: only the rules that the laws of the planner need.

use std::collections::BTreeSet;

use nslab::error::{Error, KernelError, Result};
use nslab::kernel::{Backend, Scope};
use nslab::name::IfName;
use nslab::plan::{Fact, Link, Ns, Op, Plan, Port, RouteTo, Slot, State};

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
        let seen = self.state.iter().filter(|fact| scope.spaces.contains(fact.ns()));
        Ok(seen.filter(|fact| !scope.pins_only || matches!(fact, Fact::Netns(_))).cloned().collect())
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
        let fact = op.fact();
        let there = self.state.has(fact.slot());
        match op {
            Op::Add(_) if there => return Err(refused(op, libc::EEXIST)),
            Op::Set(_) | Op::Del(_) if !there => return Err(refused(op, libc::ENOENT)),
            Op::Del(_) => self.remove(fact.slot()),
            Op::Add(_) | Op::Set(_) => {
                self.fits(op, fact)?;
                if matches!(op, Op::Add(_)) {
                    self.links.extend(ends(fact));
                }
                self.state.insert(fact.clone());
            }
        }
        Ok(())
    }

    /// What an operation needs must be there.
    fn fits(&self, op: &Op, fact: &Fact) -> Result<()> {
        let there = |ns: &Ns| *ns == Ns::Root || self.state.has(Slot::Netns(ns));
        if !matches!(fact, Fact::Netns(_)) && !there(fact.ns()) {
            return Err(refused(op, libc::ENOENT));
        }
        if let Some(port) = fact.port()
            && !matches!(fact, Fact::Link(..))
            && !self.links.contains(port)
            && port.dev.as_str() != "lo"
        {
            return Err(refused(op, libc::ENODEV));
        }
        let at = |dev: &IfName| Port { ns: fact.ns().clone(), dev: dev.clone() };
        let is_up = |dev: &IfName| self.state.has(Slot::Up(&at(dev)));
        match fact {
            Fact::Link(_, Link::Veth { peer }) if !there(&peer.ns) || self.links.contains(peer) => Err(refused(op, libc::EEXIST)),
            Fact::Member(_, bridge) if !self.state.holds(&Fact::Link(at(bridge), Link::Bridge)) => Err(refused(op, libc::ENODEV)),
            Fact::Route(.., RouteTo::Via(_, dev) | RouteTo::Dev(dev)) if !is_up(dev) => Err(refused(op, libc::ENETUNREACH)),
            Fact::Route(ns, .., RouteTo::Via(via, dev)) if !self.reaches(ns, *via, dev) => Err(refused(op, libc::EHOSTUNREACH)),
            _ => Ok(()),
        }
    }

    /// A router must be on a connected subnet, or on one that an on-link route covers.
    fn reaches(&self, from: &Ns, via: std::net::IpAddr, dev: &IfName) -> bool {
        self.state.iter().any(|fact| match fact {
            Fact::Addr(port, net) => port.ns == *from && port.dev == *dev && net.contains(&via),
            Fact::Route(ns, _, to, _, RouteTo::Dev(on)) => ns == from && on == dev && to.contains(&via),
            _ => false,
        })
    }

    /// Removes a fact and what the kernel takes along.
    fn remove(&mut self, slot: Slot<'_>) {
        let Some(gone) = self.state.remove(slot) else { return };
        for port in ends(&gone) {
            self.links.remove(&port);
        }
        match gone {
            Fact::Netns(ns) => {
                let inside = |port: &Port, link: &Link| port.ns == ns || link.peer().is_some_and(|peer| peer.ns == ns);
                let pairs = self.state.links().filter(|(port, link)| inside(port, link));
                let pairs: Vec<Port> = pairs.map(|(port, _)| port.clone()).collect();
                for pair in &pairs {
                    self.remove(Slot::Link(pair));
                }
                self.state.retain(|fact| *fact.ns() != ns);
            }
            Fact::Link(..) => self.without_links(),
            Fact::Up(port) => self.state.retain(|fact| match fact {
                Fact::Route(ns, .., hop) => *ns != port.ns || hop.dev() != Some(&port.dev),
                Fact::Addr(at, net) => *at != port || net.addr().is_ipv4(),
                _ => true,
            }),
            Fact::Member(port, _) => {
                self.state.retain(|fact| !matches!(fact, Fact::Isolated(at) | Fact::Fdb(at, _) if *at == port));
            }
            _ => {}
        }
    }

    /// Facts about links that are no more end with them.
    fn without_links(&mut self) {
        let links = &self.links;
        let alive = |port: &Port| port.dev.as_str() == "lo" || links.contains(port);
        self.state.retain(|fact| {
            let at = |dev: &IfName| Port { ns: fact.ns().clone(), dev: dev.clone() };
            let on = fact.port().is_none_or(alive);
            on && match fact {
                Fact::Member(_, bridge) => alive(&at(bridge)),
                Fact::Route(.., hop) => hop.dev().is_none_or(|dev| alive(&at(dev))),
                _ => true,
            }
        });
    }
}

/// The interfaces that a fact makes.
fn ends(fact: &Fact) -> Vec<Port> {
    match fact {
        Fact::Link(port, link) => std::iter::once(port).chain(link.peer()).cloned().collect(),
        _ => Vec::new(),
    }
}

fn refused(op: &Op, errno: i32) -> Error {
    Error::Kernel(KernelError { node: None, tried: op.to_string(), errno, extack: None })
}
