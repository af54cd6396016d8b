//! The way of packets on paper: rules of forwarding, causes of death, and that no damage to the tables is too much.

#![allow(clippy::unwrap_used, reason = "tests")]

mod bench;
mod causes;
mod mutations;
mod rules;

use std::net::IpAddr;

use super::{Prediction, Probe, predict};
use crate::probe::view::View;
use crate::report::trace::{Cause, Deed, Leg};

const PROBE: Probe = Probe { size: 84, ttl: 64, may_fragment: true, source: None };

fn ask(view: &View, from: &str, to: &str) -> Prediction {
    predict(view, &bench::node(from), to.parse::<IpAddr>().unwrap(), &PROBE)
}

/// The nodes that a request comes to, with the interfaces and the time to live of the frame that follows.
fn way(prediction: &Prediction) -> Vec<String> {
    let visit = |visit: &crate::report::trace::Visit| {
        let end = |end: &Option<String>| end.clone().unwrap_or_else(|| "-".to_owned());
        let ttl = visit.frame.as_ref().map_or_else(|| "-".to_owned(), |frame| frame.ttl.to_string());
        let deed = match &visit.deed {
            Deed::Sends(_) => "sends",
            Deed::Bridges { .. } => "bridges",
            Deed::Passes { .. } => "passes",
            Deed::Routes { .. } => "routes",
            Deed::Receives => "receives",
            Deed::Drops => "drops",
        };
        format!("{} {deed} {} {} {ttl}", visit.node, end(&visit.enters), end(&visit.leaves))
    };
    prediction.request.visits.iter().map(visit).collect()
}

/// Which of the two dies, and of what.
fn death(prediction: &Prediction) -> (Leg, &Cause) {
    let death = prediction.death.as_ref().unwrap_or_else(|| panic!("it lives: {prediction:#?}"));
    assert!(!death.certain);
    (death.leg, &death.cause)
}
