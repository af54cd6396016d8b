//! Pings as text.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::render::Style;
use crate::render::escape::escape;
use crate::render::lines;
use crate::render::sentences;
use crate::render::sentences::ping::{Failing, Mark, Way};
use crate::report::ping::{Attempt, Event, Family, Matrix, Pair, Party, Ping, Recorded, Start};

/// The columns of a terminal that nobody made wider.
const WIDTH: usize = 80;
/// So many pairs are named; the rest is counted.
const NAMED: usize = 12;

pub(crate) fn event(start: &Start, event: &Event, before: Option<&Recorded>, style: Style) -> String {
    let mut told = vec![sentences::ping::event(style.lang, start, event)];
    if let Event::Reply(reply) = event
        && let Some(route) = &reply.route
    {
        if before == Some(route) {
            told.push(format!("  {}", sentences::ping::recorded(style.lang, Way::AsBefore)));
        } else {
            let width = [Way::There, Way::Back]
                .map(|way| sentences::ping::recorded(style.lang, way).chars().count())
                .into_iter()
                .max()
                .unwrap_or(0)
                + 1;
            for (way, parties) in [(Way::There, &route.there), (Way::Back, &route.back)] {
                told.extend(parties.iter().enumerate().map(|(at, party)| {
                    let title = if at == 0 { sentences::ping::recorded(style.lang, way) } else { "" };
                    format!("  {title:width$}{}", address(party, start))
                }));
            }
        }
    }
    lines(&told)
}

fn address(party: &Party, start: &Start) -> String {
    let owner = party.owner.as_ref().map(|owner| escape(&start.names.interface(owner)).into_owned()).unwrap_or_default();
    format!("{:15} {owner}", party.address.to_string()).trim_end().to_owned()
}

pub(super) fn end(ping: &Ping, style: Style) -> String {
    let routes = ping.events.iter().filter_map(|event| if let Event::Reply(reply) = event { reply.route.as_ref() } else { None });
    let full = routes.clone().any(|route| route.full);
    let mut told = vec![String::new()];
    told.extend(sentences::ping::end(style.lang, ping));
    if routes.count() > 0 {
        told.extend(sentences::ping::recorded_note(style.lang, full));
    }
    lines(&told)
}

pub(super) fn matrix(matrix: &Matrix, style: Style) -> String {
    let mut told = square(matrix, style)
        .unwrap_or_else(|| groups(matrix).iter().map(|group| sentences::ping::failing(style.lang, group)).collect());
    told.extend(sentences::ping::matrix_end(style.lang, matrix));
    lines(&told)
}

fn mark(pair: Option<&Pair>) -> Mark {
    let Some(pair) = pair else { return Mark::Answered };
    let by = |family| pair.attempts.iter().any(|attempt| attempt.family == family && attempt.answered);
    match (pair.attempts.as_slice(), by(Family::Ipv4), by(Family::Ipv6)) {
        ([], ..) => Mark::NoAddress,
        (_, true, _) => Mark::Only4,
        (_, _, true) => Mark::Only6,
        _ => Mark::Failed,
    }
}

fn letter(mark: Mark) -> char {
    match mark {
        Mark::Answered => '.',
        Mark::Only4 => '4',
        Mark::Only6 => '6',
        Mark::Failed => 'X',
        Mark::NoAddress => '?',
    }
}

/// The matrix as a square; none where it is too wide.
fn square(matrix: &Matrix, style: Style) -> Option<Vec<String>> {
    if matrix.pairs == 0 {
        return None;
    }
    let names: Vec<String> = matrix.nodes.iter().map(|node| escape(&matrix.names.node(node)).into_owned()).collect();
    let label = names.iter().map(String::len).max().unwrap_or(0);
    if label + names.iter().map(|name| name.len() + 2).sum::<usize>() > WIDTH {
        return None;
    }
    let failed: HashMap<(&str, &str), &Pair> =
        matrix.failed.iter().map(|pair| ((pair.from.as_str(), pair.to.as_str()), pair)).collect();
    let mut seen = BTreeSet::new();
    let heading = names.join("  ");
    let mut told = vec![style.bold(&format!("{:label$}  {heading}", ""))];
    for (from, name) in matrix.nodes.iter().zip(&names) {
        let cells = matrix.nodes.iter().zip(&names).map(|(to, column)| {
            let width = column.len();
            let cell = if from == to {
                '-'
            } else {
                let mark = mark(failed.get(&(from.as_str(), to.as_str())).copied());
                seen.insert(mark);
                letter(mark)
            };
            format!("{cell:>width$}")
        });
        let cells: Vec<String> = cells.collect();
        told.push(format!("{name:label$}  {}", cells.join("  ")));
    }
    let seen: Vec<Mark> = seen.into_iter().collect();
    told.push(String::new());
    if seen != [Mark::Answered] && !seen.is_empty() {
        told.push(sentences::ping::marks(style.lang, &seen));
    }
    Some(told)
}

/// What failed, by nodes and by hosts where all of it did, else by pairs.
fn groups(matrix: &Matrix) -> Vec<Failing> {
    let count = matrix.nodes.len();
    let dead = |pair: &&Pair| pair.attempts.iter().all(|attempt: &Attempt| !attempt.answered);
    let mut with: HashMap<&str, usize> = HashMap::new();
    for pair in matrix.failed.iter().filter(dead) {
        *with.entry(&pair.from).or_default() += 1;
        *with.entry(&pair.to).or_default() += 1;
    }
    let cut_off: HashSet<&str> =
        matrix.nodes.iter().map(String::as_str).filter(|node| with.get(node) == Some(&(2 * (count - 1)))).collect();
    // Where nobody answers anybody, the nodes are not the matter.
    let cut_off = if cut_off.len() > NAMED { HashSet::new() } else { cut_off };
    let mut found: Vec<Failing> = matrix
        .nodes
        .iter()
        .filter(|node| cut_off.contains(node.as_str()))
        .map(|node| Failing::Node(matrix.names.node(node)))
        .collect();
    let rest: Vec<&Pair> =
        matrix.failed.iter().filter(|pair| ![&pair.from, &pair.to].iter().any(|node| cut_off.contains(node.as_str()))).collect();
    let host = |node: &str| node.split('.').next().unwrap_or_default().to_owned();
    let mut sizes: HashMap<String, usize> = HashMap::new();
    matrix
        .nodes
        .iter()
        .filter(|node| !cut_off.contains(node.as_str()))
        .for_each(|node| *sizes.entry(host(node)).or_default() += 1);
    let mut by_hosts: BTreeMap<(String, String), Vec<&Pair>> = BTreeMap::new();
    for pair in rest {
        by_hosts.entry((host(&pair.from), host(&pair.to))).or_default().push(pair);
    }
    let mut named = 0;
    for ((from, to), pairs) in by_hosts {
        let (here, there) = (sizes.get(&from).copied().unwrap_or(0), sizes.get(&to).copied().unwrap_or(0));
        let all = if from == to { here * (here - 1) } else { here * there };
        if pairs.len() == all && pairs.len() > 1 && pairs.iter().all(dead) {
            found.push(Failing::Hosts(from, to, all));
            continue;
        }
        for pair in pairs {
            if named < NAMED {
                let faults = pair.attempts.iter().filter_map(|attempt| attempt.fault).collect();
                found.push(Failing::Pair(matrix.names.node(&pair.from), matrix.names.node(&pair.to), mark(Some(pair)), faults));
            }
            named += 1;
        }
    }
    if named > NAMED {
        found.push(Failing::More(named - NAMED));
    }
    found
}
