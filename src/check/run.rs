//! Checks a lab once: asks every check for the pings that it needs, sends all of them at once, watches those that matter on
//! their way, asks for the verdicts, and for the commands that may mend what is wrong: of what the tables show at once, of what a
//! packet dies of after a trace.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use ipnet::IpNet;
use serde::Deserialize;

use super::evidence::{Bench, Common, Evidence};
use super::kinds::{Check, KINDS, Stage, Suspect, Target, Verdict};
use super::players::{Casting, Players};
use super::scene::{self, Pairs, Pinged, Scene, addresses, containers};
use crate::error::{Error, JournalFault, Result};
use crate::lab::Subject;
use crate::name::NodeName;
use crate::plan::{Fact, NodeId, Ns};
use crate::probe::cure::cure;
use crate::probe::ping::stations::Stations;
use crate::probe::trace::{self, trace};
use crate::probe::view::is_managed;
use crate::probe::view::{Looked, View};
use crate::probe::watch::{WatchedPing, watch_pings};
use crate::render::sentences::statement::Statement;
use crate::report::probe::{Checkpoint, Family, Outcome, Report, State};
use crate::report::trace::Cause;
use crate::report::wire::Names;
use crate::topology::Topology;

/// What to check.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// The lab that is up.
    pub subject: &'a Subject,
    /// As it was described.
    pub lab: &'a Topology,
    /// Another topology whose checkpoints are to hold.
    pub against: Option<&'a Topology>,
    /// Names of checkpoints and kinds of checks; everything else is skipped. Empty: everything is checked.
    pub only: &'a [String],
    /// Each check gives its part of a checkpoint's points.
    pub partial: bool,
}

/// A check under way: as it is written, as it is meant here, and what came of it.
struct Task {
    written: Check,
    meant: std::result::Result<Check, Common>,
    wanted: bool,
}

/// Checks a lab.
///
/// # Errors
/// When the lab cannot be looked at, or a signal arrives.
pub fn check(order: Order<'_>) -> Result<Report> {
    let began = Instant::now();
    let mut view = View::living(order.subject)?;
    let gone = view.absent.clone();
    let judge = order.against.unwrap_or(order.lab);
    let players = match order.against {
        None => Players::Own(order.subject.journal()?.topology.role.as_ref()),
        Some(topology) => Players::Another(Casting::best(topology, order.lab, &view)),
    };
    let mut tasks: Vec<Vec<Task>> = Vec::new();
    for checkpoint in &judge.checkpoints {
        let task = |written: &serde_json::Value| {
            let damaged = |_| Error::Journal { lab: order.subject.entry.lab.to_string(), why: JournalFault::Damaged };
            let written = Check::deserialize(written).map_err(damaged)?;
            let named = |word: &String| *word == checkpoint.name || *word == written.word();
            let wanted = order.only.is_empty() || order.only.iter().any(named);
            Ok(Task { meant: written.played_by(&players), written, wanted })
        };
        tasks.push(checkpoint.checks.iter().map(task).collect::<Result<_>>()?);
    }
    let names: Vec<NodeId> = tasks.iter().flatten().flat_map(|task| task.written.names()).collect();
    let roles = players.roles(&names, &view);
    let scene = scene(&view, &order, &gone, players.networks().as_ref(), players.named(&names));
    let spares = spares(&scene);
    let empty = |id: &NodeId| view.place(id).is_some_and(|place| place.node.links.iter().all(|link| link.kind == "loopback"));
    let untouched = spares.iter().all(empty);
    let spares = spares.iter().map(ToString::to_string).collect();
    let words = scene.stations.names.clone();
    let verdicts = judged(&scene, &tasks)?;
    // What the lab's own file says mends nothing where another one judges.
    let other = order.against.filter(|topology| (&topology.hosts, &topology.networks) != (&order.lab.hosts, &order.lab.networks));
    let mut hints = Hints::new(order.subject, words.clone(), other.is_some());
    hints.forget(&mut view);
    let mut checkpoints = Vec::new();
    for ((checkpoint, tasks), verdicts) in judge.checkpoints.iter().zip(tasks).zip(verdicts) {
        let mut checks = Vec::new();
        for (task, verdict) in tasks.into_iter().zip(verdicts) {
            let state = if task.wanted { verdict.state() } else { State::Skipped };
            let (evidence, hints) = hints.find(&view, verdict.evidence, verdict.suspect)?;
            let statements = |all: Vec<Evidence>| all.into_iter().map(Evidence::into_statement).collect();
            checks.push(Outcome {
                kind: task.written.word(),
                check: Statement(Arc::new(task.meant.unwrap_or(task.written))),
                state,
                evidence: statements(evidence),
                notes: statements(verdict.notes),
                hints,
            });
        }
        let reached = reached(checkpoint.points, &checks, order.partial);
        checkpoints.push(Checkpoint { name: checkpoint.name.clone(), points: checkpoint.points, reached, checks });
    }
    let count = |state| checkpoints.iter().flat_map(|checkpoint| &checkpoint.checks).filter(|check| check.state == state).count();
    Ok(Report {
        lab: order.subject.entry.lab.to_string(),
        against: order.against.map(|topology| topology.name.to_string()),
        roles,
        spares,
        untouched,
        points: checkpoints.iter().map(|checkpoint| checkpoint.points).sum(),
        reached: checkpoints.iter().map(|checkpoint| checkpoint.reached).sum(),
        passed: count(State::Pass),
        failed: count(State::Fail),
        not_run: count(State::CouldNotRun),
        skipped: count(State::Skipped),
        milliseconds: began.elapsed().as_secs_f64() * 1000.0,
        checkpoints,
        names: words,
        printed: false,
    })
}

