//! One operation, or a link with what is fused into it, as requests to the socket of its namespace.

use super::births::Births;
use crate::kernel::space::Space;
use crate::kernel::verbs::{self, Request, Route};
use crate::name::IfName;
use crate::plan::{Key, Link, Op, Port, Value};

/// The request for an operation on what exists already; none where another step carries it out.
pub fn request(op: &Op, space: &Space) -> Option<Request> {
    let index = |dev: &IfName| space.index(dev);
    let at = |port: &Port| space.index(&port.dev);
    // Where the index was refused to a link in the same batch, another link may have it: settings are for that name.
    let named = |port: &Port, request: Request| verbs::named(request, &port.dev);
    Some(match op {
        Op::Add(key, value) | Op::Set(key, value) => match (key, value) {
            (Key::Mac(port), Value::Mac(mac)) => named(port, verbs::set_mac(0, *mac)),
            (Key::Mtu(port), Value::Number(mtu)) => named(port, verbs::set_mtu(0, *mtu)),
            (Key::Stp(port), _) => named(port, verbs::set_stp(0, true)),
            (Key::Member(port), Value::Master(bridge)) => named(port, verbs::set_master(0, index(bridge))),
            (Key::Isolated(port), _) => named(port, verbs::set_isolated(0, true)),
            (Key::Fdb(port, mac), _) => verbs::add_fdb(at(port), *mac),
            (Key::Addr(port, net), _) => verbs::add_address(at(port), *net),
            (Key::Up(port), _) => named(port, verbs::set_up(0, true)),
            (Key::Route(_, table, to, metric), Value::Route(hop)) => {
                let route = Route { table: *table, to: *to, metric: *metric, hop };
                if matches!(op, Op::Add(..)) { verbs::add_route(&route, &index) } else { verbs::replace_route(&route, &index) }
            }
            _ => return None,
        },
        Op::Del(key, value) => match (key, value) {
            (Key::Mtu(port), _) => named(port, verbs::set_mtu(0, 1500)),
            (Key::Stp(port), _) => named(port, verbs::set_stp(0, false)),
            (Key::Member(port), _) => named(port, verbs::set_master(0, 0)),
            (Key::Isolated(port), _) => named(port, verbs::set_isolated(0, false)),
            (Key::Fdb(port, mac), _) => verbs::del_fdb(at(port), *mac),
            (Key::Addr(port, net), _) => verbs::del_address(at(port), *net),
            (Key::Up(port), _) => named(port, verbs::set_up(0, false)),
            (Key::Route(_, table, to, metric), Value::Route(hop)) => {
                verbs::del_route(&Route { table: *table, to: *to, metric: *metric, hop }, &index)
            }
            _ => return None,
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
