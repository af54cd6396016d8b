//! An operation as the `ip` line that a student would type.

use std::borrow::Cow;
use std::fmt;

use super::fact::{Fact, Link, MAIN_TABLE, NodeId, Ns, Op, Port, RouteTo};
use crate::name::IfName;

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
pub const PROMPT: &str = " forward_delay 0 mcast_snooping 0";

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

    /// `bridge`, or `bridge -n NAME`.
    fn bridge(&self, ns: &Ns) -> String {
        self.ip(ns).replacen("ip", "bridge", 1)
    }

    fn set(&self, port: &Port, what: &str) -> String {
        format!("{} link set {} {what}", self.ip(&port.ns), word(&port.dev))
    }

    fn make(&self, fact: &Fact, verb: &str) -> String {
        match fact {
            Fact::Netns(ns) => format!("ip netns add {}", self.ns(ns)),
            Fact::Sysctl(ns, setting, number) => self.sysctl(ns, &setting.name(), *number),
            Fact::Link(port, link) => self.link(port, link),
            Fact::Mac(port, mac) => self.set(port, &format!("address {mac}")),
            Fact::Mtu(port, mtu) => self.set(port, &format!("mtu {mtu}")),
            Fact::Stp(port) => self.set(port, "type bridge stp_state 1"),
            Fact::Member(port, bridge) => self.set(port, &format!("master {}", word(bridge))),
            Fact::Isolated(port) => {
                format!("{} link set dev {} learning off flood off", self.bridge(&port.ns), word(&port.dev))
            }
            Fact::Fdb(port, mac) => {
                format!("{} fdb {verb} {mac} dev {} master static", self.bridge(&port.ns), word(&port.dev))
            }
            Fact::Addr(port, net) => {
                let how = match net {
                    // A subnet of two addresses has no broadcast.
                    ipnet::IpNet::V4(net) if net.prefix_len() < 31 => " brd +",
                    ipnet::IpNet::V4(_) => "",
                    ipnet::IpNet::V6(_) => " nodad",
                };
                format!("{} address {verb} {net}{how} dev {}", self.ip(&port.ns), word(&port.dev))
            }
            Fact::Up(port) => self.set(port, "up"),
            Fact::Route(ns, table, to, metric, hop) => {
                format!("{} route {verb} {}", self.ip(ns), destination(*table, to, *metric, hop))
            }
        }
    }

    fn unmake(&self, fact: &Fact) -> String {
        match fact {
            Fact::Netns(ns) => format!("ip netns del {}", self.ns(ns)),
            Fact::Link(port, _) => format!("{} link del {}", self.ip(&port.ns), word(&port.dev)),
            Fact::Mtu(port, _) => self.set(port, "mtu 1500"),
            Fact::Stp(port) => self.set(port, "type bridge stp_state 0"),
            Fact::Member(port, _) => self.set(port, "nomaster"),
            Fact::Isolated(port) => {
                format!("{} link set dev {} learning on flood on", self.bridge(&port.ns), word(&port.dev))
            }
            Fact::Fdb(port, mac) => format!("{} fdb del {mac} dev {} master", self.bridge(&port.ns), word(&port.dev)),
            Fact::Addr(port, net) => format!("{} address del {net} dev {}", self.ip(&port.ns), word(&port.dev)),
            Fact::Up(port) => self.set(port, "down"),
            Fact::Route(ns, table, to, metric, hop) => {
                format!("{} route del {}", self.ip(ns), destination(*table, to, *metric, hop))
            }
            // A link's address and a setting have no value to go back to.
            Fact::Mac(..) | Fact::Sysctl(..) => format!("# {} stays as it is", self.make(fact, "add")),
        }
    }

    fn sysctl(&self, ns: &Ns, name: &str, value: u32) -> String {
        match ns {
            Ns::Root => format!("sysctl -qw {name}={value}"),
            Ns::Node(_) => format!("ip netns exec {} sysctl -qw {name}={value}", self.ns(ns)),
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

/// Text as one word of a shell.
pub fn quoted(name: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.:@+".contains(c);
    if !name.is_empty() && name.chars().all(plain) { name.into() } else { format!("'{}'", name.replace('\'', r"'\''")).into() }
}

fn destination(table: u32, to: &ipnet::IpNet, metric: u32, route: &RouteTo) -> String {
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