/// Words that `--only` takes: the names of checkpoints, the kinds of checks.
pub fn words(topology: &Topology) -> Vec<String> {
    let names = topology.checkpoints.iter().map(|checkpoint| checkpoint.name.clone());
    names.chain(KINDS.iter().map(|kind| kind.word.to_owned())).collect()
}

/// All points where every check passes; with `partial` each check its part.
fn reached(points: u32, checks: &[Outcome], partial: bool) -> f64 {
    let count = |number: usize| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
    let passed = checks.iter().filter(|check| check.state == State::Pass).count();
    if passed == checks.len() {
        f64::from(points)
    } else if partial {
        (f64::from(points) * count(passed) / count(checks.len()) * 10.0).floor() / 10.0
    } else {
        0.0
    }
}

fn scene<'a>(
    view: &'a View,
    order: &Order<'a>,
    gone: &'a [NodeId],
    networks: Option<&HashSet<NodeName>>,
    named: Vec<NodeId>,
) -> Scene<'a> {
    let against = order.against.is_some();
    let mut stations = Stations::from_view(view, &order.subject.entry);
    let lab = order.lab;
    let mut all: Vec<Vec<(String, IpNet)>> = Vec::new();
    for station in &mut stations.all {
        let own = std::mem::take(&mut station.addresses);
        station.addresses = addresses(view, &station.id, against);
        if order.subject.entry.role.as_ref().is_some_and(|role| *role == station.id.to_string()) {
            // Of the machine itself only what is the lab's.
            station.addresses.retain(|address| own.contains(address));
        }
        if let (NodeId::Host(host), Some(networks)) = (&station.id, networks) {
            // Addresses of NICs on other networks, as VirtualBox's NAT, are none of the scenario's.
            let other = |name: &str| {
                lab.networks
                    .iter()
                    .filter(|network| !networks.contains(&network.name))
                    .any(|network| lab.ends(&network.name).any(|(end, nic)| end.name == *host && nic.name.as_str() == name))
            };
            station.addresses.retain(|(name, _)| !other(name));
        }
        all.push(own);
    }
    let live: BTreeSet<Family> = stations.all.iter().flat_map(|station| families_of(&station.addresses)).collect();
    let families = families(order.against.unwrap_or(lab), &live);
    let mut besides = Vec::new();
    for (station, own) in stations.all.iter_mut().zip(all) {
        station.addresses.retain(|(_, net)| !against || families.contains(&Family::from_address(net.addr())));
        let more = scene::besides(view, &station.id, &own, &station.addresses);
        besides.extend(more.into_iter().map(|besides| (station.id.clone(), besides)));
    }
    let entry = &order.subject.entry;
    Scene { view, lab, stopped: &entry.stopped, role: entry.role.as_ref(), gone, against, stations, families, besides, named }
}

fn families_of(addresses: &[(String, IpNet)]) -> impl Iterator<Item = Family> {
    addresses.iter().map(|(_, net)| Family::from_address(net.addr()))
}

/// Those of the topology that judges, whatever is in the lab yet; another one only where the lab is made in that alone.
fn families(judge: &Topology, live: &BTreeSet<Family>) -> Vec<Family> {
    let described: BTreeSet<Family> = judge.addresses().map(|net| Family::from_address(net.addr())).collect();
    let counting = match (described.is_empty(), live.is_empty()) {
        (false, false) if live.is_disjoint(&described) => live.clone(),
        (false, _) => described,
        (true, false) => live.clone(),
        (true, true) => BTreeSet::from([Family::Ipv4]),
    };
    counting.into_iter().collect()
}

/// Containers that nothing is said about.
fn spares(scene: &Scene<'_>) -> Vec<NodeId> {
    if !scene.against {
        return Vec::new();
    }
    let judged = scene.containers();
    containers(scene.view).filter(|id| !judged.contains(id)).cloned().collect()
}

