//! `nslab show`

use clap_complete::engine::ArgValueCompleter;

use super::run::{Context, Place, Run};
use super::{completions, target};
use crate::error::{Error, Result, Thing};
use crate::kernel::inspect::{Pin, inspect};
use crate::lab::subject::Netns;
use crate::lab::{self, resolve};
use crate::report::node::{Kind, Node};

/// Show what is in a node: interfaces, addresses, routes, forwarding tables, neighbours
#[derive(Debug, clap::Args)]
pub struct Show {
    /// The node or interface.
    #[arg(help = "The node, [LAB/][HOST/]NODE, or one of its interfaces, NODE.INTERFACE", add = ArgValueCompleter::new(completions::nodes))]
    node: String,
}

impl Run for Show {
    type Out = Node;

    fn place(&self) -> Place {
        Place::Privileged
    }

    fn run(self, context: &mut Context) -> Result<Self::Out> {
        let (word, interface) = resolve::parts(&self.node);
        let (subject, target) = target::looked_at(word, context)?;
        let nodes = subject.nodes();
        let pin = |one: &Netns| Pin { node: one.node.to_string(), path: one.pin.clone() };
        let pins: Vec<Pin> = nodes.iter().filter(|one| !one.by_hand).map(pin).collect();
        let named = |pin: &&Pin| pin.node == target.node.to_string();
        let own = pins.iter().find(named).ok_or_else(|| Error::Internal(format!("{} has no namespace", target.node)))?;
        let mut node = inspect(own, &pins)?;
        node.lab = target.lab.to_string();
        node.node = target.node.to_string();
        node.kind = Kind::of(&target.node);
        match interface {
            None => Ok(node),
            Some(interface) => {
                let known = node.links.iter().any(|link| link.name == interface);
                if let Some(error) = resolve::dotted(&self.node, &lab::names()).filter(|_| !known) {
                    return Err(error);
                }
                only(interface, node)
            }
        }
    }
}

/// What of a node is about one interface.
fn only(interface: &str, mut node: Node) -> Result<Node> {
    if !node.links.iter().any(|link| link.name == interface) {
        let names = node.links.into_iter().map(|link| link.name).collect();
        let candidates = resolve::near(interface, names);
        return Err(Error::Unknown { what: Thing::Interface, word: interface.to_owned(), candidates });
    }
    node.links.retain(|link| link.name == interface);
    node.routes.retain(|route| route.dev.as_deref() == Some(interface));
    node.fdb.retain(|entry| entry.port == interface || entry.bridge == interface);
    node.neighbours.retain(|neighbour| neighbour.dev == interface);
    Ok(node)
}
