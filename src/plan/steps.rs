//! A plan as the commands that a student would type: an operation as its `ip` line, and lines as steps, grouped by host.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use ipnet::IpNet;
use serde::Serialize;

use super::hand::Words;
use super::words::quoted;
use super::{Fact, Link, MAIN_TABLE, NodeId, Ns, Op, Port, RouteTo};
use crate::name::{IfName, NodeName};
use crate::topology::Topology;

/// Commands that belong together.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    /// Where they work.
    pub place: Place,
    /// What they do.
    pub what: What,
    /// One shell command per line.
    pub commands: Vec<String>,
}

/// Where commands work.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// Everywhere: the namespaces.
    Lab,
    /// On the networks between the hosts.
    Networks,
    /// On one host and in its containers.
    Host(String),
}

/// What commands do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the words explain themselves")]
pub enum What {
    Namespaces,
    Sysctls,
    Bridges,
    VethPairs,
    Links,
    LinkLocal,
    Macs,
    Mtus,
    Stp,
    Ports,
    Isolation,
    Fdb,
    Addresses,
    Up,
    Routes,
    ByHand,
    Remove,
    HostNamespaces,
    Filters,
    LegacyFilters,
    Forwarding,
    Instances,
    Devices,
    HostEnds,
    InstanceAddresses,
    InstanceRoutes,
}

/// What a plan's namespaces are called.
#[derive(Debug, Clone)]
pub struct Naming {
    /// The lab.
    pub lab: String,
    /// The host that the machine itself is.
    pub role: Option<String>,
}

impl Naming {
    /// Those of a topology, or of the part of one host.
    pub fn from_topology(topology: &Topology) -> Self {
        Self { lab: topology.name.to_string(), role: topology.role.as_ref().map(|role| role.host.to_string()) }
    }

    /// The host that a namespace belongs to; a switch belongs to none.
    fn owner<'a>(&'a self, ns: &'a Ns) -> Option<&'a str> {
        match ns {
            Ns::Root => self.role.as_deref(),
            Ns::Node(node) => node.host().map(NodeName::as_str),
        }
    }

    fn place(&self, op: &Op) -> Place {
        if matches!(op.fact(), Fact::Netns(_)) {
            return Place::Lab;
        }
        let near = self.owner(op.fact().ns());
        let peer = match op.fact() {
            Fact::Link(_, Link::Veth { peer }) => self.owner(&peer.ns),
            _ => near,
        };
        match near {
            Some(host) if near == peer => Place::Host(host.to_owned()),
            _ => Place::Networks,
        }
    }
}

/// The steps of what somebody made by hand, in the plan's own order, host after host.
pub fn by_hand(plan: &[Op], naming: &Naming) -> Vec<Step> {
    let mut steps = Steps { naming, described: false, done: Vec::new(), pending: Vec::new() }.all(plan);
    by_place(&mut steps);
    steps
}

/// Host after host; within one in the order that they have.
pub fn by_place(steps: &mut [Step]) {
    steps.sort_by(|a, b| a.place.cmp(&b.place));
}

fn place_of(node: &NodeId) -> Place {
    node.host().map_or(Place::Networks, |host| Place::Host(host.to_string()))
}

/// The step that enters nodes among those of `ip netns` again.
pub fn listed(nodes: &[NodeId], lab: &str) -> Option<Step> {
    let attach = |node: &NodeId| format!("ln -s /run/nslab/{lab}/netns/{node} /run/netns/{lab}.{node}");
    let commands: Vec<String> = nodes.iter().map(attach).collect();
    (!commands.is_empty()).then_some(Step { place: Place::Lab, what: What::Namespaces, commands })
}

/// The step that prints a table of a node's iptables as they were before nftables.
pub fn legacy(node: &NodeId, family: &str, table: &str, lab: &str) -> Step {
    let program = if family == "ip6" { "ip6tables-legacy" } else { "iptables-legacy" };
    let command = format!("ip netns exec {lab}.{node} {program} -t {table} -S");
    Step { place: place_of(node), what: What::LegacyFilters, commands: vec![command] }
}

