//! `nslab down`

use std::time::Instant;

use clap_complete::engine::ArgValueCompleter;

use super::run::{Context, Place, Run};
use super::{complete, target};
use crate::error::Result;
use crate::lab::{self, resolve};
use crate::name::LabName;
use crate::report::lab as reports;

/// Take a lab down: its processes, its namespaces, everything that was in them
///
/// Twice is fine. The topology file is not needed.
#[derive(Debug, clap::Args)]
pub struct Down {
    /// The lab; may be left out when only one is up
    #[arg(add = ArgValueCompleter::new(complete::labs))]
    lab: Option<String>,
    /// Take every lab down
    #[arg(long, conflicts_with = "lab")]
    all: bool,
}

impl Run for Down {
    type Out = reports::Downs;

    fn place(&self) -> Place {
        Place::Machine
    }

    fn run(self, context: &mut Context) -> Result<Self::Out> {
        crate::kernel::sys::note_signals();
        let names: Vec<LabName> = match (&self.lab, self.all) {
            // The name need not be in the index: what is pinned under it goes, even with a damaged journal.
            (Some(name), _) => vec![resolve::lab_name(name)?],
            (None, true) => lab::names().into_iter().map(|entry| entry.lab).chain(lab::remains()).collect(),
            (None, false) => match target::lab(None)? {
                Some(entry) => vec![entry.lab],
                None => lab::remains(),
            },
        };
        if names.is_empty() {
            lab::rundir::tidy()?;
        }
        let mut downs = reports::Downs { labs: Vec::new(), errors: Vec::new() };
        for name in names {
            match down(&name, context) {
                Ok(report) => downs.labs.push(report),
                // The other labs go all the same.
                Err(error) => downs.errors.push(error),
            }
        }
        Ok(downs)
    }
}

fn down(name: &LabName, context: &mut Context) -> Result<reports::Down> {
    let start = Instant::now();
    let down = lab::down(name, &mut |step| context.front.progress(step))?;
    Ok(down.report(name, start.elapsed()))
}
