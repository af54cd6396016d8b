//! The prediction and what was seen, put together.

use std::net::IpAddr;

use super::sighting::{Probed, Sighting, Stop, What, way};
use crate::name::Mac;
use crate::probe::view::View;
use crate::report::machine::Kind;
use crate::report::trace::{Action, Difference, Direction, Frame, Journey, Known, Resolution, Visit};
use crate::report::wire::{Interface, Station};

/// Where a packet was seen last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// The packet or its reply.
    pub leg: Direction,
    /// The node.
    pub node: String,
    /// The interface; none where it did not leave its sender.
    pub interface: Option<String>,
    /// It left the node there.
    pub outgoing: bool,
}

/// One direction, as it is reported, and how it agrees with the prediction.
#[derive(Debug)]
pub struct Compared {
    /// The way.
    pub journey: Journey,
    /// Where sight and tables differ.
    pub differences: Vec<Difference>,
    /// Where it was seen last; none where it was never seen.
    pub end: Option<End>,
    /// A question that nobody was seen to answer: who asks, for which address.
    pub unanswered: Option<(Interface, IpAddr)>,
    /// All that was predicted was seen, and nothing else.
    pub agrees: bool,
}

/// The way of the packet or of its reply.
pub fn compare(view: &View, predicted: Option<&Journey>, probed: &Probed, leg: Direction) -> Option<Compared> {
    let expected = |seen: &Sighting| {
        let visits = predicted.iter().flat_map(|journey| &journey.visits);
        visits.into_iter().any(|visit| visit.node == seen.node && visit.leaves.as_deref() == Some(&seen.interface))
    };
    let stops = way(view, &probed.sightings, leg, &expected);
    if predicted.is_none() && stops.is_empty() {
        return None;
    }
    let first = stops.first().and_then(|stop| stop.seen.first());
    let addresses = first.and_then(|seen| match seen.what {
        What::Packet { source, destination, .. } => Some((source, destination)),
        _ => None,
    });
    let (source, destination) = match (addresses, predicted) {
        (Some((source, destination)), _) => (Some(source), destination),
        (None, Some(journey)) => (journey.source, journey.destination),
        (None, None) => return None,
    };
    let mut comparison = Comparison { view, probed, leg, destination, visits: Vec::new(), differences: Vec::new() };
    let agrees = predicted.is_some_and(|journey| comparison.follow(&journey.visits, &stops));
    if predicted.is_none() {
        comparison.observed(&stops);
    }
    let end = stops.last().and_then(|stop| end(leg, stop));
    let unanswered = comparison.unanswered(&stops, predicted);
    let Comparison { mut visits, mut differences, .. } = comparison;
    differences.extend(source.into_iter().flat_map(|source| translations(leg, (source, destination), &visits)));
    if let Some(again) = circle(&visits) {
        visits.truncate(again);
    }
    Some(Compared { journey: Journey { source, destination, visits }, differences, end, unanswered, agrees })
}

/// Where the addresses in the packet change.
fn translations(leg: Direction, mut before: (IpAddr, IpAddr), visits: &[Visit]) -> Vec<Difference> {
    let mut found = Vec::new();
    for visit in visits {
        let Some((Some(from), to)) = visit.frame.as_ref().map(|frame| (frame.from, frame.to)) else { continue };
        if (from, to) != before {
            found.push(Difference::Translation { leg, node: visit.node.clone(), before, after: (from, to) });
            before = (from, to);
        }
    }
    found
}

/// The first visit by which a packet is sent the same way as before.
fn circle(visits: &[Visit]) -> Option<usize> {
    let again = |(at, visit): (usize, &Visit)| {
        let way = |visit: &Visit| (visit.node.clone(), visit.leaves.clone());
        let routes = matches!(visit.deed, Action::Routes { .. });
        routes && visits[..at].iter().any(|before| matches!(before.deed, Action::Routes { .. }) && way(before) == way(visit))
    };
    visits.iter().enumerate().position(|(at, visit)| again((at, visit)))
}

