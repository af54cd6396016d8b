//! Processes in nodes: what `exec`, `shell` and `ps` share.

use std::os::unix::process::CommandExt;
use std::process::Command;

use super::{Context, rights};
use crate::error::{Error, InstanceFault, Result};
use crate::kernel::sandbox::{self, Paths, Run, Spec};
use crate::lab::resolve::Target;
use crate::lab::{self, home, hosts};
use crate::name::LabName;
use crate::plan::NodeId;
use crate::report::Report;
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
    let fault = Command::new(&program).args(words).exec();
    Error::Command { command: program.to_string_lossy().into_owned(), errno: fault.raw_os_error().unwrap_or(libc::EIO) }
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
