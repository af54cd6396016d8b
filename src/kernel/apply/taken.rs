//! A link whose index somebody took meanwhile: a module that puts devices into every namespace at once, or a hand.
//!
//! Indices are chosen without a look-up in between, so this shows only when the kernel refuses the link. What is left of the
//! plan is then carried out with other indices.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::LinkAttribute;
use nix::errno::Errno;

use super::Run;
use crate::error::Result;
use crate::kernel::backend::Scope;
use crate::kernel::observe;
use crate::kernel::socket::Refusal;
use crate::kernel::space::{Pins, Space, all_links};
use crate::kernel::verbs;
use crate::plan::{Fact, Op, Plan, Port, State};

/// So often a plan is carried on; the first time the next indices are taken, then ones further and further off.
const ROUNDS: u32 = 8;

/// Carries a plan out.
pub fn carry_out(plan: &Plan, pins: &Pins, tell: &mut dyn FnMut(&Op)) -> Result<()> {
    let run = Run::new(plan, pins, 0);
    let taken = run.taken.clone();
    let mut result = run.all(tell);
    let mut left = None;
    for round in 1..ROUNDS {
        if result.is_ok() || !taken.swap(false, Ordering::Relaxed) {
            break;
        }
        let plan = left.as_ref().unwrap_or(plan);
        let next = rest(plan, &observe::observe(pins, &scope(plan))?);
        let mut run = Run::new(&next, pins, round - 1);
        run.taken = taken.clone();
        // What is left was told before, or is told at the end of it all.
        result = run.all(&mut |_| {});
        left = Some(next);
    }
    result
}

/// Where the plan works, and what it is about.
fn scope(plan: &Plan) -> Scope {
    let mut scope = Scope::default();
    for op in plan {
        let peer = if let Fact::Link(_, link) = op.fact() { link.peer().map(|peer| &peer.ns) } else { None };
        scope.spaces.extend(std::iter::once(op.fact().ns()).chain(peer).cloned());
    }
    let (dels, news): (Vec<&Op>, Vec<&Op>) = plan.iter().partition(|op| matches!(op, Op::Del(_)));
    scope.expected.extend(dels.into_iter().chain(news).map(|op| op.fact().clone()));
    scope
}

/// What of a plan is still to be done.
fn rest(plan: &Plan, seen: &State) -> Plan {
    let todo = |op: &&Op| match op {
        Op::Add(fact) | Op::Set(fact) => !seen.holds(fact),
        Op::Del(fact) => seen.holds(fact),
    };
    plan.iter().filter(todo).cloned().collect()
}

/// Whether it was the index of a link that was refused. Addresses that followed the request in its batch went to the link that has
/// the index, and are taken off it: whatever else follows names its link by name, or is refused.
pub fn is_index(plan: &Plan, refusals: &[Refusal], space: &mut Space) -> bool {
    let Some((_, first)) = refusals.first().and_then(|first| ends(plan, first)) else { return false };
    let Ok(names) = names(space) else { return false };
    let errno = refusals.first().map(|first| first.errno);
    let mut found = false;
    for port in refusals.iter().filter_map(|refusal| ends(plan, refusal)).flat_map(|(peer, port)| peer.into_iter().chain([port]))
    {
        let index = space.index(&port.dev);
        if names.get(&index).is_some_and(|name| name != port.dev.as_str()) {
            found = true;
            take_off(plan, port, index, space);
        }
    }
    // Of an index here the kernel says EEXIST, or EINVAL where the link that has it has longer addresses; of one in the other end's
    // namespace EBUSY.
    let elsewhere = matches!(errno, Some(Errno::EEXIST | Errno::EBUSY)) && !names.values().any(|name| name == first.dev.as_str());
    found || elsewhere
}

/// The ends in this namespace of the link that was refused.
fn ends<'a>(plan: &'a Plan, refusal: &Refusal) -> Option<(Option<&'a Port>, &'a Port)> {
    let Op::Add(Fact::Link(port, link)) = &plan[refusal.tag] else { return None };
    Some((link.peer().filter(|peer| peer.ns == port.ns), port))
}

fn names(space: &mut Space) -> std::result::Result<HashMap<u32, String>, Errno> {
    let mut names = HashMap::new();
    for message in space.socket.dump(&all_links())? {
        let RouteNetlinkMessage::NewLink(link) = message else { continue };
        let name = link.attributes.into_iter().find_map(|attribute| match attribute {
            LinkAttribute::IfName(name) => Some(name),
            _ => None,
        });
        names.insert(link.header.index, name.unwrap_or_default());
    }
    Ok(names)
}

fn take_off(plan: &Plan, port: &Port, index: u32, space: &mut Space) {
    for op in plan {
        if let Op::Add(Fact::Addr(at, net)) = op
            && at == port
        {
            let (payload, flags) = verbs::del_address(index, *net);
            // Most are refused: they were not sent yet.
            let _ = space.socket.push(payload, flags, 0);
        }
    }
    let _ = space.socket.flush();
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::plan::{Link, NodeId, Ns};

    fn port(dev: &str) -> Port {
        Port { ns: Ns::Node(NodeId::Host("a".parse().unwrap())), dev: dev.parse().unwrap() }
    }

    #[test]
    fn what_is_done_is_not_done_again_and_what_another_has_made_of_it_is_no_reason_to_delete() {
        let bridge = |dev: &str| Fact::Link(port(dev), Link::Bridge);
        let other = Fact::Link(port("br0"), Link::Other("tun".to_owned()));
        let (up, mtu) = (Fact::Up(port("eth0")), |mtu| Fact::Mtu(port("eth0"), mtu));
        let plan =
            vec![Op::Del(other.clone()), Op::Del(up.clone()), Op::Add(bridge("br0")), Op::Add(bridge("br1")), Op::Set(mtu(1400))];
        let seen = State::from([bridge("br0"), up, mtu(1500)]);
        assert_eq!(rest(&plan, &seen), [plan[1].clone(), plan[3].clone(), plan[4].clone()]);
        let before = State::from([other]);
        assert_eq!(rest(&plan, &before), [plan[0].clone(), plan[2].clone(), plan[3].clone(), plan[4].clone()]);
    }
}
