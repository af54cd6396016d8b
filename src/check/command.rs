//! `command`: a command in a node's sandbox, its exit code and output.

use std::time::Duration;

use super::Stage;
use super::scene::id;
use super::verdict::{Verdict, failed};
use crate::error::Result;
use crate::kernel::sandbox::{self, Exit, Run};
use crate::lab;
use crate::plan::NodeId;
use crate::report::check::Evidence;
use crate::topology::checks::Command;

/// Characters of the output that are evidence.
const SHOWN: usize = 400;

pub(super) fn check(command: &Command, stage: &Stage<'_>) -> Verdict {
    if let Err(gone) = stage.scene.machine(&command.node) {
        return Verdict::wrong(gone);
    }
    let (exit, output) = match run(command, stage) {
        Ok(done) => done,
        Err(error) => return Verdict::wrong(failed(&error)),
    };
    let text = String::from_utf8_lossy(&output).into_owned();
    let shown: String = text.trim_end().chars().take(SHOWN).collect();
    let Some(exit) = exit else { return Verdict::wrong(Evidence::TooSlow { seconds: command.seconds }) };
    let code = exit.code();
    if matches!(code, 126 | 127) && i32::from(command.exit) != code {
        return Verdict::wrong(Evidence::NoCommand { command: command.run.clone(), code });
    }
    if code != i32::from(command.exit) {
        return Verdict::wrong(Evidence::Ended { code, wanted: command.exit, output: shown });
    }
    if command.output.as_ref().is_some_and(|wanted| !text.contains(wanted)) {
        return Verdict::wrong(Evidence::Output { output: shown });
    }
    Verdict::default()
}

fn run(command: &Command, stage: &Stage<'_>) -> Result<(Option<Exit>, Vec<u8>)> {
    let name = &stage.scene.view.lab;
    let (lock, journal) = lab::enter(name)?;
    let node = id(&command.node);
    let clients = match &node {
        NodeId::Host(host) => lab::agents::clients(name, host, false).ok().map(|(clients, _)| clients),
        _ => None,
    };
    let spec = lab::sandbox::spec(name, &node, journal.described(), false, clients);
    let argv = ["sh", "-c", &command.run].map(Into::into).to_vec();
    let run = Run { argv, captured: true, ..Run::default() };
    let started = sandbox::start(&lab::paths::sandboxes(name), &spec, &run)?;
    drop(lock);
    started.output(Duration::from_secs(command.seconds.into()))
}
