//! Who makes a mistake and then types, without a thought, what nslab says.

use std::process::{Command, Stdio};
use std::{env, fs};

use serde_json::{Value, json};

use super::case::{Case, FOLDER, Named};
use super::support::other::{Other, cable};
use super::support::{Ran, run};

const ROUNDS: usize = 6;
const BIN: &str = "/run/student";

/// How the lab is asked.
pub struct Student {
    /// Learned neighbours and MAC addresses are forgotten after the mistake.
    pub cold: bool,
    pub lang: String,
}

/// What became of a case.
pub struct Outcome {
    /// What is wrong; nothing where nslab masters the mistake.
    pub faults: Vec<String>,
    pub typed: Vec<String>,
}

/// A case that says nothing: its lab is not right, or its mistake costs nothing.
pub struct Void(pub String);

impl Student {
    pub fn from_environment() -> Self {
        let cold = env::var("MISTAKES_COLD").is_ok_and(|text| !text.is_empty());
        Self { cold, lang: env::var("MISTAKES_LANG").unwrap_or_else(|_| "en".to_owned()) }
    }

    /// Makes the lab and the mistake, and does what nslab says until there is nothing to lose, six rounds at most.
    pub fn try_case(&self, case: &Case) -> Result<Outcome, Void> {
        let other = case.halves.then(Other::boot);
        let here = Desk::new(Vec::new(), &case.trace, &case.causes);
        let there = other.as_ref().map(|other| Desk::new(other.enter(), &case.back, &case.there));
        make(case, &here, other.as_ref().zip(there.as_ref()))?;
        let tried = self.spoil(case, &here, there.as_ref());
        if let Some(there) = &there {
            drop(there.nslab("--quiet down --all"));
            drop(here.nslab("--quiet down --all"));
            drop(here.shell("ip link del enp0s8", &[]));
        }
        tried
    }

    fn spoil(&self, case: &Case, here: &Desk<'_>, there: Option<&Desk<'_>>) -> Result<Outcome, Void> {
        let desks = || std::iter::once(here).chain(there);
        for desk in desks() {
            let right = desk.check(case);
            if !is_full(&right) {
                return Err(Void(format!("the right lab has not full points: {}", failing(&right).join("; "))));
            }
            desk.warm();
        }
        for (place, command) in &case.mistake {
            let ran = match (place.as_str(), there) {
                ("here", _) => here.shell(command, &[]),
                ("there", Some(there)) => there.shell(command, &[]),
                (node, _) => here.at(node, command),
            };
            if ran.code != 0 {
                return Err(Void(format!("the mistake itself fails: {ran}")));
            }
        }
        let forget = || {
            if self.cold {
                desks().for_each(|desk| desk.forget(case));
            }
        };
        forget();
        let wrong = here.check(case);
        if is_full(&wrong) {
            return Err(Void("the mistake costs nothing".to_owned()));
        }
        forget();
        Ok(self.mend(case, here, there, &wrong))
    }

    fn mend(&self, case: &Case, here: &Desk<'_>, there: Option<&Desk<'_>>, wrong: &Value) -> Outcome {
        let (mut faults, mut typed) = (Vec::new(), Vec::new());
        let mut now = self.at_desk(case, here, wrong.clone(), (&mut faults, &mut typed));
        if let Some(there) = there.filter(|_| !is_full(&now) && !case.back.is_empty()) {
            if !typed.is_empty() {
                faults.push("typed here what is to be mended there".to_owned());
            }
            self.at_desk(case, there, there.check(case), (&mut faults, &mut typed));
            now = here.check(case);
        }
        let broken = broken(wrong, &now);
        if case.no_cure {
            faults.extend((!typed.is_empty()).then(|| "a cure where none is right".to_owned()));
        } else if !is_full(&now) {
            faults.push(format!("not mended: {}", failing(&now).first().cloned().unwrap_or_default()));
        } else if changes(&typed) > case.facts {
            faults.push(format!("{} commands for {}", changes(&typed), case.facts));
        }
        if !broken.is_empty() {
            faults.push(format!("the cures broke {}", broken.join("; ")));
        }
        Outcome { faults, typed }
    }

