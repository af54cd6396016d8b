//! The commands that may mend what is wrong: of what the tables show at once, of what a packet dies of after a trace.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::scene::is_managed;
use crate::error::{Error, Result};
use crate::lab::Subject;
use crate::plan::line::quoted;
use crate::plan::{Key, NodeId};
use crate::probe::cure::cure;
use crate::probe::trace::{Order, trace};
use crate::probe::view::View;
use crate::report::check::Evidence;
use crate::report::trace::Cause;
use crate::report::wire::Names;
use crate::typed;

/// Packets that are traced in one run: each takes a tenth of a second and more.
const TRACES: usize = 2;

/// Why a packet dies, how certainly, and what mends it.
type Death = Option<(Cause, bool, Vec<String>)>;

/// Hints, each packet traced once.
pub(super) struct Hints<'a> {
    subject: &'a Subject,
    names: Names,
    /// Another topology judges: how the lab itself is described is no cure.
    other: bool,
    traced: HashMap<(NodeId, IpAddr), Death>,
}

impl<'a> Hints<'a> {
    pub(super) fn new(subject: &'a Subject, names: Names, other: bool) -> Self {
        Self { subject, names, other, traced: HashMap::new() }
    }

    /// Takes the lab's own description out of a view where it leads elsewhere than the one that judges: its addresses, routes and
    /// ports of bridges.
    pub(super) fn forget(&self, view: &mut View) {
        if self.other {
            view.described.retain(|key, _| !matches!(key, Key::Addr(..) | Key::Route(..) | Key::Member(_)));
        }
    }

    /// The evidence with the cause of what is suspect, and the commands.
    ///
    /// # Errors
    /// When a signal arrives.
    pub(super) fn find(
        &mut self,
        view: &View,
        mut evidence: Vec<Evidence>,
        suspect: Option<(NodeId, IpAddr)>,
    ) -> Result<(Vec<Evidence>, Vec<String>)> {
        let mut hints: Vec<String> = evidence.iter().flat_map(|evidence| self.bridge(view, evidence)).collect();
        hints.extend(evidence.iter().flat_map(|evidence| self.control(evidence)));
        hints.extend(evidence.iter().filter_map(cause).flat_map(|cause| cure(view, &cause)));
        if let Some((from, to)) = suspect
            && let Some((cause, certain, cures)) = self.death(from, to)?.and_then(|death| self.elsewhere(view, death))
        {
            hints.extend(cures);
            evidence.push(Evidence::Because { cause, certain });
        }
        let mut kept: Vec<String> = Vec::new();
        for hint in hints {
            if kept.contains(&hint) || self.other && leads_back(view, &hint) {
                continue;
            }
            kept.push(hint);
        }
        Ok((evidence, kept))
    }

    /// How a bridge is made, where there is none of the student's own, and how a port comes into it.
    fn bridge(&self, view: &View, evidence: &Evidence) -> Vec<String> {
        if let Evidence::OtherBridge { interface, wanted, .. } = evidence {
            let (node, port) = (self.names.node(&interface.node), quoted(&interface.interface));
            return vec![self.subject.prompt.within(&node, &format!("ip link set {port} master {}", quoted(wanted)))];
        }
        let (host, name, ports) = match evidence {
            Evidence::NoBridge { host, name, ports } => (host, name.as_deref(), ports),
            Evidence::ManagedBridge { host, ports, .. } => (host, None, ports),
            _ => return Vec::new(),
        };
        let place = view.places.iter().find(|place| place.node.node == *host);
        let taken = |name: &str| place.is_some_and(|place| place.node.links.iter().any(|link| link.name == name));
        let free = (0..100).map(|number| format!("br{number}")).find(|name| !taken(name)).unwrap_or_default();
        let name = name.unwrap_or(&free);
        let node = self.names.node(host);
        let mut lines = vec![format!("ip link add {name} type bridge"), format!("ip link set {name} up")];
        for port in ports {
            lines.push(format!("ip link set {} master {name} up", quoted(port)));
        }
        lines.into_iter().map(|line| typed::here(&self.subject.prompt.within(&node, &line))).collect()
    }

