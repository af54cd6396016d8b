//! What the command line tells of itself, `completions` and `man`, and what the shell offers for a word.

use std::ffi::OsStr;

use clap_complete::engine::{CompletionCandidate, PathCompleter, ValueCompleter};
use clap_complete::env::{Bash, EnvCompleter, Fish, Zsh};

use super::{Context, Run};
use crate::error::{Error, Result};
use crate::lab::{self, resolve};
use crate::render::Printed;
use crate::topology::catalog;

/// The variable by which the shell's script asks for completions.
pub const VARIABLE: &str = "NSLAB_COMPLETE";

/// Print the completion script of a shell; it knows the labs and nodes that are up
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  nslab completions bash > ~/.local/share/bash-completion/completions/nslab\n  source <(nslab completions bash)"
)]
pub struct Completions {
    /// The shell
    shell: Shell,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Run for Completions {
    type Out = Printed;

    fn run(self, _context: &mut Context) -> Result<Self::Out> {
        let shell: &dyn EnvCompleter = match self.shell {
            Shell::Bash => &Bash,
            Shell::Zsh => &Zsh,
            Shell::Fish => &Fish,
        };
        let mut script = Vec::new();
        shell
            .write_registration(VARIABLE, "nslab", "nslab", "nslab", &mut script)
            .map_err(|error| Error::Output { errno: error.raw_os_error().unwrap_or(libc::EIO) })?;
        Ok(Printed::text(String::from_utf8_lossy(&script).trim_start()))
    }
}

/// Print the manual page, or that of a command
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  nslab man | man -l -")]
pub struct Man {
    /// The command
    command: Option<String>,
}

impl Run for Man {
    type Out = Printed;

    fn run(self, context: &mut Context) -> Result<Self::Out> {
        let mut grammar = context.front.grammar();
        grammar.build();
        let page = match &self.command {
            None => grammar,
            Some(word) => grammar.find_subcommand(word).cloned().ok_or_else(|| unknown(word, &grammar))?,
        };
        let mut text = Vec::new();
        clap_mangen::Man::new(page)
            .render(&mut text)
            .map_err(|error| Error::Output { errno: error.raw_os_error().unwrap_or(libc::EIO) })?;
        Ok(Printed::text(String::from_utf8_lossy(&text)))
    }
}

fn unknown(word: &str, grammar: &clap::Command) -> Error {
    let names = grammar.get_subcommands().filter(|command| !command.is_hide_set());
    let names = names.map(|command| command.get_name().to_owned()).collect();
    let candidates = crate::lab::resolve::near(word, names);
    Error::Unknown { what: crate::error::Thing::Command, word: word.to_owned(), candidates }
}

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
