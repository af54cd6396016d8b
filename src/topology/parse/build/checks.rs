//! From the keys of checkpoints to checks whose nodes and networks exist.

use std::net::IpAddr;

use ipnet::IpNet;

use super::super::checks::{
    RawAddresses, RawBridged, RawCheck, RawCheckpoint, RawCommand, RawControl, RawForwarding, RawMacs, RawPath, RawReach,
    RawRoutes,
};
use super::super::decode::{At, List, OneOrMany};
use super::super::values::{destination, name, prefixes, router, unknown};
use crate::name::{IfName, NodeName};
use crate::problem::{Problem, Reference};
use crate::topology::checks::{
    Addresses, Bridged, Check, Checkpoint, Command, Control, Destination, Forwarding, Machine, Macs, Members, Path, Plug, Reach,
    Router, Routes,
};
use crate::topology::findings::{Findings, Span};
use crate::topology::{Host, Topology};

/// Most checks of a file.
const CHECKS: usize = 1000;
/// Most points of a checkpoint.
const POINTS: i64 = 1000;

/// All checkpoints; what cannot be read is noted and left out.
pub(super) fn build(raw: Option<&List<RawCheckpoint>>, topology: &Topology, findings: &mut Findings) -> Vec<Checkpoint> {
    let raw = raw.map_or(&[][..], |list| &list.0);
    let mut builder = Builder { topology, findings };
    let mut built: Vec<(Checkpoint, Span)> = Vec::new();
    for checkpoint in raw {
        let Some((name, at)) = builder.title(checkpoint) else { continue };
        if let Some((_, first)) = built.iter().find(|(other, _)| other.name == name) {
            builder.findings.clash(&at, first, Problem::DuplicateName(name));
            continue;
        }
        let (points, checks) = (builder.points(&checkpoint.value), builder.checks(checkpoint));
        built.push((Checkpoint { name, points, checks }, at));
    }
    let checks: usize = built.iter().map(|(checkpoint, _)| checkpoint.checks.len()).sum();
    if let Some((_, at)) = built.first().filter(|_| checks > CHECKS) {
        let high = i64::try_from(CHECKS).unwrap_or(i64::MAX);
        findings.add(at, Problem::OutOfRange { what: "the number of checks", low: 0, high });
    }
    built.into_iter().map(|(checkpoint, _)| checkpoint).collect()
}

struct Builder<'a> {
    topology: &'a Topology,
    findings: &'a mut Findings,
}

impl<'a> Builder<'a> {
    fn title(&mut self, raw: &At<RawCheckpoint>) -> Option<(String, Span)> {
        let Some(word) = &raw.value.name else {
            if !raw.value.spoiled {
                self.findings.add(&raw.at, Problem::NoCheckpointName);
            }
            return None;
        };
        let title = word.value.split_whitespace().collect::<Vec<_>>().join(" ");
        if title.is_empty() {
            self.findings.add(&word.at, Problem::NoCheckpointName);
            return None;
        }
        Some((title, word.at.clone()))
    }

    fn points(&mut self, raw: &RawCheckpoint) -> u32 {
        self.number(raw.points.as_ref(), "points", (0, POINTS)).and_then(|number| u32::try_from(number).ok()).unwrap_or(0)
    }

    fn number(&mut self, number: Option<&At<i64>>, what: &'static str, (low, high): (i64, i64)) -> Option<i64> {
        let number = number?;
        if !(low..=high).contains(&number.value) {
            self.findings.add(&number.at, Problem::OutOfRange { what, low, high });
            return None;
        }
        Some(number.value)
    }

    fn checks(&mut self, raw: &At<RawCheckpoint>) -> Vec<Check> {
        let checks = raw.value.checks.as_ref().map_or(&[][..], |list| &list.0);
        if checks.is_empty() {
            raw.value.missing("checks", &raw.at, self.findings);
        }
        checks.iter().filter_map(|check| self.check(check)).collect()
    }

