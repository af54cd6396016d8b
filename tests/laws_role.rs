//! The laws of the planner where the machine itself is a host: its own facts come back, and nobody else's are touched.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/model.rs"]
#[allow(dead_code)]
mod model;
#[path = "support/random.rs"]
#[allow(dead_code)]
mod random;

use std::collections::BTreeSet;

use model::Model;
use nslab::kernel::{Backend, Scope};
use nslab::name::IfName;
use nslab::plan::{Fact, Link, Ns, Plan, Port, RouteTo, Slot, State, Sysctl, compile, diff};
use nslab::topology::{Nics, Topology, parse};
use random::Dice;

/// Labs per law.
const LABS: u64 = 600;

fn topology(seed: u64) -> Topology {
    let yaml = random::lab(seed).yaml;
    parse("random.yaml", &yaml, &[]).unwrap_or_else(|error| panic!("seed {seed}: {error:?}\n{yaml}"))
}

fn root(dev: &str) -> Port {
    Port { ns: Ns::Root, dev: dev.parse().unwrap() }
}

/// A role in a lab and in a changed one, and the machine that plays it.
struct Stage {
    from: State,
    to: State,
    nics: BTreeSet<Port>,
    /// What holds of the lab's own keys before.
    baseline: State,
    /// What holds beside.
    foreign: State,
}

/// None where the changed lab has no such host, or names a link like a real NIC: `up` refuses that.
fn stage(seed: u64) -> Option<Stage> {
    let mut dice = Dice::new(seed ^ 0x0707);
    let a = topology(seed);
    let mut b = topology(seed + 1);
    b.inherit(&a);
    let role = &a.hosts[usize::try_from(dice.roll(a.hosts.len() as u64)).unwrap()].name;
    let real = |name: &IfName| -> IfName { format!("r-{name}").chars().take(15).collect::<String>().parse().unwrap() };
    let played = |whole: &Topology| {
        let host = whole.host(role.as_str())?;
        let nics: Nics = host.nics.iter().map(|nic| (nic.name.clone(), real(&nic.name))).collect();
        let mut mine = whole.part(role, &nics)?;
        if seed.is_multiple_of(3) {
            mine.keep_default(whole, true);
        }
        Some(mine)
    };
    let (a, b) = (played(&a)?, played(&b)?);
    let port = |nic: &nslab::topology::Nic| Port { ns: Ns::Root, dev: nic.name.clone() };
    let nics: BTreeSet<Port> = a.hosts[0].nics.iter().chain(&b.hosts[0].nics).map(port).collect();
    let (from, to) = (compile(&a), compile(&b));
    if from.links().chain(to.links()).any(|(port, _)| nics.contains(port)) {
        return None;
    }
    let mut baseline = State::new();
    for fact in from.iter().chain(&to) {
        baseline.insert(match fact {
            Fact::Sysctl(Ns::Root, setting, _) => Fact::Sysctl(Ns::Root, *setting, u32::from(dice.roll(2) == 0)),
            Fact::Mtu(port, _) if nics.contains(port) => Fact::Mtu(port.clone(), 1500),
            Fact::Up(port) if nics.contains(port) && seed.is_multiple_of(2) => fact.clone(),
            _ => continue,
        });
    }
    let foreign = State::from([
        Fact::Link(root("docker0"), Link::Bridge),
        Fact::Up(root("docker0")),
        Fact::Addr(root("docker0"), "172.31.0.1/16".parse().unwrap()),
        Fact::Route(Ns::Root, 77, "172.30.0.0/16".parse().unwrap(), 0, RouteTo::Dev("docker0".parse().unwrap())),
        Fact::Sysctl(Ns::Root, Sysctl::RpFilterAll, 2),
    ]);
    Some(Stage { from, to, nics, baseline, foreign })
}

fn apply(model: &mut Model, plan: &Plan) {
    model.apply(plan, &mut |_| {}).unwrap_or_else(|error| panic!("{error:?}\nin {plan:#?}"));
}

fn over(below: &State, above: &State) -> State {
    below.iter().chain(above).cloned().collect()
}

impl Stage {
    fn machine(&self) -> Model {
        let mut links = self.nics.clone();
        links.insert(root("docker0"));
        Model::machine(links, over(&self.foreign, &self.baseline))
    }

    /// What the lab owns, as it is now.
    fn seen(&self, model: &mut Model) -> State {
        let mut expected = over(&self.from, &self.to);
        expected.extend(self.baseline.clone());
        let spaces = expected.iter().map(|fact| fact.ns().clone()).collect();
        let scope = Scope { spaces, expected, pins_only: false, hands: false };
        let seen = model.observe(&scope).unwrap();
        seen.into_iter().filter(|fact| scope.expected.has(fact.slot())).collect()
    }

    fn up(&self, model: &mut Model, described: &State) {
        let plan = diff(&self.seen(model), &over(&self.baseline, described));
        apply(model, &plan);
    }

    fn down(&self, model: &mut Model) {
        let plan = diff(&self.seen(model), &self.baseline);
        apply(model, &plan);
    }

    fn expect(&self, model: &Model, described: &State, what: &str) {
        let expected = over(&over(&self.foreign, &self.baseline), described);
        assert_eq!(model.state, expected, "{what}");
    }
}

#[test]
fn a_role_is_built_changed_and_taken_down_in_one_pass_each() {
    let mut played = 0;
    for seed in 0..LABS {
        let Some(stage) = stage(seed) else { continue };
        played += 1;
        let mut machine = stage.machine();
        stage.up(&mut machine, &stage.from);
        stage.expect(&machine, &stage.from, &format!("up, seed {seed}"));
        assert_eq!(diff(&stage.seen(&mut machine), &over(&stage.baseline, &stage.from)), Plan::new(), "seed {seed}");
        stage.up(&mut machine, &stage.to);
        stage.expect(&machine, &stage.to, &format!("changed, seed {seed}"));
        stage.down(&mut machine);
        stage.expect(&machine, &State::new(), &format!("down, seed {seed}"));
    }
    assert!(played > LABS / 10, "only {played} labs had a role to play");
}

#[test]
fn a_cut_after_any_operation_of_a_role_is_healed_by_down_and_by_up() {
    for seed in 0..LABS {
        let Some(stage) = stage(seed) else { continue };
        let mut dice = Dice::new(seed ^ 0x0c07);
        let mut machine = stage.machine();
        stage.up(&mut machine, &stage.from);
        let plan = diff(&stage.seen(&mut machine), &over(&stage.baseline, &stage.to));
        if plan.is_empty() {
            continue;
        }
        machine.cut_after = Some(usize::try_from(dice.roll(plan.len() as u64)).unwrap());
        assert!(machine.apply(&plan, &mut |_| {}).is_err());
        machine.cut_after = None;
        let mut upwards = machine.clone();
        stage.up(&mut upwards, &stage.to);
        stage.expect(&upwards, &stage.to, &format!("up after a cut, seed {seed}"));
        stage.down(&mut machine);
        stage.expect(&machine, &State::new(), &format!("down after a cut, seed {seed}"));
    }
}

#[test]
fn the_own_namespace_of_the_machine_is_no_fact_and_never_ends() {
    for seed in 0..LABS {
        let Some(stage) = stage(seed) else { continue };
        for state in [&stage.from, &stage.to] {
            assert!(!state.has(Slot::Netns(&Ns::Root)));
            for op in diff(state, &State::new()).iter().chain(&diff(&State::new(), state)) {
                assert!(!matches!(op.fact(), Fact::Netns(Ns::Root)));
            }
        }
    }
}
