//! What on the machine itself gets in the way of a lab that has a role there: read, and judged against what the lab needs.
//!
//! Nothing is changed, and no packet is sent.

mod cure;
mod facts;

use ipnet::IpNet;

pub use facts::{Facts, look};

use super::filter::walk::{Dropped, Load, Packet};
use crate::report::interference::{Filter, Interference, Obstacle, Traffic};

/// What a lab needs of the machine that it has a role on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Need {
    /// The lab; none for any that might have a role.
    pub lab: Option<String>,
    /// The bridges that it makes, with their ports.
    pub bridges: Vec<(String, Vec<String>)>,
    /// The interfaces between which the machine forwards packets.
    pub routed: Vec<String>,
    /// The interfaces that have addresses of the lab.
    pub addressed: Vec<String>,
    /// Those that have IPv6 ones.
    pub addressed6: Vec<String>,
    /// The machine's NICs in it.
    pub nics: Vec<String>,
    /// The lab has IPv4.
    pub ipv4: bool,
    /// The lab has IPv6.
    pub ipv6: bool,
    /// Subnets on other machines.
    pub far: Vec<IpNet>,
}

/// What gets in the way.
pub fn judge(need: &Need, facts: &Facts) -> Vec<Interference> {
    let mut found = Vec::new();
    for ipv6 in [false, true] {
        if if ipv6 { need.ipv6 } else { need.ipv4 } {
            found.extend(bridged(need, facts, ipv6));
            found.extend(routed(need, facts, ipv6));
            found.extend(received(need, facts, ipv6));
        }
    }
    found.extend(managed(need, facts));
    found.extend(reversed(need, facts));
    found.extend(without_ipv6(need, facts));
    found
        .into_iter()
        .map(|obstacle| Interference { lab: need.lab.clone(), cures: cure::cures(need, &obstacle), obstacle })
        .collect()
}

/// The families of chains that see a forwarded or received packet.
fn families(ipv6: bool) -> [&'static str; 2] {
    ["inet", if ipv6 { "ip6" } else { "ip" }]
}

fn packet<'a>(facts: &Facts, ipv6: bool, load: Load, way: (&'a str, &'a str), bridge: Option<&'a str>) -> Packet<'a> {
    let (enters, leaves) = way;
    Packet { ipv6, load, enters: (enters, facts.index(enters)), leaves: (leaves, facts.index(leaves)), bridge }
}

/// What goes through a lab, for short.
const LOADS: [(Load, &str); 2] = [(Load::Ping, "ping"), (Load::Tcp, "tcp")];

/// What a chain drops of a lab's packets.
struct Loss<'a> {
    dropped: Dropped<'a>,
    loads: Vec<&'static str>,
    /// The interfaces that the packets come in by.
    interfaces: Vec<String>,
}

/// The chains at a hook that drop some of what goes those ways, each once.
fn losses<'a>(
    facts: &'a Facts,
    (hook, families, bridge): (&str, &[&str], Option<&'a str>),
    ipv6: bool,
    loads: &[(Load, &'static str)],
    ways: &[(&'a str, &'a str)],
) -> Vec<Loss<'a>> {
    let mut found: Vec<Loss<'a>> = Vec::new();
    for (&(load, word), &way) in loads.iter().flat_map(|load| ways.iter().map(move |way| (load, way))) {
        let packet = packet(facts, ipv6, load, way, bridge);
        for dropped in facts.filters.drop(hook, families, &packet) {
            let at = found.iter().position(|loss| std::ptr::eq(loss.dropped.chain, dropped.chain)).unwrap_or_else(|| {
                found.push(Loss { dropped, loads: Vec::new(), interfaces: Vec::new() });
                found.len() - 1
            });
            let loss = &mut found[at];
            loss.dropped.certain |= dropped.certain;
            if !loss.loads.contains(&word) {
                loss.loads.push(word);
            }
            if !loss.interfaces.iter().any(|known| known == way.0) {
                loss.interfaces.push(way.0.to_owned());
            }
        }
    }
    found
}

fn filter(facts: &Facts, loss: &Loss<'_>, loads: &[(Load, &'static str)]) -> Filter {
    let chain = loss.dropped.chain;
    Filter {
        family: chain.family.clone(),
        table: chain.table.clone(),
        chain: chain.name.clone(),
        legacy: chain.legacy,
        policy: loss.dropped.policy,
        certain: loss.dropped.certain,
        passes: loads.iter().map(|(_, word)| *word).filter(|word| !loss.loads.contains(word)).collect(),
        makers: facts.filters.makers(chain),
    }
}

