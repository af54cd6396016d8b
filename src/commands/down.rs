//! The end of labs, and of what was done to them: `down`, `reset`, `keep`, and the watchdog of the machine's NICs.

use clap_complete::engine::ArgValueCompleter;
use serde::Serialize;

use super::{Context, Place, Run, completions, target};
use crate::error::{Error, Result, Usage};
use crate::kernel::sandbox::Manner;
use crate::lab::borrow::change::keep;
use crate::lab::{self, resolve, watch_nics};
use crate::name::LabName;
use crate::plan::steps;
use crate::render::escape::escape;
use crate::render::lang::{Lang, duration, n, quoted, t};
use crate::render::{Printed, Show, Style, lines, sentences, shapes};
use crate::report::lab as reports;
use crate::report::lab::{Downs, Question};

/// Take a lab down: its processes, its namespaces, everything that was in them
///
/// Twice is fine. The topology file is not needed.
#[derive(Debug, clap::Args)]
pub struct Down {
    /// The lab; may be left out when only one is up
    #[arg(add = ArgValueCompleter::new(completions::labs))]
    lab: Option<String>,
    /// Take every lab down
    #[arg(long, conflicts_with = "lab")]
    all: bool,
}

impl Show for Downs {
    fn text(&self, style: Style) -> String {
        if self.labs.is_empty() && self.errors.is_empty() {
            return lines(&[t!(style.lang, "No lab is up.")]);
        }
        lines(&self.labs.iter().flat_map(|down| sentences(style.lang, down)).collect::<Vec<_>>())
    }

    fn is_talk(&self) -> bool {
        true
    }

    fn errors(&self) -> Vec<&Error> {
        self.errors.iter().collect()
    }
}

/// What is to be said of one lab.
fn sentences(lang: Lang, down: &reports::Down) -> Vec<String> {
    let lab = &down.lab;
    let mut lines = vec![if down.was_up {
        t!(lang, "{lab} is down, {took}.", lab, took = duration(down.milliseconds))
    } else {
        t!(lang, "No lab {lab} is up; nothing to do.", lab = quoted(lang, lab))
    }];
    if !down.ended.is_empty() {
        let processes = n!(lang, down.ended.len(), "process", "processes");
        lines.push(t!(lang, "Ended {processes} in it:", processes));
        lines.extend(down.ended.iter().map(|process| format!("  {} {}", process.pid, escape(&process.command))));
    }
    lines.extend(down.left_alone.iter().map(|alone| sentences::role::alone(lang, alone)));
    lines
}

impl Run for Down {
    type Out = reports::Downs;
    const PLACE: Place = Place::Machine;

    fn run(self, context: &mut Context) -> Result<Self::Out> {
        crate::kernel::sys::note_signals();
        let names: Vec<LabName> = match (&self.lab, self.all) {
            // The name need not be in the index: what is pinned under it goes, even with a damaged journal.
            (Some(name), _) => vec![resolve::lab_name(name)?],
            (None, true) => lab::names().into_iter().map(|entry| entry.lab).chain(lab::remains()).collect(),
            (None, false) => match target::lab(None)? {
                Some(entry) => vec![entry.lab],
                None => lab::remains(),
            },
        };
        if names.is_empty() {
            lab::rundir::tidy()?;
        }
        let mut downs = reports::Downs { labs: Vec::new(), errors: Vec::new() };
        for name in names {
            match lab::down(&name, &mut |step| context.front.progress(step)) {
                Ok(report) => downs.labs.push(report),
                // The other labs go all the same.
                Err(error) => downs.errors.push(error),
            }
        }
        Ok(downs)
    }
}

