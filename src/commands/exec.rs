//! Processes in nodes: `exec`, `shell`, `ps`.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use clap_complete::engine::ArgValueCompleter;
use serde::Serialize;

use super::{Context, Place, Run, completions, outside, remote, target};
use crate::error::{Error, InstanceFault, Result, Thing};
use crate::kernel::sandbox::{self, Manner};
use crate::lab::resolve::{self, Target};
use crate::lab::{self, Subject, agents};
use crate::name::{LabName, NodeName};
use crate::plan::NodeId;
use crate::render::lang::{t, words};
use crate::render::table::Table;
use crate::render::{Printed, Show, Style, lines};
use crate::report::lab::Notice;
use crate::topology::{Run as Life, Topology};

/// Run a command in a node: its network, its processes, its hostname, its own writable layer
///
/// In a host lxc and incus command its own containers: sudo nslab exec host-a lxc list
///
/// Ends with the command's own exit code; 125 when nslab failed, 126 not executable, 127 not found.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sudo nslab exec a1 ip addr\n  sudo nslab exec host-b/c1 ping -c 1 10.0.0.2\n  sudo nslab exec a1 sh -c 'ip route; ip neigh'"
)]
pub struct Exec {
    /// Use the machine's own files, without the private writable layer
    #[arg(long)]
    real_root: bool,
    /// The node.
    #[arg(help = "The node: [REMOTE:][LAB/][HOST/]NODE", add = ArgValueCompleter::new(completions::nodes))]
    node: String,
    /// The command and its arguments; everything after NODE belongs to it
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<std::ffi::OsString>,
}

impl Run for Exec {
    type Out = Printed;

    const FAILURE: Option<u8> = Some(FAILED);

    fn place(&self) -> Place {
        if remote::split(&self.node).is_some() { Place::Anywhere } else { Place::Privileged }
    }

    fn run(self, context: &mut Context) -> Result<Self::Out> {
        if let Some((there, name)) = remote::split(&self.node) {
            return remote::exec(there, name, self.command);
        }
        let target = target::node(&self.node, context)?;
        let command = sandbox::Run { argv: self.command, ..sandbox::Run::default() };
        run(&target, command, self.real_root, context)
    }
}

/// Open a shell in a node; its prompt shows which
///
/// In a host's shell `lxc` commands its containers; where the stock client is not installed lxc is nslab. Its containers are namespaces under their bare names: `ip link add v1 type veth peer name eth0 netns a1`.
#[derive(Debug, clap::Args)]
pub struct Shell {
    /// Use the machine's own files, without the private writable layer
    #[arg(long)]
    real_root: bool,
    /// The node.
    #[arg(help = "The node: [REMOTE:][LAB/][HOST/]NODE; may be left out in a lab with one node", add = ArgValueCompleter::new(completions::nodes))]
    node: Option<String>,
}

impl Run for Shell {
    type Out = Printed;

    const FAILURE: Option<u8> = Some(FAILED);

    fn place(&self) -> Place {
        if self.node.as_deref().and_then(remote::split).is_some() { Place::Anywhere } else { Place::Privileged }
    }

    fn run(self, context: &mut Context) -> Result<Self::Out> {
        if let Some((there, name)) = self.node.as_deref().and_then(remote::split) {
            return remote::shell(there, name);
        }
        let typed = self.node.map_or_else(only_node, Ok)?;
        let target = target::node(&typed, context)?;
        let shell = sandbox::shell(&lab::paths::sandboxes(&target.lab));
        run(&target, shell, self.real_root, context)
    }
}

/// The node of a lab that has but one.
fn only_node() -> Result<String> {
    let entry = target::up(None)?;
    match resolve::shortest(&entry).as_slice() {
        [(_, words)] => Ok(words.clone()),
        many => {
            let candidates = many.iter().map(|(_, words)| words.clone()).collect();
            Err(Error::Ambiguous { what: Thing::Node, word: String::new(), candidates })
        }
    }
}

/// List the processes that run in a lab or node
#[derive(Debug, clap::Args)]
pub struct Ps {
    /// The lab or node, or REMOTE:NODE; all labs when left out
    #[arg(value_name = "LAB|NODE", add = ArgValueCompleter::new(completions::labs_and_nodes))]
    place: Option<String>,
}

/// The processes that run somewhere.
#[derive(Debug, Serialize)]
pub struct Processes {
    /// In the order of node and pid.
    processes: Vec<Process>,
}

/// A process that runs in a node.
#[derive(Debug, Serialize)]
struct Process {
    /// The lab, or the remote.
    lab: String,
    #[serde(flatten)]
    process: sandbox::Process,
}

impl Show for Processes {
    fn text(&self, style: Style) -> String {
        if self.processes.is_empty() {
            return lines(&[t!(style.lang, "No process runs there.")]);
        }
        let headings = words!(style.lang, "LAB", "NODE", "PID", "INSIDE", "USER", "COMMAND");
        let mut table = Table::new(style, &headings).right(&[2, 3]);
        for Process { lab, process: one } in &self.processes {
            let (pid, inside) = (one.pid.to_string(), one.inside.to_string());
            table.row([lab.as_str(), &one.node.replacen('.', "/", 1), &pid, &inside, &one.user, &one.command]);
        }
        table.print(0)
    }
}

