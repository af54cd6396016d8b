//! How a trace ended, why, and how sure that is.

use std::net::IpAddr;

use super::judge::{self, End};
use super::sighting::{Shot, What};
use crate::kernel::filter::trace::Step;
use crate::probe::cure::cure;
use crate::probe::predict::Prediction;
use crate::probe::view::{Place, View};
use crate::report::trace::{Cause, Death, Difference, IcmpMessage, IcmpWord, Leg, Outcome};
use crate::report::wire::Interface;

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

/// What became of a probe, both ways.
#[derive(Debug)]
pub struct Account {
    /// The packet's way.
    pub request: Option<judge::Told>,
    /// The way of its reply.
    pub reply: Option<judge::Told>,
    /// It was answered.
    pub answered: bool,
    /// From when it left until its reply came.
    pub milliseconds: f64,
    /// What routers said.
    pub messages: Vec<IcmpMessage>,
}

impl Account {
    /// Puts a probe's prediction and sightings together.
    pub fn of(view: &View, prediction: &Prediction, shot: &Shot) -> Self {
        let request = judge::tell(view, Some(&prediction.request), shot, Leg::Request);
        // Where the packet did not come to its end, there is nothing to answer.
        let arrived = request.as_ref().is_some_and(|told| told.agrees);
        // Whether it arrived on another machine, only its reply tells.
        let far = prediction.receiver.as_ref().is_some_and(|node| is_far(view, node));
        let reply = judge::tell(view, prediction.reply.as_ref(), shot, Leg::Reply);
        let reply = reply.filter(|told| (arrived && !far) || told.end.is_some());
        Self { request, reply, answered: shot.answered, milliseconds: shot.milliseconds(), messages: messages(view, shot) }
    }

    /// Where the packet, or its reply, was seen last.
    pub fn end(&self, sender: &str) -> End {
        let last = self.reply.iter().chain(&self.request).find_map(|told| told.end.clone());
        last.unwrap_or_else(|| End { leg: Leg::Request, node: sender.to_owned(), interface: None, outgoing: false })
    }

    /// Whether all that was seen is what a prediction of death says, and nothing else.
    pub fn confirms(&self, prediction: &Prediction) -> bool {
        let Some(death) = &prediction.death else { return false };
        let agrees = |told: &Option<judge::Told>| told.as_ref().is_some_and(|told| told.agrees);
        let gone = |told: &Option<judge::Told>| told.as_ref().is_none_or(|told| told.end.is_none());
        let replied = death.leg == Leg::Reply && prediction.reply.is_some();
        !self.answered && agrees(&self.request) && if replied { agrees(&self.reply) } else { gone(&self.reply) }
    }

    /// A question for a MAC address that nobody was seen to answer.
    pub fn unanswered(&self) -> Option<&(Interface, IpAddr)> {
        self.reply.iter().chain(&self.request).find_map(|told| told.unanswered.as_ref())
    }

    /// How it ended.
    pub fn outcome(&self, view: &View, prediction: &Prediction, acted: &[Acted], sender: &str, ttl: u8) -> Outcome {
        if self.answered {
            return Outcome::Answered { milliseconds: self.milliseconds };
        }
        let (leg, node, cause, certain) = self.cause(view, prediction, acted, sender, ttl);
        let cure = cure(view, &cause);
        Outcome::Died(Box::new(Death { leg, node, cause, certain, cure }))
    }

    fn cause(&self, view: &View, prediction: &Prediction, acted: &[Acted], sender: &str, ttl: u8) -> (Leg, String, Cause, bool) {
        let end = self.end(sender);
        if let Some((leg, node, cause)) = filtered(view, acted) {
            return (leg, node, cause, true);
        }
        if let Some(death) = &prediction.death {
            let here = death.leg == end.leg && death.node == end.node;
            if self.confirms(prediction) {
                // A frame for nobody may have gone to many nodes.
                let node = if let Cause::WrongNeighbour { interface, .. } = &death.cause { &interface.node } else { &death.node };
                // What happens where nobody looks is not certain.
                let certain = !matches!(death.cause, Cause::OtherMachine { .. });
                return (death.leg, node.clone(), self.counted(&death.cause), certain);
            }
            if here && self.unanswered().is_none() {
                return (death.leg, death.node.clone(), death.cause.clone(), false);
            }
        }
        if let Some((leg, node, cause)) = self.said(view, ttl) {
            return (leg, node, cause, true);
        }
        if let Some((interface, address)) = self.unanswered() {
            let owner = view.owners_of_address(*address).into_iter().next();
            if let Some(cause) = owner.as_ref().and_then(|owner| other_machine(view, &owner.node, interface.clone())) {
                return (end.leg, interface.node.clone(), cause, false);
            }
            let cause = Cause::Unresolved { interface: interface.clone(), address: *address, owner };
            return (end.leg, interface.node.clone(), cause, false);
        }
        if let Some(cause) = left(view, &end).or_else(|| unplugged(view, prediction, &end)) {
            return (end.leg, end.node, cause, false);
        }
        let cause = Cause::Unknown { node: end.node.clone(), interface: end.interface.clone() };
        (end.leg, end.node, cause, false)
    }

