//! Random breakages of random labs, on the real kernel: a packet that the tables say is answered is, and one that they say dies
//! does, for every pair of nodes. Needs root.
//!
//! `BREAKAGES=n` tries so many; `BREAKAGE=seed` tries one (or several, `1,2`), and tells all of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

#[path = "breakages/draw.rs"]
mod draw;
#[path = "breakages/edits.rs"]
mod edits;
#[path = "breakages/loops.rs"]
mod loops;
#[path = "support/random.rs"]
#[allow(dead_code, reason = "the pings are predicted here")]
mod random;
mod support;

use std::collections::BTreeSet;
use std::env;
use std::fmt::Write;
use std::net::IpAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use draw::{Breakage, Urn, first_address};
use ipnet::IpNet;
use nslab::lab::Subject;
use nslab::plan::NodeId;
use nslab::probe::cure::{Effect, rehearse};
use nslab::probe::predict::{Prediction, Probe, predict};
use nslab::probe::view::View;
use nslab::report::machine::Kind;
use nslab::report::trace::Cause;
use random::Dice;
use support::{in_box, inside, ok, sh, shipped, wait_for};

/// Breakages that are tried where nobody says how many.
const COUNT: u64 = 200;
/// Labs in which changes are made, where nobody says how many.
const CHANGED: u64 = 60;
/// Labs that are up at a time.
const TOGETHER: usize = 25;
/// Threads with so many labs each: they mostly wait.
const THREADS: usize = 3;
/// Seconds that an answer may take: a question for a MAC address is given up after three.
const PATIENCE: u32 = 4;
/// Predictions that may be `unknown`, of a hundred.
const UNKNOWN: usize = 5;

/// One lab, and what is done to it, all from one seed.
struct Trial {
    seed: u64,
    lab: String,
    ipv6: bool,
    probe: Probe,
    /// The pairs that are pinged before, of this number of each: none where it is 0.
    warm: u64,
    broken: Vec<Breakage>,
    pairs: Vec<Pair>,
}

/// A node and an address of another.
struct Pair {
    from: NodeId,
    to: IpAddr,
    prediction: Prediction,
}

impl Pair {
    fn is_unknown(&self) -> bool {
        let is_vague = |cause: &Cause| matches!(cause, Cause::Unknown { .. });
        self.prediction.unsure || self.prediction.death.as_ref().is_some_and(|death| is_vague(&death.cause))
    }

    fn differs(&self, answered: bool) -> bool {
        !self.is_unknown() && answered != self.prediction.death.is_none()
    }
}

fn look(lab: &str) -> View {
    let labs = nslab::lab::names();
    let mut view = View::look(&Subject::new(labs.iter().find(|entry| entry.lab == lab).unwrap().clone())).unwrap();
    let all: Vec<String> = view.places.iter().map(|place| place.node.node.clone()).collect();
    view.read_settings(&all).unwrap();
    view
}

