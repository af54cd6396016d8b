//! Checkpoints as text: what must hold, how it ended, and below a failure what was seen and what to type.

use super::trace::broken;
use crate::render::Style;
use crate::render::escape::escape;
use crate::render::sentences::check as say;
use crate::render::sentences::trace::cure;
use crate::report::check::{Checkpoint, Outcome, Report, State};

/// Columns before evidence.
const INDENT: &str = "        ";

pub(super) fn check(report: &Report, style: Style) -> String {
    if report.told { String::new() } else { whole(report, style) }
}

/// What holds now: on a terminal the whole anew in its place, else what is not as before.
pub(crate) fn change(now: &Report, before: Option<&Report>, style: Style) -> String {
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

fn whole(report: &Report, style: Style) -> String {
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

fn checkpoint(report: &Report, checkpoint: &Checkpoint, style: Style) -> String {
    let heading = say::checkpoint(style.lang, checkpoint);
    let mut text = style.bold(&escape(&heading)) + "\n";
    for outcome in &checkpoint.checks {
        text += &self::outcome(report, outcome, style);
    }
    text
}

/// One check, and what is to be said about it.
pub(super) fn outcome(report: &Report, outcome: &Outcome, style: Style) -> String {
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