/// The step that makes namespaces inside a host again, as `ip netns add` in its shell did.
pub fn host_namespaces(host: &str, names: &[String], lab: &str) -> Step {
    let commands = names.iter().map(|name| format!("nslab exec {lab}/{host} ip netns add {}", quoted(name))).collect();
    Step { place: Place::Host(host.to_owned()), what: What::HostNamespaces, commands }
}

/// The step that prints a packet filter table of a node: its rules are `nft`'s to tell.
pub fn filter(node: &NodeId, family: &str, table: &str, lab: &str) -> Step {
    let place = place_of(node);
    let command = format!("ip netns exec {lab}.{node} nft list table {family} {}", quoted(table));
    Step { place, what: What::Filters, commands: vec![command] }
}

/// The steps of a plan of described facts in its own order; neighbours of one place and kind stand together.
pub fn in_order(plan: &[Op], naming: &Naming) -> Vec<Step> {
    Steps { naming, described: true, done: Vec::new(), pending: Vec::new() }.all(plan)
}

/// The steps of a plan that only adds: namespaces first, then the networks between the hosts, then host after host.
///
/// Within a place the plan's order holds, and no host's facts need another's, so the result works as well as the plan.
pub fn by_host(plan: &[Op], naming: &Naming) -> Vec<Step> {
    let mut places: BTreeMap<Place, Vec<Op>> = BTreeMap::new();
    for op in plan {
        places.entry(naming.place(op)).or_default().push(op.clone());
    }
    places.values().flat_map(|ops| in_order(ops, naming)).collect()
}

/// Operations on their way to be steps.
struct Steps<'a> {
    naming: &'a Naming,
    /// The links are nslab's own, which get no IPv6 link-local address by themselves.
    described: bool,
    done: Vec<Step>,
    /// Commands that come after the step under construction.
    pending: Vec<String>,
}

impl Steps<'_> {
    fn all(mut self, plan: &[Op]) -> Vec<Step> {
        for op in plan {
            self.one(op);
        }
        self.flush();
        self.done
    }

    fn one(&mut self, op: &Op) {
        let (place, what) = (self.naming.place(op), what(op));
        let mut command = line(op, &|node| self.name(node));
        if !self.described {
            // Somebody else's bridge is what the kernel makes.
            command = command.replace(PROMPT, "");
        }
        match self.done.last_mut() {
            Some(last) if last.place == place && last.what == what => last.commands.push(command),
            _ => {
                self.flush();
                self.done.push(Step { place, what, commands: vec![command] });
            }
        }
        if self.described {
            let quiet = self.no_link_local(op);
            self.pending.extend(quiet);
        }
    }

    fn flush(&mut self) {
        if let Some(last) = self.done.last().filter(|_| !self.pending.is_empty()) {
            let (place, commands) = (last.place.clone(), std::mem::take(&mut self.pending));
            self.done.push(Step { place, what: What::LinkLocal, commands });
        }
    }

    /// What `ip netns` calls the node.
    fn name(&self, node: &NodeId) -> String {
        format!("{}.{node}", self.naming.lab)
    }

    /// Keeps the kernel from giving out addresses that nobody described: hosts and switches as a whole, containers by link.
    fn no_link_local(&self, op: &Op) -> Vec<String> {
        match op {
            Op::Add(Fact::Netns(Ns::Node(node @ (NodeId::Host(_) | NodeId::Switch(_))))) => {
                vec![format!("ip netns exec {} sysctl -qw net.ipv6.conf.default.addr_gen_mode=1", self.name(node))]
            }
            Op::Add(Fact::Link(port, link)) => {
                let ends = std::iter::once(port).chain(link.peer());
                ends.filter_map(|end| self.silent(end)).collect()
            }
            _ => Vec::new(),
        }
    }

    fn silent(&self, port: &Port) -> Option<String> {
        match &port.ns {
            Ns::Node(node @ NodeId::Container(..)) => {
                Some(format!("ip -n {} link set {} addrgenmode none", self.name(node), port.dev))
            }
            // The machine's other interfaces are none of nslab's business.
            Ns::Root => Some(format!("ip link set {} addrgenmode none", port.dev)),
            Ns::Node(_) => None,
        }
    }
}

