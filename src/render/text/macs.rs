//! Which MAC addresses cross the networks, as text: one lab after the other, or two side by side.

use super::trace::broken;
use crate::render::Style;
use crate::render::escape::escape;
use crate::render::lang::{w, words};
use crate::render::lines;
use crate::render::sentences;
use crate::render::sentences::macs::Beside;
use crate::render::table::Table;
use crate::report::macs::{Census, Kind, Macs, Network, Reason, Source};
use crate::report::wire::Interface;

/// The columns of a terminal that nobody made wider.
const WIDTH: usize = 80;
/// So many rows of a table are shown.
const ROWS: usize = 24;
/// So many addresses of one host are shown side by side with another lab's.
const EACH: usize = 8;

pub(super) fn macs(found: &Macs, style: Style) -> String {
    let all: Vec<(&Census, &Network)> =
        found.labs.iter().flat_map(|lab| lab.networks.iter().map(move |network| (lab, network))).collect();
    if let [one, other] = all.as_slice()
        && found.labs.len() == 2
        && let Some(table) = beside([*one, *other], style)
    {
        return table + &all.iter().map(|(lab, network)| below(lab, network, style)).collect::<String>();
    }
    let blocks: Vec<String> = found.labs.iter().map(|lab| whole(lab, style)).collect();
    blocks.join("\n")
}

/// A lab's networks, one after the other.
fn whole(lab: &Census, style: Style) -> String {
    if lab.networks.is_empty() {
        return lines(&[sentences::macs::no_network(style.lang, lab)]);
    }
    let blocks: Vec<String> = lab.networks.iter().map(|network| block(lab, network, style)).collect();
    blocks.join("\n")
}

fn block(lab: &Census, network: &Network, style: Style) -> String {
    let title = sentences::macs::network(style.lang, lab, network);
    let title = title.iter().enumerate().flat_map(|(at, line)| {
        let bold = move |line: String| if at == 0 { style.bold(&line) } else { line };
        broken("", "  ", line).into_iter().map(bold)
    });
    let mut text = lines(&title.collect::<Vec<_>>());
    if !network.sources.is_empty() {
        text += "\n";
        text += &sources(lab, network, style);
        text += "\n";
    }
    let said = |sentences: &[String]| {
        let each = sentences.iter().flat_map(|sentence| broken("", "  ", sentence));
        lines(&each.collect::<Vec<_>>())
    };
    text += &said(&sentences::macs::reasons(style.lang, lab, network));
    if !network.table.is_empty() {
        text += "\n";
        text += &style.bold(sentences::macs::forwarding_table(style.lang, network.kind));
        text += "\n";
        text += &forwarding(lab, network, style);
    }
    text += "\n";
    text + &said(&sentences::macs::lesson(style.lang, lab, network))
}

fn owners(owners: &[Interface], lab: &Census, style: Style) -> String {
    if owners.is_empty() {
        return w!(style.lang, "?").to_owned();
    }
    owners.iter().map(|owner| lab.names.interface(owner)).collect::<Vec<_>>().join(", ")
}

fn sources(lab: &Census, network: &Network, style: Style) -> String {
    let headings = words!(style.lang, "MAC", "OWNER", "FROM", "FRAMES", "TO ALL", "WHY");
    let mut table = Table::new(style, &headings).right(&[3, 4]);
    for source in network.sources.iter().take(ROWS) {
        table.row([
            source.mac.as_str(),
            &owners(&source.owners, lab, style),
            &lab.names.node(&source.side.node),
            &source.frames.to_string(),
            &source.broadcasts.to_string(),
            sentences::macs::reason(style.lang, source.reason),
        ]);
    }
    table.print(0) + &rest(network.sources.len(), style)
}

fn forwarding(lab: &Census, network: &Network, style: Style) -> String {
    let switch = network.kind == Kind::Switch;
    let mut headings = words!(style.lang, "PORT", "MAC", "OWNER").to_vec();
    headings.extend(switch.then_some(w!(style.lang, "AGE")));
    let mut table = Table::new(style, &headings);
    for entry in network.table.iter().take(ROWS) {
        let mut row = vec![entry.port.clone(), entry.mac.clone(), owners(&entry.owners, lab, style)];
        let fixed = || w!(style.lang, "static").to_owned();
        row.extend(switch.then(|| entry.age.map_or_else(fixed, |age| format!("{age:.1} s"))));
        table.row(row);
    }
    table.print(0) + &rest(network.table.len(), style)
}

