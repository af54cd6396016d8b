//! The path of one packet and of its reply: predicted, watched, and told; how it ended, why, and how sure that is.

mod compare;
mod elsewhere;
mod filters;
mod mark;
mod port;
mod prober;
mod sighting;

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

use netlink_packet_route::neighbour::NeighbourState;
use nix::errno::Errno;

use super::cure::{Goal, cure, cure_of};
use super::predict::{self, Prediction, predict};
use super::view::{Place, View};
use super::watch::Patience;
use crate::error::Result;
use crate::kernel::netfilter::iptables;
use crate::kernel::sockets;
use crate::plan::NodeId;
use crate::report::machine::Kind;
use crate::report::probe::Transport;
use crate::report::trace::{Cause, Death, Difference, Direction, IcmpMessage, IcmpWord, Note, Outcome, Trace, Visit};
use crate::report::wire::{Interface, Names};
use compare::End;
use elsewhere::{left, other_machine, unplugged};
use filters::{Acted, acts, filtered, tracer};
use prober::Prober;
use sighting::{Probed, What};

/// Where the tables say that the packet dies, it is dead when nothing was seen of it for so long.
const FORETOLD: Patience = Patience { quiet: Duration::from_millis(100), whole: Some(Duration::from_secs(2)) };
/// Where they say that it is answered.
const HOPED: Patience = Patience { quiet: Duration::from_millis(200), whole: Some(Duration::from_secs(2)) };
/// Once more, after a question for a MAC address that the tables say is answered: it is repeated after a second.
const ASKING: Patience = Patience { quiet: Duration::from_millis(1200), whole: Some(Duration::from_secs(4)) };

/// Where nothing tells that it dies: an answer by way of a satellite, or out of a full queue, takes 2.5 s.
const LATE: Duration = Duration::from_secs(3);
/// After a datagram that somebody may have to think about.
const ASKED: Duration = Duration::from_secs(1);
/// Where a queue on the way holds packets back.
const QUEUED: Duration = Duration::from_secs(10);
/// Where it dies of a question that nobody answers: who answers for others may do so after 0.8 s (`proxy_delay`).
const SILENT: Duration = Duration::from_millis(1200);

/// What to send.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// From here.
    pub from: &'a NodeId,
    /// To this address.
    pub to: IpAddr,
    /// The interface of a link-local address; else 0.
    pub scope: u32,
    /// What it is of; of TCP it is the first packet of a connection, without payload.
    pub transport: Transport,
    /// The address that it comes from, where it is not for the kernel to choose.
    pub source: Option<IpAddr>,
    /// Bytes of payload behind the header of ICMP or UDP.
    pub payload: u16,
    /// The time to live, where it is not the node's own.
    pub ttl: Option<u8>,
    /// How long to wait for an answer, where somebody says so.
    pub wait: Option<Duration>,
}

impl<'a> Order<'a> {
    /// An echo request as `ping` sends it.
    pub fn ping(from: &'a NodeId, to: IpAddr) -> Self {
        Self { from, to, scope: 0, transport: Transport::Icmp, source: None, payload: 56, ttl: None, wait: None }
    }

    /// Bytes of the whole packet: RFC 791 and 8200 for the IP headers, 8 for that of ICMP or UDP; of TCP 40 with the options that
    /// Linux puts there (MSS, SACK, time stamps, window scale).
    fn size(&self) -> u32 {
        let ip = if self.to.is_ipv4() { 20 } else { 40 };
        let (header, payload) = if matches!(self.transport, Transport::Tcp { .. }) { (40, 0) } else { (8, self.payload) };
        ip + header + u32::from(payload)
    }
}

