//! What is seen that is wrong, or why a check could not run: what several kinds of checks can meet. Each has its own, too.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use serde::Serialize;

use crate::error::Error;
use crate::lab::resolve::Prompt;
use crate::plan::NodeId;
use crate::probe::cure::cure;
use crate::probe::view::{Place, View};
use crate::render::lang::{Lang, and, n, t, w};
use crate::render::sentences::statement::{Say, Statement, Words};
use crate::render::sentences::{causes, packets};
use crate::report::machine::Link;
use crate::report::probe::Family;
use crate::report::trace::{Cause, Trace};
use crate::report::wire::{Interface, Names};
use crate::typed;

/// Something that was seen.
pub(super) trait Seen: Say {
    /// It only kept the check from running.
    fn is_obstacle(&self) -> bool {
        false
    }

    /// The commands that may mend it, as they are typed.
    fn cures(&self, _: &Bench<'_>) -> Vec<String> {
        Vec::new()
    }
}

/// Something that was seen, of whatever kind of check.
#[derive(Debug, Clone)]
pub(super) struct Evidence(pub Arc<dyn Seen>);

impl Evidence {
    /// For the report.
    pub(super) fn into_statement(self) -> Statement {
        Statement(self.0)
    }
}

impl PartialEq for Evidence {
    fn eq(&self, other: &Self) -> bool {
        self.0.json() == other.0.json()
    }
}

impl<T: Seen + 'static> From<T> for Evidence {
    fn from(seen: T) -> Self {
        Self(Arc::new(seen))
    }
}

/// What commands that mend something are made with.
pub(super) struct Bench<'a> {
    pub prompt: &'a Prompt,
    pub names: &'a Names,
    pub view: &'a View,
}

impl Bench<'_> {
    /// A node as it is typed.
    pub(super) fn node(&self, node: &str) -> String {
        self.prompt.node(&self.names.node(node))
    }

    /// A command in a node, with the prefix that it needs here.
    pub(super) fn exec(&self, node: &str, line: &str) -> String {
        typed::here(&self.prompt.within(&self.names.node(node), line))
    }
}

/// What several kinds of checks can meet.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Common {
    /// The namespace of the node is gone.
    NodeGone { node: String },
    /// The container is stopped.
    Stopped { node: String },
    /// Nobody in the lab can play the part.
    NoPlayer { role: String },
    /// No network of the lab joins those that play.
    NoNetwork { network: String },
    /// nslab failed: the step and the system's error number.
    Failed { tried: String, errno: i32 },
    /// The command is not in the node.
    NoCommand { command: String, code: i32 },
    /// The node has no address that counts: the one family that does, where it is one alone, and the addresses that do not.
    NoAddress { node: String, family: Option<Family>, besides: Vec<Besides> },
    /// Not a single container has an address that counts, or one alone; whether others have some that do not.
    TooFew { configured: Vec<String>, besides: bool },
    /// All containers with an address that counts are on one host, of how many others that have containers.
    OneHost { host: String, others: usize },
    /// Both have addresses, but none of the same family.
    NoFamily { from: String, to: String },
    /// Several have an address.
    Duplicate { address: IpAddr, owners: Vec<Interface> },
    /// Pings that were not answered: the first few, and how many there are.
    Unanswered { pairs: Vec<(String, String)>, number: usize, of: usize },
    /// What a packet dies of, or what is odd in the tables.
    Because { cause: Box<Cause>, certain: bool },
    /// A container has no cable.
    NoCable { node: String },
    /// The NIC is not in the host any more: where it is.
    NicMoved { nic: Interface, to: Interface },
    /// There is no such NIC.
    NoNic { nic: Interface },
    /// So many pings or commands of the check start on the other machine, which plays this host, and are checked there.
    OtherMachine { host: String, number: usize },
    /// Nodes on the other machine: what is said of them is what the file says.
    FromFile { nodes: Vec<String> },
}

/// An address that does not count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Besides {
    /// The address.
    pub address: IpNet,
    /// The interface that has it, or the managed bridge that it is behind.
    pub interface: String,
}

