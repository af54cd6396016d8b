//! `nslab check`

use clap_complete::engine::ArgValueCompleter;

use super::run::{Context, Place, Run};
use super::{completions, target};
use crate::check::{self, Order};
use crate::error::{Error, Result, Thing, Usage};
use crate::kernel::sandbox::Manner;
use crate::lab::{Subject, resolve};
use crate::render::escape::escape;
use crate::render::sentences::check as say;
use crate::render::sentences::trace::cure;
use crate::render::table::broken;
use crate::render::{Format, Show, Style, Writer, json};
use crate::report::check::{Checkpoint, Outcome, Report as Found, State};
use crate::topology::Topology;

/// Columns before evidence.
const INDENT: &str = "        ";

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

impl Show for Found {
    fn text(&self, style: Style) -> String {
        if self.told { String::new() } else { whole(self, style) }
    }

    fn exit_code(&self) -> u8 {
        Found::exit_code(self)
    }

    fn takes(format: Format) -> bool {
        !matches!(format.writer(), Writer::Drawing(_))
    }

    fn written(&self, format: Format, style: Style) -> String {
        match format.writer() {
            Writer::Text => self.text(style),
            Writer::Json => json(self),
            Writer::Checks(write) => write(self, style),
            Writer::Drawing(_) => String::new(),
        }
    }
}

/// What holds now: on a terminal the whole anew in its place, else what is not as before.
fn change(now: &Found, before: Option<&Found>, style: Style) -> String {
    let waiting = if now.exit_code() == 0 { String::new() } else { format!("{}\n", say::watching(style.lang)) };
    let drawn = style.colour && style.width.is_some();
    let Some(before) = before.filter(|_| !drawn) else {
        let clear = if drawn { "\x1b[H\x1b[J" } else { "" };
        return [clear, &whole(now, style), &waiting].concat();
    };
    let changed = |(new, old): &(&Outcome, &Outcome)| new != old;
    let pairs: Vec<(&Outcome, &Outcome)> = now.outcomes().zip(before.outcomes()).filter(changed).collect();
    if pairs.is_empty() && now.spares == before.spares && now.roles == before.roles {
        return String::new();
    }
    let mut text = "\n".to_owned();
    for (new, _) in pairs {
        text += &outcome(now, new, style);
    }
    for line in say::sum(style.lang, now) {
        text += &escape(&line);
        text += "\n";
    }
    text
}

fn whole(report: &Found, style: Style) -> String {
    let mut text = wrapped("", "  ", &say::title(style.lang, report));
    for role in &report.roles {
        text += &wrapped("  ", "    ", &say::role(style.lang, report, role));
    }
    if !report.spares.is_empty() {
        text += &wrapped("  ", "    ", &say::spares(style.lang, report));
    }
    for checkpoint in &report.checkpoints {
        text += "\n";
        text += &self::checkpoint(report, checkpoint, style);
    }
    text += "\n";
    for line in say::sum(style.lang, report) {
        text += &style.bold(&escape(&line));
        text += "\n";
    }
    text
}

fn checkpoint(report: &Found, checkpoint: &Checkpoint, style: Style) -> String {
    let heading = say::checkpoint(style.lang, checkpoint);
    let mut text = style.bold(&escape(&heading)) + "\n";
    for outcome in &checkpoint.checks {
        text += &self::outcome(report, outcome, style);
    }
    text
}

/// One check, and what is to be said about it.
fn outcome(report: &Found, outcome: &Outcome, style: Style) -> String {
    let words = report.words(style.lang);
    let word = say::state(style.lang, outcome.state);
    let first = format!("  {word:<4}  ");
    let whole = wrapped(&first, INDENT, &outcome.check.0.sentence(&words));
    let mut text = whole.replacen(word, &mark(word, outcome.state, style), 1);
    for seen in outcome.evidence.iter().chain(&outcome.notes) {
        text += &wrapped(INDENT, &format!("{INDENT}  "), &seen.0.sentence(&words));
    }
    let cure = cure(style.lang);
    for (at, hint) in outcome.hints.iter().enumerate() {
        let word = if at == 0 { cure.to_owned() } else { " ".repeat(cure.chars().count()) };
        text += &[INDENT, &word, " ", &escape(hint), "\n"].concat();
    }
    text
}

fn mark(word: &str, state: State, style: Style) -> String {
    match state {
        State::Pass => style.green(word),
        State::Fail => style.red(word),
        State::CouldNotRun => style.bold(word),
        State::Skipped => word.to_owned(),
    }
}

fn wrapped(first: &str, below: &str, sentence: &str) -> String {
    broken(first, below, &escape(sentence)).iter().flat_map(|line| [line.trim_end(), "\n"]).collect()
}
