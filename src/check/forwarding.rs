//! `forwarding`: who forwards packets and who does not.

use super::Stage;
use super::verdict::Verdict;
use crate::kernel::tables::Link;
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
        let (on, ipv6) = (forwards(place, family, wanted), family == Family::Ipv6);
        match on {
            Some(on) if on == wanted => None,
            on => Some(Evidence::Forwards { node: node.clone(), ipv6, on }),
        }
    };
    stage.scene.families.iter().copied().filter_map(wrong).collect()
}

/// Of IPv4 an interface may forward by itself where `all` does not: who is to forward does so with every one that has an address,
/// who is not to with none.
fn forwards(place: &Place, family: Family, wanted: bool) -> Option<bool> {
    if family == Family::Ipv6 {
        return place.node.forwarding.ipv6;
    }
    let all = place.node.forwarding.ipv4?;
    let counts = |link: &&Link| link.kind != "loopback" && link.addresses.iter().any(|address| address.net.addr().is_ipv4());
    let mut each = place.tables.links.iter().filter(counts).map(|link| link.forwarding4).peekable();
    let alone = if wanted { each.peek().is_some() && each.all(|on| on) } else { each.any(|on| on) };
    Some(all || alone)
}
