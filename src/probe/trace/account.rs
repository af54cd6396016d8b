//! What became of a probe, by what was seen and what was foretold.

use std::net::IpAddr;

use nix::errno::Errno;

use super::compare::{self, End};
use super::elsewhere::{left, other_machine, unplugged};
use super::filters::{Acted, filtered};
use super::sighting::{Probed, What};
use crate::probe::cure::{Goal, cure_of};
use crate::probe::predict::Prediction;
use crate::probe::predict::map::is_followed;
use crate::probe::view::View;
use crate::report::probe::Transport;
use crate::report::trace::{Cause, Death, Difference, Direction, IcmpMessage, IcmpWord, Known, Outcome};
use crate::report::wire::Interface;

/// What became of a probe, both ways.
#[derive(Debug)]
pub struct Account {
    /// The packet's way.
    pub request: Option<compare::Compared>,
    /// The way of its reply.
    pub reply: Option<compare::Compared>,
    /// It was answered.
    pub answered: bool,
    /// From when it left until its reply came.
    pub milliseconds: f64,
    /// A reply said that nobody listens.
    pub refuses: bool,
    /// What the kernel told the socket.
    pub failed: Option<Errno>,
    /// What routers said.
    pub messages: Vec<IcmpMessage>,
}

impl Account {
    /// Puts a probe's prediction and sightings together.
    pub fn from_probe(view: &View, prediction: &Prediction, probed: &Probed, transport: Transport) -> Self {
        let request = compare::compare(view, Some(&prediction.request), probed, Direction::Request);
        // Where the packet did not come to its end, there is nothing to answer.
        let arrived = request.as_ref().is_some_and(|compared| compared.agrees);
        // Whether it arrived on another machine, only its reply tells.
        let unseen = prediction.receiver.as_ref().is_some_and(|node| view.is_unseen(node));
        let reply = compare::compare(view, prediction.reply.as_ref(), probed, Direction::Reply);
        // Nobody has to answer a datagram.
        let awaited = arrived && !unseen && !matches!(transport, Transport::Udp { .. });
        let reply = reply.filter(|compared| awaited || compared.end.is_some());
        Self {
            request,
            reply,
            answered: probed.answered,
            milliseconds: probed.milliseconds(),
            refuses: probed.sightings.iter().any(|seen| matches!(seen.what, What::Packet { refuses: true, .. })),
            failed: probed.failed,
            messages: messages(view, probed, transport),
        }
    }

    /// The sender was told that nobody takes it.
    pub fn is_refused(&self) -> bool {
        self.failed == Some(Errno::ECONNREFUSED)
    }

    /// Where to look for what stops it: where it was seen last, or where it was refused.
    pub fn stage(&self, sender: &str) -> End {
        let refused = self.request.as_ref().filter(|_| self.refuses).and_then(|compared| compared.end.clone());
        refused.unwrap_or_else(|| self.end(sender))
    }

    /// Another probe would tell no more.
    pub fn is_over(&self, transport: Transport) -> bool {
        let arrived = self.request.as_ref().is_some_and(|compared| compared.agrees);
        self.is_refused() || arrived && matches!(transport, Transport::Udp { .. })
    }

    /// Where the packet, or its reply, was seen last.
    pub fn end(&self, sender: &str) -> End {
        let last = self.reply.iter().chain(&self.request).find_map(|compared| compared.end.clone());
        last.unwrap_or_else(|| End { leg: Direction::Request, node: sender.to_owned(), interface: None, outgoing: false })
    }

    /// Whether all that was seen is what a prediction of death says, and nothing else.
    pub fn confirms(&self, prediction: &Prediction) -> bool {
        let Some(death) = &prediction.death else { return false };
        let agrees = |compared: &Option<compare::Compared>| compared.as_ref().is_some_and(|compared| compared.agrees);
        let gone = |compared: &Option<compare::Compared>| compared.as_ref().is_none_or(|compared| compared.end.is_none());
        let replied = death.leg == Direction::Reply && prediction.reply.is_some();
        !self.answered && agrees(&self.request) && if replied { agrees(&self.reply) } else { gone(&self.reply) }
    }

    /// How well a prediction agrees with what was seen: in all, and in how many visits.
    pub fn agreement(&self, prediction: &Prediction) -> (bool, usize) {
        let agrees = |compared: &Option<compare::Compared>| compared.as_ref().is_some_and(|compared| compared.agrees);
        let answered = self.answered && prediction.death.is_none() && agrees(&self.request) && agrees(&self.reply);
        let visits = self.request.iter().chain(&self.reply).flat_map(|compared| &compared.journey.visits);
        (answered || self.confirms(prediction), visits.filter(|visit| visit.known == Known::Both).count())
    }

    /// A question for a MAC address that nobody was seen to answer, and what waits for it: the packet or its reply.
    pub fn unanswered(&self) -> Option<(&(Interface, IpAddr), Direction)> {
        let all = [(&self.reply, Direction::Reply), (&self.request, Direction::Request)];
        all.into_iter().find_map(|(compared, leg)| Some((compared.as_ref()?.unanswered.as_ref()?, leg)))
    }

