//! The doctor's report as text.

use crate::render::Style;
use crate::render::lang::{Message, w, words};
use crate::render::sentences;
use crate::render::table::{Table, section};
use crate::report::doctor::{Doctor, Feature, Limit};

/// More containers than anybody wants; a limit that allows them is none.
const PLENTY: u64 = 1_000_000;

pub(super) fn doctor(doctor: &Doctor, style: Style) -> String {
    let mut text = format!(
        "Linux {}, {}\n\n",
        crate::render::escape::escape(&doctor.kernel),
        sentences::doctor::rights(style.lang, doctor.rights)
    );
    text += &section(w!(style.lang, "What this kernel can do"), &features(&doctor.features, style));
    text += &section(w!(style.lang, "Limits"), &limits(&doctor.limits, style));
    let (harmless, findings): (Vec<_>, Vec<_>) = doctor.findings.iter().partition(|finding| finding.harmless());
    let interference = doctor.interference.iter().map(|found| sentences::interference::message(style.lang, found));
    text += &messages(
        w!(style.lang, "What may get in the way"),
        findings.iter().map(|finding| sentences::doctor::finding(style.lang, finding)).chain(interference),
        style,
    );
    text += &messages(
        w!(style.lang, "What looks odd and is harmless"),
        harmless.iter().map(|finding| sentences::doctor::finding(style.lang, finding)),
        style,
    );
    text += &messages(
        w!(style.lang, "What was left over"),
        doctor.leftovers.iter().map(|leftover| sentences::doctor::leftover(style.lang, leftover)),
        style,
    );
    text += &crate::render::lines(
        &doctor.unseen.iter().map(|unseen| sentences::doctor::unseen(style.lang, *unseen)).collect::<Vec<_>>(),
    );
    text + &style.bold(&sentences::doctor::verdict(style.lang, doctor)) + "\n"
}

fn features(features: &[Feature], style: Style) -> Table {
    let mut table = Table::new(style, &words!(style.lang, "WORKS", "NAME"));
    for feature in features {
        let works = match feature.works {
            Some(true) => w!(style.lang, "yes"),
            Some(false) => w!(style.lang, "no"),
            None => w!(style.lang, "?"),
        };
        table.row([works, sentences::doctor::ability(style.lang, feature.name)]);
    }
    table
}

fn limits(limits: &[Limit], style: Style) -> Table {
    let mut table = Table::new(style, &words!(style.lang, "LIMIT", "VALUE", "ALLOWS")).right(&[1]);
    for limit in limits {
        let value = match limit.value {
            None => w!(style.lang, "?").to_owned(),
            Some(u64::MAX) => w!(style.lang, "no limit").to_owned(),
            Some(value) => value.to_string(),
        };
        let allows =
            limit.containers.filter(|&number| number < PLENTY).map(|number| sentences::doctor::allows(style.lang, number));
        table.row([sentences::doctor::limit(style.lang, limit.name), &value, &allows.unwrap_or_default()]);
    }
    table
}

fn messages(title: &str, messages: impl Iterator<Item = Message>, style: Style) -> String {
    let mut lines = Vec::new();
    for message in messages {
        lines.extend(wrapped(&message.what, 2));
        lines.extend(message.why.iter().flat_map(|why| wrapped(why, 4)));
        // What to type stays on one line, as it can be copied.
        lines.extend(message.hints.iter().map(|hint| format!("    {}: {hint}", w!(style.lang, "try"))));
    }
    if lines.is_empty() {
        return String::new();
    }
    format!("{}\n{}\n\n", style.bold(title), lines.join("\n"))
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