    fn check(&mut self, raw: &At<RawCheck>) -> Option<Check> {
        let at = &raw.at;
        match &raw.value {
            RawCheck::Reach(RawReach::All) => Some(Check::Reach(Reach::All)),
            RawCheck::Reach(RawReach::Pairs(pairs)) => Some(Check::Reach(Reach::Pairs(self.pairs(pairs, at)?))),
            RawCheck::Unreachable(pairs) => Some(Check::Unreachable(self.pairs(pairs, at)?)),
            RawCheck::Macs(raw) => self.macs(raw, at).map(Check::Macs),
            RawCheck::Path(raw) => self.path(raw, at).map(Check::Path),
            RawCheck::RecordRoute(raw) => self.path(raw, at).map(Check::RecordRoute),
            RawCheck::Routes(raw) => self.routes(raw, at).map(Check::Routes),
            RawCheck::Addresses(raw) => self.addresses(raw, at).map(Check::Addresses),
            RawCheck::Forwarding(raw) => self.forwarding(raw, at).map(Check::Forwarding),
            RawCheck::Bridge(raw) => self.bridged(raw, at).map(Check::Bridge),
            RawCheck::Command(raw) => self.command(raw, at).map(Check::Command),
            RawCheck::Control(raw) => self.control(raw, at).map(Check::Control),
        }
    }

    fn pairs(&mut self, raw: &List<OneOrMany>, at: &Span) -> Option<Vec<(Machine, Machine)>> {
        let mut pairs = Vec::new();
        for pair in &raw.0 {
            let [from, to] = pair.value.0.as_slice() else {
                self.findings.add(&pair.at, Problem::OnePair);
                return None;
            };
            pairs.push((self.machine(from), self.machine(to)));
        }
        if pairs.is_empty() {
            self.findings.add(at, Problem::OnePair);
            return None;
        }
        pairs.into_iter().map(|(from, to)| Some((from?, to?))).collect()
    }

    /// A node as it is typed: `NODE` or `HOST/NODE`.
    fn machine(&mut self, word: &At<String>) -> Option<Machine> {
        match found(self.topology, &word.value).as_slice() {
            [one] => return Some(one.clone()),
            [] => {
                let known = names(self.topology);
                unknown(Reference::Node, word, &known.iter().map(String::as_str).collect::<Vec<_>>(), self.findings);
            }
            several => {
                let candidates = several.iter().map(|one| one.to_string().replacen('.', "/", 1)).collect();
                self.findings.add(&word.at, Problem::AmbiguousNode { word: word.value.clone(), candidates });
            }
        }
        None
    }

    fn machines(&mut self, words: Option<&OneOrMany>) -> Option<Vec<Machine>> {
        let found: Vec<Option<Machine>> = words.map_or(&[][..], |words| &words.0).iter().map(|word| self.machine(word)).collect();
        found.into_iter().collect()
    }

    fn members(&mut self, words: &OneOrMany) -> Option<Members> {
        match words.0.as_slice() {
            [one] if one.value == "containers" => Some(Members::Containers),
            [one] if one.value == "hosts" => Some(Members::Hosts),
            _ => self.machines(Some(words)).map(Members::These),
        }
    }

    fn network(&mut self, word: &At<String>) -> Option<NodeName> {
        let known: Vec<&str> = self.topology.networks.iter().map(|network| network.name.as_str()).collect();
        if !known.contains(&word.value.as_str()) {
            unknown(Reference::Network, word, &known, self.findings);
            return None;
        }
        word.value.parse().ok()
    }

    fn macs(&mut self, raw: &RawMacs, at: &Span) -> Option<Macs> {
        let network = raw.network.as_ref().or_else(|| self.lacks(|findings| raw.missing("network", at, findings)));
        let owners = raw.owners.as_ref().or_else(|| self.lacks(|findings| raw.missing("owners", at, findings)));
        let network = network.and_then(|word| self.network(word));
        let owners = owners.and_then(|words| self.members(words));
        Some(Macs { network: network?, owners: owners? })
    }

