//! A plan under way in the namespaces that it touches: one operation after the other, a batch per stretch in one namespace.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;

use super::{Births, Parts, Unit, birth};
use crate::error::{Error, Feature, KernelError, Limit, Result};
use crate::kernel::caller::{interrupted, thread};
use crate::kernel::hands;
use crate::kernel::netlink::{REQUESTS, Refusal, Request, name_of};
use crate::kernel::netns::{self, Pins, Space};
use crate::kernel::requests;
use crate::plan::{Fact, Link, NodeId, Ns, Op, Plan, Port, Sysctl};

/// A plan under way.
pub struct Run<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// What is fused into which request.
    pub births: &'a Births,
    /// Where namespaces are pinned.
    pub pins: &'a Pins,
    /// So often somebody took an index that was to be given.
    pub round: u32,
    /// It happened again.
    pub taken: AtomicBool,
    spaces: HashMap<Ns, Space>,
}

/// Why a request was refused, with the line that a student would have typed.
fn refused(op: &Op, refusal: &Refusal) -> Error {
    let feature = match (op, refusal.errno) {
        (Op::Add(Fact::Link(_, Link::Bridge)), Errno::EOPNOTSUPP) => Some(Limit::Feature(Feature::Bridge)),
        (Op::Add(Fact::Link(_, Link::Veth { .. })), Errno::EOPNOTSUPP) => Some(Limit::Feature(Feature::Veth)),
        (_, Errno::ENOMEM | Errno::ENOBUFS) => Some(Limit::Memory),
        _ => None,
    };
    if let Some(limit) = feature {
        return Error::Machine(limit);
    }
    let node = match op.fact().ns() {
        Ns::Node(node) => Some(node.to_string()),
        Ns::Root => None,
    };
    Error::Kernel(KernelError { node, tried: op.to_string(), errno: refusal.errno as i32, extack: refusal.extack.clone() })
}

impl<'a> Run<'a> {
    /// A run of a plan.
    pub fn new(plan: &'a Plan, births: &'a Births, pins: &'a Pins, round: u32) -> Self {
        Self { plan, births, pins, round, taken: AtomicBool::new(false), spaces: HashMap::new() }
    }