fn end(leg: Direction, stop: &Stop<'_>) -> Option<End> {
    let last = stop.seen.last()?;
    Some(End { leg, node: stop.node.to_owned(), interface: Some(last.interface.clone()), outgoing: last.outgoing })
}

struct Comparison<'a> {
    view: &'a View,
    probed: &'a Probed,
    leg: Direction,
    destination: IpAddr,
    visits: Vec<Visit>,
    differences: Vec<Difference>,
}

impl Comparison<'_> {
    /// Goes along the prediction as far as it was seen; whether all of it was, and no more.
    fn follow(&mut self, predicted: &[Visit], stops: &[Stop<'_>]) -> bool {
        let mut at = 0;
        for (number, visit) in predicted.iter().enumerate() {
            if self.view.is_unseen(&visit.node) {
                // Nobody looks there: a packet that has left for the other machine goes on as the file says.
                // What tables have learned there no file knows.
                let deed = match &visit.deed {
                    Action::Bridges { bridge, .. } => Action::Bridges { bridge: bridge.clone(), floods: false },
                    deed => deed.clone(),
                };
                self.visits.push(Visit { known: Known::File, deed, resolution: None, ..visit.clone() });
                continue;
            }
            // Two visits of one node in a row are one stop.
            let again = number > 0 && predicted[number - 1].node == visit.node && at > 0;
            let place = if again && stops.get(at).is_none_or(|stop| stop.node != visit.node) { at - 1 } else { at };
            let Some(stop) = stops.get(place).filter(|stop| stop.node == visit.node) else {
                return self.unseen(visit, number, stops.get(at).map(|_| &stops[at..]));
            };
            at = place + 1;
            match &visit.leaves {
                Some(leaves) if stop.leaving(leaves).is_some() => self.both(visit, stop, leaves),
                None if stop.left().is_none() => self.visits.push(Visit { known: Known::Both, ..visit.clone() }),
                _ if stop.left().is_none() => {
                    // It came here, and not away; where the tables say that it cannot leave either, they agree.
                    if visit.frame.is_none() {
                        let resolution = self.resolution(visit, None);
                        self.visits.push(Visit { known: Known::Both, leaves: None, resolution, ..visit.clone() });
                        continue;
                    }
                    self.stays(visit, Known::Observed);
                    return false;
                }
                _ => {
                    let left = stop.left().map(|seen| seen.interface.clone());
                    self.differs(&visit.node, visit.leaves.clone(), left);
                    self.observed(&stops[place..]);
                    return false;
                }
            }
        }
        // A circle is told once; anything else that goes on was not foreseen.
        let circle = stops.len() > at && stops.iter().take(at).any(|stop| stop.node == stops[at].node);
        if stops.len() > at && !circle {
            self.differs(stops[at - 1].node, None, stops[at - 1].left().map(|seen| seen.interface.clone()));
            self.observed(&stops[at..]);
            return false;
        }
        self.differences.is_empty()
    }

    /// The packet was not seen to come there.
    fn unseen(&mut self, visit: &Visit, number: usize, elsewhere: Option<&[Stop<'_>]>) -> bool {
        if let Some(stops) = elsewhere {
            self.differs(&visit.node, visit.leaves.clone(), None);
            self.observed(stops);
            return false;
        }
        if number > 0 {
            // It left and did not arrive: lost on the cable, or in an interface that takes nothing.
            self.visits.push(Visit { known: Known::Predicted, leaves: None, frame: None, resolution: None, ..visit.clone() });
            self.differs(&visit.node, visit.enters.clone(), None);
            return false;
        }
        let foreseen = visit.frame.is_none() || visit.resolution.as_ref().is_some_and(|asked| asked.answer.is_none());
        self.stays(visit, if foreseen { Known::Both } else { Known::Observed });
        foreseen
    }

    /// It did not leave the node where it was, as the tables say, or against them.
    fn stays(&mut self, visit: &Visit, known: Known) {
        let resolution = self.resolution(visit, None);
        let asked_in_vain = resolution.as_ref().is_some_and(|asked| asked.answer.is_none());
        let deed = if known == Known::Both || asked_in_vain { visit.deed.clone() } else { Action::Drops };
        if known == Known::Observed {
            self.differs(&visit.node, visit.leaves.clone(), None);
        }
        self.visits.push(Visit { known, leaves: None, frame: None, resolution, deed, ..visit.clone() });
    }

    fn both(&mut self, visit: &Visit, stop: &Stop<'_>, leaves: &str) {
        let Some(seen) = stop.leaving(leaves) else { return };
        let frame = self.frame(seen, visit.frame.as_ref());
        // What MAC address a real NIC of another machine has, no file says.
        let real = visit.frame.as_ref().and_then(|frame| self.remote_owner(frame)).is_some();
        let to = |frame: &Frame| Some(frame.destination.mac.clone()).filter(|_| !real);
        let headers = |frame: &Frame| (frame.source.mac.clone(), to(frame), frame.ttl);
        if let Some(predicted) = visit.frame.as_ref().filter(|predicted| headers(predicted) != headers(&frame)) {
            self.differences.push(Difference::Frame {
                leg: self.leg,
                interface: Interface { node: visit.node.clone(), interface: leaves.to_owned() },
                predicted: Box::new(predicted.clone()),
                observed: Box::new(frame.clone()),
            });
        }
        let resolution = self.resolution(visit, Some(seen));
        // What goes into a tunnel has no frame.
        let frame = Some(frame).filter(|_| visit.frame.is_some());
        self.visits.push(Visit { known: Known::Both, frame, resolution, ..visit.clone() });
    }

    /// The NIC of a host on another machine that the frame is for.
    fn remote_owner(&self, frame: &Frame) -> Option<Interface> {
        let is_host = |node: &str| !node.contains('.');
        frame.destination.owner.clone().filter(|owner| is_host(&owner.node) && self.view.is_unseen(&owner.node))
    }

    fn differs(&mut self, node: &str, predicted: Option<String>, observed: Option<String>) {
        self.differences.push(Difference::Way { leg: self.leg, node: node.to_owned(), predicted, observed });
    }

    /// Stops that no table foretells.
    fn observed(&mut self, stops: &[Stop<'_>]) {
        let mut known: Vec<(&str, Option<&str>)> = Vec::new();
        for stop in stops {
            let (first, left) = (stop.entered(), stop.left());
            let key = (stop.node, left.map(|seen| seen.interface.as_str()));
            if known.contains(&key) {
                break;
            }
            known.push(key);
            let place = self.view.named(stop.node);
            let owns = place.is_some_and(|place| {
                place.node.links.iter().any(|link| link.addresses.iter().any(|net| net.addr() == self.destination))
            });
            let ttl = |seen: Option<&Sighting>| seen.and_then(Sighting::packet).map(|(_, ttl)| ttl);
            let deed = match (first, left) {
                (_, None) if owns => Action::Receives,
                (_, None) => Action::Drops,
                _ => Action::Passes { ttl: ttl(first) },
            };
            self.visits.push(Visit {
                node: stop.node.to_owned(),
                kind: place.map_or(Kind::Host, |place| place.node.kind),
                enters: first.map(|seen| seen.interface.clone()),
                leaves: left.map(|seen| seen.interface.clone()),
                deed,
                resolution: None,
                frame: left.map(|seen| self.frame(seen, None)),
                known: Known::Observed,
            });
        }
    }

    /// The frame as it was seen, with its owners as the tables name them, where they say the same.
    fn frame(&self, seen: &Sighting, predicted: Option<&Frame>) -> Frame {
        let (ttl, from, to) = match seen.what {
            What::Packet { ttl, source, destination, .. } => (ttl, Some(source), destination),
            _ => (0, None, self.destination),
        };
        let same = predicted.filter(|frame| {
            (frame.source.mac.as_str(), frame.destination.mac.as_str())
                == (seen.source.to_string().as_str(), seen.destination.to_string().as_str())
        });
        let (source, destination) = if let Some(frame) = same {
            (frame.source.clone(), frame.destination.clone())
        } else {
            let mut destination = self.named(seen.destination, None);
            if destination.owner.is_none() {
                destination.owner = predicted.and_then(|frame| self.remote_owner(frame));
            }
            (self.named(seen.source, Some(&seen.node)), destination)
        };
        let times = self.probed.sightings.iter().filter(|other| {
            other.outgoing
                && (&other.node, &other.interface) == (&seen.node, &seen.interface)
                && other.packet().is_some_and(|(leg, _)| leg == self.leg)
        });
        Frame { source, destination, from, to, ttl, seen: Some(u32::try_from(times.count()).unwrap_or(u32::MAX)) }
    }

    /// A MAC address with its one owner; of several on one node the bridge, which shares the address of a port.
    fn named(&self, mac: Mac, node: Option<&str>) -> Station {
        let mut owners = self.view.owners_of_mac(mac);
        if let Some(node) = node.filter(|node| owners.iter().any(|owner| owner.node == *node)) {
            owners.retain(|owner| owner.node == node);
        }
        let bridges: Vec<Interface> = owners.iter().filter(|owner| self.is_bridge(owner)).cloned().collect();
        let owner = match (owners.as_slice(), bridges.as_slice()) {
            ([one], _) => Some(one.clone()),
            (many, [bridge]) if many.iter().all(|owner| owner.node == bridge.node) => Some(bridge.clone()),
            _ => None,
        };
        Station { mac: mac.to_string(), owner }
    }

    fn is_bridge(&self, interface: &Interface) -> bool {
        self.view.interface(interface).is_some_and(|link| link.kind == "bridge")
    }

    /// The exchange that was seen before the packet left, if one was; where the packet did not leave, the one in vain.
    fn resolution(&self, visit: &Visit, left: Option<&Sighting>) -> Option<Resolution> {
        let asked = self.asked(visit)?;
        let answer = self.probed.sightings.iter().find_map(|seen| match seen.what {
            What::Answers { address, mac } if address == asked && !seen.outgoing && seen.node == visit.node => Some(mac),
            _ => None,
        });
        // An answer to a question of before is no answer to this one; a frame says itself where its destination is.
        let mac = left.map(|seen| seen.destination).or(answer);
        Some(Resolution { address: asked, answer: mac.map(|mac| self.named(mac, None)) })
    }

    /// The address that the node asked for, on its way to the next.
    fn asked(&self, visit: &Visit) -> Option<IpAddr> {
        let next = self.next(visit)?;
        let asks = self.probed.sightings.iter().any(|seen| {
            seen.outgoing && seen.node == visit.node && matches!(seen.what, What::Asks { address } if address == next)
        });
        asks.then_some(next)
    }

    /// A question for the next on the way, by the node where the packet was seen last, that nobody answered there.
    fn unanswered(&self, stops: &[Stop<'_>], predicted: Option<&Journey>) -> Option<(Interface, IpAddr)> {
        let visits = predicted.map_or(&[][..], |journey| &journey.visits);
        let node = match (stops.last(), visits.first()) {
            (Some(stop), _) if stop.left().is_none() => stop.node,
            (None, Some(visit)) => visit.node.as_str(),
            _ => return None,
        };
        let foretold = visits.iter().filter(|visit| visit.node == node).find_map(|visit| self.next(visit));
        let next = foretold.unwrap_or(self.destination);
        self.probed.sightings.iter().find_map(|seen| match seen.what {
            What::Asks { address } if seen.outgoing && seen.node == node && address == next && !self.is_answered(node, next) => {
                Some((Interface { node: node.to_owned(), interface: seen.interface.clone() }, next))
            }
            _ => None,
        })
    }

    /// The address whose MAC address a node needs to know to send the packet on.
    fn next(&self, visit: &Visit) -> Option<IpAddr> {
        match &visit.deed {
            Action::Sends(route) | Action::Routes { route, .. } => Some(route.via.unwrap_or(self.destination)),
            _ => None,
        }
    }

    fn is_answered(&self, node: &str, asked: IpAddr) -> bool {
        self.probed.sightings.iter().any(|seen| {
            !seen.outgoing && seen.node == node && matches!(seen.what, What::Answers { address, .. } if address == asked)
        })
    }
}