    fn path(&mut self, raw: &RawPath, at: &Span) -> Option<Path> {
        let from = raw.from.as_ref().or_else(|| self.lacks(|findings| raw.missing("from", at, findings)));
        let to = raw.to.as_ref().or_else(|| self.lacks(|findings| raw.missing("to", at, findings)));
        let hops = raw.hops.as_ref().or_else(|| self.lacks(|findings| raw.missing("hops", at, findings)));
        let from = from.and_then(|word| self.machine(word));
        let to = to.and_then(|word| self.machine(word));
        let hops = hops.and_then(|words| self.machines(Some(words)));
        let path = Path { from: from?, to: to?, hops: hops? };
        if path.hops.last() != Some(&path.to) {
            let last = raw.hops.as_ref().and_then(|hops| hops.0.last()).map_or(at, |last| &last.at);
            self.findings.add(last, Problem::PathEnd(path.to.to_string().replacen('.', "/", 1)));
            return None;
        }
        Some(path)
    }

    fn routes(&mut self, raw: &RawRoutes, at: &Span) -> Option<Routes> {
        let node = raw.node.as_ref().or_else(|| self.lacks(|findings| raw.missing("node", at, findings)));
        let to = raw.to.as_ref().or_else(|| self.lacks(|findings| raw.missing("to", at, findings)));
        let node = node.and_then(|word| self.machine(word));
        let via = raw.via.as_ref().map(|word| self.router(word));
        let to = to.and_then(|word| self.destination(word, raw.via.as_ref()));
        let via = match via {
            Some(via) => Some(via?),
            None => None,
        };
        Some(Routes { node: node?, to: to?, via })
    }

    fn destination(&mut self, word: &At<String>, via: Option<&At<String>>) -> Option<Destination> {
        if word.value == "default" {
            let six = via.and_then(|via| via.value.parse::<IpAddr>().ok()).is_some_and(|via| via.is_ipv6());
            let all: IpNet = if six { "::/0".parse().ok()? } else { "0.0.0.0/0".parse().ok()? };
            return Some(Destination::Prefix(all));
        }
        if word.value.contains(':') || word.value.starts_with(|c: char| c.is_ascii_digit()) {
            return destination(word, self.findings).map(Destination::Prefix);
        }
        self.machine(word).map(Destination::Node)
    }

    fn router(&mut self, word: &At<String>) -> Option<Router> {
        if word.value.contains(':') || word.value.starts_with(|c: char| c.is_ascii_digit()) {
            return router(word, self.findings).map(Router::Address);
        }
        self.machine(word).map(Router::Node)
    }

    fn addresses(&mut self, raw: &RawAddresses, at: &Span) -> Option<Addresses> {
        let of = raw.of.as_ref().or_else(|| self.lacks(|findings| raw.missing("of", at, findings)));
        let of = of.and_then(|words| self.members(words));
        let network = raw.network.as_ref().map(|word| self.network(word));
        let are: Vec<IpNet> = prefixes(raw.are.as_ref(), self.findings).into_iter().map(|at| at.value).collect();
        if raw.subnet.is_none() && raw.are.is_none() {
            raw.missing("subnet", at, self.findings);
            return None;
        }
        let network = match network {
            Some(network) => Some(network?),
            None => None,
        };
        Some(Addresses { of: of?, network, subnet: raw.subnet.as_ref().map(|subnet| subnet.value), are })
    }

    fn forwarding(&mut self, raw: &RawForwarding, at: &Span) -> Option<Forwarding> {
        if raw.on.is_none() && raw.off.is_none() {
            raw.missing("on", at, self.findings);
            return None;
        }
        let (on, off) = (self.machines(raw.on.as_ref()), self.machines(raw.off.as_ref()));
        Some(Forwarding { on: on?, off: off? })
    }

    fn bridged(&mut self, raw: &RawBridged, at: &Span) -> Option<Bridged> {
        let host = raw.host.as_ref().or_else(|| self.lacks(|findings| raw.missing("host", at, findings)));
        let ports = raw.ports.as_ref().or_else(|| self.lacks(|findings| raw.missing("ports", at, findings)));
        let called = raw.name.as_ref().map(|word| name::<IfName>(word, self.findings));
        let (host, ports) = (host?, ports?);
        let of = self.host(host)?;
        let plugs: Vec<Option<Plug>> = ports.0.iter().map(|word| self.plug(of, word)).collect();
        let name = match called {
            Some(called) => Some(called?),
            None => None,
        };
        Some(Bridged { host: of.name.clone(), name, ports: plugs.into_iter().collect::<Option<_>>()? })
    }

