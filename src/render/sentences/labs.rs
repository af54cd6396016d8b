//! Labs and nodes.

use crate::render::escape::escape;
use crate::render::lang::{Lang, duration, n, quoted, t, w};
use crate::report::lab::{Condition, Down, Exercise, Hint, Namespace, Outcome, Reset, Status, Table, Up};
use crate::report::node::{Kind, Node};

/// The result of `up`.
pub fn up(lang: Lang, up: &Up) -> Vec<String> {
    let size = size(lang, up.hosts, up.containers);
    let lab = &up.lab;
    let operations = n!(lang, up.operations, "operation", "operations");
    let took = duration(up.milliseconds);
    let mut lines = vec![match up.outcome {
        Outcome::Created => t!(lang, "{lab} is up: {size}, {took}.", lab, size, took),
        Outcome::Already => t!(lang, "{lab} is already up, as described: {size}.", lab, size),
        Outcome::Changed => t!(lang, "{lab} was changed ({operations}): {size}, {took}.", lab, operations, size, took),
        Outcome::Completed => t!(lang, "{lab} was unfinished and is up now ({operations}): {size}.", lab, operations, size),
        Outcome::Repaired => {
            t!(lang, "{lab} had drifted and is as described again ({operations}): {size}.", lab, operations, size)
        }
    }];
    lines.extend(up.kept.as_ref().map(|kept| super::instances::kept(lang, kept)));
    lines.extend(up.others.iter().flat_map(|others| super::halves::told(lang, others)));
    match &up.hint {
        Some(Hint::Ping(ping)) if up.outcome != Outcome::Already => {
            let sudo = if ping.sudo { "sudo " } else { "" };
            lines.push(t!(lang, "Try: {command}", command = format!("{sudo}nslab ping {} {}", ping.from, ping.to)));
        }
        Some(Hint::Exercise(of)) => lines.extend(exercise(lang, of)),
        _ => {}
    }
    lines.extend(up.confirm_within.into_iter().flat_map(|seconds| super::nics::confirm(lang, lab.as_str(), seconds)));
    lines
}

/// What is typed to make a lab by hand.
pub fn exercise(lang: Lang, of: &Exercise) -> Vec<String> {
    let [shells, checks, plans] = of.typed();
    let below = |head: &str, lines: Vec<String>| {
        let lines = lines.into_iter().map(|line| format!("  {}", escape(&line)));
        std::iter::once(head.to_owned()).chain(lines).collect::<Vec<_>>()
    };
    [
        below(w!(lang, "Make it by hand, in a shell on each host:"), shells),
        below(w!(lang, "Have it judged while you type, in another terminal:"), checks),
        below(w!(lang, "One way to do it, command by command:"), plans),
    ]
    .concat()
}

/// The result of `down` for one lab.
pub fn down(lang: Lang, down: &Down) -> Vec<String> {
    let lab = &down.lab;
    let mut lines = vec![if down.was_up {
        t!(lang, "{lab} is down, {took}.", lab, took = duration(down.milliseconds))
    } else {
        t!(lang, "No lab {lab} is up; nothing to do.", lab = quoted(lang, lab))
    }];
    if !down.ended.is_empty() {
        let processes = n!(lang, down.ended.len(), "process", "processes");
        lines.push(t!(lang, "Ended {processes} in it:", processes));
        lines.extend(down.ended.iter().map(|process| format!("  {} {}", process.pid, escape(&process.command))));
    }
    lines.extend(down.left_alone.iter().map(|alone| super::nics::alone(lang, alone)));
    lines
}

/// The result of `reset`.
pub fn reset(lang: Lang, reset: &Reset) -> String {
    let Reset { lab, operations, namespaces, tables, .. } = reset;
    let more = |number: usize, gone: &str| if number == 0 { String::new() } else { format!(", {gone}") };
    match (reset.confirmed, operations + namespaces + tables) {
        (false, _) => t!(lang, "{lab} stays as it is.", lab),
        (true, 0) => t!(lang, "{lab} is as described; nothing to do.", lab),
        _ => t!(
            lang,
            "{lab} is as described again: {operations}{namespaces}{tables}.",
            lab,
            operations = n!(lang, *operations, "operation", "operations"),
            namespaces = more(*namespaces, &n!(lang, *namespaces, "namespace gone", "namespaces gone")),
            tables = more(*tables, &n!(lang, *tables, "packet filter table gone", "packet filter tables gone")),
        ),
    }
}

