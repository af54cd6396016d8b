//! What a lab is compared with what it should be, and what was made by hand in it.

use std::path::Path;

use super::index::load;
use super::journal::{Journal, Phase};
use super::{agents, facts, lock, paths};
use crate::error::Result;
use crate::kernel::{Backend, Kernel, observe, sandbox};
use crate::name::LabName;
use crate::plan::{NodeId, Plan, State, compile, diff};
use crate::report::lab::{Condition, Kept, Namespace, Reset, Serving, Table};
use crate::topology::{Host, Topology};

/// The state of a lab.
#[derive(Debug, Clone)]
pub struct Status {
    /// In one word.
    pub condition: Condition,
    /// The journal.
    pub journal: Journal,
    /// What `up` would do: a described fact that is gone or changed is an operation here.
    pub missing: Plan,
    /// Facts that somebody made by hand.
    pub by_hand: State,
    /// Namespaces that somebody made inside a host.
    pub namespaces: Vec<Namespace>,
    /// Packet filter tables that somebody made.
    pub tables: Vec<Table>,
    /// What was launched, stopped or configured in it.
    pub kept: Option<Kept>,
    /// Processes that run in its nodes.
    pub processes: usize,
    /// Its agents: those that run, and those that are described.
    pub agents: Vec<Serving>,
}

/// Compares a lab with its description.
pub fn status(name: &LabName) -> Result<Status> {
    let journal = load(name)?;
    let owned = journal.owned();
    let scope = facts::scope(owned);
    let seen = Kernel::new(paths::pins(name)).observe(&scope)?;
    let (described, rest): (State, State) = seen.into_iter().partition(|fact| scope.expected.has(fact.slot()));
    let mut missing = diff(&described, &facts::of(&journal.topology)?);
    if journal.phase == Phase::RolledBack {
        // All of it is, and on purpose.
        missing.clear();
    }
    let agents = agents(&journal);
    let condition = match journal.phase {
        _ if journal.is_stale() => Condition::Stale,
        Phase::Coming | Phase::Going => Condition::Unfinished,
        Phase::RolledBack => Condition::RolledBack,
        Phase::Up if missing.is_empty() && agents.iter().all(|agent| agent.running) => Condition::Up,
        Phase::Up => Condition::Drifted,
    };
    let nodes: Vec<NodeId> = facts::nodes(&scope);
    let names: Vec<String> = nodes.iter().map(ToString::to_string).collect();
    let tables = crate::kernel::filter::tables(&paths::pins(name), &nodes);
    Ok(Status {
        condition,
        missing,
        by_hand: facts::by_hand(rest),
        namespaces: namespaces(name, &journal.topology),
        tables: tables.into_iter().map(|(node, family, table)| Table { node, family, table }).collect(),
        kept: journal.kept(),
        processes: sandbox::processes(&paths::sandboxes(name), &names)?.len(),
        agents,
        journal,
    })
}

fn agents(journal: &Journal) -> Vec<Serving> {
    let name = &journal.topology.name;
    let agent = |host: &Host| Serving { host: host.name.clone(), described: host.agent, running: agents::runs(name, &host.name) };
    let all = journal.topology.hosts.iter().map(agent);
    all.filter(|agent| agent.described || agent.running).collect()
}

/// Namespaces under `run/HOST/netns`: what `ip netns add` in a host's shell made.
fn namespaces(name: &LabName, topology: &Topology) -> Vec<Namespace> {
    let mut found = Vec::new();
    for host in &topology.hosts {
        let directory = paths::lab(name).join("run").join(host.name.as_str()).join("netns");
        let Ok(entries) = std::fs::read_dir(directory) else { continue };
        for entry in entries.flatten() {
            let own = entry.file_type().is_ok_and(|kind| kind.is_file());
            if own && observe::is_namespace(&entry.path()) {
                found.push(Namespace { host: host.name.clone(), name: entry.file_name().to_string_lossy().into_owned() });
            }
        }
    }
    found.sort();
    found
}

/// Removes what was made by hand and restores what is missing.
pub fn reset(name: &LabName) -> Result<Reset> {
    let back = super::up::back(name)?;
    let Some(_lock) = lock::directory(&paths::lab(name), Some(name.as_str()))? else {
        return load(name).map(|_| Reset::nothing(name));
    };
    let journal = load(name)?;
    let owned = journal.owned();
    let scope = facts::scope(owned);
    let mut kernel = Kernel::new(paths::pins(name));
    let seen = kernel.observe(&scope)?;
    let wanted = compile(&journal.topology);
    let from: State = seen.into_iter().filter(|fact| facts::matters(fact, &wanted)).collect();
    let plan = diff(&from, &wanted);
    kernel.apply(&plan, &mut |_| {})?;
    let own = namespaces(name, &journal.topology);
    for Namespace { host, name: namespace } in &own {
        let pin = paths::lab(name).join("run").join(host.as_str()).join("netns").join(namespace);
        unpin(&pin)?;
    }
    let nodes = facts::nodes(&scope);
    let tables = crate::kernel::filter::flush(&paths::pins(name), &nodes)?;
    for host in agents::asleep(&journal.topology) {
        agents::start(name, &host)?;
    }
    let mut journal = journal;
    journal.phase = Phase::Up;
    journal.previous = None;
    journal.write()?;
    Ok(Reset { operations: back + plan.len(), namespaces: own.len(), tables, ..Reset::nothing(name) })
}

fn unpin(pin: &Path) -> Result<()> {
    use nix::mount::{MntFlags, umount2};
    while umount2(pin, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW).is_ok() {}
    match nix::unistd::unlink(pin) {
        Ok(()) | Err(nix::errno::Errno::ENOENT) => Ok(()),
        Err(errno) => Err(paths::system("unlink", pin, errno)),
    }
}
