//! A lab broken on purpose, and what the tables foresee of it.

use std::net::IpAddr;

use nslab::lab::Subject;
use nslab::probe::cure::{Goal, with_cures};
use nslab::probe::predict::{Prediction, Probe, predict};
use nslab::probe::view::View;
use nslab::report::trace::Direction;
use serde_json::Value;

use super::{in_box, inside, ok, wait_for};

/// One lab with something wrong in it.
pub struct Case<'a> {
    pub topology: &'a str,
    /// Scripts and the nodes that they run in.
    pub wrong: &'a [(&'a str, &'a str)],
    pub from: &'a str,
    pub to: &'a str,
    pub leg: Direction,
    /// Values of the cause, as JSON.
    pub cause: &'a str,
    /// Bytes of the packet, and whether it may be cut.
    pub size: (u32, bool),
    /// The commands bring the answer; else the packet can only die of something else.
    pub cured: bool,
}

pub const CASE: Case<'_> = Case {
    topology: "routed",
    wrong: &[],
    from: "host-a.a1",
    to: "10.2.0.2",
    leg: Direction::Request,
    cause: "{}",
    size: (84, true),
    cured: true,
};
pub const BRIDGED: Case<'_> = Case { topology: "bridged", to: "10.0.0.21", ..CASE };

pub fn look(lab: &str) -> View {
    let labs = nslab::lab::names();
    let mut view = View::look(&Subject::new(labs.iter().find(|entry| entry.lab == lab).unwrap().clone())).unwrap();
    let all: Vec<String> = view.places.iter().map(|place| place.node.node.clone()).collect();
    view.read_settings(&all).unwrap();
    view
}

pub fn foresee(lab: &str, case: &Case<'_>) -> Prediction {
    let view = look(lab);
    let to: IpAddr = case.to.parse().unwrap();
    let from = &view.places.iter().find(|place| place.node.node == case.from).unwrap().id;
    let probe = Probe { size: case.size.0, ttl: 64, may_fragment: case.size.1, source: None };
    with_cures(
        &view,
        &Goal { from, to, probe: &probe, transport: nslab::report::probe::Transport::Icmp },
        predict(&view, from, to, &probe),
    )
}

pub fn answered(lab: &str, case: &Case<'_>) -> bool {
    let header = if case.to.contains(':') { 48 } else { 28 };
    let cut = if case.size.1 { "dont" } else { "do" };
    let ping = format!("ping -n -c 2 -i 0.3 -W 2 -M {cut} -s {} {}", case.size.0 - header, case.to);
    inside(lab, case.from, &ping).code == 0
}

/// Applies the named commands until the prediction is an answer, a few times at most.
pub fn cure(lab: &str, case: &Case<'_>, first: Prediction) {
    let mut prediction = first;
    let mut tried = Vec::new();
    for _ in 0..4 {
        let Some(death) = prediction.death.take() else { break };
        tried.push(format!("{:?}: {:#?}", death.cause, death.cure));
        for line in &death.cure {
            ok(line.strip_prefix("sudo nslab ").unwrap());
        }
        prediction = foresee(lab, case);
    }
    assert!(prediction.death.is_none(), "{}: not cured\n{}\n{:#?}", case.cause, tried.join("\n"), prediction.death);
    // `ping` heeds the MTU that it learned while the way was narrow; nslab's own probe does not.
    inside(lab, case.from, "ip route flush cache; ip -6 route flush cache");
    // A question for a MAC address that nobody answered is asked again seconds later.
    assert!(wait_for(6, || answered(lab, case)), "{}: no answer after\n{}", case.cause, tried.join("\n"));
}

pub fn check(case: &Case<'_>) {
    ok(&format!("up {}", case.topology));
    let lab = case.topology.trim_start_matches("/run/").trim_end_matches(".yaml");
    for (node, script) in case.wrong {
        inside(lab, node, script).expect(0);
    }
    let prediction = foresee(lab, case);
    let death =
        prediction.death.as_ref().unwrap_or_else(|| panic!("{} in {lab}: no death is predicted: {prediction:#?}", case.cause));
    let told = serde_json::to_value(&death.cause).unwrap();
    let wanted: Value = serde_json::from_str(case.cause).unwrap();
    for (key, value) in wanted.as_object().unwrap() {
        assert_eq!(&told[key], value, "{} in {lab}: {death:#?}\n{:#?}", case.cause, prediction.request);
    }
    assert_eq!(death.leg, case.leg, "{}: {death:#?}", case.cause);
    assert!(!answered(lab, case), "{} in {lab}: it is answered all the same", case.cause);
    if case.cured {
        cure(lab, case, prediction);
    }
    ok(&format!("down {lab}"));
}

pub fn all(cases: &[Case<'_>]) {
    in_box(|| cases.iter().for_each(check));
}
