//! The path of one packet and of its reply: predicted, watched, and told.

mod judge;
mod sighting;
mod verdict;
mod way;

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

use judge::End;
use netlink_packet_route::neighbour::NeighbourState;
use sighting::Prober;
use verdict::{Account, Acted};

use crate::error::Result;
use crate::kernel::echo;
use crate::kernel::filter::legacy;
use crate::kernel::filter::trace::{Step, Traced, Tracer, number_of};
use crate::plan::NodeId;
use crate::probe::predict::{self, Prediction, predict};
use crate::probe::view::{Place, View};
use crate::probe::watch::Patience;
use crate::report::node::Kind;
use crate::report::trace::{Cause, Leg, Outcome, Trace};
use crate::report::wire::Names;

/// Where the tables say that the packet dies, it is dead when nothing was seen of it for so long.
const FORETOLD: Patience = Patience { quiet: Duration::from_millis(100), whole: Some(Duration::from_secs(2)) };
/// Where they say that it is answered.
const HOPED: Patience = Patience { quiet: Duration::from_millis(200), whole: Some(Duration::from_secs(2)) };
/// Once more, after a question for a MAC address that the tables say is answered: it is repeated after a second.
const ASKING: Patience = Patience { quiet: Duration::from_millis(1200), whole: Some(Duration::from_secs(4)) };

/// What to send.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// From here.
    pub from: &'a NodeId,
    /// To this address.
    pub to: IpAddr,
    /// The interface of a link-local address; else 0.
    pub scope: u32,
    /// Bytes of payload behind the ICMP header.
    pub payload: u16,
    /// The time to live, where it is not the node's own.
    pub ttl: Option<u8>,
}

impl Order<'_> {
    /// Bytes of the whole packet: RFC 791 and 8200 for the IP headers, 8 for that of ICMP.
    fn size(&self) -> u32 {
        u32::from(self.payload) + if self.to.is_ipv4() { 28 } else { 48 }
    }
}

/// Traces one packet through a lab.
///
/// # Errors
/// When a namespace cannot be entered, the kernel refuses a socket, or a signal arrives.
pub fn trace(view: &mut View, order: Order<'_>, names: Names) -> Result<Trace> {
    let sender = order.from.to_string();
    view.read_settings(std::slice::from_ref(&sender))?;
    let packet = predict::Probe { size: order.size(), ttl: ttl(view, &order), may_fragment: false, source: None };
    let prediction = foretell(view, &order, &packet)?;
    let mut watch = Prober::open(&places(view, &order, &prediction), &order)?;
    let first = watch.shoot(if prediction.death.is_some() { FORETOLD } else { HOPED })?;
    let mut account = Account::of(view, &prediction, &first);
    let mut acted = Vec::new();
    if !account.answered && !account.confirms(&prediction) {
        let end = account.end(&sender);
        view.read_settings(std::slice::from_ref(&end.node))?;
        if let Some(tracer) = tracer(view, &end, &watch) {
            account = Account::of(view, &prediction, &watch.shoot(FORETOLD)?.after(&first));
            acted = acts(view, &end.node, &tracer);
        }
    }
    if !account.answered && !account.confirms(&prediction) && !acted.iter().any(|acted| acted.step.drops) {
        let asks = account.unanswered().is_some() || is_asking(view, &account.end(&sender).node);
        let patience = if asks && prediction.death.is_none() { ASKING } else { HOPED };
        account = Account::of(view, &prediction, &watch.shoot(patience)?.after(&first));
    }
    let closing = std::thread::spawn(move || drop(watch));
    let report = report(view, &order, names, &prediction, account, &acted, packet.ttl);
    let _ = closing.join();
    forget(view, &report)?;
    Ok(report)
}

