//! Carrying a plan out on the kernel.
//!
//! Indices of links are chosen without a look-up in between, so that a link whose index somebody took meanwhile (a module that
//! puts devices into every namespace at once, or a hand) shows only when the kernel refuses it. What is left of the plan is then
//! carried out with other indices.

mod containers;
mod parts;
mod requests;
mod run;
mod taken;

use std::sync::atomic::Ordering;

use parts::divide;
use requests::Births;
use run::Run;

use super::backend::Scope;
use super::observe;
use super::space::Pins;
use super::teardown;
use crate::error::Result;
use crate::plan::{Fact, Op, Plan, State};

/// So often a plan is carried on; the first time the next indices are taken, then ones further and further off.
const ROUNDS: u32 = 8;

/// Carries a plan out.
pub fn carry_out(plan: &Plan, pins: &Pins, tell: &mut dyn FnMut(&Op)) -> Result<()> {
    let (mut result, mut taken) = all(plan, pins, 0, tell);
    let mut left = None;
    for round in 0..ROUNDS - 1 {
        if result.is_ok() || !taken {
            break;
        }
        let plan = left.as_ref().unwrap_or(plan);
        let next = rest(plan, &observe::observe(pins, &scope(plan))?);
        // What is left was told before, or is told at the end of it all.
        (result, taken) = all(&next, pins, round, &mut |_| {});
        left = Some(next);
    }
    result
}

/// Carries the whole plan out; whether an index was refused.
fn all(plan: &Plan, pins: &Pins, round: u32, tell: &mut dyn FnMut(&Op)) -> (Result<()>, bool) {
    let (parts, births) = (divide(plan), Births::of(plan));
    let mut run = Run::new(plan, &births, pins, round);
    let mut steps = || {
        run.open_existing(&parts)?;
        run.sequence(&parts.dels, tell)?;
        teardown::namespaces(plan, &parts.dels, pins, tell)?;
        containers::make(&mut run, &parts, tell)?;
        run.sequence(&parts.tail, tell)?;
        run.settle(&parts.head)
    };
    let result = steps();
    (result, run.taken.load(Ordering::Relaxed))
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::plan::{Link, NodeId, Ns, Port};

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
