//! Labs as they are: `status`, `list`, and nslab alone.

use std::time::Duration;

use clap_complete::engine::ArgValueCompleter;

use super::run::{Context, Place, Run, lacking};
use super::{completions, far, target, topology};
use crate::error::Result;
use crate::lab::{self, Journal, Phase, borrow, halves};
use crate::name::LabName;
use crate::plan::{Op, steps};
use crate::render::shapes;
use crate::report::lab::{Home as Overview, List as Labs, Played, Status as Lab, Statuses};
use crate::report::remote::Instances;

/// How long the machine of another half may take to answer.
const PATIENCE: Duration = Duration::from_millis(450);

/// Tell whether labs are as described, and what was made by hand in them
///
/// Ends with 1 when a lab is unfinished or has drifted.
#[derive(Debug, clap::Args)]
pub struct Status {
    /// The lab, or REMOTE:[NODE]; all labs when left out
    #[arg(add = ArgValueCompleter::new(completions::labs))]
    lab: Option<String>,
}

shapes! {
    /// How labs are, or the containers of a remote.
    pub enum Conditions { Labs(Statuses), Instances(Instances) }
}

impl Run for Status {
    type Out = Conditions;

    fn place(&self) -> Place {
        if self.lab.as_deref().and_then(far::split).is_some() { Place::Anywhere } else { Place::Privileged }
    }

    fn run(self, _: &mut Context) -> Result<Self::Out> {
        if let Some((remote, name)) = self.lab.as_deref().and_then(far::split) {
            return far::list(remote, name, true).map(Conditions::Instances);
        }
        let labs = target::labs(self.lab.as_deref())?;
        let labs = labs.iter().map(status).collect::<Result<_>>()?;
        Ok(Conditions::Labs(Statuses { labs }))
    }
}

fn status(name: &LabName) -> Result<Lab> {
    let status = lab::status(name)?;
    let half = half(&status.journal)?;
    let topology = status.journal.topology;
    let naming = steps::Naming::of(&topology);
    let by_hand: Vec<Op> = status.by_hand.into_iter().map(Op::Add).collect();
    Ok(Lab {
        lab: name.clone(),
        condition: status.condition,
        summary: topology.summary.clone(),
        hosts: topology.hosts.len(),
        containers: topology.containers(),
        missing: steps::in_order(&status.missing, &naming),
        by_hand: steps::by_hand(&by_hand, &naming),
        namespaces: status.namespaces,
        tables: status.tables,
        processes: status.processes,
        half,
        instances: status.kept,
        agents: status.agents,
        version: status.journal.version,
        nics: borrow::report(name),
    })
}

fn half(journal: &Journal) -> Result<Option<Played>> {
    let Some(role) = journal.topology.role.as_ref() else { return Ok(None) };
    let asked = journal.phase == Phase::Up && !journal.is_stale();
    let said = if asked { halves::others(journal, PATIENCE)? } else { None };
    let others = journal.whole.iter().flat_map(|whole| &whole.hosts).filter(|host| host.name != role.host);
    Ok(Some(Played {
        host: role.host.clone(),
        nics: role.nics.iter().map(|(name, real)| (name.clone(), real.clone())).collect(),
        elsewhere: others.map(|host| host.name.clone()).collect(),
        others: said,
    }))
}

/// List the labs that are up, or the containers of a remote
#[derive(Debug, clap::Args)]
pub struct List {
    /// A remote with its colon, as in host-b:
    #[arg(value_name = "REMOTE:")]
    remote: Option<String>,
}

shapes! {
    /// Labs that are up, or the containers of a remote.
    pub enum Listed { Labs(Labs), Instances(Instances) }
}

impl Run for List {
    type Out = Listed;

    fn run(self, _context: &mut Context) -> Result<Self::Out> {
        if let Some(word) = self.remote.as_deref() {
            let (remote, name) = far::split(word).unwrap_or((word, ""));
            return far::list(remote, name, false).map(Listed::Instances);
        }
        Ok(Listed::Labs(Labs { labs: target::items()? }))
    }
}

/// Show the topologies, the labs that are up, and what to type next
#[derive(Debug, clap::Args)]
pub struct Home;

impl Run for Home {
    type Out = Overview;

    fn run(self, _context: &mut Context) -> Result<Self::Out> {
        let (topologies, labs) = (topology::items()?, target::items()?);
        Ok(Overview { topologies, labs, privileged: lacking().is_none() })
    }
}