    /// How it ended; `unheard` is what the port at its end has to do with it, with the node and whether that is certain.
    pub fn outcome(
        &self,
        view: &View,
        prediction: &Prediction,
        acted: &[Acted],
        goal: &Goal<'_>,
        unheard: Option<(String, Cause, bool)>,
    ) -> Outcome {
        // What answers is the sender itself.
        let own = prediction.death.as_ref().filter(|death| matches!(death.cause, Cause::OnLoopback { .. }));
        if let (true, Some(death)) = (self.answered, own) {
            let cure = cure_of(view, goal, &death.cause);
            return Outcome::Died(Box::new(Death { certain: true, cure, ..death.clone() }));
        }
        if self.answered {
            return Outcome::Answered { milliseconds: self.milliseconds };
        }
        let dropped = acted.iter().any(|acted| acted.step.drops);
        let foretold = !self.is_refused() && self.confirms(prediction);
        let (leg, node, cause, certain) = match unheard.filter(|_| !dropped && !foretold) {
            Some((node, cause, certain)) => (Direction::Request, node, cause, certain),
            None => self.cause(view, prediction, acted, goal),
        };
        let cure = cure_of(view, goal, &cause);
        Outcome::Died(Box::new(Death { leg, node, cause, certain, cure }))
    }

    fn cause(&self, view: &View, prediction: &Prediction, acted: &[Acted], goal: &Goal<'_>) -> (Direction, String, Cause, bool) {
        let end = self.end(&goal.from.to_string());
        if let Some((leg, node, cause)) = filtered(view, acted) {
            return (leg, node, cause, true);
        }
        if let Some(death) = &prediction.death {
            let here = death.leg == end.leg && prediction.ends.as_ref() == Some(&end.node);
            if self.confirms(prediction) {
                // A frame for nobody may have gone to many nodes.
                let node = if let Cause::WrongNeighbour { interface, .. } = &death.cause { &interface.node } else { &death.node };
                let certain = is_certain(view, &death.cause);
                return (death.leg, node.clone(), self.counted(&death.cause), certain);
            }
            if here && self.unanswered().is_none() {
                return (death.leg, death.node.clone(), death.cause.clone(), false);
            }
        }
        if let Some((leg, node, cause)) = self.reported_cause(view, (goal.probe.ttl, goal.probe.size)) {
            return (leg, node, cause, true);
        }
        if let Some(((interface, address), _)) = self.unanswered() {
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
            Cause::Loop { to, routes, .. } => {
                let ended = self.reply.iter().chain(&self.request).find(|compared| compared.end.is_some());
                let seen = |node: &str, dev: &str| -> u32 {
                    let visits = ended.iter().flat_map(|compared| &compared.journey.visits);
                    let frames = visits.filter(|visit| visit.node == node && visit.leaves.as_deref() == Some(dev));
                    frames.filter_map(|visit| visit.frame.as_ref()?.seen).max().unwrap_or(0)
                };
                let crossings = routes.iter().map(|(node, route)| seen(node, &route.dev)).sum();
                Cause::Loop { to: *to, routes: routes.clone(), crossings }
            }
            other => other.clone(),
        }
    }

    /// What a router itself gives as the reason.
    fn reported_cause(&self, view: &View, (ttl, size): (u8, u32)) -> Option<(Direction, String, Cause)> {
        self.messages.iter().find_map(|message| {
            let node = message.node.clone()?;
            let cause = match message.says {
                IcmpWord::TimeExceeded => Cause::TtlExpired { node: node.clone(), ttl },
                IcmpWord::TooBig { mtu } => {
                    let place = view.named(&node)?;
                    let link = place.node.links.iter().find(|link| link.mtu == mtu)?;
                    Cause::TooBig { interface: place.interface(link), mtu, size, route: None }
                }
                _ => return None,
            };
            Some((message.leg, node, cause))
        })
    }

    /// Where sight and tables differ.
    pub fn differences(&self, prediction: &Prediction) -> Vec<Difference> {
        let compared = self.request.iter().chain(&self.reply);
        let mut all: Vec<Difference> = compared.flat_map(|compared| compared.differences.clone()).collect();
        // Beyond what is not followed the tables say nothing.
        if prediction.death.as_ref().is_some_and(|death| matches!(death.cause, Cause::NotFollowed { .. })) {
            all.retain(|difference| !matches!(difference, Difference::Way { predicted: None, .. }));
            return all;
        }
        let lives = prediction.death.as_ref().filter(|death| self.answered && !matches!(death.cause, Cause::OnLoopback { .. }));
        if let Some(death) = lives {
            all.push(Difference::Lives { cause: death.cause.clone() });
        }
        all
    }
}

/// What happens where nobody looks, or on links that are not followed, is not certain; nor is it that nobody answers a question
/// that may have gone there.
fn is_certain(view: &View, cause: &Cause) -> bool {
    let unseen = || {
        let links = view.here().flat_map(|place| &place.tables.links);
        links.into_iter().any(|link| link.up && !link.fallback && !is_followed(link))
    };
    match cause {
        Cause::OtherMachine { .. } | Cause::NotFollowed { .. } => false,
        Cause::Unresolved { .. } | Cause::NoSuchGateway { .. } | Cause::NotOnLink { .. } | Cause::OtherNic { .. } => !unseen(),
        _ => true,
    }
}

/// What was said in ICMP, each once.
fn messages(view: &View, probed: &Probed, transport: Transport) -> Vec<IcmpMessage> {
    let udp = matches!(transport, Transport::Udp { .. });
    let mut all: Vec<IcmpMessage> = Vec::new();
    for seen in &probed.sightings {
        let (leg, from, says) = match seen.what {
            What::Error { leg, from, says } => (leg, from, says),
            What::Packet { source, refuses: true, .. } if udp => (Direction::Request, source, IcmpWord::PortUnreachable),
            _ => continue,
        };
        let node = view.owners_of_address(from).into_iter().next().map(|owner| owner.node);
        let message = IcmpMessage { leg, from, node, says };
        if !all.contains(&message) {
            all.push(message);
        }
    }
    all
}
