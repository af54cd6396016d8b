//! What on the machine itself gets in the way of a lab that has a role there: read, and judged against what the lab needs.
//!
//! Nothing is changed, and no packet is sent.

use std::net::IpAddr;

use ipnet::IpNet;
use nix::errno::Errno;

use crate::kernel::managers::{self, Manager};
use crate::kernel::netfilter;
use crate::kernel::netfilter::walk::{Dropped, Load, Packet, Ruleset};
use crate::kernel::netlink::Netlink;
use crate::kernel::nic;
use crate::plan::quoted;
use crate::report::machine::{Filter, Interference, Obstacle, Traffic};

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
    pub remote_subnets: Vec<IpNet>,
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
    found.into_iter().map(|obstacle| Interference { lab: need.lab.clone(), cures: cures(need, &obstacle), obstacle }).collect()
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
    let obstacle = |loss: &Loss<'_>| {
        // Of a lab that is not there yet only the machine's own NIC has a name.
        let named = |name: &&String| need.lab.is_some() || need.nics.contains(name);
        let interfaces = loss.interfaces.iter().filter(named).cloned().collect();
        Obstacle::Filter { traffic: Traffic::Routed { interfaces, ipv6 }, filter: filter(facts, loss, &LOADS) }
    };
    losses.iter().map(obstacle).collect()
}

fn received(need: &Need, facts: &Facts, ipv6: bool) -> Vec<Obstacle> {
    let here = if ipv6 { &need.addressed6 } else { &need.addressed };
    let ways: Vec<(&str, &str)> = here.iter().map(|name| (name.as_str(), "")).collect();
    let losses = losses(facts, ("input", &families(ipv6), None), ipv6, &LOADS[..1], &ways);
    // Firewalls let pings pass in many ways; a guess would be a false alarm.
    let sure = losses.iter().filter(|loss| loss.dropped.certain);
    let obstacle = |loss: &Loss<'_>| Obstacle::Filter {
        traffic: Traffic::Received { interfaces: loss.interfaces.clone(), ipv6 },
        filter: filter(facts, loss, &LOADS[..1]),
    };
    sure.map(obstacle).collect()
}

fn managed(need: &Need, facts: &Facts) -> Vec<Obstacle> {
    let ours = |name: &String| need.nics.contains(name) || need.bridges.iter().any(|(bridge, _)| bridge == name);
    let obstacle = |(interface, manager): &(String, super::managers::Manager)| Obstacle::Manager {
        interface: interface.clone(),
        service: manager.service,
        pid: manager.pid,
        certain: manager.certain,
    };
    // One that takes any interface is told of once, and where it hurts.
    let counts =
        |(name, manager): &&(String, super::managers::Manager)| ours(name) && (manager.certain || need.nics.contains(name));
    facts.managers.iter().filter(counts).map(obstacle).collect()
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
    let obstacle = |(from, leaves): &(IpNet, Option<String>)| Obstacle::ReversePath {
        interface: strict.clone(),
        from: *from,
        leaves: leaves.clone(),
    };
    facts.ways.iter().filter(elsewhere).map(obstacle).collect()
}

fn without_ipv6(need: &Need, facts: &Facts) -> Vec<Obstacle> {
    let off = need.addressed6.iter().filter(|name| facts.without_ipv6(name));
    off.map(|name| Obstacle::Ipv6Off { interface: name.clone() }).collect()
}

/// What there is on the machine that may get in the way.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Its packet filters.
    pub filters: Ruleset,
    /// `br_netfilter` shows bridged frames to the packet filters: of IPv4, of IPv6.
    pub shows_bridged: (bool, bool),
    /// Its interfaces and their indices.
    pub interfaces: Vec<(String, u32)>,
    /// Who configures which of the lab's interfaces.
    pub managers: Vec<(String, Manager)>,
    /// Interfaces whose reverse path filter is strict.
    pub strict: Vec<String>,
    /// By which interface each far subnet is reached; asked for only where a filter is strict.
    pub ways: Vec<(IpNet, Option<String>)>,
    /// Interfaces, and `default` for those to come, where IPv6 is off.
    pub ipv6_off: Vec<String>,
}

impl Facts {
    /// The index of an interface.
    pub fn index(&self, name: &str) -> Option<u32> {
        self.interfaces.iter().find(|(known, _)| known == name).map(|(_, index)| *index)
    }

