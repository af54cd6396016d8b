//! Breakages: what somebody may do by hand to a lab that is up, drawn from what is in it.

use std::net::IpAddr;

use ipnet::IpNet;
use nslab::probe::view::{Place, View};
use nslab::report::machine::{Kind, Link};

use crate::random::Dice;

/// A script and the node that it is run in.
#[derive(Debug, Clone)]
pub struct Breakage {
    pub node: String,
    pub script: String,
}

/// What is drawn from.
pub struct Urn<'a> {
    pub dice: &'a mut Dice,
    pub view: &'a View,
    pub ipv6: bool,
}

/// The address that a node is sent to.
pub fn first_address(place: &Place, ipv6: bool) -> Option<IpNet> {
    let links = place.node.links.iter().filter(|link| link.kind != "loopback");
    links.flat_map(|link| &link.addresses).copied().find(|net| net.addr().is_ipv6() == ipv6 && !is_near(net.addr()))
}

pub fn is_near(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

impl<'a> Urn<'a> {
    pub fn roll(&mut self, sides: usize) -> usize {
        usize::try_from(self.dice.roll(sides as u64)).unwrap()
    }

    pub fn any<'b, T>(&mut self, items: &'b [T]) -> Option<&'b T> {
        if items.is_empty() { None } else { items.get(self.roll(items.len())) }
    }

    pub fn word(&mut self, words: &[&'static str]) -> &'static str {
        words[self.roll(words.len())]
    }

    pub fn place(&mut self) -> &'a Place {
        let ends: Vec<&Place> = self.view.places.iter().filter(|place| place.node.kind != Kind::Switch).collect();
        // Switches break less often.
        let all: Vec<&Place> = self.view.places.iter().collect();
        let from = if self.roll(8) == 0 { all } else { ends };
        from[self.roll(from.len())]
    }

    pub fn link(&mut self, place: &'a Place, wanted: impl Fn(&Link) -> bool) -> Option<&'a Link> {
        let links: Vec<&Link> = place.node.links.iter().filter(|link| link.kind != "loopback" && wanted(link)).collect();
        self.any(&links).copied()
    }

    /// An interface with an address of the family.
    pub fn addressed(&mut self, place: &'a Place) -> Option<(&'a Link, IpNet)> {
        let ipv6 = self.ipv6;
        let fits = |net: &IpNet| net.addr().is_ipv6() == ipv6 && !is_near(net.addr());
        let link = self.link(place, |link| link.addresses.iter().any(fits))?;
        let nets: Vec<IpNet> = link.addresses.iter().copied().filter(fits).collect();
        Some((link, *self.any(&nets)?))
    }

    /// An address of another node.
    pub fn far(&mut self, place: &Place) -> Option<IpNet> {
        let (ipv6, mut nets) = (self.ipv6, Vec::new());
        for other in self.view.places.iter().filter(|other| other.id != place.id) {
            let links = other.node.links.iter().filter(|link| link.kind != "loopback");
            nets.extend(
                links.flat_map(|link| &link.addresses).filter(|net| net.addr().is_ipv6() == ipv6 && !is_near(net.addr())),
            );
        }
        self.any(&nets).copied()
    }

    /// An address of another node in the subnet, or one that nobody has.
    pub fn neighbour(&mut self, place: &Place, net: IpNet) -> Option<IpAddr> {
        let mut near: Vec<IpAddr> = net.hosts().take(6).filter(|address| *address != net.addr()).collect();
        for other in self.view.places.iter().filter(|other| other.id != place.id) {
            let nets = other.node.links.iter().flat_map(|link| &link.addresses);
            near.extend(nets.map(IpNet::addr).filter(|address| net.contains(address)));
        }
        near.reverse();
        if self.roll(3) == 0 { self.any(&near).copied() } else { near.first().copied() }
    }

    pub fn mac(&mut self, place: &Place) -> String {
        let mut macs = vec!["02:00:00:00:00:99".to_owned()];
        for other in self.view.places.iter().filter(|other| other.id != place.id) {
            macs.extend(other.node.links.iter().filter_map(|link| link.mac.clone()));
        }
        self.any(&macs).unwrap().clone()
    }

    /// One to three breakages.
    pub fn breakages(&mut self, most: usize) -> Vec<Breakage> {
        let count = 1 + self.roll(most);
        let mut all = Vec::new();
        while all.len() < count {
            let place = self.place();
            if let Some(script) = self.draw(place) {
                all.push(Breakage { node: place.node.node.clone(), script });
            }
        }
        all
    }

    fn draw(&mut self, place: &'a Place) -> Option<String> {
        match self.roll(6) {
            0 => self.of_link(place),
            5 => self.of_table(place),
            1 => self.of_address(place),
            2 => self.of_route(place),
            3 => self.of_setting(place),
            _ => self.of_bridge(place),
        }
    }

    fn of_link(&mut self, place: &'a Place) -> Option<String> {
        let dev = &self.link(place, |_| true)?.name;
        Some(match self.roll(7) {
            0 => format!("ip link set {dev} down"),
            1 => format!("ip link set {dev} down; ip link set {dev} up"),
            2 => format!("ip link set {dev} arp off"),
            3 => format!("ip link set {dev} mtu {}", self.word(&["68", "576", "1000", "1280", "1300", "1400", "9000"])),
            4 => format!("ip link set {dev} address {}", self.mac(place)),
            5 => {
                let (link, net) = self.addressed(place)?;
                let (to, mac) = (self.neighbour(place, net)?, self.mac(place));
                format!("ip neighbour replace {to} lladdr {mac} dev {} nud permanent", link.name)
            }
            _ => format!("ip address flush dev {dev}"),
        })
    }

    fn of_address(&mut self, place: &'a Place) -> Option<String> {
        let (link, net) = self.addressed(place)?;
        let dev = &link.name;
        let del = format!("ip address del {net} dev {dev}");
        // Else it is not in use for a second.
        let nodad = if self.ipv6 { " nodad" } else { "" };
        let own = net.addr();
        Some(match self.roll(8) {
            0 => del,
            1 => {
                let lengths: &[&str] =
                    if self.ipv6 { &["48", "96", "120", "126", "128"] } else { &["8", "16", "23", "25", "28", "30", "32"] };
                format!("{del}; ip address add {own}/{} dev {dev}{nodad}", self.word(lengths))
            }
            2 => {
                let other = if self.ipv6 { "fd77::7/64" } else { "10.77.0.7/24" };
                format!("{del}; ip address add {other} dev {dev}{nodad}")
            }
            3 => {
                let other = &self.link(place, |other| other.name != *dev)?.name;
                format!("{del}; ip address add {net} dev {other}{nodad}")
            }
            4 => {
                let far = self.far(place)?;
                let length = if self.roll(2) == 0 { far.prefix_len() } else { far.max_prefix_len() };
                format!("ip address add {}/{length} dev {dev}{nodad}", far.addr())
            }
            5 => {
                let far = self.far(place)?;
                format!("{del}; ip address add {far} dev {dev}{nodad}")
            }
            6 if !self.ipv6 => {
                let broadcast = self.neighbour(place, net)?;
                format!("{del}; ip address add {net} broadcast {broadcast} dev {dev}{nodad}")
            }
            7 if !self.ipv6 => format!("{del}; ip address add {}/{} dev {dev}{nodad}", net.broadcast(), net.prefix_len()),
            _ => format!("ip address add {}/{} dev {dev}{nodad}", self.neighbour(place, net)?, net.prefix_len()),
        })
    }

    /// A destination: one address, its subnet, or all.
    fn destination(&mut self, place: &Place) -> Option<String> {
        let far = self.far(place)?;
        Some(match self.roll(4) {
            0 => "default".to_owned(),
            1 | 2 => IpNet::from(far.addr()).to_string(),
            _ => far.trunc().to_string(),
        })
    }

    fn of_route(&mut self, place: &'a Place) -> Option<String> {
        let ip = if self.ipv6 { "ip -6" } else { "ip" };
        let to = self.destination(place)?;
        let near = |urn: &mut Self| {
            let (link, net) = urn.addressed(place)?;
            Some((link.name.clone(), urn.neighbour(place, net)?))
        };
        Some(match self.roll(14) {
            12 | 13 => {
                let ((one, first), (other, second)) = (near(self)?, near(self)?);
                let verb = if self.ipv6 { "del default 2>/dev/null; ip -6 route add default" } else { "replace default" };
                let onlink = self.word(&["", "", " onlink"]);
                format!("{ip} route {verb} nexthop via {first} dev {one}{onlink} nexthop via {second} dev {other}{onlink}")
            }
            0 | 1 => {
                let ipv6 = self.ipv6;
                let own: Vec<_> = place.node.routes.iter().filter(|route| route.to.addr().is_ipv6() == ipv6).collect();
                let route = self.any(&own)?;
                let via = route.via.map(|via| format!("via {via}")).unwrap_or_default();
                format!("{ip} route del {} {via} dev {}", route.to, route.dev.as_deref()?)
            }
            2 => format!("{ip} route replace default via {}", near(self)?.1),
            3 => format!("{ip} route add {} {to}", self.word(&["blackhole", "unreachable", "prohibit", "throw"])),
            4 => format!("{ip} route replace {to} via {}", near(self)?.1),
            5 => format!("{ip} route replace {to} dev {}", self.link(place, |_| true)?.name),
            6 => format!("{ip} route add default via {} metric {}", near(self)?.1, self.word(&["5", "2000"])),
            7 => format!("{ip} rule add from {to} {}", self.word(&["unreachable", "blackhole", "prohibit", "table 100"])),
            8 => format!(
                "{ip} rule add to {to} {}",
                self.word(&["unreachable", "blackhole", "prohibit", "table 100", "table main"])
            ),
            9 => {
                let (dev, via) = near(self)?;
                let side = self.word(&["from", "to"]);
                format!("{ip} route add default via {via} dev {dev} table 100; {ip} rule add {side} {to} table 100")
            }
            10 => {
                let dev = &self.link(place, |_| true)?.name;
                format!("{ip} rule add iif {dev} to {to} {}", self.word(&["unreachable", "table 100"]))
            }
            _ => {
                let (dev, via) = near(self)?;
                format!("{ip} route replace {to} via {via} dev {dev} mtu {}", self.word(&["600", "1300"]))
            }
        })
    }

    fn of_setting(&mut self, place: &'a Place) -> Option<String> {
        let dev = if self.roll(3) == 0 { "all" } else { self.link(place, |_| true)?.name.as_str() };
        if self.ipv6 {
            let (name, value) = match self.roll(6) {
                0 => ("all.forwarding".to_owned(), self.word(&["0", "1"])),
                1 => (format!("{dev}.forwarding"), self.word(&["0", "1"])),
                2 => (format!("{dev}.proxy_ndp"), "1"),
                3 if dev != "all" => (format!("{dev}.hop_limit"), self.word(&["1", "2"])),
                4 if dev != "all" => (format!("{dev}.disable_ipv6"), "1"),
                _ => return Some("sysctl -qw net.ipv6.icmp.echo_ignore_all=1".to_owned()),
            };
            return Some(format!("sysctl -qw net.ipv6.conf.{name}={value}"));
        }
        let (name, value) = match self.roll(13) {
            9 => (format!("conf.{dev}.arp_filter"), "1"),
            10 => (format!("conf.{dev}.arp_announce"), self.word(&["1", "2"])),
            11 => (format!("conf.{dev}.proxy_arp_pvlan"), "1"),
            12 => (format!("conf.{dev}.{}_redirects", self.word(&["send", "accept"])), self.word(&["0", "1"])),
            0 => ("ip_forward".to_owned(), self.word(&["0", "0", "1"])),
            1 | 2 => (format!("conf.{dev}.forwarding"), self.word(&["0", "0", "1"])),
            3 | 4 => (format!("conf.{dev}.rp_filter"), self.word(&["1", "1", "2"])),
            5 => (format!("conf.{dev}.arp_ignore"), self.word(&["1", "2", "3", "8"])),
            6 => (format!("conf.{dev}.proxy_arp"), "1"),
            7 => (format!("conf.{dev}.accept_local"), "1"),
            _ => [("icmp_echo_ignore_all".to_owned(), "1"), ("ip_default_ttl".to_owned(), "1")][self.roll(2)].clone(),
        };
        Some(format!("sysctl -qw net.ipv4.{name}={value}"))
    }

    /// Entries of tables, and what they begin with.
    fn of_table(&mut self, place: &'a Place) -> Option<String> {
        let (ip, to) = (if self.ipv6 { "ip -6" } else { "ip" }, self.far(place)?);
        let dev = &self.link(place, |_| true)?.name;
        Some(match self.roll(9) {
            0 | 1 => {
                let on = if self.ipv6 { format!("; sysctl -qw net.ipv6.conf.{dev}.proxy_ndp=1") } else { String::new() };
                format!("ip neighbour add proxy {} dev {dev}{on}", to.addr())
            }
            2 => format!("{ip} neighbour flush dev {dev}"),
            3 => {
                let (link, net) = self.addressed(place)?;
                let (near, mac) = (self.neighbour(place, net)?, self.mac(place));
                let state = self.word(&["stale", "reachable", "noarp"]);
                format!("ip neighbour replace {near} lladdr {mac} dev {} nud {state}", link.name)
            }
            4 => format!("{ip} rule add fwmark 7 {}", self.word(&["unreachable", "table 100"])),
            5 => format!("{ip} rule add not from {} {}", to.trunc(), self.word(&["prohibit", "table 100"])),
            6 => format!("{ip} rule del preference 32766"),
            7 if self.ipv6 => {
                let (link, net) = self.addressed(place)?;
                format!("ip address change {net} dev {} preferred_lft 0", link.name)
            }
            8 if self.ipv6 => format!("ip address add {}/{} dev {dev}; sleep 2.2", to.addr(), to.prefix_len()),
            _ => {
                let port = self.link(place, |link| link.bridge.is_some())?;
                let sticky = self.word(&["static sticky", "dynamic", "local"]);
                format!("bridge fdb replace {} dev {} master {sticky}", self.mac(place), port.name)
            }
        })
    }

    fn of_bridge(&mut self, place: &'a Place) -> Option<String> {
        let kind = self.roll(8);
        if kind == 0 {
            let bridge = &self.link(place, |link| link.kind == "bridge")?.name;
            let dev = &self.link(place, |link| link.kind != "bridge")?.name;
            return Some(format!("ip link set {dev} master {bridge}"));
        }
        let port = self.link(place, |link| link.bridge.is_some())?;
        let (dev, bridge) = (&port.name, port.bridge.as_deref()?);
        Some(match kind {
            1 => format!("ip link set {dev} nomaster"),
            2 => {
                let other = &self.link(place, |link| link.kind == "bridge" && link.name != bridge)?.name;
                format!("ip link set {dev} master {other}")
            }
            3 | 4 => {
                let ports: Vec<String> = place
                    .node
                    .links
                    .iter()
                    .filter(|link| link.bridge.as_deref() == Some(bridge))
                    .map(|link| link.name.clone())
                    .collect();
                let other = self.any(&ports)?.clone();
                let flag = self.word(&["isolated on", "flood off", "learning off", "hairpin on", "bcast_flood off"]);
                format!("ip link set {dev} type bridge_slave {flag}; ip link set {other} type bridge_slave {flag}")
            }
            5 => {
                let flag = self.word(&["isolated on", "flood off", "learning off", "hairpin on", "bcast_flood off"]);
                format!("ip link set {dev} type bridge_slave {flag}")
            }
            6 => format!("ip link set {dev} type bridge_slave state {}", self.word(&["0", "1", "2", "4"])),
            _ => {
                let mac = self.mac(place);
                format!("bridge fdb replace {mac} dev {dev} master {}", self.word(&["static", "static", "permanent"]))
            }
        })
    }
}