/// Traces one packet through a lab.
///
/// # Errors
/// When a namespace cannot be entered, the kernel refuses a socket, or a signal arrives.
pub fn trace(view: &mut View, order: Order<'_>, names: Names) -> Result<Trace> {
    let sender = order.from.to_string();
    view.read_settings(std::slice::from_ref(&sender))?;
    let packet = predict::Probe { size: order.size(), ttl: ttl(view, &order), may_fragment: false, source: order.source };
    let prediction = foretell(view, &order, &packet)?;
    recall(view, &order, &prediction)?;
    let mut watch = Prober::open(&places(view, &order, &prediction), &order)?;
    let hoped = match order.transport {
        // Whoever answers a datagram may have to ask others first; another one is not sent for that.
        Transport::Udp { .. } => Patience { quiet: order.wait.unwrap_or(ASKED), whole: None },
        _ => HOPED,
    };
    let first = watch.probe(if prediction.death.is_some() { FORETOLD } else { hoped })?;
    let probed = |view: &View, probed: &Probed| Account::from_probe(view, &prediction, probed, order.transport);
    let mut account = probed(view, &first);
    let mut acted = Vec::new();
    if !account.answered && !account.confirms(&prediction) {
        let end = account.stage(&sender);
        view.read_settings(std::slice::from_ref(&end.node))?;
        if let Some(tracer) = tracer(view, &end, &watch) {
            account = probed(view, &watch.probe(FORETOLD)?.after(&first));
            acted = acts(view, &end.node, &tracer);
        }
    }
    let dropped = acted.iter().any(|acted| acted.step.drops);
    if !account.answered && !account.confirms(&prediction) && !dropped && !account.is_over(order.transport) {
        let asks = account.unanswered().is_some() || is_asking(view, &account.end(&sender).node);
        let patience = if asks && prediction.death.is_none() { ASKING } else { HOPED };
        account = probed(view, &watch.probe(patience)?.after(&first));
    }
    if !account.answered
        && !dropped
        && !account.is_over(order.transport)
        && let Some(quiet) = patience(view, &prediction, &account, &order)
    {
        account = probed(view, &watch.probe(Patience { quiet, whole: None })?.after(&first));
    }
    let closing = std::thread::spawn(move || drop(watch));
    let report = report(view, &order, names, &prediction, account, &acted, &packet);
    let _ = closing.join();
    forget(view, &report)?;
    Ok(report)
}

/// How long an answer is waited for that did not come at once; not at all where what is known says that none comes.
fn patience(view: &View, prediction: &Prediction, account: &Account, order: &Order<'_>) -> Option<Duration> {
    let is_queue = |visit: &Visit| {
        let out = visit.leaves.as_ref().and_then(|dev| view.named(&visit.node)?.tables.named(dev));
        out.is_some_and(|link| link.queues)
    };
    let visits = || std::iter::once(&prediction.request).chain(&prediction.reply).flat_map(|way| &way.visits);
    let asked = |cause: &Cause| {
        matches!(
            cause,
            Cause::Unresolved { .. } | Cause::NoSuchGateway { .. } | Cause::NotOnLink { .. } | Cause::WrongPrefix { .. }
        )
    };
    let own = match &prediction.death {
        Some(death) if account.confirms(prediction) => asked(&death.cause).then_some(SILENT),
        Some(_) => Some(SILENT),
        None if visits().any(is_queue) => Some(QUEUED),
        None => Some(LATE),
    };
    own.and(order.wait).or(own)
}

/// Where a packet is too big for the way, what both ends have been told of it before is a part of the cure.
fn recall(view: &mut View, order: &Order<'_>, prediction: &Prediction) -> Result<()> {
    let Some(Cause::TooBig { size, .. }) = prediction.death.as_ref().map(|death| &death.cause) else { return Ok(()) };
    let target = view.owners_of_address(order.to).into_iter().next().map(|owner| owner.node);
    let ends = [(Some(order.from.to_string()), Some(order.to)), (target, prediction.request.source)];
    for (node, to) in ends {
        let (Some(node), Some(IpAddr::V4(to))) = (node, to) else { continue };
        let Some(place) = view.places.iter_mut().find(|place| place.node.node == node && !place.remote) else { continue };
        let known = sockets::path_mtu(&place.pin, &node, to)?.filter(|mtu| mtu < size);
        let own = place.tables.links.iter().filter(|link| link.kind != "loopback").map(|link| link.mtu).min();
        let exceptions = &mut place.tables.exceptions;
        if let Some(mtu) = known.filter(|mtu| own.is_none_or(|own| *mtu < own) && !exceptions.iter().any(|(at, _)| *at == to)) {
            exceptions.push((to.into(), mtu));
        }
    }
    Ok(())
}