impl Common {
    /// What a packet dies of, or what is odd in the tables.
    pub(super) fn because(cause: Cause, certain: bool) -> Self {
        Self::Because { cause: Box::new(cause), certain }
    }

    /// The interface is down.
    pub(super) fn down(interface: Interface) -> Self {
        Self::because(Cause::LinkDown { interface, peer: None }, true)
    }

    /// The same is wrong, although it is not told of the same nodes in the same order.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::NoFamily { from, to }, Self::NoFamily { from: other, to: another }) => {
                (from, to) == (other, another) || (from, to) == (another, other)
            }
            (Self::Duplicate { address, .. }, Self::Duplicate { address: other, .. }) => address == other,
            (one, other) => one == other,
        }
    }
}

impl From<&Error> for Common {
    /// What an error of nslab's own is as evidence.
    fn from(error: &Error) -> Self {
        match error {
            Error::Kernel(why) => Self::Failed { tried: why.tried.clone(), errno: why.errno },
            Error::Command { command, errno } => {
                let code = if *errno == libc::ENOENT { 127 } else { 126 };
                Self::NoCommand { command: command.clone(), code }
            }
            other => Self::Failed { tried: format!("{other:?}"), errno: 0 },
        }
    }
}

impl Seen for Common {
    fn is_obstacle(&self) -> bool {
        matches!(
            self,
            Self::NodeGone { .. } | Self::Stopped { .. } | Self::Failed { .. } | Self::NoCommand { .. } | Self::NoNetwork { .. }
        )
    }

    fn cures(&self, bench: &Bench<'_>) -> Vec<String> {
        if let Self::Stopped { node } = self {
            return vec![typed::here(&format!("sudo nslab start {}", bench.node(node)))];
        }
        match self {
            Self::NicMoved { nic, to } => {
                let (interface, end, home) = (nic.clone(), Some(to.clone()), nic.clone());
                cure(bench.view, &Cause::CableElsewhere { interface, end, home })
            }
            Self::Because { cause, .. } => cure(bench.view, cause),
            Self::TooFew { configured, .. } => {
                let bare = |place: &&Place| {
                    let cable = |link: &Link| link.peer.is_some() && link.kind != "loopback";
                    matches!(place.id, NodeId::Container(..))
                        && place.node.links.iter().any(cable)
                        && !configured.contains(&place.node.node)
                };
                let first = bench.view.here().find(bare).map(|place| Cause::NoAddress { node: place.node.node.clone() });
                first.map_or_else(Vec::new, |cause| cure(bench.view, &cause))
            }
            Self::NoAddress { node, .. } => cure(bench.view, &Cause::NoAddress { node: node.clone() }),
            Self::NoCable { node } => cure(bench.view, &Cause::NoCable { node: node.clone(), ends: Vec::new() }),
            Self::Duplicate { address, owners } => {
                cure(bench.view, &Cause::DuplicateAddress { address: *address, owners: owners.clone() })
            }
            _ => Vec::new(),
        }
    }
}

