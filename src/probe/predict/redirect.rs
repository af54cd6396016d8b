//! What a router does that sends a packet back to the segment that it came from: it tells the sender of a better one.

use std::net::IpAddr;

use super::World;
use super::fabric::Ether;
use super::lookup::{Flow, Found, lookup, source};
use super::map::At;
use super::neighbours::{Neighbour, QUESTION};
use super::packet::Packet;

impl World<'_> {
    /// The sender, which the frame came from, asks for the better router (`ip_rt_send_redirect`, `__ip_do_redirect`): so that one
    /// knows the sender without asking. IPv6 tells the MAC address along with it.
    pub(super) fn redirect(&mut self, sender: At, told_by: Option<IpAddr>, out: At, packet: &Packet, gateway: IpAddr) {
        let Some(from) = packet.source.filter(|_| packet.destination.is_ipv4()) else { return };
        let (router, link) = (self.map.tables(out.place), self.map.link(out));
        let back = Flow { to: from, from: None, enters: None, leaves: None };
        let Found::Way(route, hops) = lookup(router, back) else { return };
        let Some(hop) = hops.first().filter(|hop| hop.dev == link.index && hop.via.is_none()) else { return };
        // The sender believes the router alone that it sent the packet to.
        let believed = source(router, route, hop, from).is_some_and(|own| told_by == Some(own));
        let accepts = self.map.tables(sender.place).conf(self.map.link(sender)).accept_redirects;
        if !believed || !accepts || !router.conf(link).send_redirects {
            return;
        }
        let told = match self.neighbour(out, from, from) {
            Neighbour::Entry(mac) | Neighbour::Answered { mac, .. } => link.mac.map(|own| (own, mac)),
            Neighbour::Silent(_) => None,
        };
        let Some((source, destination)) = told else { return };
        let heard = self.fabric.send(out, Ether { source, destination, size: QUESTION });
        if heard.landings.iter().any(|landing| landing.at == sender) {
            self.neighbour(sender, gateway, IpAddr::from([0; 4]));
        }
    }
}