    /// Hears what is named at a desk, and types there what is said.
    fn at_desk(&self, case: &Case, desk: &Desk<'_>, wrong: Value, told: (&mut Vec<String>, &mut Vec<String>)) -> Value {
        let (faults, typed) = told;
        let traced = desk.nslab(&format!("--format json trace {}", desk.trace));
        let traced: Value = serde_json::from_str(&traced.out).unwrap_or(Value::Null);
        if let Some(said) = misnamed(desk.causes, &case.evidence, &traced, &wrong) {
            let right = desk.causes.iter().chain(&case.evidence);
            let right: Vec<String> = right.map(|one| format!("{} {}", one.word, one.places.join(" "))).collect();
            faults.push(format!("says {said}; right: {}", right.join(", or ")));
        }
        let (mut last, mut now) = (Vec::new(), wrong);
        let before = typed.len();
        for _ in 0..ROUNDS {
            let cures = self.cures(case, desk);
            if cures.is_empty() || cures == last {
                break;
            }
            for line in &cures {
                drop(desk.shell(line, &[]));
            }
            typed.extend(cures.iter().cloned());
            last = cures;
            now = desk.check(case);
            if is_full(&now) {
                break;
            }
        }
        // What takes the kernel a second is no fault of the last cure.
        if !is_full(&now) && typed.len() > before {
            now = desk.check(case);
        }
        now
    }

    /// What is printed as cure: by `trace`, and where that is answered or has none, by `check`.
    fn cures(&self, case: &Case, desk: &Desk<'_>) -> Vec<String> {
        let traced = self.ask(desk, &format!("trace {}", desk.trace));
        let cures = commands(&format!("{}{}", traced.out, traced.err));
        if traced.code != 0 && !cures.is_empty() {
            return cures;
        }
        let checked = self.ask(desk, &judging(case));
        let mut cures = Vec::new();
        for line in commands(&checked.out) {
            if !cures.contains(&line) {
                cures.push(line);
            }
        }
        cures
    }

    fn ask(&self, desk: &Desk<'_>, words: &str) -> Ran {
        desk.nslab(&format!("--lang {} {words}", self.lang))
    }
}

/// What was named in place of what is right; nothing where that was it.
fn misnamed(causes: &[Named], told_by_check: &[Named], traced: &Value, checked: &Value) -> Option<String> {
    let death = &traced["outcome"]["died"];
    if death.is_object() {
        let right = causes.iter().any(|named| named.is_cause(death));
        let told = &death["cause"];
        let values = told.as_object().into_iter().flatten().filter(|(key, _)| *key != "cause");
        let values: Vec<String> = values.map(|(key, value)| format!("{key} {}", short(value))).collect();
        let told = format!("{} of {} ({})", told["cause"].as_str().unwrap_or("?"), short(&death["node"]), values.join(", "));
        return (!right).then_some(told);
    }
    let evidence: Vec<&Value> = checks(checked).filter_map(|check| check["evidence"].as_array()).flatten().collect();
    let right = told_by_check.iter().any(|named| evidence.iter().any(|item| named.is_evidence(item)));
    let told = if traced.is_null() { "nothing" } else { "answered" };
    (!right).then(|| format!("{told}, and check {}", evidence.first().map(|item| short(item)).unwrap_or_default()))
}

fn short(value: &Value) -> String {
    value.to_string().replace('"', "").chars().take(150).collect()
}

/// The commands after `Cure:`, a line each.
fn commands(text: &str) -> Vec<String> {
    let (mut commands, mut inside) = (Vec::new(), false);
    for line in text.lines().map(str::trim) {
        let first = line.strip_prefix("Cure: ").or_else(|| line.strip_prefix("Remedio: "));
        inside = first.is_some() || (inside && line.starts_with("sudo "));
        if inside {
            commands.push(first.unwrap_or(line).to_owned());
        }
    }
    commands
}

/// How many commands change a fact; those that only make a table forget what it has learned do not.
fn changes(typed: &[String]) -> usize {
    let forgets = |line: &&String| [" ip neighbour del ", " flush "].iter().any(|words| line.contains(words));
    typed.len() - typed.iter().filter(forgets).count()
}

/// A machine, and what is asked there.
struct Desk<'a> {
    /// The command that enters it.
    enter: Vec<String>,
    trace: &'a str,
    causes: &'a [Named],
}

impl<'a> Desk<'a> {
    /// Puts a `sudo` there and the nslab that is tried, for what is typed as it is printed.
    fn new(enter: Vec<String>, trace: &'a str, causes: &'a [Named]) -> Self {
        let desk = Self { enter, trace, causes };
        let binary = env::var("NSLAB_RELEASE").unwrap_or_else(|_| env!("CARGO_BIN_EXE_nslab").to_owned());
        let script = "rm -rf $1; mkdir $1; ln -s $0 $1/nslab; printf '#!/bin/sh\nexec \"$@\"\n' >$1/sudo; chmod 755 $1/sudo";
        desk.shell(script, &[&binary, BIN]).expect(0);
        desk
    }

    fn nslab(&self, words: &str) -> Ran {
        self.shell(&format!("nslab {words}"), &[])
    }

    fn at(&self, node: &str, command: &str) -> Ran {
        self.shell("nslab exec \"$0\" sh -c \"$1\"", &[node, command])
    }

