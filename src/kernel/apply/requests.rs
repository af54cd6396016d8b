//! One operation, or a link with what is fused into it, as requests to the socket of its namespace.

use super::births::Births;
use crate::kernel::space::Space;
use crate::kernel::verbs::{self, Request, Route};
use crate::name::IfName;
use crate::plan::{Fact, Link, Op, Port};

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
    let mut near = births.settings(port);
    near.birth.master = near.master.as_ref().map(|bridge| space.index(bridge));
    near.birth.index = space.assign(&port.dev);
    Some(match link {
        Link::Bridge => verbs::add_bridge(&port.dev, &near.birth),
        Link::Veth { peer: far_port } => {
            let mut far = births.settings(far_port).birth;
            let far_ns = if let Some(peer) = peer {
                far.index = peer.assign(&far_port.dev);
                Some(peer.fd())
            } else {
                far.index = space.assign(&far_port.dev);
                None
            };
            verbs::add_veth(&port.dev, &near.birth, &far_port.dev, &far, far_ns)
        }
        Link::Other(_) => return None,
    })
}

/// The bare request for a link, nothing fused, to find out which part of a fused one fails.
pub fn bare(port: &Port, link: &Link, space: &mut Space, peer: Option<&mut Space>) -> Option<Request> {
    birth(port, link, &Births::default(), space, peer)
}
