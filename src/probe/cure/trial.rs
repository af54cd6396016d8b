//! Cures on trial: changes are made in the tables, and the packet is followed again.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use super::addressing::Effect;
use super::apply::apply;
use super::candidates;
use super::edit::Edit;
use crate::plan::NodeId;
use crate::probe::is_link_local;
use crate::probe::predict::map::Map;
use crate::probe::predict::{Probe, forecast, forget, predict};
use crate::probe::view::{Place, View};
use crate::report::probe::Transport;
use crate::report::trace::Cause;

/// Causes that are mended one after the other until the packet is answered.
const DEPTH: usize = 8;
/// Predictions that a search may cost in a lab of at most so many nodes; in larger ones fewer, but so many at the least.
const BUDGET: usize = 160;
const SMALL: usize = 100;
const LEAST: usize = 16;

/// A packet that is to be answered.
#[derive(Debug, Clone, Copy)]
pub struct Goal<'a> {
    /// Its sender.
    pub from: &'a NodeId,
    /// The address that it is sent to.
    pub to: IpAddr,
    /// The packet.
    pub probe: &'a Probe,
    /// What it is of.
    pub transport: Transport,
}

/// A change in a node, by its place in the view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::probe) struct Step {
    pub place: usize,
    pub edit: Edit,
}

/// A cause and the changes that mend it.
type Round = (Cause, Vec<Step>);

/// Makes the changes that are not so already; none where the kernel refuses one, or where nothing is left to change.
pub(super) fn carry_out(places: &mut [Place], steps: Vec<Step>) -> Option<Vec<Step>> {
    let mut made = Vec::new();
    for step in steps {
        match apply(places, step.place, &step.edit) {
            Effect::Done => made.push(step),
            Effect::Same => {}
            Effect::Refused => return None,
        }
    }
    (!made.is_empty()).then_some(made)
}

/// The changes that mend the cause, the fewest that lead the packet to its answer: those for the cause itself, and those for
/// what the same nodes lack after it.
pub(super) fn mend(view: &View, goal: &Goal<'_>, cause: &Cause) -> Vec<Step> {
    let target = view.places.iter().position(|place| place.id != *goal.from && place.has(goal.to));
    let mut places = view.places.clone();
    forget(&mut places);
    // Where it dies of what was learned alone, that is what is to go.
    if forecast(&view.with(places.clone()), goal.from, goal.to, goal.probe).is_none() {
        places.clone_from(&view.places);
    }
    let budget = BUDGET.min(BUDGET * SMALL / places.len().max(1)).max(LEAST);
    let mut trial = Trial { view, goal, target, budget, limit: usize::MAX };
    let Some(rounds) = trial.search(&places, cause, &mut Vec::new(), 0) else {
        return trial.furthest(cause).unwrap_or_default();
    };
    let widens = rounds.iter().flat_map(|(_, steps)| steps).any(|step| matches!(step.edit, Edit::Mtu { .. }));
    let routes = |step: &Step| matches!(step.edit, Edit::AddRoute { .. } | Edit::DelRoute { .. });
    let reroutes = rounds.iter().flat_map(|(_, steps)| steps).any(routes);
    let mut rounds = rounds.into_iter();
    let mut steps = rounds.next().map(|(_, steps)| steps).unwrap_or_default();
    for (cause, more) in rounds {
        let lacks = matches!(cause, Cause::NoRoute { .. } | Cause::NoAddress { .. });
        let name = |step: &Step| view.places[step.place].node.node.as_str();
        if !lacks || !cause.blames().iter().any(|node| steps.iter().any(|step| name(step) == *node)) {
            break;
        }
        steps.extend(more);
    }
    // What routers have told senders is kept after the way is wide, and after it is another one.
    for (place, each) in view.places.iter().enumerate().filter(|(_, each)| !each.remote) {
        let sizes = each.tables.exceptions.iter().filter(|_| widens).map(|(to, _)| to.is_ipv6());
        let ways = each.tables.redirects.iter().filter(|(to, _)| reroutes && *to == goal.to).map(|(to, _)| to.is_ipv6());
        for ipv6 in sizes.chain(ways).collect::<BTreeSet<_>>() {
            steps.push(Step { place, edit: Edit::FlushCache { ipv6 } });
        }
    }
    steps
}

/// A search for the fewest changes.
struct Trial<'a> {
    view: &'a View,
    goal: &'a Goal<'a>,
    /// The node that the packet is for, whatever its address.
    target: Option<usize>,
    budget: usize,
    /// The number of changes of the best that is known.
    limit: usize,
}