/// A node that was told of a smaller MTU on the way remembers it for minutes: what the probe taught it is forgotten.
fn forget(view: &View, report: &Trace) -> Result<()> {
    let Outcome::Died(death) = &report.outcome else { return Ok(()) };
    let (taught, to) = match (&death.cause, death.leg) {
        (Cause::TooBig { .. }, Leg::Request) => (Some(&report.from), Some(report.to)),
        (Cause::TooBig { .. }, Leg::Reply) => (report.to_node.as_ref(), report.request.source),
        _ => return Ok(()),
    };
    let place = view.here().find(|place| Some(&place.node.node) == taught);
    let (Some(place), Some(to)) = (place, to) else { return Ok(()) };
    if place.tables.exceptions.iter().any(|(known, _)| *known == to) {
        return Ok(());
    }
    echo::forget_mtu(&place.pin, &place.node.node, to)
}

/// Predicts, and reads what the prediction needs to know of the nodes on the way until nothing is missing.
fn foretell(view: &mut View, order: &Order<'_>, packet: &predict::Probe) -> Result<Prediction> {
    let mut known: HashSet<String> = HashSet::new();
    loop {
        let prediction = predict(view, order.from, order.to, packet);
        let nodes = on_the_way(&prediction);
        let new: Vec<String> = nodes.into_iter().filter(|node| known.insert(node.clone())).collect();
        if new.is_empty() {
            return Ok(prediction);
        }
        view.read_settings(&new)?;
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
    let place = view.places.iter().find(|place| place.node.node == node);
    place.is_some_and(|place| place.tables.neighbours.iter().any(|one| one.state == NeighbourState::Incomplete))
}

/// Where the packet died, the kernel tells which rule does it, if the node has any.
fn tracer(view: &View, end: &End, watch: &Prober) -> Option<Tracer> {
    let place = view.places.iter().find(|place| place.node.node == end.node)?;
    if place.tables.settings.as_ref().is_none_or(|settings| settings.chains.is_empty()) {
        return None;
    }
    let key = watch.key();
    let packet = Traced { ipv6: watch.is_ipv6(), id: key.id, magic: key.magic };
    Tracer::open(&place.pin, packet, end.interface.as_deref().filter(|_| !end.outgoing)).ok()
}

/// What rules and policies of a node did with the packet.
fn acts(view: &View, node: &str, tracer: &Tracer) -> Vec<Acted> {
    let place = view.places.iter().find(|place| place.node.node == node);
    let number = |step: &Step| place.filter(|_| step.drops).and_then(|place| number_of(&place.pin, step));
    let steps = tracer.read().unwrap_or_default().into_iter();
    steps.map(|step| Acted { node: node.to_owned(), number: number(&step), step }).collect()
}

fn report(
    view: &View,
    order: &Order<'_>,
    names: Names,
    prediction: &Prediction,
    account: Account,
    acted: &[Acted],
    ttl: u8,
) -> Trace {
    let sender = order.from.to_string();
    let outcome = account.outcome(view, prediction, acted, &sender, ttl);
    let differences = account.differences(prediction);
    let owner = view.owners_of_address(order.to).into_iter().next().map(|owner| owner.node);
    let mut notes = prediction.notes.clone();
    if let Outcome::Died(death) = &outcome {
        notes.retain(|note| note.cause != death.cause);
    }
    let unknown = match &outcome {
        Outcome::Died(death) if matches!(death.cause, Cause::Unknown { .. }) => Some(&death.node),
        _ => None,
    };
    let place = unknown.and_then(|node| view.here().find(|place| place.node.node == *node));
    let legacy = place.map_or_else(Vec::new, |place| legacy::tables(&place.pin));
    let request = account.request.map_or_else(|| prediction.request.clone(), |told| told.journey);
    Trace {
        lab: view.lab.to_string(),
        from: sender,
        to: order.to,
        to_node: owner,
        size: order.size(),
        ttl,
        request,
        reply: account.reply.map(|told| told.journey),
        messages: account.messages,
        differences,
        outcome,
        notes,
        legacy,
        several: view.prompt.lab.is_some(),
        names,
    }
}
