//! `nslab up`

use std::time::{Duration, Instant};

use clap_complete::engine::ArgValueCompleter;
use serde::Serialize;

use super::plan::{Commands, Purpose};
use super::target::{self, Role, duration};
use super::{Context, Place, Run, completions, topology};
use crate::error::{Allow, Error, Result};
use crate::kernel::sandbox::Manner;
use crate::lab::borrow::{self, NicPolicy};
use crate::lab::{self, Casting, halves, resolve};
use crate::name::{LabName, NodeName};
use crate::plan::{compile, steps};
use crate::render::escape::escape;
use crate::render::lang::{Lang, duration as took, n, t, w};
use crate::render::{Show, Style, lines, sentences, shapes};
use crate::report::lab::{Halves, Kept, Notice, Outcome};
use crate::topology::{Host, Inside, Topology};

/// How long the machine of another half may take to answer: it may well not be there yet.
const PATIENCE: Duration = Duration::from_millis(200);

/// Bring a lab up, or make one that is up as described again
///
/// A changed file applies the difference; what was made by hand inside the lab stays.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sudo nslab up bridged\n  sudo nslab up ./my-lab.yaml --name monday\n  sudo nslab up bridged --role host-a --nic enp0s8"
)]
pub struct Up {
    /// A built-in topology, or a file: a word with a / or ending in .yaml
    #[arg(add = ArgValueCompleter::new(completions::topologies))]
    topology: String,
    /// Call the lab so instead of like its topology
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Only show what would be done
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    role: Role,
    /// Do to a NIC of this machine what nslab refuses otherwise
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    allow: Vec<Allow>,
    /// Take a change that may cut this machine off back after this time, unless `nslab keep` is typed
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    confirm_within: Duration,
}

/// A first thing to try in a lab.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Hint {
    /// A ping as far as the lab goes.
    Ping(Ping),
    /// What begins the work, where the lab is to be made by hand.
    Exercise(Exercise),
}

/// What is typed to make a lab by hand.
#[derive(Debug, Clone, Serialize)]
pub struct Exercise {
    /// The lab, where it is not the only one.
    #[serde(skip)]
    pub lab: Option<LabName>,
    /// The hosts to work on, as they are typed.
    pub shells: Vec<String>,
    /// The topologies that it is to become.
    pub against: Vec<String>,
    /// The caller works through `sudo`, and will type it again.
    #[serde(skip)]
    pub sudo: bool,
}

impl Exercise {
    /// What is typed to make a lab by hand.
    pub(super) fn sentences(&self, lang: Lang) -> Vec<String> {
        let [shells, checks, plans] = self.typed();
        let below = |head: &str, lines: Vec<String>| {
            let lines = lines.into_iter().map(|line| format!("  {}", escape(&line)));
            std::iter::once(head.to_owned()).chain(lines).collect::<Vec<_>>()
        };
        [
            below(w!(lang, "Make it by hand, in a shell on each host:"), shells),
            below(w!(lang, "Have it judged while you type, in another terminal:"), checks),
            below(w!(lang, "One way to do it, command by command:"), plans),
        ]
        .concat()
    }

    /// The command lines: a shell on each host, the judge, and a way to do it.
    fn typed(&self) -> [Vec<String>; 3] {
        let sudo = if self.sudo { "sudo " } else { "" };
        let lab = self.lab.as_ref().map(|lab| format!("{lab} ")).unwrap_or_default();
        let against = || self.against.iter();
        [
            self.shells.iter().map(|host| format!("{sudo}nslab shell {host}")).collect(),
            against().map(|target| format!("{sudo}nslab check {lab}--against {target} --watch")).collect(),
            against().map(|target| format!("nslab plan {target}")).collect(),
        ]
    }
}

/// A ping between the containers of a lab that lie farthest apart.
#[derive(Debug, Clone, Serialize)]
pub struct Ping {
    /// The node to ping from, as short as the lab allows.
    pub from: String,
    /// The node to ping, likewise.
    pub to: String,
    /// The caller works through `sudo`, and will type it again.
    #[serde(skip)]
    pub sudo: bool,
}

shapes! {
    /// A lab that is up, or what would be done.
    pub enum Made { Up(Report), Preview(Commands) }
}

/// A lab that is up.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The lab.
    pub lab: LabName,
    /// What had to be done.
    pub outcome: Outcome,
    /// How many hosts it has.
    pub hosts: usize,
    /// How many containers it has.
    pub containers: usize,
    /// How many operations were done.
    pub operations: usize,
    /// How long it took, in milliseconds.
    pub milliseconds: f64,
    /// A first thing to try.
    pub hint: Option<Hint>,
    /// What was launched, stopped or configured before, and stays so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<Kept>,
    /// Seconds within which `keep` must confirm a change of the machine's NICs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirm_within: Option<u64>,
    /// What the machines say that play the rest of it; none where all of it is here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub others: Option<Halves>,
}

