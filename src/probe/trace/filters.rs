//! Packet filters where the probe died: the kernel's own tracing, and which rule or policy drops it.

use std::net::IpAddr;

use super::compare::End;
use super::prober::Prober;
use crate::kernel::netfilter::trace::{Step, Traced, Tracer, number_of};
use crate::probe::view::{Place, View};
use crate::report::trace::{Cause, Direction};

/// A rule or policy that was seen to act on the probe, in a node.
#[derive(Debug, Clone)]
pub struct Acted {
    /// The node.
    pub node: String,
    /// What it did.
    pub step: Step,
    /// The number of a rule that drops it in its chain, from 1.
    pub number: Option<usize>,
}

/// Where the packet died, the kernel tells which rule does it, if the node has any.
pub fn tracer(view: &View, end: &End, watch: &Prober) -> Option<Tracer> {
    let place = view.named(&end.node)?;
    if place.tables.settings.as_ref().is_none_or(|settings| settings.chains.is_empty()) {
        return None;
    }
    let device = end.interface.as_deref().filter(|_| !end.outgoing);
    Tracer::open(&place.pin, watch.traced(), device.as_slice())
}

/// The nodes that a question for a MAC address may come to, or its answer, and that have rules: there both are traced.
pub fn of_question(view: &View, nodes: &[String], address: IpAddr) -> Vec<(String, Tracer)> {
    let filters = |place: &&Place| place.tables.settings.as_ref().is_some_and(|settings| !settings.chains.is_empty());
    let asked = view.here().filter(|place| nodes.contains(&place.node.node)).filter(filters);
    let open = |place: &Place| {
        let devices: Vec<&str> = place.tables.links.iter().map(|link| link.name.as_str()).collect();
        let at_devices = place.tables.settings.iter().flat_map(|settings| &settings.chains).any(|chain| chain.family == "netdev");
        let tracer = Tracer::open(&place.pin, Traced::Question { address }, if at_devices { &devices } else { &[] })?;
        Some((place.node.node.clone(), tracer))
    };
    asked.filter_map(open).collect()
}

/// What rules and policies of a node did with the packet.
pub fn acts(view: &View, node: &str, tracer: &Tracer) -> Vec<Acted> {
    let place = view.named(node);
    let number = |step: &Step| place.filter(|_| step.drops).and_then(|place| number_of(&place.pin, step));
    let steps = tracer.read().unwrap_or_default().into_iter();
    steps.map(|step| Acted { node: node.to_owned(), number: number(&step), step }).collect()
}

/// The first drop that the kernel's own tracing told.
pub fn filtered(view: &View, acted: &[Acted]) -> Option<(Direction, String, Cause)> {
    let at = acted.iter().position(|acted| acted.step.drops)?;
    let Acted { node, step, number } = &acted[at];
    let place = view.named(node)?;
    // A chain without a hook was jumped to from one that has one.
    let came = acted[..=at].iter().rev().filter(|before| before.node == *node);
    let hook = came
        .filter(|before| (before.step.family, &before.step.table) == (step.family, &step.table))
        .find_map(|before| hook(place, &before.step));
    let cause = Cause::Filtered {
        node: node.clone(),
        family: step.family.to_owned(),
        table: step.table.clone(),
        chain: step.chain.clone(),
        hook,
        rule: step.rule,
        number: *number,
        policy: step.rule.is_none(),
    };
    Some((if step.reply { Direction::Reply } else { Direction::Request }, node.clone(), cause))
}

fn hook(place: &Place, step: &Step) -> Option<String> {
    let chains = &place.tables.settings.as_ref()?.chains;
    let chain =
        chains.iter().find(|chain| (chain.family.as_str(), &chain.table, &chain.name) == (step.family, &step.table, &step.chain));
    chain.map(|chain| chain.hook.clone())
}
