//! `forwarding`: who forwards packets and who does not.

use super::Stage;
use super::verdict::Verdict;
use crate::probe::view::Place;
use crate::report::check::Evidence;
use crate::report::ping::Family;
use crate::topology::checks::{Forwarding, Machine};

pub(super) fn check(forwarding: &Forwarding, stage: &Stage<'_>) -> Verdict {
    let mut evidence = Vec::new();
    for (machines, wanted) in [(&forwarding.on, true), (&forwarding.off, false)] {
        for machine in machines {
            evidence.extend(one(machine, wanted, stage));
        }
    }
    evidence.into()
}

fn one(machine: &Machine, wanted: bool, stage: &Stage<'_>) -> Vec<Evidence> {
    let place = match stage.scene.machine(machine) {
        Ok(place) => place,
        Err(gone) => return vec![gone],
    };
    let node = machine.to_string();
    let wrong = |family| {
        let (on, ipv6) = (forwards(place, family), family == Family::Ipv6);
        match on {
            Some(on) if on == wanted => None,
            on => Some(Evidence::Forwards { node: node.clone(), ipv6, on }),
        }
    };
    stage.scene.families.iter().copied().filter_map(wrong).collect()
}

/// Of IPv4 every interface with an address may forward by itself where `all` does not.
fn forwards(place: &Place, family: Family) -> Option<bool> {
    if family == Family::Ipv6 {
        return place.node.forwarding.ipv6;
    }
    let all = place.node.forwarding.ipv4?;
    let mut with_address = place
        .tables
        .links
        .iter()
        .filter(|link| link.kind != "loopback" && link.addresses.iter().any(|address| address.net.addr().is_ipv4()))
        .peekable();
    let each = with_address.peek().is_some() && with_address.all(|link| link.forwarding4);
    Some(all || each)
}