fn what(op: &Op) -> What {
    match op {
        Op::Del(_) => What::Remove,
        Op::Add(fact) | Op::Set(fact) => match fact {
            Fact::Netns(_) => What::Namespaces,
            Fact::Sysctl(..) => What::Sysctls,
            Fact::Link(_, Link::Bridge) => What::Bridges,
            Fact::Link(_, Link::Veth { .. }) => What::VethPairs,
            Fact::Link(_, Link::Other(_)) => What::Links,
            Fact::Mac(..) => What::Macs,
            Fact::Mtu(..) => What::Mtus,
            Fact::Stp(_) => What::Stp,
            Fact::Member(..) => What::Ports,
            Fact::Isolated(_) => What::Isolation,
            Fact::Fdb(..) => What::Fdb,
            Fact::Addr(..) => What::Addresses,
            Fact::Up(_) => What::Up,
            Fact::Route(..) => What::Routes,
            Fact::OfPort(..) | Fact::OfSpace(..) => What::ByHand,
        },
    }
}

impl fmt::Display for Op {
    /// The line with nodes under their bare names: `ip -n host-a link set br0 up`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&line(self, &|node| node.to_string()))
    }
}

/// The line, with the namespace of each node named by `name`.
pub fn line(op: &Op, name: &dyn Fn(&NodeId) -> String) -> String {
    let line = Line { name };
    match op {
        Op::Add(fact) => line.make(fact, "add"),
        Op::Set(fact) => line.make(fact, "replace"),
        Op::Del(fact) => line.unmake(fact),
    }
}

/// What nslab's own bridges are born with beside: they forward at once, and everything.
const PROMPT: &str = " forward_delay 0 mcast_snooping 0";

struct Line<'a> {
    name: &'a dyn Fn(&NodeId) -> String,
}

impl Line<'_> {
    fn ns(&self, ns: &Ns) -> String {
        match ns {
            Ns::Root => "1".to_owned(),
            Ns::Node(node) => (self.name)(node),
        }
    }

    /// `ip`, or `ip -n NAME`.
    fn ip(&self, ns: &Ns) -> String {
        match ns {
            Ns::Root => "ip".to_owned(),
            Ns::Node(_) => format!("ip -n {}", self.ns(ns)),
        }
    }

    fn set(&self, port: &Port, what: &str) -> String {
        format!("{} link set {} {what}", self.ip(&port.ns), word(&port.dev))
    }

    /// Of the `bridge` command: what is done to a port.
    fn bridge(&self, port: &Port, what: &str, how: &str) -> String {
        format!("{} {what} dev {} {how}", self.ip(&port.ns).replacen("ip", "bridge", 1), word(&port.dev))
    }

    /// What no topology says, made so or undone.
    fn hand(&self, ns: &Ns, Words { program, words }: Words) -> String {
        match (ns, program) {
            (Ns::Root, "sysctl") => format!("sysctl -qw {words}"),
            (_, "sysctl") => format!("ip netns exec {} sysctl -qw {words}", self.ns(ns)),
            (Ns::Root, _) => format!("{program} {words}"),
            _ => format!("{program} -n {} {words}", self.ns(ns)),
        }
    }

    fn make(&self, fact: &Fact, verb: &str) -> String {
        match fact {
            Fact::Netns(ns) => format!("ip netns add {}", self.ns(ns)),
            Fact::Sysctl(ns, setting, number) => {
                let set = format!("sysctl -qw {}={number}", setting.name());
                if *ns == Ns::Root { set } else { format!("ip netns exec {} {set}", self.ns(ns)) }
            }
            Fact::Link(port, link) => self.link(port, link),
            Fact::Mac(port, mac) => self.set(port, &format!("address {mac}")),
            Fact::Mtu(port, mtu) => self.set(port, &format!("mtu {mtu}")),
            Fact::Stp(port) => self.set(port, "type bridge stp_state 1"),
            Fact::Member(port, bridge) => self.set(port, &format!("master {}", word(bridge))),
            Fact::Isolated(port) => self.bridge(port, "link set", "learning off flood off"),
            Fact::Fdb(port, mac) => self.bridge(port, &format!("fdb {verb} {mac}"), "master static"),
            Fact::Addr(port, net) => {
                let how = match net {
                    // A subnet of two addresses has no broadcast.
                    IpNet::V4(net) if net.prefix_len() < 31 => " brd +",
                    IpNet::V4(_) => "",
                    IpNet::V6(_) => " nodad",
                };
                format!("{} address {verb} {net}{how} dev {}", self.ip(&port.ns), word(&port.dev))
            }
            Fact::Up(port) => self.set(port, "up"),
            Fact::Route(ns, table, to, metric, hop) => {
                format!("{} route {verb} {}", self.ip(ns), destination(*table, to, *metric, hop))
            }
            Fact::OfPort(port, hand) => self.hand(&port.ns, hand.words(true, &port.dev)),
            Fact::OfSpace(ns, hand) => self.hand(ns, hand.words(true)),
        }
    }

    fn unmake(&self, fact: &Fact) -> String {
        match fact {
            Fact::Netns(ns) => format!("ip netns del {}", self.ns(ns)),
            Fact::Link(port, _) => format!("{} link del {}", self.ip(&port.ns), word(&port.dev)),
            Fact::Mtu(port, _) => self.set(port, "mtu 1500"),
            Fact::Stp(port) => self.set(port, "type bridge stp_state 0"),
            Fact::Member(port, _) => self.set(port, "nomaster"),
            Fact::Isolated(port) => self.bridge(port, "link set", "learning on flood on"),
            Fact::Fdb(port, mac) => self.bridge(port, &format!("fdb del {mac}"), "master"),
            Fact::Addr(port, net) => format!("{} address del {net} dev {}", self.ip(&port.ns), word(&port.dev)),
            Fact::Up(port) => self.set(port, "down"),
            Fact::Route(ns, table, to, metric, hop) => {
                format!("{} route del {}", self.ip(ns), destination(*table, to, *metric, hop))
            }
            Fact::OfPort(port, hand) => self.hand(&port.ns, hand.words(false, &port.dev)),
            Fact::OfSpace(ns, hand) => self.hand(ns, hand.words(false)),
            // A link's address and a setting have no value to go back to.
            Fact::Mac(..) | Fact::Sysctl(..) => format!("# {} stays as it is", self.make(fact, "add")),
        }
    }

    fn link(&self, port: &Port, link: &Link) -> String {
        let add = format!("{} link add {}", self.ip(&port.ns), word(&port.dev));
        match link {
            Link::Bridge => format!("{add} type bridge{PROMPT}"),
            Link::Veth { peer } if peer.ns == port.ns => format!("{add} type veth peer name {}", word(&peer.dev)),
            Link::Veth { peer } => format!("{add} type veth peer name {} netns {}", word(&peer.dev), self.ns(&peer.ns)),
            Link::Other(kind) => format!("{add} type {kind}"),
        }
    }
}