/// Frames between the ports of a bridge: chains of packets see them where `br_netfilter` says so, those of bridges always.
fn bridged(need: &Need, facts: &Facts, ipv6: bool) -> Vec<Obstacle> {
    let mut found = Vec::new();
    for (bridge, ports) in &need.bridges {
        let shown = if ipv6 { facts.shows_bridged.1 } else { facts.shows_bridged.0 };
        let of_packets = (&families(ipv6)[..], vec![(bridge.as_str(), bridge.as_str())]);
        for (families, ways) in [of_packets, (&["bridge"], pairs(ports))] {
            let netfilter = families.len() > 1;
            if netfilter && !shown {
                continue;
            }
            let losses = losses(facts, ("forward", families, Some(bridge)), ipv6, &LOADS, &ways);
            found.extend(losses.iter().map(|loss| Obstacle::Filter {
                traffic: Traffic::Bridged {
                    bridge: need.lab.is_some().then(|| bridge.clone()),
                    ports: if netfilter || need.lab.is_none() { Vec::new() } else { loss.interfaces.clone() },
                    netfilter,
                    ipv6,
                },
                filter: filter(facts, loss, &LOADS),
            }));
        }
    }
    found
}

/// Both ways between the first and each other, and from each to the next.
fn pairs(interfaces: &[String]) -> Vec<(&str, &str)> {
    let Some((first, rest)) = interfaces.split_first() else { return Vec::new() };
    let first = rest.iter().flat_map(|other| [(first.as_str(), other.as_str()), (other, first)]);
    let next = rest.windows(2).map(|pair| (pair[0].as_str(), pair[1].as_str()));
    first.chain(next).collect()
}

fn routed(need: &Need, facts: &Facts, ipv6: bool) -> Vec<Obstacle> {
    let losses = losses(facts, ("forward", &families(ipv6), None), ipv6, &LOADS, &pairs(&need.routed));
    let told = |loss: &Loss<'_>| {
        // Of a lab that is not there yet only the machine's own NIC has a name.
        let named = |name: &&String| need.lab.is_some() || need.nics.contains(name);
        let interfaces = loss.interfaces.iter().filter(named).cloned().collect();
        Obstacle::Filter { traffic: Traffic::Routed { interfaces, ipv6 }, filter: filter(facts, loss, &LOADS) }
    };
    losses.iter().map(told).collect()
}

fn received(need: &Need, facts: &Facts, ipv6: bool) -> Vec<Obstacle> {
    let here = if ipv6 { &need.addressed6 } else { &need.addressed };
    let ways: Vec<(&str, &str)> = here.iter().map(|name| (name.as_str(), "")).collect();
    let losses = losses(facts, ("input", &families(ipv6), None), ipv6, &LOADS[..1], &ways);
    // Firewalls let pings pass in many ways; a guess would be a false alarm.
    let sure = losses.iter().filter(|loss| loss.dropped.certain);
    let told = |loss: &Loss<'_>| Obstacle::Filter {
        traffic: Traffic::Received { interfaces: loss.interfaces.clone(), ipv6 },
        filter: filter(facts, loss, &LOADS[..1]),
    };
    sure.map(told).collect()
}

fn managed(need: &Need, facts: &Facts) -> Vec<Obstacle> {
    let ours = |name: &String| need.nics.contains(name) || need.bridges.iter().any(|(bridge, _)| bridge == name);
    let told = |(interface, manager): &(String, super::managers::Manager)| Obstacle::Manager {
        interface: interface.clone(),
        service: manager.service,
        pid: manager.pid,
        certain: manager.certain,
    };
    // One that takes any interface is told of once, and where it hurts.
    let counts =
        |(name, manager): &&(String, super::managers::Manager)| ours(name) && (manager.certain || need.nics.contains(name));
    facts.managers.iter().filter(counts).map(told).collect()
}

fn reversed(need: &Need, facts: &Facts) -> Vec<Obstacle> {
    // The bridge that a NIC is in takes the addresses; one of containers alone sees nothing from afar.
    let holds = |(bridge, ports): &(String, Vec<String>), name: &String| {
        bridge == name && ports.iter().any(|port| need.nics.contains(port))
    };
    let ours = |name: &String| need.nics.contains(name) || need.bridges.iter().any(|bridge| holds(bridge, name));
    let Some(strict) = need.addressed.iter().filter(|name| ours(name)).find(|name| facts.strict.contains(name)) else {
        return Vec::new();
    };
    let elsewhere =
        |(_, leaves): &&(IpNet, Option<String>)| !leaves.as_ref().is_some_and(|leaves| need.addressed.contains(leaves));
    let told = |(from, leaves): &(IpNet, Option<String>)| Obstacle::ReversePath {
        interface: strict.clone(),
        from: *from,
        leaves: leaves.clone(),
    };
    facts.ways.iter().filter(elsewhere).map(told).collect()
}

fn without_ipv6(need: &Need, facts: &Facts) -> Vec<Obstacle> {
    let off = need.addressed6.iter().filter(|name| facts.without_ipv6(name));
    off.map(|name| Obstacle::Ipv6Off { interface: name.clone() }).collect()
}
