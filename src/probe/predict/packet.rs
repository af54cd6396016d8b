//! The way of a packet from node to node.

use std::collections::HashMap;
use std::net::IpAddr;

use netlink_packet_route::route::RouteType;

use super::barred::barred;
use super::fabric::{BROADCAST, Delivery, Ether, Landing, Passage, Stop, Why};
use super::lookup::{Flow, Found, Martian, forwards, lookup, source, sourceless, validate};
use super::map::At;
use super::neighbours::Neighbour;
use super::ways::Fork;
use super::{World, refusal, route_of};
use crate::kernel::tables::{NextHop, Route};
use crate::name::Mac;
use crate::probe::is_link_local;
use crate::report::machine::Kind;
use crate::report::trace::{Action, Cause, Frame, Known, Resolution, Route as ReportedRoute, Visit};

/// A packet on its way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packet {
    pub source: Option<IpAddr>,
    pub destination: IpAddr,
    pub ttl: u8,
    /// Bytes of the whole packet, of its largest part once it is cut.
    pub size: u32,
    pub may_fragment: bool,
    /// It is an answer of the kernel's.
    pub answers: bool,
    /// The index of the sender's only interface that it may leave by.
    pub leaves: Option<u32>,
}

/// How the way of a packet ends.
#[derive(Debug)]
pub(super) enum End {
    /// A node takes it.
    Received { place: usize },
    /// It dies in a node.
    Died { node: String, cause: Cause },
}

/// Where a packet is, and by which interface it came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stand {
    pub place: usize,
    pub enters: Option<At>,
}

/// What a node does with a packet.
enum Act<'a> {
    Take(&'a Route),
    Pass(&'a Route, &'a NextHop),
    Die(Cause),
    /// Back at its sender, which takes no packets with its own address.
    Return,
}

/// A hop that was taken.
#[derive(Debug)]
struct Taken {
    place: usize,
    route: ReportedRoute,
    /// The two ends of the segment.
    segment: (At, At),
}

/// A way so far.
#[derive(Debug, Default)]
struct Walk {
    visits: Vec<Visit>,
    taken: Vec<Taken>,
    /// The hops that are taken again and again, by their places in `taken`.
    circle: Option<std::ops::Range<usize>>,
    crossings: HashMap<(At, At), u32>,
    /// What is wrong on the way, and may be the death of it.
    suspect: Option<(usize, Cause)>,
}

/// The frame of a hop, and what became of it.
struct Sent {
    resolution: Option<Resolution>,
    frame: Option<Frame>,
    outcome: Result<Landing, (Option<Stop>, Cause)>,
    suspect: Option<Cause>,
}

impl<'a> World<'a> {
    /// Carries the packet from its sender to its end; its source address is filled in where it had none.
    pub(super) fn carry(&mut self, start: usize, packet: &mut Packet) -> (Vec<Visit>, End) {
        let mut walk = Walk::default();
        let first = packet.ttl;
        let mut stand = Stand { place: start, enters: None };
        loop {
            let home = walk.taken.first().is_some_and(|taken| taken.place == stand.place);
            match self.decide(stand, packet, (start, first)) {
                Act::Take(route) => {
                    self.take(&mut walk, stand, packet, route);
                    if let Some((_, cause)) = walk.suspect {
                        self.note(cause);
                    }
                    return (walk.visits, End::Received { place: stand.place });
                }
                Act::Return if home => {
                    walk.circle.get_or_insert(0..walk.taken.len());
                    let ended = Cause::TtlExpired { node: self.map.name(stand.place), ttl: first };
                    return self.die(walk, stand, packet.destination, ended);
                }
                Act::Return => {
                    let cause = self.taken(stand.place, packet.source.unwrap_or(packet.destination));
                    return self.die(walk, stand, packet.destination, cause);
                }
                Act::Die(cause) => {
                    let cause = self.no_router(&walk, stand, packet.destination).unwrap_or(cause);
                    return self.die(walk, stand, packet.destination, cause);
                }
                Act::Pass(route, hop) => match self.pass(&mut walk, stand, packet, route, hop) {
                    Ok(next) => stand = next,
                    Err(cause) => return self.end(walk, *cause),
                },
            }
        }
    }