impl Say for Common {
    fn sentence(&self, words: &Words<'_>) -> String {
        let lang = words.lang;
        match self {
            Self::NodeGone { node } => t!(lang, "The namespace of {node} is gone.", node = words.node(node)),
            Self::Stopped { node } => t!(lang, "{node} is stopped.", node = words.node(node)),
            Self::NoPlayer { role } => t!(lang, "Nobody in the lab can play {part}.", part = role.replacen('.', "/", 1)),
            Self::NoNetwork { network } => t!(lang, "No network of the lab joins these hosts as {network} does.", network),
            Self::Failed { tried, errno } => t!(lang, "nslab failed: {tried} (error {errno}).", tried, errno),
            Self::NoCommand { command, code: 127 } => format!("{} {command}", w!(lang, "A command of it is not there:")),
            Self::NoCommand { command, .. } => format!("{} {command}", w!(lang, "It cannot be executed:")),
            Self::NoAddress { node, family, besides } => no_address(words, node, *family, besides),
            Self::TooFew { configured, besides } => match (configured.as_slice(), besides) {
                ([], true) => t!(lang, "No container is configured for this scenario."),
                ([], false) => t!(lang, "No container is configured."),
                (nodes, true) => {
                    t!(lang, "Only one container is configured for this scenario: {node}.", node = words.few_nodes(nodes))
                }
                (nodes, false) => t!(lang, "Only one container is configured: {node}.", node = words.few_nodes(nodes)),
            },
            Self::OneHost { host, others: 1 } => {
                t!(lang, "All containers that are configured for this scenario are on {host}; none is on the other host.", host)
            }
            Self::OneHost { host, .. } => {
                t!(lang, "All containers that are configured for this scenario are on {host}; none is on another host.", host)
            }
            Self::NoFamily { from, to } => {
                let (from, to) = (words.node(from), words.node(to));
                t!(lang, "{from} and {to} have no addresses of the same family, IPv4 or IPv6.", from, to)
            }
            Self::Duplicate { address, owners } => {
                let owners = and(lang, &owners.iter().map(|owner| words.interface(owner)).collect::<Vec<_>>());
                t!(lang, "Several have the address {address}: {owners}.", address, owners)
            }
            Self::Unanswered { pairs, number, of } => {
                let more = if *number > pairs.len() { ", ..." } else { "" };
                let pairs = pairs.iter().map(|pair| words.ping(pair)).collect::<Vec<_>>().join(", ") + more;
                t!(lang, "Not answered: {pairs} ({number} of {pings}).", pairs, number, pings = n!(lang, *of, "ping", "pings"))
            }
            Self::Because { cause, certain } => {
                let trace = Trace::none(words.lab, words.names.clone());
                let details = packets::details(&trace, cause).join("; ");
                let cause = format!("{} {details}", causes::cause(lang, &trace, cause)).trim_end().to_owned();
                if *certain { cause } else { t!(lang, "Likely: {cause}", cause) }
            }
            Self::NoCable { node } => t!(lang, "{node} has no cable to its host.", node = words.node(node)),
            Self::NicMoved { nic, to } => t!(
                lang,
                "{nic} is not in the host any more but is {interface}: that node is on the wire itself.",
                nic = words.interface(nic),
                interface = words.interface(to)
            ),
            Self::NoNic { nic } => t!(lang, "{nic} is gone.", nic = words.interface(nic)),
            Self::OtherMachine { host, number: 1 } => t!(
                lang,
                "1 ping or command starts on the other machine, which plays {host}: it checks that.",
                host = words.node(host)
            ),
            Self::OtherMachine { host, number } => t!(
                lang,
                "{number} pings or commands start on the other machine, which plays {host}: it checks that.",
                number,
                host = words.node(host)
            ),
            Self::FromFile { nodes } => {
                let nodes = nodes.iter().map(|node| words.node(node)).collect::<Vec<_>>().join(", ");
                t!(lang, "From the file, since they are on the other machine: {nodes}.", nodes)
            }
        }
    }
}

fn no_address(words: &Words<'_>, node: &str, family: Option<Family>, besides: &[Besides]) -> String {
    let (lang, node, nothing) = (words.lang, words.node(&node), nothing(words.lang, family));
    let beside =
        |besides: &Besides| t!(lang, "{address} on {interface}", address = besides.address, interface = besides.interface);
    match besides.iter().map(beside).collect::<Vec<_>>().as_slice() {
        [] => t!(lang, "{node} has {nothing} in this scenario.", node, nothing),
        [one] => t!(lang, "{node} has {nothing} in this scenario; {address} does not count.", node, nothing, address = one),
        several => {
            let addresses = and(lang, several);
            t!(lang, "{node} has {nothing} in this scenario; {addresses} do not count.", node, nothing, addresses)
        }
    }
}

/// That there is no address, of a family.
pub(super) fn nothing(lang: Lang, family: Option<Family>) -> &'static str {
    match family {
        None => w!(lang, "no address"),
        Some(Family::Ipv4) => w!(lang, "no IPv4 address"),
        Some(Family::Ipv6) => w!(lang, "no IPv6 address"),
    }
}
