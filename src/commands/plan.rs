//! `nslab plan`

use clap_complete::engine::ArgValueCompleter;

use super::{Context, complete, rights, source, target};
use crate::error::Result;
use crate::lab::{self, resolve};
use crate::plan::{Op, State, compile, diff};
use crate::report::Report;
use crate::report::plan::{Plan as Commands, Purpose, by_hand, by_host, filter, host_namespaces};
use crate::topology::catalog;

/// Print the commands that make a lab by hand: a script, grouped by host
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  nslab plan routed\n  nslab plan bridged > bridged.sh; sudo sh -e bridged.sh\n  sudo nslab plan bridged --by-hand"
)]
pub struct Plan {
    /// A topology, a file, or a lab that is up; may be left out when only one is up
    #[arg(add = ArgValueCompleter::new(complete::plans))]
    topology: Option<String>,
    /// Print what was made by hand in the lab instead
    #[arg(long)]
    by_hand: bool,
}

impl Plan {
    /// Compiles the topology; touches nothing.
    ///
    /// # Errors
    /// When there is no such topology or lab.
    pub fn run(self, context: &mut Context) -> Result<Report> {
        if self.by_hand { self.by_hand(context) } else { self.whole(context) }
    }

    fn whole(&self, context: &Context) -> Result<Report> {
        let topology = match &self.topology {
            Some(word) if source::is_file(word) => source::topology(word)?,
            Some(word) => match source::described(word) {
                Some(topology) => topology,
                None if catalog::find(word).is_none() && is_up(word) => return Err(rights::refusal(context)),
                None => source::topology(word)?,
            },
            None => {
                let entry = target::lab(None)?.ok_or_else(target::none_up)?;
                source::described(&entry.lab).ok_or_else(|| rights::refusal(context))?
            }
        };
        let lab = topology.name.to_string();
        let steps = by_host(&diff(&State::new(), &compile(&topology)), &lab);
        Ok(Report::Plan(Commands { lab, purpose: Purpose::Build, steps }))
    }

    fn by_hand(&self, context: &Context) -> Result<Report> {
        rights::need(context)?;
        let entry = target::lab(self.topology.as_deref())?.ok_or_else(target::none_up)?;
        let status = lab::status(&resolve::lab_name(&entry.lab)?)?;
        let made: Vec<Op> = status.by_hand.into_iter().map(|(key, value)| Op::Add(key, value)).collect();
        let mut steps = Vec::new();
        for (host, name) in status.namespaces {
            steps.push(host_namespaces(&host, &[name], &entry.lab));
        }
        steps.extend(by_hand(&made, &entry.lab));
        steps.extend(status.tables.iter().map(|(node, family, table)| filter(node, family, table, &entry.lab)));
        Ok(Report::Plan(Commands { lab: entry.lab, purpose: Purpose::ByHand, steps }))
    }
}

fn is_up(word: &str) -> bool {
    lab::names().iter().any(|entry| entry.lab == word)
}