    /// Where a packet came to a container that does not forward, the router before has it for its next, wrongly.
    fn no_router(&self, walk: &Walk, stand: Stand, to: IpAddr) -> Option<Cause> {
        let taken = walk.taken.last().filter(|_| self.map.kind(stand.place) == Kind::Container)?;
        let gateway = taken.route.via?;
        let enters = stand.enters?;
        if self.has(stand.place, to) || forwards(self.map.tables(stand.place), self.map.link(enters), to.is_ipv6()) {
            return None;
        }
        let (node, owner) = (self.map.name(taken.place), self.map.name(stand.place));
        Some(Cause::NotARouter { node, gateway, route: taken.route.clone(), owner })
    }

    fn decide(&mut self, stand: Stand, packet: &mut Packet, (start, first): (usize, u8)) -> Act<'a> {
        let (map, node) = (self.map, self.map.name(stand.place));
        let (tables, ipv6) = (map.tables(stand.place), packet.destination.is_ipv6());
        let link = stand.enters.map(|at| (at, map.link(at)));
        let enters = link.map(|(_, link)| link.name.as_str());
        let leaves = packet.leaves.filter(|_| stand.enters.is_none());
        let found = lookup(tables, Flow { to: packet.destination, from: packet.source, enters, leaves });
        // What comes in where IPv6 is off is dropped before it is looked at (`ip6_rcv`).
        if let Some((at, _)) = link.filter(|_| ipv6)
            && let Some(cause) = self.without_ipv6(at)
        {
            return Act::Die(cause);
        }
        if let Some((_, link)) = link
            && !matches!(found, Found::Local(_))
            && !forwards(tables, link, ipv6)
        {
            return Act::Die(Cause::ForwardingOff { node, ipv6 });
        }
        // Once the source is chosen, rules of IPv4 are asked again (`ip_route_connect`): `ping` connects.
        if let (None, None, Found::Way(route, hops)) = (link, packet.source, &found) {
            let fork = if ipv6 { Fork::Hop } else { Fork::Source };
            let hop = hops.get(self.picks.pick(fork(stand.place, packet.destination), hops.len()));
            packet.source = hop.and_then(|hop| source(tables, route, hop, packet.destination));
            if packet.source.is_some() && !ipv6 {
                return self.decide(stand, packet, (start, first));
            }
        }
        if let (None, None, Found::Nothing | Found::Barred(..) | Found::Refused(..)) = (link, packet.source, &found)
            && let Some(own) = sourceless(tables, packet.destination)
        {
            packet.source = Some(own);
            return self.decide(stand, packet, (start, first));
        }
        // What has an address of one segment is passed on within that alone (`ip6_forward`).
        if let (Some((_, link)), Found::Way(_, hops)) = (link, &found)
            && packet.source.is_some_and(is_link_local)
            && hops.first().is_some_and(|hop| hop.dev != link.index)
        {
            return Act::Die(Cause::NoAddress { node: self.map.name(start) });
        }
        if let Some((at, link)) = link
            && matches!(found, Found::Local(_) | Found::Way(..))
            && let Some(source) = packet.source
            && let Err(martian) = validate(tables, link, source, packet.destination)
        {
            return if martian == Martian::Own { Act::Return } else { Act::Die(self.martian(at, source, martian)) };
        }
        // What is for the node itself goes by its loopback.
        if let (None, Found::Local(_)) = (link, &found)
            && let Some(lo) = map.interfaces(stand.place).find(|at| map.is_loopback(*at) && !map.link(*at).up)
        {
            return Act::Die(Cause::LinkDown { interface: map.interface(lo), peer: None });
        }
        if let Some(cause) =
            packet.source.and_then(|from| self.ipsec(stand.place, &found, link.is_some(), (from, packet.destination)))
        {
            return Act::Die(cause);
        }
        match found {
            Found::Local(route) => Act::Take(route),
            // An answer goes there (`icmp_reply`); `ping` and routers send nothing.
            Found::Several(route) if packet.answers && stand.enters.is_none() && !route.hops.is_empty() => {
                Act::Pass(route, &route.hops[0])
            }
            Found::Several(_) => Act::Die(self.broadcast(stand, packet.destination)),
            Found::Nothing => Act::Die(self.no_route(stand, packet)),
            Found::Barred(kind, rule) => Act::Die(barred(node, kind, rule)),
            Found::Refused(kind, to) => Act::Die(Cause::Refused { node, kind: refusal(kind).to_owned(), to }),
            Found::Way(route, hops) => {
                if stand.enters.is_some() && packet.ttl <= 1 {
                    return Act::Die(Cause::TtlExpired { node, ttl: first });
                }
                let taken = self.picks.pick(Fork::Hop(stand.place, packet.destination), hops.len());
                hops.get(taken).map_or_else(|| Act::Die(self.no_route(stand, packet)), |hop| Act::Pass(route, hop))
            }
        }
    }

    /// Why a packet is refused for its source address.
    pub(super) fn martian(&self, at: At, source: IpAddr, martian: Martian) -> Cause {
        let interface = self.map.interface(at);
        match martian {
            Martian::ReversePath { strict } => Cause::ReversePath { interface, source, strict },
            Martian::Own => self.taken(at.place, source),
            Martian::Broadcast => self.broadcast(Stand { place: at.place, enters: Some(at) }, source),
        }
    }

    /// That others on the segment have an address of the node's, too; one node may have it twice.
    pub(super) fn duplicate_on_segment(&self, place: usize, address: IpAddr) -> Option<Cause> {
        let (own, others): (Vec<At>, Vec<At>) = self.map.owners(address).iter().partition(|owner| owner.place == place);
        let meets = |other: &At| own.iter().any(|own| self.map.path(*own, *other).is_some_and(|path| path.is_plugged()));
        let others: Vec<At> = others.into_iter().filter(meets).collect();
        let owners = own.iter().chain(&others).map(|at| self.map.interface(*at)).collect();
        (!others.is_empty()).then_some(Cause::DuplicateAddress { address, owners })
    }

    /// That several have the address.
    pub(super) fn duplicate(&self, address: IpAddr) -> Cause {
        let loopbacks =
            self.map.everywhere().filter(|at| self.map.is_loopback(*at) && self.map.nets(*at).any(|net| net.addr() == address));
        let mut owners: Vec<At> = self.map.owners(address).iter().copied().chain(loopbacks).collect();
        owners.sort_unstable();
        owners.dedup();
        let owners = owners.into_iter().map(|at| self.map.interface(at)).collect();
        Cause::DuplicateAddress { address, owners }
    }

    /// The node is where the packet wanted to go.
    fn take(&mut self, walk: &mut Walk, stand: Stand, packet: &mut Packet, route: &Route) {
        if stand.enters.is_none() {
            // To itself, over its loopback.
            packet.source = packet.source.or(Some(packet.destination));
            let reported = route_of(self.map.tables(stand.place), route, route.hops.first());
            let mut visit = self.visit(stand, Action::Sends(reported));
            visit.leaves = Some("lo".to_owned());
            walk.visits.push(visit);
        }
        let mut visit = self.visit(stand, Action::Receives);
        visit.enters = visit.enters.or_else(|| Some("lo".to_owned()));
        walk.visits.push(visit);
    }

    /// Sends the packet to the next node.
    fn pass(
        &mut self,
        walk: &mut Walk,
        stand: Stand,
        packet: &mut Packet,
        route: &Route,
        hop: &NextHop,
    ) -> Result<Stand, Box<(usize, Cause)>> {
        let tables = self.map.tables(stand.place);
        // What a router has told of the address (`find_exception`, `rt6_find_cached_rt`).
        let redirect = tables.redirects.iter().find(|(to, other)| *to == packet.destination && other.dev == hop.dev);
        let hop = redirect.filter(|_| route.kind == RouteType::Unicast).map_or(hop, |(_, router)| router);
        let reported = route_of(tables, route, Some(hop));
        let deed = match stand.enters {
            None => Action::Sends(reported.clone()),
            Some(_) => Action::Routes { route: reported.clone(), ttl: packet.ttl },
        };
        if walk.circle.is_none()
            && let Some(before) = walk.taken.iter().position(|taken| taken.place == stand.place && taken.route == reported)
        {
            walk.circle = Some(before..walk.taken.len());
        }
        let mut visit = self.visit(stand, deed);
        let die = |cause| Err(Box::new((stand.place, cause)));
        let node = visit.node.clone();
        let Some(out) = self.map.at(stand.place, hop.dev) else {
            walk.visits.push(visit);
            return die(Cause::Unknown { node, interface: None });
        };
        if packet.source.is_none() {
            packet.source = source(tables, route, hop, packet.destination);
        }
        visit.leaves = Some(reported.dev.clone());
        if packet.source.is_none() {
            walk.visits.push(visit);
            return die(Cause::NoAddress { node });
        }
        if let (true, None, Some(limit)) =
            (packet.answers && packet.destination.is_ipv6(), stand.enters, self.map.link(out).hop_limit)
        {
            packet.ttl = limit;
        }
        // A router passes packets on whatever it has learned (`net.ipv4.ip_forward_use_pmtu` is 0).
        // A probe that may not be cut does not heed it (`ip_sk_use_pmtu`).
        let heeds = stand.enters.is_none() && (packet.may_fragment || packet.answers);
        let exceptions = tables.exceptions.iter().filter(|_| heeds);
        let learned = exceptions.filter(|(to, _)| *to == packet.destination).map(|(_, mtu)| *mtu);
        let mtu = learned.chain(route.mtu).chain([self.map.link(out).mtu]).min().unwrap_or(u32::MAX);
        if packet.size > mtu {
            if !packet.may_fragment || stand.enters.is_some() && packet.destination.is_ipv6() {
                walk.visits.push(visit);
                let by = route.mtu.filter(|own| *own == mtu && mtu < self.map.link(out).mtu).map(|_| route.to);
                return die(Cause::TooBig { interface: self.map.interface(out), mtu, size: packet.size, route: by });
            }
            packet.size = mtu;
        }
        if let ([Taken { route, segment, .. }], true) = (walk.taken.as_slice(), stand.enters == Some(out)) {
            let (sender, told_by) = (if segment.0 == out { segment.1 } else { segment.0 }, route.via);
            self.redirect(sender, told_by, out, packet, hop.via.unwrap_or(packet.destination));
        }
        packet.ttl = packet.ttl.saturating_sub(u8::from(stand.enters.is_some()));
        let sent = self.segment(out, packet, (&reported, route.kind));
        visit.resolution = sent.resolution;
        visit.frame.clone_from(&sent.frame);
        let way = match &sent.outcome {
            Ok(landing) => &landing.way,
            Err((Some(stop), _)) => &stop.way,
            Err((None, _)) => &Vec::new(),
        };
        let recording = walk.circle.is_none();
        if recording {
            walk.visits.push(visit);
            walk.visits.extend(
                way.iter()
                    .filter(|passage| passage.enters.is_some() || passage.bridge.place != out.place)
                    .map(|each| self.bridged(each, sent.frame.as_ref())),
            );
        }
        if let Some(cause) = sent.suspect {
            walk.suspect.get_or_insert((stand.place, cause));
        }
        match sent.outcome {
            Ok(landing) => {
                let segment = (out.min(landing.at), out.max(landing.at));
                *walk.crossings.entry(segment).or_default() += 1;
                walk.taken.push(Taken { place: stand.place, route: reported, segment });
                Ok(Stand { place: landing.at.place, enters: Some(landing.at) })
            }
            Err((stop, cause)) => {
                let last = stop.and_then(|stop| stop.entered).filter(|_| recording);
                // Where the bridge has sent it on to others, that is what is seen of it.
                let floods = |at: &At| {
                    let before = walk.visits.last().filter(|visit| visit.node == self.map.name(at.place));
                    before.is_some_and(|visit| matches!(visit.deed, Action::Bridges { floods: true, .. }))
                };
                let here = last.filter(|at| !floods(at) || self.map.bridge(*at).is_none());
                if let Some(at) = here {
                    walk.visits.push(self.visit(Stand { place: at.place, enters: Some(at) }, Action::Drops));
                }
                Err(Box::new((last.map_or(stand.place, |at| at.place), cause)))
            }
        }
    }

    /// Over one segment: who is asked, the frame, and where it ends.
    fn segment(&mut self, out: At, packet: &Packet, (route, kind): (&ReportedRoute, RouteType)) -> Sent {
        let next = route.via.unwrap_or(packet.destination);
        let source = packet.source.unwrap_or(next);
        if let Some(outcome) = self.at_once(out, packet) {
            return Sent { resolution: None, frame: None, outcome, suspect: None };
        }
        let known = match kind {
            // An entry that is made for it has the address of all (`arp_constructor`).
            RouteType::Broadcast => {
                let all = if self.map.link(out).noarp { self.map.link(out).mac } else { None };
                Neighbour::Entry(self.kept(out, next).or(all).unwrap_or(BROADCAST))
            }
            _ => self.neighbour(out, next, source),
        };
        let asked = |answer| Resolution { address: next, answer };
        let (mac, by, resolution, entry) = match known {
            Neighbour::Entry(mac) => (mac, Vec::new(), None, true),
            Neighbour::Answered { mac, by } => (mac, by, Some(asked(Some(self.map.station(mac)))), false),
            Neighbour::Silent(silence) => {
                let cause = self.silence(out, next, &silence, route, packet);
                let outcome = Err((None, cause));
                return Sent { resolution: Some(asked(None)), frame: None, outcome, suspect: None };
            }
        };
        // A node with several interfaces on the segment answers at each (`arp_ignore` is 0): one has it.
        let first = by.first().map(|at| at.place);
        if by.iter().any(|at| Some(at.place) != first) {
            let owners = by.iter().map(|at| self.map.interface(*at)).collect();
            self.note(Cause::DuplicateAddress { address: next, owners });
        }
        let own = self.map.link(out).mac.unwrap_or(Mac([0; 6]));
        self.note_mac(own);
        self.note_mac(mac);
        let (from, to) = (self.map.station(own), self.map.station(mac));
        let frame = Some(Frame {
            source: from,
            destination: to,
            from: packet.source,
            to: packet.destination,
            ttl: packet.ttl,
            seen: None,
        });
        let (mut delivery, wrong) = self.send(out, Ether { source: own, destination: mac, size: packet.size });
        // Who answers for the address passes it on.
        let stands_in = |at: At| matches!(self.answers(at, next, source), Some(Ok(())));
        let wanted = |landing: &Landing| by.contains(&landing.at) || self.has(landing.at.place, next) || stands_in(landing.at);
        let right = delivery.landings.iter().position(wanted);
        if let Some(right) = right {
            return Sent { resolution, frame, outcome: Ok(delivery.landings.swap_remove(right)), suspect: None };
        }
        let cause = wrong.unwrap_or_else(|| self.astray(out, next, (mac, entry), &delivery, route, packet));
        if delivery.landings.is_empty() {
            let stop = furthest(&mut delivery, self.map.owners(next));
            return Sent { resolution, frame, outcome: Err((stop, cause)), suspect: None };
        }
        Sent { resolution, frame, outcome: Ok(delivery.landings.swap_remove(0)), suspect: Some(cause) }
    }

    fn visit(&self, stand: Stand, deed: Action) -> Visit {
        Visit {
            node: self.map.name(stand.place),
            kind: self.map.kind(stand.place),
            enters: stand.enters.map(|at| self.map.link(at).name.clone()),
            leaves: None,
            deed,
            resolution: None,
            frame: None,
            known: Known::Predicted,
        }
    }

    fn bridged(&self, passage: &Passage, frame: Option<&Frame>) -> Visit {
        let bridge = self.map.link(passage.bridge).name.clone();
        let stand = Stand { place: passage.bridge.place, enters: passage.enters };
        Visit {
            leaves: Some(self.map.link(passage.leaves).name.clone()),
            frame: frame.cloned(),
            ..self.visit(stand, Action::Bridges { bridge, floods: passage.floods })
        }
    }

    fn die(&mut self, mut walk: Walk, stand: Stand, to: IpAddr, cause: Cause) -> (Vec<Visit>, End) {
        if let (Some(circle), Cause::TtlExpired { .. }) = (walk.circle.clone(), &cause) {
            let taken = &walk.taken[circle];
            let routes = taken.iter().map(|taken| (self.map.name(taken.place), taken.route.clone())).collect();
            let crossings = taken.first().and_then(|taken| walk.crossings.get(&taken.segment)).copied().unwrap_or(0);
            let node = taken.first().map_or_else(String::new, |taken| self.map.name(taken.place));
            // What makes them send it on and on is a way that one of them lacks.
            let places: Vec<usize> = taken.iter().map(|taken| taken.place).collect();
            let near = places.iter().find_map(|place| Some((*place, self.other_subnet(*place, to)?)));
            let lacks = near.or_else(|| places.iter().find_map(|place| Some((*place, self.down_towards(*place, to)?))));
            if let Some((place, cause)) = lacks {
                return (
                    walk.visits,
                    End::Died { node: cause.scene().map_or_else(|| self.map.name(place), str::to_owned), cause },
                );
            }
            return (walk.visits, End::Died { node, cause: Cause::Loop { to, routes, crossings } });
        }
        walk.visits.push(self.visit(stand, Action::Drops));
        self.end(walk, (stand.place, cause))
    }

    /// What was wrong before is what it dies of.
    fn end(&self, walk: Walk, cause: (usize, Cause)) -> (Vec<Visit>, End) {
        let (place, cause) = walk.suspect.unwrap_or(cause);
        let node = cause.scene().map_or_else(|| self.map.name(place), str::to_owned);
        (walk.visits, End::Died { node, cause })
    }
}

/// The end that the frame came furthest to, or that at the address that it was for; a port that is closed is one that it does
/// not come to, while others get it.
fn furthest(delivery: &mut Delivery, owners: &[At]) -> Option<Stop> {
    let seen = |stop: &Stop| (owners.contains(&stop.at), stop.why != Why::Foreign, stop.way.len());
    let at = (0..delivery.stops.len()).max_by_key(|at| seen(&delivery.stops[*at]))?;
    let mut stop = delivery.stops.swap_remove(at);
    let onward = delivery
        .stops
        .iter()
        .filter(|other| other.way.strip_prefix(stop.way.as_slice()).and_then(<[_]>::first).is_some_and(|passage| passage.floods));
    if let (Why::Closed | Why::Sorted(_), Some(other)) = (stop.why, onward.max_by_key(|other| other.way.len())) {
        stop.way.clone_from(&other.way);
    }
    Some(stop)
}
