//! Processes in nodes: what `exec`, `shell` and `ps` share.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use super::{Context, rights};
use crate::error::{Error, InstanceFault, Result};
use crate::kernel::sandbox::{self, Paths, Run, Spec};
use crate::lab::resolve::Target;
use crate::lab::{self, agents, home, hosts};
use crate::name::{LabName, NodeName};
use crate::plan::NodeId;
use crate::report::Report;
use crate::report::notice::Notice;
use crate::topology::Run as Life;

/// The exit code for nslab's own failures; every other one is the command's.
const FAILED: u8 = 125;

/// Begins a command that runs something in a node: from here on nslab's own failures have an exit code of their own.
pub(super) fn begin(context: &mut Context) -> Result<()> {
    context.failure = Some(FAILED);
    rights::need(context)
}

/// Where the sandboxes of a lab are.
pub(super) fn paths(lab: &LabName) -> Paths {
    Paths { lab: home::lab(lab) }
}

/// The machine itself is the host: the command takes the place of nslab, with everything that its caller has.
fn on_machine(run: &Run) -> Error {
    let mut words = run.argv.iter();
    let program = words.next().cloned().unwrap_or_default();
    // A shell's start-up file for nodes is none for the machine.
    let words: Vec<_> = if run.interactive { Vec::new() } else { words.collect() };
    let env = run.env.iter().filter(|(name, _)| run.shared.is_some() && name != "PS1" && name != "PROMPT");
    let mut command = Command::new(&program);
    command.args(words).envs(env.cloned());
    if run.shared.is_some() {
        // They would go before the directory that says where the host's agent is.
        command.env_remove("LXD_SOCKET").env_remove("INCUS_SOCKET");
    }
    let fault = command.exec();
    Error::Command { command: program.to_string_lossy().into_owned(), errno: fault.raw_os_error().unwrap_or(libc::EIO) }
}

/// Clients of LXD's API, and shells, which may start one.
const CLIENTS: [&str; 2] = ["lxc", "incus"];
const SHELLS: [&str; 5] = ["bash", "dash", "sh", "zsh", "fish"];

/// Whether a command may want to command the host's containers: a client is named in it, or it is a shell that reads what to do.
pub(super) fn commands(argv: &[OsString]) -> bool {
    let words = || argv.iter().map(|word| word.to_string_lossy());
    let apart = |c: char| !c.is_alphanumeric() && c != '-' && c != '_';
    let named = |word: &str| word.split(apart).any(|part| CLIENTS.contains(&part));
    let shell = argv.first().is_some_and(|word| {
        let name = Path::new(word).file_name().map(|name| name.to_string_lossy());
        name.is_some_and(|name| SHELLS.contains(&name.as_ref()))
    });
    words().any(|word| named(&word)) || shell && words().all(|word| word != "-c")
}

/// Makes a host ready for class: its agent runs, and a command in it finds it and, where there is none, a client. What stands
/// in the way is told, and no more: the command may do without.
pub(super) fn class(target: &Target, run: &mut Run, real_root: bool, context: &mut Context) {
    let NodeId::Host(host) = &target.node else { return };
    if sandbox::around().is_some() {
        // An agent that is started in here would end with the node.
        return;
    }
    match made_ready(target, host, run, real_root) {
        // Said once: the client's directory outlives the lab.
        Ok(new) if new && run.interactive => context.front.notice(&Notice::Class { host: host.to_string() }),
        Ok(_) => {}
        Err(why) => context.front.notice(&Notice::Agentless { host: host.to_string(), why: Box::new(why) }),
    }
}

fn made_ready(target: &Target, host: &NodeName, run: &mut Run, real_root: bool) -> Result<bool> {
    let (client, new) = agents::serve(&target.lab, host)?;
    let role = lab::load(&target.lab)?.topology.role.is_some();
    let socket = agents::directory(&target.lab, host);
    let places = [("LXD_DIR", &socket), ("LXD_CONF", &client), ("INCUS_DIR", &socket), ("INCUS_CONF", &agents::incus(&client))];
    run.env.extend(places.map(|(name, place)| (name.to_owned(), place.display().to_string())));
    run.shared = Some(client);
    if (role || real_root)
        && let Some(path) = path_without_client()
    {
        run.env.push(("PATH".to_owned(), format!("{path}:{}", agents::bin(&target.lab, host)?.display())));
    }
    Ok(new)
}

/// Where commands are looked for, unless the stock client is there.
fn path_without_client() -> Option<String> {
    let path = std::env::var("PATH").unwrap_or_default();
    let found = |dir: &str| Path::new(dir).join("lxc").exists();
    let there = path.split(':').chain(["/usr/bin", "/snap/bin"]).any(found);
    (!there).then_some(path)
}

/// Runs a command in a node and waits for it; the report is its exit code.
pub(super) fn run(target: &Target, run: &Run, real_root: bool) -> Result<Report> {
    let (lock, journal) = lab::enter(&target.lab)?;
    let life = lab::instances::Site::of(&target.lab, &target.node).ok().map(|site| {
        let found = journal.topology.container(site.host.as_str(), site.name.as_str());
        (site.word(), found.map(|container| container.instance.run).unwrap_or_default())
    });
    match life {
        Some((word, Life::Stopped)) => return Err(Error::Instance(InstanceFault::Stopped(word))),
        Some((word, Life::Frozen)) => return Err(Error::Instance(InstanceFault::Frozen(word))),
        _ => {}
    }
    if journal.topology.role.as_ref().is_some_and(|role| target.node == NodeId::Host(role.host.clone())) {
        drop(lock);
        return Err(on_machine(run));
    }
    let spec = Spec {
        lab: target.lab.to_string(),
        node: target.node.to_string(),
        hostname: target.node.name().to_string(),
        hosts: hosts::file(journal.described()),
        is_host: matches!(target.node, NodeId::Host(_)),
        real_root,
    };
    let started = sandbox::start(&paths(&target.lab), &spec, run)?;
    drop(lock);
    let exit = started.wait()?;
    Ok(Report::Exit(u8::try_from(exit.code()).unwrap_or(u8::MAX)))
}
