//! Sentences about labs and nodes.

use super::{count, quoted};
use crate::render::escape::escape;
use crate::report::lab::{Condition, Down, Exercise, Hint, Home, Namespace, Outcome, Reset, Status, Table, Up};
use crate::report::node::{Kind, Node};

pub(super) fn home(home: &Home) -> Vec<String> {
    let sudo = if home.privileged { "" } else { "sudo " };
    let Some(lab) = home.labs.first() else {
        return vec![
            "No lab is up. Bring one up:".to_owned(),
            format!("  {sudo}nslab up bridged"),
            "nslab help lists the commands, nslab doctor looks at this machine.".to_owned(),
        ];
    };
    if !lab.exercise.is_empty() {
        return exercise(&home.exercise(lab));
    }
    let node = lab.hosts.iter().find_map(|host| host.containers.first()).or(lab.hosts.first().map(|host| &host.host));
    let node = node.map_or("NODE", String::as_str);
    vec![
        "Next:".to_owned(),
        format!("  {sudo}nslab exec {node} ip addr"),
        format!("  {sudo}nslab show {node}"),
        format!("  {sudo}nslab down {}", lab.lab),
    ]
}

pub(super) fn up(up: &Up, size: &str) -> Vec<String> {
    let lab = &up.lab;
    let operations = || count(up.operations, "operation", "operations");
    let mut lines = vec![match up.outcome {
        Outcome::Created => format!("{lab} is up: {size}, {}.", duration(up.milliseconds)),
        Outcome::Already => format!("{lab} is already up, as described: {size}."),
        Outcome::Changed => format!("{lab} was changed ({}): {size}, {}.", operations(), duration(up.milliseconds)),
        Outcome::Completed => format!("{lab} was unfinished and is up now ({}): {size}.", operations()),
        Outcome::Repaired => format!("{lab} had drifted and is as described again ({}): {size}.", operations()),
    }];
    lines.extend(up.kept.as_ref().map(super::instances::kept));
    lines.extend(up.others.iter().flat_map(super::halves::told));
    match &up.hint {
        Some(Hint::Ping(ping)) if up.outcome != Outcome::Already => {
            let sudo = if ping.sudo { "sudo " } else { "" };
            lines.push(format!("Try: {sudo}nslab ping {} {}", ping.from, ping.to));
        }
        Some(Hint::Exercise(of)) => lines.extend(exercise(of)),
        _ => {}
    }
    lines.extend(up.confirm_within.into_iter().flat_map(|seconds| super::nics::confirm(lab, seconds)));
    lines
}

/// What is typed to make a lab by hand.
fn exercise(of: &Exercise) -> Vec<String> {
    let [shells, checks, plans] = of.typed();
    let below = |head: &str, lines: Vec<String>| {
        let lines = lines.into_iter().map(|line| format!("  {}", escape(&line)));
        std::iter::once(head.to_owned()).chain(lines).collect::<Vec<_>>()
    };
    [
        below("Make it by hand, in a shell on each host:", shells),
        below("Have it judged while you type, in another terminal:", checks),
        below("One way to do it, command by command:", plans),
    ]
    .concat()
}

/// Milliseconds, or seconds where there are many.
pub(super) fn duration(milliseconds: f64) -> String {
    if milliseconds < 1000.0 { format!("{milliseconds:.0} ms") } else { format!("{:.1} s", milliseconds / 1000.0) }
}

fn made(by_hand: usize) -> String {
    if by_hand == 0 { "Nothing was".to_owned() } else { count(by_hand, "thing was", "things were") }
}

pub(super) fn down(down: &Down) -> Vec<String> {
    let lab = quoted(&down.lab);
    let mut lines = vec![if down.was_up {
        format!("{} is down, {}.", escape(&down.lab), duration(down.milliseconds))
    } else {
        format!("No lab {lab} is up; nothing to do.")
    }];
    if !down.ended.is_empty() {
        lines.push(format!("Ended {} in it:", count(down.ended.len(), "process", "processes")));
        lines.extend(down.ended.iter().map(|process| format!("  {} {}", process.pid, escape(&process.command))));
    }
    lines.extend(down.left_alone.iter().map(super::nics::alone));
    lines
}

pub(super) fn reset(reset: &Reset) -> String {
    let Reset { lab, operations, namespaces, tables, .. } = reset;
    let more =
        |number: usize, one, many| if number == 0 { String::new() } else { format!(", {} gone", count(number, one, many)) };
    match (reset.confirmed, operations + namespaces + tables) {
        (false, _) => format!("{lab} stays as it is."),
        (true, 0) => format!("{lab} is as described; nothing to do."),
        _ => format!(
            "{lab} is as described again: {}{}{}.",
            count(*operations, "operation", "operations"),
            more(*namespaces, "namespace", "namespaces"),
            more(*tables, "packet filter table", "packet filter tables"),
        ),
    }
}

pub(super) fn status(status: &Status, size: &str) -> Vec<String> {
    let lab = &status.lab;
    let mut lines = vec![match status.condition {
        Condition::Up => format!("{lab} is up, as described: {size}."),
        Condition::Unfinished => {
            format!("{lab} is unfinished: an up or a down was cut short. nslab up completes it, nslab down removes it.")
        }
        Condition::Drifted => {
            format!("{lab} has drifted: something described is gone or changed. nslab up {lab} repairs it.")
        }
        Condition::RolledBack => {
            format!("{lab} was taken back: its records alone are left. nslab up {lab} makes it again, nslab down forgets it.")
        }
        Condition::Stale => {
            format!("{lab} is from before the last restart; nothing of it is left. nslab up {lab} makes it again.")
        }
    }];
    let processes = match status.processes {
        0 => "no process runs".to_owned(),
        number => count(number, "process runs", "processes run"),
    };
    lines.push(format!("{} made by hand; {processes} in it.", made(status.by_hand())));
    if status.version != env!("CARGO_PKG_VERSION") {
        lines.push(format!("It was made by nslab {}.", escape(&status.version)));
    }
    lines.extend(status.half.as_ref().map(super::role::half));
    lines.extend(status.half.iter().filter_map(|half| half.others.as_ref()).flat_map(super::halves::told));
    lines.extend(super::agent::serving(&status.agents, lab));
    lines.extend(status.instances.as_ref().map(super::instances::kept));
    lines.extend(status.nics.as_ref().map(super::nics::borrowed));
    lines
}

/// What was made by hand and has no `ip` line.
pub(super) fn foreign(status: &Status) -> Vec<String> {
    let namespace = |one: &Namespace| format!("a namespace {} inside {}", quoted(&one.name), one.host);
    let table = |one: &Table| format!("a packet filter table {} {} in {}", escape(&one.family), quoted(&one.table), one.node);
    status.namespaces.iter().map(namespace).chain(status.tables.iter().map(table)).collect()
}

pub(super) fn node(node: &Node) -> String {
    let kind = match node.kind {
        Kind::Host => "a host",
        Kind::Container => "a container",
        Kind::Switch => "a switch",
    };
    let forwards = match (node.forwarding.ipv4, node.forwarding.ipv6) {
        (Some(true), Some(true)) => "; it forwards IPv4 and IPv6",
        (Some(true), _) => "; it forwards IPv4",
        (_, Some(true)) => "; it forwards IPv6",
        (Some(false), Some(false)) => "; it does not forward packets",
        _ => "",
    };
    format!("{} is {kind} of {}{forwards}.", node.node.replacen('.', "/", 1), node.lab)
}