    fn shell(&self, line: &str, words: &[&str]) -> Ran {
        let mut command = Command::new("timeout");
        command.args(["-k", "1", "30"]).args(&self.enter).args(["sh", "-c", line]).args(words).stdin(Stdio::null());
        for name in ["NO_COLOR", "NSLAB_LAB", "NSLAB_FAULT", "LC_ALL", "LC_MESSAGES", "SUDO_UID", "SUDO_GID", "RUST_BACKTRACE"] {
            command.env_remove(name);
        }
        let path = env::var("PATH").unwrap_or_default();
        run(command.env("PATH", format!("{BIN}:{path}:/usr/sbin:/sbin")).env("LANG", "C.UTF-8").env("COLUMNS", "200"))
    }

    fn check(&self, case: &Case) -> Value {
        let ran = self.nslab(&format!("--format json {}", judging(case)));
        serde_json::from_str(&ran.out).unwrap_or_else(|_| {
            let nothing =
                json!({ "kind": "check", "state": "fail", "evidence": [format!("ended with {}: {}", ran.code, ran.err)] });
            json!({ "points": 1, "reached": 0, "checkpoints": [{ "checks": [nothing] }] })
        })
    }

    /// Pings there and back, so that every table on the way has learned.
    fn warm(&self) {
        let words: Vec<&str> = self.trace.split_whitespace().collect();
        let family = words.iter().find(|word| ["-4", "-6"].contains(word)).unwrap_or(&"-c 1");
        let [from, to, ..] = words[..] else { return };
        let _ = self.nslab(&format!("ping {from} {to} -c 1 {family}"));
        let _ = self.nslab(&format!("ping {to} {from} -c 1 {family}"));
    }

    /// Forgets what was learned: neighbours, what bridges know of MAC addresses, what routers said of packets that are too big.
    fn forget(&self, case: &Case) {
        let lab = case.lab.trim_end_matches(".yaml");
        let script = "for node in $(cd /run/netns; ls -d $0.*) $1; do
                on=\"-n $node\"; [ $node = machine ] && on=
                ip $on neigh flush all; ip $on route flush cache; ip $on -6 route flush cache
                for bridge in $(ip $on -br link show type bridge | cut -d' ' -f1); do ip $on link set $bridge type bridge fdb_flush; done
            done 2>/run/forgotten";
        drop(self.shell(script, &[lab, if case.halves { "machine" } else { "" }]));
    }
}

fn make(case: &Case, here: &Desk<'_>, there: Option<(&Other, &Desk<'_>)>) -> Result<(), Void> {
    let wrong = |ran: Ran| if ran.code == 0 { Ok(()) } else { Err(Void(format!("the right lab cannot be made: {ran}"))) };
    drop(here.nslab("--quiet down --all"));
    let own = format!("{FOLDER}/{}", case.lab);
    let lab = if fs::exists(&own).unwrap() { &own } else { &case.lab };
    if let Some((other, there)) = there {
        cable(other);
        wrong(here.nslab(&format!("--quiet up {lab} --role host-a --nic enp0s8")))?;
        return wrong(there.nslab(&format!("--quiet up {lab} --role host-b --nic eth1")));
    }
    wrong(here.nslab(&format!("--quiet up {lab}")))?;
    let Some(scenario) = &case.by_hand else { return Ok(()) };
    let steps =
        format!("LAB={}; . {FOLDER}/../hand/steps; . {FOLDER}/by-hand; on_{} {scenario}", case.lab, case.lab.replace('-', "_"));
    wrong(here.shell(&steps, &[]))
}

fn judging(case: &Case) -> String {
    case.by_hand.as_ref().map_or_else(|| "check".to_owned(), |scenario| format!("check --against {scenario}"))
}

fn is_full(checked: &Value) -> bool {
    checked["points"].as_f64() == checked["reached"].as_f64() && checks(checked).all(|check| check["state"] == "pass")
}

fn checks(checked: &Value) -> impl Iterator<Item = &Value> {
    checked["checkpoints"].as_array().into_iter().flatten().flat_map(|point| point["checks"].as_array().into_iter().flatten())
}

/// The checks that do not pass, each with its first evidence.
fn failing(checked: &Value) -> Vec<String> {
    let failing = checks(checked).filter(|check| check["state"] != "pass");
    failing.map(|check| format!("{} {}", short(&check["kind"]), short(&check["evidence"][0]))).collect()
}

/// The checks that passed then and fail now; that nothing is seen of a node any more comes of pings that have died out.
fn broken(then: &Value, now: &Value) -> Vec<String> {
    let pairs = checks(then).zip(checks(now));
    let broken = pairs
        .filter(|(then, now)| then["state"] == "pass" && now["state"] == "fail" && !now["evidence"][0]["unseen"].is_object());
    broken.map(|(_, now)| format!("{} {}", short(&now["kind"]), short(&now["evidence"][0]))).collect()
}
