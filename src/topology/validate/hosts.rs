//! A host's bridges and their ports.

use std::collections::HashMap;

use crate::name::IfName;
use crate::problem::Problem;
use crate::topology::findings::Findings;
use crate::topology::place::{Part, Place, Places};
use crate::topology::{Bridge, Host, Topology};

/// A port belongs to one bridge, and has no address of its own.
pub(super) fn check(topology: &Topology, places: &Places, findings: &mut Findings) {
    for (index, host) in topology.hosts.iter().enumerate() {
        let mut taken: HashMap<&IfName, (&Bridge, Place)> = HashMap::new();
        for (number, bridge) in host.bridges.iter().enumerate() {
            for (port, name) in bridge.ports.iter().enumerate() {
                let place = Place::Host(index, Part::Port(number, port));
                if let Some((first, other)) = taken.get(name) {
                    let bridges = (first.name.to_string(), bridge.name.to_string());
                    let problem = Problem::PortTwice { port: name.to_string(), bridges };
                    findings.clash(&places.at(place), &places.at(*other), problem);
                    continue;
                }
                taken.insert(name, (bridge, place));
                no_address(index, host, bridge, name, (places, place), findings);
            }
        }
    }
}

fn no_address(
    index: usize,
    host: &Host,
    bridge: &Bridge,
    port: &IfName,
    (places, at): (&Places, Place),
    findings: &mut Findings,
) {
    let addressed = host.nics.iter().position(|nic| nic.name == *port && !nic.addresses.is_empty());
    if let Some(nic) = addressed {
        let problem = Problem::AddressOnPort { port: port.to_string(), bridge: bridge.name.to_string() };
        findings.clash(&places.at(Place::Host(index, Part::NicAddress(nic, 0))), &places.at(at), problem);
    }
}