impl Trial {
    /// A lab that is broken; `number` is in its name.
    fn new(seed: u64, number: usize) -> Self {
        let mut dice = Dice::new(seed.wrapping_mul(7919) + 13);
        let lab = format!("lab{number}");
        let names = shipped();
        let yaml = if dice.roll(5) == 0 {
            let name = &names[usize::try_from(dice.roll(names.len() as u64)).unwrap()];
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("topologies/{name}.yaml"));
            std::fs::read_to_string(path).unwrap()
        } else {
            random::lab(seed).yaml
        };
        let renamed = |line: &str| if line.starts_with("name: ") { format!("name: {lab}") } else { line.to_owned() };
        let yaml = yaml.lines().map(renamed).collect::<Vec<_>>().join("\n");
        std::fs::write(format!("/run/{lab}.yaml"), yaml).unwrap();
        ok(&format!("up /run/{lab}.yaml"));
        let (size, may_fragment) =
            [(84, true), (84, true), (84, true), (1400, true), (1400, false)][usize::try_from(dice.roll(5)).unwrap()];
        let ipv6 = dice.roll(5) == 0;
        let probe = Probe { size, ttl: 64, may_fragment, source: None };
        let warm = dice.roll(4).saturating_sub(1);
        let broken = Urn { dice: &mut dice, view: &look(&lab), ipv6 }.breakages(3);
        Self { seed, lab, ipv6, probe, warm, broken, pairs: Vec::new() }
    }

    /// Pings from every node to the first address of every other one, without predictions.
    fn all(&self, view: &View) -> Vec<(NodeId, IpAddr)> {
        let nodes: Vec<_> = view.places.iter().filter(|place| place.node.kind != Kind::Switch).collect();
        let to = |from: &NodeId| -> Vec<_> {
            let others = nodes.iter().filter(|place| place.id != *from);
            others.filter_map(|place| first_address(place, self.ipv6)).map(|net| (from.clone(), net.addr())).collect()
        };
        nodes.iter().flat_map(|place| to(&place.id)).collect()
    }

    /// One command that pings, and says so where it is answered.
    fn ping(&self, (from, to): (&NodeId, IpAddr), patience: u32, says: &str) -> String {
        let header = if self.ipv6 { 48 } else { 28 };
        let cut = if self.probe.may_fragment { "dont" } else { "do" };
        let pin = format!("/run/nslab/{}/netns/{from}", self.lab);
        let size = self.probe.size - header;
        // Many small parts take a larger buffer than `ping` has.
        format!(
            "nsenter --net={pin} ping -S 200000 -n -q -c 1 -W {patience} -t 64 -M {cut} -s {size} {to} >/dev/null 2>&1 && echo {says}"
        )
    }

    /// The pings that make tables warm.
    fn warming(&self) -> String {
        let all = self.all(&look(&self.lab));
        let mut dice = Dice::new(self.seed);
        let mut script = String::new();
        for (from, to) in &all {
            if self.warm > 0 && dice.roll(self.warm) == 0 {
                writeln!(script, "{{ {} || :; }} &", self.ping((from, *to), 1, "")).unwrap();
            }
        }
        script
    }

    /// What makes a storm is undone at once, with all of the lab.
    fn break_it(&mut self) {
        for at in 0..self.broken.len() {
            inside(&self.lab, &self.broken[at].node, &self.broken[at].script);
            if loops::storms(&look(&self.lab)) {
                self.down();
                self.broken.truncate(at);
                ok(&format!("up /run/{}.yaml", self.lab));
                return self.break_it();
            }
        }
    }

    /// What the tables say of all pairs.
    fn predict(&mut self) {
        let mut view = look(&self.lab);
        let nodes: Vec<String> = view.places.iter().map(|place| place.node.node.clone()).collect();
        let addresses: Vec<IpAddr> = view
            .places
            .iter()
            .flat_map(|place| place.node.links.iter().filter(|link| link.kind != "loopback").flat_map(|link| &link.addresses))
            .map(IpNet::addr)
            .collect();
        let ways = nodes.iter().flat_map(|node| addresses.iter().map(move |to| (node.clone(), *to)));
        view.read_redirects(&ways.collect::<Vec<_>>()).unwrap();
        let pair = |(from, to)| Pair { prediction: predict(&view, &from, to, &self.probe), from, to };
        self.pairs = self.all(&view).into_iter().map(pair).collect();
    }

    fn down(&self) {
        ok(&format!("down {}", self.lab));
    }

    fn tell(&self) -> String {
        let mut said = format!(
            "BREAKAGE={} (ipv6 {}, warm {}, {} bytes, may be cut {})\n",
            self.seed, self.ipv6, self.warm, self.probe.size, self.probe.may_fragment
        );
        for each in &self.broken {
            writeln!(said, "    {}: {}", each.node, each.script).unwrap();
        }
        said
    }
}

