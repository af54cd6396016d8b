//! Which settings of a link are fused into the request that makes it.

use std::collections::{HashMap, HashSet};

use crate::kernel::verbs::Birth;
use crate::name::IfName;
use crate::plan::{Key, Link, Op, Port, Value};

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
            let Op::Add(Key::Link(port), Value::Link(link)) = op else { continue };
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
            let Some(port) = op.key().port().filter(|_| matches!(op, Op::Add(..))) else { continue };
            let (near, far) = (near.contains(port), far.contains(port));
            if near && bridges.contains(port) && matches!(op.key(), Key::Mtu(_)) {
                births.unsettle(place, op, port);
            } else if near || far {
                births.fuse(place, op, port, near);
            }
        }
        births
    }

    /// A bridge follows the MTU of its ports until its own is changed: so it is born with another one.
    fn unsettle(&mut self, place: usize, op: &Op, port: &Port) {
        let Value::Number(mtu) = op.value() else { return };
        let settings = self.by_port.entry(port.clone()).or_default();
        settings.birth.mtu = Some(mtu - 1);
        settings.mtu = Some(*mtu);
        settings.fused.push(place);
        self.fused.insert(place);
    }

    fn fuse(&mut self, place: usize, op: &Op, port: &Port, near: bool) {
        let settings = self.by_port.entry(port.clone()).or_default();
        match (op.key(), op.value()) {
            (Key::Mac(_), Value::Mac(mac)) => settings.birth.mac = Some(*mac),
            (Key::Mtu(_), Value::Number(mtu)) => settings.birth.mtu = Some(*mtu),
            (Key::Member(_), Value::Master(bridge)) if near => settings.master = Some(bridge.clone()),
            (Key::Up(_), _) if near => settings.birth.up = true,
            _ => return,
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
