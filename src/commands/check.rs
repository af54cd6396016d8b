//! `nslab check`

use clap_complete::engine::ArgValueCompleter;

use super::run::{Context, Place, Run};
use super::{completions, target};
use crate::check::{self, Order};
use crate::error::{Error, Result, Thing, Usage};
use crate::kernel::sandbox::Manner;
use crate::lab::{Subject, resolve};
use crate::render::text::check::change;
use crate::report::check::Report as Found;
use crate::topology::Topology;

/// Check a lab: its own checkpoints, or those of another topology whatever the names in the lab are
///
/// What is judged is the live lab: its tables, its answers to pings, the frames on its wires. Ends with 0 when every check
/// passes, 1 when one fails, 3 when one could not run.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sudo nslab check\n  sudo nslab check bare --against bridged\n  sudo nslab check --against routed --watch"
)]
pub struct Check {
    /// The lab; may be left out when only one is up
    #[arg(add = ArgValueCompleter::new(completions::labs))]
    lab: Option<String>,
    /// The topology whose checkpoints must hold: a built-in one, or a file
    #[arg(long, value_name = "TOPOLOGY", add = ArgValueCompleter::new(completions::topologies))]
    against: Option<String>,
    /// Check this alone: the name of a checkpoint, or a kind of check such as reach; may be given several times
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Give each check its part of a checkpoint's points
    #[arg(long)]
    partial: bool,
    /// Check again whenever something changes in the lab, until everything passes or Ctrl-C
    #[arg(long)]
    watch: bool,
}

impl Run for Check {
    type Out = Found;

    fn place(&self) -> Place {
        Place::Outside(Manner::Follows)
    }

    fn run(self, context: &mut Context) -> Result<Self::Out> {
        crate::kernel::sys::note_signals();
        let against = self.against.as_deref().map(target::topology).transpose()?;
        let subject = Subject::ours(target::lab(self.lab.as_deref())?.ok_or_else(target::none_up)?);
        let lab = subject.journal()?.laid_out();
        if let Some(against) = against.as_ref().filter(|against| against.checkpoints.is_empty()) {
            return Err(Error::Usage(Usage::NoCheckpoints(against.name.to_string())));
        }
        let judge = against.as_ref().unwrap_or(&lab);
        if judge.checkpoints.is_empty() {
            return Err(Error::Usage(Usage::NothingToCheck(subject.entry.lab.to_string())));
        }
        known(&self.only, judge)?;
        let order = Order { subject: &subject, lab: &lab, against: against.as_ref(), only: &self.only, partial: self.partial };
        if self.watch {
            return watch(order, context);
        }
        check::check(order)
    }
}

/// Tells every change as it comes; the last state is the result.
fn watch(order: Order<'_>, context: &mut Context) -> Result<Found> {
    let mut report = check::watch(order, &mut |now, before| context.tell(|style| change(now, before, style)))?;
    report.told = true;
    Ok(report)
}

/// Every word of `--only` must name something.
fn known(only: &[String], judge: &Topology) -> Result<()> {
    let words = check::words(judge);
    match only.iter().find(|word| !words.contains(word)) {
        None => Ok(()),
        Some(word) => Err(Error::Unknown { what: Thing::Check, word: word.clone(), candidates: resolve::near(word, words) }),
    }
}
