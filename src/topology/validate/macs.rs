//! MAC addresses, those of the file and those that nslab makes.

use std::collections::HashMap;

use crate::name::Mac;
use crate::problem::Problem;
use crate::topology::findings::Findings;
use crate::topology::place::{Part, Place, Places};
use crate::topology::{Attach, Topology, mac};

/// An address in use, and where the file gives it.
type Used = (Mac, Option<Place>);

/// No address twice in a lab, and none that no NIC may have.
pub(super) fn check(topology: &Topology, places: &Places, findings: &mut Findings) {
    let used = used(topology);
    let mut owners: HashMap<Mac, Vec<Option<Place>>> = HashMap::with_capacity(used.len());
    for &(mac, place) in &used {
        if let Some(place) = place {
            refuse(mac, place, places, findings);
        }
        owners.entry(mac).or_default().push(place);
    }
    let clashing = owners.into_iter().filter(|(mac, owners)| mac.is_unicast() && owners.len() > 1);
    for (mac, owners) in clashing {
        let given: Vec<Place> = owners.iter().copied().flatten().collect();
        match given.as_slice() {
            [] => {}
            [only] => findings.add(&places.at(*only), Problem::DuplicateMac(mac)),
            [first, others @ ..] => {
                for &other in others {
                    findings.clash(&places.at(other), &places.at(*first), Problem::DuplicateMac(mac));
                }
            }
        }
    }
}

fn refuse(mac: Mac, place: Place, places: &Places, findings: &mut Findings) {
    if mac.0 == [0; 6] {
        findings.add(&places.at(place), Problem::ZeroMac);
    } else if !mac.is_unicast() {
        findings.add(&places.at(place), Problem::MulticastMac(mac));
    }
}

fn used(topology: &Topology) -> Vec<Used> {
    let mut used = Vec::new();
    for network in 1..=topology.networks.len() {
        used.extend(u16::try_from(network).ok().map(|network| (mac::switch(network), None)));
    }
    for (index, host) in topology.hosts.iter().enumerate() {
        for (number, nic) in host.nics.iter().enumerate() {
            let place = nic.mac.map(|_| Place::Host(index, Part::NicMac(number)));
            used.push((mac::of_nic(host.number, 0, nic), place));
            used.push((mac::switch_port(host.number, nic.number), None));
        }
        for (number, bridge) in host.bridges.iter().enumerate() {
            let place = bridge.mac.map(|_| Place::Host(index, Part::BridgeMac(number)));
            used.push((mac::of_bridge(host.number, bridge), place));
        }
        for (number, container) in host.containers.iter().enumerate() {
            for (nic, of) in container.nics.iter().enumerate() {
                let place = of.mac.map(|_| Place::Container(index, number, Part::NicMac(nic)));
                used.push((mac::of_nic(host.number, container.number, of), place));
                let end = matches!(&of.attach, Attach::Host(end) if end.mac.is_some());
                let place = end.then_some(Place::Container(index, number, Part::EndMac(nic)));
                used.push((mac::of_host_end(host.number, container.number, of), place));
            }
        }
    }
    used
}
