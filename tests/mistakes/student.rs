//! Who makes a mistake and then types, without a thought, what nslab says.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, Stdio};
use std::{env, fs};

use serde_json::{Value, json};

use super::case::{Case, FOLDER};
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
        prepare();
        make(case)?;
        let right = check(case);
        if !is_full(&right) {
            return Err(Void(format!("the right lab has not full points: {}", failing(&right).join("; "))));
        }
        warm(case);
        for (node, command) in &case.mistake {
            let ran = if node == "here" { shell(command, &[]) } else { at(node, command) };
            if ran.code != 0 {
                return Err(Void(format!("the mistake itself fails: {ran}")));
            }
        }
        if self.cold {
            forget(case);
        }
        let wrong = check(case);
        if is_full(&wrong) {
            return Err(Void("the mistake costs nothing".to_owned()));
        }
        if self.cold {
            forget(case);
        }
        Ok(self.mend(case, &wrong))
    }

    fn mend(&self, case: &Case, wrong: &Value) -> Outcome {
        let mut faults = Vec::new();
        let traced = nslab(&format!("--format json trace {}", case.trace));
        let traced: Value = serde_json::from_str(&traced.out).unwrap_or(Value::Null);
        if let Some(said) = misnamed(case, &traced, wrong) {
            let right = case.causes.iter().chain(&case.evidence);
            let right: Vec<String> = right.map(|one| format!("{} {}", one.word, one.places.join(" "))).collect();
            faults.push(format!("says {said}; right: {}", right.join(", or ")));
        }
        let (mut typed, mut last, mut now) = (Vec::new(), Vec::new(), wrong.clone());
        for _ in 0..ROUNDS {
            let cures = self.cures(case);
            if cures.is_empty() || cures == last {
                break;
            }
            for line in &cures {
                drop(shell(line, &[]));
            }
            typed.extend(cures.iter().cloned());
            last = cures;
            now = check(case);
            if is_full(&now) {
                break;
            }
        }
        // What takes the kernel a second is no fault of the last cure.
        if !is_full(&now) && !typed.is_empty() {
            now = check(case);
        }
        let broken = broken(wrong, &now);
        if !is_full(&now) {
            faults.push(format!("not mended: {}", failing(&now).first().cloned().unwrap_or_default()));
        } else if changes(&typed) > case.facts {
            faults.push(format!("{} commands for {}", changes(&typed), case.facts));
        }
        if !broken.is_empty() {
            faults.push(format!("the cures broke {}", broken.join("; ")));
        }
        Outcome { faults, typed }
    }

    /// What is printed as cure: by `trace`, and where that is answered or has none, by `check`.
    fn cures(&self, case: &Case) -> Vec<String> {
        let traced = self.ask(&format!("trace {}", case.trace));
        let cures = commands(&format!("{}{}", traced.out, traced.err));
        if traced.code != 0 && !cures.is_empty() {
            return cures;
        }
        let checked = self.ask(&judging(case));
        let mut cures = Vec::new();
        for line in commands(&checked.out) {
            if !cures.contains(&line) {
                cures.push(line);
            }
        }
        cures
    }

    fn ask(&self, words: &str) -> Ran {
        nslab(&format!("--lang {} {words}", self.lang))
    }
}

