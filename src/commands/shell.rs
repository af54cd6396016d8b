//! `nslab shell`

use clap_complete::engine::ArgValueCompleter;

use super::run::{Context, Place, Run};
use super::{complete, far, inside, target};
use crate::error::{Error, Result, Thing};
use crate::kernel::sandbox;
use crate::lab::{self, resolve};
use crate::render::Printed;

/// Open a shell in a node; its prompt shows which
///
/// In a host's shell `lxc` commands its containers; where the stock client is not installed lxc is nslab. Its containers are namespaces under their bare names: `ip link add v1 type veth peer name eth0 netns a1`.
#[derive(Debug, clap::Args)]
pub struct Shell {
    /// Use the machine's own files, without the private writable layer
    #[arg(long)]
    real_root: bool,
    /// The node.
    #[arg(help = "The node: [REMOTE:][LAB/][HOST/]NODE; may be left out in a lab with one node", add = ArgValueCompleter::new(complete::nodes))]
    node: Option<String>,
}

impl Run for Shell {
    type Out = Printed;

    const FAILURE: Option<u8> = Some(inside::FAILED);

    fn place(&self) -> Place {
        if self.node.as_deref().and_then(far::split).is_some() { Place::Anywhere } else { Place::Privileged }
    }

    fn run(self, context: &mut Context) -> Result<Self::Out> {
        if let Some((remote, name)) = self.node.as_deref().and_then(far::split) {
            return far::shell(remote, name);
        }
        let typed = self.node.map_or_else(only_node, Ok)?;
        let target = target::node(&typed, context)?;
        let shell = sandbox::shell(&lab::paths::sandboxes(&target.lab));
        inside::run(&target, shell, self.real_root, context)
    }
}

/// The node of a lab that has but one.
fn only_node() -> Result<String> {
    let entry = target::lab(None)?.ok_or_else(target::none_up)?;
    match resolve::shortest(&entry).as_slice() {
        [(_, words)] => Ok(words.clone()),
        many => {
            let candidates = many.iter().map(|(_, words)| words.clone()).collect();
            Err(Error::Ambiguous { what: Thing::Node, word: String::new(), candidates })
        }
    }
}