/// A node that was told of a smaller MTU on the way remembers it for minutes: what the probe taught it is forgotten.
fn forget(view: &View, report: &Trace) -> Result<()> {
    let Outcome::Died(death) = &report.outcome else { return Ok(()) };
    let (taught, to) = match (&death.cause, death.leg) {
        (Cause::TooBig { .. }, Direction::Request) => (Some(&report.from), Some(report.to)),
        (Cause::TooBig { .. }, Direction::Reply) => (report.to_node.as_ref(), report.request.source),
        _ => return Ok(()),
    };
    let place = view.here().find(|place| Some(&place.node.node) == taught);
    let (Some(place), Some(to)) = (place, to) else { return Ok(()) };
    if place.tables.exceptions.iter().any(|(known, _)| *known == to) {
        return Ok(());
    }
    sockets::forget_mtu(&place.pin, &place.node.node, to)
}

/// Predicts, and reads what the prediction needs to know of the nodes on the way until nothing is missing.
fn foretell(view: &mut View, order: &Order<'_>, packet: &predict::Probe) -> Result<Prediction> {
    let mut known: HashSet<String> = HashSet::new();
    view.read_redirects(&[(order.from.to_string(), order.to)])?;
    let mut asked: HashSet<(String, IpAddr)> = HashSet::new();
    loop {
        let prediction = predict(view, order.from, order.to, packet);
        let back = prediction.receiver.clone().zip(prediction.request.source).filter(|back| asked.insert(back.clone()));
        if let Some(back) = back {
            view.read_redirects(&[back])?;
            continue;
        }
        let mut nodes = on_the_way(&prediction);
        if prediction.death.is_some() {
            // Who forwards may answer for others (`proxy_arp`).
            let forwards = |place: &&Place| place.tables.links.iter().any(|link| link.forwarding4);
            nodes.extend(view.here().filter(forwards).map(|place| place.node.node.clone()));
        }
        let new: Vec<String> = nodes.into_iter().filter(|node| known.insert(node.clone())).collect();
        if new.is_empty() {
            return Ok(prediction);
        }
        view.read_settings(&new)?;
        // What a node does with echo requests concerns no other packet.
        if order.transport != Transport::Icmp {
            let settings = view.places.iter_mut().filter_map(|place| place.tables.settings.as_mut());
            settings.for_each(|settings| settings.echo_ignored = (false, false));
        }
    }
}

fn on_the_way(prediction: &Prediction) -> HashSet<String> {
    let ways = std::iter::once(&prediction.request).chain(&prediction.reply);
    ways.flat_map(|way| &way.visits).map(|visit| visit.node.clone()).collect()
}

fn ttl(view: &View, order: &Order<'_>) -> u8 {
    /// `IPDEFTTL` (`linux/ip.h`)
    const DEFAULT: u8 = 64;
    let own = view.place(order.from).and_then(|place| place.tables.settings.as_ref()?.ttl);
    order.ttl.or(own).unwrap_or(DEFAULT)
}

/// Where to listen: the sender first, every host and switch, the nodes on the way, and whoever has the address.
fn places<'a>(view: &'a View, order: &Order<'_>, prediction: &Prediction) -> Vec<&'a Place> {
    let mut wanted = on_the_way(prediction);
    wanted.extend(view.owners_of_address(order.to).into_iter().map(|owner| owner.node));
    let mut places: Vec<&Place> = view.place(order.from).into_iter().collect();
    places
        .extend(view.here().filter(|place| {
            place.id != *order.from && (place.node.kind != Kind::Container || wanted.contains(&place.node.node))
        }));
    places
}

