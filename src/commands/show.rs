//! `nslab show`

use clap_complete::engine::ArgValueCompleter;

use super::{Context, complete, rights, target};
use crate::error::Result;
use crate::kernel::inspect::{Pin, inspect};
use crate::lab::{self, resolve};
use crate::name::LabName;
use crate::plan::NodeId;
use crate::report::Report;
use crate::report::node::Kind;

/// Show what is in a node: interfaces, addresses, routes, forwarding tables, neighbours
#[derive(Debug, clap::Args)]
pub struct Show {
    /// The node: [LAB/][HOST/]NODE
    #[arg(add = ArgValueCompleter::new(complete::nodes))]
    node: String,
}

impl Show {
    /// Asks the kernel inside the node's namespace.
    ///
    /// # Errors
    /// When there is no such node or its namespace is gone.
    pub fn run(self, context: &mut Context) -> Result<Report> {
        rights::need(context)?;
        let target = target::node(&self.node, context)?;
        let labs = lab::names();
        let entry = resolve::find(target.lab.as_str(), &labs)?;
        let pins: Vec<Pin> = resolve::nodes(entry).iter().map(|node| pin(&target.lab, node)).collect();
        let mut node = inspect(&pin(&target.lab, &target.node), &pins)?;
        node.lab = target.lab.to_string();
        node.node = target.node.to_string();
        node.kind = kind(&target.node);
        Ok(Report::Node(node))
    }
}

fn pin(lab: &LabName, node: &NodeId) -> Pin {
    Pin { node: node.to_string(), path: lab::netns_path(lab, node) }
}

fn kind(node: &NodeId) -> Kind {
    match node {
        NodeId::Switch(_) => Kind::Switch,
        NodeId::Host(_) => Kind::Host,
        NodeId::Container(..) => Kind::Container,
    }
}
