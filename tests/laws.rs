//! The laws of the planner, on random labs and the model of the kernel. No root needed.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/model.rs"]
#[allow(dead_code)]
mod model;
#[path = "support/random.rs"]
#[allow(dead_code)]
mod random;

use std::sync::OnceLock;

use model::Model;
use nslab::kernel::{Backend, Scope};
use nslab::plan::hand::{OfPort, OfSpace, PortOption, Turned};
use nslab::plan::{Fact, Link, NodeId, Ns, Op, Plan, Port, State, compile, diff};
use nslab::topology::{Topology, parse};
use random::Dice;

/// Labs per law.
const LABS: u64 = 2000;

/// The lab of a seed; each is read once for all laws.
fn topology(seed: u64) -> Topology {
    static LABS_READ: OnceLock<Vec<Topology>> = OnceLock::new();
    let read = |seed| {
        let yaml = random::lab(seed).yaml;
        parse("random.yaml", &yaml, &[]).unwrap_or_else(|error| panic!("seed {seed}: {error:?}\n{yaml}"))
    };
    LABS_READ.get_or_init(|| (0..=LABS).map(read).collect())[usize::try_from(seed).unwrap()].clone()
}

fn apply(model: &mut Model, plan: &Plan) {
    model.apply(plan, &mut |_| {}).unwrap_or_else(|error| panic!("{error:?}\nin {plan:#?}"));
}

fn built(state: &State) -> Model {
    let mut model = Model::default();
    apply(&mut model, &diff(&State::new(), state));
    model
}

/// Namespaces that a state speaks of.
fn spaces(state: &State) -> std::collections::BTreeSet<Ns> {
    state.iter().map(|fact| fact.ns().clone()).collect()
}

/// What somebody makes by hand in some of the lab's namespaces: a bridge with an address, a pair, a route.
fn by_hand(state: &State, dice: &mut Dice) -> State {
    let mut hand = State::new();
    for ns in spaces(state).into_iter().filter(|ns| !matches!(ns, Ns::Root)) {
        if dice.roll(2) == 0 {
            continue;
        }
        let port = |dev: &str| Port { ns: ns.clone(), dev: dev.parse().unwrap() };
        hand.insert(Fact::Link(port("mine"), Link::Bridge));
        hand.insert(Fact::Addr(port("mine"), "172.31.0.1/24".parse().unwrap()));
        hand.insert(Fact::Up(port("mine")));
        hand.insert(Fact::Link(port("pair0"), Link::Veth { peer: port("pair1") }));
        let route = nslab::plan::RouteTo::Dev("mine".parse().unwrap());
        hand.insert(Fact::Route(ns.clone(), 254, "172.30.0.0/16".parse().unwrap(), 0, route));
    }
    hand
}

#[test]
fn up_builds_exactly_the_state_and_up_again_is_an_empty_plan() {
    for seed in 0..LABS {
        let state = compile(&topology(seed));
        let model = built(&state);
        assert_eq!(model.state, state, "seed {seed}");
        assert_eq!(diff(&model.state, &state), Plan::new(), "seed {seed}");
    }
}

#[test]
fn from_any_lab_to_any_other_in_one_pass() {
    for seed in 0..LABS {
        let a = topology(seed);
        let mut b = topology(seed + 1);
        b.inherit(&a);
        let (from, to) = (compile(&a), compile(&b));
        let mut model = built(&from);
        apply(&mut model, &diff(&from, &to));
        assert_eq!(model.state, to, "seed {seed}");
    }
}

