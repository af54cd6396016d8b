//! Labs as text.

use super::topologies;
use crate::plan::steps::Step;
use crate::render::Style;
use crate::render::escape::escape;
use crate::render::lang::{w, words};
use crate::render::lines;
use crate::render::sentences;
use crate::render::table::{Table, section};
use crate::report::lab::{Downs, Home, Item, List, Statuses};
use crate::typed;

pub(super) fn home(home: &Home, style: Style) -> String {
    let mut text = section(w!(style.lang, "Topologies"), &topologies::table(&home.topologies, style));
    text += &section(w!(style.lang, "Labs that are up"), &table(&home.labs, style));
    text + &lines(&sentences::labs::home(style.lang, home))
}

pub(super) fn list(list: &List, style: Style) -> String {
    if list.labs.is_empty() { lines(&[sentences::labs::nothing_up(style.lang)]) } else { table(&list.labs, style).print(0) }
}

fn table(labs: &[Item], style: Style) -> Table {
    let headings = words!(style.lang, "LAB", "HOSTS", "CONTAINERS", "UP SINCE (UTC)");
    let mut table = Table::new(style, &headings).right(&[1, 2]);
    for lab in labs {
        let (hosts, containers) = (lab.hosts.len().to_string(), lab.containers().to_string());
        let name = lab.role.as_ref().map_or_else(|| lab.lab.to_string(), |role| format!("{} ({role})", lab.lab));
        table.row([name, hosts, containers, date(lab.since)]);
    }
    table
}

pub(super) fn down(downs: &Downs, style: Style) -> String {
    if downs.labs.is_empty() && downs.errors.is_empty() {
        return lines(&[sentences::labs::nothing_up(style.lang)]);
    }
    let mut text = String::new();
    for down in &downs.labs {
        text += &lines(&sentences::labs::down(style.lang, down));
    }
    text
}

pub(super) fn status(statuses: &Statuses, style: Style) -> String {
    if statuses.labs.is_empty() {
        return lines(&[sentences::labs::nothing_up(style.lang)]);
    }
    let each = statuses.labs.iter().map(|status| {
        let mut text = lines(&sentences::labs::status(style.lang, status));
        text += &commands(sentences::labs::missing(style.lang), &status.missing);
        text += &commands(sentences::labs::by_hand(style.lang), &status.by_hand);
        text + &indented(sentences::labs::foreign(style.lang, status).into_iter())
    });
    each.collect::<Vec<_>>().join("\n")
}

fn commands(title: &str, steps: &[Step]) -> String {
    if steps.is_empty() {
        return String::new();
    }
    let commands = steps.iter().flat_map(|step| &step.commands);
    format!("{title}\n{}", indented(commands.map(|command| typed::here(&escape(command)))))
}

fn indented(texts: impl Iterator<Item = String>) -> String {
    lines(&texts.map(|text| format!("  {text}")).collect::<Vec<_>>())
}

/// Seconds since 1970 as a date and a time of day (UTC).
fn date(seconds: u64) -> String {
    let (day, second) = (seconds / 86_400, seconds % 86_400);
    // Days from the civil calendar's era of 400 years, as in Howard Hinnant's `civil_from_days`.
    let shifted = day + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march = (5 * of_year + 2) / 153;
    let (day, month) = (of_year - (153 * march + 2) / 5 + 1, if march < 10 { march + 3 } else { march - 9 });
    let year = year + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}", second / 3600, second / 60 % 60)
}

#[cfg(test)]
mod tests {
    use super::date;

    #[test]
    fn seconds_read_as_a_date() {
        assert_eq!(date(0), "1970-01-01 00:00");
        assert_eq!(date(951_782_400), "2000-02-29 00:00");
        assert_eq!(date(1_795_477_019), "2026-11-23 23:36");
    }
}