impl Trial<'_> {
    /// Rounds of changes to the answer, after those before and what they cost; none where there is no way to it.
    fn search(&mut self, places: &[Place], cause: &Cause, before: &mut Vec<Round>, spent: usize) -> Option<Vec<Round>> {
        if before.len() >= DEPTH || before.iter().any(|(other, _)| other == cause) {
            return None;
        }
        let mut best = None;
        for (changed, steps) in self.tried(places, cause) {
            let count = spent + self.cost(&steps);
            if count >= self.limit || self.budget == 0 {
                continue;
            }
            before.push((cause.clone(), steps));
            match self.next(&changed) {
                None => {
                    self.limit = count;
                    best = Some(before.clone());
                }
                Some(next) => best = self.search(&changed, &next, before, count).or(best),
            }
            before.pop();
        }
        best
    }

    /// The changes that the kernel would take, with the tables after them; the fewest first.
    fn tried(&self, places: &[Place], cause: &Cause) -> Vec<(Vec<Place>, Vec<Step>)> {
        let view = self.view.with(places.to_vec());
        let mut tried: Vec<(Vec<Place>, Vec<Step>)> = Vec::new();
        for steps in candidates(&view, Some(self.goal), cause) {
            let mut changed = places.to_vec();
            if let Some(made) = carry_out(&mut changed, steps)
                && !tried.iter().any(|(_, other)| *other == made)
            {
                tried.push((changed, made));
            }
        }
        tried.sort_by_key(|(_, steps)| steps.len());
        tried
    }

    /// How many changes they are, and those that others in a subnet would need after one of them left it: address and route.
    fn cost(&self, steps: &[Step]) -> usize {
        let left: Vec<_> = steps.iter().filter_map(|step| Some((step.place, left_subnet(step, steps)?))).collect();
        if left.is_empty() {
            return steps.len();
        }
        let map = Map::new(self.view);
        let others = |(place, (dev, net)): (usize, (&str, IpNet))| {
            let at = map.interfaces(place).find(|at| map.link(*at).name == dev);
            at.map_or(0, |at| map.companions(at, net))
        };
        steps.len() + 2 * left.into_iter().map(others).sum::<usize>()
    }

    /// What the packet dies of now.
    fn next(&mut self, places: &[Place]) -> Option<Cause> {
        self.budget = self.budget.saturating_sub(1);
        let to = self.target.and_then(|target| places[target].like(self.goal.to)).unwrap_or(self.goal.to);
        // Another default of the sender's is another packet.
        let default = |places: &[Place]| {
            let sender = places.iter().find(|place| place.id == *self.goal.from);
            sender.and_then(|place| place.tables.settings.as_ref()?.ttl)
        };
        let (before, now) = (default(&self.view.places), default(places));
        let ttl = now.filter(|_| now != before).unwrap_or(self.goal.probe.ttl);
        forecast(&self.view.with(places.to_vec()), self.goal.from, to, &Probe { ttl, ..*self.goal.probe })
    }

    /// Where nothing leads to an answer: the first changes after which the packet comes to more nodes than before.
    fn furthest(&mut self, cause: &Cause) -> Option<Vec<Step>> {
        if matches!(cause, Cause::Filtered { .. } | Cause::NoCable { .. }) {
            return self.tried(&self.view.places, cause).into_iter().next().map(|(_, steps)| steps);
        }
        let reach = |view: &View| {
            let forecast = predict(view, self.goal.from, self.goal.to, self.goal.probe);
            forecast.request.visits.len() + forecast.reply.map_or(0, |reply| reply.visits.len() + 1)
        };
        let before = reach(self.view);
        let tried = self.tried(&self.view.places, cause);
        tried.into_iter().find(|(changed, _)| reach(&self.view.with(changed.clone())) > before).map(|(_, steps)| steps)
    }
}

/// The interface and the address whose subnet a change leaves, where none of the changes brings another address of it.
fn left_subnet<'a>(step: &'a Step, steps: &[Step]) -> Option<(&'a str, IpNet)> {
    let Edit::DelAddress { dev, net } = &step.edit else { return None };
    let stays = |other: &Step| matches!(&other.edit, Edit::AddAddress { net: new, .. } if new.trunc() == net.trunc());
    (!steps.iter().any(stays)).then_some((dev, *net))
}

impl Place {
    /// Whether the address is one of the node's.
    fn has(&self, address: IpAddr) -> bool {
        self.tables.links.iter().any(|link| link.addresses.iter().any(|own| own.net.addr() == address))
    }

    /// That address, where the node has it, else its first of the family that others can send to.
    fn like(&self, address: IpAddr) -> Option<IpAddr> {
        if self.has(address) {
            return Some(address);
        }
        let links = self.tables.links.iter().filter(|link| link.kind != "loopback");
        let mut own = links.flat_map(|link| &link.addresses).map(|own| own.net.addr());
        own.find(|own| own.is_ipv4() == address.is_ipv4() && !is_link_local(*own))
    }
}