/// The condition of a lab, and what to type.
pub fn status(lang: Lang, status: &Status) -> Vec<String> {
    let size = size(lang, status.hosts, status.containers);
    let lab = &status.lab;
    let mut lines = vec![match status.condition {
        Condition::Up => t!(lang, "{lab} is up, as described: {size}.", lab, size),
        Condition::Unfinished => {
            t!(lang, "{lab} is unfinished: an up or a down was cut short. nslab up completes it, nslab down removes it.", lab)
        }
        Condition::Drifted => {
            t!(lang, "{lab} has drifted: something described is gone or changed. nslab up {lab} repairs it.", lab)
        }
        Condition::RolledBack => t!(
            lang,
            "{lab} was taken back: its records alone are left. nslab up {lab} makes it again, nslab down forgets it.",
            lab
        ),
        Condition::Stale => {
            t!(lang, "{lab} is from before the last restart; nothing of it is left. nslab up {lab} makes it again.", lab)
        }
    }];
    let made = match status.by_hand() {
        0 => t!(lang, "Nothing was made by hand"),
        number => t!(lang, "{things} by hand", things = n!(lang, number, "thing was made", "things were made")),
    };
    let processes = match status.processes {
        0 => t!(lang, "no process runs in it"),
        number => t!(lang, "{processes} in it", processes = n!(lang, number, "process runs", "processes run")),
    };
    lines.push(format!("{made}; {processes}."));
    if status.version != env!("CARGO_PKG_VERSION") {
        lines.push(t!(lang, "It was made by nslab {version}.", version = status.version));
    }
    lines.extend(status.half.as_ref().map(|half| super::role::half(lang, half)));
    let others = status.half.iter().filter_map(|half| half.others.as_ref());
    lines.extend(others.flat_map(|others| super::halves::told(lang, others)));
    lines.extend(super::agent::serving(lang, &status.agents, lab.as_str()));
    lines.extend(status.instances.as_ref().map(|kept| super::instances::kept(lang, kept)));
    lines.extend(status.nics.as_ref().map(|nics| super::nics::borrowed(lang, nics)));
    lines
}

/// What was made by hand and has no `ip` line: namespaces, packet filters.
pub fn foreign(lang: Lang, status: &Status) -> Vec<String> {
    let namespace =
        |one: &Namespace| t!(lang, "a namespace {name} inside {host}", name = quoted(lang, &one.name), host = one.host);
    let table = |one: &Table| {
        let (family, table, node) = (&one.family, quoted(lang, &one.table), &one.node);
        t!(lang, "a packet filter table {family} {table} in {node}", family, table, node)
    };
    status.namespaces.iter().map(namespace).chain(status.tables.iter().map(table)).collect()
}

/// A node's title: what it is, whether it forwards.
pub fn node(lang: Lang, node: &Node) -> String {
    let kind = match node.kind {
        Kind::Host => w!(lang, "a host"),
        Kind::Container => w!(lang, "a container"),
        Kind::Switch => w!(lang, "a switch"),
    };
    let forwards = match (node.forwarding.ipv4, node.forwarding.ipv6) {
        (Some(true), Some(true)) => w!(lang, "it forwards IPv4 and IPv6"),
        (Some(true), _) => w!(lang, "it forwards IPv4"),
        (_, Some(true)) => w!(lang, "it forwards IPv6"),
        (Some(false), Some(false)) => w!(lang, "it does not forward packets"),
        _ => "",
    };
    let (name, lab) = (node.node.replacen('.', "/", 1), &node.lab);
    if forwards.is_empty() {
        t!(lang, "{name} is {kind} of {lab}.", name, kind, lab)
    } else {
        t!(lang, "{name} is {kind} of {lab}; {forwards}.", name, kind, lab, forwards)
    }
}

/// A number of hosts and containers.
pub fn size(lang: Lang, hosts: usize, containers: usize) -> String {
    format!("{}, {}", n!(lang, hosts, "host", "hosts"), n!(lang, containers, "container", "containers"))
}

/// That no lab is up.
pub fn nothing_up(lang: Lang) -> String {
    t!(lang, "No lab is up.")
}

/// The title over what is missing in a lab.
pub fn missing(lang: Lang) -> &'static str {
    w!(lang, "To make it as described:")
}

/// The title over what was made by hand in a lab.
pub fn by_hand(lang: Lang) -> &'static str {
    w!(lang, "Made by hand:")
}

/// That no process runs.
pub fn no_processes(lang: Lang) -> String {
    t!(lang, "No process runs there.")
}
