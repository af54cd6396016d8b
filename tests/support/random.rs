//! Random labs: every one valid, with the pings that must be answered in it.

use std::fmt::Write;

/// A lab and what must work in it.
pub struct Lab {
    /// The topology file.
    pub yaml: String,
    /// Container (`host.container`), address of another one: a ping that must be answered.
    pub pings: Vec<(String, String)>,
}

/// Numbers from a seed: xorshift, so that a seed in a failure message makes the same lab again.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `sides`.
    pub fn roll(&mut self, sides: u64) -> u64 {
        for (left, shift) in [(true, 13), (false, 7), (true, 17)] {
            self.0 ^= if left { self.0 << shift } else { self.0 >> shift };
        }
        (self.0 >> 11) % sides
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.roll(n) == 0
    }
}

/// Where a container is.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// On the host's bridge of a network.
    Bridged(u64),
    /// On a bridge of the host alone.
    Routed,
    /// On a point-to-point link of its own.
    PointToPoint,
}

struct Container {
    name: String,
    place: Place,
    v4: String,
    v6: String,
}

struct Host {
    number: u64,
    networks: Vec<u64>,
    bridged: bool,
    containers: Vec<Container>,
}

/// The lab of a seed.
pub fn lab(seed: u64) -> Lab {
    let mut dice = Dice::new(seed);
    let networks = 1 + dice.roll(3);
    let hosts: Vec<Host> = (1..=1 + dice.roll(4)).map(|number| host(&mut dice, number, networks)).collect();
    let mut yaml = String::from("name: random\nnetworks:\n");
    for network in 1..=networks {
        let kind = ["{}", "{}", "{ switch: true }", "{ mtu: 1400 }"][usize::try_from(dice.roll(4)).unwrap()];
        writeln!(yaml, "  net{network}: {kind}").unwrap();
    }
    yaml.push_str("hosts:\n");
    for host in &hosts {
        write_host(&mut yaml, host, &hosts);
    }
    Lab { yaml, pings: pings(&hosts) }
}

fn host(dice: &mut Dice, number: u64, networks: u64) -> Host {
    let mut on: Vec<u64> = (1..=networks).filter(|_| !dice.one_in(3)).collect();
    if on.is_empty() {
        on.push(1);
    }
    let bridged = !dice.one_in(3);
    let containers = (1..=dice.roll(4))
        .map(|c| {
            let place = match dice.roll(3) {
                0 if bridged => Place::Bridged(on[usize::try_from(dice.roll(on.len() as u64)).unwrap()]),
                1 => Place::PointToPoint,
                _ => Place::Routed,
            };
            let (v4, v6) = match place {
                Place::Bridged(net) => (format!("10.{net}.{number}.{c}/16"), format!("fd00:{net}::{number}:{c}/64")),
                Place::Routed => (format!("10.{}.0.{}/24", 100 + number, c + 1), format!("fd00:{}::{}/64", 100 + number, c + 1)),
                Place::PointToPoint => {
                    (format!("10.{}.0.{}/30", 200 + number, 4 * c + 2), format!("fd00:{}::{c:x}2/124", 200 + number))
                }
            };
            Container { name: format!("c{c}"), place, v4, v6 }
        })
        .collect();
    Host { number, networks: on, bridged, containers }
}

fn write_host(yaml: &mut String, host: &Host, all: &[Host]) {
    let n = host.number;
    writeln!(yaml, "  h{n}:\n    forwarding: true\n    nics:").unwrap();
    for net in &host.networks {
        let address = if host.bridged { String::new() } else { format!(", address: [10.{net}.0.{n}/16, 'fd00:{net}::{n}/64']") };
        writeln!(yaml, "      eth{net}: {{ network: net{net}{address} }}").unwrap();
    }
    writeln!(yaml, "    bridges:").unwrap();
    if host.bridged {
        for net in &host.networks {
            let address = format!("[10.{net}.0.{n}/16, 'fd00:{net}::{n}/64']");
            writeln!(yaml, "      br{net}: {{ ports: [eth{net}], address: {address} }}").unwrap();
        }
    }
    writeln!(yaml, "      inner: {{ address: [10.{0}.0.1/24, 'fd00:{0}::1/64'] }}", 100 + n).unwrap();
    write_routes(yaml, host, all);
    if !host.containers.is_empty() {
        writeln!(yaml, "    containers:").unwrap();
    }
    for (c, each) in host.containers.iter().enumerate() {
        let c = c as u64 + 1;
        let (v4, v6) = (&each.v4, &each.v6);
        let address = format!("address: [{v4}, '{v6}']");
        let (plug, gateway) = match each.place {
            Place::Bridged(net) => (format!("bridge: br{net}"), format!("10.{net}.0.{n}, 'fd00:{net}::{n}'")),
            Place::Routed => ("bridge: inner".to_owned(), format!("10.{0}.0.1, 'fd00:{0}::1'", 100 + n)),
            Place::PointToPoint => {
                let (four, six) = (format!("10.{}.0.{}", 200 + n, 4 * c + 1), format!("fd00:{}::{c:x}1", 200 + n));
                (format!("host: {{ name: p2p-c{c}, address: [{four}/30, '{six}/124'] }}"), format!("{four}, '{six}'"))
            }
        };
        writeln!(yaml, "      {}: {{ nics: {{ eth0: {{ {plug}, {address} }} }}, gateway: [{gateway}] }}", each.name).unwrap();
    }
}

/// A route to the inner subnets of every host that shares a network, through the first such network.
fn write_routes(yaml: &mut String, host: &Host, all: &[Host]) {
    let mut routes = String::new();
    for other in all.iter().filter(|other| other.number != host.number) {
        let Some(net) = host.networks.iter().find(|net| other.networks.contains(net)) else { continue };
        let o = other.number;
        for subnet in [100 + o, 200 + o] {
            writeln!(routes, "      - {{ to: 10.{subnet}.0.0/16, via: 10.{net}.0.{o} }}").unwrap();
            writeln!(routes, "      - {{ to: 'fd00:{subnet}::/64', via: 'fd00:{net}::{o}' }}").unwrap();
        }
    }
    if !routes.is_empty() {
        writeln!(yaml, "    routes:\n{}", routes.trim_end()).unwrap();
    }
}

/// Every pair of containers with a way there and back.
fn pings(hosts: &[Host]) -> Vec<(String, String)> {
    let mut pings = Vec::new();
    let all = || hosts.iter().flat_map(|host| host.containers.iter().map(move |container| (host, container)));
    for (here, from) in all() {
        for (there, to) in all() {
            if (here.number, &from.name) == (there.number, &to.name) {
                continue;
            }
            let shared = |net: u64, host: &Host| host.networks.contains(&net);
            let reached = match (from.place, to.place) {
                (Place::Bridged(a), Place::Bridged(b)) => a == b,
                (Place::Bridged(net), _) => here.number == there.number || shared(net, there),
                (_, Place::Bridged(net)) => here.number == there.number || shared(net, here),
                _ => here.number == there.number || here.networks.iter().any(|&net| shared(net, there)),
            };
            if reached {
                for address in [&to.v4, &to.v6] {
                    let address = address.split('/').next().unwrap().to_owned();
                    pings.push((format!("h{}.{}", here.number, from.name), address));
                }
            }
        }
    }
    pings
}
