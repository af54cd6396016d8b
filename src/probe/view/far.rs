//! The half of a lab that is on another machine, as the file says, joined to what is here.

use std::collections::HashMap;
use std::net::IpAddr;

use super::{Place, paper};
use crate::kernel::inspect::report;
use crate::kernel::tables::{Far, Tables};
use crate::lab::Journal;
use crate::name::Mac;
use crate::plan::{Fact, Link, NodeId, Ns, Port, Slot, State, compile, compile_nodes};

/// Adds the nodes on other machines to those that are here, each network plugged in; what is described of all of them.
pub(super) fn join(journal: &Journal, places: &mut Vec<Place>) -> State {
    let mut described = compile_nodes(&journal.topology);
    let Some(role) = journal.topology.role.as_ref().filter(|_| journal.whole.is_some()) else { return described };
    let host = NodeId::Host(role.host.clone());
    let is_here = |ns: &Ns| match ns {
        Ns::Root => true,
        Ns::Node(NodeId::Host(name) | NodeId::Container(name, _)) => *name == role.host,
        Ns::Node(NodeId::Switch(_)) => false,
    };
    let laid_out = compile(&journal.laid_out());
    let own = Ns::Node(host.clone());
    let is_nic = |port: &Port| port.ns == own && role.nics.values().any(|nic| *nic == port.dev);
    let mut there = Vec::new();
    for fact in &laid_out {
        let wire = match fact {
            Fact::Link(one, Link::Veth { peer }) => [one, peer].into_iter().find(|port| is_nic(port)),
            _ => None,
        };
        if let Some(nic) = wire {
            described.remove(Slot::Link(nic));
        }
        if wire.is_some() || !is_here(fact.ns()) {
            there.push(fact.clone());
        }
    }
    described.extend(there);
    let mut far = paper::places(&laid_out);
    far.retain(|place| !is_here(&Ns::Node(place.id.clone())));
    let Some(machine) = places.iter_mut().find(|place| place.id == host) else { return described };
    plug(machine, &mut far);
    learn(&machine.tables, &mut far);
    for place in far.iter_mut().chain([machine]) {
        let node = report(&place.tables);
        place.node.links = node.links;
    }
    places.extend(far.into_iter().map(|place| Place { far: true, ..place }));
    described
}

/// Each of the machine's NICs leads to where the file says that its network's other end is.
fn plug(machine: &mut Place, far: &mut [Place]) {
    let name = machine.id.to_string();
    for place in far {
        let node = place.id.to_string();
        for link in &mut place.tables.links {
            let Some(end) = link.peer.as_mut().filter(|end| end.node.as_deref() == Some(name.as_str())) else { continue };
            let Some(nic) = machine.tables.links.iter_mut().find(|nic| Some(nic.name.as_str()) == end.name.as_deref()) else {
                continue;
            };
            end.index = nic.index;
            link.carrier = nic.up;
            nic.peer = Some(Far { namespace: None, index: link.index, node: Some(node.clone()), name: Some(link.name.clone()) });
        }
    }
}

/// A real NIC has a MAC address of its own, which its neighbours here have learned.
fn learn(machine: &Tables, far: &mut [Place]) {
    let known: HashMap<IpAddr, Mac> = machine.neighbours.iter().filter_map(|one| Some((one.address, one.mac?))).collect();
    let hosts = far.iter_mut().filter(|place| matches!(place.id, NodeId::Host(_)));
    for link in hosts.flat_map(|place| &mut place.tables.links) {
        if let Some(mac) = link.addresses.iter().find_map(|address| known.get(&address.net.addr())) {
            link.mac = Some(*mac);
        }
    }
}
