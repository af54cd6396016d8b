//! From an IP address to a MAC address: what a node remembers, and the question that it asks otherwise.

use std::net::IpAddr;

use netlink_packet_route::neighbour::NeighbourState;

use super::frame::{BROADCAST, Delivery, Ether};
use super::lookup::{Flow, Found, Martian, lookup, validate};
use super::map::At;
use super::world::World;
use crate::name::Mac;

/// The size of a question, far below any MTU.
const QUESTION: u32 = 72;

/// How a node comes to the MAC address.
#[derive(Debug, Clone)]
pub(super) enum Known {
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
    /// The asker has no address of its own to ask with.
    pub mute: bool,
}

impl World<'_> {
    /// The MAC address of a neighbour; `source` is the source address of the packet that waits for it.
    pub(super) fn neighbour(&mut self, out: At, address: IpAddr, source: IpAddr) -> Known {
        let index = self.map.link(out).index;
        let entries = &self.map.tables(out.place).neighbours;
        let entry = entries.iter().find(|entry| entry.dev == index && entry.address == address);
        let entry = entry.and_then(|entry| Some((entry.mac?, entry.state)));
        let kept = |state| matches!(state, NeighbourState::Permanent | NeighbourState::Noarp);
        if let Some((mac, _)) = entry.filter(|(_, state)| kept(*state)) {
            return Known::Entry(mac);
        }
        if let Some(mac) = self.met.get(&(out, address)) {
            return Known::Entry(*mac);
        }
        let live = |state| {
            matches!(state, NeighbourState::Reachable | NeighbourState::Stale | NeighbourState::Delay | NeighbourState::Probe)
        };
        match entry.filter(|(_, state)| live(*state)) {
            Some((mac, _)) => Known::Entry(mac),
            None => self.resolve(out, address, source),
        }
    }

    /// Asks everybody on the segment.
    pub(super) fn resolve(&mut self, out: At, address: IpAddr, source: IpAddr) -> Known {
        let Some(own) = self.map.link(out).mac else { return Known::Silent(Box::default()) };
        let Some(asker) = self.asker(out, address, source) else {
            return Known::Silent(Box::new(Silence { mute: true, ..Silence::default() }));
        };
        let heard = self.fabric.send(out, Ether { source: own, destination: BROADCAST, size: QUESTION });
        let (mut by, mut silence) = (Vec::new(), Silence::default());
        for landing in heard.landings {
            match self.answers(landing.at, address, asker) {
                None => continue,
                Some(Err(martian)) => {
                    silence.refusals.push((landing.at, martian));
                    continue;
                }
                Some(Ok(())) => {}
            }
            let Some(mac) = self.map.link(landing.at).mac else { continue };
            self.meet(landing.at, asker, own);
            let back = self.fabric.send(landing.at, Ether { source: mac, destination: own, size: QUESTION });
            if back.landings.iter().any(|back| back.at == out) {
                by.push((landing.at, mac));
            } else {
                silence.lost.push((landing.at, back));
            }
        }
        match by.first() {
            None => Known::Silent(Box::new(silence)),
            Some((_, mac)) => {
                self.meet(out, address, *mac);
                Known::Answered { mac: *mac, by: by.iter().map(|(at, _)| *at).collect() }
            }
        }
    }

    /// The address that the question comes from; IPv6 asks with none but its interface's own (`ndisc_send_ns`).
    fn asker(&self, out: At, address: IpAddr, source: IpAddr) -> Option<IpAddr> {
        let here = |wanted: &dyn Fn(IpAddr) -> bool| {
            let addresses = self.map.link(out).addresses.iter().filter(|address| !address.tentative);
            addresses.map(|address| address.net.addr()).find(|address| wanted(*address))
        };
        if address.is_ipv6() {
            let near = |own: IpAddr| matches!(own, IpAddr::V6(own) if own.is_unicast_link_local());
            return here(&|own| own == source).or_else(|| here(&near));
        }
        if self.has(out.place, source) {
            return Some(source);
        }
        // Its own first address on the interface, in the subnet if there is one, else any (`arp_solicit`).
        let nets = self.map.link(out).addresses.iter().map(|own| own.net).filter(|net| net.addr().is_ipv4());
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
    fn answers(&self, at: At, address: IpAddr, asker: IpAddr) -> Option<Result<(), Martian>> {
        let (tables, link) = (self.map.tables(at.place), self.map.link(at));
        let here = link.addresses.iter().any(|own| own.net.addr() == address && !own.tentative);
        if address.is_ipv6() {
            return here.then_some(Ok(()));
        }
        let settings = tables.settings.as_ref();
        let ignore = link.arp_ignore.max(settings.map_or(0, |settings| settings.arp_ignore));
        let proxy = link.proxy_arp || settings.is_some_and(|settings| settings.proxy_arp);
        match lookup(tables, Flow { to: address, from: Some(asker), enters: Some(&link.name) }) {
            Found::Local(_) if ignore >= 8 || ignore > 0 && !here => None,
            Found::Local(_) => Some(validate(tables, link, asker, address)),
            Found::Way(_, hops) if proxy && link.forwarding4 && hops.iter().all(|hop| hop.dev != link.index) => {
                Some(validate(tables, link, asker, address))
            }
            _ => None,
        }
    }

    /// A node takes the address of somebody who asks it, or answers it.
    fn meet(&mut self, at: At, address: IpAddr, mac: Mac) {
        if !address.is_unspecified() {
            self.met.insert((at, address), mac);
        }
    }
}
