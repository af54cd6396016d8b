//! What a check concludes.

use std::net::IpAddr;

use crate::error::Error;
use crate::plan::NodeId;
use crate::report::check::{Evidence, Note, State};

/// The outcome of one check, before hints are looked for.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    pub evidence: Vec<Evidence>,
    pub notes: Vec<Note>,
    /// A ping that should be answered and is not: a trace of it tells why.
    pub suspect: Option<(NodeId, IpAddr)>,
}

impl Verdict {
    /// One thing is wrong.
    pub(super) fn wrong(evidence: Evidence) -> Self {
        Self { evidence: vec![evidence], ..Self::default() }
    }

    /// nslab itself failed.
    pub(super) fn failed(error: &Error) -> Self {
        Self::wrong(failed(error))
    }

    /// A check fails on whatever is wrong, and could not run where it only met obstacles.
    pub(super) fn state(&self) -> State {
        match self.evidence.as_slice() {
            [] => State::Pass,
            all if all.iter().all(is_obstacle) => State::CouldNotRun,
            _ => State::Fail,
        }
    }
}

impl From<Vec<Evidence>> for Verdict {
    fn from(evidence: Vec<Evidence>) -> Self {
        Self { evidence, ..Self::default() }
    }
}

/// What an error of nslab's own is as evidence.
pub(super) fn failed(error: &Error) -> Evidence {
    match error {
        Error::Kernel(why) => Evidence::Failed { tried: why.tried.clone(), errno: why.errno },
        Error::Command { command, errno } => {
            let code = if *errno == libc::ENOENT { 127 } else { 126 };
            Evidence::NoCommand { command: command.clone(), code }
        }
        other => Evidence::Failed { tried: format!("{other:?}"), errno: 0 },
    }
}

fn is_obstacle(evidence: &Evidence) -> bool {
    matches!(
        evidence,
        Evidence::NodeGone { .. }
            | Evidence::Failed { .. }
            | Evidence::NoCommand { .. }
            | Evidence::Forwards { on: None, .. }
            | Evidence::NoNetwork { .. }
    )
}