/// What was named in place of what is right; nothing where that was it.
fn misnamed(case: &Case, traced: &Value, checked: &Value) -> Option<String> {
    let death = &traced["outcome"]["died"];
    if death.is_object() {
        let right = case.causes.iter().any(|named| named.is_cause(death));
        let told = &death["cause"];
        let values = told.as_object().into_iter().flatten().filter(|(key, _)| *key != "cause");
        let values: Vec<String> = values.map(|(key, value)| format!("{key} {}", short(value))).collect();
        let told = format!("{} of {} ({})", told["cause"].as_str().unwrap_or("?"), short(&death["node"]), values.join(", "));
        return (!right).then_some(told);
    }
    let evidence: Vec<&Value> = checks(checked).filter_map(|check| check["evidence"].as_array()).flatten().collect();
    let right = case.evidence.iter().any(|named| evidence.iter().any(|item| named.is_evidence(item)));
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

/// A `sudo` and the nslab that is tried, for what is typed as it is printed.
fn prepare() {
    let binary = env::var("NSLAB_RELEASE").unwrap_or_else(|_| env!("CARGO_BIN_EXE_nslab").to_owned());
    drop(fs::remove_dir_all(BIN));
    fs::create_dir(BIN).unwrap();
    symlink(binary, format!("{BIN}/nslab")).unwrap();
    let sudo = format!("{BIN}/sudo");
    fs::write(&sudo, "#!/bin/sh\nexec \"$@\"\n").unwrap();
    fs::set_permissions(&sudo, fs::Permissions::from_mode(0o755)).unwrap();
}

fn nslab(words: &str) -> Ran {
    shell(&format!("nslab {words}"), &[])
}

fn at(node: &str, command: &str) -> Ran {
    shell("nslab exec \"$0\" sh -c \"$1\"", &[node, command])
}

fn shell(line: &str, words: &[&str]) -> Ran {
    let mut command = Command::new("timeout");
    command.args(["-k", "1", "30", "sh", "-c", line]).args(words).stdin(Stdio::null());
    for name in ["NO_COLOR", "NSLAB_LAB", "NSLAB_FAULT", "LC_ALL", "LC_MESSAGES", "SUDO_UID", "SUDO_GID", "RUST_BACKTRACE"] {
        command.env_remove(name);
    }
    let path = env::var("PATH").unwrap_or_default();
    run(command.env("PATH", format!("{BIN}:{path}:/usr/sbin:/sbin")).env("LANG", "C.UTF-8").env("COLUMNS", "200"))
}

fn make(case: &Case) -> Result<(), Void> {
    let wrong = |ran: Ran| if ran.code == 0 { Ok(()) } else { Err(Void(format!("the right lab cannot be made: {ran}"))) };
    drop(nslab("--quiet down --all"));
    let own = format!("{FOLDER}/{}", case.lab);
    let lab = if fs::exists(&own).unwrap() { &own } else { &case.lab };
    wrong(nslab(&format!("--quiet up {lab}")))?;
    let Some(scenario) = &case.by_hand else { return Ok(()) };
    let steps =
        format!("LAB={}; . {FOLDER}/../hand/steps; . {FOLDER}/by-hand; on_{} {scenario}", case.lab, case.lab.replace('-', "_"));
    wrong(shell(&steps, &[]))
}

fn judging(case: &Case) -> String {
    case.by_hand.as_ref().map_or_else(|| "check".to_owned(), |scenario| format!("check --against {scenario}"))
}

fn check(case: &Case) -> Value {
    let ran = nslab(&format!("--format json {}", judging(case)));
    serde_json::from_str(&ran.out).unwrap_or_else(|_| {
        let nothing = json!({ "kind": "check", "state": "fail", "evidence": [format!("ended with {}: {}", ran.code, ran.err)] });
        json!({ "points": 1, "reached": 0, "checkpoints": [{ "checks": [nothing] }] })
    })
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

/// Pings there and back, so that every table on the way has learned.
fn warm(case: &Case) {
    let words: Vec<&str> = case.trace.split_whitespace().collect();
    let family = words.iter().find(|word| ["-4", "-6"].contains(word)).unwrap_or(&"-c 1");
    let _ = nslab(&format!("ping {} {} -c 1 {family}", words[0], words[1]));
    let _ = nslab(&format!("ping {} {} -c 1 {family}", words[1], words[0]));
}

/// Forgets what was learned: neighbours, what bridges know of MAC addresses, what routers said of packets that are too big.
fn forget(case: &Case) {
    let lab = case.lab.trim_end_matches(".yaml");
    let script = "for node in /run/netns/$0.*; do
            node=${node##*/}
            ip -n $node neigh flush all; ip -n $node route flush cache; ip -n $node -6 route flush cache
            for bridge in $(ip -n $node -br link show type bridge | cut -d' ' -f1); do ip -n $node link set $bridge type bridge fdb_flush; done
        done 2>/run/forgotten";
    drop(shell(script, &[lab]));
}
