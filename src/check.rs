//! What must hold in a lab, checked on the live kernel: its tables, its answers to pings, the frames on its wires.
//!
//! A check asks first which pings it needs; all of them are sent at once, and those that matter are watched on their way.
//! Then each check looks at what is there.
#![allow(clippy::result_large_err, reason = "evidence is what a check returns, not what rarely happens")]

mod addresses;
mod bridge;
mod casting;
mod command;
mod control;
mod forwarding;
mod half;
mod hints;
mod macs;
mod path;
mod pinged;
mod reach;
mod record_route;
mod routes;
mod scene;
mod unreachable;
mod verdict;
pub mod watch;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Instant;

use ipnet::IpNet;

use casting::Casting;
use pinged::{Pairs, Pinged};
use scene::{Scene, addresses, containers};
use verdict::Verdict;

use crate::error::Result;
use crate::lab::Subject;
use crate::name::NodeName;
use crate::plan::NodeId;
use crate::probe::ping::stations::Stations;
use crate::probe::view::View;
use crate::probe::witness::{Errand, Witnessed, witness};
use crate::report::check::{Checkpoint, Evidence, Outcome, Report, State};
use crate::report::ping::Family;
use crate::topology::Topology;
use crate::topology::checks::{Check, Kind};

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

/// What the checks look at.
struct Stage<'a> {
    scene: &'a Scene<'a>,
    pinged: Pinged,
    witnessed: HashMap<Errand, Witnessed>,
}

/// A check under way: as it is written, as it is meant here, and what came of it.
struct Task<'a> {
    written: &'a Check,
    meant: std::result::Result<Check, Evidence>,
    wanted: bool,
}

/// Checks a lab.
///
/// # Errors
/// When the lab cannot be looked at, or a signal arrives.
pub fn check(order: Order<'_>) -> Result<Report> {
    let began = Instant::now();
    let (mut view, gone) = View::living(order.subject)?;
    let judge = order.against.unwrap_or(order.lab);
    let casting = order.against.map(|topology| Casting::new(topology, order.lab, &view));
    let tasks: Vec<Vec<Task<'_>>> = judge
        .checkpoints
        .iter()
        .map(|checkpoint| {
            let task = |written| Task {
                written,
                meant: casting.as_ref().map_or_else(|| Ok(Check::clone(written)), |casting| casting.translate(written)),
                wanted: order.only.is_empty() || order.only.iter().any(|word| *word == checkpoint.name || *word == kind(written)),
            };
            checkpoint.checks.iter().map(task).collect()
        })
        .collect();
    let written: Vec<&Check> = judge.checkpoints.iter().flat_map(|checkpoint| &checkpoint.checks).collect();
    let (roles, named) = match &casting {
        Some(casting) => (casting.roles(&written, &view), casting.named(&written)),
        None => (Vec::new(), Vec::new()),
    };
    let networks = casting.as_ref().map(Casting::networks);
    let scene = scene(&view, &order, &gone, networks.as_ref(), named);
    let spares = spares(&scene);
    let empty = |id: &NodeId| view.place(id).is_some_and(|place| place.node.links.iter().all(|link| link.kind == "loopback"));
    let untouched = spares.iter().all(empty);
    let spares = spares.iter().map(ToString::to_string).collect();
    let words = scene.stations.names.clone();
    let verdicts = judged(&scene, &tasks)?;
    // What the lab's own file says mends nothing where another one judges.
    let other = order.against.filter(|topology| (&topology.hosts, &topology.networks) != (&order.lab.hosts, &order.lab.networks));
    let mut hints = hints::Hints::new(order.subject, words.clone(), other.is_some());
    hints.forget(&mut view);
    let mut checkpoints = Vec::new();
    for ((checkpoint, tasks), verdicts) in judge.checkpoints.iter().zip(&tasks).zip(verdicts) {
        let mut checks = Vec::new();
        for (task, verdict) in tasks.iter().zip(verdicts) {
            let state = if task.wanted { verdict.state() } else { State::Skipped };
            let check = task.meant.clone().unwrap_or_else(|_| task.written.clone());
            let (evidence, hints) = hints.find(&view, verdict.evidence, verdict.suspect)?;
            checks.push(Outcome { kind: task.written.kind(), check, state, evidence, notes: verdict.notes, hints });
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
        told: false,
    })
}