/// Sends the pings that the checks need, then asks each for its verdict.
fn judged(scene: &Scene<'_>, tasks: &[Vec<Task>]) -> Result<Vec<Vec<Verdict>>> {
    let mut pairs = Pairs::new();
    let mut pings: Vec<WatchedPing> = Vec::new();
    for check in tasks.iter().flatten().filter(|task| task.wanted).filter_map(|task| task.meant.as_ref().ok()) {
        pairs.extend(check.pings(scene));
        pings.extend(check.watched(scene));
    }
    pairs.retain(|(from, to)| scene.place(from).is_ok() && scene.place(to).is_ok() && !scene.is_remote(from));
    let pinged = Pinged::run(scene, &pairs)?;
    let mut unique = HashSet::new();
    pings.retain(|ping| !scene.is_remote(&ping.from) && unique.insert(ping.clone()));
    let seen = watch_pings(scene.view, &pings)?;
    let stage = Stage { scene, pinged, watched: pings.into_iter().zip(seen).collect() };
    let one = |task: &Task| match &task.meant {
        _ if !task.wanted => Verdict::default(),
        Err(evidence) => Verdict::wrong(evidence.clone()),
        Ok(check) => {
            // What acts on the other machine is checked there.
            let elsewhere = matches!(check.target(scene), Target::Acts(node) if scene.is_remote(&node));
            let mut verdict = if elsewhere { Verdict::default() } else { check.judge(&stage) };
            verdict.notes.extend(unseen(check, scene));
            verdict
        }
    };
    let all = tasks.iter().map(|tasks| tasks.iter().map(one).collect()).collect();
    crate::kernel::interrupted()?;
    Ok(all)
}

/// What of a check is not seen on this machine, where another one has a part of the lab.
fn unseen(check: &Check, scene: &Scene<'_>) -> Vec<Evidence> {
    if !scene.view.places.iter().any(|place| place.remote) {
        return Vec::new();
    }
    let mut there: BTreeMap<String, usize> = BTreeMap::new();
    let (acts, tables) = match check.target(scene) {
        Target::Acts(node) => (Some(node), Vec::new()),
        Target::Tables(nodes) => (None, nodes),
    };
    let starts = check.pings(scene).into_iter().map(|(from, _)| from).chain(acts);
    for from in starts.filter(|from| scene.is_remote(from)) {
        if let NodeId::Host(host) | NodeId::Container(host, _) = from {
            *there.entry(host.to_string()).or_default() += 1;
        }
    }
    let mut notes: Vec<Evidence> = there.into_iter().map(|(host, number)| Common::OtherMachine { host, number }.into()).collect();
    let remote: Vec<String> = tables.iter().filter(|node| scene.is_remote(node)).map(ToString::to_string).collect();
    if !remote.is_empty() {
        notes.push(Common::FromFile { nodes: remote }.into());
    }
    notes
}

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
    traced: HashMap<Suspect, Death>,
}

impl<'a> Hints<'a> {
    pub(super) fn new(subject: &'a Subject, names: Names, other: bool) -> Self {
        Self { subject, names, other, traced: HashMap::new() }
    }

    /// Takes the lab's own description out of a view where it leads elsewhere than the one that judges: its addresses, routes and
    /// ports of bridges.
    pub(super) fn forget(&self, view: &mut View) {
        if self.other
            && let Looked::Known(described) = &mut view.described
        {
            // The way to the Internet stays as it is.
            let of_host = |ns: &Ns| !matches!(ns, Ns::Node(NodeId::Container(..)));
            view.kept = described.iter().filter(|fact| matches!(fact, Fact::Route(ns, ..) if of_host(ns))).cloned().collect();
            Arc::make_mut(described).retain(|fact| !matches!(fact, Fact::Addr(..) | Fact::Route(..) | Fact::Member(..)));
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
        suspect: Option<Suspect>,
    ) -> Result<(Vec<Evidence>, Vec<String>)> {
        let bench = Bench { prompt: &self.subject.prompt, names: &self.names, view };
        let mut hints: Vec<String> = evidence.iter().flat_map(|evidence| evidence.0.cures(&bench)).collect();
        if let Some(suspect) = suspect
            && let Some((cause, certain, cures)) = self.death(suspect)?.and_then(|death| self.elsewhere(view, death))
        {
            // Two cures of one fault would make it anew.
            let known = match &cause {
                Cause::DuplicateAddress { address, owners } => {
                    let same = Common::Duplicate { address: *address, owners: owners.clone() };
                    evidence.contains(&same.into())
                }
                _ => false,
            };
            if !known {
                hints.extend(cures);
                evidence.push(Common::because(cause, certain).into());
            }
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

    fn death(&mut self, suspect: Suspect) -> Result<Death> {
        if let Some(known) = self.traced.get(&suspect) {
            return Ok(known.clone());
        }
        if self.traced.len() >= TRACES {
            return Ok(None);
        }
        let Suspect { from, to, transport } = &suspect;
        let order = trace::Order { from, to: *to, transport: *transport, ..trace::Order::ping(from, *to) };
        // The pings have left their marks in the tables since.
        let traced = View::living(self.subject).and_then(|mut view| {
            self.forget(&mut view);
            trace(&mut view, order, self.names.clone())
        });
        let death = match traced {
            // Where it is answered now, who is there twice may have kept the others from it.
            Ok(trace) => trace.death().map(|death| (death.cause.clone(), death.certain, death.cure.clone())).or_else(|| {
                let mut notes = trace.notes.iter().filter(|note| matches!(note.cause, Cause::DuplicateAddress { .. }));
                notes.next().map(|note| (note.cause.clone(), false, note.cure.clone()))
            }),
            Err(error @ Error::Signal(_)) => return Err(error),
            // Without a trace the failure stands all the same.
            Err(_) => None,
        };
        self.traced.insert(suspect, death.clone());
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