/// That there are more rows.
fn rest(rows: usize, style: Style) -> String {
    if rows > ROWS { lines(&[sentences::macs::more(style.lang, rows - ROWS)]) } else { String::new() }
}

/// Two networks side by side; none where they are too wide for it.
fn beside(columns: [(&Census, &Network); 2], style: Style) -> Option<String> {
    let mut rows: Vec<(String, [Vec<String>; 2])> = Vec::new();
    let mut row = |title: String, cells: &dyn Fn(&Census, &Network) -> Vec<String>| {
        rows.push((title, columns.map(|(lab, network)| cells(lab, network))));
    };
    row(String::new(), &|lab, _| vec![lab.lab.clone()]);
    row(sentences::macs::beside(style.lang, Beside::Network).to_owned(), &|_, network| vec![network.network.clone()]);
    row(sentences::macs::beside(style.lang, Beside::Answered).to_owned(), &|lab, _| {
        lab.pings.iter().map(|pings| format!("{} / {}", pings.answered, pings.pairs)).collect()
    });
    row(sentences::macs::beside(style.lang, Beside::Addresses).to_owned(), &|_, network| vec![network.addresses().to_string()]);
    row(sentences::macs::beside(style.lang, Beside::Each).to_owned(), &|_, network| vec![growth(network, style)]);
    let mut hosts: Vec<String> = Vec::new();
    for (lab, network) in columns {
        for end in &network.ends {
            let host = lab.names.node(&end.node);
            if !hosts.contains(&host) {
                hosts.push(host);
            }
        }
    }
    for host in &hosts {
        row(format!("{} {host}", sentences::macs::beside(style.lang, Beside::From)), &|lab, network| {
            from(host, lab, network, style)
        });
    }
    let title = rows.iter().map(|(title, _)| title.chars().count()).max()? + 2;
    let first = rows.iter().flat_map(|(_, [cells, _])| cells).map(|cell| cell.chars().count()).max()? + 2;
    let second = rows.iter().flat_map(|(_, [_, cells])| cells).map(|cell| cell.chars().count()).max()?;
    if title + first + second > WIDTH {
        return None;
    }
    let mut told = Vec::new();
    for (number, (name, [left, right])) in rows.iter().enumerate() {
        for at in 0..left.len().max(right.len()).max(1) {
            let cell = |cells: &[String]| escape(cells.get(at).map_or("", String::as_str)).into_owned();
            let name = if at == 0 { name.as_str() } else { "" };
            let line = format!("{name:title$}{:first$}{}", cell(left), cell(right)).trim_end().to_owned();
            told.push(if number == 0 { style.bold(&line) } else { line });
        }
    }
    Some(lines(&told))
}

/// What one more container adds.
fn growth(network: &Network, style: Style) -> String {
    let how = |wanted: Reason| network.hosts.iter().any(|part| part.how == wanted);
    sentences::macs::growth(style.lang, how(Reason::Bridged), how(Reason::Routed)).to_owned()
}

/// The addresses that come from a host.
fn from(host: &str, lab: &Census, network: &Network, style: Style) -> Vec<String> {
    let its: Vec<&Source> = network.sources.iter().filter(|source| lab.names.node(&source.side.node) == host).collect();
    let mut cells: Vec<String> =
        its.iter().take(EACH).map(|source| format!("{} {}", source.mac, owners(&source.owners, lab, style))).collect();
    if its.len() > EACH {
        cells.push(sentences::macs::more(style.lang, its.len() - EACH));
    }
    cells
}

/// Under the table: why, and what follows, for one of the two.
fn below(lab: &Census, network: &Network, style: Style) -> String {
    let mut told = vec![String::new(), style.bold(&escape(&lab.lab))];
    for sentence in
        sentences::macs::reasons(style.lang, lab, network).iter().chain(&sentences::macs::lesson(style.lang, lab, network))
    {
        told.extend(broken("  ", "    ", sentence));
    }
    lines(&told)
}