    /// The cause with what only sight can tell: how often a circle was gone round.
    fn counted(&self, cause: &Cause) -> Cause {
        match cause {
            Cause::Loop { routes, .. } => {
                let told = self.reply.iter().chain(&self.request).find(|told| told.end.is_some());
                let seen = |node: &str, dev: &str| -> u32 {
                    let visits = told.iter().flat_map(|told| &told.journey.visits);
                    let frames = visits.filter(|visit| visit.node == node && visit.leaves.as_deref() == Some(dev));
                    frames.filter_map(|visit| visit.frame.as_ref()?.seen).max().unwrap_or(0)
                };
                let crossings = routes.iter().map(|(node, route)| seen(node, &route.dev)).sum();
                Cause::Loop { routes: routes.clone(), crossings }
            }
            other => other.clone(),
        }
    }

    /// What a router itself gives as the reason.
    fn said(&self, view: &View, ttl: u8) -> Option<(Leg, String, Cause)> {
        self.messages.iter().find_map(|message| {
            let node = message.node.clone()?;
            let cause = match message.says {
                IcmpWord::TimeExceeded => Cause::TtlExpired { node: node.clone(), ttl },
                IcmpWord::TooBig { mtu } => {
                    let place = view.places.iter().find(|place| place.node.node == node)?;
                    let link = place.node.links.iter().find(|link| link.mtu == mtu)?;
                    Cause::TooBig { interface: place.interface(link), mtu, size: 0 }
                }
                _ => return None,
            };
            Some((message.leg, node, cause))
        })
    }

    /// Where sight and tables differ.
    pub fn differences(&self, prediction: &Prediction) -> Vec<Difference> {
        let told = self.request.iter().chain(&self.reply);
        let mut all: Vec<Difference> = told.flat_map(|told| told.differences.clone()).collect();
        if let (true, Some(death)) = (self.answered, &prediction.death) {
            all.push(Difference::Lives { cause: death.cause.clone() });
        }
        all
    }
}

fn is_far(view: &View, node: &str) -> bool {
    view.seen(node).is_unknown()
}

/// That the rest is to be looked for on the machine of a node.
fn other_machine(view: &View, node: &str, interface: Interface) -> Option<Cause> {
    let host = node.split('.').next().unwrap_or(node).to_owned();
    is_far(view, node).then_some(Cause::OtherMachine { interface, host })
}

/// That it left this machine.
fn left(view: &View, end: &End) -> Option<Cause> {
    let interface = end.interface.as_ref().filter(|_| end.outgoing)?;
    let place = view.places.iter().find(|place| place.node.node == end.node)?;
    let peer = place.node.links.iter().find(|link| link.name == *interface)?.peer.as_ref()?;
    other_machine(view, peer.node.as_ref()?, Interface { node: end.node.clone(), interface: interface.clone() })
}

/// That it was to leave this machine by a NIC at whose cable's other end nothing is up.
fn unplugged(view: &View, prediction: &Prediction, end: &End) -> Option<Cause> {
    let visits = &prediction.request.visits;
    let at = visits.iter().position(|visit| visit.node == end.node)?;
    let leaves = visits[at].leaves.as_ref()?;
    let place = view.places.iter().find(|place| place.node.node == end.node)?;
    let interface = Interface { node: end.node.clone(), interface: leaves.clone() };
    place.tables.named(leaves).filter(|link| !link.carrier)?;
    other_machine(view, &visits.get(at + 1)?.node, interface)
}

/// The first drop that the kernel's own tracing told.
fn filtered(view: &View, acted: &[Acted]) -> Option<(Leg, String, Cause)> {
    let at = acted.iter().position(|acted| acted.step.drops)?;
    let Acted { node, step, number } = &acted[at];
    let place = view.places.iter().find(|place| place.node.node == *node)?;
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
    Some((if step.reply { Leg::Reply } else { Leg::Request }, node.clone(), cause))
}

fn hook(place: &Place, step: &Step) -> Option<String> {
    let chains = &place.tables.settings.as_ref()?.chains;
    let chain =
        chains.iter().find(|chain| (chain.family.as_str(), &chain.table, &chain.name) == (step.family, &step.table, &step.chain));
    chain.map(|chain| chain.hook.clone())
}

/// What was said in ICMP, each once.
fn messages(view: &View, shot: &Shot) -> Vec<IcmpMessage> {
    let mut all: Vec<IcmpMessage> = Vec::new();
    for seen in &shot.sightings {
        let What::Error { leg, from, says } = seen.what else { continue };
        let node = view.owners_of_address(from).into_iter().next().map(|owner| owner.node);
        let message = IcmpMessage { leg, from, node, says };
        if !all.contains(&message) {
            all.push(message);
        }
    }
    all
}