impl Run for Ps {
    type Out = Processes;

    fn place(&self) -> Place {
        if self.place.as_deref().and_then(remote::split).is_some() { Place::Anywhere } else { Place::Outside(Manner::Follows) }
    }

    fn run(self, context: &mut Context) -> Result<Self::Out> {
        if let Some((there, name)) = self.place.as_deref().and_then(remote::split) {
            let found = remote::processes(there, name)?.into_iter();
            let processes = found.map(|process| Process { lab: there.to_owned(), process }).collect();
            return Ok(Processes { processes });
        }
        let mut processes = Vec::new();
        for (lab, nodes) in self.places(context)? {
            let names: Vec<String> = nodes.iter().map(ToString::to_string).collect();
            let found = sandbox::processes(&lab::paths::sandboxes(&lab), &names)?;
            processes.extend(found.into_iter().map(|process| Process { lab: lab.to_string(), process }));
        }
        let place = |one: &Process| (one.lab.clone(), one.process.node.clone(), one.process.pid);
        processes.sort_by_key(place);
        Ok(Processes { processes })
    }
}

impl Ps {
    /// The nodes to look into, by their labs. A word that is a lab and a node is the lab.
    fn places(&self, context: &mut Context) -> Result<Vec<(LabName, Vec<NodeId>)>> {
        let labs = lab::names();
        let is_lab = |word: &str| labs.iter().any(|entry| entry.lab == word);
        match self.place.as_deref() {
            Some(word) if !is_lab(word) => {
                let target = target::node(word, context)?;
                Ok(vec![(target.lab, vec![target.node])])
            }
            word => target::labs(word)?
                .into_iter()
                .map(|lab| {
                    let subject = Subject::new(resolve::find(lab.as_str(), &labs)?.clone());
                    let nodes = subject.nodes().into_iter().filter(|one| !one.by_hand).map(|one| one.node);
                    Ok((lab, nodes.collect()))
                })
                .collect(),
        }
    }
}

/// The exit code for nslab's own failures; every other one is the command's.
const FAILED: u8 = 125;

/// Takes the place of nslab where the node is the caller's own; tells what failed where the command cannot be executed.
fn on_the_spot(run: &sandbox::Run) -> Error {
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
fn on_machine(run: &sandbox::Run) -> Error {
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

/// The machine plays the host: clients of LXD's API find their way to its agent, which starts at their first connection, and a
/// client where there is none. What stands in the way is told, and no more: the command may do without.
fn ready_machine(target: &Target, host: &NodeName, described: &Topology, run: &mut sandbox::Run, context: &mut Context) {
    let ready = agents::clients(&target.lab, host, true).and_then(|(clients, new)| {
        let text =
            |(name, value): (OsString, OsString)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned());
        run.env.extend(clients.variables().map(text));
        if let Some(path) = path_without_client() {
            run.env.push(("PATH".to_owned(), format!("{path}:{}", agents::bin(&target.lab, host)?.display())));
        }
        let spec = lab::agents::spec(&target.lab, &target.node, described, true, Some(clients));
        sandbox::wait_for_clients(&lab::paths::sandboxes(&target.lab), &spec)?;
        Ok(new)
    });
    notify(host, ready, run, context);
}

/// Says once what images are, for the client's directory outlives the lab; and what is in the clients' way.
fn notify(host: &NodeName, ready: Result<bool>, run: &sandbox::Run, context: &mut Context) {
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
fn run(target: &Target, mut run: sandbox::Run, real_root: bool, context: &mut Context) -> Result<Printed> {
    if let Some(around) = sandbox::around() {
        let own = around == format!("{}/{}", target.lab, target.node) && !real_root;
        if own {
            return Err(on_the_spot(&run));
        }
        return outside(Manner::Interactive).map(|code| Printed::exit(code.unwrap_or(FAILED)));
    }
    let (lock, journal) = lab::hold(&target.lab)?;
    let life = lab::instances::InstanceId::from_node(&target.lab, &target.node).ok().map(|id| {
        let found = journal.topology.container(id.host.as_str(), id.name.as_str());
        (id.word(), found.map(|container| container.instance.run).unwrap_or_default())
    });
    match life {
        Some((word, Life::Stopped)) => return Err(Error::Instance(InstanceFault::Stopped(word))),
        Some((word, Life::Frozen)) => return Err(Error::Instance(InstanceFault::Frozen(word))),
        _ => {}
    }
    if let (NodeId::Host(host), Some(role)) = (&target.node, &journal.topology.role)
        && *host == role.host
    {
        ready_machine(target, host, journal.described(), &mut run, context);
        drop(lock);
        return Err(on_machine(&run));
    }
    let mut clients = None;
    if let NodeId::Host(host) = &target.node {
        let ready = agents::clients(&target.lab, host, real_root).map(|(made, new)| {
            clients = Some(made);
            new
        });
        notify(host, ready, &run, context);
    }
    let spec = lab::agents::spec(&target.lab, &target.node, journal.described(), real_root, clients);
    let started = sandbox::start(&lab::paths::sandboxes(&target.lab), &spec, &run)?;
    drop(lock);
    let exit = started.wait()?;
    Ok(Printed::exit(u8::try_from(exit.code()).unwrap_or(u8::MAX)))
}
