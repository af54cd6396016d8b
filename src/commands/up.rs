//! `nslab up`

use std::time::{Duration, Instant};

use clap_complete::engine::ArgValueCompleter;

use super::completions;
use super::plan::{Commands, Purpose};
use super::run::{Context, Place, Run};
use super::target::{self, Role, duration};
use crate::error::{Allow, Error, Result, Usage};
use crate::kernel::sandbox::Manner;
use crate::lab::borrow::{self, NicPolicy};
use crate::lab::{self, Casting, halves, resolve};
use crate::name::NodeName;
use crate::plan::{compile, steps};
use crate::render::{Show, Style, lines, sentences, shapes};
use crate::report::lab::{self as reports, Exercise, Hint, Ping};
use crate::report::notice::Notice;
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

shapes! {
    /// A lab that is up, or what would be done.
    pub enum Made { Up(reports::Up), Preview(Commands) }
}

impl Show for reports::Up {
    fn text(&self, style: Style) -> String {
        lines(&sentences::labs::up(style.lang, self))
    }

    fn is_talk(&self) -> bool {
        true
    }
}

impl Run for Up {
    type Out = Made;

    fn place(&self) -> Place {
        Place::Outside(Manner::Finishes)
    }

    fn run(self, context: &mut Context) -> Result<Self::Out> {
        crate::kernel::sys::note_signals();
        let mut topology = target::wanted(&self.topology, context)?;
        if let Some(name) = &self.name {
            topology.rename(resolve::lab_name(name)?)?;
            if topology.host(name).is_some() {
                return Err(Error::Usage(Usage::LabNamedLikeHost(name.clone())));
            }
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
    let steps = steps::in_order(&plan, &steps::Naming::of(&topology));
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
    Ok(Made::Up(reports::Up {
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