    /// Opens every namespace that is there already and is touched.
    pub fn open_existing(&mut self, parts: &Parts) -> Result<()> {
        let made = |op: &Op| matches!(op, Op::Add(Fact::Netns(_)) | Op::Del(Fact::Netns(_)));
        let new: BTreeSet<&Ns> =
            self.plan.iter().filter_map(|op| if let Op::Add(Fact::Netns(ns)) = op { Some(ns) } else { None }).collect();
        let mut wanted: BTreeSet<Ns> = BTreeSet::new();
        for &place in parts.dels.iter().chain(&parts.head).chain(&parts.tail) {
            let op = &self.plan[place];
            let peer = match op {
                Op::Add(Fact::Link(_, link)) => link.peer().map(|peer| &peer.ns),
                _ => None,
            };
            for ns in std::iter::once(op.fact().ns()).filter(|_| !made(op)).chain(peer) {
                if !new.contains(ns) {
                    wanted.insert(ns.clone());
                }
            }
        }
        for unit in &parts.units {
            wanted.extend(unit.peers.iter().filter(|ns| !new.contains(ns)).cloned());
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let (pins, round) = (self.pins, self.round);
        let opened = thread(move || {
            let enter = |ns: Ns| Space::enter(pins, &ns).map(|space| (ns, space.further(round)));
            wanted.into_iter().map(enter).collect::<Result<Vec<_>>>()
        })??;
        self.spaces.extend(opened);
        Ok(())
    }

    /// Makes the namespaces of hosts and switches, on one thread that dies there.
    pub fn make_spaces(&mut self, head: &[usize]) -> Result<()> {
        let nodes: Vec<NodeId> = head
            .iter()
            .filter_map(|&place| match &self.plan[place] {
                Op::Add(Fact::Netns(Ns::Node(node))) => Some(node.clone()),
                _ => None,
            })
            .collect();
        if nodes.is_empty() {
            return Ok(());
        }
        let settings = settings(self.plan, head);
        let (pins, round) = (self.pins, self.round);
        let made = thread(move || {
            nodes
                .into_iter()
                .map(|node| {
                    interrupted()?;
                    let own = settings.get(&node).map_or(&[][..], Vec::as_slice);
                    Space::make(pins, &node, own, true).map(|space| (Ns::Node(node), space.further(round)))
                })
                .collect::<Result<Vec<_>>>()
        })??;
        self.spaces.extend(made);
        Ok(())
    }

    /// One operation after the other, a batch per stretch in one namespace.
    pub fn sequence(&mut self, places: &[usize], report: &mut dyn FnMut(&Op)) -> Result<()> {
        let mut current: Option<Ns> = None;
        let mut places = places.iter().copied().peekable();
        while let Some(place) = places.next() {
            let op = &self.plan[place];
            if matches!(op.fact(), Fact::Netns(_)) {
                continue;
            }
            let ns = op.fact().ns().clone();
            if current.as_ref() != Some(&ns) {
                self.flush(current.as_ref())?;
                interrupted()?;
                current = Some(ns.clone());
            }
            match op {
                Op::Del(Fact::Link(..)) => {
                    let plan = self.plan;
                    let alike =
                        |&next: &usize| matches!(plan[next], Op::Del(Fact::Link(..))) && plan[next].fact().ns() == op.fact().ns();
                    let mut doomed = vec![place];
                    while let Some(next) = places.next_if(alike) {
                        report(&plan[next]);
                        doomed.push(next);
                    }
                    self.cut(&ns, &doomed)?;
                }
                Op::Del(fact) if fact.is_by_hand() => {
                    self.flush(Some(&ns))?;
                    hands::undo(self.pins, op)?;
                }
                Op::Add(Fact::Link(port, link)) => self.make_link(place, &ns, port, link)?,
                Op::Add(Fact::Sysctl(..)) if self.space(&ns)?.fresh => {}
                Op::Add(Fact::Sysctl(_, setting, value)) | Op::Set(Fact::Sysctl(_, setting, value)) => {
                    self.write(&ns, *setting, *value)?;
                }
                _ if self.births.is_fused(place) => {}
                _ => {
                    self.settings_again(place, &ns, op)?;
                    let space = self.space(&ns)?;
                    let request = requests::request(op, &|dev| space.index(dev));
                    self.push(&ns, request, place)?;
                }
            }
            report(op);
        }
        self.flush(current.as_ref())
    }

    /// Deletes links of one namespace: each batch is dealt with by the kernel before a kill can fall into it.
    fn cut(&mut self, node: &Ns, doomed: &[usize]) -> Result<()> {
        for batch in doomed.chunks(REQUESTS - 1) {
            self.flush(Some(node))?;
            for &place in batch {
                let Fact::Link(port, _) = self.plan[place].fact() else { continue };
                let index = self.space(node)?.index(&port.dev);
                self.push(node, Some(if batch.len() == 1 { requests::del_link(index) } else { requests::doom(index) }), place)?;
            }
            if batch.len() > 1 {
                self.push(node, Some(requests::del_doomed()), batch[0])?;
            }
        }
        Ok(())
    }

    /// A kill may fall between the birth of a container's link and its settings; none falls between these and the link's going up.
    fn settings_again(&mut self, place: usize, node: &Ns, op: &Op) -> Result<()> {
        let Op::Add(Fact::Up(port)) = op else { return Ok(()) };
        let index = self.space(node)?.index(&port.dev);
        if index > 1 && is_container(node) {
            self.push(node, Some(requests::set_settings(index, true)), place)?;
        }
        Ok(())
    }

    fn make_room(&mut self, port: &Port) -> Result<()> {
        // On the machine itself a link of that name may be anybody's.
        if port.ns == Ns::Root || self.space(&port.ns)?.fresh {
            return Ok(());
        }
        self.flush(Some(&port.ns))?;
        let cleared = self.space_mut(&port.ns)?.make_room(&port.dev);
        cleared.map_err(|errno| netns::error_in(&port.ns, "ip link del", errno))
    }

    fn make_link(&mut self, place: usize, node: &Ns, port: &Port, link: &Link) -> Result<()> {
        for end in std::iter::once(port).chain(link.peer()) {
            self.make_room(end)?;
        }
        let elsewhere = link.peer().filter(|peer| peer.ns != port.ns);
        let Some(peer) = elsewhere else {
            let request = birth(port, link, self.births, self.space_mut(node)?, None);
            let mtu = self.births.settings(port).and_then(|settings| settings.mtu);
            self.push(node, request, place)?;
            self.quiet(port, place)?;
            return self.push(node, mtu.map(|mtu| requests::named(requests::set_mtu(0, mtu), &port.dev)), place);
        };
        let peer_ns = peer.ns.clone();
        let mut peer_space = self.spaces.remove(&peer_ns).ok_or_else(|| lost(&peer_ns))?;
        let births = self.births;
        let request = self.space_mut(node).map(|space| birth(port, link, births, space, Some(&mut peer_space)));
        self.spaces.insert(peer_ns.clone(), peer_space);
        self.push(node, request?, place)?;
        self.quiet(port, place)?;
        if is_container(&peer_ns) {
            self.flush(Some(node))?;
            let index = self.space(&peer_ns)?.index(&peer.dev);
            self.push(&peer_ns, Some(requests::set_settings(index, true)), place)?;
            self.flush(Some(&peer_ns))?;
        }
        Ok(())
    }

    /// On the machine itself only what is the lab's gets no address by itself, as everything in a namespace of nslab's own.
    fn quiet(&mut self, port: &Port, place: usize) -> Result<()> {
        if port.ns != Ns::Root {
            return Ok(());
        }
        self.push(&port.ns, Some(requests::named(requests::set_settings(0, true), &port.dev)), place)
    }

    fn push(&mut self, node: &Ns, request: Option<Request>, place: usize) -> Result<()> {
        let Some(request) = request else { return Ok(()) };
        let refusals = self.space_mut(node)?.socket.push(&request, place);
        self.check(node, refusals)
    }

    fn write(&self, ns: &Ns, setting: Sysctl, value: u32) -> Result<()> {
        thread(|| {
            let _here = Space::look(self.pins, ns)?;
            netns::write_setting(setting, value).map_err(|(tried, errno)| netns::error_in(ns, &tried, errno))
        })?
        .map_err(|error| if matches!(error, Error::Internal(_)) { lost(ns) } else { error })
    }

    fn flush(&mut self, node: Option<&Ns>) -> Result<()> {
        let Some(node) = node else { return Ok(()) };
        let refusals = match self.spaces.get_mut(node) {
            Some(space) => space.socket.flush(),
            None => return Ok(()),
        };
        self.check(node, refusals)
    }

    /// The first refusal of a batch is the error. Of a fused request the parts are tried singly, to name the one that fails.
    fn check(&mut self, node: &Ns, refusals: std::result::Result<Vec<Refusal>, Errno>) -> Result<()> {
        let refusals = refusals.map_err(|errno| netns::error_in(node, "send(AF_NETLINK)", errno))?;
        let Some(first) = refusals.first().cloned() else { return Ok(()) };
        let plan = self.plan;
        let is_taken = is_index_taken(plan, &refusals, self.space_mut(node)?);
        if is_taken {
            return Err(self.is_taken(&first));
        }
        let op = &plan[first.tag];
        let Op::Add(Fact::Link(port, link)) = op else { return Err(refused(op, &first)) };
        let fused = self.births.settings(port).map_or(&[][..], |settings| &settings.fused);
        let peer = link.peer().filter(|peer| peer.ns != port.ns).map(|peer| peer.ns.clone());
        let mut peer_space = peer.as_ref().and_then(|peer| self.spaces.remove(peer));
        let space = self.space_mut(node)?;
        let mut culprit = None;
        if let Some(bare) = birth(port, link, &Births::default(), space, peer_space.as_mut()) {
            culprit = alone(space, &bare, first.tag);
        }
        for &place in fused {
            if culprit.is_none()
                && let Some(request) = requests::request(&plan[place], &|dev| space.index(dev))
            {
                culprit = alone(space, &request, place);
            }
        }
        if let (Some(peer), Some(peer_space)) = (peer, peer_space) {
            self.spaces.insert(peer, peer_space);
        }
        let culprit = culprit.unwrap_or(first);
        Err(refused(&self.plan[culprit.tag], &culprit))
    }

    /// Gives the hosts' ends their indices in the plan's order, whichever thread makes them.
    pub fn number(&mut self, units: &[Unit]) -> Result<()> {
        for &place in units.iter().flat_map(|unit| &unit.ops) {
            if let Op::Add(Fact::Link(port, _)) = &self.plan[place] {
                // Before the index is given: who works in the host later must know the same one.
                self.make_room(port)?;
                self.space_mut(&port.ns)?.assign(&port.dev);
            }
        }
        Ok(())
    }

    /// Looks at the new links of hosts and switches, but for what leads to new containers: then the first ping answers.
    pub fn settle(&mut self, head: &[usize]) -> Result<()> {
        let mut touched = BTreeSet::new();
        for &place in head {
            let op = &self.plan[place];
            let (Port { ns, dev }, peer) = match op {
                Op::Add(Fact::Link(port, link)) => (port, link.peer()),
                Op::Add(Fact::Up(port)) => (port, None),
                _ => continue,
            };
            for (node, dev) in [(ns, dev)].into_iter().chain(peer.map(|peer| (&peer.ns, &peer.dev))) {
                let Some(index) = self.spaces.get(node).map(|space| space.index(dev)) else { continue };
                if index > 1 && touched.insert((node, index)) {
                    self.push(node, Some(requests::look(index)), place)?;
                }
            }
        }
        let nodes: Vec<Ns> = self.spaces.keys().cloned().collect();
        nodes.iter().try_for_each(|node| self.flush(Some(node)))
    }

    /// The namespace at hand.
    pub fn space(&self, node: &Ns) -> Result<&Space> {
        self.spaces.get(node).ok_or_else(|| lost(node))
    }

    fn space_mut(&mut self, node: &Ns) -> Result<&mut Space> {
        self.spaces.get_mut(node).ok_or_else(|| lost(node))
    }

    /// The error for a link that was refused for its index: the reason to carry on with other ones.
    pub fn is_taken(&self, refusal: &Refusal) -> Error {
        self.taken.store(true, Ordering::Relaxed);
        self.refused(refusal)
    }

    /// The error for a refusal of a request.
    pub fn refused(&self, refusal: &Refusal) -> Error {
        refused(&self.plan[refusal.tag], refusal)
    }
}

/// What the kernel says to a request by itself.
fn alone(space: &mut Space, request: &Request, place: usize) -> Option<Refusal> {
    let refused = space.send(request).ok()?;
    refused.map(|refusal| Refusal { tag: place, ..refusal })
}

fn is_container(ns: &Ns) -> bool {
    matches!(ns, Ns::Node(NodeId::Container(..)))
}

fn lost(ns: &Ns) -> Error {
    netns::error_in(ns, "open the namespace", Errno::ENOENT)
}

/// The settings that new namespaces are born with, by their nodes.
pub fn settings(plan: &Plan, places: &[usize]) -> HashMap<NodeId, Vec<(Sysctl, u32)>> {
    let mut settings: HashMap<NodeId, Vec<(Sysctl, u32)>> = HashMap::new();
    for &place in places {
        if let Op::Add(Fact::Sysctl(Ns::Node(node), setting, value)) = &plan[place] {
            settings.entry(node.clone()).or_default().push((*setting, *value));
        }
    }
    settings
}

/// Whether it was the index of a link that was refused. Addresses that followed the request in its batch went to the link that has
/// the index, and are taken off it: whatever else follows names its link by name, or is refused.
pub fn is_index_taken(plan: &Plan, refusals: &[Refusal], space: &mut Space) -> bool {
    let Some((_, first)) = refusals.first().and_then(|first| ends(plan, first)) else { return false };
    let Ok(links) = space.socket.links() else { return false };
    let names: HashMap<u32, &str> = links.iter().filter_map(|link| Some((link.header.index, name_of(link)?))).collect();
    let errno = refusals.first().map(|first| first.errno);
    let mut found = false;
    for port in refusals.iter().filter_map(|refusal| ends(plan, refusal)).flat_map(|(peer, port)| peer.into_iter().chain([port]))
    {
        let index = space.index(&port.dev);
        if names.get(&index).is_some_and(|name| *name != port.dev.as_str()) {
            found = true;
            take_off(plan, port, index, space);
        }
    }
    // Of an index here the kernel says EEXIST, or EINVAL where the link that has it has longer addresses; of one in the other end's
    // namespace EBUSY.
    let elsewhere =
        matches!(errno, Some(Errno::EEXIST | Errno::EBUSY)) && !names.values().any(|name| *name == first.dev.as_str());
    found || elsewhere
}

/// The ends in this namespace of the link that was refused.
fn ends<'a>(plan: &'a Plan, refusal: &Refusal) -> Option<(Option<&'a Port>, &'a Port)> {
    let Op::Add(Fact::Link(port, link)) = &plan[refusal.tag] else { return None };
    Some((link.peer().filter(|peer| peer.ns == port.ns), port))
}

fn take_off(plan: &Plan, port: &Port, index: u32, space: &mut Space) {
    for op in plan {
        if let Op::Add(Fact::Addr(at, net)) = op
            && at == port
        {
            // Most are refused: they were not sent yet.
            let _ = space.socket.push(&requests::del_address(index, *net), 0);
        }
    }
    let _ = space.socket.flush();
}