/// Whether a node waits for the answer to a question of before; until a second is over it does not ask again.
fn is_asking(view: &View, node: &str) -> bool {
    let place = view.named(node);
    place.is_some_and(|place| place.tables.neighbours.iter().any(|one| one.state == NeighbourState::Incomplete))
}

fn report(
    view: &View,
    order: &Order<'_>,
    names: Names,
    prediction: &Prediction,
    account: Account,
    acted: &[Acted],
    packet: &predict::Probe,
) -> Trace {
    let goal = Goal { from: order.from, to: order.to, probe: packet };
    let outcome = account.outcome(view, prediction, acted, &goal, order);
    let by_itself =
        matches!(&outcome, Outcome::Died(death) if !matches!(death.cause, Cause::NobodyListens { .. } | Cause::Silent { .. }));
    let beside = order.transport != Transport::Icmp && by_itself && prediction.death.is_none();
    let ping = if beside { port::pinged(view, order) } else { None };
    let (differences, refused) = (account.differences(prediction), account.is_refused());
    let owner = view.owners_of_address(order.to).into_iter().next().map(|owner| owner.node);
    let mut notes = prediction.notes.clone();
    if let Outcome::Died(death) = &outcome {
        notes.retain(|note| note.cause != death.cause);
    }
    if account.answered {
        notes.extend(port::black_hole(view, order, prediction).map(|cause| Note { cause, cure: Vec::new() }));
    }
    notes.iter_mut().for_each(|note| note.cure = cure(view, &note.cause));
    let unknown = match &outcome {
        Outcome::Died(death) if matches!(death.cause, Cause::Unknown { .. }) => Some(&death.node),
        _ => None,
    };
    let place = unknown.and_then(|node| view.here().find(|place| place.node.node == *node));
    let legacy = place.map_or_else(Vec::new, |place| iptables::tables(&place.pin));
    let request = account.request.map_or_else(|| prediction.request.clone(), |compared| compared.journey);
    Trace {
        lab: view.lab.to_string(),
        from: order.from.to_string(),
        to: order.to,
        to_node: owner,
        transport: order.transport,
        size: order.size(),
        ttl: packet.ttl,
        request,
        reply: account.reply.map(|compared| compared.journey),
        messages: account.messages,
        differences,
        outcome,
        refused,
        ping,
        notes,
        legacy,
        several: view.prompt.lab.is_some(),
        names,
    }
}

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

    /// A question for a MAC address that nobody was seen to answer.
    pub fn unanswered(&self) -> Option<&(Interface, IpAddr)> {
        self.reply.iter().chain(&self.request).find_map(|compared| compared.unanswered.as_ref())
    }

    /// How it ended.
    pub fn outcome(&self, view: &View, prediction: &Prediction, acted: &[Acted], goal: &Goal<'_>, order: &Order<'_>) -> Outcome {
        if self.answered {
            return Outcome::Answered { milliseconds: self.milliseconds };
        }
        let dropped = acted.iter().any(|acted| acted.step.drops);
        let foretold = !self.is_refused() && self.confirms(prediction);
        let unheard = if dropped || foretold { None } else { port::unheard(view, self, order) };
        let (leg, node, cause, certain) = match unheard {
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
                // What happens where nobody looks is not certain.
                let certain = !matches!(death.cause, Cause::OtherMachine { .. });
                return (death.leg, node.clone(), self.counted(&death.cause), certain);
            }
            if here && self.unanswered().is_none() {
                return (death.leg, death.node.clone(), death.cause.clone(), false);
            }
        }
        if let Some((leg, node, cause)) = self.reported_cause(view, (goal.probe.ttl, goal.probe.size)) {
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
                    Cause::TooBig { interface: place.interface(link), mtu, size }
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
        if let (true, Some(death)) = (self.answered, &prediction.death) {
            all.push(Difference::Lives { cause: death.cause.clone() });
        }
        all
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