/// A name as one word of a shell: code inside a lab may give an interface any name, and the line may be run.
fn word(name: &IfName) -> Cow<'_, str> {
    quoted(name.as_str())
}

fn destination(table: u32, to: &IpNet, metric: u32, route: &RouteTo) -> String {
    let to = match (to.prefix_len(), to.addr().is_ipv6()) {
        (0, false) => "default".to_owned(),
        (0, true) => "::/0".to_owned(),
        _ => to.to_string(),
    };
    let text = match route {
        RouteTo::Via(via, dev) => format!("{to} via {via} dev {}", word(dev)),
        RouteTo::Dev(dev) => format!("{to} dev {}", word(dev)),
        RouteTo::Many(hops) => {
            let hops: Vec<String> = hops.iter().map(|(via, dev)| format!("nexthop via {via} dev {}", word(dev))).collect();
            format!("{to} {}", hops.join(" "))
        }
        RouteTo::Blackhole => format!("blackhole {to}"),
        RouteTo::Unreachable => format!("unreachable {to}"),
        RouteTo::Prohibit => format!("prohibit {to}"),
    };
    let metric = if metric == 0 { String::new() } else { format!(" metric {metric}") };
    let table = if table == MAIN_TABLE { String::new() } else { format!(" table {table}") };
    text + &metric + &table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_a_shell_would_read_otherwise_is_quoted() {
        assert_eq!(word(&IfName::observed("eth0.10")), "eth0.10");
        assert_eq!(word(&IfName::observed("a;reboot")), "'a;reboot'");
        assert_eq!(word(&IfName::observed("it's$(x)")), r"'it'\''s$(x)'");
    }
}
