//! A thread that makes its share of the new containers: all namespaces of a chunk, then their links, then their settings.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;

use nix::errno::Errno;

use super::units::Unit;
use super::{Run, requests, taken};
use crate::error::{Error, Result};
use crate::kernel::socket::Refusal;
use crate::kernel::space::{self, Pins, Space};
use crate::kernel::thread::interrupted;
use crate::kernel::verbs;
use crate::plan::{Fact, NodeId, Ns, Op, Sysctl};

/// What a thread says that stopped because another one failed: never the reason to tell.
const STOPPED: &str = "another thread failed";

/// The reason why a set of threads failed: that of the one that others stopped for.
pub fn reason(so_far: Result<()>, next: Result<()>) -> Result<()> {
    match so_far {
        Err(Error::Internal(why)) if why == STOPPED && next.is_err() => next,
        Ok(()) => next,
        error => error,
    }
}

/// What a worker needs to know.
pub struct Worker<'a> {
    /// The plan under way, with the namespaces of the hosts.
    pub run: &'a Run<'a>,
    /// What new containers are born with.
    pub settings: &'a Born,
    /// Tells which operations are done.
    pub done: Sender<Vec<usize>>,
    /// Somebody failed: stop.
    pub stop: &'a AtomicBool,
}

/// A container being made.
struct Coming<'a> {
    unit: &'a Unit,
    space: Space,
}

/// What new namespaces are born with, by their nodes.
pub type Born = HashMap<NodeId, Vec<(Sysctl, u32)>>;

/// Makes the namespaces of containers; the thread must end soon after.
pub fn spaces(pins: &Pins, units: &[&Unit], settings: &Born, round: u32, stop: &AtomicBool) -> Result<Vec<Space>> {
    let space = |unit: &&Unit| {
        go_on(stop)?;
        Space::make(pins, &unit.node, settings.get(&unit.node).map_or(&[][..], Vec::as_slice), false)
            .map(|space| space.further(round))
    };
    let made = units.iter().map(space).collect();
    if Result::is_err(&made) {
        stop.store(true, Ordering::Relaxed);
    }
    made
}

fn go_on(stop: &AtomicBool) -> Result<()> {
    interrupted()?;
    if stop.load(Ordering::Relaxed) { Err(Error::Internal(STOPPED.to_owned())) } else { Ok(()) }
}

impl Worker<'_> {
    /// Makes the containers, so many at a time; the namespaces of the first are there.
    pub fn work(&self, units: &[&Unit], chunk: usize, first: Vec<Space>) -> Result<()> {
        let (mut hosts, mut first) = (BTreeMap::new(), Some(first));
        let result = units.chunks(chunk).try_for_each(|units| {
            let spaces =
                first.take().map_or_else(|| spaces(self.run.pins, units, self.settings, self.run.round, self.stop), Ok)?;
            self.make(units, spaces, &mut hosts)
        });
        if result.is_err() {
            self.stop.store(true, Ordering::Relaxed);
        }
        result
    }

    fn make(&self, units: &[&Unit], spaces: Vec<Space>, hosts: &mut BTreeMap<Ns, Space>) -> Result<()> {
        for far in units.iter().flat_map(|unit| &unit.far) {
            if let Entry::Vacant(place) = hosts.entry(far.clone()) {
                let space = self.run.space(place.key())?.again(place.key())?;
                place.insert(space);
            }
        }
        let mut coming: Vec<Coming<'_>> = units.iter().zip(spaces).map(|(unit, space)| Coming { unit, space }).collect();
        for each in &mut coming {
            self.links(each, hosts)?;
        }
        self.flush_all(hosts)?;
        for each in &mut coming {
            go_on(self.stop)?;
            self.inside(each, hosts)?;
        }
        self.flush_all(hosts)
    }

    /// What happens in the host: the pair, and the settings of its end there.
    fn links(&self, each: &mut Coming<'_>, hosts: &mut BTreeMap<Ns, Space>) -> Result<()> {
        let (plan, births) = (self.run.plan, self.run.births());
        for &place in &each.unit.ops {
            let op = &plan[place];
            let node = op.fact().ns();
            if *node == Ns::Node(each.unit.node.clone()) || births.is_fused(place) {
                continue;
            }
            let Some(host) = hosts.get_mut(node) else { continue };
            let request = match op {
                Op::Add(Fact::Link(port, link)) => requests::birth(port, link, births, host, Some(&mut each.space)),
                _ => requests::request(op, host),
            };
            if let Some((payload, flags)) = request {
                let refusals = host.socket.push(payload, flags, place);
                self.check(node, host, refusals)?;
            }
            if let (Op::Add(Fact::Link(port, _)), Ns::Root) = (op, node) {
                let (payload, flags) = verbs::named(verbs::set_settings(0, true), &port.dev);
                let refusals = host.socket.push(payload, flags, place);
                self.check(node, host, refusals)?;
            }
        }
        Ok(())
    }

    /// What happens in the container; then a look at the host's ends, so that carrier is on at once.
    fn inside(&self, each: &mut Coming<'_>, hosts: &mut BTreeMap<Ns, Space>) -> Result<()> {
        let (plan, births, node) = (self.run.plan, self.run.births(), &Ns::Node(each.unit.node.clone()));
        let (mut ends, mut inner) = (Vec::new(), Vec::new());
        for &place in &each.unit.ops {
            let Op::Add(Fact::Link(port, link)) = &plan[place] else { continue };
            if let Some(peer) = link.peer().filter(|peer| peer.ns == *node) {
                let (payload, flags) =
                    verbs::set_settings(each.space.index(&peer.dev), self.settings.contains_key(&each.unit.node));
                let refusals = each.space.socket.push(payload, flags, place);
                self.check(node, &mut each.space, refusals)?;
                ends.push((&port.ns, &port.dev, place));
                inner.push((&peer.dev, place));
            }
        }
        for &place in &each.unit.ops {
            let op = &plan[place];
            if op.fact().ns() == node
                && !births.is_fused(place)
                && let Some((payload, flags)) = requests::request(op, &each.space)
            {
                let refusals = each.space.socket.push(payload, flags, place);
                self.check(node, &mut each.space, refusals)?;
            }
        }
        // A look at its own end, too: until its carrier has settled the kernel keeps IPv6 off it.
        for (dev, place) in &inner {
            let (payload, flags) = verbs::look(each.space.index(dev));
            let refusals = each.space.socket.push(payload, flags, *place);
            self.check(node, &mut each.space, refusals)?;
        }
        let refusals = each.space.socket.flush();
        self.check(node, &mut each.space, refusals)?;
        for (host, dev, place) in ends {
            let Some(space) = hosts.get_mut(host) else { continue };
            let (payload, flags) = verbs::look(space.index(dev));
            let refusals = space.socket.push(payload, flags, place);
            self.check(host, space, refusals)?;
        }
        let _ = self.done.send(each.unit.ops.clone());
        Ok(())
    }

    fn flush_all(&self, hosts: &mut BTreeMap<Ns, Space>) -> Result<()> {
        for (node, space) in hosts {
            let refusals = space.socket.flush();
            self.check(node, space, refusals)?;
        }
        Ok(())
    }

    fn check(&self, node: &Ns, space: &mut Space, refusals: std::result::Result<Vec<Refusal>, Errno>) -> Result<()> {
        let refusals = refusals.map_err(|errno| space::error_in(node, "send(AF_NETLINK)", errno))?;
        let Some(first) = refusals.first() else { return Ok(()) };
        let taken = taken::is_index(self.run.plan, &refusals, space);
        Err(if taken { self.run.is_taken(first) } else { self.run.refused(first) })
    }
}
