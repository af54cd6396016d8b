//! Checks as a `JUnit` report: what continuous integration and teachers' tools read.

use std::borrow::Cow;

use super::Style;
use super::escape::escape;
use super::sentences::packets::cure;
use crate::report::probe::{Checkpoint, Outcome, Report, State};

/// A test suite for each checkpoint, a test case for each check: what failed is a failure, what could not run an error.
pub fn check(report: &Report, style: Style) -> String {
    let seconds = format!("{:.3}", report.milliseconds / 1000.0);
    let outcomes: Vec<&Outcome> = report.outcomes().collect();
    let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
    text +=
        &open(0, "testsuites", &[&[("name", report.lab.as_str())], counts(&outcomes, &seconds).borrowed().as_slice()].concat());
    for checkpoint in &report.checkpoints {
        text += &suite(report, checkpoint, style);
    }
    text + "</testsuites>\n"
}

/// The numbers of a suite.
struct Counts([(&'static str, String); 5]);

impl Counts {
    fn borrowed(&self) -> Vec<(&str, &str)> {
        self.0.iter().map(|(name, value)| (*name, value.as_str())).collect()
    }
}

fn counts(outcomes: &[&Outcome], seconds: &str) -> Counts {
    let count = |state| outcomes.iter().filter(|outcome| outcome.state == state).count().to_string();
    Counts([
        ("tests", outcomes.len().to_string()),
        ("failures", count(State::Fail)),
        ("errors", count(State::CouldNotRun)),
        ("skipped", count(State::Skipped)),
        ("time", seconds.to_owned()),
    ])
}

fn suite(report: &Report, checkpoint: &Checkpoint, style: Style) -> String {
    let all: Vec<&Outcome> = checkpoint.checks.iter().collect();
    let name = [("name", checkpoint.name.as_str())];
    let mut text = open(1, "testsuite", &[&name, counts(&all, "0.000").borrowed().as_slice()].concat());
    let (points, reached) = (checkpoint.points.to_string(), checkpoint.reached.to_string());
    text += "    <properties>\n";
    for (name, value) in [("points", &points), ("reached", &reached)] {
        text += &element(3, "property", &[("name", name), ("value", value)], "");
    }
    text += "    </properties>\n";
    for outcome in all {
        text += &case(report, checkpoint, outcome, style);
    }
    text + "  </testsuite>\n"
}

fn case(report: &Report, checkpoint: &Checkpoint, outcome: &Outcome, style: Style) -> String {
    let words = report.words(style.lang);
    let (class, asked) = (format!("{}.{}", report.lab, checkpoint.name), outcome.check.0.sentence(&words));
    let attributes = [("classname", class.as_str()), ("name", asked.as_str()), ("time", "0.000")];
    let sentences: Vec<String> = outcome.evidence.iter().map(|evidence| evidence.0.sentence(&words)).collect();
    let message = sentences.first().cloned().unwrap_or_default();
    let cure = cure(style.lang);
    let hints = outcome.hints.iter().map(|hint| format!("{cure} {hint}"));
    let whole = sentences.iter().cloned().chain(hints).collect::<Vec<_>>().join("\n");
    let about = [("message", message.as_str()), ("type", outcome.kind)];
    let inner = match outcome.state {
        State::Pass => return element(2, "testcase", &attributes, ""),
        State::Fail => element(3, "failure", &about, &whole),
        State::CouldNotRun => element(3, "error", &about, &whole),
        State::Skipped => element(3, "skipped", &[], ""),
    };
    [open(2, "testcase", &attributes).as_str(), inner.as_str(), "    </testcase>\n"].concat()
}

fn open(depth: usize, name: &str, attributes: &[(&str, &str)]) -> String {
    format!("{:width$}<{name}{}>\n", "", written(attributes), width = 2 * depth)
}

fn element(depth: usize, name: &str, attributes: &[(&str, &str)], text: &str) -> String {
    let (indent, attributes) = (2 * depth, written(attributes));
    if text.is_empty() {
        return format!("{:indent$}<{name}{attributes}/>\n", "");
    }
    let text = text.lines().map(|line| safe(line).into_owned()).collect::<Vec<_>>().join("\n");
    format!("{:indent$}<{name}{attributes}>{text}</{name}>\n", "")
}

fn written(attributes: &[(&str, &str)]) -> String {
    attributes.iter().map(|(name, value)| format!(" {name}=\"{}\"", safe(value))).collect::<Vec<_>>().concat()
}

/// Text that XML 1.0 takes.
fn safe(text: &str) -> Cow<'_, str> {
    let text = escape(text);
    if !text.contains(['&', '<', '>', '"', '\u{fffe}', '\u{ffff}']) {
        return text;
    }
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\u{fffe}' | '\u{ffff}' => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    Cow::Owned(safe)
}
