//! Processes in nodes: what `exec`, `shell` and `ps` share, and the way out of a node's sandbox.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use super::run::{Context, outside};
use crate::error::{Error, InstanceFault, Result};
use crate::kernel::sandbox::{self, Manner, Run};
use crate::lab::resolve::Target;
use crate::lab::{self, agents};
use crate::name::NodeName;
use crate::plan::NodeId;
use crate::render::Printed;
use crate::report::notice::Notice;
use crate::topology::Run as Life;

/// The exit code for nslab's own failures; every other one is the command's.
pub(super) const FAILED: u8 = 125;

/// Takes the place of nslab where the node is the caller's own; tells what failed where the command cannot be executed.
fn on_the_spot(run: &Run) -> Error {
    let mut words = run.argv.iter();
    let program = words.next().cloned().unwrap_or_default();
    let env = run.env.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    executed(Command::new(&program).args(words).envs(env), &program)
}

fn executed(command: &mut Command, program: &std::ffi::OsStr) -> Error {
    let fault = command.exec();
    Error::Command { command: program.to_string_lossy().into_owned(), errno: fault.raw_os_error().unwrap_or(libc::EIO) }
}

/// The machine itself is the host: the command takes the place of nslab, with everything that its caller has.
fn on_machine(run: &Run) -> Error {
    let mut words = run.argv.iter();
    let program = words.next().cloned().unwrap_or_default();
    let mut command = Command::new(&program);
    if run.interactive {
        // A shell's start-up file for nodes is none for the machine, and neither is its prompt.
        command.envs(run.env.iter().filter(|(name, _)| name != "PS1" && name != "PROMPT").cloned());
    } else {
        command.args(words).envs(run.env.iter().cloned());
    }
    if run.env.iter().any(|(name, _)| name == "LXD_DIR") {
        // They would go before the directory that says where the host's agent is.
        command.env_remove("LXD_SOCKET").env_remove("INCUS_SOCKET");
    }
    executed(&mut command, &program)
}

/// Clients of LXD's API, and shells, which may start one.
const CLIENTS: [&str; 2] = ["lxc", "incus"];
const SHELLS: [&str; 5] = ["bash", "dash", "sh", "zsh", "fish"];

/// Whether a command on the machine may want to command the host's containers: a client is named in it, or it is a shell that reads
/// what to do.
fn commands(argv: &[OsString]) -> bool {
    let words = || argv.iter().map(|word| word.to_string_lossy());
    let apart = |c: char| !c.is_alphanumeric() && c != '-' && c != '_';
    let named = |word: &str| word.split(apart).any(|part| CLIENTS.contains(&part));
    let shell = argv.first().is_some_and(|word| {
        let name = Path::new(word).file_name().map(|name| name.to_string_lossy());
        name.is_some_and(|name| SHELLS.contains(&name.as_ref()))
    });
    words().any(|word| named(&word)) || shell && words().all(|word| word != "-c")
}

/// The machine plays the host: its agent runs, and the command finds it and, where there is none, a client. What stands in the way
/// is told, and no more: the command may do without.
fn ready_machine(target: &Target, host: &NodeName, run: &mut Run, context: &mut Context) {
    let ready = agents::serve(&target.lab, host).and_then(|(clients, new)| {
        let text =
            |(name, value): (OsString, OsString)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned());
        run.env.extend(clients.variables().map(text));
        if let Some(path) = path_without_client() {
            run.env.push(("PATH".to_owned(), format!("{path}:{}", agents::bin(&target.lab, host)?.display())));
        }
        Ok(new)
    });
    tell(host, ready, run, context);
}

/// Says once what images are, for the client's directory outlives the lab; and what is in the clients' way.
fn tell(host: &NodeName, ready: Result<bool>, run: &Run, context: &mut Context) {
    match ready {
        Ok(new) if new && run.interactive => context.front.notice(&Notice::Class { host: host.to_string() }),
        Ok(_) => {}
        Err(why) => context.front.notice(&Notice::Agentless { host: host.to_string(), why: Box::new(why) }),
    }
}

/// Where commands are looked for, unless the stock client is there.
fn path_without_client() -> Option<String> {
    let path = std::env::var("PATH").unwrap_or_default();
    let found = |dir: &str| Path::new(dir).join("lxc").exists();
    let there = path.split(':').chain(["/usr/bin", "/snap/bin"]).any(found);
    (!there).then_some(path)
}

/// Runs a command in a node and waits for it; the report is its exit code.
pub(super) fn run(target: &Target, mut run: Run, real_root: bool, context: &mut Context) -> Result<Printed> {
    if let Some(around) = sandbox::around() {
        let own = around == format!("{}/{}", target.lab, target.node) && !real_root;
        if own {
            return Err(on_the_spot(&run));
        }
        return outside(Manner::Interactive).map(|code| Printed::exit(code.unwrap_or(FAILED)));
    }
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
    if let (NodeId::Host(host), Some(role)) = (&target.node, &journal.topology.role)
        && *host == role.host
    {
        drop(lock);
        if run.interactive || commands(&run.argv) {
            ready_machine(target, host, &mut run, context);
        }
        return Err(on_machine(&run));
    }
    let mut clients = None;
    if let NodeId::Host(host) = &target.node {
        let ready = agents::clients(&target.lab, host, real_root).map(|(made, new)| {
            clients = Some(made);
            new
        });
        tell(host, ready, &run, context);
    }
    let spec = lab::sandbox::spec(&target.lab, &target.node, journal.described(), real_root, clients);
    let started = sandbox::start(&lab::paths::sandboxes(&target.lab), &spec, &run)?;
    drop(lock);
    let exit = started.wait()?;
    Ok(Printed::exit(u8::try_from(exit.code()).unwrap_or(u8::MAX)))
}
