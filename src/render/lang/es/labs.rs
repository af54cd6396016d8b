//! Sentences about labs and nodes.

use super::{count, quoted};
use crate::render::escape::escape;
use crate::report::lab::{Condition, Down, Exercise, Hint, Home, Namespace, Outcome, Reset, Status, Table, Up};
use crate::report::node::{Kind, Node};

pub(super) fn home(home: &Home) -> Vec<String> {
    let sudo = if home.privileged { "" } else { "sudo " };
    let Some(lab) = home.labs.first() else {
        return vec![
            "No hay ningún laboratorio en marcha. Para levantar uno:".to_owned(),
            format!("  {sudo}nslab up bridged"),
            "nslab help muestra los comandos, nslab doctor examina esta máquina.".to_owned(),
        ];
    };
    if !lab.exercise.is_empty() {
        return exercise(&home.exercise(lab));
    }
    let node = lab.hosts.iter().find_map(|host| host.containers.first()).or(lab.hosts.first().map(|host| &host.host));
    let node = node.map_or("NODE", String::as_str);
    vec![
        "A continuación:".to_owned(),
        format!("  {sudo}nslab exec {node} ip addr"),
        format!("  {sudo}nslab show {node}"),
        format!("  {sudo}nslab down {}", lab.lab),
    ]
}

pub(super) fn up(up: &Up, size: &str) -> Vec<String> {
    let lab = &up.lab;
    let operations = || count(up.operations, "operación", "operaciones");
    let mut lines = vec![match up.outcome {
        Outcome::Created => format!("{lab} está en marcha: {size}, {}.", duration(up.milliseconds)),
        Outcome::Already => format!("{lab} ya estaba en marcha, tal como se describe: {size}."),
        Outcome::Changed => format!("{lab} ha cambiado ({}): {size}, {}.", operations(), duration(up.milliseconds)),
        Outcome::Completed => format!("{lab} estaba a medias y ya está en marcha ({}): {size}.", operations()),
        Outcome::Repaired => format!("{lab} se había desviado y vuelve a ser como se describe ({}): {size}.", operations()),
    }];
    lines.extend(up.kept.as_ref().map(super::instances::kept));
    lines.extend(up.others.iter().flat_map(super::halves::told));
    match &up.hint {
        Some(Hint::Ping(ping)) if up.outcome != Outcome::Already => {
            let sudo = if ping.sudo { "sudo " } else { "" };
            lines.push(format!("Pruebe: {sudo}nslab ping {} {}", ping.from, ping.to));
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
        below("Hágalo a mano, en una shell de cada host:", shells),
        below("Para que se juzgue mientras escribe, en otro terminal:", checks),
        below("Una manera de hacerlo, comando a comando:", plans),
    ]
    .concat()
}

/// Milliseconds, or seconds where there are many.
pub(super) fn duration(milliseconds: f64) -> String {
    if milliseconds < 1000.0 { format!("{milliseconds:.0} ms") } else { format!("{:.1} s", milliseconds / 1000.0) }
}

fn made(by_hand: usize) -> String {
    if by_hand == 0 {
        "No hay nada hecho a mano".to_owned()
    } else {
        format!("Hay {} a mano", count(by_hand, "cosa hecha", "cosas hechas"))
    }
}

pub(super) fn down(down: &Down) -> Vec<String> {
    let lab = quoted(&down.lab);
    let mut lines = vec![if down.was_up {
        format!("{} está desmontado, {}.", escape(&down.lab), duration(down.milliseconds))
    } else {
        format!("No hay ningún laboratorio {lab} en marcha; nada que hacer.")
    }];
    if !down.ended.is_empty() {
        let processes = count(down.ended.len(), "proceso", "procesos");
        lines.push(format!("Al desmontarlo se ha puesto fin a {processes}:"));
        lines.extend(down.ended.iter().map(|process| format!("  {} {}", process.pid, escape(&process.command))));
    }
    lines.extend(down.left_alone.iter().map(super::nics::alone));
    lines
}

pub(super) fn reset(reset: &Reset) -> String {
    let Reset { lab, operations, namespaces, tables, .. } = reset;
    let more = |number: usize, one, many| {
        if number == 0 { String::new() } else { format!(", {}", count(number, one, many)) }
    };
    match (reset.confirmed, operations + namespaces + tables) {
        (false, _) => format!("{lab} se queda como está."),
        (true, 0) => format!("{lab} está como se describe; nada que hacer."),
        _ => format!(
            "{lab} vuelve a ser como se describe: {}{}{}.",
            count(*operations, "operación", "operaciones"),
            more(*namespaces, "namespace eliminado", "namespaces eliminados"),
            more(*tables, "tabla de filtrado eliminada", "tablas de filtrado eliminadas"),
        ),
    }
}

pub(super) fn status(status: &Status, size: &str) -> Vec<String> {
    let lab = &status.lab;
    let mut lines = vec![match status.condition {
        Condition::Up => format!("{lab} está en marcha, tal como se describe: {size}."),
        Condition::Unfinished => {
            format!("{lab} está a medias: se interrumpió un up o un down. nslab up lo completa, nslab down lo elimina.")
        }
        Condition::Drifted => {
            format!("{lab} se ha desviado: falta o ha cambiado algo de lo descrito. nslab up {lab} lo repara.")
        }
        Condition::RolledBack => {
            format!("{lab} se deshizo: solo quedan sus registros. nslab up {lab} lo hace de nuevo, nslab down lo olvida.")
        }
        Condition::Stale => {
            format!("{lab} es de antes del último arranque; no queda nada de él. nslab up {lab} lo hace de nuevo.")
        }
    }];
    let processes = match status.processes {
        0 => "no hay ningún proceso en él".to_owned(),
        number => format!("hay {} en él", count(number, "proceso", "procesos")),
    };
    lines.push(format!("{}; {processes}.", made(status.by_hand())));
    if status.version != env!("CARGO_PKG_VERSION") {
        lines.push(format!("Lo hizo nslab {}.", escape(&status.version)));
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
    let namespace = |one: &Namespace| format!("un namespace {} dentro de {}", quoted(&one.name), one.host);
    let table = |one: &Table| format!("una tabla de filtrado {} {} en {}", escape(&one.family), quoted(&one.table), one.node);
    status.namespaces.iter().map(namespace).chain(status.tables.iter().map(table)).collect()
}

pub(super) fn node(node: &Node) -> String {
    let kind = match node.kind {
        Kind::Host => "un host",
        Kind::Container => "un contenedor",
        Kind::Switch => "un switch",
    };
    let forwards = match (node.forwarding.ipv4, node.forwarding.ipv6) {
        (Some(true), Some(true)) => "; reenvía IPv4 e IPv6",
        (Some(true), _) => "; reenvía IPv4",
        (_, Some(true)) => "; reenvía IPv6",
        (Some(false), Some(false)) => "; no reenvía paquetes",
        _ => "",
    };
    format!("{} es {kind} de {}{forwards}.", node.node.replacen('.', "/", 1), node.lab)
}
