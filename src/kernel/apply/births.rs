//! Which settings of a link are fused into the request that makes it.

use std::collections::{HashMap, HashSet};

use crate::kernel::verbs::Birth;
use crate::name::IfName;
use crate::plan::{Fact, Link, Op, Port};

/// Settings that a link is born with.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Address, MTU and state; master and index are filled in by who knows indices.
    pub birth: Birth,
    /// The bridge that it is a port of.
    pub master: Option<IfName>,
    /// The MTU that a bridge is given in a second request, before it has a port.
    pub mtu: Option<u32>,
    /// The operations that the request carries out as well, by their place in the plan.
    pub fused: Vec<usize>,
}

/// What is fused, for a whole plan.
#[derive(Debug, Default)]
pub struct Births {
    by_port: HashMap<Port, Settings>,
    fused: HashSet<usize>,
}

impl Births {
    /// Finds what can be fused.
    pub fn of(plan: &[Op]) -> Self {
        let mut births = Self::default();
        let (mut near, mut far) = (HashSet::new(), HashSet::new());
        let mut bridges = HashSet::new();
        for op in plan {
            let Op::Add(Fact::Link(port, link)) = op else { continue };
            near.insert(port);
            match link {
                Link::Bridge => {
                    bridges.insert(port);
                }
                Link::Veth { peer } => {
                    far.insert(peer);
                }
                Link::Other(_) => {}
            }
        }
        for (place, op) in plan.iter().enumerate() {
            let Op::Add(fact) = op else { continue };
            let Some(port) = fact.port() else { continue };
            let (near, far) = (near.contains(port), far.contains(port));
            match fact {
                Fact::Mtu(_, mtu) if near && bridges.contains(port) => births.unsettle(place, *mtu, port),
                _ if near || far => births.fuse(place, fact, port, near),
                _ => {}
            }
        }
        births
    }

    /// A bridge follows the MTU of its ports until its own is changed: so it is born with another one.
    fn unsettle(&mut self, place: usize, mtu: u32, port: &Port) {
        let settings = self.by_port.entry(port.clone()).or_default();
        settings.birth.mtu = Some(mtu - 1);
        settings.mtu = Some(mtu);
        settings.fused.push(place);
        self.fused.insert(place);
    }

    fn fuse(&mut self, place: usize, fact: &Fact, port: &Port, near: bool) {
        let settings = self.by_port.entry(port.clone()).or_default();
        match fact {
            Fact::Mac(_, mac) => settings.birth.mac = Some(*mac),
            Fact::Mtu(_, mtu) => settings.birth.mtu = Some(*mtu),
            Fact::Member(_, bridge) if near => settings.master = Some(bridge.clone()),
            Fact::Up(_) if near => settings.birth.up = true,
            // A request of its own.
            Fact::Member(..) | Fact::Up(_) | Fact::Stp(_) | Fact::Isolated(_) | Fact::Fdb(..) | Fact::Addr(..) => return,
            Fact::Netns(_) | Fact::Sysctl(..) | Fact::Link(..) | Fact::Route(..) => return,
        }
        settings.fused.push(place);
        self.fused.insert(place);
    }

    /// Whether the operation is carried out by the request that makes its link.
    pub fn is_fused(&self, place: usize) -> bool {
        self.fused.contains(&place)
    }

    /// What a link is born with.
    pub fn settings(&self, port: &Port) -> Settings {
        self.by_port.get(port).cloned().unwrap_or_default()
    }
}
