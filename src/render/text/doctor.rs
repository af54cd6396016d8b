//! The doctor's report as text.

use super::table::{Table, section};
use crate::render::Style;
use crate::render::lang::{Message, Word};
use crate::report::doctor::{Doctor, Feature, Limit};

/// More containers than anybody wants; a limit that allows them is none.
const PLENTY: u64 = 1_000_000;

pub(super) fn doctor(doctor: &Doctor, style: Style) -> String {
    let tongue = style.lang.tongue();
    let mut text = format!("Linux {}, {}\n\n", crate::render::escape::escape(&doctor.kernel), tongue.rights(doctor.rights));
    text += &section(Word::Features, &features(&doctor.features, style));
    text += &section(Word::Limits, &limits(&doctor.limits, style));
    let (harmless, findings): (Vec<_>, Vec<_>) = doctor.findings.iter().partition(|finding| finding.harmless());
    let interference = doctor.interference.iter().map(|found| tongue.interference(found));
    text += &messages(Word::Findings, findings.iter().map(|finding| tongue.finding(finding)).chain(interference), style);
    text += &messages(Word::Harmless, harmless.iter().map(|finding| tongue.finding(finding)), style);
    text += &messages(Word::Leftovers, doctor.leftovers.iter().map(|leftover| tongue.leftover(leftover)), style);
    text += &super::lines(&doctor.unseen.iter().map(|unseen| tongue.unseen(*unseen)).collect::<Vec<_>>());
    text + &style.bold(&tongue.verdict(doctor)) + "\n"
}

fn features(features: &[Feature], style: Style) -> Table {
    let tongue = style.lang.tongue();
    let mut table = Table::new(style, &[Word::Works, Word::Name]);
    for feature in features {
        let works = match feature.works {
            Some(true) => Word::Yes,
            Some(false) => Word::No,
            None => Word::Unknown,
        };
        table.row([tongue.word(works), tongue.ability(feature.name)]);
    }
    table
}

fn limits(limits: &[Limit], style: Style) -> Table {
    let tongue = style.lang.tongue();
    let mut table = Table::new(style, &[Word::Limit, Word::Value, Word::Allows]).right(&[1]);
    for limit in limits {
        let value = match limit.value {
            None => tongue.word(Word::Unknown).to_owned(),
            Some(u64::MAX) => tongue.word(Word::Unlimited).to_owned(),
            Some(value) => value.to_string(),
        };
        let allows = limit.containers.filter(|&number| number < PLENTY).map(|number| tongue.allows(number));
        table.row([tongue.limit(limit.name), &value, &allows.unwrap_or_default()]);
    }
    table
}

fn messages(title: Word, messages: impl Iterator<Item = Message>, style: Style) -> String {
    let tongue = style.lang.tongue();
    let mut lines = Vec::new();
    for message in messages {
        lines.extend(wrapped(&message.what, 2));
        lines.extend(message.why.iter().flat_map(|why| wrapped(why, 4)));
        // What to type stays on one line, as it can be copied.
        lines.extend(message.hints.iter().map(|hint| format!("    {}: {hint}", tongue.word(Word::Try))));
    }
    if lines.is_empty() {
        return String::new();
    }
    format!("{}\n{}\n\n", style.bold(tongue.word(title)), lines.join("\n"))
}

/// The columns of a terminal that nobody made wider.
const WIDTH: usize = 80;

/// The text in lines of at most 80 columns, each indented; a longer word has a line of its own.
fn wrapped(text: &str, indent: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(format!("{:indent$}{word}", "")),
        }
    }
    lines
}