impl Show for Report {
    fn text(&self, style: Style) -> String {
        let lang = style.lang;
        let size = topology::size(lang, self.hosts, self.containers);
        let lab = &self.lab;
        let operations = n!(lang, self.operations, "operation", "operations");
        let took = took(self.milliseconds);
        let mut output = vec![match self.outcome {
            Outcome::Created => t!(lang, "{lab} is up: {size}, {took}.", lab, size, took),
            Outcome::Already => t!(lang, "{lab} is already up, as described: {size}.", lab, size),
            Outcome::Changed => t!(lang, "{lab} was changed ({operations}): {size}, {took}.", lab, operations, size, took),
            Outcome::Completed => t!(lang, "{lab} was unfinished and is up now ({operations}): {size}.", lab, operations, size),
            Outcome::Repaired => {
                t!(lang, "{lab} had drifted and is as described again ({operations}): {size}.", lab, operations, size)
            }
        }];
        output.extend(self.kept.as_ref().map(|kept| sentences::lxd::kept(lang, kept)));
        output.extend(self.others.iter().flat_map(|others| sentences::role::halves(lang, others)));
        match &self.hint {
            Some(Hint::Ping(ping)) if self.outcome != Outcome::Already => {
                let sudo = if ping.sudo { "sudo " } else { "" };
                output.push(t!(lang, "Try: {command}", command = format!("{sudo}nslab ping {} {}", ping.from, ping.to)));
            }
            Some(Hint::Exercise(exercise)) => output.extend(exercise.sentences(lang)),
            _ => {}
        }
        output.extend(self.confirm_within.into_iter().flat_map(|seconds| sentences::role::confirm(lang, lab.as_str(), seconds)));
        lines(&output)
    }

    fn is_talk(&self) -> bool {
        true
    }
}

impl Run for Up {
    type Out = Made;
    const PLACE: Place = Place::Outside(Manner::Finishes);

    fn run(self, context: &mut Context) -> Result<Self::Out> {
        crate::kernel::sys::note_signals();
        let mut topology = target::wanted(&self.topology, context)?;
        if let Some(name) = &self.name {
            topology.rename(resolve::lab_name(name)?)?;
        }
        let casting = self.role.casting()?;
        // Before anything is made: a wrong name is no more than that.
        casting.apart(&topology)?;
        let policy = NicPolicy { allowed: self.allow, seconds: self.confirm_within.as_secs().max(1) };
        if self.dry_run { preview(&topology, &casting) } else { up(&topology, &casting, &policy, context) }
    }
}

fn preview(topology: &Topology, casting: &Casting) -> Result<Made> {
    let lab = topology.name.to_string();
    let (topology, plan) = lab::preview(topology, casting)?;
    let steps = steps::in_order(&plan, &steps::Naming::from_topology(&topology));
    let machine = Some(borrow::preview(&compile(&topology))?).filter(|changes| !changes.nics.is_empty());
    Ok(Made::Preview(Commands { lab, purpose: Purpose::Preview, steps, machine }))
}

fn up(topology: &Topology, casting: &Casting, policy: &NicPolicy, context: &mut Context) -> Result<Made> {
    let start = Instant::now();
    let up = lab::up_on(topology, casting, policy, &mut |step| context.front.progress(step))
        .inspect_err(|error| explain(error, topology, casting, context))?;
    let milliseconds = start.elapsed().as_secs_f64() * 1000.0;
    let journal = &up.journal;
    let role = journal.topology.role.as_ref();
    if let Some(role) = role.filter(|role| up.operations > 0 && !role.instead.is_empty()) {
        context.front.notice(&Notice::KeptDefault { routes: role.instead.clone() });
    }
    // While the others take their time to answer, there is time to look around. What is up stays up, whatever comes of it.
    let (others, found) = std::thread::scope(|scope| {
        let asked = role.and_then(|_| {
            let asking = || halves::others(journal, PATIENCE).ok().flatten();
            std::thread::Builder::new().spawn_scoped(scope, asking).ok()
        });
        let found = lab::role::obstacles(journal);
        (asked.and_then(|asked| asked.join().ok().flatten()), found)
    });
    for found in found {
        context.front.notice(&Notice::Interference(found));
    }
    Ok(Made::Up(Report {
        lab: topology.name.clone(),
        outcome: up.outcome,
        hosts: journal.topology.hosts.len(),
        containers: journal.topology.containers(),
        operations: up.operations,
        milliseconds,
        hint: hint(topology, role.map(|role| &role.host)),
        kept: journal.kept(),
        confirm_within: up.confirm_within,
        others,
    }))
}

/// What the machine itself has to do with it that the kernel refused something.
fn explain(error: &Error, topology: &Topology, casting: &Casting, context: &mut Context) {
    if casting.host.is_none() || !matches!(error, Error::Kernel(_)) {
        return;
    }
    let Ok((played, _)) = lab::preview(topology, casting) else { return };
    for found in lab::role::refusals(&played) {
        context.front.notice(&Notice::Interference(found));
    }
}

/// What to try first: the ping that goes farthest, or what begins the work where the lab is to be made by hand.
fn hint(topology: &Topology, here: Option<&NodeName>) -> Option<Hint> {
    let sudo = std::env::var_os("SUDO_UID").is_some();
    let several = lab::names().len() > 1;
    if !topology.exercise.is_empty() {
        let hosts = topology.hosts.iter().filter(|host| here.is_none_or(|here| host.name == *here));
        let typed = |host: &Host| if several { format!("{}/{}", topology.name, host.name) } else { host.name.to_string() };
        return Some(Hint::Exercise(Exercise {
            lab: several.then(|| topology.name.clone()),
            shells: hosts.map(typed).collect(),
            against: topology.exercise.clone(),
            sudo,
        }));
    }
    let (from, to) = topology.farthest(here)?;
    let alone = |name: &NodeName| {
        topology.hosts.iter().flat_map(|host| &host.containers).filter(|other| other.name == *name).count() == 1
    };
    let short = |(host, inside): Inside<'_>| {
        if alone(&inside.name) { inside.name.to_string() } else { format!("{}/{}", host.name, inside.name) }
    };
    let from = if several { format!("{}/{}", topology.name, short(from)) } else { short(from) };
    Some(Hint::Ping(Ping { from, to: short(to), sudo }))
}
