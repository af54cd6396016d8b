//! What went to another machine of the lab, where nobody looks from here.

use super::compare::End;
use crate::probe::predict::Prediction;
use crate::probe::view::View;
use crate::report::trace::Cause;
use crate::report::wire::Interface;

/// That the rest is to be looked for on the machine of a node.
pub fn other_machine(view: &View, node: &str, interface: Interface) -> Option<Cause> {
    let host = node.split('.').next().unwrap_or(node).to_owned();
    view.is_unseen(node).then_some(Cause::OtherMachine { interface, host })
}

/// That it left this machine.
pub fn left(view: &View, end: &End) -> Option<Cause> {
    let interface = end.interface.as_ref().filter(|_| end.outgoing)?;
    let place = view.named(&end.node)?;
    let peer = place.named(interface)?.peer.as_ref()?;
    other_machine(view, peer.node.as_ref()?, Interface { node: end.node.clone(), interface: interface.clone() })
}

/// That it was to leave this machine by a NIC at whose cable's other end nothing is up.
pub fn unplugged(view: &View, prediction: &Prediction, end: &End) -> Option<Cause> {
    let visits = &prediction.request.visits;
    let at = visits.iter().position(|visit| visit.node == end.node)?;
    let leaves = visits[at].leaves.as_ref()?;
    let place = view.named(&end.node)?;
    let interface = Interface { node: end.node.clone(), interface: leaves.clone() };
    place.tables.named(leaves).filter(|link| !link.carrier)?;
    other_machine(view, &visits.get(at + 1)?.node, interface)
}