    /// A node as it is typed.
    fn typed(&self, node: &str) -> String {
        self.subject.prompt.node(&self.names.node(node))
    }

    /// What lets a host command another one's containers.
    fn control(&self, evidence: &Evidence) -> Vec<String> {
        let (from, of, known) = match evidence {
            Evidence::NoAgent { host } => return vec![typed::here(&format!("sudo nslab agent start {}", self.typed(host)))],
            Evidence::NoRemote { from, of } => (from, of, None),
            Evidence::Distrusted { from, of, remote } | Evidence::OtherServer { from, of, remote } => (from, of, Some(remote)),
            _ => return Vec::new(),
        };
        let (here, there) = (self.typed(from), self.typed(of));
        let forget = known.map(|remote| format!("sudo nslab exec {here} lxc remote remove {}", quoted(remote)));
        let token = format!("sudo nslab agent token {there} --name {from}");
        let add = format!("sudo nslab exec {here} lxc remote add {of} TOKEN");
        forget.into_iter().chain([token, add]).map(|line| typed::here(&line)).collect()
    }

    /// The same without the managed bridges that an interface is in none of: nothing where they are all there is.
    fn elsewhere(&self, view: &View, (cause, certain, cures): (Cause, bool, Vec<String>)) -> Death {
        match cause {
            Cause::NotInBridge { interface, bridges } if self.other && bridges.iter().any(|bridge| is_managed(bridge)) => {
                let bridges: Vec<String> = bridges.into_iter().filter(|bridge| !is_managed(bridge)).collect();
                let cause = Cause::NotInBridge { interface, bridges };
                let any = matches!(&cause, Cause::NotInBridge { bridges, .. } if !bridges.is_empty());
                any.then(|| {
                    let cures = cure(view, &cause);
                    (cause, certain, cures)
                })
            }
            cause => Some((cause, certain, cures)),
        }
    }

    fn death(&mut self, from: NodeId, to: IpAddr) -> Result<Death> {
        let key = (from, to);
        if let Some(known) = self.traced.get(&key) {
            return Ok(known.clone());
        }
        if self.traced.len() >= TRACES {
            return Ok(None);
        }
        let order = Order { from: &key.0, to, scope: 0, payload: 56, ttl: None };
        // The pings have left their marks in the tables since.
        let traced = View::living(self.subject).and_then(|(mut view, _)| {
            self.forget(&mut view);
            trace(&mut view, order, self.names.clone())
        });
        let death = match traced {
            Ok(trace) => trace.death().map(|death| (death.cause.clone(), death.certain, death.cure.clone())),
            Err(error @ Error::Signal(_)) => return Err(error),
            // Without a trace the failure stands all the same.
            Err(_) => None,
        };
        self.traced.insert(key, death.clone());
        Ok(death)
    }
}

/// Whether a command puts something back on a managed bridge, or sends packets to its subnet.
fn leads_back(view: &View, command: &str) -> bool {
    let links = || view.places.iter().flat_map(|place| &place.node.links).filter(|link| is_managed(&link.name));
    let inside = |word: &str| {
        let address = word.parse::<IpNet>().map(|net| net.addr()).or_else(|_| word.parse::<IpAddr>());
        address.is_ok_and(|address| links().any(|link| link.addresses.iter().any(|net| net.contains(&address))))
    };
    command.split_whitespace().any(|word| is_managed(word) && links().any(|link| link.name == word) || inside(word))
}

/// The cause that says how evidence is mended.
fn cause(evidence: &Evidence) -> Option<Cause> {
    match evidence {
        Evidence::Because { cause, .. } => Some(cause.clone()),
        Evidence::NotInBridge { interface, bridge: Some(bridge) } => {
            Some(Cause::NotInBridge { interface: interface.clone(), bridges: vec![bridge.clone()] })
        }
        Evidence::Forwards { node, ipv6, on: Some(false) } => Some(Cause::ForwardingOff { node: node.clone(), ipv6: *ipv6 }),
        _ => None,
    }
}
