//! What the port of a probe has to do with its end: who listens, and whether a ping gets through.

use std::time::Duration;

use super::Order;
use super::account::Account;
use crate::kernel::calls::{listeners, takes};
use crate::kernel::sockets::Manner;
use crate::probe::ping::{self, Came};
use crate::probe::predict::{Prediction, Probe, predict};
use crate::probe::view::View;
use crate::report::probe::Transport;
use crate::report::trace::{Action, Cause, Visit};

/// As long as a ping beside the probe is waited for.
const PATIENCE: Duration = Duration::from_millis(500);
/// Bytes of its payload.
const SIZE: usize = 56;
/// The time to live of full packets.
const TTL: u8 = 64;

/// That nobody listens where the probe arrived, or that somebody does and says nothing; with the node, and whether it is certain.
pub fn unheard(view: &View, account: &Account, order: &Order<'_>) -> Option<(String, Cause, bool)> {
    let transport = order.transport;
    let udp = matches!(transport, Transport::Udp { .. });
    transport.port()?;
    let owners = view.owners_of_address(order.to);
    if account.is_refused()
        && let Some(owner) = owners.first().filter(|owner| view.is_unseen(&owner.node))
    {
        return Some((owner.node.clone(), Cause::NobodyListens { node: owner.node.clone(), transport, at: Vec::new() }, false));
    }
    // Where a reply was on its way, what matters is what became of that.
    if !account.is_refused() && account.reply.as_ref().is_some_and(|reply| reply.end.is_some()) {
        return None;
    }
    let end = account.request.as_ref()?.end.as_ref().filter(|end| !end.outgoing)?;
    let node = owners.into_iter().find(|owner| owner.node == end.node)?.node;
    let at = listeners(&view.named(&node)?.pin, transport)?;
    let first = account.reply.as_ref().and_then(|reply| reply.journey.visits.first());
    let refuses = account.refuses && first.is_some_and(|visit| visit.node == node);
    match (takes(&at, order.to), refuses) {
        // Of TCP silence says that something else keeps the kernel from refusing.
        (false, refuses) if refuses || udp => Some((node.clone(), Cause::NobodyListens { node, transport, at }, true)),
        (true, false) if udp => Some((node.clone(), Cause::Silent { node, transport }, false)),
        _ => None,
    }
}

/// Where full packets of a connection get lost although its first ones pass: the tables say so, and a ping as large is not
/// answered. Of a router a sender is told that they are too big, and sends smaller ones.
pub fn black_hole(view: &View, order: &Order<'_>, prediction: &Prediction) -> Option<Cause> {
    let Transport::Tcp { .. } = order.transport else { return None };
    let visits = &prediction.request.visits;
    let mtu = |visit: &Visit, name: &Option<String>| Some(view.named(&visit.node)?.named(name.as_ref()?)?.mtu);
    let (first, last) = (visits.first()?, visits.last()?);
    let size = mtu(first, &first.leaves)?.min(mtu(last, &last.enters)?);
    let probe = Probe { size, ttl: TTL, may_fragment: true, source: order.source };
    let full = predict(view, order.from, order.to, &probe);
    let Cause::TooBig { interface, mtu, size, .. } = full.death?.cause else { return None };
    let of_router = |visit: &Visit| {
        let routes = matches!(visit.deed, Action::Sends(_) | Action::Routes { .. });
        routes && visit.node == interface.node && visit.leaves.as_ref() == Some(&interface.interface)
    };
    if visits.iter().chain(prediction.reply.iter().flat_map(|reply| &reply.visits)).any(of_router) {
        return None;
    }
    // The headers of IP and ICMP.
    let payload = usize::try_from(size).ok()?.checked_sub(if order.to.is_ipv4() { 28 } else { 48 })?;
    let passes = ping(view, order, payload, true) != Some(false);
    (!passes).then_some(Cause::BlackHole { interface, mtu, size })
}

/// Whether a ping from the same node to the same address is answered; none where it cannot be sent.
pub fn pinged(view: &View, order: &Order<'_>) -> Option<bool> {
    ping(view, order, SIZE, false)
}

fn ping(view: &View, order: &Order<'_>, size: usize, whole: bool) -> Option<bool> {
    let place = view.place(order.from)?;
    let ping = ping::Order {
        pin: place.pin.clone(),
        node: order.from.to_string(),
        to: order.to,
        scope: order.scope,
        count: 1,
        interval: PATIENCE,
        patience: Some(PATIENCE),
        size,
        manner: Manner { source: order.source, whole, ..Manner::default() },
    };
    let mut answered = false;
    let sent = ping::ping(&ping, &mut |came| {
        answered |= matches!(came, Came::Reply { .. });
        !answered
    });
    sent.ok().map(|_| answered)
}
