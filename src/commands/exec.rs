//! `nslab exec`

use clap_complete::engine::ArgValueCompleter;

use super::run::{Context, Place, Run};
use super::{complete, far, inside, target};
use crate::error::Result;
use crate::kernel::sandbox;
use crate::render::Printed;

/// Run a command in a node: its network, its processes, its hostname, its own writable layer
///
/// In a host lxc and incus command its own containers: sudo nslab exec host-a lxc list
///
/// Ends with the command's own exit code; 125 when nslab failed, 126 not executable, 127 not found.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sudo nslab exec a1 ip addr\n  sudo nslab exec host-b/c1 ping -c 1 10.0.0.2\n  sudo nslab exec a1 sh -c 'ip route; ip neigh'"
)]
pub struct Exec {
    /// Use the machine's own files, without the private writable layer
    #[arg(long)]
    real_root: bool,
    /// The node.
    #[arg(help = "The node: [REMOTE:][LAB/][HOST/]NODE", add = ArgValueCompleter::new(complete::nodes))]
    node: String,
    /// The command and its arguments; everything after NODE belongs to it
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<std::ffi::OsString>,
}

impl Run for Exec {
    type Out = Printed;

    const FAILURE: Option<u8> = Some(inside::FAILED);

    fn place(&self) -> Place {
        if far::split(&self.node).is_some() { Place::Anywhere } else { Place::Privileged }
    }

    fn run(self, context: &mut Context) -> Result<Self::Out> {
        if let Some((remote, name)) = far::split(&self.node) {
            return far::exec(remote, name, self.command);
        }
        let target = target::node(&self.node, context)?;
        let run = sandbox::Run { argv: self.command, ..sandbox::Run::default() };
        inside::run(&target, run, self.real_root, context)
    }
}