/// Remove what was made by hand in a lab and restore what is missing
#[derive(Debug, clap::Args)]
pub struct Reset {
    /// The lab; may be left out when only one is up
    #[arg(add = ArgValueCompleter::new(completions::labs))]
    lab: Option<String>,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

impl Show for reports::Reset {
    fn text(&self, style: Style) -> String {
        let lang = style.lang;
        let Self { lab, operations, namespaces, tables, left, kept, .. } = self;
        let more = |number: usize, gone: &str| if number == 0 { String::new() } else { format!(", {gone}") };
        let done = format!(
            "{}{}{}",
            n!(lang, *operations, "operation", "operations"),
            more(*namespaces, &n!(lang, *namespaces, "namespace gone", "namespaces gone")),
            more(*tables, &n!(lang, *tables, "packet filter table gone", "packet filter tables gone")),
        );
        let nothing = operations + namespaces + tables == 0;
        let head = match (self.confirmed, nothing, left.is_empty(), kept.is_empty()) {
            (false, ..) => t!(lang, "{lab} stays as it is.", lab),
            (true, _, false, _) => t!(lang, "{lab} is not as described yet, after {done}. What is left to do:", lab, done),
            (true, true, true, true) => t!(lang, "{lab} is as described; nothing to do.", lab),
            (true, true, true, false) => t!(lang, "{lab} is as described, but for what nslab does not undo:", lab),
            (true, false, true, true) => t!(lang, "{lab} is as described again: {done}.", lab, done),
            (true, false, true, false) => {
                t!(lang, "{lab} is as described again ({done}), but for what nslab does not undo:", lab, done)
            }
        };
        let steps = if left.is_empty() { kept } else { left };
        if self.confirmed && !steps.is_empty() { super::status::commands(&head, steps) } else { lines(&[head]) }
    }

    fn exit_code(&self) -> u8 {
        u8::from(!self.left.is_empty())
    }

    fn is_talk(&self) -> bool {
        true
    }
}

impl Run for Reset {
    type Out = reports::Reset;
    const PLACE: Place = Place::Outside(Manner::Interactive);

    fn run(self, context: &mut Context) -> Result<Self::Out> {
        crate::kernel::sys::note_signals();
        let entry = target::up(self.lab.as_deref())?;
        let name = entry.lab;
        let status = lab::status(&name)?;
        let by_hand =
            status.by_hand.len() + status.namespaces.len() + status.tables.len() + status.kept.map_or(0, |kept| kept.count());
        if by_hand > 0 && !self.yes {
            let answer = context.front.ask(&Question::Reset { lab: name.to_string(), by_hand });
            if !answer.ok_or(Error::Usage(Usage::NeedsAnswer("--yes")))? {
                return Ok(reports::Reset { confirmed: false, ..reports::Reset::nothing(&name) });
            }
        }
        let naming = steps::Naming::from_topology(&status.journal.topology);
        let kept = status.kept(&naming);
        Ok(reports::Reset { kept, ..lab::reset(&name)? })
    }
}

/// Keep a change of this machine's NICs that would be taken back otherwise
///
/// `up` with a role may change the NIC that this machine is reached by. Nobody knows better than you whether it still is:
/// log in once more and type this there.
#[derive(Debug, clap::Args)]
pub struct Keep {
    /// The lab; may be left out when only one is up
    #[arg(add = ArgValueCompleter::new(completions::labs))]
    lab: Option<String>,
}

/// The lab whose change of the machine's NICs is kept.
#[derive(Debug, Serialize)]
pub struct Kept {
    /// The lab.
    lab: LabName,
}

impl Show for Kept {
    fn text(&self, style: Style) -> String {
        lines(&[t!(style.lang, "{lab} stays as it is; nslab down {lab} puts the NIC back.", lab = self.lab)])
    }

    fn is_talk(&self) -> bool {
        true
    }
}

impl Run for Keep {
    type Out = Kept;
    const PLACE: Place = Place::Outside(Manner::Finishes);

    fn run(self, _: &mut Context) -> Result<Self::Out> {
        let entry = target::up(self.lab.as_deref())?;
        keep(&entry.lab)?;
        Ok(Kept { lab: entry.lab })
    }
}

/// Put this machine's NICs back unless a change of them is kept; started by `up`
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub struct WatchNic {
    /// The lab
    lab: String,
}

shapes! {
    /// The lab that was taken down, or nothing.
    pub enum Watched { Down(Downs), Kept(Printed) }
}

impl Run for WatchNic {
    type Out = Watched;
    const PLACE: Place = Place::Machine;

    fn run(self, _: &mut Context) -> Result<Self::Out> {
        let downs = watch_nics(&resolve::lab_name(&self.lab)?)?;
        Ok(downs.map_or_else(|| Watched::Kept(Printed::default()), Watched::Down))
    }
}
