//! The path of one packet and of its reply: predicted, watched, and told; how it ended, why, and how sure that is.

mod account;
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

use super::cure::{Goal, cure};
use super::predict::lookup::{Flow, Found, lookup};
use super::predict::{self, Prediction, predict};
use super::view::{Place, View};
use super::watch::Patience;
use crate::error::Result;
use crate::kernel::inspect;
use crate::kernel::netfilter::iptables;
use crate::kernel::sockets;
use crate::plan::NodeId;
use crate::report::machine::Kind;
use crate::report::probe::Transport;
use crate::report::trace::{Cause, Direction, Note, Outcome, Trace, Visit};
use crate::report::wire::Names;
use account::Account;
use filters::{Acted, acts, of_question, tracer};
use prober::Prober;
use sighting::Probed;

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
    let first = watch.probe(if prediction.may_live() { hoped } else { FORETOLD })?;
    let prediction = taken(view, &prediction, &first, order.transport);
    let probed = |view: &View, probed: &Probed| Account::from_probe(view, prediction, probed, order.transport);
    let mut account = probed(view, &first);
    let mut acted = Vec::new();
    if !account.answered && !account.confirms(prediction) {
        let end = account.stage(&sender);
        view.read_settings(std::slice::from_ref(&end.node))?;
        if let Some(tracer) = tracer(view, &end, &watch) {
            account = probed(view, &watch.probe(FORETOLD)?.after(&first));
            acted = acts(view, &end.node, &tracer);
        }
    }
    if let Some(((_, address), leg)) = account.unanswered().filter(|_| acted.iter().all(|acted| !acted.step.drops))
        && (prediction.death.is_none() || !account.confirms(prediction) || is_unexplained(prediction))
    {
        let address = *address;
        let owners = view.owners_of_address(address).into_iter().map(|owner| owner.node);
        let nodes: Vec<String> = on_the_way(prediction).into_iter().chain(owners).collect();
        view.read_settings(&nodes)?;
        let tracers = of_question(view, &nodes, address);
        if !tracers.is_empty() {
            account = probed(view, &watch.probe(ASKING)?.after(&first));
            acted.extend(tracers.iter().flat_map(|(node, tracer)| acts(view, node, tracer)));
            for acted in &mut acted {
                acted.step.reply |= leg == Direction::Reply;
            }
        }
    }
    let dropped = acted.iter().any(|acted| acted.step.drops);
    if !account.answered && !account.confirms(prediction) && !dropped && !account.is_over(order.transport) {
        let asks = account.unanswered().is_some() || is_asking(view, &account.end(&sender).node);
        let patience = if asks && prediction.death.is_none() { ASKING } else { HOPED };
        account = probed(view, &watch.probe(patience)?.after(&first));
    }
    if !account.answered
        && !dropped
        && !account.is_over(order.transport)
        && let Some(quiet) = patience(view, prediction, &account, &order)
    {
        account = probed(view, &watch.probe(Patience { quiet, whole: None })?.after(&first));
    }
    let closing = std::thread::spawn(move || drop(watch));
    let report = report(view, &order, names, prediction, account, &acted, &packet);
    let _ = closing.join();
    forget(view, &report)?;
    Ok(report)
}

/// It dies of a question that its owner hears and does not answer, as far as the tables tell.
fn is_unexplained(prediction: &Prediction) -> bool {
    prediction.death.as_ref().is_some_and(|death| matches!(death.cause, Cause::Unresolved { owner: Some(_), .. }))
}

/// Of all ways that the tables allow, the one that the packet was seen to go, or to go furthest.
fn taken<'a>(view: &View, prediction: &'a Prediction, probed: &Probed, transport: Transport) -> &'a Prediction {
    let agreement = |way: &Prediction| Account::from_probe(view, way, probed, transport).agreement(way);
    // Of equals the last of these is the first of all.
    prediction.others.iter().rev().chain([prediction]).max_by_key(|way| agreement(way)).unwrap_or(prediction)
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
        let backs = prediction.ways().filter_map(|way| way.receiver.clone().zip(way.request.source));
        let new = backs.into_iter().find(|back| asked.insert(back.clone()));
        if let Some(back) = new {
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
    let journeys = prediction.ways().flat_map(|way| std::iter::once(&way.request).chain(&way.reply));
    journeys.flat_map(|journey| &journey.visits).map(|visit| visit.node.clone()).collect()
}

fn ttl(view: &View, order: &Order<'_>) -> u8 {
    /// `IPDEFTTL` (`linux/ip.h`)
    const DEFAULT: u8 = 64;
    let tables = view.place(order.from).map(|place| &place.tables);
    let own = tables.and_then(|tables| {
        if order.to.is_ipv4() {
            return tables.settings.as_ref()?.ttl;
        }
        let flow = Flow { to: order.to, from: order.source, enters: None, leaves: (order.scope > 0).then_some(order.scope) };
        let Found::Way(_, hops) = lookup(tables, flow) else { return None };
        tables.link(hops.first()?.dev)?.hop_limit
    });
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
    let goal = Goal { from: order.from, to: order.to, probe: packet, transport: order.transport };
    let unheard = if account.answered { None } else { port::unheard(view, &account, order) };
    let outcome = account.outcome(view, prediction, acted, &goal, unheard);
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
        let unknown =
            prediction.death.as_ref().map(|death| &death.cause).filter(|cause| matches!(cause, Cause::NotFollowed { .. }));
        notes.extend(unknown.map(|cause| Note { cause: cause.clone(), cure: Vec::new() }));
        notes.extend(port::black_hole(view, order, prediction).map(|cause| Note { cause, cure: Vec::new() }));
    }
    for note in &mut notes {
        note.cure = cure(view, &note.cause);
    }
    let unknown = match &outcome {
        Outcome::Died(death) if matches!(death.cause, Cause::Unknown { .. }) => Some(&death.node),
        _ => None,
    };
    let place = unknown.and_then(|node| view.here().find(|place| place.node.node == *node));
    let legacy = place.map_or_else(Vec::new, |place| iptables::tables(&place.pin));
    let hooks = place.map_or_else(Vec::new, |place| {
        inspect::hooked(&place.pin).into_iter().filter_map(|index| Some(place.tables.link(index)?.name.clone())).collect()
    });
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
        hooks,
        several: view.prompt.lab.is_some(),
        names,
    }
}
