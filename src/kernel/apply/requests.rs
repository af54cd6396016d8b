//! The requests that carry a plan out: one for an operation, or for a link with all that it can be born with.

use std::collections::{HashMap, HashSet};

use crate::kernel::space::Space;
use crate::kernel::verbs::{self, Birth, Request, Route};
use crate::name::IfName;
use crate::plan::{Fact, Link, Op, Plan, Port};

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
    pub fn of(plan: &Plan) -> Self {
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
            Fact::Member(..)
            | Fact::Up(_)
            | Fact::Stp(_)
            | Fact::Isolated(_)
            | Fact::Fdb(..)
            | Fact::Addr(..)
            | Fact::Netns(_)
            | Fact::Sysctl(..)
            | Fact::Link(..)
            | Fact::Route(..) => return,
        }
        settings.fused.push(place);
        self.fused.insert(place);
    }

    /// Whether the operation is carried out by the request that makes its link.
    pub fn is_fused(&self, place: usize) -> bool {
        self.fused.contains(&place)
    }

    /// What a link is born with, if anything.
    pub fn settings(&self, port: &Port) -> Option<&Settings> {
        self.by_port.get(port)
    }
}

/// The request for an operation on what exists already; none where another step carries it out.
pub fn request(op: &Op, space: &Space) -> Option<Request> {
    let index = |dev: &IfName| space.index(dev);
    let at = |port: &Port| space.index(&port.dev);
    // Where the index was refused to a link in the same batch, another link may have it: settings are for that name.
    let named = |port: &Port, request: Request| verbs::named(request, &port.dev);
    Some(match op {
        Op::Add(fact) | Op::Set(fact) => match fact {
            Fact::Mac(port, mac) => named(port, verbs::set_mac(0, *mac)),
            Fact::Mtu(port, mtu) => named(port, verbs::set_mtu(0, *mtu)),
            Fact::Stp(port) => named(port, verbs::set_stp(0, true)),
            Fact::Member(port, bridge) => named(port, verbs::set_master(0, index(bridge))),
            Fact::Isolated(port) => named(port, verbs::set_isolated(0, true)),
            Fact::Fdb(port, mac) => verbs::add_fdb(at(port), *mac),
            Fact::Addr(port, net) => verbs::add_address(at(port), *net),
            Fact::Up(port) => named(port, verbs::set_up(0, true)),
            Fact::Route(_, table, to, metric, hop) => {
                let route = Route { table: *table, to: *to, metric: *metric, hop };
                if matches!(op, Op::Add(..)) { verbs::add_route(&route, &index) } else { verbs::replace_route(&route, &index) }
            }
            Fact::Netns(_) | Fact::Sysctl(..) | Fact::Link(..) => return None,
        },
        Op::Del(fact) => match fact {
            Fact::Mtu(port, _) => named(port, verbs::set_mtu(0, 1500)),
            Fact::Stp(port) => named(port, verbs::set_stp(0, false)),
            Fact::Member(port, _) => named(port, verbs::set_master(0, 0)),
            Fact::Isolated(port) => named(port, verbs::set_isolated(0, false)),
            Fact::Fdb(port, mac) => verbs::del_fdb(at(port), *mac),
            Fact::Addr(port, net) => verbs::del_address(at(port), *net),
            Fact::Up(port) => named(port, verbs::set_up(0, false)),
            Fact::Route(_, table, to, metric, hop) => {
                verbs::del_route(&Route { table: *table, to: *to, metric: *metric, hop }, &index)
            }
            // The first three by another step; a link keeps its Ethernet address.
            Fact::Netns(_) | Fact::Sysctl(..) | Fact::Link(..) | Fact::Mac(..) => return None,
        },
    })
}

/// The request that makes a link with everything fused into it; indices are assigned here.
pub fn birth(port: &Port, link: &Link, births: &Births, space: &mut Space, peer: Option<&mut Space>) -> Option<Request> {
    let born = |port: &Port| births.settings(port).map(|settings| settings.birth.clone()).unwrap_or_default();
    let master = births.settings(port).and_then(|settings| settings.master.as_ref());
    let near = Birth { master: master.map(|bridge| space.index(bridge)), index: space.assign(&port.dev), ..born(port) };
    Some(match link {
        Link::Bridge => verbs::add_bridge(&port.dev, &near),
        Link::Veth { peer: far_port } => {
            let mut far = born(far_port);
            let far_ns = if let Some(peer) = peer {
                far.index = peer.assign(&far_port.dev);
                Some(peer.fd())
            } else {
                far.index = space.assign(&far_port.dev);
                None
            };
            verbs::add_veth(&port.dev, &near, &far_port.dev, &far, far_ns)
        }
        Link::Other(_) => return None,
    })
}

/// The bare request for a link, nothing fused, to find out which part of a fused one fails.
pub fn bare(port: &Port, link: &Link, space: &mut Space, peer: Option<&mut Space>) -> Option<Request> {
    birth(port, link, &Births::default(), space, peer)
}
