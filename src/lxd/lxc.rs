//! `lxc`, where the stock client is not installed: its verbs, options and tables, for what a lab needs.

#![allow(rustdoc::broken_intra_doc_links, reason = "what is in brackets in a help text may be left out")]

mod config;
mod instance;
mod list;
mod remote;

use std::fmt::Write;
use std::path::PathBuf;

use serde_json::Value;

use crate::commands::{Context, Run};
use crate::error::{Error, RemoteFault, Result};
use crate::lxd::client::{Client, Remote, Store, directory};
use crate::render::escape::escape;
use crate::render::{Printed, Style, sentences};
use list::{OPERATIONS, PROFILES, PROJECTS, STORAGE};

/// Command line client of LXD's API, by nslab
#[derive(Debug, clap::Parser)]
#[command(name = "lxc", version, max_term_width = 100, disable_help_subcommand = false)]
pub struct Lxc {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List instances
    #[command(alias = "ls")]
    List(list::List),
    /// Make an instance from an image and start it
    Launch(instance::Made),
    /// Make an instance from an image
    Init(instance::Made),
    /// Start instances
    Start(instance::Names),
    /// Stop instances
    Stop(instance::Stop),
    /// Restart instances
    Restart(instance::Restart),
    /// Pause instances; start lets them go on
    Pause(instance::Names),
    /// Delete instances
    #[command(alias = "rm")]
    Delete(instance::Delete),
    /// Rename an instance that is stopped
    #[command(alias = "move", alias = "mv")]
    Rename {
        /// The instance: [REMOTE:]NAME
        name: String,
        /// The new name
        to: String,
    },
    /// Run a command in an instance
    Exec(instance::Exec),
    /// Attach to an instance's console
    Console {
        /// The instance: [REMOTE:]NAME
        name: String,
        /// Print what the console has shown
        #[arg(long)]
        show_log: bool,
    },
    /// Files of instances
    #[command(subcommand)]
    File(instance::File),
    /// Show a server or an instance
    Info(list::Info),
    /// Settings of instances and of servers
    #[command(subcommand)]
    Config(config::Config),
    /// Networks of the server
    #[command(subcommand)]
    Network(config::Network),
    /// Servers that are known by a name
    #[command(subcommand)]
    Remote(remote::Remotes),
    /// Images of the server
    #[command(subcommand)]
    Image(list::Image),
    /// Profiles of the server
    #[command(subcommand)]
    Profile(list::Look),
    /// Projects of the server
    #[command(subcommand)]
    Project(list::Look),
    /// Storage pools of the server
    #[command(subcommand)]
    Storage(list::Look),
    /// What the server works on
    #[command(subcommand)]
    Operation(list::Look),
    /// Send a request and print what the server tells
    Query(list::Query),
    /// Print what happens on a server, until Ctrl-C
    Monitor(list::Monitor),
    /// Print the version
    Version,
}

impl Run for Lxc {
    type Out = Printed;

    fn run(self, context: &mut Context) -> Result<Printed> {
        let text = match self.verb {
            Verb::List(list) => list.run(),
            Verb::Launch(made) => made.launch(context),
            Verb::Init(made) => made.make(context).map(done),
            Verb::Start(names) => names.start(),
            Verb::Stop(stop) => stop.run(),
            Verb::Restart(restart) => restart.run(),
            Verb::Pause(names) => names.pause(),
            Verb::Delete(delete) => delete.run(),
            Verb::Rename { name, to } => {
                let (client, name) = reach(&name)?;
                client.rename(name, to.split_once(':').map_or(to.as_str(), |(_, name)| name)).map(done)
            }
            Verb::Exec(exec) => return exec.run().map(Printed::exit),
            Verb::Console { name, show_log } => instance::console(&name, show_log, context),
            Verb::File(file) => file.run().map(done),
            Verb::Info(info) => info.run(),
            Verb::Config(config) => config.run(),
            Verb::Network(network) => network.run(),
            Verb::Remote(remote) => remote.run(context),
            Verb::Image(image) => image.run(),
            Verb::Profile(look) => look.run(&PROFILES),
            Verb::Project(look) => look.run(&PROJECTS),
            Verb::Storage(look) => look.run(&STORAGE),
            Verb::Operation(look) => look.run(&OPERATIONS),
            Verb::Query(query) => query.run(),
            Verb::Monitor(monitor) => monitor.run(context).map(done),
            Verb::Version => Ok(concat!(env!("CARGO_PKG_VERSION"), "\n").to_owned()),
        };
        text.map(Printed::text)
    }
}

