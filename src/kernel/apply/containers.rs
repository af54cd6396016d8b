//! New containers, shared out among threads while hosts and switches are made and wired.
//!
//! A thread goes on in groups: all namespaces of a group, then their links, then their settings. The kernel makes namespaces and
//! links one at a time, but can do the one for one thread and the other for another.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread::Builder;

use nix::errno::Errno;

use super::run::{Run, is_index_taken, settings};
use super::{Parts, Unit, birth};
use crate::error::{Error, Result};
use crate::kernel::caller::{interrupted, joined, processors};
use crate::kernel::netlink::{Refusal, Request};
use crate::kernel::netns::{self, Pins, Space};
use crate::kernel::requests;
use crate::plan::{Fact, NodeId, Ns, Op, Sysctl};

/// How many containers a thread makes at a time.
const GROUP: usize = 16;

/// What a thread says that stopped because another one failed: never the reason to tell.
const STOPPED: &str = "another thread failed";

/// Makes hosts, switches and new containers.
pub fn make(run: &mut Run, parts: &Parts, report: &mut dyn FnMut(&Op)) -> Result<()> {
    let (plan, threads) = (run.plan, processors().min(parts.units.len()));
    let places: Vec<usize> = parts.units.iter().flat_map(|unit| unit.ops.iter().copied()).collect();
    let crew = Crew { pins: run.pins, round: run.round, born: settings(plan, &places), stop: AtomicBool::new(false) };
    let crew = &crew;
    std::thread::scope(|scope| {
        let (done, finished) = channel::<Vec<usize>>();
        let worker = |number| {
            let share: Vec<&Unit> = parts.units.iter().skip(number).step_by(threads).collect();
            let (done, (ready, wired)) = (done.clone(), channel::<&Run>());
            let work = move || {
                let mut groups = share.chunks(GROUP);
                let first = groups.next().unwrap_or_default();
                let spaces = crew.spaces(first)?;
                // Nobody says so where the hosts could not be made.
                let Ok(run) = wired.recv() else { return Ok(()) };
                let mut worker = Worker { run, crew, hosts: BTreeMap::new() };
                for (group, spaces) in std::iter::once((first, Ok(spaces))).chain(groups.map(|group| (group, crew.spaces(group))))
                {
                    worker.make(group, spaces?)?;
                    let _ = done.send(group.iter().flat_map(|unit| unit.ops.iter().copied()).collect());
                }
                Ok(())
            };
            let stopping = move || work().inspect_err(|_: &Error| crew.stop.store(true, Ordering::Relaxed));
            (ready, Builder::new().spawn_scoped(scope, stopping))
        };
        let (ready, workers): (Vec<_>, Vec<_>) = (0..threads).map(worker).unzip();
        drop(done);
        let wired =
            run.make_spaces(&parts.head).and_then(|()| run.sequence(&parts.head, report)).and_then(|()| run.number(&parts.units));
        if let Ok(()) = &wired {
            let run = &*run;
            for ready in ready {
                ready.send(run).unwrap_or_default();
            }
        } else {
            crew.stop.store(true, Ordering::Relaxed);
            drop(ready);
        }
        finished.iter().flatten().for_each(|place| report(&plan[place]));
        workers.into_iter().map(joined).fold(wired, reason)
    })
}

/// The reason why a set of threads failed: that of the one that others stopped for.
fn reason(so_far: Result<()>, next: Result<()>) -> Result<()> {
    match so_far {
        Err(Error::Internal(why)) if why == STOPPED && next.is_err() => next,
        Ok(()) => next,
        error => error,
    }
}

/// What all threads know.
struct Crew<'a> {
    pins: &'a Pins,
    round: u32,
    /// What new containers are born with.
    born: HashMap<NodeId, Vec<(Sysctl, u32)>>,
    /// Somebody failed: stop.
    stop: AtomicBool,
}

impl Crew<'_> {
    /// Makes the namespaces of containers; the thread must end soon after.
    fn spaces(&self, units: &[&Unit]) -> Result<Vec<Space>> {
        let space = |unit: &&Unit| {
            self.go_on()?;
            let own = self.born.get(&unit.node).map_or(&[][..], Vec::as_slice);
            Space::make(self.pins, &unit.node, own, false).map(|space| space.further(self.round))
        };
        units.iter().map(space).collect()
    }

    fn go_on(&self) -> Result<()> {
        interrupted()?;
        if self.stop.load(Ordering::Relaxed) { Err(Error::Internal(STOPPED.to_owned())) } else { Ok(()) }
    }
}