fn kind(check: &Check) -> &'static str {
    check.kind().word()
}

/// Words that `--only` takes: the names of checkpoints, the kinds of checks.
pub fn words(topology: &Topology) -> Vec<String> {
    let names = topology.checkpoints.iter().map(|checkpoint| checkpoint.name.clone());
    names.chain(Kind::ALL.iter().map(|kind| kind.word().to_owned())).collect()
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
    let mut stations = Stations::of(view, &order.subject.entry);
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
        station.addresses.retain(|(_, net)| !against || families.contains(&Family::of(net.addr())));
        let more = scene::besides(view, &station.id, &own, &station.addresses);
        besides.extend(more.into_iter().map(|besides| (station.id.clone(), besides)));
    }
    Scene { view, lab, gone, against, stations, families, besides, named }
}

fn families_of(addresses: &[(String, IpNet)]) -> impl Iterator<Item = Family> {
    addresses.iter().map(|(_, net)| Family::of(net.addr()))
}

/// Those of the topology that judges, whatever is in the lab yet; another one only where the lab is made in that alone.
fn families(judge: &Topology, live: &BTreeSet<Family>) -> Vec<Family> {
    let described: BTreeSet<Family> = judge.addresses().map(|net| Family::of(net.addr())).collect();
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
fn judged(scene: &Scene<'_>, tasks: &[Vec<Task<'_>>]) -> Result<Vec<Vec<Verdict>>> {
    let wanted = || tasks.iter().flatten().filter(|task| task.wanted).filter_map(|task| task.meant.as_ref().ok());
    let mut pairs = Pairs::new();
    let mut errands: Vec<Errand> = Vec::new();
    for check in wanted() {
        match check {
            Check::Reach(reach) => pairs.extend(reach::pairs(reach, scene)),
            Check::Unreachable(of) => pairs.extend(unreachable::pairs(of)),
            Check::Path(path) => errands.extend(path::errand(path, scene)),
            Check::Macs(_) => errands.extend(macs::errands(scene)),
            _ => {}
        }
    }
    pairs.retain(|(from, to)| scene.place(from).is_ok() && scene.place(to).is_ok() && !scene.is_far(from));
    let pinged = Pinged::run(scene, &pairs)?;
    let mut unique = HashSet::new();
    errands.retain(|errand| !scene.is_far(&errand.from) && unique.insert(errand.clone()));
    let seen = witness(scene.view, &errands)?;
    let stage = Stage { scene, pinged, witnessed: errands.into_iter().zip(seen).collect() };
    let one = |task: &Task<'_>| match &task.meant {
        _ if !task.wanted => Verdict::default(),
        Err(evidence) => Verdict::wrong(evidence.clone()),
        Ok(check) => {
            let mut verdict = if half::is_elsewhere(check, scene) { Verdict::default() } else { verdict(check, &stage) };
            verdict.notes.extend(half::notes(check, scene));
            verdict
        }
    };
    let all = tasks.iter().map(|tasks| tasks.iter().map(one).collect()).collect();
    crate::kernel::interrupted()?;
    Ok(all)
}

fn verdict(check: &Check, stage: &Stage<'_>) -> Verdict {
    match check {
        Check::Reach(of) => reach::check(of, stage),
        Check::Unreachable(of) => unreachable::check(of, stage),
        Check::Macs(of) => macs::check(of, stage),
        Check::Path(of) => path::check(of, stage),
        Check::RecordRoute(of) => record_route::check(of, stage),
        Check::Routes(of) => routes::check(of, stage),
        Check::Addresses(of) => addresses::check(of, stage),
        Check::Forwarding(of) => forwarding::check(of, stage),
        Check::Bridge(of) => bridge::check(of, stage),
        Check::Command(of) => command::check(of, stage),
        Check::Control(of) => control::check(of, stage),
    }
}
