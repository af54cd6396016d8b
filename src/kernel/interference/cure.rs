//! The commands against what gets in the way, as they are typed.

use super::Need;
use crate::plan::line::quoted;
use crate::report::interference::{Filter, Obstacle, Traffic};

/// More interfaces of containers than this are named by what they begin with.
const SEVERAL: usize = 4;
/// How the ends of containers' cables begin.
const VETH: &str = "veth-";

/// Ways out, each the commands of it; none where a lab that is not there yet would have to be named.
pub(super) fn cures(need: &Need, obstacle: &Obstacle) -> Vec<Vec<String>> {
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
    fn of(filter: &Filter) -> Self {
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
    match Writer::of(filter) {
        Writer::Firewalld => trusted(bridge),
        Writer::Iptables(line) => format!("{line} -i {0} -o {0} -j ACCEPT", plus(bridge)),
        Writer::Nft(line) => format!("{line} iifname {0} oifname {0} accept", star(bridge)),
    }
}

/// What comes in, or goes out, by an interface: all of it, or of a protocol.
fn side(filter: &Filter, side: Side, name: &str, protocol: &str) -> String {
    let of = |word: &str| if protocol.is_empty() { String::new() } else { format!(" {word} {protocol}") };
    match Writer::of(filter) {
        Writer::Firewalld => trusted(name),
        Writer::Iptables(line) => {
            let option = if side == Side::In { "-i" } else { "-o" };
            format!("{line} {option} {}{} -j ACCEPT", plus(name), of("-p"))
        }
        Writer::Nft(line) => {
            let key = if side == Side::In { "iifname" } else { "oifname" };
            format!("{line} {key} {}{} accept", star(name), of("meta l4proto"))
        }
    }
}
