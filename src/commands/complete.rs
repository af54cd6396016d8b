//! What the shell offers for a word: topologies, labs, nodes.

use std::ffi::OsStr;

use clap_complete::engine::{CompletionCandidate, PathCompleter, ValueCompleter};

use crate::lab;
use crate::lab::resolve;
use crate::topology::catalog;

fn starting(current: &OsStr, words: impl IntoIterator<Item = String>) -> Vec<CompletionCandidate> {
    let Some(current) = current.to_str() else { return Vec::new() };
    words.into_iter().filter(|word| word.starts_with(current)).map(CompletionCandidate::new).collect()
}

fn built_ins() -> impl Iterator<Item = String> {
    catalog::names().map(str::to_owned)
}

fn lab_names() -> Vec<String> {
    lab::names().into_iter().map(|entry| entry.lab.into()).collect()
}

/// Built-in topologies.
pub(super) fn names(current: &OsStr) -> Vec<CompletionCandidate> {
    starting(current, built_ins())
}

/// Built-in topologies and files.
pub(super) fn topologies(current: &OsStr) -> Vec<CompletionCandidate> {
    let mut found = names(current);
    found.extend(PathCompleter::any().complete(current));
    found
}

/// Labs that are up.
pub(super) fn labs(current: &OsStr) -> Vec<CompletionCandidate> {
    starting(current, lab_names())
}

/// Built-in topologies, labs and files.
pub(super) fn plans(current: &OsStr) -> Vec<CompletionCandidate> {
    let mut found = labs(current);
    let new = topologies(current);
    found.extend(new.into_iter().filter(|one| !lab_names().iter().any(|lab| one.get_value() == OsStr::new(lab))));
    found
}

/// Nodes of the labs that are up, as short as they can be typed; once a lab or host is typed, what it has.
pub(super) fn nodes(current: &OsStr) -> Vec<CompletionCandidate> {
    let labs = lab::names();
    let typed = current.to_str().unwrap_or_default();
    let mut words = Vec::new();
    for entry in &labs {
        for (node, short) in resolve::shortest(entry) {
            if typed.contains('/') {
                words.push(resolve::word(&node));
                words.push(format!("{}/{short}", entry.lab));
                words.push(format!("{}/{}", entry.lab, resolve::word(&node)));
            } else {
                words.push(short);
            }
        }
    }
    words.sort();
    words.dedup();
    starting(current, words)
}

/// Hosts of the labs that are up, for a name to follow.
pub(super) fn hosts(current: &OsStr) -> Vec<CompletionCandidate> {
    let labs = lab::names();
    starting(current, labs.iter().flat_map(|entry| entry.hosts.iter().map(|(host, _)| format!("{host}/"))))
}

/// Labs and nodes.
pub(super) fn labs_and_nodes(current: &OsStr) -> Vec<CompletionCandidate> {
    let mut found = labs(current);
    found.extend(nodes(current));
    found
}

/// Where frames can be watched: nodes, and everything.
pub(super) fn points(current: &OsStr) -> Vec<CompletionCandidate> {
    let mut found = nodes(current);
    found.extend(starting(current, [crate::probe::capture::points::ALL.to_owned()]));
    found
}
