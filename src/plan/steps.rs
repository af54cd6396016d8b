//! A plan as the commands that a student would type, grouped by host.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Fact, Link, NodeId, Ns, Op, Port, line};
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
    Remove,
    HostNamespaces,
    Filters,
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
    pub fn of(topology: &Topology) -> Self {
        Self { lab: topology.name.to_string(), role: topology.role.as_ref().map(|role| role.host.to_string()) }
    }
}

/// The steps of what somebody made by hand, in the plan's own order.
pub fn by_hand(plan: &[Op], naming: &Naming) -> Vec<Step> {
    Steps { naming, described: false, done: Vec::new(), pending: Vec::new() }.all(plan)
}

/// The step that makes namespaces inside a host again, as `ip netns add` in its shell did.
pub fn host_namespaces(host: &str, names: &[String], lab: &str) -> Step {
    let commands = names.iter().map(|name| format!("nslab exec {lab}/{host} ip netns add {}", line::quoted(name))).collect();
    Step { place: Place::Host(host.to_owned()), what: What::HostNamespaces, commands }
}

/// The step that prints a packet filter table of a node: its rules are `nft`'s to tell.
pub fn filter(node: &NodeId, family: &str, table: &str, lab: &str) -> Step {
    let place = node.host().map_or(Place::Networks, |host| Place::Host(host.to_string()));
    let command = format!("ip netns exec {lab}.{node} nft list table {family} {}", line::quoted(table));
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
        let mut command = line::line(op, &|node| self.name(node));
        if !self.described {
            // Somebody else's bridge is what the kernel makes.
            command = command.replace(line::PROMPT, "");
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

/// The host that a namespace belongs to; a switch belongs to none.
fn owner<'a>(ns: &'a Ns, naming: &'a Naming) -> Option<&'a str> {
    match ns {
        Ns::Root => naming.role.as_deref(),
        Ns::Node(node) => node.host().map(super::super::name::NodeName::as_str),
    }
}

impl Naming {
    fn place(&self, op: &Op) -> Place {
        if matches!(op.fact(), Fact::Netns(_)) {
            return Place::Lab;
        }
        let near = owner(op.fact().ns(), self);
        let far = match op.fact() {
            Fact::Link(_, link) => link.peer().map_or(near, |peer| owner(&peer.ns, self)),
            _ => near,
        };
        match near {
            Some(host) if near == far => Place::Host(host.to_owned()),
            _ => Place::Networks,
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
        },
    }
}