/// The remote that is this machine's own socket.
const LOCAL: &str = "local";

/// The stock client's directory: `LXD_CONF`, else `~/.config/lxc`.
fn store() -> Result<Store> {
    Store::open(directory("LXD_CONF").unwrap_or_else(|| directory("HOME").unwrap_or_default().join(".config/lxc")))
}

/// The socket of LXD or the agent: in `LXD_DIR`, else where LXD usually is.
fn socket() -> PathBuf {
    directory("LXD_DIR").unwrap_or_else(|| PathBuf::from("/var/lib/lxd")).join("unix.socket")
}

/// `[REMOTE:]NAME`: the remote that is meant, and the name.
fn parse<'a>(store: &Store, word: &'a str) -> (String, &'a str) {
    match word.split_once(':') {
        Some((remote, name)) => (remote.to_owned(), name),
        None => (store.default_remote(), word),
    }
}

/// A client of a remote.
fn client(store: &Store, remote: &str) -> Result<Client> {
    let known = store.find(remote);
    if known.is_err() && remote == LOCAL {
        return Client::new(&Remote::socket(LOCAL, &socket()), None);
    }
    let known = known?;
    let identity = if known.fingerprint.is_some() { Some(store.identity()?) } else { None };
    Client::new(&known, identity.as_ref())
}

/// A client of the remote that a word names, and the rest of the word.
fn reach(word: &str) -> Result<(Client, &str)> {
    let store = store()?;
    let (remote, name) = parse(&store, word);
    Ok((client(&store, &remote)?, name))
}

/// What the client itself refuses, in the stock client's words.
fn refuse(text: impl Into<String>) -> Error {
    Error::Remote(RemoteFault::Refused { remote: "lxc".to_owned(), code: 400, text: text.into() })
}

/// `KEY=VALUE`
fn pair(word: &str) -> Result<(String, String)> {
    let (key, value) = word.split_once('=').ok_or_else(|| refuse(format!("Invalid KEY=VALUE: {word}")))?;
    Ok((key.to_owned(), value.to_owned()))
}

/// Each `KEY=VALUE`, into a map that there may not be yet.
fn put<'a>(map: &mut Value, words: impl IntoIterator<Item = &'a str>) -> Result<()> {
    for word in words {
        let (key, value) = pair(word)?;
        map[key] = value.into();
    }
    Ok(())
}

/// The text of a value; none where it is no text.
fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Nothing to print.
fn done<T>(_: T) -> String {
    String::new()
}

/// Prints a line while the work goes on.
fn print(context: &mut Context, line: &str) -> Result<()> {
    context.front.emit(&format!("{line}\n")).map(drop)
}

/// How a table is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Shape {
    #[default]
    Table,
    Compact,
    Csv,
    Json,
    Yaml,
}

impl Shape {
    /// Rows, or what they were made of.
    fn print(self, headings: &[&str], rows: &[Vec<String>], all: &Value) -> String {
        match self {
            Self::Table | Self::Compact => table(headings, rows),
            Self::Csv => csv(rows),
            Self::Json => json(all),
            Self::Yaml => yaml(all),
        }
    }
}

/// An error as the stock client words it, where it is the server's; else in the caller's language.
pub fn error(error: &Error, style: Style) -> String {
    let text = match error {
        Error::Remote(RemoteFault::Refused { text, .. }) => escape(text).into_owned(),
        Error::Remote(RemoteFault::Untrusted(_)) => "not authorized".to_owned(),
        Error::Command { errno, .. } if *errno == libc::ENOENT => "Command not found".to_owned(),
        Error::Command { .. } => "Command not executable".to_owned(),
        other => {
            let message = sentences::errors::error(style.lang, other);
            let more = message.why.into_iter().chain(message.hints);
            more.fold(message.what, |text, line| text + "\n  " + &line)
        }
    };
    format!("Error: {text}\n")
}

