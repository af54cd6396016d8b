//! `nslab ps`

use clap_complete::engine::ArgValueCompleter;

use super::run::{Context, Place, Run};
use super::{complete, far, target};
use crate::error::Result;
use crate::kernel::sandbox::{self, Manner};
use crate::lab::{self, Subject, resolve};
use crate::name::LabName;
use crate::plan::NodeId;
use crate::report::node::{Process, Processes};

/// List the processes that run in a lab or node
#[derive(Debug, clap::Args)]
pub struct Ps {
    /// The lab or node, or REMOTE:NODE; all labs when left out
    #[arg(value_name = "LAB|NODE", add = ArgValueCompleter::new(complete::labs_and_nodes))]
    place: Option<String>,
}

impl Run for Ps {
    type Out = Processes;

    fn place(&self) -> Place {
        if self.place.as_deref().and_then(far::split).is_some() { Place::Anywhere } else { Place::Outside(Manner::Follows) }
    }

    fn run(self, context: &mut Context) -> Result<Self::Out> {
        if let Some((remote, name)) = self.place.as_deref().and_then(far::split) {
            return far::processes(remote, name);
        }
        let mut processes = Vec::new();
        for (lab, nodes) in self.places(context)? {
            let names: Vec<String> = nodes.iter().map(ToString::to_string).collect();
            let found = sandbox::processes(&lab::paths::sandboxes(&lab), &names)?.into_iter().map(|process| Process {
                lab: lab.to_string(),
                node: process.node,
                pid: process.pid,
                inside: process.inside,
                user: process.user,
                command: process.command,
            });
            processes.extend(found);
        }
        processes.sort_by(|a, b| (&a.lab, &a.node, a.pid).cmp(&(&b.lab, &b.node, b.pid)));
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
                    let subject = Subject::ours(resolve::find(lab.as_str(), &labs)?.clone());
                    let nodes = subject.nodes().into_iter().filter(|one| !one.by_hand).map(|one| one.node);
                    Ok((lab, nodes.collect()))
                })
                .collect(),
        }
    }
}