/// Runs scripts side by side; the lines that they print.
fn together(thread: usize, scripts: &[String]) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    let script: String = scripts.concat();
    for part in script.lines().collect::<Vec<_>>().chunks(1500) {
        // Longer than a command line may be.
        std::fs::write(format!("/run/pings{thread}"), format!("{}\nwait\n", part.join("\n"))).unwrap();
        lines.extend(sh(&format!("sh /run/pings{thread}")).lines().map(str::to_owned));
    }
    lines
}

/// Does the job with parts of the items, in threads.
fn shared<T: Sync, R: Send>(items: &[T], job: impl Fn(usize, &[T]) -> R + Sync) -> Vec<R> {
    let parts: Vec<&[T]> = items.chunks(TOGETHER).collect();
    let next = AtomicUsize::new(0);
    let work = |thread: usize| {
        let mut done = Vec::new();
        while let Some(part) = parts.get(next.fetch_add(1, Ordering::Relaxed)) {
            done.push(job(thread, part));
        }
        done
    };
    std::thread::scope(|scope| {
        let started: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || work(thread))).collect();
        started.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

fn broken(thread: usize, seeds: &[u64]) -> Vec<Trial> {
    let mut trials: Vec<Trial> =
        seeds.iter().enumerate().map(|(number, seed)| Trial::new(*seed, 100 * thread + number)).collect();
    together(thread, &trials.iter().map(Trial::warming).collect::<Vec<_>>());
    trials.iter_mut().for_each(Trial::break_it);
    trials.iter_mut().for_each(Trial::predict);
    trials
}

/// The seeds that the environment asks for, else so many.
fn seeds(count: u64) -> Vec<u64> {
    let number = |name: &str| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let first = number("BREAKAGES_FROM").unwrap_or(0);
    match env::var("BREAKAGE") {
        Ok(some) => some.split(',').map(|seed| seed.parse().unwrap()).collect(),
        Err(_) => (first..first + number("BREAKAGES").unwrap_or(count)).collect(),
    }
}

/// What was found.
#[derive(Default)]
struct Found {
    pairs: usize,
    answered: usize,
    unknown: usize,
    /// Pairs that differ, by the number of their trial's seed and their own.
    suspects: Vec<(u64, usize)>,
}

/// Pings all pairs of all labs at once: each may tell another one's neighbours what its own packets would not.
fn sift(thread: usize, seeds: &[u64]) -> Found {
    let (trials, mut found) = (broken(thread, seeds), Found::default());
    let script = |(number, trial): (usize, &Trial)| {
        let mut script = String::new();
        for (pair, each) in trial.pairs.iter().enumerate() {
            writeln!(script, "{{ {} || :; }} &", trial.ping((&each.from, each.to), PATIENCE, &format!("{number}.{pair}")))
                .unwrap();
        }
        script
    };
    let answered = together(thread, &trials.iter().enumerate().map(script).collect::<Vec<_>>());
    for (number, trial) in trials.iter().enumerate() {
        for (at, pair) in trial.pairs.iter().enumerate() {
            let answered = answered.contains(&format!("{number}.{at}"));
            found.pairs += 1;
            found.answered += usize::from(answered);
            found.unknown += usize::from(pair.is_unknown());
            if pair.differs(answered) {
                found.suspects.push((trial.seed, at));
            }
        }
        trial.down();
    }
    found
}

/// Makes the same lab again and pings this pair alone.
fn judge(thread: usize, suspects: &[(u64, usize)], tells: bool) -> Vec<String> {
    let seeds: Vec<u64> = suspects.iter().map(|(seed, _)| *seed).collect();
    let trials = broken(thread, &seeds);
    let script = |((number, trial), (_, at)): ((usize, &Trial), &(u64, usize))| {
        let pair = &trial.pairs[*at];
        format!("{{ {} || :; }} &\n", trial.ping((&pair.from, pair.to), PATIENCE, &number.to_string()))
    };
    let answered = together(thread, &trials.iter().enumerate().zip(suspects).map(script).collect::<Vec<_>>());
    let mut wrong = Vec::new();
    for ((number, trial), (_, at)) in trials.iter().enumerate().zip(suspects) {
        let (pair, answered) = (&trial.pairs[*at], answered.contains(&number.to_string()));
        if pair.differs(answered) {
            let (death, from, to) = (&pair.prediction.death, &pair.from, pair.to);
            let mut said = trial.tell();
            write!(said, "  {from} to {to}: answered {answered}, predicted {death:?}").unwrap();
            if tells {
                write!(said, "\n{:#?}", pair.prediction).unwrap();
            }
            wrong.push(said);
        }
        trial.down();
    }
    wrong
}

/// Changes that are tried in one lab, one after the other.
const CHANGES: usize = 8;

/// Makes changes in the tables and on the kernel; what differs then.
fn rehearsed(thread: usize, seed: u64) -> Vec<String> {
    let mut trial = Trial::new(seed, thread);
    trial.break_it();
    let mut dice = Dice::new(seed + 5);
    let mut wrong = Vec::new();
    for _ in 0..CHANGES {
        let view = look(&trial.lab);
        let (place, edit) = Urn { dice: &mut dice, view: &view, ipv6: trial.ipv6 }.edit();
        let (effect, foretold) = rehearse(&view, place, &edit);
        if loops::storms(&foretold) {
            continue;
        }
        let node = view.places[place].node.node.clone();
        let ran = inside(&trial.lab, &node, &edit.command());
        let foretold = edits::lines(&foretold);
        let mut now = BTreeSet::new();
        let same = wait_for(2, || {
            now = edits::lines(&look(&trial.lab));
            now == foretold
        });
        // The kernel may call what is so already a mistake.
        let right = match effect {
            Effect::Done => ran.code == 0,
            Effect::Same => true,
            Effect::Refused => ran.code != 0,
        };
        if !same || !right {
            let mut said =
                format!("{}  {node}: {}: {effect:?}, exit code {} {}\n", trial.tell(), edit.command(), ran.code, ran.err);
            foretold.difference(&now).for_each(|line| writeln!(said, "    only foretold: {line}").unwrap());
            now.difference(&foretold).for_each(|line| writeln!(said, "    only there:     {line}").unwrap());
            wrong.push(said);
        }
        trial.broken.push(Breakage { node, script: edit.command() });
    }
    trial.down();
    wrong
}

#[test]
fn changes_do_to_the_tables_what_is_foretold() {
    in_box(|| {
        let wrong: Vec<String> =
            shared(&seeds(CHANGED), |thread, seeds| seeds.iter().flat_map(|seed| rehearsed(thread, *seed)).collect::<Vec<_>>())
                .concat();
        assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    });
}

#[test]
fn packets_in_broken_labs_go_as_predicted() {
    in_box(|| {
        let seeds = seeds(COUNT);
        let mut found = Found::default();
        for part in shared(&seeds, sift) {
            found.pairs += part.pairs;
            found.answered += part.answered;
            found.unknown += part.unknown;
            found.suspects.extend(part.suspects);
        }
        // Several pairs of a lab die of the same.
        let mut few: Vec<(u64, usize)> = Vec::new();
        for suspect in &found.suspects {
            if few.iter().filter(|(seed, _)| *seed == suspect.0).count() < 4 {
                few.push(*suspect);
            }
        }
        let tells = seeds.len() == 1;
        let wrong = shared(&few, |thread, suspects| judge(thread, suspects, tells)).concat();
        let Found { pairs, answered, unknown, suspects } = found;
        eprintln!(
            "{} breakages: {pairs} pairs, {answered} answered, {unknown} unknown; {} of {} looked at twice",
            seeds.len(),
            few.len(),
            suspects.len()
        );
        assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
        assert!(unknown * 100 <= pairs * UNKNOWN, "{unknown} of {pairs} are unknown");
    });
}