#[test]
fn a_cut_after_any_operation_is_healed_by_down_and_by_up() {
    for seed in 0..LABS {
        let mut dice = Dice::new(seed ^ 0x00c0_ffee);
        let a = topology(seed);
        let mut b = topology(seed + 1);
        b.inherit(&a);
        let (from, to) = (compile(&a), compile(&b));
        let plan = diff(&from, &to);
        if plan.is_empty() {
            continue;
        }
        let mut model = built(&from);
        model.cut_after = Some(usize::try_from(dice.roll(plan.len() as u64)).unwrap());
        assert!(model.apply(&plan, &mut |_| {}).is_err());
        model.cut_after = None;
        let mut owned = from.clone();
        owned.extend(to.clone());

        let mut upwards = model.clone();
        let scope = Scope { spaces: spaces(&owned), expected: owned.clone(), pins_only: false, hands: false };
        let seen = upwards.observe(&scope).unwrap();
        let from: State = seen.into_iter().filter(|fact| owned.has(fact.slot())).collect();
        apply(&mut upwards, &diff(&from, &to));
        assert_eq!(upwards.state, to, "up after a cut, seed {seed}");

        let scope = Scope { pins_only: true, ..scope };
        let pins = model.observe(&scope).unwrap();
        apply(&mut model, &diff(&pins, &State::new()));
        assert_eq!(model.state, State::new(), "down after a cut, seed {seed}");
    }
}

#[test]
fn what_was_made_by_hand_survives_everything_but_the_end_of_its_namespace() {
    for seed in 0..LABS {
        let mut dice = Dice::new(seed ^ 0xfade);
        let a = topology(seed);
        let mut b = topology(seed + 1);
        b.inherit(&a);
        let (from, to) = (compile(&a), compile(&b));
        let hand = by_hand(&from, &mut dice);
        let mut model = built(&from);
        apply(&mut model, &diff(&State::new(), &hand));

        let mut owned = from.clone();
        owned.extend(to.clone());
        let scope = Scope { spaces: spaces(&owned), expected: owned.clone(), pins_only: false, hands: false };
        let seen = model.observe(&scope).unwrap();
        let ours: State = seen.into_iter().filter(|fact| owned.has(fact.slot())).collect();
        apply(&mut model, &diff(&ours, &to));
        let alive = spaces(&to);
        let kept: State = hand.into_iter().filter(|fact| alive.contains(fact.ns())).collect();
        for fact in &kept {
            assert_eq!(model.state.get(fact.slot()), Some(fact), "seed {seed}: {fact:?}");
        }
        assert_eq!(model.state.len(), to.len() + kept.len(), "seed {seed}");
    }
}

#[test]
fn no_operation_on_the_way_down_concerns_anything_but_namespaces() {
    for seed in 0..200 {
        let state = compile(&topology(seed));
        let pins: State = state.into_iter().filter(|fact| matches!(fact, Fact::Netns(_))).collect();
        let plan = diff(&pins, &State::new());
        assert!(
            plan.iter().all(|op| matches!(
                op,
                Op::Del(Fact::Netns(Ns::Node(NodeId::Host(_) | NodeId::Container(..) | NodeId::Switch(_))))
            ))
        );
    }
}

#[test]
fn what_hands_have_changed_is_undone_and_nothing_else_is_touched() {
    let turned = Turned { now: 1, fresh: 0, guessed: false };
    for seed in 0..LABS {
        let state = compile(&topology(seed));
        let mut changed = state.clone();
        changed.extend(spaces(&state).into_iter().map(|ns| Fact::OfSpace(ns, OfSpace::PolicyDefault(1))));
        let port = |fact: &Fact| fact.port().filter(|port| port.ns != Ns::Root).cloned();
        changed
            .extend(state.iter().filter_map(port).map(|port| Fact::OfPort(port, OfPort::Option(PortOption::Isolated, turned))));
        let plan = diff(&changed, &state);
        assert_eq!(plan.len(), changed.len() - state.len(), "seed {seed}");
        assert!(plan.iter().all(|op| matches!(op, Op::Del(Fact::OfSpace(..) | Fact::OfPort(..)))), "seed {seed}: {plan:?}");
        let mut model = built(&changed);
        apply(&mut model, &plan);
        assert_eq!(model.state, state, "seed {seed}");
        assert_eq!(
            diff(&changed, &State::new()).iter().filter(|op| op.fact().is_by_hand()).count(),
            roots(&changed),
            "seed {seed}"
        );
    }
}

/// What of the machine itself has to be undone by itself: all else goes with its namespace.
fn roots(state: &State) -> usize {
    state.iter().filter(|fact| fact.is_by_hand() && *fact.ns() == Ns::Root).count()
}