    /// Whether an interface has no IPv6, or would be born so.
    pub fn without_ipv6(&self, name: &str) -> bool {
        let interface = if self.index(name).is_some() { name } else { "default" };
        self.ipv6_off.iter().any(|off| off == interface)
    }
}

/// Reads what matters to a lab, in the namespace of the caller.
///
/// # Errors
/// When there is no netlink socket, or the kernel refuses an answer.
pub fn look(need: &Need) -> Result<Facts, Errno> {
    let mut socket = Netlink::open()?;
    let interfaces: Vec<(String, u32)> =
        nic::survey(&mut socket)?.into_iter().map(|nic| (nic.name.to_string(), nic.index)).collect();
    let names: Vec<&str> = interfaces.iter().map(|(name, _)| name.as_str()).collect();
    let clients = managers::clients(&names);
    let software = |name: &str| need.bridges.iter().any(|(bridge, _)| bridge == name);
    let own = |name: &str| need.nics.iter().any(|nic| nic == name) || software(name);
    let managers = interfaces.iter().filter(|(name, _)| own(name)).flat_map(|(name, index)| {
        managers::for_interface(name, *index, software(name), &clients).into_iter().map(|manager| (name.clone(), manager))
    });
    // The stricter of the two holds (`IN_DEV_RPFILTER` of `linux/inetdevice.h`): 1 is strict, 2 is loose.
    let level = |name: &str| setting(&format!("ipv4/conf/{name}/rp_filter")).unwrap_or(0);
    let all = level("all");
    let strict: Vec<String> = names.iter().filter(|name| level(name).max(all) == 1).map(|name| (*name).to_owned()).collect();
    let mut ways = Vec::new();
    if need.addressed.iter().any(|name| strict.contains(name)) {
        for net in need.remote_subnets.iter().filter(|net| net.addr().is_ipv4()) {
            let index = nic::way_to(&mut socket, somebody(net))?;
            let name = interfaces.iter().find(|(_, known)| Some(*known) == index).map(|(name, _)| name.clone());
            ways.push((*net, name));
        }
    }
    let off = |name: &&str| setting(&format!("ipv6/conf/{name}/disable_ipv6")) == Some(1);
    let ipv6_off = names.iter().copied().chain(["default"]).filter(off).map(str::to_owned).collect();
    let shows = |setting_: &str| setting(&format!("bridge/bridge-nf-call-{setting_}")) == Some(1);
    Ok(Facts {
        filters: netfilter::read(),
        shows_bridged: (shows("iptables"), shows("ip6tables")),
        managers: managers.collect(),
        strict,
        ways,
        ipv6_off,
        interfaces,
    })
}

/// An address of a subnet that a machine may have.
fn somebody(net: &IpNet) -> IpAddr {
    net.hosts().next().unwrap_or(net.addr())
}

fn setting(path: &str) -> Option<u32> {
    std::fs::read_to_string(format!("/proc/sys/net/{path}")).ok()?.trim().parse().ok()
}

/// More interfaces of containers than this are named by what they begin with.
const SEVERAL: usize = 4;
/// How the ends of containers' cables begin.
const VETH: &str = "veth-";

/// Ways out, each the commands of it; none where a lab that is not there yet would have to be named.
fn cures(need: &Need, obstacle: &Obstacle) -> Vec<Vec<String>> {
    match obstacle {
        Obstacle::Filter { traffic: Traffic::Bridged { netfilter: false, ports, .. }, filter } => {
            some(shortened(ports).iter().map(|name| side(filter, Side::In, name, "")).collect())
        }
        Obstacle::Filter { traffic: Traffic::Bridged { bridge, ipv6, .. }, filter } => {
            let program = if *ipv6 { "ip6tables" } else { "iptables" };
            let unseen = vec![format!("sudo sysctl -w net.bridge.bridge-nf-call-{program}=0")];
            bridge.iter().map(|bridge| vec![across(filter, bridge)]).chain([unseen]).collect()
        }
        Obstacle::Filter { traffic: Traffic::Routed { interfaces, .. }, filter } => {
            let mut way: Vec<String> = shortened(interfaces).iter().map(|name| side(filter, Side::In, name, "")).collect();
            if need.lab.is_none() {
                way.extend(interfaces.iter().map(|name| side(filter, Side::Out, name, "")));
                way.dedup();
            }
            some(way)
        }
        Obstacle::Filter { traffic: Traffic::Received { interfaces, ipv6 }, filter } => {
            let protocol = if *ipv6 { "ipv6-icmp" } else { "icmp" };
            some(shortened(interfaces).iter().map(|name| side(filter, Side::In, name, protocol)).collect())
        }
        Obstacle::Manager { interface, service, pid, certain } => {
            // One that has no interface of its own is not ended for the sake of one.
            some(service.leave(&quoted(interface), pid.filter(|_| *certain)))
        }
        Obstacle::ReversePath { interface, .. } => {
            vec![vec![format!("sudo sysctl -w {}=2", of_interface("ipv4", interface, "rp_filter"))]]
        }
        Obstacle::Ipv6Off { interface } => {
            vec![vec![format!("sudo sysctl -w {}=0", of_interface("ipv6", interface, "disable_ipv6"))]]
        }
    }
}

