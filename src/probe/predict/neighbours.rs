//! How a node comes to the MAC address of its next: what it knows, whom it asks, who answers.

use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_route::neighbour::NeighbourState;
use netlink_packet_route::route::RouteType;

use super::World;
use super::fabric::{BROADCAST, Delivery, Ether, SOLICITED, Stop};
use super::lookup::{Flow, Found, Martian, lookup, validate};
use super::map::At;
use super::ways::Fork;
use crate::kernel::tables;
use crate::name::Mac;
use crate::probe::is_link_local;
use crate::report::trace::Cause;

/// The size of a question, far below any MTU.
pub(super) const QUESTION: u32 = 72;

/// How a node comes to the MAC address.
#[derive(Debug, Clone)]
pub(super) enum Neighbour {
    /// It is in the table.
    Entry(Mac),
    /// Somebody answers.
    Answered { mac: Mac, by: Vec<At> },
    /// Nobody does.
    Silent(Box<Silence>),
}

/// Why there is no answer.
#[derive(Debug, Clone, Default)]
pub(super) struct Silence {
    /// Interfaces that have the address and heard the question, and refused to answer for the asker's address.
    pub refusals: Vec<(At, Martian)>,
    /// Interfaces that answered, with what became of the answer.
    pub lost: Vec<(At, Delivery)>,
    /// Interfaces that heard the question and say nothing, though their node has the address.
    pub secretive: Vec<At>,
    /// It is the asker's own address.
    pub own: bool,
    /// The asker has no address of its own to ask with.
    pub mute: bool,
    /// What is wrong with a tunnel, or with a link that is not followed, on the way of the question.
    pub wrong: Option<Cause>,
    /// What became of the question.
    pub stops: Vec<Stop>,
}

