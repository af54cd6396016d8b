//! Packets and frames that travel in packets of a node: what goes into a tunnel, and what comes out of it where.

use std::net::IpAddr;

use super::World;
use super::fabric::{Delivery, Ether, Landing, Stop};
use super::map::At;
use super::packet::{End, Packet};
use crate::kernel::tables::{Stack, Tunnel};
use crate::name::Mac;
use crate::report::trace::Cause;

/// Tunnels within tunnels, as deep as they are followed; the kernel's own bound is near.
const DEEPEST: usize = 4;
/// Frames that come out of tunnels for one that was sent: more are a storm.
const COPIES: usize = 64;
/// The time to live of packets of the kernel's own (RFC 1700, `IPDEFTTL`).
const TTL: u8 = 64;

/// Kinds of tunnels that carry packets, not frames, with the protocols within.
const BARE: [&str; 3] = ["gre", "ipip", "sit"];

impl World<'_> {
    /// The tunnel that a link is, where it carries packets without frames.
    pub(super) fn bare_tunnel(&self, at: At) -> Option<&Tunnel> {
        let link = self.map.link(at);
        match &link.stack {
            Stack::Tunnel(tunnel) if BARE.contains(&link.kind.as_str()) => Some(tunnel),
            _ => None,
        }
    }

    /// What becomes of a packet by a link that asks for no MAC address: a tunnel, or one that throws away.
    pub(super) fn at_once(&mut self, out: At, packet: &Packet) -> Option<Result<Landing, (Option<Stop>, Cause)>> {
        let link = self.map.link(out);
        if !link.up {
            return None;
        }
        if link.stack == Stack::Dummy {
            return Some(Err((None, Cause::Dummy { interface: self.map.interface(out) })));
        }
        let remote = self.bare_tunnel(out)?.remote?;
        let end = self.through(out, remote, (packet.size, packet.ttl));
        Some(end.map(|at| Landing { at, way: Vec::new() }).map_err(|cause| (None, *cause)))
    }

    /// Sends a frame out of an interface, through tunnels too; the second is what is wrong with those.
    pub(super) fn send(&mut self, from: At, frame: Ether) -> (Delivery, Option<Cause>) {
        let mut delivery = self.fabric.send(from, frame);
        let (mut wrong, mut copies) = (None, 0);
        while let Some((at, trip)) = delivery.packed.pop() {
            for remote in self.remotes(at, frame.destination) {
                copies += 1;
                if copies > COPIES {
                    return (delivery, wrong);
                }
                match self.through(at, remote, (frame.size, TTL)) {
                    Ok(end) => delivery.add(self.fabric.unpack(end, frame, trip.clone())),
                    Err(cause) => wrong = wrong.or(Some(*cause)),
                }
            }
        }
        (delivery, wrong)
    }

    /// Where a tunnel sends a frame.
    fn remotes(&self, at: At, destination: Mac) -> Vec<IpAddr> {
        let (link, tables) = (self.map.link(at), self.map.tables(at.place));
        let Stack::Tunnel(tunnel) = &link.stack else { return Vec::new() };
        let to = |mac: Option<Mac>| tables.remotes.iter().filter(move |one| one.dev == link.index && one.mac == mac);
        let mut found: Vec<IpAddr> = to(Some(destination)).map(|one| one.to).collect();
        if found.is_empty() {
            found.extend(to(None).map(|one| one.to));
        }
        if found.is_empty() {
            found.extend(tunnel.remote);
        }
        found
    }

    /// Packs something of that size and time to live, carries it, and says out of which tunnel it comes.
    pub(super) fn through(&mut self, at: At, remote: IpAddr, (size, ttl): (u32, u8)) -> Result<At, Box<Cause>> {
        let link = self.map.link(at);
        let Stack::Tunnel(tunnel) = &link.stack else { return Err(Box::new(self.not_followed(at))) };
        if self.depth >= DEEPEST {
            return Err(Box::new(self.not_followed(at)));
        }
        let mut packet = Packet {
            source: tunnel.local,
            destination: remote,
            ttl: tunnel.ttl.unwrap_or(ttl),
            size: size + tunnel.overhead,
            may_fragment: !tunnel.whole,
            answers: false,
            leaves: tunnel.dev,
        };
        self.depth += 1;
        let (_, end) = self.carry(at.place, &mut packet);
        self.depth -= 1;
        match end {
            End::Died { cause, .. } => Err(Box::new(cause)),
            End::Received { place } => self.out_of(at, tunnel, place, &packet),
        }
    }

    /// The tunnel in a node that takes a packet of another one's (`ip_tunnel_lookup`, `vxlan_vs_find_vni`).
    fn out_of(&self, at: At, tunnel: &Tunnel, place: usize, packet: &Packet) -> Result<At, Box<Cause>> {
        let kind = &self.map.link(at).kind;
        let takes = |end: &At| match &self.map.link(*end).stack {
            Stack::Tunnel(other) => {
                let fits = |own: Option<IpAddr>, address| own.is_none_or(|own| Some(own) == address);
                // A VXLAN takes frames from everybody.
                let from = kind == "vxlan" || fits(other.remote, packet.source);
                self.map.link(*end).kind == *kind
                    && from
                    && fits(other.local, Some(packet.destination))
                    && (other.keys.0, other.port) == (tunnel.keys.1, tunnel.port)
            }
            _ => false,
        };
        let strange = self.map.interfaces(place).find(|end| {
            let link = self.map.link(*end);
            link.kind == *kind && link.stack == Stack::Unknown && link.up
        });
        let all: Vec<At> = self.map.interfaces(place).filter(takes).collect();
        match (all.iter().find(|end| self.map.link(**end).up), all.first(), strange) {
            (Some(end), ..) => Ok(*end),
            (None, _, Some(strange)) => Err(Box::new(self.not_followed(strange))),
            (None, Some(down), None) => Err(Box::new(Cause::LinkDown { interface: self.map.interface(*down), peer: None })),
            (None, None, None) => Err(Box::new(Cause::TunnelEnd {
                interface: self.map.interface(at),
                kind: kind.clone(),
                remote: packet.destination,
                node: self.map.name(place),
                key: Some(tunnel.keys.1).filter(|key| *key != 0),
            })),
        }
    }

    /// That a link is of a kind, or set in a way, that is not followed.
    pub(super) fn not_followed(&self, at: At) -> Cause {
        Cause::NotFollowed { interface: self.map.interface(at), kind: self.map.link(at).kind.clone() }
    }
}