fn some(way: Vec<String>) -> Vec<Vec<String>> {
    if way.is_empty() { Vec::new() } else { vec![way] }
}

/// The name of an interface's setting: `sysctl` writes the dots of a name as slashes.
fn of_interface(family: &str, interface: &str, setting: &str) -> String {
    format!("net.{family}.conf.{}.{setting}", interface.replace('.', "/"))
}

/// The names, those of many containers' cables as one.
fn shortened(interfaces: &[String]) -> Vec<String> {
    let (cables, mut rest): (Vec<String>, Vec<String>) = interfaces.iter().cloned().partition(|name| name.starts_with(VETH));
    if cables.len() > SEVERAL {
        rest.push(format!("{VETH}*"));
    } else {
        rest.extend(cables);
    }
    rest
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    In,
    Out,
}

/// Who writes rules for the chain.
enum Writer {
    Iptables(String),
    Firewalld,
    Nft(String),
}

impl Writer {
    fn from_filter(filter: &Filter) -> Self {
        let base = match filter.family.as_str() {
            "ip" => Some("iptables"),
            "ip6" => Some("ip6tables"),
            _ => None,
        };
        let usual = filter.table == "filter" && ["INPUT", "FORWARD"].contains(&filter.chain.as_str());
        match base.filter(|_| usual) {
            _ if filter.makers.contains(&"firewalld") => Self::Firewalld,
            Some(program) if filter.legacy => Self::Iptables(format!("sudo {program}-legacy -I {}", filter.chain)),
            Some(program) => Self::Iptables(format!("sudo {program} -I {}", filter.chain)),
            None => {
                Self::Nft(format!("sudo nft insert rule {} {} {}", filter.family, quoted(&filter.table), quoted(&filter.chain)))
            }
        }
    }
}

/// A name for `iptables`, which has `+` for the rest of a name.
fn plus(name: &str) -> String {
    quoted(&name.replace('*', "+")).into_owned()
}

/// A name for `nft`, which has `*` for the rest of a name, between quotes of its own.
fn star(name: &str) -> String {
    if name.contains('*') { format!("'\"{name}\"'") } else { quoted(name).into_owned() }
}

fn trusted(name: &str) -> String {
    format!("sudo firewall-cmd --zone=trusted --change-interface={}", plus(name))
}

/// What goes between the ports of a bridge.
fn across(filter: &Filter, bridge: &str) -> String {
    match Writer::from_filter(filter) {
        Writer::Firewalld => trusted(bridge),
        Writer::Iptables(line) => format!("{line} -i {0} -o {0} -j ACCEPT", plus(bridge)),
        Writer::Nft(line) => format!("{line} iifname {0} oifname {0} accept", star(bridge)),
    }
}

/// What comes in, or goes out, by an interface: all of it, or of a protocol.
fn side(filter: &Filter, side: Side, name: &str, protocol: &str) -> String {
    let with_protocol = |word: &str| if protocol.is_empty() { String::new() } else { format!(" {word} {protocol}") };
    match Writer::from_filter(filter) {
        Writer::Firewalld => trusted(name),
        Writer::Iptables(line) => {
            let option = if side == Side::In { "-i" } else { "-o" };
            format!("{line} {option} {}{} -j ACCEPT", plus(name), with_protocol("-p"))
        }
        Writer::Nft(line) => {
            let key = if side == Side::In { "iifname" } else { "oifname" };
            format!("{line} {key} {}{} accept", star(name), with_protocol("meta l4proto"))
        }
    }
}