    fn host(&mut self, word: &At<String>) -> Option<&'a Host> {
        let found = self.topology.host(&word.value);
        if found.is_none() {
            let known: Vec<&str> = self.topology.hosts.iter().map(|host| host.name.as_str()).collect();
            unknown(Reference::Host, word, &known, self.findings);
        }
        found
    }

    fn control(&mut self, raw: &RawControl, at: &Span) -> Option<Control> {
        let from = raw.from.as_ref().or_else(|| self.lacks(|findings| raw.missing("from", at, findings)));
        let of = raw.of.as_ref().or_else(|| self.lacks(|findings| raw.missing("of", at, findings)));
        let (from, of) = (from.and_then(|word| self.host(word)), of.and_then(|word| self.host(word)));
        Some(Control { from: from?.name.clone(), of: of?.name.clone() })
    }

    fn plug(&mut self, host: &Host, word: &At<String>) -> Option<Plug> {
        if let Some(nic) = host.nics.iter().find(|nic| nic.name.as_str() == word.value) {
            return Some(Plug::Nic(nic.name.clone()));
        }
        if let Some(container) = host.containers.iter().find(|container| container.name.as_str() == word.value) {
            return Some(Plug::Container(container.name.clone()));
        }
        let nics = host.nics.iter().map(|nic| nic.name.as_str());
        let known: Vec<&str> = nics.chain(host.containers.iter().map(|container| container.name.as_str())).collect();
        unknown(Reference::Plug, word, &known, self.findings);
        None
    }

    fn command(&mut self, raw: &RawCommand, at: &Span) -> Option<Command> {
        let node = raw.node.as_ref().or_else(|| self.lacks(|findings| raw.missing("node", at, findings)));
        let run = raw.run.as_ref().or_else(|| self.lacks(|findings| raw.missing("run", at, findings)));
        let node = node.and_then(|word| self.machine(word));
        let exit = self.number(raw.exit.as_ref(), "exit", (0, 255)).unwrap_or(0);
        let seconds = self.number(raw.timeout.as_ref(), "timeout", (1, 600)).unwrap_or(10);
        Some(Command {
            node: node?,
            run: run?.value.clone(),
            exit: u8::try_from(exit).ok()?,
            output: raw.output.as_ref().map(|output| output.value.clone()),
            seconds: u16::try_from(seconds).ok()?,
        })
    }

    /// Notes what is missing, and is nothing.
    fn lacks<T>(&mut self, note: impl FnOnce(&mut Findings)) -> Option<T> {
        note(self.findings);
        None
    }
}

/// Every node that a word names; a host comes before a container of its name.
fn found(topology: &Topology, word: &str) -> Vec<Machine> {
    if let Some(host) = topology.host(word) {
        return vec![Machine { host: host.name.clone(), container: None }];
    }
    let (wanted, word) = word.split_once('/').map_or((None, word), |(host, word)| (Some(host), word));
    let mut found = Vec::new();
    for host in topology.hosts.iter().filter(|host| wanted.is_none_or(|wanted| host.name.as_str() == wanted)) {
        let inside = host.containers.iter().filter(|container| container.name.as_str() == word);
        found.extend(inside.map(|inside| Machine { host: host.name.clone(), container: Some(inside.name.clone()) }));
    }
    found
}

fn names(topology: &Topology) -> Vec<String> {
    let host = |host: &Host| {
        let inside = host.containers.iter().map(|container| container.name.to_string());
        std::iter::once(host.name.to_string()).chain(inside.collect::<Vec<_>>())
    };
    let mut names: Vec<String> = topology.hosts.iter().flat_map(host).collect();
    names.sort();
    names.dedup();
    names
}