/// A thread's own sockets in the hosts, whose namespaces the run has.
struct Worker<'a> {
    run: &'a Run<'a>,
    crew: &'a Crew<'a>,
    hosts: BTreeMap<Ns, Space>,
}

impl Worker<'_> {
    /// Makes a group of containers whose namespaces are there.
    fn make(&mut self, units: &[&Unit], mut spaces: Vec<Space>) -> Result<()> {
        self.hosts.retain(|ns, _| units.iter().any(|unit| unit.peers.contains(ns)));
        for peer in units.iter().flat_map(|unit| &unit.peers) {
            if !self.hosts.contains_key(peer) {
                self.hosts.insert(peer.clone(), self.run.space(peer)?.again(peer)?);
            }
        }
        for (unit, space) in units.iter().zip(&mut spaces) {
            self.links(unit, space)?;
        }
        self.flush()?;
        for (unit, space) in units.iter().zip(&mut spaces) {
            self.crew.go_on()?;
            self.inside(unit, space)?;
        }
        self.flush()
    }

    /// What happens in the host: the pair, and the settings of its end there.
    fn links(&mut self, unit: &Unit, own: &mut Space) -> Result<()> {
        let (run, here) = (self.run, Ns::Node(unit.node.clone()));
        for &place in &unit.ops {
            let op = &run.plan[place];
            let ns = op.fact().ns();
            if *ns == here || run.births.is_fused(place) {
                continue;
            }
            let Some(host) = self.hosts.get_mut(ns) else { continue };
            let request = match op {
                Op::Add(Fact::Link(port, link)) => birth(port, link, run.births, host, Some(own)),
                _ => requests::request(op, &|dev| host.index(dev)),
            };
            if let Some(request) = request {
                push(run, ns, host, &request, place)?;
            }
            if let (Op::Add(Fact::Link(port, _)), Ns::Root) = (op, ns) {
                push(run, ns, host, &requests::named(requests::set_settings(0, true), &port.dev), place)?;
            }
        }
        Ok(())
    }

    /// What happens in the container; then a look at the host's ends, so that carrier is on at once.
    fn inside(&mut self, unit: &Unit, own: &mut Space) -> Result<()> {
        let (run, here) = (self.run, &Ns::Node(unit.node.clone()));
        let has_settings = self.crew.born.contains_key(&unit.node);
        let mut ends = Vec::new();
        for &place in &unit.ops {
            if let Op::Add(Fact::Link(outer, link)) = &run.plan[place]
                && let Some(inner) = link.peer().filter(|peer| peer.ns == *here)
            {
                let index = own.index(&inner.dev);
                push(run, here, own, &requests::set_settings(index, has_settings), place)?;
                ends.push((outer, index, place));
            }
        }
        for &place in &unit.ops {
            let op = &run.plan[place];
            if op.fact().ns() == here
                && !run.births.is_fused(place)
                && let Some(request) = requests::request(op, &|dev| own.index(dev))
            {
                push(run, here, own, &request, place)?;
            }
        }
        // A look at its own end, too: until its carrier has settled the kernel keeps IPv6 off it.
        for &(_, index, place) in &ends {
            push(run, here, own, &requests::look(index), place)?;
        }
        flush(run, here, own)?;
        for (outer, _, place) in ends {
            let Some(host) = self.hosts.get_mut(&outer.ns) else { continue };
            let index = host.index(&outer.dev);
            push(run, &outer.ns, host, &requests::look(index), place)?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        let run = self.run;
        self.hosts.iter_mut().try_for_each(|(ns, host)| flush(run, ns, host))
    }
}

fn push(run: &Run, ns: &Ns, space: &mut Space, request: &Request, place: usize) -> Result<()> {
    let refusals = space.socket.push(request, place);
    check(run, ns, space, refusals)
}

fn flush(run: &Run, ns: &Ns, space: &mut Space) -> Result<()> {
    let refusals = space.socket.flush();
    check(run, ns, space, refusals)
}

fn check(run: &Run, ns: &Ns, space: &mut Space, refusals: std::result::Result<Vec<Refusal>, Errno>) -> Result<()> {
    let refusals = refusals.map_err(|errno| netns::error_in(ns, "send(AF_NETLINK)", errno))?;
    let Some(first) = refusals.first() else { return Ok(()) };
    let taken = is_index_taken(run.plan, &refusals, space);
    Err(if taken { run.is_taken(first) } else { run.refused(first) })
}
