//! Changes that a cure may make, and what the predictor reads of a lab, line by line.

use std::collections::BTreeSet;

use ipnet::IpNet;
use netlink_packet_route::neighbour::NeighbourState;
use nslab::kernel::tables::{Link, Route, Tables};
use nslab::plan::MAIN_TABLE;
use nslab::probe::cure::Edit;
use nslab::probe::view::{Place, View};

use super::draw::{Urn, is_near};

impl<'a> Urn<'a> {
    /// A change, and the place of its node in the view.
    pub fn edit(&mut self) -> (usize, Edit) {
        loop {
            let place = self.place();
            if let Some(edit) = self.edit_of(place) {
                return (self.view.places.iter().position(|other| other.id == place.id).unwrap(), edit);
            }
        }
    }

    fn edit_of(&mut self, place: &'a Place) -> Option<Edit> {
        let link = self.link(place, |_| true)?;
        let dev = link.name.clone();
        Some(match self.roll(20) {
            0 | 1 => Edit::Up { dev: self.link(place, |link| !link.up)?.name.clone() },
            2 => {
                let bridges: Vec<String> =
                    place.node.links.iter().filter(|link| link.kind == "bridge").map(|link| link.name.clone()).collect();
                Edit::Master { dev, bridge: self.any(&bridges).cloned() }
            }
            3 => Edit::Master { dev, bridge: None },
            4 => {
                let flag = self.word(&["isolated", "flood", "learning", "bcast_flood", "mcast_flood", "hairpin"]);
                Edit::PortFlag { dev, flag, on: self.roll(2) == 0 }
            }
            5 => Edit::Forwarding { dev },
            6 => Edit::Mtu { dev, mtu: self.word(&["600", "1280", "1400", "1500", "9000"]).parse().unwrap() },
            7 => Edit::Mac { dev, mac: self.mac(place).parse().ok()? },
            8 => Edit::Arp { dev },
            9..=11 => Edit::AddAddress { dev, net: self.new_address(place)? },
            12 => {
                let net = *self.any(&link.addresses)?;
                Edit::DelAddress { dev, net }
            }
            13..=15 => {
                let (near, net) = self.addressed(place)?;
                let (via, dev) = (self.neighbour(place, net)?, near.name.clone());
                let to = self.destination_net(place)?;
                let (via, dev) = match self.roll(3) {
                    0 => (Some(via), None),
                    1 => (Some(via), Some(dev)),
                    _ => (None, Some(dev)),
                };
                Edit::AddRoute { to, via, dev, replace: self.roll(2) == 0 }
            }
            16 | 17 => {
                let routes: Vec<&Route> = place.tables.routes.iter().filter(|route| route.table == MAIN_TABLE).collect();
                let route = *self.any(&routes)?;
                let kind = match format!("{:?}", route.kind).as_str() {
                    "BlackHole" => Some("blackhole"),
                    "Unreachable" => Some("unreachable"),
                    "Prohibit" => Some("prohibit"),
                    _ => None,
                };
                Edit::DelRoute { to: route.to, via: route.hops.first().and_then(|hop| hop.via), kind, table: MAIN_TABLE }
            }
            18 => {
                let known: Vec<_> =
                    place.tables.neighbours.iter().filter(|entry| entry.state == NeighbourState::Permanent).collect();
                let entry = *self.any(&known)?;
                Edit::DelNeighbour { address: entry.address, dev: place.tables.link(entry.dev)?.name.clone() }
            }
            _ => {
                let all = ["ipv4.ip_forward", "ipv6.conf.all.forwarding", "ipv4.conf.all.rp_filter", "ipv4.conf.all.arp_ignore"];
                let own = ["forwarding", "rp_filter", "arp_ignore"];
                let name =
                    if self.roll(2) == 0 { self.word(&all).to_owned() } else { format!("ipv4.conf.{dev}.{}", self.word(&own)) };
                Edit::Setting { name, value: self.word(&["0", "1", "1"]).parse().unwrap() }
            }
        })
    }

    fn new_address(&mut self, place: &Place) -> Option<IpNet> {
        let far = self.far(place)?;
        let own: Vec<IpNet> = place
            .node
            .links
            .iter()
            .filter(|link| link.kind != "loopback")
            .flat_map(|link| &link.addresses)
            .filter(|net| net.addr().is_ipv6() == self.ipv6)
            .copied()
            .collect();
        let some = match (self.any(&own), self.ipv6) {
            (Some(own), _) if self.roll(2) == 0 => *own,
            (_, true) => "fd77::7/64".parse().unwrap(),
            _ => "10.77.0.7/24".parse().unwrap(),
        };
        Some(match self.roll(4) {
            0 => some,
            1 => IpNet::new(far.addr(), far.max_prefix_len()).ok()?,
            2 => IpNet::new(some.hosts().nth(98).unwrap_or(far.addr()), some.prefix_len()).ok()?,
            _ => far,
        })
    }

    fn destination_net(&mut self, place: &Place) -> Option<IpNet> {
        let far = self.far(place)?;
        Some(match self.roll(3) {
            0 if self.ipv6 => "::/0".parse().unwrap(),
            0 => "0.0.0.0/0".parse().unwrap(),
            1 => far.addr().into(),
            _ => far.trunc(),
        })
    }
}

/// What decides about packets, each with the node that it is in.
pub fn lines(view: &View) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    for place in &view.places {
        of(&place.tables, &mut |line: String| {
            lines.insert(format!("{}: {line}", place.node.node));
        });
    }
    lines
}

fn of(tables: &Tables, say: &mut dyn FnMut(String)) {
    let name = |index: u32| tables.link(index).map_or("?", |link| link.name.as_str());
    for link in &tables.links {
        let Link { name: dev, kind, mac, mtu, up, noarp, carrier, forwarding4, rp_filter, proxy_arp, arp_ignore, .. } = link;
        let master = link.master.map(name);
        if kind != "loopback" {
            say(format!(
                "{dev} up {up} noarp {noarp} mtu {mtu} forwarding {forwarding4} rp_filter {rp_filter} proxy_arp {proxy_arp} arp_ignore {arp_ignore}"
            ));
            say(format!("{dev} carrier {carrier} mac {mac:?} master {master:?} {:?}", link.port));
        }
        for address in &link.addresses {
            // What comes of itself, a second late.
            if is_near(address.net.addr()) {
                continue;
            }
            say(format!("{dev} {} secondary {} detection {:?}", address.net, address.secondary, address.detection));
        }
    }
    for route in &tables.routes {
        // Nobody is sent there.
        if route.to.addr().is_multicast() || is_near(route.to.addr()) {
            continue;
        }
        let hops: Vec<String> =
            route.hops.iter().map(|hop| format!("via {:?} dev {} dead {}", hop.via, name(hop.dev), hop.dead)).collect();
        let metric = route.metric.unwrap_or(0);
        say(format!("route {} {} {:?} {hops:?} source {:?} metric {metric}", route.table, route.to, route.kind, route.source));
    }
    for entry in tables.neighbours.iter().filter(|entry| entry.state == NeighbourState::Permanent) {
        say(format!("neighbour {} dev {} {:?}", entry.address, name(entry.dev), entry.mac));
    }
    for entry in tables.fdb.iter().filter(|entry| entry.own || entry.fixed) {
        say(format!("fdb {} {} {} own {} fixed {}", name(entry.bridge), name(entry.port), entry.mac, entry.own, entry.fixed));
    }
    say(format!("{:?} {:?} {:?}", tables.all4, tables.all6, tables.settings.as_ref().map(|settings| settings.arp_ignore)));
}