/// A table with borders; every cell on one line.
fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<Vec<String>>> = rows
        .iter()
        .map(|row| row.iter().map(|cell| cell.split('\n').map(|line| escape(line).into_owned()).collect()).collect())
        .collect();
    let width = |at: usize| {
        let lines = rows.iter().filter_map(|row| row.get(at)).flatten().map(|line| line.chars().count());
        lines.chain(headings.get(at).map(|heading| heading.len())).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let rule: String = widths.iter().fold("+".to_owned(), |rule, width| rule + &"-".repeat(width + 2) + "+") + "\n";
    let heading: String = headings.iter().zip(&widths).fold("|".to_owned(), |line, (cell, width)| {
        let (left, right) = ((width - cell.len()) / 2, (width - cell.len()).div_ceil(2));
        line + " " + &" ".repeat(left) + cell + &" ".repeat(right) + " |"
    });
    let mut text = format!("{rule}{heading}\n{rule}");
    for row in &rows {
        let height = row.iter().map(Vec::len).max().unwrap_or(1);
        for at in 0..height {
            text.push('|');
            for (cell, width) in row.iter().zip(&widths) {
                let _ = write!(text, " {:width$} |", cell.get(at).map_or("", String::as_str));
            }
            text.push('\n');
        }
        text += &rule;
    }
    text
}

/// Rows as comma-separated values (RFC 4180).
fn csv(rows: &[Vec<String>]) -> String {
    let cell = |cell: &String| {
        if cell.contains([',', '"', '\n']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.clone() }
    };
    rows.iter().map(|row| row.iter().map(cell).collect::<Vec<_>>().join(",") + "\n").collect()
}

/// JSON, indented.
fn json(value: &Value) -> String {
    format!("{value:#}\n")
}

/// YAML.
fn yaml(value: &Value) -> String {
    let mut text = String::new();
    block(value, 0, &mut text);
    text
}

fn block(value: &Value, indent: usize, text: &mut String) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                let _ = write!(text, "{:indent$}{}:", "", scalar(key));
                below(value, indent, text);
            }
        }
        Value::Array(all) if !all.is_empty() => {
            for value in all {
                let _ = write!(text, "{:indent$}-", "");
                let mut inner = String::new();
                block(value, indent + 2, &mut inner);
                let _ = if flat(value) { write!(text, " {inner}") } else { write!(text, " {}", inner.trim_start()) };
            }
        }
        Value::Object(_) => text.push_str("{}\n"),
        Value::Array(_) => text.push_str("[]\n"),
        Value::String(word) => {
            let _ = writeln!(text, "{}", scalar(word));
        }
        other => {
            let _ = writeln!(text, "{other}");
        }
    }
}

fn flat(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(all) => all.is_empty(),
        _ => true,
    }
}

fn below(value: &Value, indent: usize, text: &mut String) {
    if flat(value) {
        text.push(' ');
        block(value, 0, text);
    } else {
        text.push('\n');
        let deeper = if value.is_array() { indent } else { indent + 2 };
        block(value, deeper, text);
    }
}

/// A word as it is where YAML reads it as that word, else in quotes.
fn scalar(word: &str) -> String {
    let reserved = ["", "~", "null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    let odd = |c: char| c.is_control() || !(c.is_alphanumeric() || "_./-+@ ".contains(c));
    let first = word.chars().next();
    let special = reserved.contains(&word.to_lowercase().as_str())
        || first.is_some_and(|c| c.is_ascii_digit() || "-+.@ ".contains(c))
        || word.ends_with(' ')
        || word.contains(odd);
    if special { Value::from(word).to_string() } else { word.to_owned() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::{csv, table, yaml};

    #[test]
    fn a_table_looks_like_that_of_the_stock_client() {
        let rows = [vec!["c1".to_owned(), "RUNNING".to_owned()]];
        let shown = "+------+---------+\n| NAME |  STATE  |\n+------+---------+\n| c1   | RUNNING |\n+------+---------+\n";
        assert_eq!(table(&["NAME", "STATE"], &rows), shown);
        assert_eq!(csv(&[vec!["a,b".to_owned(), "c".to_owned()]]), "\"a,b\",c\n");
    }

    #[test]
    fn yaml_reads_back_as_it_was() {
        let value = json!({
            "config": {"user.cf": "one", "x": "true", "n": "1", "text": "a\nb: c", "empty": ""}, "devices": {}, "list": [],
            "profiles": ["default", "two words"], "nested": [{"a": 1, "b": {"c": null}}, [true]], "é": "- x",
        });
        let text = yaml(&value);
        let back: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(back, value, "{text}");
        assert!(text.contains("  user.cf: one\n") && text.contains("devices: {}\n"), "{text}");
    }
}