impl World<'_> {
    /// The MAC address of a neighbour; `source` is the source address of the packet that waits for it.
    pub(super) fn neighbour(&mut self, out: At, address: IpAddr, source: IpAddr) -> Neighbour {
        let index = self.map.link(out).index;
        let entries = &self.map.tables(out.place).neighbours;
        let entry = entries.iter().find(|entry| entry.dev == index && entry.address == address);
        let entry = entry.and_then(|entry| Some((entry.mac?, entry.state)));
        // An interface that does not ask has its own address in the entries that it makes (`arp_constructor`).
        let noarp = self.map.link(out).noarp;
        let kept = |state| matches!(state, NeighbourState::Permanent) || state == NeighbourState::Noarp && !noarp;
        if let Some((mac, _)) = entry.filter(|(_, state)| kept(*state)) {
            return Neighbour::Entry(mac);
        }
        if noarp {
            return self.map.link(out).mac.map_or_else(|| Neighbour::Silent(Box::default()), Neighbour::Entry);
        }
        if let Some(mac) = self.met.get(&(out, address)) {
            return Neighbour::Entry(*mac);
        }
        let live = |state| {
            matches!(state, NeighbourState::Reachable | NeighbourState::Stale | NeighbourState::Delay | NeighbourState::Probe)
        };
        match entry.filter(|(_, state)| live(*state)) {
            Some((mac, _)) => Neighbour::Entry(mac),
            None => self.resolve(out, address, source),
        }
    }

    /// The MAC address that somebody put there for a neighbour.
    pub(super) fn kept(&self, at: At, address: IpAddr) -> Option<Mac> {
        let index = self.map.link(at).index;
        let entries = self.map.tables(at.place).neighbours.iter();
        let mut kept = entries.filter(|entry| entry.dev == index && entry.state == NeighbourState::Permanent);
        kept.find(|entry| entry.address == address).and_then(|entry| entry.mac)
    }

    /// Asks everybody on the segment.
    pub(super) fn resolve(&mut self, out: At, address: IpAddr, source: IpAddr) -> Neighbour {
        let Some(own) = self.map.link(out).mac else { return Neighbour::Silent(Box::default()) };
        // Nobody is believed who claims one's own address (`ndisc_recv_na`).
        if address.is_ipv6() && self.map.link(out).addresses.iter().any(|own| own.net.addr() == address) {
            return Neighbour::Silent(Box::new(Silence { own: true, ..Silence::default() }));
        }
        let Some(asker) = self.asker(out, address, source) else {
            return Neighbour::Silent(Box::new(Silence { mute: true, ..Silence::default() }));
        };
        let all = if address.is_ipv6() { SOLICITED } else { BROADCAST };
        let (heard, wrong) = self.send(out, Ether { source: own, destination: all, size: QUESTION });
        let (mut by, mut silence) = (Vec::new(), Silence { wrong, stops: heard.stops, ..Silence::default() });
        for landing in heard.landings {
            match self.answers(landing.at, address, asker) {
                None => {
                    if self.has(landing.at.place, address) && address.is_ipv4() {
                        silence.secretive.push(landing.at);
                    } else if self.overhears(landing.at, asker) && address.is_ipv4() {
                        self.meet(landing.at, asker, own);
                    }
                    continue;
                }
                Some(Err(martian)) => {
                    silence.refusals.push((landing.at, martian));
                    continue;
                }
                Some(Ok(())) => {}
            }
            let Some(mac) = self.map.link(landing.at).mac else { continue };
            self.meet(landing.at, asker, own);
            // An answer of IPv6 goes as any packet does, by what is kept of the asker (`ndisc_send_na`).
            let kept = self.kept(landing.at, asker).filter(|_| address.is_ipv6());
            let answer = Ether { source: mac, destination: kept.unwrap_or(own), size: QUESTION };
            let (back, wrong) = self.send(landing.at, answer);
            silence.wrong = silence.wrong.or(wrong);
            if back.landings.iter().any(|back| back.at == out) {
                by.push((landing.at, mac));
            } else {
                silence.lost.push((landing.at, back));
            }
        }
        let believed = self.picks.pick(Fork::Answer(out, address), by.len());
        match by.get(believed) {
            None => Neighbour::Silent(Box::new(silence)),
            Some((_, mac)) => {
                self.meet(out, address, *mac);
                Neighbour::Answered { mac: *mac, by: by.iter().map(|(at, _)| *at).collect() }
            }
        }
    }

    /// The address that the question comes from; IPv6 asks with none but its interface's own (`ndisc_send_ns`).
    pub(super) fn asker(&self, out: At, address: IpAddr, source: IpAddr) -> Option<IpAddr> {
        let here = |wanted: &dyn Fn(IpAddr) -> bool| {
            let addresses = self.map.link(out).addresses.iter().filter(|address| !address.is_tentative());
            addresses.map(|address| address.net.addr()).find(|address| wanted(*address))
        };
        if address.is_ipv6() {
            return here(&|own| own == source).or_else(|| here(&is_link_local));
        }
        let near = |net: IpNet| net.contains(&address) && net.contains(&source);
        let may = match self.map.tables(out.place).conf(self.map.link(out)).arp_announce {
            0 => true,
            1 => self.map.nets(out).any(near),
            _ => false,
        };
        if may && self.has(out.place, source) {
            return Some(source);
        }
        // Its own first address on the interface, in the subnet if there is one, else any (`arp_solicit`).
        let nets = self.map.nets(out).filter(|net| net.addr().is_ipv4());
        let inside = nets.clone().find(|net| net.contains(&address)).or(nets.clone().next());
        let elsewhere = || {
            let links = &self.map.tables(out.place).links;
            let mut all = links.iter().filter(|link| link.kind != "loopback").flat_map(|link| &link.addresses);
            all.find(|own| own.net.addr().is_ipv4()).map(|own| own.net)
        };
        let unspecified = IpAddr::from([0; 4]);
        Some(inside.or_else(elsewhere).map_or(unspecified, |net| net.addr()))
    }

    /// Whether an interface answers for an address; none where it has nothing to do with it.
    pub(super) fn answers(&self, at: At, address: IpAddr, asker: IpAddr) -> Option<Result<(), Martian>> {
        let (tables, link) = (self.map.tables(at.place), self.map.link(at));
        if link.noarp {
            return None;
        }
        let here = link.addresses.iter().any(|own| own.net.addr() == address && !own.is_tentative());
        let proxied = tables.proxied.contains(&(link.index, address));
        if address.is_ipv6() {
            // Routers answer for the first address of their subnets, too (`ndisc_recv_ns`).
            let of_routers = |route: &tables::Route| {
                route.kind == RouteType::Anycast
                    && route.to.addr() == address
                    && route.hops.iter().any(|hop| hop.dev == link.index)
            };
            let proxy = link.forwarding6 && tables.conf(link).proxy_ndp && proxied;
            return (here || proxy || tables.routes.iter().any(of_routers)).then_some(Ok(()));
        }
        let settings = tables.settings.as_ref();
        let ignore = link.arp_ignore.max(settings.map_or(0, |settings| settings.arp_ignore));
        let proxy = link.proxy_arp || settings.is_some_and(|settings| settings.proxy_arp);
        let conf = tables.conf(link);
        // `arp_filter` (`net/ipv4/arp.c`)
        let leads = |to: IpAddr, from: IpAddr| match lookup(tables, Flow { to, from: Some(from), enters: None, leaves: None }) {
            Found::Way(_, hops) => hops.first().is_some_and(|hop| hop.dev == link.index),
            Found::Several(route) => route.hops.first().is_some_and(|hop| hop.dev == link.index),
            _ => false,
        };
        match lookup(tables, Flow { to: address, from: Some(asker), enters: Some(&link.name), leaves: None }) {
            Found::Local(_) if ignore >= 8 || ignore > 0 && !here => None,
            Found::Local(_) if conf.arp_filter && !leads(asker, address) => None,
            Found::Local(_) => Some(validate(tables, link, asker, address)),
            Found::Way(_, hops) if link.forwarding4 => {
                let away = hops.iter().all(|hop| hop.dev != link.index);
                let answers = if away { proxy || proxied } else { conf.proxy_arp_pvlan };
                answers.then(|| validate(tables, link, asker, address))
            }
            _ => None,
        }
    }

    /// Whether a question for somebody else tells an interface where the asker is by now: it knows the asker (`arp_process`).
    pub(super) fn overhears(&self, at: At, asker: IpAddr) -> bool {
        let link = self.map.link(at);
        let neighbours = &self.map.tables(at.place).neighbours;
        !link.noarp && neighbours.iter().any(|one| one.dev == link.index && one.address == asker)
    }

    /// A node takes the address of somebody who asks it, or answers it.
    pub(super) fn meet(&mut self, at: At, address: IpAddr, mac: Mac) {
        if !address.is_unspecified() {
            self.met.insert((at, address), mac);
        }
    }
}
