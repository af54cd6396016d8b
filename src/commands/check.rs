//! `nslab check`

use clap_complete::engine::ArgValueCompleter;

use super::{Context, Place, Run, completions, target};
use crate::check::{self, Order};
use crate::error::{Error, Result, Thing, Usage};
use crate::kernel::sandbox::Manner;
use crate::lab::{Subject, resolve};
use crate::render::escape::escape;
use crate::render::lang::{Lang, n, t, w};
use crate::render::sentences::packets::cure;
use crate::render::table::broken;
use crate::render::{Format, Show, Style, Writer, json};
use crate::report::probe::{Checkpoint, Outcome, Report as Found, Role, State, Wiring};
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
    const PLACE: Place = Place::Outside(Manner::Follows);

    fn run(self, context: &mut Context) -> Result<Self::Out> {
        crate::kernel::sys::note_signals();
        let against = self.against.as_deref().map(target::topology).transpose()?;
        let subject = Subject::new(target::up(self.lab.as_deref())?);
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
    let mut report = check::watch(order, &mut |now, before| context.print_part(|style| change(now, before, style)))?;
    report.printed = true;
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
        if self.printed { String::new() } else { whole(self, style) }
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
    let waiting = if now.exit_code() == 0 { String::new() } else { format!("{}\n", w!(style.lang, "Watching; Ctrl-C ends it.")) };
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
    for line in sum(style.lang, now) {
        text += &escape(&line);
        text += "\n";
    }
    text
}

fn whole(report: &Found, style: Style) -> String {
    let mut text = wrapped("", "  ", &title(style.lang, report));
    for role in &report.roles {
        text += &wrapped("  ", "    ", &self::role(style.lang, report, role));
    }
    if !report.spares.is_empty() {
        text += &wrapped("  ", "    ", &spares(style.lang, report));
    }
    for checkpoint in &report.checkpoints {
        text += "\n";
        text += &self::checkpoint(report, checkpoint, style);
    }
    text += "\n";
    for line in sum(style.lang, report) {
        text += &style.bold(&escape(&line));
        text += "\n";
    }
    text
}

fn checkpoint(report: &Found, checkpoint: &Checkpoint, style: Style) -> String {
    let heading = heading(style.lang, checkpoint);
    let mut text = style.bold(&escape(&heading)) + "\n";
    for outcome in &checkpoint.checks {
        text += &self::outcome(report, outcome, style);
    }
    text
}

/// One check, and what is to be said about it.
fn outcome(report: &Found, outcome: &Outcome, style: Style) -> String {
    let words = report.words(style.lang);
    let word = state(style.lang, outcome.state);
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

/// What is checked against what.
fn title(lang: Lang, report: &Found) -> String {
    match &report.against {
        Some(topology) => t!(lang, "{lab} judged by the checkpoints of {topology}", lab = report.lab, topology),
        None => t!(lang, "{lab} judged by its own checkpoints", lab = report.lab),
    }
}

/// Who plays a part.
fn role(lang: Lang, report: &Found, role: &Role) -> String {
    let part = role.role.rsplit('.').next().unwrap_or(&role.role);
    let Some(node) = &role.node else { return t!(lang, "nobody plays {part}", part = role.role.replacen('.', "/", 1)) };
    let (node, container) = (report.names.node(node), role.role.contains('.'));
    match &role.wiring {
        Wiring::Switch { bridge } | Wiring::Gateway { bridge } if container => {
            t!(lang, "{node} plays {part}, behind the bridge {bridge}", node, part, bridge)
        }
        Wiring::PointToPoint if container => t!(lang, "{node} plays {part}, on a point-to-point link", node, part),
        Wiring::Switch { bridge } => {
            t!(lang, "{node} plays {part}, with the bridge {bridge} as a switch to the wire", node, part, bridge)
        }
        Wiring::Gateway { bridge } => t!(lang, "{node} plays {part}, with the bridge {bridge} as a gateway", node, part, bridge),
        Wiring::PointToPoint => t!(lang, "{node} plays {part}, with point-to-point links", node, part),
        Wiring::None => t!(lang, "{node} plays {part}", node, part),
    }
}

/// Containers that are not judged.
fn spares(lang: Lang, report: &Found) -> String {
    let nodes = report.words(lang).few_nodes(&report.spares);
    match (report.untouched, report.spares.len()) {
        (true, 1) => t!(lang, "Not judged, since nothing is configured there: {node}", node = nodes),
        (true, _) => t!(lang, "Not judged, since nothing is configured there: {nodes}", nodes),
        (false, 1) => t!(lang, "Not judged, since it has no address in this scenario: {node}", node = nodes),
        (false, _) => t!(lang, "Not judged, since they have no address in this scenario: {nodes}", nodes),
    }
}

/// The heading of a checkpoint.
fn heading(lang: Lang, checkpoint: &Checkpoint) -> String {
    let (name, reached) = (&checkpoint.name, number(lang, checkpoint.reached));
    match checkpoint.points {
        0 => name.clone(),
        total => t!(lang, "{name}: {reached} of {points}", name, reached, points = n!(lang, total, "point", "points")),
    }
}

/// The word for how a check ended, in capitals.
fn state(lang: Lang, state: State) -> &'static str {
    match state {
        State::Pass => w!(lang, "PASS"),
        State::Fail => w!(lang, "FAIL"),
        State::CouldNotRun => w!(lang, "COULD NOT RUN"),
        State::Skipped => w!(lang, "SKIPPED"),
    }
}

/// The sum of points and checks.
fn sum(lang: Lang, report: &Found) -> Vec<String> {
    let mut counts = Vec::new();
    for (number, state) in [
        (report.failed, State::Fail),
        (report.not_run, State::CouldNotRun),
        (report.skipped, State::Skipped),
        (report.passed, State::Pass),
    ] {
        if number == 0 {
            continue;
        }
        let checks = if counts.is_empty() { n!(lang, number, "check", "checks") } else { number.to_string() };
        counts.push(match state {
            State::Fail => t!(lang, "{checks} failed", checks),
            State::CouldNotRun => t!(lang, "{checks} could not run", checks),
            State::Skipped if number == 1 => t!(lang, "{check} skipped", check = checks),
            State::Skipped => t!(lang, "{checks} skipped", checks),
            State::Pass => t!(lang, "{checks} passed", checks),
        });
    }
    let counts = counts.join(", ");
    if report.points == 0 {
        return vec![format!("{counts}.")];
    }
    let points = n!(lang, report.points, "point", "points");
    vec![t!(lang, "{reached} of {points}: {counts}.", reached = number(lang, report.reached), points, counts)]
}

/// A number of points, with a decimal only where there is one.
fn number(lang: Lang, points: f64) -> String {
    format!("{points:.1}").trim_end_matches('0').trim_end_matches('.').replace('.', w!(lang, ["decimal"] "."))
}
