//! `lxc`, where the stock client is not installed: its verbs, options and tables, for what a lab needs.

#![allow(rustdoc::broken_intra_doc_links, reason = "what is in brackets in a help text may be left out")]

mod config;
mod exec;
mod file;
mod image;
mod instance;
mod list;
mod network;
mod remote;
mod trust;
mod view;

pub(crate) use instance::nic;

use std::path::PathBuf;

use crate::commands::{Context, Run};
use crate::error::{Error, RemoteFault, Result};
use crate::lxd::client::{Client, Remote, Store};
use crate::render::Printed;

/// Command line client of LXD's API, by nslab
#[derive(Debug, clap::Parser)]
#[command(name = "lxc", version, max_term_width = 100, disable_help_subcommand = false)]
pub struct Lxc {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    #[command(alias = "ls")]
    List(list::List),
    Launch(instance::Launch),
    Init(instance::Init),
    Start(instance::Start),
    Stop(instance::Stop),
    Restart(instance::Restart),
    Pause(instance::Pause),
    #[command(alias = "rm")]
    Delete(instance::Delete),
    #[command(alias = "move", alias = "mv")]
    Rename(instance::Rename),
    Exec(exec::Exec),
    Console(exec::Console),
    #[command(subcommand)]
    File(file::File),
    Info(view::Info),
    #[command(subcommand)]
    Config(config::Config),
    #[command(subcommand)]
    Network(network::Network),
    #[command(subcommand)]
    Remote(remote::Remotes),
    #[command(subcommand)]
    Image(image::Image),
    #[command(subcommand)]
    Profile(view::Profile),
    #[command(subcommand)]
    Project(view::Project),
    #[command(subcommand)]
    Storage(view::Storage),
    #[command(subcommand)]
    Operation(view::Operation),
    Query(view::Query),
    Monitor(view::Monitor),
    /// Print the version
    Version,
}

impl Run for Lxc {
    type Out = Printed;

    fn run(self, context: &mut Context) -> Result<Printed> {
        match self.verb {
            Verb::List(list) => list.run(),
            Verb::Launch(launch) => launch.run(context),
            Verb::Init(init) => init.run(context),
            Verb::Start(start) => start.run(),
            Verb::Stop(stop) => stop.run(),
            Verb::Restart(restart) => restart.run(),
            Verb::Pause(pause) => pause.run(),
            Verb::Delete(delete) => delete.run(),
            Verb::Rename(rename) => rename.run(),
            Verb::Exec(exec) => exec.run(),
            Verb::Console(console) => console.run(context),
            Verb::File(file) => file.run(),
            Verb::Info(info) => info.run(),
            Verb::Config(config) => config.run(),
            Verb::Network(network) => network.run(),
            Verb::Remote(remote) => remote.run(context),
            Verb::Image(image) => image.run(),
            Verb::Profile(profile) => profile.run(),
            Verb::Project(project) => project.run(),
            Verb::Storage(storage) => storage.run(),
            Verb::Operation(operation) => operation.run(),
            Verb::Query(query) => query.run(),
            Verb::Monitor(monitor) => monitor.run(context),
            Verb::Version => Ok(Printed::text(concat!(env!("CARGO_PKG_VERSION"), "\n").to_owned())),
        }
    }
}

/// The remote that is this machine's own socket.
const LOCAL: &str = "local";

/// The stock client's directory: `LXD_CONF`, else `~/.config/lxc`.
fn store() -> Result<Store> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    Store::open(set("LXD_CONF").unwrap_or_else(|| set("HOME").unwrap_or_default().join(".config/lxc")))
}

/// The socket of LXD or the agent: in `LXD_DIR`, else where LXD usually is.
fn socket() -> PathBuf {
    let dir = std::env::var_os("LXD_DIR").filter(|value| !value.is_empty()).map(PathBuf::from);
    dir.unwrap_or_else(|| PathBuf::from("/var/lib/lxd")).join("unix.socket")
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

/// Nothing to print.
fn done() -> Printed {
    Printed::text(String::new())
}

/// Prints a line while the work goes on.
fn tell(context: &mut Context, line: &str) -> Result<()> {
    context.front.emit(&format!("{line}\n")).map(drop)
}
